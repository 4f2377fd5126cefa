"""Owners' notes of runs that are gone: gc removes them, and nobody owns a run twice for that."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import begin
from maverick.checkpoints import Store, value
from maverick.checkpoints.disk import locks
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.disk.locks import Locks
from maverick.errors import RunOwned


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def run_to_end(store: Store, run: str) -> None:
    """A done run that somebody has executed."""
    with store.own(run):
        at = store.save(run, {("steps", "a"): value(run)}, parent=None, group="fly")
        store.save(run, {("output",): value([run])}, parent=at, kind="final")


def owners(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / "owners").iterdir())


def test_owners_notes_go_with_their_runs(store: Store) -> None:
    """With those that gc drops, that were dropped before, and that never saved; `owners/` else
    grows for ever.
    """
    for run in ("dropped-now", "dropped-before"):
        run_to_end(store, run)
    store.drop("dropped-before")
    with store.own("never-saved"):
        pass
    with store.own("open"):
        begin(store, "open")

    store.plan_gc(keep_last=0).execute()

    assert ["open"] == owners(store)


def test_the_notes_of_runs_that_may_be_needed_stay(store: Store) -> None:
    """They say what a killed run has left running: of one that has lost its ref, or would be
    brought back.
    """
    for run in ("lost", "spared"):
        run_to_end(store, run)
    spared = store.ref("spared").checkpoint
    store.drop("spared")
    (store.root / "refs" / "lost").unlink()

    store.plan_gc(keep_last=0, spared=[spared]).execute()

    assert ["lost", "spared"] == owners(store)


def test_the_note_of_a_run_that_is_being_begun_stays(store: Store) -> None:
    """It has no ref yet, but somebody owns it."""
    with store.own("new") as owner:
        owner.note({"groups": [1]})
        store.plan_gc(keep_last=0).execute()

        assert [1] == store.owner_note("new")["groups"]
        with pytest.raises(RunOwned), store.own("new"):
            pass


def test_who_waits_for_the_lock_of_a_note_that_is_removed_begins_a_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two could own a run: one by the removed file, one by the new."""
    with store.own("run"):
        pass
    take = locks._take_ownership
    times: list[int] = []

    def late(*args: object) -> None:
        """Take the lock after gc has come and gone."""
        times.append(1)
        if len(times) == 1:
            with store.locks.hold("run") as gc:
                gc.forget(store.files)
        take(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(locks, "_take_ownership", late)
    with store.own("run"):
        assert ["run"] == owners(store)
        assert store.is_owned("run")
        with pytest.raises(RunOwned), Locks(store.root).own("run"):
            pass


def test_a_run_is_owned_once_however_often_its_note_is_removed(tmp_path: Path) -> None:
    """Threads that own it in turns, while others remove the note again and again."""
    store = Store.create(tmp_path / "store", files=CountingFiles())
    inside: list[int] = []
    crowds: list[int] = []
    done = threading.Event()

    def own() -> None:
        locked, turns = Locks(store.root), 0
        while turns < 200:
            try:
                with locked.own("run"):
                    inside.append(1)
                    crowds.append(len(inside))
                    inside.pop()
                    turns += 1
            except RunOwned:
                continue

    def remove() -> None:
        locked, files = Locks(store.root), Files()
        while not done.is_set():
            try:
                with locked.hold("run") as owner:
                    inside.append(1)
                    crowds.append(len(inside))
                    inside.pop()
                    owner.forget(files)
            except RunOwned:
                continue

    owning = [threading.Thread(target=own) for _ in range(3)]
    removing = threading.Thread(target=remove)
    for thread in (*owning, removing):
        thread.start()
    for thread in owning:
        thread.join()
    done.set()
    removing.join()

    assert {1} == set(crowds)


def test_asking_who_owns_a_run_that_is_gone_leaves_nothing(store: Store) -> None:
    assert not store.is_owned("gone")
    assert [] == owners(store)
