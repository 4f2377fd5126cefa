"""Open packs: one that a process appends to gc leaves alone, any other it seals first."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from kit.faults import CountingFiles, CrashingFiles, Killed, kill
from kit.gc_saver import Saver
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.disk import locks
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.gc.census import Census
from maverick.checkpoints.objects import ids
from maverick.checkpoints.refs.refs import open_packs
from maverick.errors import StoreUnwritable


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def run_to_end(store: Store, run: str, *, steps: int = 3) -> Checkpoint:
    """A done run that somebody has executed; what it saved is in an open pack."""
    with store.own(run):
        at = extend(store, begin(store, run), range(steps))
        return store.save(run, {("output",): value(f"output of {run}")}, parent=at, kind="final")


def the_open_pack(store: Store) -> Path:
    (file,) = open_packs(store.files, store.root)
    return store.root / "objects" / file


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Keep an open pack as another process does."""
    descriptor = locks.share(os.open(path, os.O_RDWR))
    assert descriptor is not None
    locks.keep(descriptor)
    try:
        yield
    finally:
        locks.unlock(descriptor)


def assert_all_is_whole(store: Store) -> None:
    for ref in store.refs():
        for position in ref.positions:
            read_all(store, store.checkpoint(position.checkpoint))
    assert [] == [it for it in store.check(read_data=True) if it.severity == "error"]


def test_an_open_pack_that_nobody_appends_to_is_sealed_and_collected(store: Store) -> None:
    """It counts as sealed already for a plan, which changes nothing."""
    for number in range(3):
        run_to_end(store, f"fly-{number}")
    path = the_open_pack(store)
    before = path.read_bytes()

    plan = store.plan_gc(keep_last=1)
    assert before == path.read_bytes()
    result = plan.execute()

    assert (path.stem,) == plan.rewrite
    assert plan.removed_objects == result.removed_objects > 0
    assert plan.removed_bytes == result.removed_bytes == sum(it.bytes for it in plan.runs)
    assert plan.kept_objects == result.kept_objects
    assert [".pack"] == [it.suffix for it in (store.root / "objects").iterdir()]
    assert ["fly-2"] == [ref.run for ref in store.refs()]
    assert_all_is_whole(store)
    assert 0 == store.plan_gc(keep_last=1).removed_objects


def test_gc_leaves_the_open_pack_of_a_living_process_alone(store: Store) -> None:
    """Whatever of it is dead; and the process goes on appending to it."""
    run_to_end(store, "done")
    with Saver(store.root, "living") as saver:
        first = saver.save("a")
        path = the_open_pack(store)
        last = [saver.save(text) for text in "babababababababababab"][-1]
        before = path.read_bytes()

        result = store.plan_gc(keep_last=0).execute()

        assert before == path.read_bytes()
        assert ["living"] == [ref.run for ref in store.refs()]
        assert 0 == result.removed_objects  # it had gone on with the pack of the other one
        assert last == store.ref("living").checkpoint
        assert last != saver.save("a")
        assert_all_is_whole(store)
    store.plan_gc(keep_last=0).execute()
    assert_all_is_whole(store)
    assert store.objects.packs.find(first) is None


def test_what_a_process_appends_to_its_pack_may_have_gone_from_others(store: Store) -> None:
    """What its saves find is looked for anew after a gc that removed packs."""
    at = store.save("other", {("text",): blob(b"a" * 100)}, parent=None)
    store.save("other", {("text",): None}, parent=at, kind="final")
    with Saver(store.root, "living") as saver:
        saver.save("b")
        store.drop("other")
        assert 0 < store.plan_gc(keep_last=0).execute().removed_objects

        saver.save("a")

        assert_all_is_whole(store)


def test_a_gc_after_a_kill_keeps_what_was_committed(tmp_path: Path) -> None:
    """Whichever operation of a save was the last: the ref may lag, or be torn, and the pack is
    nobody's.
    """
    root = tmp_path / "store"
    store = Store.create(root, files=CountingFiles())
    run_to_end(store, "done")
    at = run_to_end(store, "run-1")
    counting = CountingFiles()
    save_owned(shutil.copytree(root, tmp_path / "counted"), counting, at)
    seen = set()
    for torn in (False, True):
        for after in range(len(counting.done)):
            copy = shutil.copytree(root, tmp_path / f"copy{after}{torn}")
            with pytest.raises(Killed):
                save_owned(copy, CrashingFiles(after, torn=torn), at)
            locks._drop_in_child()
            before = Store.open(copy, files=CountingFiles()).ref("run-1")

            Store.open(copy, files=CountingFiles()).plan_gc(keep_last=1).execute()

            now = Store.open(copy, files=CountingFiles())
            assert before._replace(positions=()) == now.ref("run-1")._replace(positions=())
            assert before.sequence == now.ref_files.in_file("run-1").sequence  # type: ignore[union-attr]
            assert [] == open_packs(now.files, copy)
            assert_all_is_whole(now)
            seen.add(before.sequence)
            shutil.rmtree(copy)
    assert {at.sequence, at.sequence + 1, at.sequence + 2} == seen


