"""What tests of appending do again and again: be killed, fail, and look at open packs.

Another `Store` object is what another process is: locks are of open files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.faults import Killed, StubbornFiles, fail, kill
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, blob
from maverick.checkpoints.objects.packs import Pack, open_growing
from maverick.errors import StoreUnwritable


def done(store: Store, act: Callable[[], object]) -> list[str]:
    """Give the operations that *act* does on the files of *store*."""
    assert isinstance(store.files, StubbornFiles)
    before = len(store.files.done)
    act()
    return store.files.done[before:]


def open_files(store: Store) -> list[Path]:
    return sorted((store.root / "objects").glob("*.open"))


def pack_of(path: Path) -> Pack:
    data = path.read_bytes()
    return open_growing(path.name, lambda offset, length: data[offset : offset + length])


def killed(store: Store, run: str, *, saves: int = 2, ahead_of: str = "") -> Checkpoint:
    """Save *run* a few times, and be killed: at once, or ahead of an operation of one save more.

    Gives the checkpoint that was acknowledged last.
    """
    acknowledged: list[Checkpoint] = []

    def work() -> None:
        with store.own(run):
            acknowledged.append(extend(store, begin(store, run), range(saves - 1)))
            if ahead_of:
                ahead(store, ahead_of, kill)
                extend(store, acknowledged[0], range(saves, saves + 1))
            kill()

    with pytest.raises(Killed):
        work()
    return acknowledged[0]


def ahead(store: Store, operation: str, act: Callable[[], object]) -> None:
    """Have *act* done ahead of the next *operation* on the files of *store*."""
    assert isinstance(store.files, StubbornFiles)
    store.files.ahead[operation] = act


def is_done(store: Store, operation: str) -> bool:
    assert isinstance(store.files, StubbornFiles)
    return operation not in store.files.ahead


def fail_to_save(store: Store, at: Checkpoint, operation: str) -> None:
    ahead(store, operation, fail)
    with pytest.raises(StoreUnwritable):
        extend(store, at, range(90, 91))
    assert is_done(store, operation)


def assert_stands(store: Store, at: Checkpoint) -> None:
    """Everybody finds the run at *at*, whole, and can go on from there."""
    for anybody in (store, Store.open(store.root)):
        assert at == anybody.resolve(at.run)
        assert [at.id] == [ref.checkpoint for ref in anybody.refs() if ref.run == at.run]
        read_all(anybody, at)
    with Store.open(store.root).own(at.run):
        pass
    (tmp := Store.open(store.root)).save(at.run, {("next",): blob(b"1")}, parent=at)
    assert at.id == tmp.resolve(at.run).parent
