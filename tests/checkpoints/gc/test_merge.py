"""Small packs are merged at saves: few packs, few copies, and nothing lost whoever else is at
work.
"""

from __future__ import annotations

import math
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from kit.faults import CountingFiles, CrashingFiles, FullFiles, Killed
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Store, blob
from maverick.checkpoints.disk import layout
from maverick.checkpoints.gc import merge
from maverick.checkpoints.objects.frames import NewObject
from maverick.checkpoints.objects.ids import ObjectKind, blob_id
from maverick.checkpoints.objects.pack_set import MERGED_PACKS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def _names(store: Store) -> set[str]:
    return {path.name for path in (store.root / "objects").iterdir()}


def _before_merge(root: Path) -> Store:
    """A store of which the next save merges packs."""
    store = Store.create(root, files=CountingFiles())
    at = begin(store)
    for number in range(100):
        assert not merge.due(store.objects.packs.listed())
        if len(_names(store)) == MERGED_PACKS - 1:
            sizes = {merge._size_class(index.size) for index in store.objects.packs.listed()}
            if len(sizes) == 1:
                return store
        at = extend(store, at, range(number, number + 1))
    raise AssertionError("no merge came near")


def test_the_number_of_packs_stays_about_the_logarithm_of_the_objects(store: Store) -> None:
    """A long run leaves no thousand packs, and each byte is copied a few times only."""
    at = begin(store)
    written = 0
    most = 0
    for number in range(600):
        at = extend(store, at, range(number, number + 1))
        most = max(most, len(_names(store)))
    objects = sum(len(index) for index in store.objects.packs.indexes())
    written = sum(len(index) for index in store.objects.packs.indexes())

    assert most <= 2 * math.log2(objects)
    assert objects == written
    content = read_all(Store.open(store.root), at)
    assert {f"state/steps/step{number}" for number in range(600)} <= content.keys()
    assert [] == list(Store.open(store.root).check(read_data=True))


def test_only_a_save_that_merges_costs_more_fsyncs(store: Store) -> None:
    """Two more: the merged pack and its name. It is one save in seven or so."""
    at = begin(store)
    files = store.files
    assert isinstance(files, CountingFiles)
    costs: list[tuple[int, int]] = []
    for number in range(100):
        files.done.clear()
        at = extend(store, at, range(number, number + 1))
        costs.append((files.done.count("sync"), files.done.count("unlink")))

    assert {(4, 0), (6, 8)} == set(costs)
    assert sum(removed > 0 for _, removed in costs) <= 100 / 7 + 3


def test_while_another_save_is_under_way_the_old_packs_stay(tmp_path: Path) -> None:
    """It may have found its objects in them. One of the next saves removes them."""
    store = _before_merge(tmp_path / "store")
    before = _names(store)
    other = Store.open(store.root)

    with other.locks.shared():
        at = extend(store, store.resolve("run-1"), range(500, 501))
        assert before < _names(store)
    at = extend(store, at, range(501, 502))

    assert not before & _names(store)
    read_all(Store.open(store.root), at)


def test_while_another_merges_nothing_is_merged(tmp_path: Path) -> None:
    """Nor waited for."""
    store = _before_merge(tmp_path / "store")
    before = _names(store)

    with store.locks.merge():
        extend(store, store.resolve("run-1"), range(500, 501))

    assert before < _names(store)
    assert len(before) + 1 == len(_names(store))


def test_gc_waits_for_a_merge_instead_of_giving_up(store: Store) -> None:
    """A merge takes a moment; `gc` must not say that another gc is at work."""
    from threading import Timer  # noqa: PLC0415

    begin(store)
    with ExitStack() as stack:
        stack.enter_context(store.locks.merge())
        timer = Timer(0.05, stack.pop_all().close)
        timer.start()
        store.plan_gc()
        timer.join()


def test_a_reader_with_an_old_list_finds_what_was_merged(tmp_path: Path) -> None:
    """It lists again."""
    store = _before_merge(tmp_path / "store")
    reader = Store.open(store.root)
    snapshot = reader.load("run-1")
    reader.objects.packs.refresh()
    content = read_all(store, snapshot.checkpoint)

    extend(store, store.resolve("run-1"), range(500, 501))

    assert len(_names(store)) < MERGED_PACKS
    assert content == read_all(reader, snapshot.checkpoint)
    assert content == read_all(Store.open(store.root), snapshot.checkpoint)


def test_a_merge_that_is_killed_anywhere_loses_nothing(tmp_path: Path) -> None:
    """The checkpoint is acknowledged by then or not, but never half of anything."""
    store = _before_merge(tmp_path / "store")
    at = store.resolve("run-1")
    content = read_all(store, at)
    for after in range(200):
        copy = tmp_path / f"copy{after}"
        shutil.copytree(store.root, copy)
        victim = Store.open(copy, files=CrashingFiles(after, torn=after % 2 > 0))
        try:
            extend(victim, at, range(500, 501))
        except Killed:
            fresh = Store.open(copy)
            assert content == read_all(fresh, at)
            assert fresh.resolve("run-1").sequence in {at.sequence, at.sequence + 1}
            extend(fresh, fresh.resolve("run-1"), range(501, 503))
            assert not [
                it for it in Store.open(copy).check(read_data=True) if it.kind != "leftover"
            ]
            shutil.rmtree(copy)
        else:
            break
    assert after > 20
    assert len(_names(Store.open(copy))) < MERGED_PACKS


