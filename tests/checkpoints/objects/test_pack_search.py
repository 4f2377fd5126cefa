"""Look-ups in large packs read a few kilobytes, and what a store does costs the same however large
it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.packs import new_blob
from kit.stores import begin, extend, read_all, step
from maverick.checkpoints import Store, note
from maverick.checkpoints.objects import pack_index
from maverick.checkpoints.objects.ids import ObjectId, blob_id
from maverick.checkpoints.objects.pack_index import (
    BLOCK_ROWS,
    PREFIX_BYTES,
    ROW_BYTES,
    TRAILER,
    TRAILER_MAGIC,
    encode_directory,
    encode_rows,
    numbers_between,
    parse_directory,
)
from maverick.checkpoints.objects.pack_records import (
    PackHeader,
    Record,
    encode_record,
    raw_content,
)
from maverick.checkpoints.objects.segments import BEGINS, compress
from maverick.errors import PackDamaged

PREFIX = st.one_of(
    st.binary(min_size=4, max_size=4),
    st.sampled_from([bytes(4), b"\xff" * 4, b"same", b"samf", b"\0\0\0\1"]),
)


class Reader:
    """The rows of an index, counting what is read of them."""

    def __init__(self, prefixes: list[bytes]) -> None:
        self._data = encode_rows(prefix.ljust(32, b"x") for prefix in prefixes)
        self.blocks = self.most = 0

    def __call__(self, first: int, number: int) -> bytes:
        assert 0 <= first <= first + number <= len(self._data) // ROW_BYTES
        self.blocks += 1
        self.most = max(self.most, number)
        return self._data[first * ROW_BYTES : (first + number) * ROW_BYTES]


def _check(prefixes: list[bytes], least: bytes, most: bytes) -> None:
    expected = sorted((prefix, n) for n, prefix in enumerate(prefixes) if least <= prefix <= most)
    found = numbers_between(len(prefixes), Reader(prefixes), least, most)
    assert [number for _, number in expected] == list(found)


@given(st.lists(PREFIX, max_size=60), PREFIX, PREFIX, st.sampled_from([2, 3, 7, 512]))
def test_every_id_is_found_and_no_other(
    prefixes: list[bytes], one: bytes, other: bytes, block_rows: int
) -> None:
    """Whatever the ids are, also where many begin alike; in the order of prefixes and numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_index, "BLOCK_ROWS", block_rows)
        for prefix in {*prefixes, one}:
            _check(prefixes, prefix, prefix)
        _check(prefixes, min(one, other), max(one, other))
        _check(prefixes, bytes(4), b"\xff" * 4)


@pytest.mark.parametrize("count", [0, 1, 2, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS, 5000])
@pytest.mark.parametrize("prefix", [bytes(4), b"same", b"\xff" * 4])
def test_ids_that_all_begin_alike_are_all_found(count: int, prefix: bytes) -> None:
    """With others around them, at the borders of blocks."""
    for before, behind in ((0, 0), (1, 1), (BLOCK_ROWS - 1, BLOCK_ROWS), (BLOCK_ROWS, 1)):
        low = [bytes(4)] * before if prefix > bytes(4) else []
        high = [b"\xff" * 4] * behind if prefix < b"\xff" * 4 else []
        _check([*high, *[prefix] * count, *low], prefix, prefix)
        _check([*high, *[prefix] * count, *low], b"rame", b"sane")


@given(st.integers(0, 4000), st.integers(0, 24))
def test_ids_that_are_no_hashes_are_found_all_the_same(count: int, shift: int) -> None:
    """All of them close together: guessing fails, halving does not."""
    prefixes = [(n << min(shift, 20)).to_bytes(PREFIX_BYTES) for n in range(count)]
    reader = Reader(prefixes)

    for number in range(0, count, max(1, count // 7)):
        reader.blocks = 0
        prefix = prefixes[number]
        assert [number] == list(numbers_between(count, reader, prefix, prefix))
        assert reader.blocks < 16


def test_a_look_up_among_many_reads_a_few_kilobytes() -> None:
    """One block or two of 4 KiB among 200,000 ids, found or not."""
    random = Random(7)
    prefixes = [random.randbytes(4) for _ in range(200_000)]
    reader = Reader(prefixes)

    for prefix in [*random.sample(prefixes, 200), *(random.randbytes(4) for _ in range(200))]:
        list(numbers_between(len(prefixes), reader, prefix, prefix))

    assert BLOCK_ROWS == reader.most
    assert reader.blocks / 400 < 2


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**31), st.integers(0, 255), st.tuples(*[st.integers(0, 2**20)] * 4)
        ),
        max_size=20,
    )
)
def test_a_directory_says_where_the_records_are(
    rows: list[tuple[int, int, tuple[int, int, int, int]]],
) -> None:
    """And which numbers their objects have."""
    records: list[Record] = []
    offset = first = 44
    first = 0
    for length, flags, counts in rows:
        data = pack_index.varint(length)
        prelude = sum(len(pack_index.varint(number)) for number in counts) + len(data)
        whole = prelude + 32 * sum(counts) + 2 * length
        records.append(Record(offset, whole % 2**32, flags, first, counts, prelude, length))
        offset, first = records[-1].end, first + sum(counts)
    if all(record.content_bytes >= 0 for record in records):
        assert records == parse_directory(encode_directory(records), len(records), 44)


