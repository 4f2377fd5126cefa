"""Large blobs: chunked where their content says so, stored and read without being held."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import flip
from maverick.checkpoints import Store, blob, blob_from, value
from maverick.checkpoints.objects import chunking
from maverick.checkpoints.objects.ids import ObjectId, blob_id
from maverick.errors import StoreDamaged

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def _bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def _stored(store: Store) -> int:
    store.objects.packs.refresh()
    return sum(pack.size for pack in store.objects.packs.listed())


def _chunks(store: Store, blob: ObjectId) -> list[ObjectId]:
    """Give the chunks of a blob, also those that its lists name."""
    below = [_chunks(store, chunk) or [chunk] for chunk, _ in store.objects.chunks(blob)]
    return [chunk for chunks in below for chunk in chunks]


@pytest.mark.parametrize("size", [0, 1, 128 * 1024 - 1, 128 * 1024, 3 * MIB, 20 * MIB])
def test_content_of_any_size_comes_back(store: Store, size: int) -> None:
    """From memory, from a stream, from a file, in parts of any length; with the id of the whole."""
    data = _bytes(size)
    path = store.root.parent / "file"
    path.write_bytes(data)
    parts = [data[:5], b"", data[5:70_000], data[70_000:]]
    sources = {
        ("memory",): blob(data),
        ("file",): blob_from(path),
        ("open",): blob_from(io.BytesIO(data), note="x"),
    }

    at = store.save("r", sources, parent=None)
    at = store.save("r", {("parts",): blob_from(parts)}, parent=at) if size else at

    found = Store.open(store.root).load("r")
    for name in found.names():
        assert (size, blob_id(data)) == (found.entry(name).size, found.entry(name).id)
        assert data == found.data(name) == b"".join(found.stream(name))
    assert "x" == found.entry("open").note
    assert _stored(store) < size + 100_000
    assert [] == list(store.check(read_data=True))


@pytest.mark.parametrize("size", [128 * 1024, 200_000, 256 * 1024])
def test_content_that_is_one_chunk_is_stored(store: Store, size: int) -> None:
    """Nothing in it says where to cut: the chunk is the blob itself."""
    at = store.save(
        "r", {("memory",): blob(b"x" * size), ("value",): value("x" * size)}, parent=None
    )
    at = store.save("r", {("stream",): blob_from([b"y" * size])}, parent=at)
    store.save("r", {("memory",): blob(b"z" * size)}, parent=at)

    found = Store.open(store.root)
    assert (
        b"x" * size == found.load("r~1").data("memory") == found.load("r").value("value").encode()
    )
    assert (b"y" * size, b"z" * size) == (
        found.load("r").data("stream"),
        found.load("r").data("memory"),
    )
    assert [] == list(found.check(read_data=True))


@pytest.mark.parametrize("window_bytes", [MIB, 8 * MIB])
def test_cuts_do_not_depend_on_how_the_content_is_read(window_bytes: int) -> None:
    """Else the same file would be stored twice."""
    data = _bytes(5 * MIB)

    def cuts(window: int) -> list[int]:
        return [
            len(chunk)
            for chunks in chunking.windows(chunking.reader(data), window)
            for chunk in chunks
        ]

    assert cuts(64 * MIB) == cuts(window_bytes)
    assert sum(cuts(window_bytes)) == len(data)
    assert all(16 * 1024 <= size <= 256 * 1024 for size in cuts(window_bytes)[:-1])


def test_an_insertion_costs_the_chunks_around_it(store: Store) -> None:
    """20 MiB, then 100 bytes more in the middle."""
    data = _bytes(20 * MIB)
    at = store.save("r", {("x",): blob(data)}, parent=None)
    before = _stored(store)
    changed = data[: 10 * MIB] + b"inserted" * 12 + data[10 * MIB :]

    store.save("r", {("x",): blob(changed)}, parent=at)

    old, new = (set(_chunks(store, blob_id(it))) for it in (data, changed))
    assert len(new - old) <= 2
    assert _stored(store) - before < 2 * 256 * 1024
    assert changed == Store.open(store.root).load("r").data("x")


@pytest.mark.parametrize(("added", "most"), [(25_000, 1.2), (2_000, 1.6)])
def test_a_text_that_grows_costs_what_is_new_in_it(store: Store, added: int, most: float) -> None:
    """A transcript of an agent, saved after each turn: what was there is not stored again."""
    text, at = _bytes(60_000).hex(), None
    with store.own("r"):
        for turn in range(40):
            text += _bytes(added, turn).hex()[:added]
            at = store.save("r", {("transcript",): value(text)}, parent=at)

    assert _stored(store) < most * (len(text) / 2) + 40 * 1500
    assert text == Store.open(store.root).load("r").value("transcript")


def test_cuts_follow_those_of_what_was_there_before(store: Store) -> None:
    """What is appended begins a chunk of its own, unless the last one is smaller than a chunk may
    be.
    """
    data = _bytes(MIB)
    at = store.save("r", {("x",): blob(data)}, parent=None)
    at = store.save("r", {("x",): blob(data + _bytes(5000, 1))}, parent=at)
    longer = data + _bytes(5000, 1) + _bytes(30_000, 2)
    store.save("r", {("x",): blob_from([longer])}, parent=at)

    def lengths(content: bytes) -> list[int]:
        return [length for _, length in store.objects.chunks(blob_id(content))]

    first = lengths(data)
    assert [*first, 5000] == lengths(data + _bytes(5000, 1))
    assert [*first, 35_000] == lengths(longer)
    assert longer == store.load("r").data("x")


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [(b"", b"", 0), (b"a", b"b", 0), (b"ab", b"abc", 2), (b"abcd", b"abxd", 2), (b"x", b"x", 1)],
)
def test_common_beginnings_are_measured(one: bytes, other: bytes, length: int) -> None:
    """Also where one ends."""
    assert length == chunking.common(one, other) == chunking.common(other, one)


def test_a_large_value_and_its_attachments_are_chunked(store: Store) -> None:
    """What is large is large in whatever it stands."""
    it = {"text": "x" * 300_000 + "y", "png": _bytes(300_000)}
    store.save("r", {("v",): value(it)}, parent=None)

    assert it == Store.open(store.root).load("r").value("v")


def test_without_the_compiled_chunker_cuts_are_made_at_fixed_places(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays bounded, and what is appended to is stored once."""
    monkeypatch.setattr(chunking, "_fast_cdc", lambda: None)
    data = _bytes(2 * MIB)
    at = store.save("r", {("x",): blob(data)}, parent=None)
    before = _stored(store)

    store.save("r", {("x",): blob(data + b"more")}, parent=at)

    assert _stored(store) - before < 10_000
    assert data + b"more" == Store.open(store.root).load("r").data("x")


