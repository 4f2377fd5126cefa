"""The rules of appending (docs/design.md), one by one: what is durable when.

Another `Store` object is what another process is: locks are of open files. tests/crash has the same
rules where the power goes at any instant.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.appending import (
    ahead,
    assert_stands,
    done,
    fail_to_save,
    is_done,
    killed,
    open_files,
    pack_of,
)
from kit.faults import CountingFiles, Killed, StubbornFiles, fail, kill
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, blob
from maverick.checkpoints.objects.ids import blob_id
from maverick.checkpoints.refs.refs import standing
from maverick.checkpoints.refs.run_commits import unclosed
from maverick.errors import NotFound, RefMoved, StoreDamaged, StoreUnwritable

DATA = b"in both" * 99


@pytest.mark.parametrize("gone", ["objects", "*.open"])
def test_a_save_into_a_pack_that_was_removed_is_none(store: Store, gone: str) -> None:
    """Somebody has cleaned up."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        if gone == "objects":
            shutil.rmtree(store.root / "objects")
        else:
            open_files(store)[0].unlink()
        with pytest.raises(StoreDamaged):
            extend(store, at, range(2, 3))


def test_a_disk_that_takes_nothing_is_told_when_a_killed_run_is_dropped(
    store: Store, other: Store
) -> None:
    killed(store, "run-1")
    ahead(other, "create", fail)

    with pytest.raises(StoreUnwritable):
        other.drop("run-1")

    assert is_done(other, "create")
    assert ("run-1",) == Store.open(store.root).run_ids()


# --- R1, R2: the record, its name, then the ref ---


def test_a_record_is_durable_before_the_ref_says_so(store: Store) -> None:
    """The first of a pack needs the name of its file on the disk, too."""
    with store.own("run-1"):
        first = done(store, lambda: begin(store))
        second = done(store, lambda: extend(store, store.resolve("run-1"), range(1)))

        assert ["create", "pwrite", "datasync", "sync", "create", "pwrite"] == first
        assert ["pwrite", "datasync", "pwrite"] == second


def test_what_others_have_written_has_its_name_before_a_record_leans_on_it(
    store: Store, other: Store
) -> None:
    other.save("before", {("shared",): blob(b"the same")}, parent=None)

    with store.own("run-1"):
        first = done(
            store, lambda: store.save("run-1", {("shared",): blob(b"the same")}, parent=None)
        )

    assert ["create", "sync", "pwrite", "datasync", "sync", "create", "pwrite"] == first


def test_two_processes_never_append_to_one_pack(store: Store, other: Store) -> None:
    with store.own("run-1"), other.own("run-2"):
        one, two = begin(store, "run-1"), begin(other, "run-2")
        one, two = extend(store, one, range(3)), extend(other, two, range(3))

        assert 2 == len(open_files(store))
        assert {1} == {len(unclosed(pack_of(path))) for path in open_files(store)}
    assert_stands(store, one)
    assert_stands(store, two)


def test_a_pack_that_is_only_begun_is_nobody_elses_to_take(store: Store, other: Store) -> None:
    """Before its first record it looks like one that a power cut left."""
    with store.own("run-1"), other.own("run-2"):
        store.appender.ready()
        begin(other, "run-2")
        at = begin(store, "run-1")

    assert_stands(store, at)
    assert_stands(store, other.resolve("run-2"))


def test_runs_of_one_process_share_a_pack(store: Store) -> None:
    with store.own("run-1"), store.own("run-2"):
        one, two = begin(store, "run-1"), begin(store, "run-2")
        one, two = extend(store, one, range(2)), extend(store, two, range(2))
        assert 1 == len(open_files(store))
    assert_stands(store, one)
    assert_stands(store, two)


def test_what_is_saved_by_who_does_not_own_the_run_is_sealed(store: Store) -> None:
    with store.own("another"):
        begin(store)

    assert [] == open_files(store)


# --- R3: tags ---


