"""The power goes at any instant while saves are appended: whatever sectors, sizes and names the disk
has by then, nothing acknowledged is lost, nothing that failed or was dropped is found, and whoever
goes on finds the same, also if the power goes again while it does.

`tests/kit/disks.py` is the model of the disk. The disks of a case are dealt to its shards by their
number.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kit.disks import Image, RecordingFiles, power_cuts, write_image
from kit.faults import CountingFiles, Killed, fail
from kit.shards import SHARDS, sharded, share
from kit.stores import read_all
from maverick.checkpoints import Checkpoint, Store, blob
from maverick.checkpoints.disk import locks
from maverick.checkpoints.objects import open_pack
from maverick.checkpoints.refs.refs import Ref
from maverick.errors import StoreUnwritable

MOST = 16


@dataclass(frozen=True)
class Mark:
    """What was so when so many operations had been done."""

    done: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    untagging: frozenset[tuple[str, str]] = frozenset()
    dropped: frozenset[str] = frozenset()
    dropping: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()


class World:
    """Processes on one store, what they were told, and every operation that they did."""

    def __init__(self, root: Path) -> None:
        Store.create(root, files=CountingFiles())
        (root / "reserve").write_bytes(b"small, so that the tests are quick")
        self.root = root
        self.files = RecordingFiles(root)
        self.marks = [Mark()]
        self.contents: dict[str, dict[str, bytes]] = {}
        self.count = 0

    def process(self) -> Store:
        return Store.open(self.root, files=self.files)

    def mark(self, **changes: object) -> None:
        done = len(self.files.log)
        self.marks.append(replace(self.marks[-1], done=done, **changes))  # type: ignore[arg-type]

    def save(self, store: Store, run: str, *, size: int = 300, kind: str = "auto") -> Checkpoint:
        ref = store.find_ref(run)
        parent = store.checkpoint(ref.checkpoint) if ref is not None else None
        self.count += 1
        now = self.marks[-1]
        sequence = parent.sequence + 1 if parent is not None else 1
        self.mark(begun=now.begun | {run: sequence})
        data = bytes((self.count * number * 7) % 251 for number in range(size))
        at = store.save(
            run,
            {("steps", f"s{sequence}"): blob(data), ("shared",): blob(b"in all of them" * 30)},
            parent=parent,
            kind=kind,  # type: ignore[arg-type]
            label="here" if kind == "label" else "",
            group="g",
        )
        self.contents[at.id] = read_all(store, at)
        self.mark(acknowledged=self.marks[-1].acknowledged | {run: at.id})
        return at

    def fail(self, store: Store, run: str) -> None:
        """Fail a save at its sync."""
        datasync = self.files.datasync

        def failing(descriptor: int) -> None:
            self.files.datasync = datasync  # type: ignore[method-assign]
            fail()

        self.files.datasync = failing  # type: ignore[method-assign]
        self.count += 1
        name = str(self.count)
        ref = store.find_ref(run)
        self.mark(begun=self.marks[-1].begun | {run: ref.sequence + 1 if ref else 1})
        with pytest.raises(StoreUnwritable):
            store.save(
                run,
                {("failed", name): blob(b"never to be seen" * 40)},
                parent=store.checkpoint(ref.checkpoint) if ref is not None else None,
                group="g",
            )
        self.mark(
            failed=self.marks[-1].failed | {f"state/failed/{name}"},
            begun=self.marks[-1].begun | {run: ref.sequence if ref else 0},
        )

    def tag(self, store: Store, run: str, name: str, *, on: bool = True) -> None:
        at = store.resolve(run)
        now = self.marks[-1]
        rest = {key: it for key, it in now.tags.items() if key != (run, name)}
        self.mark(tags=rest, untagging=now.untagging | {(run, name)})
        store.tag(run, name, at if on else None)
        if on:
            self.mark(tags=rest | {(run, name): at.id})
        else:
            self.mark(untagging=now.untagging | {(run, name)})

    def drop(self, store: Store, run: str) -> None:
        now = self.marks[-1]
        rest = {it: at for it, at in now.acknowledged.items() if it != run}
        tags = {key: at for key, at in now.tags.items() if key[0] != run}
        self.mark(acknowledged=rest, tags=tags, dropping=now.dropping | {run})
        store.drop(run)
        self.mark(dropped=now.dropped | {run})

    def killed(self, act: Callable[[], object], *, after: int | None = None) -> None:
        """Do *act* in a process that is killed after so many operations, or at its end."""
        self.files.kill_at = None if after is None else len(self.files.log) + after

        def work() -> None:
            act()
            locks._drop_in_child()
            raise Killed

        with pytest.raises(Killed):
            work()
        locks._drop_in_child()
        self.files.kill_at = None

    def promised(self, done: int) -> Mark:
        return [mark for mark in self.marks if mark.done <= done][-1]

    def allowed(self, done: int) -> dict[str, int]:
        """Give how far each run may have come by then."""
        marks = [mark for mark in self.marks if mark.done <= done]
        begun: dict[str, int] = {}
        for mark in marks[-2:]:
            begun |= {run: max(begun.get(run, 0), last) for run, last in mark.begun.items()}
        return begun


Act = Callable[[World], None]


def saves_of_several_runs_in_two_packs(world: World) -> None:
    """With labels, ends, and one that is saved by who does not own it."""
    one, two = world.process(), world.process()
    with one.own("a"), two.own("d"):
        world.save(one, "a")
        world.save(two, "d", size=1400)
        world.save(one, "a", kind="label")
        with one.own("b"):
            world.save(one, "b", size=2000)
            world.save(one, "a")
            world.save(one, "b", kind="final")
        world.save(two, "d")
    world.save(two, "e")
    with two.own("a"):
        world.save(two, "a")


def a_sync_that_fails(world: World) -> None:
    """Of a run's first save, and of a later one; of a pack's first record, and of a later one."""
    store = world.process()
    with store.own("a"), store.own("c"):
        world.fail(store, "c")
        world.save(store, "a")
        world.save(store, "a", size=1000)
        world.fail(store, "a")
        world.save(store, "c")
        world.save(store, "a")
        world.fail(store, "c")
    other = world.process()
    with other.own("c"):
        world.save(other, "c")


def a_process_that_is_killed_and_another_that_goes_on(world: World, after: int) -> None:
    """In the middle of a save, or of its first one."""

    def work() -> None:
        store = world.process()
        with store.own("a"), store.own("b"):
            world.save(store, "a", size=900)
            world.save(store, "b")
            world.save(store, "a")

    world.killed(work, after=after)
    other = world.process()
    with other.own("c"):
        world.save(other, "c")
        with other.own("a"):
            world.save(other, "a")
            world.save(other, "a")


def killed_at(after: int) -> Act:
    def act(world: World) -> None:
        a_process_that_is_killed_and_another_that_goes_on(world, after)

    act.__name__ = f"killed_after_{after}_operations"
    return act


def packs_that_are_sealed(world: World) -> None:
    """While two runs are saved into them, and when the last one is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_pack, "SEALED_FROM_BYTES", 2500)
        store = world.process()
        with store.own("a"), store.own("b"):
            world.save(store, "b")
            for _ in range(3):
                world.save(store, "a", size=800)
            world.save(store, "b")
    other = world.process()
    other.appender.seal_all()
    with other.own("a"):
        world.save(other, "a")