def save_owned(root: Path, files: Files, at: Checkpoint) -> None:
    """Save two more checkpoints of a run into an open pack."""
    store = Store.open(root, files=files)
    with store.own(at.run):
        at = store.save(at.run, {("more",): value("one")}, parent=at)
        store.save(at.run, {("more",): value("two")}, parent=at)


def killed_before_its_ref(store: Store, at: Checkpoint) -> Checkpoint:
    """Let a process save, and be killed once that is durable, before the ref says it."""
    with suppress(Killed):
        save_owned(store.root, NoRefs(), at)
    locks._drop_in_child()
    ref = store.ref(at.run)
    assert ref.sequence == at.sequence + 1
    assert at.sequence == store.ref_files.in_file(at.run).sequence  # type: ignore[union-attr]
    return store.checkpoint(ref.checkpoint)


class NoRefs(CountingFiles):
    """Ends the process ahead of the first write into a ref."""

    killed = False

    def before(self, operation: str) -> None:
        if self.killed:
            raise Killed
        super().before(operation)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> None:
        self.killed = "/refs/" in str(Path(f"/proc/self/fd/{descriptor}").readlink())
        super().pwrite(descriptor, data, offset)


def test_a_ref_that_lags_behind_a_pack_that_somebody_keeps_is_brought_up(store: Store) -> None:
    """What was committed last is kept, and what only the former state held may go."""
    at = run_to_end(store, "run-1")
    newest = killed_before_its_ref(store, at)
    expected = read_all(store, newest)

    with kept(the_open_pack(store)):
        Store.open(store.root, files=CountingFiles()).plan_gc(keep_last=0).execute()

        ref = store.ref_files.in_file("run-1")
        assert ref is not None
        assert newest.id == ref.checkpoint
    assert expected == read_all(store, newest)
    assert_all_is_whole(store)


def test_of_what_several_open_packs_say_of_a_run_the_newest_counts(store: Store) -> None:
    """Its owner has left one of them, because a save had failed; and who went on with that wrote to
    it last, and was killed.
    """
    at = begin(store)
    with suppress(Killed), store.own("run-1"):
        at = extend(store, at, range(1))
        kill()
    older = the_open_pack(store)
    other = Store.open(store.root, files=CountingFiles())
    with kept(older), other.own("run-1"):
        newest = extend(other, at, range(1, 2))
        os.utime(older, (1 << 33, 1 << 33))
        (store.root / "refs" / "run-1").write_bytes(b"torn")

        Store.open(store.root, files=CountingFiles()).plan_gc().execute()

        ref = other.ref_files.in_file("run-1")
        assert ref is not None
        assert newest.id == ref.checkpoint
    assert_all_is_whole(other)


def test_what_a_process_commits_that_is_killed_while_gc_is_at_work_is_kept(store: Store) -> None:
    """Its pack is nobody's then, and is sealed by the next gc."""
    at = run_to_end(store, "run-1")
    other = Store.open(store.root, files=CountingFiles())
    newest: list[Checkpoint] = []

    def kill(done: int, total: int) -> None:
        if not newest:
            assert [] == open_packs(store.files, store.root)
            before = set(locks._held)
            with suppress(Killed):
                save_owned(store.root, NoRefs(), at)
            for descriptor in locks._held - before:
                locks.unlock(descriptor)
            newest.append(store.checkpoint(store.ref("run-1").checkpoint))

    other.plan_gc().execute(kill)

    ref = store.ref_files.in_file("run-1")
    assert ref is not None
    assert newest[0].id == ref.checkpoint
    assert at.sequence + 1 == ref.sequence
    assert 1 == len(open_packs(store.files, store.root))
    assert_all_is_whole(store)
    store.plan_gc().execute()
    assert [] == open_packs(store.files, store.root)
    assert_all_is_whole(store)


def test_a_plan_knows_what_a_ref_does_not_say_yet(store: Store) -> None:
    """The run was done, and is not any more."""
    at = run_to_end(store, "run-1")
    newest = killed_before_its_ref(store, at)

    plan = store.plan_gc(keep_last=0)

    assert () == plan.runs
    assert () == plan.execute().runs
    assert newest.id == store.ref("run-1").checkpoint


def test_a_pack_that_somebody_goes_on_with_after_the_plan_stays(store: Store) -> None:
    """What the plan wanted of it waits for the next gc."""
    for number in range(2):
        run_to_end(store, f"fly-{number}")
    plan = store.plan_gc(keep_last=1)
    path = the_open_pack(store)

    with Saver(store.root, "living") as saver:
        saver.save("a")
        result = plan.execute()
        assert ("fly-0",) == result.runs
        assert 0 == result.removed_objects
        assert path.exists()
        saver.save("b")
    assert_all_is_whole(store)
    assert 0 < store.plan_gc(keep_last=1).execute().removed_objects
    assert_all_is_whole(store)


