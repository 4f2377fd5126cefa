"""Garbage collection, first half: what of a store would go, and why. `sweep` does it.

`plan_gc` changes nothing. It lists the packs, marks what the refs lead to, and sorts the packs:
those without a live object are deleted, those with many dead ones rewritten, small ones merged into
one. An open pack that nobody appends to counts as what it will be, a sealed one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from maverick.checkpoints.folder import alone
from maverick.checkpoints.gc.survey import Survey
from maverick.checkpoints.refs import retention
from maverick.checkpoints.refs.retention import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.sweep import GcResult
    from maverick.checkpoints.objects.ids import CheckpointId
    from maverick.checkpoints.refs.refs import Position


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes of one run: the run itself, or positions of its log; and objects that nothing else
    holds.

    An object that several runs held is the newest one's. `run` is empty for objects that no
    checkpoint leads to any more. `bytes` are as stored, compressed: the shares of the objects in
    the records that they are in.
    """

    run: str
    dropped: bool
    positions: tuple[Position, ...]
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What gc would do. `runs` are newest first, `delete` and `rewrite` names of packs, of open
    ones without what they end with.

    Objects are counted once however often they are stored, their bytes as stored. Dead objects in a
    pack that is not worth rewriting, or that somebody appends to, are among the kept ones.
    """

    runs: tuple[Removal, ...]
    removed_objects: int
    removed_bytes: int
    kept_objects: int
    delete: tuple[str, ...]
    rewrite: tuple[str, ...]
    _store: StoreFolder = field(repr=False, compare=False)
    _survey: Survey = field(repr=False, compare=False)

    def execute(self, progress: Callable[[int, int], None] | None = None) -> GcResult:
        """Do it, as far as it is still right: what came to life since is kept, what died since
        waits.

        *progress* is told of the bytes copied into new packs, and of all that will be. After a
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
        if run is not None:
            store.ref(run)
        survey = Survey(store, policy)
        try:
            survey.take()
            return _plan(store, survey)
        finally:
            survey.census.close()


def _plan(store: StoreFolder, survey: Survey) -> GcPlan:
    census, going = survey.census, (*survey.delete, *survey.rewrite)
    stays = census.held({counted.nonce for counted in going})
    sizes: dict[int, int] = {}
    for counted in going:
        for number, size in counted.sized():
            if number and not (stays[number] or census.live[number]):
                sizes.setdefault(number, size)
    lost: dict[str, list[int]] = {}
    for number, size in sizes.items():
        lost.setdefault(survey.losers[survey.loser_of[number]], []).append(size)
    return GcPlan(
        runs=tuple(_removals(survey, lost)),
        removed_objects=len(sizes),
        removed_bytes=sum(sizes.values()),
        kept_objects=census.held().count(1) - len(sizes),
        delete=tuple(it.pack.name for it in survey.delete),
        rewrite=tuple(it.pack.name for it in survey.rewrite),
        _store=store,
        _survey=survey,
    )


def _removals(survey: Survey, lost: dict[str, list[int]]) -> Iterator[Removal]:
    """Say for each run, the newest first, what goes of it: *lost* are the sizes of objects."""
    for run in dict.fromkeys((*survey.refs, *survey.losers)):
        sizes = lost.get(run, [])
        dropped = survey.fates.get(run) is Fate.DROPPED
        positions = survey.lost_positions(run) if run in survey.refs else ()
        if sizes or dropped or positions:
            yield Removal(run, dropped, positions, len(sizes), sum(sizes))