def test_a_tag_is_kept_while_its_run_goes_on(store: Store, other: Store) -> None:
    """Its ref is replaced durably once, and the next record says all of it."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        other.tag("run-1", "good", at)
        after = done(store, lambda: extend(store, at, range(2, 3)))
        next_one = done(store, lambda: extend(store, store.resolve("run-1"), range(3, 4)))

        durably = ["create", "write", "sync", "rename", "sync"]
        assert ["pwrite", "datasync", *durably] == after
        assert ["pwrite", "datasync", "pwrite"] == next_one
        assert {"good": at.id} == standing(pack_of(open_files(store)[0]))["run-1"].tags
        assert {"good": at.id} == other.ref("run-1").tags
    assert {"good": at.id} == store.ref("run-1").tags


@pytest.mark.parametrize("ahead_of", ["datasync", "create", "rename", "sync"])
def test_a_tag_that_comes_between_a_record_and_its_ref_is_kept(
    store: Store, other: Store, ahead_of: str
) -> None:
    """Whoever dies then has a record without it; so is the ref that it would have written."""
    at = killed_while_tagged(store, other, ahead_of)

    assert {"good": at.id} == other.ref("run-1").tags
    with other.own("run-1"):
        assert {"good": at.id} == other.ref("run-1").tags
        newest = extend(other, other.resolve("run-1"), range(5, 6))
    assert {"good": at.id} == other.ref("run-1").tags
    assert_stands(other, newest)


def killed_while_tagged(store: Store, other: Store, ahead_of: str) -> Checkpoint:
    acknowledged: list[Checkpoint] = []

    def tag() -> None:
        other.tag("run-1", "good", acknowledged[0])
        if ahead_of == "datasync":
            kill()
        ahead(store, ahead_of, kill)

    def work() -> None:
        with store.own("run-1"):
            acknowledged.append(extend(store, begin(store), range(2)))
            ahead(store, "datasync", tag)
            extend(store, acknowledged[0], range(2, 3))
            kill()

    with pytest.raises(Killed):
        work()
    return acknowledged[0]


# --- R4: what fails ---


@pytest.mark.parametrize("operation", ["pwrite", "datasync"])
@pytest.mark.parametrize("saves", [0, 2])
def test_a_save_that_failed_is_never_found(
    store: Store, other: Store, operation: str, saves: int
) -> None:
    """What fails it is the record. Its process appends to the file no more."""
    with store.own("run-1"):
        at = None
        if saves:
            at = extend(store, begin(store), range(saves - 1))
            before = open_files(store)
            fail_to_save(store, at, operation)
            assert at == store.resolve("run-1") == other.resolve("run-1")
            size = before[0].stat().st_size
            at = extend(store, at, range(91, 92))
            assert size == before[0].stat().st_size
        else:
            ahead(store, operation, fail)
            with pytest.raises(StoreUnwritable):
                begin(store)
            assert [] == open_files(store) == store.refs() == other.refs()
            at = begin(store)
    assert_stands(store, at)


@pytest.mark.parametrize("operation", ["truncate", "sync", "pwrite"])
def test_one_that_cannot_even_be_taken_back_is_not_gone_on_from(
    store: Store, operation: str
) -> None:
    """The rest of what takes it back is tried all the same."""

    def fail_again() -> None:
        ahead(store, operation, fail)
        fail()

    with store.own("run-1"):
        at = extend(store, begin(store), range(1))
        ahead(store, "datasync", fail_again)
        with pytest.raises(StoreUnwritable):
            extend(store, at, range(90, 91))
        assert at == store.resolve("run-1")
        at = extend(store, at, range(1, 2))
    assert_stands(store, at)


@pytest.mark.parametrize("operation", ["pwrite", "sync", "rename"])
def test_a_ref_that_cannot_be_written_fails_no_save(
    store: Store, other: Store, operation: str
) -> None:
    """The record is durable, and a pack that nobody keeps is asked."""

    def fail_at_the_ref() -> None:
        if operation != "pwrite":
            other.tag("run-1", "good", at)
        ahead(store, operation, fail)

    with store.own("run-1"):
        at = extend(store, begin(store), range(1))
        ahead(store, "datasync", fail_at_the_ref)
        at = extend(store, at, range(1, 2))
        assert is_done(store, operation)
        assert at == store.resolve("run-1") == other.resolve("run-1")
        at = extend(store, at, range(2, 3))
        assert at == store.resolve("run-1") == other.resolve("run-1")
    assert_stands(store, at)


def test_the_ref_of_a_run_that_begins_may_fail_too(store: Store, other: Store) -> None:
    with store.own("run-1"):
        ahead(store, "sync", lambda: ahead(store, "create", fail))
        at = begin(store)
        assert is_done(store, "create")
        assert at == store.resolve("run-1") == other.resolve("run-1")
        at = extend(store, at, range(1))
    assert_stands(store, at)


def test_a_reader_that_saw_a_record_which_was_taken_back_reads_on(
    store: Store, other: Store
) -> None:
    """Somebody else then appends in its place."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))

        def read_and_fail() -> None:
            other.objects.packs.refresh()
            fail()

        ahead(store, "datasync", read_and_fail)
        with pytest.raises(StoreUnwritable):
            store.save("run-1", {("x",): blob(b"taken back" * 99)}, parent=at)
    with Store.open(store.root).own("run-2"):
        pass
    third = Store.open(store.root, files=CountingFiles())
    with third.own("run-1"):
        newest = extend(third, at, range(2, 6))

        assert newest == other.resolve("run-1")
        read_all(other, newest)


