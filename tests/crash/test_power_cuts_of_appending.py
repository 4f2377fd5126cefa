"""The power goes at any instant while saves are appended: whatever sectors, sizes and names the disk
has by then, nothing acknowledged is lost, nothing that failed or was dropped is found, and whoever
goes on finds the same, also if the power goes again while it does.

`tests/kit/disks.py` is the model of the disk. The disks of a case are dealt to its shards by their
number.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.disks import power_cuts
from kit.faults import Killed, kill
from kit.shards import SHARDS, sharded, share
from kit.worlds import Checker, World
from maverick.checkpoints.objects import open_pack

MOST = 16


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

    assert world.killed(work, after=after)
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

    assert world.killed(work)
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
            kill()

    assert world.killed(work)
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
    checker = Checker(world, tmp_path, 25 if most == MOST else 5)
    for done, image in share(shard, disks):
        checker.check(done, image)
    assert len(disks) >= len(world.files.log)
    assert checker.count >= len(disks) // SHARDS
    assert checker.recovered
