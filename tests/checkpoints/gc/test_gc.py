"""What gc keeps, what it removes, and what it says of it."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import begin, extend, flip, read_all, step
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, blob_id
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.refs import retention
from maverick.errors import (
    NotFound,
    ObjectMissing,
    RefDamaged,
    RefMoved,
    RunConflict,
    StoreDamaged,
    UsageError,
)

HOUR_MS = 3_600_000


class Clock:
    """A clock that is set by hand; each look takes a millisecond."""

    def __init__(self) -> None:
        self.now = 1_000_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return Store.create(tmp_path / "store", clock=clock, files=CountingFiles())


def run_to_end(store: Store, run: str, *, group: str = "fly", steps: int = 3) -> Checkpoint:
    """A done run, each with an output of its own."""
    at = extend(store, begin(store, run, group=group), range(steps))
    return store.save(run, {("output",): value(f"output of {run}")}, parent=at, kind="final")


def runs(store: Store) -> list[str]:
    return sorted(ref.run for ref in store.refs())


def objects(store: Store) -> set[str]:
    store.objects.packs.refresh()
    return {it for pack in store.objects.packs.listed() for _, _, it in pack.objects()}


def remove_pack_of(store: Store, object_id: ObjectId) -> None:
    place = store.objects.packs.find(object_id)
    assert place is not None
    (store.root / "objects" / place.pack.file).unlink()


def listed(store: Store, folder: str) -> list[str]:
    return sorted(path.name for path in (store.root / folder).iterdir())


def nobody_owns(run: str) -> bool:
    return False


def test_of_done_runs_the_newest_of_each_group_stay(store: Store) -> None:
    for number in range(4):
        run_to_end(store, f"fly-{number}")
        run_to_end(store, f"review-{number}", group="review")

    result = store.plan_gc(keep_last=2).execute()

    assert ["fly-2", "fly-3", "review-2", "review-3"] == runs(store)
    assert ["fly-0", "fly-1", "review-0", "review-1"] == sorted(result.runs)
    for run in runs(store):
        read_all(store, store.resolve(run))


def test_young_runs_stay(store: Store, clock: Clock) -> None:
    run_to_end(store, "old")
    clock.now += 48 * HOUR_MS
    run_to_end(store, "young")

    store.plan_gc(keep_last=0, keep_within=timedelta(days=1)).execute()

    assert ["young"] == runs(store)


def test_a_run_that_can_be_resumed_stays_whole(store: Store) -> None:
    """Also its log: what stands there can be gone back to."""
    first = begin(store)
    at = extend(store, first, range(30))
    run_to_end(store, "done")

    store.plan_gc(keep_last=0).execute()

    ref = store.ref("run-1")
    assert 16 == len(ref.positions)
    for position in ref.positions:
        read_all(store, store.checkpoint(position.checkpoint))
    with pytest.raises(ObjectMissing):
        store.checkpoint(first.id)
    extend(store, at, range(30, 31))


def test_of_a_done_run_the_newest_checkpoint_and_the_labelled_ones_stay(store: Store) -> None:
    """Its log names them, and nothing that is gone."""
    at = extend(store, begin(store), range(2))
    labelled = at = store.save("run-1", {}, parent=at, kind="label", label="planned")
    between = at = extend(store, at, range(2, 4))
    final = store.save("run-1", {}, parent=at, kind="final")

    plan = store.plan_gc()
    plan.execute()

    assert [labelled.id, final.id] == [
        position.checkpoint for position in store.ref("run-1").positions
    ]
    assert labelled == store.resolve("run-1@planned")
    read_all(store, labelled)
    read_all(store, final)
    with pytest.raises(ObjectMissing):
        store.checkpoint(between.id)
    assert [("run-1", False, 5)] == [(it.run, it.dropped, len(it.positions)) for it in plan.runs]
    assert [] == list(store.check(read_data=True))


def test_what_is_tagged_stays(store: Store) -> None:
    """With the run whose ref has the tag."""
    at = extend(store, begin(store), range(2))
    store.save("run-1", {}, parent=extend(store, at, range(2, 5)), kind="final")
    store.tag("run-1", "good", at)

    store.plan_gc(keep_last=0).execute()

    assert at == store.resolve("run-1@good")
    read_all(store, at)
    read_all(store, store.resolve("run-1"))


def test_a_run_that_somebody_owns_is_not_touched(store: Store) -> None:
    run_to_end(store, "mine")
    before = store.ref("mine")

    with store.own("mine"):
        result = store.plan_gc(keep_last=0).execute()

    assert () == result.runs
    assert before == store.ref("mine")
    for position in before.positions:
        read_all(store, store.checkpoint(position.checkpoint))


def test_a_run_that_is_owned_since_the_plan_is_not_touched(store: Store) -> None:
    run_to_end(store, "mine")
    before = store.ref("mine")
    plan = store.plan_gc(keep_last=0)

    with store.own("mine"):
        plan.execute()

    assert before == store.ref("mine")
    for position in before.positions:
        read_all(store, store.checkpoint(position.checkpoint))


def test_only_the_run_that_is_asked_for_goes(store: Store) -> None:
    """And of no other run so much as a position."""
    for number in range(3):
        run_to_end(store, f"fly-{number}")
    others = [store.ref("fly-0"), store.ref("fly-2")]

    store.plan_gc(keep_last=0, run="fly-1").execute()

    assert ["fly-0", "fly-2"] == runs(store)
    assert others == [store.ref("fly-0"), store.ref("fly-2")]
    with pytest.raises(NotFound, match="fly-1"):
        store.plan_gc(run="fly-1")


def test_a_plan_says_what_execute_does(store: Store) -> None:
    """Run by run, and in sum; a dry run is a plan that is not executed."""
    for number in range(3):
        run_to_end(store, f"fly-{number}")
    extend(store, begin(store, "open"), range(30))
    store.drop("fly-2")
    before = objects(store)

    plan = store.plan_gc(keep_last=1)
    assert before == objects(store)
    assert ["fly-0", "fly-1", "open"] == runs(store)
    result = plan.execute()

    assert plan.removed_objects == result.removed_objects == len(before) - len(objects(store))
    assert plan.removed_bytes == result.removed_bytes == sum(it.bytes for it in plan.runs)
    assert plan.removed_objects == sum(it.objects for it in plan.runs)
    assert plan.kept_objects == result.kept_objects == len(objects(store))
    assert [("open", False), ("fly-1", False), ("fly-0", True), ("fly-2", False)] == [
        (it.run, it.dropped) for it in plan.runs
    ]
    assert 0 < result.freed_bytes
    assert ("fly-0",) == result.runs


def test_an_object_of_several_dead_runs_counts_for_the_newest(store: Store) -> None:
    shared = {("shared",): blob(os.urandom(5000))}
    for run in ("older", "newer"):
        store.save(run, {}, parent=store.save(run, shared, parent=None), kind="final")

    older, newer = sorted(store.plan_gc(keep_last=0).runs, key=lambda it: it.bytes)

    assert ("older", "newer") == (older.run, newer.run)
    assert older.bytes < 5000 < newer.bytes


def test_bytes_that_no_checkpoint_leads_to_have_no_run(store: Store) -> None:
    """A save that was killed may leave them."""
    begin(store)
    data = os.urandom(100)
    store.objects.write([NewObject(ObjectKind.BLOB, blob_id(data), data)])

    plan = store.plan_gc()

    assert [("", False, 1)] == [(it.run, it.dropped, it.objects) for it in plan.runs]
    assert 1 == plan.execute().removed_objects


def test_gc_leaves_one_small_pack_and_then_nothing_to_do(store: Store) -> None:
    """Listing many packs would cost each save."""
    extend(store, begin(store), range(40))

    store.plan_gc().execute()
    again = store.plan_gc()

    assert 1 == len(store.objects.packs.listed())
    assert ((), (), 0, ()) == (again.runs, again.delete, again.removed_objects, again.rewrite)
    assert again.execute().removed_objects == 0
    assert [] == listed(store, "trash")


def test_a_large_pack_is_rewritten_only_when_enough_of_it_is_dead(store: Store) -> None:
    """What stays in it counts as kept."""
    large = {(f"{number}",): blob(os.urandom(1 << 20)) for number in range(5)}
    at = store.save("r", {**large}, parent=None)
    (pack,) = store.objects.packs.listed()
    at = store.save("r", {("0",): None}, parent=at, kind="final")

    one_dead = store.plan_gc()
    one_dead.execute()
    assert pack.name not in one_dead.rewrite
    assert one_dead.removed_bytes < 1 << 20
    assert one_dead.kept_objects == len(objects(store))
    at = store.save("r", {("1",): None}, parent=at, kind="final")
    two_dead = store.plan_gc()
    two_dead.execute()

    assert pack.name in two_dead.rewrite
    assert 2 << 20 < two_dead.removed_bytes < 3 << 20
    read_all(store, at)


def test_a_plan_keeps_what_came_to_life_since(store: Store) -> None:
    """A save after the plan finds dead objects, and needs not write them again."""
    at = begin(store)
    at = store.save("run-1", {("big",): blob(b"x" * 5000)}, parent=at)
    at = extend(store, store.save("run-1", {("big",): None}, parent=at), range(20))
    plan = store.plan_gc()
    at = store.save("run-1", {("big",): blob(b"x" * 5000)}, parent=at)

    plan.execute()

    assert b"x" * 5000 == store.load("run-1").data("big")
    read_all(store, at)


def test_a_plan_spares_a_run_that_moved_since(store: Store) -> None:
    """It was resumed: another process may be at work on it, or will be."""
    at = run_to_end(store, "done")
    plan = store.plan_gc(keep_last=0)
    at = store.save("done", step(9), parent=at)

    assert () == plan.execute().runs
    read_all(store, at)
    for position in store.ref("done").positions:
        read_all(store, store.checkpoint(position.checkpoint))


def test_a_plan_can_be_executed_after_another_gc(store: Store) -> None:
    """Its packs are gone; it looks again, and removes no more than it planned."""
    for number in range(3):
        run_to_end(store, f"fly-{number}")
    plan, other = store.plan_gc(keep_last=1), store.plan_gc(keep_last=2)
    other.execute()

    plan.execute()

    assert ["fly-2"] == runs(store)
    read_all(store, store.resolve("fly-2"))
    assert [] == list(store.check(read_data=True))


def test_a_run_that_is_dropped_while_gc_copies_stays_dropped(store: Store) -> None:
    """Although its shorter ref was written already."""
    extend(store, begin(store, "open"), range(2))
    run_to_end(store, "done")
    plan = Store.open(store.root, files=CountingFiles()).plan_gc()

    def drop(done: int, total: int) -> None:
        if "done" in runs(store):
            store.drop("done")

    plan.execute(drop)

    assert ["open"] == runs(store)
    assert [] == listed(store, "tmp")
    assert [] == list(store.check(read_data=True))


def test_a_second_gc_is_refused(store: Store) -> None:
    plan = store.plan_gc()
    with store.locks.gc():
        with pytest.raises(RunConflict, match="another `maverick gc` is at work"):
            store.plan_gc()
        with pytest.raises(RunConflict):
            plan.execute()


def test_gc_waits_for_saves_in_flight(store: Store) -> None:
    """What they have found must stay until their refs lead to it."""
    run_to_end(store, "done")
    seen: list[str] = []

    class Late(CountingFiles):
        def rename(self, source: Path, target: Path) -> None:
            if target.parent.name == "trash":
                seen.append("moved")
            super().rename(source, target)

    other = Store.open(store.root, files=Late())
    plan = other.plan_gc(keep_last=0)
    thread = threading.Thread(target=plan.execute)
    with store.locks.shared():
        thread.start()
        thread.join(0.1)
        assert [] == seen
        assert ["done"] == runs(store)
    thread.join()
    assert seen
    assert [] == runs(store)


def test_gc_refuses_while_a_live_object_cannot_be_read(store: Store) -> None:
    """Nobody knows what it led to."""
    extend(store, begin(store), range(2))
    run_to_end(store, "other")
    before = store.ref("run-1")
    remove_pack_of(store, before.tree)
    fresh = Store.open(store.root)

    with pytest.raises(
        StoreDamaged, match=r"gc removed nothing, because run run-1 .* missing.*fsck"
    ):
        fresh.plan_gc(keep_last=0)
    assert ["other", "run-1"] == runs(fresh)


def test_gc_refuses_while_a_ref_cannot_be_read(store: Store) -> None:
    """What it led to may be needed to build it again."""
    begin(store)
    run_to_end(store, "other")
    (store.root / "refs" / "run-1").write_bytes(b"")

    with pytest.raises(RefDamaged, match="run-1"):
        store.plan_gc(keep_last=0)


def test_damage_that_comes_after_the_plan_stops_gc_before_it_removes_anything(store: Store) -> None:
    run_to_end(store, "other")
    at = extend(store, begin(store), range(2))
    plan = store.plan_gc(keep_last=0)
    at = extend(store, at, range(2, 3))
    remove_pack_of(store, at.tree)

    with pytest.raises(StoreDamaged, match="gc removed nothing"):
        plan.execute()
    assert ["other", "run-1"] == runs(store)


def test_a_pack_with_a_damaged_live_object_stays_as_it_is(store: Store) -> None:
    """Copying the damage would hide where it came from."""
    at = store.save(
        "r", {("a",): blob(os.urandom(999)), ("b",): blob(os.urandom(999))}, parent=None
    )
    at = store.save("r", {("b",): None}, parent=at)
    damaged = store.load("r").entry("a").id
    place = store.objects.packs.find(damaged)
    assert place is not None
    data = flip(store, damaged, 100)
    store.save("r", {}, parent=at, kind="final")

    result = store.plan_gc().execute()

    assert (place.pack.name,) == result.left
    assert data == (store.root / "objects" / place.pack.file).read_bytes()


def test_a_store_that_has_sealed_and_collected_reads_what_is_left(store: Store) -> None:
    """The pack that it sealed before it had listed any is gone then."""
    at = store.save("r", {("a",): blob(b"a pack of its own")}, parent=None)
    with store.own("r"):
        at = store.save("r", {("a",): blob(os.urandom(300_000))}, parent=at)
    other = Store.open(store.root)

    other.plan_gc().execute()
    other.tag("r", "good", at)

    assert {"good": at.id} == other.ref("r").tags


def test_progress_ends_with_all_bytes(store: Store) -> None:
    extend(store, begin(store), range(5))
    seen: list[tuple[int, int]] = []

    store.plan_gc().execute(lambda done, total: seen.append((done, total)))

    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > 0


def test_a_fork_of_a_collected_run_is_refused(store: Store) -> None:
    at = run_to_end(store, "done")
    store.plan_gc(keep_last=0).execute()

    with pytest.raises(NotFound, match="collected"):
        store.save("fork", {}, parent=at)
    with pytest.raises(RefMoved):
        store.save("done", {}, parent=at)


def test_a_fork_keeps_what_it_leads_to(store: Store) -> None:
    """The labelled checkpoint of a run that is gone stays for it."""
    at = store.save(
        "done", {("a",): value(1)}, parent=None, kind="label", label="here", group="fly"
    )
    at = store.save("done", {}, parent=at, kind="final")
    fork = store.save("fork", {}, parent=at)

    store.plan_gc(keep_last=0).execute()

    assert ["fork"] == runs(store)
    assert "here" == store.checkpoint(fork.labelled).label
    assert [] == list(store.check(read_data=True))


def test_keeping_less_than_nothing_is_refused(store: Store) -> None:
    with pytest.raises(UsageError):
        store.plan_gc(keep_last=-1)
    with pytest.raises(UsageError):
        store.plan_gc(keep_within=timedelta(days=-1))


def test_the_rules_are_about_refs_alone(store: Store) -> None:
    """Ranks count done runs; one that is not done is in nobody's way."""
    for number in range(3):
        begin(store, f"open-{number}")
    run_to_end(store, "done")
    policy = retention.make_policy(1, None, None, 0)

    fates = retention.fates(store.refs(), policy, nobody_owns)

    assert retention.Fate.ENDS == fates.pop("done")
    assert {retention.Fate.WHOLE} == set(fates.values())


def test_gc_keeps_what_is_left_of_a_run_that_has_lost_its_ref(store: Store) -> None:
    """Nobody dropped it, and repair can build the ref again from its checkpoints."""
    at = extend(store, begin(store), range(2))
    content = read_all(store, at)
    (store.root / "refs" / "run-1").unlink()

    assert 0 == store.plan_gc(keep_last=0).execute().removed_objects

    assert content == read_all(store, at)
    store.repair()
    assert at == store.resolve("run-1")
