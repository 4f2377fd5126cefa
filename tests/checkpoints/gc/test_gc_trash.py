"""Where gc cannot trust locks: packs wait in the trash, and come back; and what killed writers
leave.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from kit.disks import FolderSynced, Named, RecordingFiles
from kit.faults import CountingFiles
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.filesystem import locks_are_trusted
from maverick.checkpoints.disk.locks import Locks
from maverick.checkpoints.gc import sweep


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def run_to_end(store: Store, run: str) -> None:
    """A done run, with an output of its own."""
    at = extend(store, begin(store, run), range(3))
    store.save(run, {("output",): value(f"output of {run}")}, parent=at, kind="final")


def listed(store: Store, folder: str) -> list[str]:
    return sorted(path.name for path in (store.root / folder).iterdir())


def untrusted(lock: Path) -> bool:
    return False


def test_where_locks_cannot_be_trusted_packs_wait_in_the_trash(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a later cycle, and for an hour."""
    monkeypatch.setattr(sweep.filesystem, "locks_are_trusted", untrusted)
    run_to_end(store, "done")
    begin(store)

    first = store.plan_gc(keep_last=0).execute()
    in_trash = set(listed(store, "trash"))
    second = store.plan_gc(keep_last=0).execute()

    assert first.trashed_bytes == sum(
        (store.root / "trash" / name).stat().st_size for name in in_trash
    )
    assert in_trash == set(listed(store, "trash"))
    assert 0 == second.freed_bytes
    for name in in_trash:
        os.utime(store.root / "trash" / name, (1e9, 1e9))
    third = store.plan_gc(keep_last=0).execute()
    assert [] == listed(store, "trash")
    assert first.trashed_bytes == third.freed_bytes


def condemned_under_a_saver(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> tuple[bytes, Checkpoint, Store]:
    """Condemn a content that another one has seen: gives that, the newest checkpoint of a run, and
    the other.
    """
    content = os.urandom(999)
    at = begin(store)
    store.save("r", {("a",): blob(content)}, parent=None)
    store.drop("r")
    saver = Store.open(store.root)
    saver.objects.refresh()
    store.plan_gc().execute()
    monkeypatch.setattr(saver.objects, "refresh", lambda: None)  # the list it made before gc
    return content, at, saver


def test_where_locks_cannot_be_trusted_gc_brings_back_what_a_save_needed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had found the object before gc moved it, and no lock held gc off."""
    monkeypatch.setattr(sweep.filesystem, "locks_are_trusted", untrusted)
    content, at, saver = condemned_under_a_saver(store, monkeypatch)
    at = saver.save("run-1", {("a",): blob(content)}, parent=at)
    for name in listed(store, "trash"):
        os.utime(store.root / "trash" / name, (1e9, 1e9))

    store.plan_gc().execute()

    assert content == Store.open(store.root).load("run-1").data("a")
    assert store.objects.find(store.load("run-1").entry("a").id) is not None
    read_all(store, at)


def test_locks_are_trusted_here(store: Store) -> None:
    """Else half of these tests would say nothing."""
    with store.locks.gc():
        assert locks_are_trusted(store.root / "gc.lock")
    assert not locks_are_trusted(store.root / "gc.lock")  # nobody holds it: nothing is excluded


def test_stale_temporary_files_go(store: Store) -> None:
    """Of writers that are gone, and old ones; not those of a process at work."""
    begin(store)
    for name in ("4194399-ab", f"{os.getpid()}-new", f"{os.getpid()}-old", "unknown"):
        (store.root / "tmp" / name).write_bytes(b"x" * 100)
    os.utime(store.root / "tmp" / f"{os.getpid()}-old", (1e9, 1e9))

    result = store.plan_gc().execute()

    assert sorted([f"{os.getpid()}-new", "unknown"]) == listed(store, "tmp")
    assert 200 == result.freed_bytes


def test_a_missing_reserve_is_filled_again(store: Store) -> None:
    (store.root / "reserve").unlink()

    store.plan_gc().execute()

    assert layout.RESERVE_BYTES == (store.root / "reserve").stat().st_size


def test_a_cycle_that_begins_before_the_hour_is_over_purges_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: its mark may miss a save that began before the packs went, and is only
    now done.
    """
    monkeypatch.setattr(sweep.filesystem, "locks_are_trusted", lambda _: False)
    content, at, saver = condemned_under_a_saver(store, monkeypatch)
    second = store.plan_gc()
    condemn = sweep._Sweeper._condemn

    def slow(*args: object) -> list[str]:
        moved = condemn(*args)  # type: ignore[arg-type]
        saver.save("run-1", {("a",): blob(content)}, parent=at)
        for path in (store.root / "trash").iterdir():
            os.utime(path, (1e9, 1e9))
        return moved

    monkeypatch.setattr(sweep._Sweeper, "_condemn", slow)
    monkeypatch.setattr(saver, "locks", _NoLocks(store.root))
    second.execute()

    assert content == Store.open(store.root).load("run-1").data("a")


class _NoLocks(Locks):
    """Locks that hold off nobody."""

    def _nothing(self) -> nullcontext[None]:
        return nullcontext()

    shared = exclusive = refs = _nothing  # type: ignore[assignment]


def test_where_locks_cannot_be_trusted_a_purge_follows_a_sync(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the mark found in place of the purged pack may be one that a save was about to make
    durable.
    """
    monkeypatch.setattr(sweep.filesystem, "locks_are_trusted", lambda _: False)
    run_to_end(store, "done")
    store.plan_gc(keep_last=0).execute()
    waiting = [f"trash/{path.name}" for path in (store.root / "trash").iterdir()]
    for name in waiting:
        os.utime(store.root / name, (1e9, 1e9))
    files = RecordingFiles(store.root)

    Store.open(store.root, files=files).plan_gc(keep_last=0).execute()

    purged = [
        number
        for number, it in enumerate(files.log)
        if isinstance(it, Named) and it.names[0][0] in waiting
    ]
    assert len(waiting) == len(purged)
    assert FolderSynced("objects") == files.log[purged[0] - 1]
