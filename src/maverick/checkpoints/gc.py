"""Garbage collection, first half: what of a store would go, and why. `sweep` does it.

`plan_gc` changes nothing. It lists the packs, marks what the refs lead to, and sorts the packs: those without
a live object are deleted, those with many dead ones rewritten, small ones merged into one.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from maverick.checkpoints import retention
from maverick.checkpoints.ids import CheckpointId, ObjectId, ObjectKind
from maverick.checkpoints.model import Checkpoint
from maverick.checkpoints.pack_index import leaning as leaning_copy
from maverick.checkpoints.retention import Fate, Policy
from maverick.checkpoints.walk import Walk
from maverick.checkpoints.whole import lost_runs
from maverick.errors import RunConflict, StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from maverick.checkpoints.pack_index import PackIndex
    from maverick.checkpoints.refs import Position, Ref
    from maverick.checkpoints.store import Store
    from maverick.checkpoints.sweep import GcResult
    from maverick.errors import RefDamaged

SMALL_PACK_BYTES = 4 << 20
"""Packs below this size are merged when there are several."""
_WORTH = 4
"""A larger pack is rewritten when more than one byte in this many is dead."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes of one run: the run itself, or positions of its log; and objects that nothing else holds.

    An object that several runs held is the newest one's. `run` is empty for objects that no checkpoint leads
    to any more. `bytes` are as stored, compressed.
    """

    run: str
    dropped: bool
    positions: tuple[Position, ...]
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What gc would do. `runs` are newest first, `delete` and `rewrite` names of packs.

    Objects are counted once however often they are stored, their bytes as stored. Dead objects in a pack that
    is not worth rewriting are among the kept ones.
    """

    runs: tuple[Removal, ...]
    removed_objects: int
    removed_bytes: int
    kept_objects: int
    kept_bytes: int
    delete: tuple[str, ...]
    rewrite: tuple[str, ...]
    _store: Store = field(repr=False, compare=False)
    _survey: Survey = field(repr=False, compare=False)

    def execute(self, progress: Callable[[int, int], None] | None = None) -> GcResult:
        """Do it, as far as it is still right: what came to life since is kept, what died since waits.

        *progress* is told of the bytes copied into the new pack, and of all that will be. After a crash at
        any instant the store is whole, and the next gc finishes the work.

        Raises:
            RunConflict: another gc is at work.
            StoreDamaged: something that must be kept cannot be read; nothing was removed.
            StoreUnwritable: nothing could be removed. A full disk is no reason for that: what fits is done.
        """
        from maverick.checkpoints.sweep import sweep  # noqa: PLC0415 - a plan alone does not need it

        return sweep(self._store, self._survey, progress)