def tags_while_a_run_is_under_way(world: World) -> None:
    """By another process, which finds the ref that lags or does not; then the owner is killed."""
    one, two = world.process(), world.process()

    def work() -> None:
        with one.own("a"):
            world.save(one, "a")
            world.tag(two, "a", "early")
            world.save(one, "a")
            world.save(one, "a")
            world.tag(two, "a", "late")
            world.tag(two, "a", "early", on=False)
            datasync = world.files.datasync

            def tag_then(descriptor: int) -> None:
                datasync(descriptor)
                world.files.datasync = datasync  # type: ignore[method-assign]
                world.tag(two, "a", "between")
                raise Killed

            world.files.datasync = tag_then  # type: ignore[method-assign]
            world.save(one, "a")

    world.killed(work)
    three = world.process()
    with three.own("a"):
        world.save(three, "a")
        world.save(three, "a")


def drops_of_what_was_left(world: World) -> None:
    """By whoever comes, of a run that is not closed in its pack, and of one that is."""

    def work() -> None:
        store = world.process()
        with store.own("b"):
            world.save(store, "b")
        with store.own("a"), store.own("c"):
            world.save(store, "a")
            world.save(store, "c")
            world.save(store, "a")

    world.killed(work)
    other = world.process()
    with other.own("d"):
        world.drop(other, "a")
        world.save(other, "d")
        world.drop(other, "b")


ACTS: list[Act] = [
    saves_of_several_runs_in_two_packs,
    a_sync_that_fails,
    packs_that_are_sealed,
    tags_while_a_run_is_under_way,
    drops_of_what_was_left,
    *map(killed_at, (2, 3, 4, 5, 13, 14, 15)),
]