def test_a_reader_that_saw_a_pack_being_begun_reads_on(store: Store, other: Store) -> None:
    with store.own("run-1"):
        ahead(store, "pwrite", other.objects.packs.refresh)
        at = begin(store)

        assert read_all(store, at) == read_all(other, at)


def test_a_save_that_fails_before_it_appends_leaves_no_file(store: Store, tmp_path: Path) -> None:
    elsewhere = begin(Store.create(tmp_path / "elsewhere"), "elsewhere")

    with store.own("run-1"), pytest.raises(NotFound):
        store.save("run-1", {}, parent=elsewhere)

    assert [] == open_files(store)


# --- R5: leaning on others ---


def test_nobody_leans_on_what_another_process_has_appended(store: Store, other: Store) -> None:
    """It may be taken back; gc makes one of both later."""
    content = blob(b"the same in both" * 99)
    with store.own("run-1"), other.own("run-2"):
        store.save("run-1", {("x",): content}, parent=None)
        at = other.save("run-2", {("x",): content}, parent=None)

        entry = other.snapshot(at).entry("x").id
        assert 2 == len(list(Store.open(store.root).objects.packs.places(entry)))


def test_nor_does_a_thread_on_what_another_has_not_synced(store: Store) -> None:
    """What it is about to append may fail."""
    seen: list[bool] = []
    with store.own("run-1"), store.own("run-2"):
        one, two = begin(store, "run-1"), begin(store, "run-2")
        content = blob(DATA)

        def look_and_fail() -> None:
            thread = threading.Thread(
                target=lambda: seen.append(bool(store.objects.packs.absent([blob_id(DATA)])))
            )
            thread.start()
            thread.join()
            fail()

        ahead(store, "datasync", look_and_fail)
        with pytest.raises(StoreUnwritable):
            store.save("run-1", {("x",): content}, parent=one)
        two = store.save("run-2", {("x",): content}, parent=two)

    assert [True] == seen
    assert_stands(store, two)


# --- R6: leaving a run ---


def test_a_run_that_is_left_has_a_durable_ref_before_its_pack_says_so(
    store: Store, files: StubbornFiles
) -> None:
    def end() -> None:
        with store.own("run-1"):
            begin(store)
            files.done.clear()

    end()

    durably = ["create", "write", "sync", "rename", "sync"]
    assert [*durably, "pwrite", "datasync", "truncate"] == files.done
    assert {} == unclosed(pack_of(open_files(store)[0]))