def test_a_pack_that_is_sealed_after_the_plan_is_the_one_that_was_planned(store: Store) -> None:
    for number in range(2):
        run_to_end(store, f"fly-{number}")
    plan = store.plan_gc(keep_last=1)
    Store.open(store.root, files=CountingFiles()).appender.seal_all()

    result = plan.execute()

    assert plan.removed_objects == result.removed_objects > 0
    assert_all_is_whole(store)


def test_a_pack_that_has_grown_since_the_plan_waits(store: Store) -> None:
    """Nothing that gc has not looked at goes."""
    for number in range(2):
        run_to_end(store, f"fly-{number}")
    plan = store.plan_gc(keep_last=1)
    run_to_end(store, "fly-2")

    assert 0 == plan.execute().removed_objects

    assert ["fly-1", "fly-2"] == sorted(ref.run for ref in store.refs())
    assert_all_is_whole(store)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_tag_that_an_open_pack_says_and_gc_has_collected_is_left_out(
    store: Store, *, is_kept: bool
) -> None:
    """The pack has the ref as it was; whoever tore it since had removed the tag before."""
    first = begin(store, "run-1")
    with store.own("run-1"):
        store.tag("run-1", "first", first)
        at = extend(store, first, range(20))
        store.tag("run-1", "first", None)
        path = the_open_pack(store)
        copy = path.read_bytes()
    store.plan_gc().execute()
    assert not any(pack.find(first.id) for pack in store.objects.packs.listed())
    # Now as it was, with what gc has left.
    path.write_bytes(copy)
    (store.root / "refs" / "run-1").write_bytes(b"torn")

    with kept(path) if is_kept else nullcontext():
        store.plan_gc().execute()

        ref = store.ref_files.in_file("run-1")
        assert ref is not None
        assert (at.id, {}) == (ref.checkpoint, ref.tags)
    assert_all_is_whole(store)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_no_open_pack_from_being_kept_whole(tmp_path: Path, code: int) -> None:
    """From any operation on there may be no space: neither to seal, nor to bring up a ref."""
    root = tmp_path / "store"
    store = Store.create(root, files=CountingFiles())
    for number in range(2):
        at = store.save(f"gone-{number}", {("a",): blob(os.urandom(9000))}, parent=None)
        store.save(f"gone-{number}", {}, parent=at, kind="final")
    newest = killed_before_its_ref(store, run_to_end(store, "run-1"))
    expected = read_all(store, newest)
    counting = CountingFiles()
    copy = shutil.copytree(root, tmp_path / "counted")
    Store.open(copy, files=counting).plan_gc(keep_last=0).execute()
    for after in range(len(counting.done)):
        copy = shutil.copytree(root, tmp_path / f"copy{after}")

        result = Store.open(copy, files=Full(after, code)).plan_gc(keep_last=0).execute()

        assert ["gone-0", "gone-1"] == sorted(result.runs)
        now = Store.open(copy, files=CountingFiles())
        assert newest.id == now.ref("run-1").checkpoint
        assert expected == read_all(now, newest)
        assert 18_000 < result.removed_bytes
        assert_all_is_whole(now)
        now.plan_gc(keep_last=0).execute()
        assert newest.id == now.ref("run-1").checkpoint
        assert [] == open_packs(now.files, copy)
        assert_all_is_whole(now)
        shutil.rmtree(copy)


class Full(CountingFiles):
    """A disk that takes no bytes from operation number *after* on; renames need none."""

    def __init__(self, after: int, code: int) -> None:
        super().__init__()
        self._after = after
        self._code = code

    def before(self, operation: str) -> None:
        if operation in {"create", "write", "pwrite"} and len(self.done) >= self._after:
            raise OSError(self._code, os.strerror(self._code))
        super().before(operation)


def test_what_was_read_of_an_open_pack_and_taken_back_counts_no_more(store: Store) -> None:
    """A record is taken back if its sync fails; another one may stand in its place."""
    census = Census(store)
    found: list[bool] = []

    class Failing(CountingFiles):
        def sync(self, descriptor: int) -> None:
            if len(found) == 1:
                census.refresh()
                found.append(census.holds(blob_id))
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().sync(descriptor)

    other = Store.open(store.root, files=Failing())
    data = b"taken back" * 9
    blob_id = ids.blob_id(data)
    with other.own("r"):
        at = other.save("r", {("a",): value(1)}, parent=None)
        found.append(census.holds(blob_id))
        with pytest.raises(StoreUnwritable):
            other.save("r", {("a",): blob(data)}, parent=at)
    assert [False, True] == found

    census.refresh()
    assert not census.holds(blob_id)
    store.plan_gc().execute()
    assert_all_is_whole(store)