def test_gc_keeps_the_chunks_of_what_it_keeps(store: Store) -> None:
    """And drops those of what it drops, also where packs are rewritten."""
    keep, drop = _bytes(MIB, 1), _bytes(MIB, 2)
    at = store.save("r", {("keep",): blob(keep), ("drop",): blob(drop)}, parent=None)
    store.save("r", {("drop",): None}, parent=at, kind="final")

    store.plan_gc(keep_last=1).execute()

    assert keep == Store.open(store.root).load("r").data("keep")
    assert _stored(Store.open(store.root)) < 1.1 * MIB
    assert [] == list(Store.open(store.root).check(read_data=True))


def test_a_damaged_chunk_is_reported_with_the_blob_and_never_read(store: Store) -> None:
    """Reading raises before any wrong byte is given."""
    data = _bytes(MIB)
    store.save("r", {("x",): blob(data)}, parent=None)
    chunks = _chunks(store, blob_id(data))
    flip(store, chunks[3], 500_000, bit=4)
    fresh = Store.open(store.root)
    named = "|".join(chunk[:12] for chunk in chunks)

    with pytest.raises(StoreDamaged, match=named):
        fresh.load("r").data("x")
    given: list[bytes] = []
    stream = fresh.load("r").stream("x")
    with pytest.raises(StoreDamaged, match=named):
        given.extend(stream)
    assert given
    assert data.startswith(b"".join(given))
    found = {it.object: it.runs for it in fresh.check(read_data=True)}
    assert {("r",)} == {found[chunk] for chunk in chunks if chunk in found}


def test_a_list_of_chunks_names_them_in_order(store: Store) -> None:
    """It is how the blob is stored, no object of its own."""
    data = _bytes(MIB)
    store.save("r", {("x",): blob(data)}, parent=None)

    chunks = store.objects.chunks(blob_id(data))

    assert data == b"".join(store.read(chunk) for chunk, _ in chunks)
    assert [length for _, length in chunks] == [len(store.read(chunk)) for chunk, _ in chunks]


CHILD = """
import random, resource, sys
from pathlib import Path
from maverick.checkpoints import Store, blob_from

def parts(count):
    for number in range(count):
        yield random.Random(number % 40).randbytes(1 << 20)

store = Store.create(Path(sys.argv[1]))
count = int(sys.argv[2])
store.save("r", {("x",): blob_from(parts(count))}, parent=None)
assert count << 20 == sum(len(part) for part in Store.open(store.root).load("r").stream("x"))
if sys.platform == "linux":  # ru_maxrss counts what the process that started this one had in use, too.
    text = Path("/proc/self/status").read_text()
    print(text.partition("VmHWM:")[2].split()[0])
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("size_mib", [256, pytest.param(2048, marks=pytest.mark.thorough)])
def test_memory_does_not_grow_with_the_content(tmp_path: Path, size_mib: int) -> None:
    """Less than 200 MB are in use while a payload of 2 GiB is saved and read."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "store"), str(size_mib)],
        capture_output=True,
        text=True,
        check=True,
    )
    peak = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)

    assert peak < 200_000_000


def test_a_stream_that_fails_leaves_nothing(store: Store) -> None:
    """The error is the caller's own; the save did not happen."""

    def parts() -> Iterator[bytes]:
        yield _bytes(MIB)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        store.save("r", {("x",): blob_from(parts())}, parent=None)

    assert [] == store.refs()
    assert [] == list((store.root / "tmp").iterdir())