@pytest.mark.parametrize("operation", ["create", "write", "sync", "rename", "pwrite", "datasync"])
def test_a_run_whose_leaving_fails_loses_nothing(
    store: Store, other: Store, operation: str
) -> None:
    """The pack says where it stands, and nobody keeps that."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        ahead(store, operation, fail)
    assert is_done(store, operation)

    assert_stands(other, at)


def test_closing_a_store_leaves_its_runs(store: Store, other: Store) -> None:
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        store.close()
        with other.own("run-2"):
            begin(other, "run-2")
            assert 1 == len(open_files(store))
        at = extend(store, at, range(2, 3))
    assert_stands(store, at)


# --- what changes nothing ---


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    times: Iterator[int] = iter([10**12, 5, 10**15, 1, 10**12, 7, 3] * 9)
    store = Store.create(tmp_path / "store", clock=lambda: next(times))
    with store.own("run-1"):
        at = extend(store, begin(store), range(4))
        store.tag("run-1", "good", at)
        at = extend(store, at, range(4, 6))
    assert at.id == store.ref("run-1").checkpoint
    assert [1, 2, 3, 4, 5, 6, 7] == [it.sequence for it in store.ref("run-1").positions]
    with store.own("run-1"):
        at = extend(store, at, range(6, 8))
    assert at == store.resolve("run-1")


def test_another_process_may_move_the_ref_and_the_owner_is_told(store: Store, other: Store) -> None:
    """Saving needs no ownership, where nobody minds."""
    with store.own("run-1"):
        at = begin(store)
        moved = other.save("run-1", {("x",): blob(b"1")}, parent=at)
        with pytest.raises(RefMoved):
            extend(store, at, range(1))
        at = extend(store, moved, range(1))
    assert_stands(store, at)


@pytest.mark.parametrize("ahead_of", ["pwrite", "datasync"])
def test_so_it_may_at_the_last_instant(store: Store, other: Store, ahead_of: str) -> None:
    """Its record is durable by then, and is taken back."""
    moved: list[Checkpoint] = []
    with store.own("run-1"):
        at = extend(store, begin(store), range(1))
        ahead(
            store,
            ahead_of,
            lambda: moved.append(other.save("run-1", {("x",): blob(b"1")}, parent=at)),
        )
        with pytest.raises(RefMoved):
            extend(store, at, range(1, 2))
        assert moved == [store.resolve("run-1")]
        # Else it would be found where the other one loses power before its ref is durable.
        assert {2} == {it.sequence for it in pack_of(open_files(store)[0]).records[1:]}
        newest = extend(store, moved[0], range(2, 3))
    assert_stands(store, newest)


def test_runs_have_numbers_above_those_that_only_a_pack_knows(store: Store, other: Store) -> None:
    """Who began the run was killed before it had a ref."""
    begin(other, "before")
    ahead(store, "datasync", lambda: ahead(store, "create", kill))
    with store.own("run-1"), pytest.raises(Killed):
        begin(store)

    begin(other, "after")

    orders = [other.ref(run).order for run in ("before", "run-1", "after")]
    assert [1, 2, 3] == orders


def test_a_run_that_begins_reads_no_other_ref(store: Store) -> None:
    for number in range(3):
        with store.own(f"run-{number}"):
            begin(store, f"run-{number}")
    read: list[Path] = []
    plain = store.files.read
    store.files.read = lambda path: (read.append(path), plain(path))[1]  # type: ignore[method-assign]
    with store.own("run-9"):
        begin(store, "run-9")

    assert [] == [path for path in read if path.parent.name == "refs" and path.name != "run-9"]
    assert 4 == store.ref("run-9").order


# --- what it costs ---

STEADY = """
import sys
from maverick.checkpoints import Store, blob
with Store.open(sys.argv[1]) as store, store.own("run-1"):
    at = None
    for number in range(30):
        at = store.save("run-1", {("steps", f"s{number}"): blob(b"%d" % number)}, parent=at)
        open("/dev/null").close()
"""


@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is missing: apt-get install strace"
)
def test_a_save_takes_one_sync_and_few_system_calls(store: Store, tmp_path: Path) -> None:
    """Between two openings of /dev/null there is one save."""
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-o", trace, sys.executable, "-c", STEADY, store.root],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stderr
    saves = re.split(r".*/dev/null.*\n", trace.read_text())[10:30]
    for lines in saves:
        calls = re.findall(r"^\d+ +(\w+)\(", lines, re.MULTILINE)
        # What of Python itself and of opening /dev/null is no part of a save.
        own = [it for it in calls if it not in {"brk", "mmap", "munmap", "madvise", "futex"}]
        assert 1 == sum(it in {"fsync", "fdatasync"} for it in own), own
        assert len(own) <= 14 + 4, own


def test_runs_ends_and_first_records_take_so_many_syncs(store: Store, files: StubbornFiles) -> None:
    def syncs() -> int:
        return sum(it in {"sync", "datasync"} for it in files.done)

    with store.own("run-1"), store.own("run-2"):
        begin(store, "run-2")
        assert 2 == syncs()
        at = begin(store)
        assert 3 == syncs()
        extend(store, at, range(70))
        assert 73 == syncs()
        files.done.clear()
    assert 2 * 3 == syncs()


def test_a_run_whose_store_is_removed_is_left_without_an_error(store: Store) -> None:
    """What its saves have raised, or what it has done, must not be hidden by another error."""
    with store.own("run-1"):
        begin(store)
        shutil.rmtree(store.root)

    assert not store.root.exists()