class Checker:
    """Checks disks, one after the other. In the recovery of one of *every* so many the power goes
    again.
    """

    def __init__(self, world: World, folder: Path, every: int) -> None:
        self._world = world
        self._folder = folder
        self._every = every
        (folder / "pool").mkdir()
        self.count = self.recovered = 0

    def check(self, done: int, image: Image) -> None:
        """Assert that *image* has all that is due; so it has when others go on, one way or another;
        and wherever the power goes while they do.
        """
        self.count += 1
        going_on = (self._own_all, self._begin_another)[self.count % 2]
        root = self._written(image)
        self._look(done, root)
        files = RecordingFiles(root)
        going_on(root, files)
        self._look(done, root)
        self._go_on_again(root)
        shutil.rmtree(root)
        if self.count % self._every == 0:
            for _, again in power_cuts(files, 4):
                self.recovered += 1
                root = self._written(again)
                self._look(done, root)
                self._own_all(root, CountingFiles())
                self._look(done, root)
                shutil.rmtree(root)

    def _written(self, image: Image) -> Path:
        return write_image(image, self._folder / "disk", self._folder / "pool")

    def _look(self, done: int, root: Path) -> None:
        promised, allowed = self._world.promised(done), self._world.allowed(done)
        store = Store.open(root)
        refs = {ref.run: ref for ref in store.refs()}
        for run, checkpoint in promised.acknowledged.items():
            assert checkpoint in {it.checkpoint for it in refs[run].positions}
        assert not promised.dropped & refs.keys()
        for (run, name), tagged in promised.tags.items():
            assert refs[run].tags[name] == tagged
        for ref in refs.values():
            if ref.run != "after":
                assert ref.sequence <= allowed[ref.run]
                self._read(store, ref, failed=promised.failed)

    def _read(self, store: Store, ref: Ref, *, failed: frozenset[str]) -> None:
        """Read all that a ref names."""
        assert ref.checkpoint == ref.positions[-1].checkpoint
        assert list(range(1, ref.sequence + 1)) == [it.sequence for it in ref.positions]
        for named in {it.checkpoint for it in ref.positions} | set(ref.tags.values()):
            found = read_all(store, store.checkpoint(named))
            assert self._world.contents.get(named, found) == found
            assert not failed & found.keys()

    def _own_all(self, root: Path, files: RecordingFiles | CountingFiles) -> None:
        """Resume each run, and close it; the refs' files say all then."""
        store = Store.open(root, files=files)
        for run in store.run_ids():
            ref = store.ref(run)
            with store.own(run):
                assert ref == store.ref(run) == store.ref_files.in_file(run)

    def _begin_another(self, root: Path, files: RecordingFiles) -> None:
        """Take whatever open pack there is, for a run that begins."""
        store = Store.open(root, files=files)
        before = store.refs()
        with store.own("after"):
            at = store.save("after", {("x",): blob(b"in all of them" * 30)}, parent=None)
            at = store.save("after", {("y",): blob(b"y")}, parent=at)
            assert before == [ref for ref in Store.open(root).refs() if ref.run != "after"]
        read_all(Store.open(root), at)

    def _go_on_again(self, root: Path) -> None:
        """What was recovered stays as it is; the next saves of all runs work."""
        self._own_all(root, CountingFiles())
        before = stored(root)
        self._own_all(root, CountingFiles())
        assert before == stored(root)
        store = Store.open(root, files=CountingFiles())
        for run in store.run_ids():
            with store.own(run):
                newest = store.resolve(run)
                at = store.save(run, {("next",): blob(b"next")}, parent=newest)
            assert at == Store.open(root).resolve(run)


def stored(root: Path) -> dict[str, bytes]:
    paths = [*root.glob("objects/*"), *root.glob("refs/*")]
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize(("act", "shard"), sharded(*ACTS))
def test_every_disk_that_a_power_cut_may_leave_keeps_what_was_promised(
    tmp_path: Path, act: Act, shard: int
) -> None:
    check_all(tmp_path, act, shard, MOST)


@pytest.mark.thorough
@pytest.mark.parametrize(("act", "shard"), sharded(*ACTS))
def test_so_does_every_disk_with_more_of_them(tmp_path: Path, act: Act, shard: int) -> None:
    check_all(tmp_path, act, shard, 256)


def check_all(tmp_path: Path, act: Act, shard: int, most: int) -> None:
    world = World(tmp_path / "store")
    act(world)
    disks = list(power_cuts(world.files, most))
    checker = Checker(world, tmp_path, 24 if most == MOST else 4)
    for done, image in share(shard, disks):
        checker.check(done, image)
    assert len(disks) >= len(world.files.log)
    assert checker.count >= len(disks) // SHARDS
    assert checker.recovered