def plan_gc(
    store: Store,
    *,
    now: int,
    keep_last: int = 5,
    keep_within: timedelta | None = None,
    run: str | None = None,
    spared: Iterable[CheckpointId] = (),
) -> GcPlan:
    """Plan what can go of *store*, as of *now* (milliseconds since the epoch). `retention` has the rules.

    With *run* only that run is considered, beside garbage that no run leads to. What is left of *spared*
    checkpoints stays, although no run may lead to them.

    Raises:
        RunConflict: a gc is at work.
        StoreDamaged: something that must be kept cannot be read, so nobody knows what it leads to.
        NotFound: there is no such *run*.
        StoreTooNew: the store has features that only a newer version may collect.
    """
    policy = replace(retention.make_policy(keep_last, keep_within, run, now), spared=tuple(spared))
    store.format.require_gc(store.root)
    with alone(store):
        survey = take_survey(store, policy)
        return _plan(store, survey)


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Keep every other gc out. Raises RunConflict if there is one."""
    held = False
    try:
        with store.locks.gc():
            held = True
            with store.locks.merge(wait=True):  # a save is merging packs, which takes a moment
                yield
    except BlockingIOError as error:
        if held:
            raise
        raise RunConflict(f"another `maverick checkpoint gc` is at work in {store.root}; wait for it to end") from error


@dataclass(frozen=True, slots=True)
class Share:
    """How many bytes of a pack are alive, not counting what a larger pack holds too, and how many are not."""

    index: PackIndex
    live: int
    dead: int


class Survey:
    """What a mark found. It can be continued, which only adds to what is alive."""

    def __init__(self, store: Store, policy: Policy, packs: list[PackIndex]) -> None:
        self.policy = policy
        self.packs = packs
        self.refs: dict[str, Ref] = {}
        self.fates: dict[str, Fate] = {}
        self.delete: list[PackIndex] = []
        self.rewrite: list[PackIndex] = []
        self._objects = store.objects
        self._walk = Walk(store.objects)

    @property
    def live(self) -> set[ObjectId]:
        """The objects that must stay."""
        return self._walk.seen

    def live_copies(self) -> set[bytes]:
        """Give the copies (see `PackIndex.copies`) that must stay, in a set of the caller's own.

        Of an object that is alive that is a whole one; a leaning one, if there is no other, and then a whole
        one of its base.
        """
        whole: set[bytes] = set()
        leaning: set[bytes] = set()
        for index in self._objects.packs():
            for raw_id, place in index.rows():
                (leaning if place.leans else whole).add(raw_id)
        leaning -= whole
        live = {bytes.fromhex(object_id) for object_id in self._walk.seen}
        bases = {bytes.fromhex(object_id) for object_id in self._walk.bases}
        return {leaning_copy(raw_id) if raw_id in leaning else raw_id for raw_id in live} | bases

    def note_leans(self, object_ids: Iterable[ObjectId]) -> None:
        """Take what *object_ids* lean on, now that they are there, for as much alive as they are."""
        for object_id in object_ids:
            leans = self._objects.leans(object_id)
            self._walk.bases.update(leans.bases)
            self._walk.seen.update(chunk for chunk, _ in leans.chunks)

    def mark(self, refs: Iterable[Ref], fates: dict[str, Fate]) -> None:
        """Find what must stay of *refs*. Raises StoreDamaged if some of it cannot be read."""
        for ref in refs:
            for visit in self._walk.visit(retention.roots(ref, fates[ref.run])):
                if isinstance(visit.error, StoreTooNew):
                    raise visit.error
                if visit.error is not None:
                    self._walk.seen.discard(visit.id)
                    raise StoreDamaged(
                        f"gc removed nothing, because run {ref.run} is damaged: {visit.error}"
                    ) from visit.error

    def mark_lost(self, store: Store) -> None:
        """Keep what is left of runs that have lost their refs: `fsck --repair` finds them by their checkpoints."""
        ids = {it for index in self.packs for it, place in index if place.kind is ObjectKind.CHECKPOINT}
        dead = [it for object_id in ids - self.live if (it := _checkpoint(store, object_id)) is not None]
        for found in lost_runs(store, self.refs, dead).values():
            self.spare(it.id for it in found)

    def spare(self, checkpoints: Iterable[CheckpointId]) -> None:
        """Keep of *checkpoints* what there is of them."""
        for visit in self._walk.visit(checkpoints):
            if visit.error is not None:
                self._walk.seen.discard(visit.id)


def take_survey(store: Store, policy: Policy, before: Survey | None = None) -> Survey:
    """List the packs, then mark, without any lock but gc's. *before* is a survey whose decisions bind this one."""
    store.objects.refresh()
    survey = Survey(store, policy, store.objects.packs())
    refs = read_refs(store)
    survey.refs = {ref.run: ref for ref in refs}
    survey.fates = decide(store, refs, policy, before)
    survey.mark(refs, survey.fates)
    survey.mark_lost(store)
    survey.spare(policy.spared)
    shares = list(_shares(survey.packs, survey.live_copies()))
    survey.delete = [share.index for share in shares if not share.live]
    survey.rewrite = _worth_rewriting([share for share in shares if share.live])
    return survey


def read_refs(store: Store) -> list[Ref]:
    """Give all refs. Raises RefDamaged if one cannot be read: what its run leads to is unknown then."""
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    for error in damaged:
        raise error
    return refs


def decide(store: Store, refs: list[Ref], policy: Policy, before: Survey | None) -> dict[str, Fate]:
    """Give the fate of each run; after a survey, nothing worse than that one decided for the same ref."""
    if policy.run is not None and before is not None and policy.run not in {ref.run for ref in refs}:
        return {ref.run: Fate.WHOLE for ref in refs}
    fates = retention.fates(refs, policy, store.is_owned)
    if before is None:
        return fates
    same = {ref.run for ref in refs if _stands_still(ref, before.refs.get(ref.run))}
    return retention.greater(fates, {run: fate for run, fate in before.fates.items() if run in same})


def _stands_still(ref: Ref, before: Ref | None) -> bool:
    """Say whether a run is where it was; that gc has shortened its log does not count."""
    return before is not None and replace(ref, positions=()) == replace(before, positions=())


