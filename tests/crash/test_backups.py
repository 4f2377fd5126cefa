"""A store is copied, folder after folder, while runs are saved, left and sealed in it: with each run
that was acknowledged before that (docs/howto/back-up-a-store.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TypeAlias

import pytest

from kit.disks import Image, write_image
from kit.faults import CountingFiles
from kit.stores import read_all
from maverick.checkpoints import Checkpoint, Store, blob
from maverick.checkpoints.fsck.repair import repair
from maverick.checkpoints.objects import open_pack

Folder: TypeAlias = dict[str, bytes]


@dataclass(frozen=True)
class Moment:
    """What stood in the folders ahead of an operation, and what was acknowledged by then."""

    refs: Folder
    objects: Folder
    acknowledged: dict[str, str]


class CopiedFiles(CountingFiles):
    """Copies both folders ahead of each operation."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self.moments: list[Moment] = []
        self.acknowledged: dict[str, str] = {}

    def before(self, operation: str) -> None:
        super().before(operation)
        refs, objects = (
            {path.name: path.read_bytes() for path in (self._root / folder).iterdir()}
            for folder in ("refs", "objects")
        )
        self.moments.append(Moment(refs, objects, dict(self.acknowledged)))


class World:
    """Runs at work in a store."""

    def __init__(self, root: Path) -> None:
        Store.create(root, files=CountingFiles())
        (root / "reserve").write_bytes(b"small, so that the tests are quick")
        self.empty: Image = {
            path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes()
            for path in sorted(root.rglob("*"))
        }
        self.files = CopiedFiles(root)
        self.root = root
        self.contents: dict[str, dict[str, bytes]] = {}

    def save(self, store: Store, run: str, *, size: int = 300) -> Checkpoint:
        ref = store.find_ref(run)
        data = bytes((len(self.contents) * number * 7) % 251 for number in range(size))
        at = store.save(
            run,
            {("steps", str(len(self.contents))): blob(data), ("shared",): blob(b"in all" * 50)},
            parent=store.checkpoint(ref.checkpoint) if ref is not None else None,
        )
        self.contents[at.id] = read_all(store, at)
        self.files.acknowledged[run] = at.id
        return at

    def work(self) -> None:
        """Runs that begin and go on, two processes, one pack that is sealed, and one that is gone
        on with.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(open_pack, "SEALED_FROM_BYTES", 3000)
            one = Store.open(self.root, files=self.files)
            two = Store.open(self.root, files=self.files)
            with one.own("a"), two.own("d"):
                self.save(one, "a", size=900)
                self.save(two, "d")
                self.save(one, "a", size=900)
                with one.own("b"):
                    self.save(one, "b", size=900)
                self.save(one, "a")
                self.save(one, "e")
                self.save(two, "d")
            with one.own("b"):
                self.save(one, "b")
        self.files.before("the end")


def refs_first(first: Moment, last: Moment) -> tuple[Folder, Folder]:
    return first.refs, last.objects


def objects_first(first: Moment, last: Moment) -> tuple[Folder, Folder]:
    return last.refs, first.objects


def packs_in_halves(first: Moment, last: Moment) -> tuple[Folder, Folder]:
    """What was appended to a pack first is read half before that, and half after."""
    objects = dict(last.objects)
    for file in first.objects.keys() & objects.keys():
        before, after = first.objects[file], objects[file]
        same = next(
            (at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old != new),
            min(len(before), len(after)),
        )
        objects[file] = before[: same + 30] + after[len(before[: same + 30]) :]
    return first.refs, objects


def refs_in_halves(first: Moment, last: Moment) -> tuple[Folder, Folder]:
    """A ref is read while it is written over."""
    refs = dict(first.refs)
    for file, after in last.refs.items():
        before = refs.get(file, after)
        refs[file] = before[: len(before) // 2] + after[len(before) // 2 :]
    return refs, last.objects


Copy = Callable[[Moment, Moment], tuple[Folder, Folder]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world") / "store")
    world.work()
    assert {"pack", "open"} == {it.rpartition(".")[2] for it in world.files.moments[-1].objects}
    return world


@pytest.mark.parametrize("every", [61, pytest.param(1, marks=pytest.mark.thorough)])
def test_in_a_copy_that_began_with_refs_all_older_runs_are_whole(
    world: World, tmp_path: Path, every: int
) -> None:
    """Of a run that began since, it may have checkpoints, and no ref or an empty one."""
    for first, last in pairs(world, every):
        root = written(world, tmp_path, *refs_first(first, last))
        assert damaged(root) <= last.acknowledged.keys() - first.acknowledged.keys()
        assert_all_is_there(world, root, first)


@pytest.mark.parametrize("every", [61, pytest.param(1, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("copy", [objects_first, packs_in_halves, refs_in_halves])
def test_of_any_other_copy_nothing_is_lost_that_was_acknowledged_before(
    world: World, tmp_path: Path, copy: Copy, every: int
) -> None:
    """`fsck` tells what does not fit together, and repairs it."""
    told = 0
    for first, last in pairs(world, every):
        root = written(world, tmp_path, *copy(first, last))
        if damaged(root):
            told += 1
            repair(root, clock=lambda: 1_000_000_000_000, files=CountingFiles())
            assert set() == damaged(root)
        assert_all_is_there(world, root, first)
    assert told or copy is refs_in_halves


def test_what_was_sealed_while_it_was_copied_is_told_to_be_missing(
    world: World, tmp_path: Path
) -> None:
    """Of each open pack the copy has looked for the former name, and found nothing."""
    told = set()
    for first in world.files.moments:
        sealed = {it: data for it, data in first.objects.items() if it.endswith(".pack")}
        root = written(world, tmp_path, first.refs, sealed)
        runs = damaged(root)
        told |= runs & first.acknowledged.keys()
        store = Store.open(root)
        for run in first.acknowledged.keys() - runs:
            checkpoint = store.checkpoint(store.ref(run).checkpoint)
            assert world.contents[checkpoint.id] == read_all(store, checkpoint)
            assert first.acknowledged[run] in {it.checkpoint for it in store.ref(run).positions}
    assert told


def pairs(world: World, every: int) -> list[tuple[Moment, Moment]]:
    """Give the moments at which a copy may begin and end, one of *every* so many."""
    return list(combinations_with_replacement(world.files.moments, 2))[::every]


def written(world: World, folder: Path, refs: Folder, objects: Folder) -> Path:
    """Make a store in *folder* that holds these files."""
    image = dict(world.empty)
    for place, files in (("refs", refs), ("objects", objects)):
        image |= {f"{place}/{name}": data for name, data in files.items()}
    (pool := folder / "pool").mkdir(exist_ok=True)
    return write_image(image, folder / "copy", pool)


def damaged(root: Path) -> set[str]:
    """Give the runs of which fsck says that they are damaged, with "" for what is of none."""
    found = Store.open(root).check(read_data=True)
    damage = [finding.runs or ("",) for finding in found if finding.severity == "error"]
    return {run for runs in damage for run in runs}


def assert_all_is_there(world: World, root: Path, begun: Moment) -> None:
    """Everything that was acknowledged before a copy began is in it, and can be gone on from."""
    store = Store.open(root, files=CountingFiles())
    for run, checkpoint in begun.acknowledged.items():
        assert checkpoint in {it.checkpoint for it in store.ref(run).positions}
    for ref in store.refs():
        for position in ref.positions:
            found = read_all(store, store.checkpoint(position.checkpoint))
            assert world.contents.get(position.checkpoint, found) == found
        with store.own(ref.run):
            at = store.save(ref.run, {("next",): blob(b"1")}, parent=store.resolve(ref.run))
        assert at == Store.open(root).resolve(ref.run)
