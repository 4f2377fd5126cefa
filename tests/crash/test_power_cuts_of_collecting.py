"""The power goes at any instant of a collection beside open packs: those of processes that live,
that were killed at any operation, or while they took the pack of one that was.

What was acknowledged stays, what was collected does not come back, and whoever goes on finds the
same, also if the power goes again while it does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from kit.disks import RecordingFiles, power_cuts
from kit.faults import kill
from kit.worlds import Checker, World
from maverick.checkpoints import Store
from maverick.checkpoints.gc.collection import GcPlan

Act = Callable[[World, int], bool]
"""Does something whose operation of this number is the one that matters; says whether there are more
of them.
"""


def prepared(root: Path) -> World:
    """Two done runs, saved by who does not own them, and one that shares an open pack with another
    that can be resumed; all of it is durable.
    """
    world = World(root)
    store = world.process()
    for run in ("old", "young"):
        for kind in ("auto", "auto", "final"):
            world.save(store, run, kind=kind)
    with store.own("a"), store.own("short"):
        world.save(store, "a")
        world.save(store, "short")
        world.save(store, "short", kind="final")
    world.settle()
    return world


def runs_under_way(world: World, store: Store) -> None:
    """One that goes on, one that begins and ends, and one that is left."""
    with store.own("a"), store.own("d"):
        world.save(store, "a", size=900)
        with store.own("b"):
            world.save(store, "b")
        world.save(store, "d")
        world.save(store, "a")
        world.save(store, "d", kind="final")


def left_by_a_kill(world: World, *runs: str) -> None:
    """Save *runs*, and be killed: nobody has the pack then, and it says of them what it says."""

    def work() -> None:
        store = world.process()
        with ExitStack() as stack:
            for run in runs:
                stack.enter_context(store.own(run))
            for run in runs:
                world.save(store, run)
            kill()

    assert world.killed(work)


def own_and_save(world: World, store: Store) -> None:
    with store.own("c"):
        world.save(store, "c")
        world.save(store, "c")


def collected_after(world: World, work: Callable[[World, Store], None], number: int) -> bool:
    """Kill *work* at its operation *number*, then collect; says whether it came so far."""
    killed = world.killed(lambda: work(world, world.process()), after=number)
    world.since = len(world.files.log)
    world.collect(world.process())
    return killed


def after_a_kill(world: World, number: int) -> bool:
    """Of a process that owns runs."""
    return collected_after(world, runs_under_way, number)


def after_a_kill_of_one_that_takes_a_pack(world: World, number: int) -> bool:
    """Which another one had left."""
    left_by_a_kill(world, "a", "d")
    return collected_after(world, own_and_save, number)


def planned_while_a_pack_is_taken(world: World, number: int) -> bool:
    """And carried out beside the process that has it then, and goes on."""
    left_by_a_kill(world, "a", "d")
    store, other = world.process(), world.process()
    plans: list[GcPlan] = []
    with store.own("c"):
        with ahead_of_operation(world.files, number, lambda: plans.append(collection(other))):
            world.save(store, "c")
        world.since = len(world.files.log)
        world.execute((plans or [collection(other)])[0])
        world.save(store, "c")
    return bool(plans)


def beside_a_process_that_goes_on(world: World, number: int) -> bool:
    """Which has saved so many times before."""
    store = world.process()
    with store.own("a"), store.own("d"):
        for place in range(number):
            world.save(store, "ad"[place % 2])
        world.since = len(world.files.log)
        world.collect(world.process())
        world.save(store, "a")
        world.save(store, "d", kind="final")
        world.collect(world.process())
        world.save(store, "a")
    return number < 3


def collection(store: Store) -> GcPlan:
    return store.plan_gc(keep_last=1)


@contextmanager
def ahead_of_operation(
    files: RecordingFiles, number: int, act: Callable[[], object]
) -> Iterator[None]:
    """Do *act* ahead of operation *number* of the block."""
    at, plain = len(files.log) + number, files._may_end

    def look() -> None:
        if len(files.log) == at:
            files._may_end = plain  # type: ignore[method-assign]
            act()
        plain()

    files._may_end = look  # type: ignore[method-assign]
    yield
    files._may_end = plain  # type: ignore[method-assign]


CASES: list[Act] = [
    after_a_kill,
    after_a_kill_of_one_that_takes_a_pack,
    planned_while_a_pack_is_taken,
    beside_a_process_that_goes_on,
]


@pytest.mark.parametrize("every", [367, pytest.param(11, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("act", CASES)
def test_the_disks_that_a_collection_may_leave_keep_what_was_promised(
    tmp_path: Path, act: Act, every: int
) -> None:
    """At every operation that the process may have been killed at, or interrupted; then one of
    *every* so many disks, other ones from operation to operation. Their number is a prime.
    """
    checked = recovered = 0
    before = prepared(tmp_path / "store")
    for number in count():
        folder = tmp_path / str(number)
        world = before.copied(folder / "store")
        more = act(world, number)
        disks = list(power_cuts(world.files, 4, since=world.since))
        checker = Checker(world, folder, 25)
        checker.count = checked
        for done, image in disks[number * 7 % every :: every]:
            checker.check(done, image)
        checked, recovered = checker.count, recovered + checker.recovered
        shutil.rmtree(folder)
        if not more:
            break
    assert checked > 20
    assert recovered