def _shares(packs: list[PackIndex], live: set[bytes]) -> Iterator[Share]:
    claimed: set[bytes] = set()
    for index in sorted(packs, key=lambda index: (-index.size, index.name)):
        live_bytes = dead_bytes = 0
        for copy, place in index.copies():
            if copy in live and copy not in claimed:
                claimed.add(copy)
                live_bytes += place.length
            else:
                dead_bytes += place.length
        yield Share(index, live_bytes, dead_bytes)


def _worth_rewriting(shares: list[Share]) -> list[PackIndex]:
    small = [share for share in shares if share.index.size < SMALL_PACK_BYTES]
    large = [share for share in shares if share.index.size >= SMALL_PACK_BYTES]
    chosen = [share for share in large if share.dead * _WORTH > share.live + share.dead]
    if len(small) > 1 or any(share.dead for share in small):
        chosen += small
    return [share.index for share in chosen]


def _plan(store: Store, survey: Survey) -> GcPlan:
    victims = {index.name for index in (*survey.delete, *survey.rewrite)}
    sizes = {copy: place.length for index in survey.packs for copy, place in index.copies()}
    staying = survey.live_copies()
    for index in survey.packs:
        if index.name not in victims:
            staying.update(copy for copy, _ in index.copies())
    removed = {copy: size for copy, size in sizes.items() if copy not in staying}
    kept = sizes.keys() - removed.keys()
    return GcPlan(
        runs=tuple(_removals(store, survey, removed)),
        removed_objects=len(removed),
        removed_bytes=sum(removed.values()),
        kept_objects=len(kept),
        kept_bytes=sum(sizes[copy] for copy in kept),
        delete=tuple(index.name for index in survey.delete),
        rewrite=tuple(index.name for index in survey.rewrite),
        _store=store,
        _survey=survey,
    )


def _removals(store: Store, survey: Survey, removed: dict[bytes, int]) -> Iterator[Removal]:
    """Say for each run what goes of it. Each removed object belongs to the newest run that leads to it."""
    held = _held_by_run(store, survey, removed)
    rest = dict(removed)
    for run in _newest_first(survey, held):
        copies = [copy for raw_id in held.get(run, ()) for copy in (raw_id, leaning_copy(raw_id))]
        sizes = [rest.pop(copy) for copy in copies if copy in rest]
        dropped = survey.fates.get(run) is Fate.DROPPED
        ref = survey.refs.get(run)
        positions = lost_positions(ref, survey.fates[run], survey.live) if ref is not None else ()
        if sizes or dropped or positions:
            yield Removal(run, dropped, positions, len(sizes), sum(sizes))
    if rest:
        yield Removal("", dropped=False, positions=(), objects=len(rest), bytes=sum(rest.values()))


def lost_positions(ref: Ref, fate: Fate, live: set[ObjectId]) -> tuple[Position, ...]:
    """Give the positions that go out of a run's log."""
    if fate is Fate.WHOLE:
        return ()
    return tuple(position for position in ref.positions if position.checkpoint not in live)


def _newest_first(survey: Survey, held: dict[str, list[bytes]]) -> list[str]:
    known = sorted(survey.refs.values(), key=lambda ref: (-ref.updated, ref.run))
    return [*(ref.run for ref in known), *(run for run in held if run not in survey.refs)]


def _held_by_run(store: Store, survey: Survey, removed: dict[bytes, int]) -> dict[str, list[bytes]]:
    """Give the removed objects that the collected checkpoints of each run lead to, the newest run first."""
    dead = {
        object_id
        for index in survey.packs
        for object_id, place in index
        if place.kind is ObjectKind.CHECKPOINT and bytes.fromhex(object_id) in removed
    }
    checkpoints = [it for object_id in dead if (it := _checkpoint(store, object_id)) is not None]
    walk = Walk(store.objects, survey.live)
    held: dict[str, list[bytes]] = {}
    for checkpoint in sorted(checkpoints, key=lambda it: _age(survey, it)):
        visits = walk.visit([checkpoint.id])
        held.setdefault(checkpoint.run, []).extend(bytes.fromhex(visit.id) for visit in visits)
    return held


def _age(survey: Survey, checkpoint: Checkpoint) -> tuple[int, str, int]:
    ref = survey.refs.get(checkpoint.run)
    return -(ref.updated if ref is not None else checkpoint.created), checkpoint.run, -checkpoint.sequence


def _checkpoint(store: Store, object_id: ObjectId) -> Checkpoint | None:
    try:
        return store.checkpoint(CheckpointId(object_id))
    except (StoreDamaged, StoreTooNew):
        return None  # it goes all the same