def add_big_pack(root: Path, count: int) -> list[bytes]:
    """Put a pack of *count* blobs into a store, of which only the first and the last record are
    there. Gives their ids.
    """
    header = PackHeader(os.urandom(16))
    between = count // 1000
    offset, first, ids, records = len(header.encode()), 0, list[bytes](), list[Record]()
    parts: dict[int, bytes] = {0: header.encode()}
    for at in range(between + 2):
        item = new_blob(b"first" if not at else b"last")
        filled = 0 < at <= between
        own = [os.urandom(32) for _ in range(1000)] if filled else [bytes.fromhex(item.id)]
        content = compress(raw_content([item.data])) if not filled else bytes(100_000)
        counts = (len(own), 0, 0, 0)
        raw_ids = b"".join(own)
        data, record = encode_record(
            header.nonce, offset, BEGINS << 2, first, counts, raw_ids, b"", content
        )
        parts[offset] = data[:40_000]
        ids += own
        records.append(record)
        offset, first = record.end, first + len(own)
    rows, directory = encode_rows(ids), encode_directory(records)
    name = os.urandom(32)
    checks = (blake3(rows).digest(16), blake3(directory).digest(16))
    sizes = (offset, len(ids), len(records), len(directory))
    parts[offset] = rows + directory + TRAILER.pack(*sizes, *checks, name, TRAILER_MAGIC)
    with (root / "objects" / f"{name.hex()}.pack").open("wb") as file:
        for start, data in parts.items():
            file.seek(start)
            file.write(data)
    return ids


def _prepared(root: Path, objects: int) -> list[bytes]:
    store = Store.create(root, files=CountingFiles())
    extend(store, begin(store), range(20))
    return add_big_pack(root, objects)


def _costs(root: Path) -> dict[str, tuple[int, int]]:
    """How many reads, and of how many bytes, each operation takes in a process of its own."""
    costs: dict[str, tuple[int, int]] = {}

    def counted(name: str) -> Store:
        files = CountingFiles()
        store = Store.open(root, files=files)
        match name:
            case "open":
                store.refs()
            case "load":
                read_all(store, store.resolve("run-1"))
            case "save":
                at = store.resolve("run-1")
                store.save("run-1", step(500), parent=at, facts={("steps", "step500"): note("x")})
            case "save again":
                extend(store, store.resolve("run-1"), range(600, 603))
            case "log":
                list(store.history("run-1"))
            case "diff":
                list(store.diff("run-1~8", "run-1"))
            case "resolve":
                store.resolve(store.ref("run-1").checkpoint[:12])
        costs[name] = (files.reads + files.look_ups, files.read_bytes)
        return store

    for name in ("open", "load", "log", "diff", "resolve", "save", "save again"):
        counted(name)
    return costs


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.thorough)])
def test_operations_cost_the_same_in_a_store_with_very_many_objects(
    tmp_path: Path, count: int
) -> None:
    """Twice the reads and bytes of a store with 1,000 objects at the most."""
    _prepared(tmp_path / "small", 1000)
    ids = _prepared(tmp_path / "large", count)

    small, large = _costs(tmp_path / "small"), _costs(tmp_path / "large")

    for name, (reads, read_bytes) in large.items():
        assert reads <= 2 * small[name][0], name
        assert read_bytes <= 2 * small[name][1], name
    store = Store.open(tmp_path / "large")
    assert [b"first", b"last"] == [store.read(blob_id(data)) for data in (b"first", b"last")]
    assert all(
        store.objects.packs.find(ObjectId(raw_id.hex())) for raw_id in Random(1).sample(ids, 100)
    )


def test_a_large_index_that_is_overwritten_is_reported_as_damage(tmp_path: Path) -> None:
    """Look-ups do not check it, but what is not found is not said to be missing before it was."""
    _prepared(tmp_path, 1000)
    (path,) = [path for path in (tmp_path / "objects").iterdir() if path.stat().st_size > 90_000]
    damaged = bytearray(path.read_bytes())
    rows_at = TRAILER.unpack(damaged[-TRAILER.size :])[0]
    damaged[rows_at + 800 : rows_at + 3200] = bytes(2400)
    path.write_bytes(damaged)
    store = Store.open(tmp_path)

    with pytest.raises(PackDamaged, match="its index is damaged"):
        store.read(blob_id(b"elsewhere"))
    assert path.name not in [pack.file for pack in store.objects.packs.listed()]
