"""A store on a file system whose locks may keep nobody out: it is used as any other, but nothing in
it is removed unless the user says that nothing else uses it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import begin, extend, flip, on_a_network_disk, read_all
from maverick.checkpoints import Store, value
from maverick.checkpoints.disk.locks import Locks
from maverick.checkpoints.fsck.repair import repair
from maverick.checkpoints.store import GROWN_BYTES, collecting_pays
from maverick.errors import UsageError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One that cannot trust its locks, with a done run and one that is not done."""
    store = Store.create(tmp_path / "store", files=CountingFiles(), trust_locks=False)
    at = extend(store, begin(store, "done"), range(3))
    store.save("done", {("output",): value("output")}, parent=at, kind="final")
    begin(store, "open")
    return store


def files_of(store: Store) -> dict[str, bytes]:
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in store.root.rglob("*")
        if path.is_file()
    }


def reopened(store: Store, *, trust_locks: bool | None) -> Store:
    return Store.open(store.root, files=CountingFiles(), trust_locks=trust_locks)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda store: store.plan_gc(keep_last=0), "collect garbage"),
        (lambda store: store.repair(), "repair the store"),
    ],
)
def test_nothing_is_collected_or_repaired(
    store: Store, action: Callable[[Store], object], words: str
) -> None:
    """The message says why, and what to do."""
    (store.root / "refs" / "open").write_bytes(b"torn")
    before = files_of(store)

    with pytest.raises(UsageError) as refused:
        action(store)

    assert (
        f"cannot {words} ({store.root}): locks on this file system may not keep out what other "
        "hosts do, and what they save meanwhile would be lost; when nothing else uses the store, "
        "add `--alone`"
    ) == str(refused.value)
    assert before == files_of(store)


def test_who_says_that_nothing_else_uses_it_collects_and_repairs(store: Store) -> None:
    """As where locks are trusted."""
    alone = reopened(store, trust_locks=True)
    result = alone.plan_gc(keep_last=0).execute()
    assert ("done",) == result.runs
    assert ["open"] == [ref.run for ref in alone.refs()]

    (store.root / "refs" / "open").write_bytes(b"torn")
    extend(alone, begin(alone, "other"), range(2))
    done = repair(store.root, clock=store.now, files=CountingFiles(), trust_locks=True)

    assert "rebuilt" in {it.kind for it in done}
    assert [] == [it for it in alone.check(read_data=True) if it.severity == "error"]


def test_a_check_works_there(store: Store) -> None:
    """It removes nothing."""
    assert [] == list(store.check(read_data=True))


def test_runs_are_saved_listed_forked_and_dropped_there(store: Store) -> None:
    at = extend(store, store.resolve("open"), range(3))
    content = read_all(store, at)
    fork = store.save("fork", {}, parent=at)
    store.tag("done", "good", store.resolve("done"))
    store.drop("done")

    other = reopened(store, trust_locks=False)

    assert ["fork", "open"] == sorted(ref.run for ref in other.refs())
    assert content == read_all(other, other.resolve("open"))
    assert fork == other.resolve("fork")


def test_what_an_owner_saves_there_is_sealed_at_once(store: Store) -> None:
    """Another host might append to the same open pack."""
    at = store.resolve("open")
    with store.own("open"):
        extend(store, at, range(3))
        assert {".pack"} == {path.suffix for path in (store.root / "objects").iterdir()}


def test_a_damaged_run_stands_at_its_newest_whole_checkpoint_there(store: Store) -> None:
    """Falling back removes nothing: the damaged checkpoint and the former ref are kept."""
    before = store.resolve("open")
    at = extend(store, before, range(1))
    flip(store, at.id, -1)
    packs = sorted((store.root / "objects").iterdir())
    fresh = reopened(store, trust_locks=False)

    with fresh.own("open"):
        standing = fresh.fall_back("open")

    assert before == standing.checkpoint == reopened(store, trust_locks=False).resolve("open")
    assert packs == sorted((store.root / "objects").iterdir())
    assert ["open.ref"] == [path.name for path in (store.root / "quarantine").iterdir()]


def test_collecting_never_pays_there(store: Store) -> None:
    """So no run starts it."""
    (store.root / "objects" / f"{'0' * 64}.pack").write_bytes(bytes(GROWN_BYTES + 1))

    assert collecting_pays(reopened(store, trust_locks=True))
    assert not collecting_pays(store)


def test_where_flock_refuses_nobody_locks_are_not_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file system is called."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)

    assert not Locks(store.root).are_trusted


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EIO, errno.EROFS])
def test_where_locking_alone_fails_oddly_locks_are_not_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Only a refusal for the other lock's sake says that locks exclude each other."""
    flock = fcntl.flock

    def fail(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            raise OSError(number, os.strerror(number))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", fail)

    assert not Locks(store.root).are_trusted


def test_on_a_network_disk_locks_are_not_trusted_although_they_work_here(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they hold off on one host says nothing about others."""
    on_a_network_disk(monkeypatch)

    assert not Locks(store.root).are_trusted
    with pytest.raises(UsageError):
        reopened(store, trust_locks=None).plan_gc()


@pytest.mark.parametrize("held", ["shared", "exclusive"])
def test_locks_are_trusted_here_whoever_holds_some(store: Store, held: str) -> None:
    """Else half of the tests of gc would say nothing."""
    assert Locks(store.root).are_trusted
    with getattr(store.locks, held)():
        assert Locks(store.root).are_trusted
