"""What killed processes leave behind: gc removes it, or makes it again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit.faults import CountingFiles, CrashingFiles, Killed
from kit.stores import begin, extend
from maverick.checkpoints import Store, value
from maverick.checkpoints.disk import layout


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def listed(store: Store, folder: str) -> list[str]:
    return sorted(path.name for path in (store.root / folder).iterdir())


def test_stale_temporary_files_go(store: Store) -> None:
    """Of writers that are gone, and old ones; not those of a process at work."""
    begin(store)
    for name in ("4194399-ab", f"{os.getpid()}-new", f"{os.getpid()}-old", "unknown"):
        (store.root / "tmp" / name).write_bytes(b"x" * 100)
    os.utime(store.root / "tmp" / f"{os.getpid()}-old", (1e9, 1e9))

    result = store.plan_gc().execute()

    assert sorted([f"{os.getpid()}-new", "unknown"]) == listed(store, "tmp")
    assert 200 == result.freed_bytes


def test_packs_in_the_trash_go_with_the_next_collection(store: Store) -> None:
    """A gc that was killed between moving them there and removing them leaves some."""
    at = extend(store, begin(store, "done"), range(3))
    store.save("done", {("output",): value("output")}, parent=at, kind="final")
    begin(store)
    size = 0
    for after in range(99):
        plan = Store.open(store.root, files=CrashingFiles(after)).plan_gc(keep_last=0)
        with pytest.raises(Killed):
            plan.execute()
        if listed(store, "trash"):
            size = sum(path.stat().st_size for path in (store.root / "trash").iterdir())
            break

    result = store.plan_gc(keep_last=0).execute()

    assert [] == listed(store, "trash")
    assert size > 0
    assert result.freed_bytes >= size


def test_a_missing_reserve_is_filled_again(store: Store) -> None:
    (store.root / "reserve").unlink()

    store.plan_gc().execute()

    assert layout.RESERVE_BYTES == (store.root / "reserve").stat().st_size
