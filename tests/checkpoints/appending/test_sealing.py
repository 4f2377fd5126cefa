"""Open packs are sealed, and lost to other threads, without a save noticing it."""

from __future__ import annotations

import fcntl
import threading

import pytest

from kit.appending import (
    ahead,
    assert_stands,
    fail_to_save,
    killed,
    open_files,
)
from kit.faults import StubbornFiles, fail
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, appending
from maverick.checkpoints.objects import open_pack
from maverick.checkpoints.objects.ids import blob_id
from maverick.checkpoints.objects.packs import Pack
from maverick.checkpoints.refs import refs
from maverick.checkpoints.refs.refs import Ref
from maverick.errors import ObjectMissing

DATA = b"in both" * 99


# --- sealing ---


def test_a_full_pack_is_sealed_and_the_run_goes_on_in_the_next(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_pack, "SEALED_FROM_BYTES", 2000)
    with store.own("run-1"), store.own("run-2"):
        two = begin(store, "run-2")
        at = extend(store, begin(store), range(12))
        assert at == other.resolve("run-1")
        two = extend(store, two, range(1))
    assert 2 <= len(list((store.root / "objects").glob("*.pack")))
    assert_stands(store, at)
    assert_stands(store, two)


@pytest.mark.parametrize("skipped", range(20))
def test_sealing_that_fails_anywhere_fails_no_save(
    store: Store, files: StubbornFiles, monkeypatch: pytest.MonkeyPatch, skipped: int
) -> None:
    """It is still open then, or sealed, and nothing between."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        monkeypatch.setattr(open_pack, "SEALED_FROM_BYTES", 100)
        before = len(files.done) + 3 + skipped  # the record and the ref are written by then
        monkeypatch.setattr(
            type(files), "before", lambda self, operation: fail_at(self, operation, before)
        )
        at = extend(store, at, range(2, 3))
        monkeypatch.undo()
        at = extend(store, at, range(3, 5))
    assert_stands(store, at)


def fail_at(files: StubbornFiles, operation: str, number: int) -> None:
    files.done.append(operation)
    if len(files.done) == number + 1:
        fail()


def test_whoever_reads_while_a_pack_is_sealed_finds_all(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has another name then."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        read_all(other, at)
        third = Store.open(store.root)
        third.objects.packs.refresh()
        monkeypatch.setattr(open_pack, "SEALED_FROM_BYTES", 100)
        newest = extend(store, at, range(2, 3))
        for reader in (other, third):
            read_all(reader, at)
            read_all(reader, newest)


def test_a_pack_that_is_sealed_while_its_runs_are_looked_up_is_passed_over(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All refs are durable by then."""
    at = killed(store, "run-1")
    plain = refs.standing

    def seal_first(pack: Pack) -> dict[str, Ref]:
        monkeypatch.setattr(refs, "standing", plain)
        other.appender.seal_all()
        return plain(pack)

    monkeypatch.setattr(refs, "standing", seal_first)

    assert [at.id] == [ref.checkpoint for ref in Store.open(store.root).refs()]
    assert [] == open_files(store)


def test_what_is_missing_is_not_looked_for_in_a_pack_that_is_only_begun(store: Store) -> None:
    with store.own("run-1"):
        store.appender.ready()
        with pytest.raises(ObjectMissing):
            Store.open(store.root).read(blob_id(DATA))


def test_who_is_alone_in_the_store_sees_no_pack_being_sealed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that is because the last run leaves it."""
    monkeypatch.setattr(appending, "SEALED_AT_END_FROM_BYTES", 1)
    refused: list[BlockingIOError] = []

    def be_alone() -> None:
        with (store.root / "store.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                refused.append(error)

    with store.own("run-1"):
        begin(store)
        ahead(store, "rename", lambda: ahead(store, "rename", be_alone))  # the first is the ref's

    assert [] == open_files(store)
    assert 1 == len(refused)


def test_what_nobody_keeps_can_be_sealed(store: Store, other: Store) -> None:
    at = killed(store, "run-1")
    with other.own("run-2"):
        other.appender.seal_all()
        assert [] == open_files(store)
        begin(other, "run-2")
        other.appender.seal_all()
        assert 1 == len(open_files(store))
    assert_stands(other, at)


# --- threads of one process ---


@pytest.mark.parametrize("what", ["leaves", "fails", "fills"])
def test_a_thread_may_lose_the_pack_that_another_is_about_to_append_to(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    commit = store.appender.commit

    def commit_later(*arguments: object, **more: object) -> object:
        monkeypatch.setattr(store.appender, "commit", commit)
        thread = threading.Thread(target=meanwhile)
        thread.start()
        thread.join()
        return commit(*arguments, **more)  # type: ignore[arg-type]

    def meanwhile() -> None:
        if what == "leaves":
            with store.own("run-3"):
                begin(store, "run-3")
        elif what == "fails":
            fail_to_save(store, two, "datasync")
        else:
            monkeypatch.setattr(open_pack, "SEALED_FROM_BYTES", 100)
            extend(store, two, range(1))

    with store.own("run-1"):
        with store.own("run-2"):
            two = begin(store, "run-2")
            if what != "leaves":
                monkeypatch.setattr(store.appender, "commit", commit_later)
                at = begin(store)
        if what == "leaves":
            monkeypatch.setattr(store.appender, "commit", commit_later)
            at = begin(store)
        at = extend(store, at, range(2))
    assert_stands(store, at)


def test_threads_save_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_pack, "SEALED_FROM_BYTES", 6000)
    newest: dict[str, Checkpoint] = {}

    def work(run: str) -> None:
        with store.own(run):
            newest[run] = extend(store, begin(store, run), range(15))

    threads = [threading.Thread(target=work, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 4 == len(newest)
    for at in newest.values():
        assert_stands(store, at)
