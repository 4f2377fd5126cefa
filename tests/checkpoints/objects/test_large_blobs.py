"""Large blobs that change: what is new in them is stored, and a list or two."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import flip, take_in
from maverick.checkpoints import Store, blob, blob_from, exports
from maverick.checkpoints.objects import chunking
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, blob_id
from maverick.checkpoints.objects.pack_records import NewObject, list_data
from maverick.checkpoints.objects.packs import Item
from maverick.errors import ObjectCorrupt, StoreDamaged

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def _bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def _chunks(store: Store, blob: ObjectId) -> list[tuple[ObjectId, int]]:
    """What the list of *blob* names; nothing if it is no list."""
    return list(store.objects.chunks(blob))


def _lists(store: Store, blob: ObjectId) -> list[ObjectId]:
    """The lists that the list of *blob* names."""
    return [it for it, _ in _chunks(store, blob) if _chunks(store, it)]


def _items(store: Store) -> list[Item]:
    """Give all objects of all packs."""
    store.objects.packs.refresh()
    found = [item for pack in store.objects.packs.listed() for item in pack.items(content=True)]
    return [item for item in found if isinstance(item, Item)]


def _lists_items(store: Store) -> int:
    """How many chunks are named in lists, each as often as it is."""
    lists = [item.data for item in _items(store) if item.kind is ObjectKind.LIST]
    return sum(data.count(b"[") - 1 for data in lists)


def _size(store: Store) -> int:
    store.objects.packs.refresh()
    return sum(pack.size for pack in store.objects.packs.listed())


def test_a_list_of_chunks_that_grows_is_not_stored_anew(store: Store) -> None:
    """120 chunks and more, 100 times: a list of them all would name each of them each time."""
    data, at = _bytes(8 * MIB), None
    at = store.save("r", {("x",): blob(data)}, parent=None)
    before = _lists_items(store)
    for turn in range(100):
        data += _bytes(25_000, turn)
        at = store.save("r", {("x",): blob(data)}, parent=at)

    assert _lists_items(store) - before < 100 * 42
    assert data == Store.open(store.root).load("r").data("x")


def test_lists_follow_from_the_chunks(tmp_path: Path) -> None:
    """Whether the blob was stored at once, grew, or was read in parts: its lists are shared."""
    data = _bytes(12 * MIB)
    stores = [Store.create(tmp_path / f"store{n}", files=CountingFiles()) for n in range(3)]
    stores[0].save("r", {("x",): blob(data)}, parent=None)
    stores[1].save("r", {("x",): blob_from([data[:MIB], data[MIB:]])}, parent=None)
    at = stores[2].save("r", {("x",): blob(data[: 9 * MIB])}, parent=None)
    stores[2].save("r", {("x",): blob(data)}, parent=at)

    lists = [_lists(store, blob_id(data)) for store in stores]
    assert len(lists[0]) > 3
    assert lists[0] == lists[1]
    assert len(set(lists[0]) & set(lists[2])) >= 3
    for store in stores:
        fresh = Store.open(store.root)
        assert data == fresh.load("r").data("x") == b"".join(fresh.load("r").stream("x"))
        assert all(len(part) <= 256 * 1024 for part in fresh.load("r").stream("x"))
        assert [] == list(fresh.check(read_data=True))


def test_reading_a_blob_that_grew_reads_its_parts_once(store: Store) -> None:
    """One read for each chunk and list, however many saves it grew in."""
    data, at = b"", None
    for turn in range(60):
        data += _bytes(30_000, turn).hex().encode()
        at = store.save("r", {("x",): blob(data)}, parent=at)
    lists = _lists(store, blob_id(data))
    chunks = [
        it for name in (*lists, blob_id(data)) for it, _ in _chunks(store, name) if it not in lists
    ]
    assert lists
    files = CountingFiles()
    fresh = Store.open(store.root, files=files)
    at = fresh.resolve("r")
    before = files.reads

    assert data == fresh.read(blob_id(data))

    assert files.reads - before <= 1 + len(lists) + len(chunks) * 1.5


def test_an_insertion_costs_one_list(store: Store) -> None:
    """The lists before it and behind it stay."""
    data = _bytes(16 * MIB)
    at = store.save("r", {("x",): blob(data)}, parent=None)
    before = _lists_items(store)

    store.save("r", {("x",): blob(data[: 8 * MIB] + b"inserted" + data[8 * MIB :])}, parent=at)

    assert _lists_items(store) - before < before


def test_a_blob_that_is_exactly_one_list_of_another_is_no_list_of_itself(store: Store) -> None:
    """In either order, and in one save."""
    data = _bytes(8 * MIB)
    at = store.save("r", {("x",): blob(data)}, parent=None)
    part = data[: _chunks(store, blob_id(data))[0][1]]
    assert [blob_id(part)] == _lists(store, blob_id(data))[:1]

    store.save("r", {("y",): blob(part), ("z",): blob_from([part])}, parent=at)
    for name in ("one", "both", "reverse"):
        other = Store.create(store.root.parent / name, files=CountingFiles())
        first = {("y",): blob(part)} if name == "one" else {("a",): blob(part), ("b",): blob(data)}
        start = other.save(
            "r", first if name != "reverse" else dict(reversed(first.items())), parent=None
        )
        other.save("r", {("b",): blob(data)}, parent=start)
        fresh = Store.open(other.root)
        assert (data, part) == (fresh.load("r").data("b"), fresh.read(blob_id(part)))
        assert [] == list(fresh.check(read_data=True))

    fresh = Store.open(store.root)
    assert (data, part, part) == tuple(fresh.load("r").data(name) for name in "xyz")


def test_a_blob_listed_flatly_goes_on_in_lists(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier version stored it."""
    data = _bytes(8 * MIB)
    with monkeypatch.context() as patch:
        patch.setattr(chunking, "ends_list", lambda *_: False)
        at = store.save("r", {("x",): blob(data)}, parent=None)
    assert [] == _lists(store, blob_id(data))
    before = _size(store)

    store.save("r", {("x",): blob(data + b"more" * 9)}, parent=at)

    assert _lists(store, blob_id(data + b"more" * 9))
    assert _size(store) - before < 20_000
    fresh = Store.open(store.root)
    assert (data, data + b"more" * 9) == (fresh.load("r~1").data("x"), fresh.load("r").data("x"))


