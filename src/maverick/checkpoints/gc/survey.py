"""What of a store is alive: gc's mark, which can be continued, and the packs that are worth
touching.

The refs are read, retention decides the fate of each run, and the walk from what stays marks the
objects. What is left of runs that have lost their refs is marked as well.

It reads all trees and checkpoints, soon one after the other: what is stored whole is found in
memory and read from packs that stay open; all else is left to `Objects`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import OpenFiles
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.frames import FrameDamaged, Leans, open_frame
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_index import ids_of
from maverick.checkpoints.objects.pack_index import leaning as leaning_copy
from maverick.checkpoints.refs import retention
from maverick.checkpoints.refs.dropped import lost_runs
from maverick.checkpoints.refs.retention import Fate, Policy
from maverick.checkpoints.trees.checkpoint import Checkpoint, read_all
from maverick.checkpoints.trees.closure import ClosureWalk
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.pack_index import PackIndex, Place
    from maverick.checkpoints.refs.refs import Position, Ref
    from maverick.errors import RefDamaged

_NOTHING = Leans()


class BulkSource:
    """The objects in *known* packs, as they were; the store's as they are now, where an object is
    in none of these.

    An `ObjectSource` for a walk. It keeps files open, and with them the space of packs that are
    removed, until `close`.
    """

    def __init__(self, store: StoreFolder, packs: Iterable[PackIndex]) -> None:
        self._objects = store.objects
        self._folder = store.root / "objects"
        self._files = OpenFiles(store.files)
        self._paths = {index.name: self._folder / f"{index.name}.pack" for index in packs}
        self._whole: set[bytes] = set()
        self._places: dict[bytes, Place] = {}
        for index in packs:
            for raw_id, place in index.rows():
                if not place.leans:
                    self._whole.add(raw_id)
                    if place.kind is not ObjectKind.BLOB:
                        self._places[raw_id] = place

    def holds(self, object_id: ObjectId) -> bool:
        return bytes.fromhex(object_id) in self._whole or self._objects.holds(object_id)

    def leans(self, object_id: ObjectId) -> Leans:
        return (
            _NOTHING if bytes.fromhex(object_id) in self._whole else self._objects.leans(object_id)
        )

    def read(self, object_id: ObjectId) -> bytes:
        place = self._places.get(bytes.fromhex(object_id))
        if place is not None:
            with suppress(FrameDamaged, OSError):
                raw = self._files.pread(self._paths[place.pack], place.offset, place.length)
                header, data = open_frame(raw, self._objects.fetch)
                if ids.object_id(header.kind, data) == object_id:
                    return data
        return self._objects.read(object_id)  # finds another copy, or says what is wrong

    def close(self) -> None:
        for path in self._paths.values():
            self._files.close(path)


SMALL_PACK_BYTES = 4 << 20
"""Packs below this size are merged when there are several."""
_WORTH = 4
"""A larger pack is rewritten when more than one byte in this many is dead."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many bytes of a pack are alive, not counting what a larger pack holds too, and how many
    are not.
    """

    index: PackIndex
    live: int
    dead: int


class Survey:
    """What a mark found. It can be continued, which only adds to what is alive."""

    def __init__(self, store: StoreFolder, policy: Policy, packs: list[PackIndex]) -> None:
        self.policy = policy
        self.packs = packs
        self.refs: dict[str, Ref] = {}
        self.fates: dict[str, Fate] = {}
        self.delete: list[PackIndex] = []
        self.rewrite: list[PackIndex] = []
        self.dead: list[Checkpoint] = []
        """The checkpoints that no ref leads to."""
        self._runs: set[str] = set()
        self._is_complete = True
        self._objects = store.objects
        self.source = BulkSource(store, packs)
        """Where all that was surveyed can be read from; to be closed."""
        self._walk = ClosureWalk(self.source)

    @property
    def live(self) -> set[ObjectId]:
        """The objects that must stay."""
        return self._walk.seen

    @property
    def runs(self) -> set[str] | None:
        """The runs of which there is a checkpoint in the packs; None if some cannot be read."""
        return self._runs if self._is_complete else None

    def kept_without_ref(self) -> set[str]:
        """Give the runs that no ref leads to, but of which something stays."""
        return {checkpoint.run for checkpoint in self.dead if checkpoint.id in self._walk.seen}

    def live_copies(self) -> set[bytes]:
        """Give the copies (see `PackIndex.copies`) that must stay, in a set of the caller's own.

        Of an object that is alive that is a whole one; a leaning one, if there is no other, and
        then a whole one of its base.
        """
        whole: set[bytes] = set()
        leaning: set[bytes] = set()
        for index in self._objects.packs.indexes():
            for raw_id, place in index.rows():
                (leaning if place.leans else whole).add(raw_id)
        leaning -= whole
        live = {bytes.fromhex(object_id) for object_id in self._walk.seen}
        bases = {bytes.fromhex(object_id) for object_id in self._walk.bases}
        return {leaning_copy(raw_id) if raw_id in leaning else raw_id for raw_id in live} | bases

    def mark(self, refs: Iterable[Ref], fates: dict[str, Fate]) -> None:
        """Find what must stay of *refs*. Raises StoreDamaged if some of it cannot be read."""
        for ref in refs:
            for visit in self._walk.visit(retention.roots(ref, fates[ref.run])):
                if isinstance(visit.content, Checkpoint):
                    self._runs.add(visit.content.run)
                if isinstance(visit.error, StoreTooNew):
                    raise visit.error
                if visit.error is not None:
                    self._walk.seen.discard(visit.id)
                    raise StoreDamaged(
                        f"gc removed nothing, because run {ref.run} is damaged: {visit.error}"
                    ) from visit.error

    def mark_lost(self, store: StoreFolder) -> None:
        """Keep what is left of runs that have lost their refs: `fsck --repair` finds them by their
        checkpoints.
        """
        ids = ids_of(self.packs, ObjectKind.CHECKPOINT) - self.live
        self.dead = list(read_all(ids, self.source.read))
        self._runs.update(checkpoint.run for checkpoint in self.dead)
        self._is_complete = len(self.dead) == len(ids) and not store.objects.packs.damaged()
        for left in lost_runs(store.files, store.root, self.refs, self.dead).values():
            self.spare(checkpoint.id for checkpoint in left)

    def spare(self, checkpoints: Iterable[CheckpointId]) -> None:
        """Keep of *checkpoints* what there is of them."""
        for visit in self._walk.visit(checkpoints):
            if visit.error is not None:
                self._walk.seen.discard(visit.id)


def take_survey(store: StoreFolder, policy: Policy, before: Survey | None = None) -> Survey:
    """List the packs, then mark, without any lock but gc's. *before* is a survey whose decisions
    bind this one.
    """
    store.objects.packs.refresh()
    survey = Survey(store, policy, store.objects.packs.indexes())
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


def read_refs(store: StoreFolder) -> list[Ref]:
    """Give all refs. Raises RefDamaged if one cannot be read: what its run leads to is unknown
    then.
    """
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    for error in damaged:
        raise error
    return refs


def decide(
    store: StoreFolder, refs: list[Ref], policy: Policy, before: Survey | None
) -> dict[str, Fate]:
    """Give the fate of each run; after a survey, nothing worse than that one decided for the same
    ref.
    """
    if (
        policy.run is not None
        and before is not None
        and policy.run not in {ref.run for ref in refs}
    ):
        return {ref.run: Fate.WHOLE for ref in refs}
    fates = retention.fates(refs, policy, store.is_owned)
    if before is None:
        return fates
    same = {ref.run for ref in refs if _stands_still(ref, before.refs.get(ref.run))}
    return retention.greater(
        fates, {run: fate for run, fate in before.fates.items() if run in same}
    )


def _stands_still(ref: Ref, before: Ref | None) -> bool:
    """Say whether a run is where it was; that gc has shortened its log does not count."""
    return before is not None and ref._replace(positions=()) == before._replace(positions=())


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


def lost_positions(ref: Ref, fate: Fate, live: set[ObjectId]) -> tuple[Position, ...]:
    """Give the positions that go out of a run's log."""
    if fate is Fate.WHOLE:
        return ()
    return tuple(position for position in ref.positions if position.checkpoint not in live)