def test_a_merge_for_which_there_is_no_space_fails_no_save(tmp_path: Path) -> None:
    """The checkpoint is durable, and nothing half-written is left."""
    store = _before_merge(tmp_path / "store")
    files = CountingFiles()
    counted = tmp_path / "counted"
    shutil.copytree(store.root, counted)
    extend(Store.open(counted, files=files), store.resolve("run-1"), range(500, 501))
    start_of_merge = [n for n, name in enumerate(files.done) if name == "create"][2]
    full = Store.open(store.root, files=FullFiles(start_of_merge))

    at = extend(full, store.resolve("run-1"), range(500, 501))

    assert at == Store.open(store.root).resolve("run-1")
    assert MERGED_PACKS == len(_names(store))
    assert [] == list((store.root / "tmp").iterdir())
    assert (store.root / "reserve").exists()


def test_a_damaged_pack_is_not_merged(tmp_path: Path) -> None:
    """A rotten frame must not get into a fresh, valid pack."""
    store = _before_merge(tmp_path / "store")
    path = min((store.root / "objects").iterdir())
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    fresh = Store.open(store.root)

    fresh.save("other", {("x",): blob(b"x")}, parent=None)
    fresh.save("another", {("x",): blob(b"y")}, parent=None)

    assert path.name in _names(store)
    assert any(
        it.kind in {"object-corrupt", "pack"} for it in Store.open(store.root).check(read_data=True)
    )


def test_where_locks_cannot_be_trusted_nothing_is_merged(tmp_path: Path) -> None:
    """The packs that were merged would have to go, and a save may be relying on one of them."""
    store = Store.create(tmp_path / "store", files=CountingFiles(), trust_locks=False)

    at = extend(store, begin(store), range(20))

    assert 21 == len(_names(store))
    read_all(store, at)


def test_of_several_copies_the_one_that_leans_on_nothing_is_kept(store: Store) -> None:
    """A base that leans is none."""
    first = b" ".join(b"%d" % (n * n) for n in range(1000))
    second = first + b" and more"
    items = [(first, None), (second, None), (second, first), (first, second)]
    for data, base in items:
        former = blob_id(base) if base else None
        store.objects.write([NewObject(ObjectKind.BLOB, blob_id(data), data, former)])
    for number in range(MERGED_PACKS):
        store.save(f"r{number}", {("x",): blob(b"%d" % number * 1500)}, parent=None)
    for number in range(MERGED_PACKS):
        data = b"".join(b"%x" % (n * number) for n in range(2500))
        store.save(f"s{number}", {("x",): blob(data)}, parent=None)

    for data in (first, second):
        copies = [
            index.find(bytes.fromhex(blob_id(data)))
            for index in Store.open(store.root, files=store.files).objects.packs.indexes()
        ]
        assert all(place is None or not place.leans for place in copies)
        assert data == Store.open(store.root).read(blob_id(data))


@pytest.mark.parametrize("number", range(4))
def test_a_damaged_copy_of_what_stands_in_another_pack_fails_no_save(
    store: Store, number: int
) -> None:
    """What was saved is saved; the damaged pack stays for fsck."""
    first = b" ".join(b"%d" % (n * n) for n in range(1000))
    second = first + b" and more"
    for data, base in [(first, None), (second, first), (first, second), (second, first)]:
        former = blob_id(base) if base else None
        store.objects.write([NewObject(ObjectKind.BLOB, blob_id(data), data, former)])
    index = list(store.objects.packs.indexes())[number]
    (_, place), *_ = index.rows()
    path = store.root / "objects" / f"{index.name}.pack"
    with path.open("r+b") as file:
        file.seek(place.offset)
        file.write(bytes(min(4096, place.length)))

    fresh = Store.open(store.root, files=store.files)
    saved = [
        fresh.save(f"r{number}", {("x",): blob(b"%d" % number * 1500)}, parent=None)
        for number in range(2 * MERGED_PACKS)
    ]

    assert path.exists()
    for checkpoint in saved:
        read_all(Store.open(store.root), checkpoint)


def test_an_older_store_announces_merges_to_gc_before_the_first(tmp_path: Path) -> None:
    """A gc that does not know of `merge.lock` must not run beside one."""
    root = tmp_path / "store"
    Store.create(root)
    (root / "format.json").write_bytes(
        layout.encode_format(layout.Format(1, *[frozenset[str]()] * 3))
    )
    (root / "merge.lock").unlink()
    store = Store.open(root, files=CountingFiles())

    extend(store, begin(store), range(20))

    assert {"merges"} == layout.read_format(store.files, root).gc
    assert len(_names(store)) < 15
