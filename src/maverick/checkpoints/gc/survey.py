"""What of a store is alive: gc's mark, which can be continued, and the packs that are worth
touching.

The refs are read, retention decides the fate of each run, and what they lead to is marked. Each
tree and checkpoint that is marked is read and compared with its id, a list is read; of a blob it is
enough that a pack holds it. What is left of runs that have lost their refs is marked as well.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.locks import is_locked
from maverick.checkpoints.gc.census import Census
from maverick.checkpoints.gc.sizes import sizes_of
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import RecordDamaged, run_tag
from maverick.checkpoints.refs import retention, run_commits
from maverick.checkpoints.refs.dropped import lost_runs
from maverick.checkpoints.refs.refs import by_start, newer, standing
from maverick.checkpoints.refs.retention import Fate, Policy
from maverick.errors import ObjectMissing, RefDamaged, StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.census import Counted, Stored
    from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.refs.refs import Position, Ref
    from maverick.checkpoints.trees.checkpoint import Checkpoint

SMALL_PACK_BYTES = 4 << 20
"""Packs below this size are merged when there are several."""
_WORTH = 4
"""A larger pack is rewritten when more than one byte in this many is dead."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many bytes of a pack are alive, not counting what is alive in another one, and how many
    are not.
    """

    counted: Counted
    live: int
    dead: int


class Survey:
    """What a mark found. It can be continued, which only adds to what is alive."""

    def __init__(self, store: StoreFolder, policy: Policy) -> None:
        self.policy = policy
        self.census = Census(store)
        self.refs: dict[str, Ref] = {}
        self.fates: dict[str, Fate] = {}
        self.delete: list[Counted] = []
        self.rewrite: list[Counted] = []
        self.dead: list[Checkpoint] = []
        """The checkpoints that no ref leads to."""
        self.losers: list[str] = []
        """The runs that have dead checkpoints, the newest first; then none."""
        self.loser_of = array("I")
        """By number: which of `losers` (from 1 on) is the first that leads to an object; 0 if it is
        alive.
        """
        self.sizes: dict[bytes, array[int]] = {}
        """By nonce: how many bytes each object of a pack has there."""
        self._store = store
        self._live = bytearray()

    @property
    def live(self) -> bytearray:
        """Says for each number of the census whether the object must stay."""
        self._live.extend(bytes(len(self.census) - len(self._live)))
        return self._live

    def is_live(self, object_id: ObjectId) -> bool:
        number = self.census.number(object_id)
        return bool(self.live[number])

    @property
    def runs(self) -> set[str] | None:
        """The runs of which there is a checkpoint in the packs; None if some cannot be read."""
        census = self.census
        if not census.is_whole or any(
            census.kind(number) is ObjectKind.CHECKPOINT and number not in census.checkpoints
            for number in range(len(census))
        ):
            return None
        return {checkpoint.run for checkpoint in census.checkpoints.values()}

    def kept_without_ref(self) -> set[str]:
        """Give the runs that no ref leads to, but of which something stays."""
        return {checkpoint.run for checkpoint in self.dead if self.is_live(checkpoint.id)}

    # --- marking ---

    def mark(self, refs: Iterable[Ref], fates: dict[str, Fate]) -> None:
        """Find what must stay of *refs*. Raises StoreDamaged if some of it cannot be read."""
        roots = {ref.run: retention.roots(ref, fates[ref.run]) for ref in refs}
        for number in self._marked(id_ for ids_ in roots.values() for id_ in ids_):
            try:
                self._read_apart(number)
            except StoreTooNew:
                raise
            except StoreDamaged as error:
                run = next((it for it in roots if number in self._below(roots[it])), "")
                raise StoreDamaged(
                    f"gc removed nothing, because run {run} is damaged: {error}"
                ) from error

    def spare(self, checkpoints: Iterable[CheckpointId]) -> None:
        """Keep of *checkpoints* what there is of them."""
        for number in self._marked(checkpoints):
            self.live[number] = 0

    def mark_lost(self) -> None:
        """Keep what is left of runs that have lost their refs: `fsck --repair` finds them by their
        checkpoints.
        """
        live = self.live
        self.dead = [it for number, it in self.census.checkpoints.items() if not live[number]]
        lost = lost_runs(self._store.files, self._store.root, self.refs, self.dead)
        self.spare([checkpoint.id for left in lost.values() for checkpoint in left])

    def _marked(self, checkpoints: Iterable[CheckpointId]) -> Iterator[int]:
        """Mark what *checkpoints* lead to; yields what of it is not there, or not as it should be,
        as far as the packs say.
        """
        todo = [self.census.number(checkpoint) for checkpoint in checkpoints]
        while todo:
            new = self._reach(todo, self.live)
            left = self._verify(new, todo)
            if left:  # It may have been saved since the packs were looked at.
                self.census.refresh()
                left = self._verify(left, todo)
            for number in left:
                yield number
                todo.extend(self.census.links.get(number, ()))

    def _reach(self, todo: list[int], seen: bytearray) -> list[int]:
        """Give *todo*, which is used up, and what is below, but for what was *seen*: by number, as
        all is that is given.
        """
        links, new = self.census.links, list[int]()
        while todo:
            number = todo.pop()
            if not seen[number]:
                seen[number] = 1
                new.append(number)
                todo.extend(links.get(number, ()))
        return new

    def _verify(self, numbers: Iterable[int], todo: list[int]) -> set[int]:
        """Read what of *numbers* is no blob, in the order in which it is stored; gives what is in
        no pack as it should be. *todo* gets what the others name.
        """
        census, held = self.census, self.census.held()
        wanted = {it for it in numbers if not held[it] or census.kind(it) is not ObjectKind.BLOB}
        for counted in census.packs.values():
            places = {
                at
                for at, record in enumerate(counted.pack.records)
                if not wanted.isdisjoint(counted.of(record)[record.counts[0] :])
            }
            for node in census.nodes(counted, places.__contains__) if places else ():
                number = counted.numbers[node.number]
                if number in wanted and self._is_right(counted, number, node):
                    wanted.discard(number)
                    todo.extend(census.links[number])
        return wanted

    def _is_right(self, counted: Counted, number: int, node: Stored) -> bool:
        data = self.census.read(counted, node)
        with suppress(StoreDamaged, StoreTooNew, RecordDamaged):
            if data is not None:
                self.census.take_links(node.kind, number, data)
                return True
        return False

    def _read_apart(self, number: int) -> None:
        """Look for an object everywhere. Raises StoreDamaged or StoreTooNew if it is not there."""
        object_id, kind = self.census.id(number), self.census.kind(number)
        data = self._store.objects.read(object_id)
        if kind is None:
            raise ObjectMissing(
                f"object {object_id[:12]} is missing; run `maverick checkpoint fsck`"
            )
        if kind in (ObjectKind.TREE, ObjectKind.CHECKPOINT):
            self.census.take_links(kind, number, data)

    def _below(self, roots: Iterable[CheckpointId]) -> list[int]:
        todo = [self.census.number(root) for root in roots]
        return self._reach(todo, bytearray(len(self.census)))

    # --- what follows ---

    def attribute(self) -> None:
        """Find for each object that is dead the newest run that leads to it, and how large all
        are.
        """
        census, seen = self.census, bytearray(self.live)
        of = self.loser_of = array("I", bytes(len(seen) * array("I").itemsize))
        places: dict[str, int] = {}
        for checkpoint in sorted(self.dead, key=self._age):
            place = places.setdefault(checkpoint.run, len(places) + 1)
            for number in self._reach([census.number(checkpoint.id)], seen):
                of[number] = place
        self.losers = [*places, ""]
        for number, is_seen in enumerate(seen):
            if not is_seen:
                of[number] = len(self.losers)
        self.sizes = {it.nonce: sizes_of(census, it, of) for it in census.packs.values()}

    def _age(self, checkpoint: Checkpoint) -> tuple[int, int, str, int]:
        ref = self.refs.get(checkpoint.run)
        started = (0, -checkpoint.created, checkpoint.run) if ref is None else by_start(ref)
        return *started, -checkpoint.sequence

    def choose(self) -> None:
        """Choose the packs that hold nothing alive, and those that are worth rewriting. An open one
        that stays open is neither.
        """
        packs, root = list(self.census.packs.values()), self._store.root
        growing = {it.nonce for it in packs if it.pack.is_open and _stays_open(root, it.pack)}
        shares = list(self._shares(packs, growing))
        self.delete = [share.counted for share in shares if not share.live]
        self.rewrite = _worth_rewriting([share for share in shares if share.live])

    def _shares(self, packs: list[Counted], growing: set[bytes]) -> Iterator[Share]:
        unclaimed = bytearray(self.live)
        for counted in sorted(
            packs, key=lambda it: (it.nonce not in growing, -it.pack.size, it.pack.name)
        ):
            live = dead = 0
            for number, size in zip(counted.numbers, self.sizes[counted.nonce], strict=True):
                if unclaimed[number]:
                    unclaimed[number] = 0
                    live += size
                else:
                    dead += size
            if counted.nonce not in growing:
                yield Share(counted, live, dead)


def take_survey(store: StoreFolder, policy: Policy, before: Survey | None = None) -> Survey:
    """List the packs, then mark, without any lock but gc's. *before* is a survey whose decisions
    bind this one.
    """
    survey = Survey(store, policy)
    refs = read_refs(store, survey.census)
    survey.refs = {ref.run: ref for ref in refs}
    survey.fates = decide(store, refs, survey, before)
    survey.mark(refs, survey.fates)
    survey.mark_lost()
    survey.spare(policy.spared)
    survey.attribute()
    survey.choose()
    return survey


def read_refs(store: StoreFolder, census: Census) -> list[Ref]:
    """Give where all runs stand, also by open packs that somebody has locked, and bring *census* up
    to date.

    Raises RefDamaged if a ref cannot be read: what its run leads to is unknown then.
    """
    damaged: list[RefDamaged] = []
    refs = {ref.run: ref for ref in store.refs(damaged)}
    for error in damaged:
        raise error
    # After the refs: so all that they lead to is in it.
    census.refresh()
    return sorted({**refs, **lagging(store, census)}.values(), key=by_start)


def lagging(store: StoreFolder, census: Census) -> dict[str, Ref]:
    """Give the refs of the runs whose files say less than open packs, without the positions and
    tags whose checkpoints are gone.
    """
    found: dict[str, Ref] = {}
    for pack in census.open_packs():
        for run, led in standing(pack).items():
            there = None
            with suppress(RefDamaged):
                there = store.ref_files.in_file(run)
            ref = newer(there, led)
            if ref is not there and (run not in found or found[run].sequence < ref.sequence):
                found[run] = ref._replace(
                    positions=tuple(it for it in ref.positions if census.holds(it.checkpoint)),
                    tags={name: it for name, it in ref.tags.items() if census.holds(it)},
                )
    return found


def decide(
    store: StoreFolder, refs: list[Ref], survey: Survey, before: Survey | None
) -> dict[str, Fate]:
    """Give the fate of each run; after a survey, nothing worse than that one decided for the same
    ref. A run that is not closed in an open pack stays whole.
    """
    policy = survey.policy
    if (
        policy.run is not None
        and before is not None
        and policy.run not in {ref.run for ref in refs}
    ):
        return {ref.run: Fate.WHOLE for ref in refs}
    unclosed = {tag for pack in survey.census.open_packs() for tag in run_commits.unclosed(pack)}
    fates = retention.fates(refs, policy, store.is_owned)
    for run in fates:
        if run_tag(run) in unclosed:
            fates[run] = Fate.WHOLE
    if before is None:
        return fates
    same = {ref.run for ref in refs if _stands_still(ref, before.refs.get(ref.run))}
    return retention.greater(
        fates, {run: fate for run, fate in before.fates.items() if run in same}
    )


def _stands_still(ref: Ref, before: Ref | None) -> bool:
    """Say whether a run is where it was; that gc has shortened its log does not count."""
    return before is not None and ref._replace(positions=()) == before._replace(positions=())


def _stays_open(root: Path, pack: Pack) -> bool:
    """Say whether gc will find an open pack as it is: somebody appends to it, or it is damaged."""
    try:
        return bool(pack.damage) or is_locked(root / "objects" / pack.file)
    except FileNotFoundError:  # It was sealed since, by another process.
        return True


def _worth_rewriting(shares: list[Share]) -> list[Counted]:
    small = [share for share in shares if share.counted.pack.size < SMALL_PACK_BYTES]
    large = [share for share in shares if share.counted.pack.size >= SMALL_PACK_BYTES]
    chosen = [share for share in large if share.dead * _WORTH > share.live + share.dead]
    if len(small) > 1 or any(share.dead for share in small):
        chosen += small
    return [share.counted for share in chosen]


def lost_positions(ref: Ref, fate: Fate, survey: Survey) -> tuple[Position, ...]:
    """Give the positions that go out of a run's log."""
    if fate is Fate.WHOLE:
        return ()
    return tuple(it for it in ref.positions if not survey.is_live(it.checkpoint))