@settings(max_examples=12)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 400_000), st.integers(0, 400_000)), max_size=5
    )
)
def test_whatever_is_edited_comes_back(
    tmp_path_factory: pytest.TempPathFactory, edits: list
) -> None:
    """What is cut out or put in, at any place, from memory or streamed."""
    store = Store.create(tmp_path_factory.mktemp("edits") / "store", files=CountingFiles())
    data = _bytes(3 * MIB)
    at, kept = store.save("r", {("x",): blob(data)}, parent=None), [data]
    for number, (where, out, into) in enumerate(edits):
        place = int(where * len(data))
        data = data[:place] + _bytes(into, number) + data[place + out :]
        content = blob(data) if number % 2 else blob_from([data])
        at = store.save("r", {("x",): content}, parent=at)
        kept.append(data)

    fresh = Store.open(store.root)
    for back, expected in enumerate(reversed(kept)):
        assert (
            expected
            == fresh.load(f"r~{back}").data("x")
            == b"".join(fresh.load(f"r~{back}").stream("x"))
        )
    assert [] == list(fresh.check(read_data=True))


def test_gc_and_exports_keep_what_lists_name(store: Store) -> None:
    """Lists are walked like the chunks in them."""
    keep, drop = _bytes(8 * MIB, 1), _bytes(8 * MIB, 2)
    at = store.save("r", {("keep",): blob(keep), ("drop",): blob(drop)}, parent=None)
    store.save("r", {("drop",): None}, parent=at, kind="final")

    store.plan_gc(keep_last=1).execute()

    fresh = Store.open(store.root)
    assert keep == fresh.load("r").data("keep")
    assert _size(fresh) < 8.1 * MIB
    assert [] == list(fresh.check(read_data=True))
    exports.export(fresh, fresh.resolve("r"), store.root.parent / "run")
    other = Store.create(store.root.parent / "other")
    take_in(other, store.root.parent / "run")
    assert keep == Store.open(other.root).load("r").data("keep")
    assert [] == list(other.check(read_data=True))


def test_a_damaged_list_is_reported_and_never_read(store: Store) -> None:
    """It stands between the blob and its chunks."""
    data = _bytes(8 * MIB)
    store.save("r", {("x",): blob(data)}, parent=None)
    damaged = _lists(store, blob_id(data))[1]
    flip(store, damaged, 99, bit=4)
    fresh = Store.open(store.root)

    with pytest.raises(StoreDamaged, match=damaged[:12]):
        fresh.load("r").data("x")
    given: list[bytes] = []
    with pytest.raises(StoreDamaged, match=damaged[:12]):
        given.extend(fresh.load("r").stream("x"))
    assert data.startswith(b"".join(given))
    found = {it.object: it.runs for it in fresh.check(read_data=True)}
    assert damaged in found
    assert ("r",) == found[blob_id(data)]


@pytest.mark.parametrize("depth", [0, 3])
def test_lists_that_go_deeper_are_damage(store: Store, depth: int) -> None:
    """Such as a list of itself, which somebody may have written: reading ends, by an error."""
    data = _bytes(1000)
    store.save("r", {("x",): blob(data)}, parent=None)

    def listed(whole: bytes, chunk: ObjectId) -> NewObject:
        return NewObject(ObjectKind.LIST, blob_id(whole), list_data([(chunk, len(data))]))

    lists = [listed(b"itself" if depth == 0 else b"1", blob_id(data if depth else b"itself"))]
    for level in range(2, depth + 1):
        lists.append(listed(b"%d" % level, lists[-1].id))
    store.objects.write(lists)

    assert not store.objects.holds(lists[-1].id)
    with pytest.raises(ObjectCorrupt):
        store.read(lists[-1].id)
    with pytest.raises(ObjectCorrupt):
        list(store.read_chunks(lists[-1].id))


class MovingFiles(CountingFiles):
    """Has each pack that is to be read rewritten into another one, *times* times."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__()
        self._root = root
        self.times = times

    def open(self, path: Path) -> int:
        if self.times and path.parent.name == "objects":
            self.times -= 1
            other = Store.open(self._root)
            other.objects.write(NewObject(*item[1:]) for item in _items(other))
            path.unlink()
        return super().open(path)


@pytest.mark.parametrize("times", [1, 3, 20])
def test_what_is_rewritten_while_it_is_looked_for_is_found(store: Store, times: int) -> None:
    """As often as it is moved on: each time the listing has changed."""
    store.save("r", {("x",): blob(b"content")}, parent=None)
    files = MovingFiles(store.root, times)
    reader = Store.open(store.root, files=files)

    assert b"content" == reader.read(blob_id(b"content"))
    assert 0 == files.times


def test_what_is_gone_is_looked_for_in_one_more_listing(store: Store) -> None:
    """Not for ever."""
    store.save("r", {("x",): blob(b"content")}, parent=None)
    reader = Store.open(store.root)
    reader.objects.packs.refresh()
    shutil.rmtree(store.root / "objects")
    (store.root / "objects").mkdir()

    with pytest.raises(StoreDamaged, match="is missing"):
        reader.read(blob_id(b"content"))
