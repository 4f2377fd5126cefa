"""Processes on one store that lose power: what they were told, and what every disk must keep of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from kit.disks import Image, RecordingFiles, power_cuts, write_image
from kit.faults import CountingFiles, Killed, fail
from kit.stores import read_all
from maverick.checkpoints import Checkpoint, Store, blob
from maverick.checkpoints.disk import locks
from maverick.checkpoints.gc.collection import GcPlan
from maverick.checkpoints.refs.refs import Ref
from maverick.errors import StoreUnwritable

Stored: TypeAlias = frozenset[tuple[str, bytes]]


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
    collected: frozenset[str] = frozenset()
    """Runs of whose logs gc may have taken what is not their newest."""


class World:
    """Processes on one store, what they were told, and every operation that they did."""

    def __init__(self, root: Path) -> None:
        Store.create(root, files=CountingFiles())
        (root / "reserve").write_bytes(b"small, so that the tests are quick")
        self.root = root
        self.files = RecordingFiles(root)
        self.marks = [Mark()]
        self.contents: dict[str, dict[str, bytes]] = {}
        self.count = self.since = 0

    def settle(self) -> None:
        """Take what was done so far for durable: the power goes later."""
        self.files = RecordingFiles(self.root)
        self.marks = [replace(self.marks[-1], done=0)]

    def copied(self, root: Path) -> World:
        """Give another world, at *root*, in which all of this was done, durably."""
        world = copy(self)
        world.root = shutil.copytree(self.root, root)
        world.contents = dict(self.contents)
        world.settle()
        return world

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

    def collect(self, store: Store) -> None:
        self.execute(store.plan_gc(keep_last=1))

    def execute(self, plan: GcPlan) -> None:
        """Collect what was planned: done runs but for the newest, and what that passed through."""
        now = self.marks[-1]
        done = [ref.run for ref in Store.open(self.root).refs() if ref.done]
        rest = {run: at for run, at in now.acknowledged.items() if run not in done[1:]}
        self.mark(acknowledged=rest, collected=now.collected | set(done))
        gone = plan.execute().runs
        assert set(gone) <= set(done[1:])
        self.mark(dropped=now.dropped | set(gone))

    def killed(self, act: Callable[[], object], *, after: int | None = None) -> bool:
        """Do *act* in a process that is killed after so many operations, or when it says so itself;
        says whether it came to that.
        """
        begun = len(self.files.log)
        self.files.kill_at = None if after is None else begun + after
        try:
            act()
        except Killed:
            return True
        finally:
            locks._drop_in_child()
            self.files.kill_at = None
        return False

    def promised(self, done: int) -> Mark:
        return [mark for mark in self.marks if mark.done <= done][-1]

    def allowed(self, done: int) -> dict[str, int]:
        """Give how far each run may have come by then."""
        marks = [mark for mark in self.marks if mark.done <= done]
        begun: dict[str, int] = {}
        for mark in marks[-2:]:
            begun |= {run: max(begun.get(run, 0), last) for run, last in mark.begun.items()}
        return begun


class Checker:
    """Checks disks, one after the other. In the recovery of one of *every* so many, an odd number,
    the power goes again.

    Whoever goes on brings most disks to few stores; what is so of each of these is looked at once.
    """

    def __init__(self, world: World, folder: Path, every: int) -> None:
        assert every % 2, "else the power goes again in one way to go on only"
        self._world = world
        self._folder = folder
        self._every = every
        (folder / "pool").mkdir()
        self.count = self.recovered = 0
        self._looked_at: set[tuple[int, Stored]] = set()
        self._gone_on: set[Stored] = set()
        self._sound: set[Stored] = set()

    def check(self, done: int, image: Image) -> None:
        """Assert that *image* has all that is due; so it has when others go on, one way or another;
        and wherever the power goes while they do.
        """
        self.count += 1
        going_on = (self._own_all, self._begin_another)[self.count % 2]
        root = self._written(image)
        self._look(done, root)
        if (left := what_counts(image)) not in self._sound:
            self._sound.add(left)
            assert_nothing_is_damaged(root)
        files = RecordingFiles(root)
        going_on(root, files)
        self._look(done, root)
        if going_on != self._own_all:
            self._own_all(root, CountingFiles())
        self._go_on_again(root)
        if self.count % self._every == 0:
            for _, again in power_cuts(files, 4):
                self._check_again(done, again)

    def _check_again(self, done: int, image: Image) -> None:
        """Assert that *image* has all that is due, also when its runs are resumed."""
        self.recovered += 1
        if self._is_known(done, what_counts(image)):
            return
        root = self._written(image)
        self._look(done, root)
        self._own_all(root, CountingFiles())
        self._look(done, root)

    def _is_known(self, done: int, store: Stored) -> bool:
        """Say whether *store* was looked at for all that was due then."""
        return (self._world.promised(done).done, store) in self._looked_at

    def _written(self, image: Image) -> Path:
        return write_image(image, self._folder / "disk", self._folder / "pool")

    def _look(self, done: int, root: Path) -> None:
        promised, allowed = self._world.promised(done), self._world.allowed(done)
        if self._is_known(done, store := stored(root)):
            return
        self._looked_at.add((promised.done, store))
        reader = Store.open(root)
        refs = {ref.run: ref for ref in reader.refs()}
        for run, checkpoint in promised.acknowledged.items():
            assert checkpoint in {it.checkpoint for it in refs[run].positions}
        assert not promised.dropped & refs.keys()
        for (run, name), tagged in promised.tags.items():
            assert refs[run].tags[name] == tagged
        for ref in refs.values():
            if ref.run != "after":
                assert ref.sequence <= allowed[ref.run]
                self._read(reader, ref, promised)

    def _read(self, store: Store, ref: Ref, promised: Mark) -> None:
        """Read all that a ref names."""
        assert ref.checkpoint == ref.positions[-1].checkpoint
        if ref.run not in promised.collected:
            assert list(range(1, ref.sequence + 1)) == [it.sequence for it in ref.positions]
        for named in {it.checkpoint for it in ref.positions} | set(ref.tags.values()):
            found = read_all(store, store.checkpoint(named))
            assert self._world.contents.get(named, found) == found
            assert not promised.failed & found.keys()

    def _own_all(self, root: Path, files: RecordingFiles | CountingFiles) -> None:
        """Resume each run, and close it; the refs' files say all then."""
        store = Store.open(root, files=files)
        for run in store.run_ids():
            ref = store.ref(run)
            with store.own(run):
                assert ref == store.ref(run) == store.ref_files.in_file(run)

    def _begin_another(self, root: Path, files: RecordingFiles) -> None:
        """Take whatever open pack there is, for a run that begins. From equal stores come equal
        ones.
        """
        store = Store.open(root, files=files, clock=lambda: 1_000_000_000_000)
        before = store.refs()
        numbers = count()
        with pytest.MonkeyPatch.context() as patch, store.own("after"):
            patch.setattr(os, "urandom", lambda size: next(numbers).to_bytes(size))
            at = store.save("after", {("x",): blob(b"in all of them" * 30)}, parent=None)
            at = store.save("after", {("y",): blob(b"y")}, parent=at)
            assert before == [ref for ref in Store.open(root).refs() if ref.run != "after"]
        read_all(Store.open(root), at)

    def _go_on_again(self, root: Path) -> None:
        """What was recovered stays as it is; the next saves of all runs work."""
        if (before := stored(root)) in self._gone_on:
            return
        self._gone_on.add(before)
        self._own_all(root, CountingFiles())
        assert before == stored(root)
        store = Store.open(root, files=CountingFiles())
        for run in store.run_ids():
            with store.own(run):
                newest = store.resolve(run)
                at = store.save(run, {("next",): blob(b"next")}, parent=newest)
            assert at == Store.open(root).resolve(run)
        assert_nothing_is_damaged(root)


def assert_nothing_is_damaged(root: Path) -> None:
    found = Store.open(root).check(read_data=True)
    assert [] == [finding for finding in found if finding.severity == "error"]


def stored(root: Path) -> Stored:
    return what_counts(
        {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }
    )


def what_counts(files: Mapping[str, bytes | None]) -> Stored:
    """Give what a store holds: nobody reads what is in locks and in `tmp/`."""
    return frozenset(
        (name, data)
        for name, data in files.items()
        if data is not None and not name.startswith("tmp/") and not name.endswith(".lock")
    )
