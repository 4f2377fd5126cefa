"""Garbage collection, first half: what of a store would go, and why. `sweep` does it.

`plan_gc` changes nothing. It lists the packs, marks what the refs lead to, and sorts the packs:
those without a live object are deleted, those with many dead ones rewritten, small ones merged into
one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from maverick.checkpoints.folder import alone
from maverick.checkpoints.gc.survey import lost_positions, take_survey
from maverick.checkpoints.objects.pack_index import leaning as leaning_copy
from maverick.checkpoints.refs import retention
from maverick.checkpoints.refs.refs import by_start
from maverick.checkpoints.refs.retention import Fate
from maverick.checkpoints.trees.closure import ClosureWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.survey import Survey
    from maverick.checkpoints.gc.sweep import GcResult
    from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
    from maverick.checkpoints.refs.refs import Position
    from maverick.checkpoints.trees.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes of one run: the run itself, or positions of its log; and objects that nothing else
    holds.

    An object that several runs held is the newest one's. `run` is empty for objects that no
    checkpoint leads to any more. `bytes` are as stored, compressed.
    """

    run: str
    dropped: bool
    positions: tuple[Position, ...]
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What gc would do. `runs` are newest first, `delete` and `rewrite` names of packs.

    Objects are counted once however often they are stored, their bytes as stored. Dead objects in a
    pack that is not worth rewriting are among the kept ones.
    """

    runs: tuple[Removal, ...]
    removed_objects: int
    removed_bytes: int
    kept_objects: int
    kept_bytes: int
    delete: tuple[str, ...]
    rewrite: tuple[str, ...]
    _store: StoreFolder = field(repr=False, compare=False)
    _survey: Survey = field(repr=False, compare=False)

    def execute(self, progress: Callable[[int, int], None] | None = None) -> GcResult:
        """Do it, as far as it is still right: what came to life since is kept, what died since
        waits.

        *progress* is told of the bytes copied into the new pack, and of all that will be. After a
        crash at any instant the store is whole, and the next gc finishes the work.

        Raises:
            RunConflict: another gc is at work.
            StoreDamaged: something that must be kept cannot be read; nothing was removed.
            StoreUnwritable: nothing could be removed. A full disk is no reason for that: what fits
                is done.
        """
        from maverick.checkpoints.gc.sweep import sweep  # noqa: PLC0415 - a plan alone does not need it

        return sweep(self._store, self._survey, progress)


def plan_gc(
    store: StoreFolder,
    *,
    now: int,
    keep_last: int = 5,
    keep_within: timedelta | None = None,
    run: str | None = None,
    spared: Iterable[CheckpointId] = (),
) -> GcPlan:
    """Plan what can go of *store*, as of *now* (milliseconds since the epoch). `retention` has the
    rules.

    With *run* only that run is considered, beside garbage that no run leads to. What is left of
    *spared* checkpoints stays, although no run may lead to them.

    Raises:
        UsageError: locks cannot be trusted, so that nothing may be removed.
        RunConflict: a gc is at work.
        StoreDamaged: something that must be kept cannot be read, so nobody knows what it leads to.
        NotFound: there is no such *run*.
        StoreTooNew: the store has features that only a newer version may collect.
    """
    policy = replace(retention.make_policy(keep_last, keep_within, run, now), spared=tuple(spared))
    store.format.require_gc(store.root)
    with alone(store, "collect garbage"):
        survey = take_survey(store, policy)
        try:
            return _plan(store, survey)
        finally:
            survey.source.close()


def _plan(store: StoreFolder, survey: Survey) -> GcPlan:
    victims = {index.name for index in (*survey.delete, *survey.rewrite)}
    sizes = {copy: place.length for index in survey.packs for copy, place in index.copies()}
    staying = survey.live_copies()
    for index in survey.packs:
        if index.name not in victims:
            staying.update(copy for copy, _ in index.copies())
    removed = {copy: size for copy, size in sizes.items() if copy not in staying}
    kept = sizes.keys() - removed.keys()
    return GcPlan(
        runs=tuple(_removals(survey, removed)),
        removed_objects=len(removed),
        removed_bytes=sum(removed.values()),
        kept_objects=len(kept),
        kept_bytes=sum(sizes[copy] for copy in kept),
        delete=tuple(index.name for index in survey.delete),
        rewrite=tuple(index.name for index in survey.rewrite),
        _store=store,
        _survey=survey,
    )


def _removals(survey: Survey, removed: dict[bytes, int]) -> Iterator[Removal]:
    """Say for each run what goes of it. Each removed object belongs to the newest run that leads to
    it.
    """
    held = _held_by_run(survey)
    rest = dict(removed)
    for run in _newest_first(survey, held):
        copies = [copy for object_id in held.get(run, ()) for copy in _copies(object_id)]
        sizes = [rest.pop(copy) for copy in copies if copy in rest]
        dropped = survey.fates.get(run) is Fate.DROPPED
        ref = survey.refs.get(run)
        positions = lost_positions(ref, survey.fates[run], survey.live) if ref is not None else ()
        if sizes or dropped or positions:
            yield Removal(run, dropped, positions, len(sizes), sum(sizes))
    if rest:
        yield Removal("", dropped=False, positions=(), objects=len(rest), bytes=sum(rest.values()))


def _newest_first(survey: Survey, held: dict[str, list[ObjectId]]) -> list[str]:
    refs = sorted(survey.refs.values(), key=by_start)
    return [*(ref.run for ref in refs), *(run for run in held if run not in survey.refs)]


def _held_by_run(survey: Survey) -> dict[str, list[ObjectId]]:
    """Give the objects that nothing needs but the dead checkpoints of each run, the newest run
    first.

    A dead checkpoint may stay itself, as the base of another.
    """
    dead = [checkpoint for checkpoint in survey.dead if checkpoint.id not in survey.live]
    walk = ClosureWalk(survey.source, survey.live, dead)
    held: dict[str, list[ObjectId]] = {}
    for checkpoint in sorted(dead, key=lambda checkpoint: _age(survey, checkpoint)):
        held.setdefault(checkpoint.run, []).extend(
            visit.id for visit in walk.visit([checkpoint.id])
        )
    return held


def _copies(object_id: ObjectId) -> tuple[bytes, bytes]:
    raw_id = bytes.fromhex(object_id)
    return raw_id, leaning_copy(raw_id)


def _age(survey: Survey, checkpoint: Checkpoint) -> tuple[int, int, str, int]:
    ref = survey.refs.get(checkpoint.run)
    order, started, run = (
        by_start(ref) if ref is not None else (0, -checkpoint.created, checkpoint.run)
    )
    return order, started, run, -checkpoint.sequence
