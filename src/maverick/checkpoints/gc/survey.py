"""What of a store is alive: gc's mark, which can be continued, and the packs that are worth
touching.

The refs are read, retention decides the fate of each run, and what they lead to is marked. Each
tree and checkpoint that is marked is read and compared with its id, a list is read; of a blob it is
enough that a pack holds it. What is left of runs that have lost their refs is marked as well.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from itertools import filterfalse
from operator import itemgetter
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.locks import is_locked
from maverick.checkpoints.gc.census import Census
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import run_tag
from maverick.checkpoints.objects.segments import STRUCTURE
from maverick.checkpoints.refs import retention, run_commits
from maverick.checkpoints.refs.dropped import lost_runs
from maverick.checkpoints.refs.refs import by_start, newest, standing
from maverick.checkpoints.refs.retention import Fate, Policy
from maverick.errors import ObjectMissing, RefDamaged, StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.census import Counted
    from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.refs.refs import Position, Ref
    from maverick.checkpoints.trees.checkpoint import Checkpoint

SMALL_PACK_BYTES = 4 << 20
"""Packs below this size are merged when there are several."""
_WORTH = 4
"""A larger pack is rewritten when more than one byte in this many is dead."""


class Survey:
    """What gc knows of a store, first by `take`. It can be continued by `look` and `mark`, which
    only add to what is alive.
    """

    census: Census
    losers: list[str]
    """The runs that have dead checkpoints, the newest first; then none."""
    loser_of: array[int]
    """By number: which of `losers` is the first that leads to an object; -2 if it is alive."""

    def __init__(self, store: StoreFolder, policy: Policy) -> None:
        self.policy = policy
        self.refs: dict[str, Ref] = {}
        """Where all runs stand."""
        self.fates: dict[str, Fate] = {}
        self.lagging: list[Ref] = []
        """Those of the refs that say more than their files, as open packs do."""
        self.delete: list[Counted] = []
        self.rewrite: list[Counted] = []
        self.dead: list[Checkpoint] = []
        """The checkpoints that no ref leads to."""
        self._store = store
        self._has_looked = False
        self._absent: list[ObjectId] = []

    def take(self) -> None:
        """List the packs, then mark, without any lock but gc's. What was decided before binds."""
        self.census = Census(self._store)
        self.look()
        self.dead = [
            checkpoint
            for number, checkpoint in self.census.checkpoints.items()
            if checkpoint is not None and not self.census.live[number]
        ]
        # `fsck --repair` finds by their checkpoints the runs that have lost their refs.
        lost = lost_runs(self._store.files, self._store.root, self.refs, self.dead)
        self._spare([checkpoint.id for left in lost.values() for checkpoint in left])
        self._spare(self.policy.spared)
        self._attribute()
        self._choose()

    def is_live(self, object_id: ObjectId) -> bool:
        return bool(self.census.live[self.census.number(object_id)])

    def lost_positions(self, run: str) -> tuple[Position, ...]:
        """Give the positions that go out of a run's log."""
        return tuple(it for it in self.refs[run].positions if not self.is_live(it.checkpoint))

    @property
    def runs(self) -> set[str] | None:
        """The runs of which there is a checkpoint in the packs; None if some cannot be read."""
        checkpoints = self.census.checkpoints.values()
        if not self.census.is_whole or None in checkpoints:
            return None
        return {checkpoint.run for checkpoint in checkpoints if checkpoint is not None}

    def kept_without_ref(self) -> set[str]:
        """Give the runs that no ref leads to, but of which something stays."""
        return {checkpoint.run for checkpoint in self.dead if self.is_live(checkpoint.id)}

    # --- refs ---

    def look(self) -> None:
        """Read the refs, bring the census up to date, decide and mark.

        When that was done before, each run keeps what was decided then, if that is still right and
        the run stands where it did. Else it stays whole, and so does one that is not closed in an
        open pack.

        Raises:
            RefDamaged: a ref cannot be read: what its run leads to is unknown then.
            StoreDamaged: something that must stay cannot be read.
        """
        before, planned = self.refs, self.fates
        self.refs = self._read_refs()
        fates = retention.fates(list(self.refs.values()), self.policy, self._store.is_owned)
        unclosed = {tag for pack in self.census.open_packs() for tag in run_commits.unclosed(pack)}
        for run, ref in self.refs.items():
            if self._has_looked:
                bound = planned[run] if _stands_still(ref, before.get(run)) else Fate.WHOLE
                fates[run] = bound if fates[run] <= bound else Fate.WHOLE
            if run_tag(run) in unclosed:
                fates[run] = Fate.WHOLE
        self.fates, self._has_looked = fates, True
        # An import may have brought it back, and lean on what is below it.
        absent, self._absent = self._absent, []
        self._spare(absent)
        self.mark(self.refs.values())

    def _read_refs(self) -> dict[str, Ref]:
        files, damaged = self._store.ref_files, list[RefDamaged]()
        self.census.refresh()
        led = newest(map(standing, self.census.open_packs()))
        refs = {ref.run: ref for ref in files.list(damaged, led)}
        for error in damaged:
            raise error
        self.lagging = []
        for run in led:
            there = None
            with suppress(RefDamaged):
                there = files.in_file(run)
            if there != refs[run]:
                # Without what is gone; that nobody can say while a pack is damaged.
                if self.census.is_whole:
                    refs[run] = refs[run].keeping(self.census.holds)
                self.lagging.append(refs[run])
        return refs

    # --- marking ---

    def mark(self, refs: Iterable[Ref]) -> None:
        """Find what must stay of *refs* by their fates. Raises StoreDamaged if some of it cannot be
        read.
        """
        roots = {ref.run: retention.roots(ref, self.fates[ref.run]) for ref in refs}
        for number in self._marked(it for checkpoints in roots.values() for it in checkpoints):
            try:
                self._read_apart(number)
            except StoreTooNew:
                raise
            except StoreDamaged as error:
                run = next((it for it in roots if self._leads(roots[it], number)), "")
                raise StoreDamaged(
                    f"gc removed nothing, because run {run} is damaged: {error}"
                ) from error

    def _spare(self, objects: Iterable[ObjectId]) -> None:
        """Keep of *objects* what there is of them, and of what they lead to."""
        for number in self._marked(objects):
            self.census.live[number] = 0
            self._absent.append(self.census.id(number))

    def _marked(self, objects: Iterable[ObjectId]) -> Iterator[int]:
        """Mark what *objects* lead to; yields what of it is not there, or not as it should be,
        as far as the packs say.
        """
        todo = [self.census.number(object_id) for object_id in objects]
        while todo:
            new = self._reach(todo, self.census.live)
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
        links, new, is_seen = self.census.links, list[int](), seen.__getitem__
        while todo:
            number = todo.pop()
            if not seen[number]:
                seen[number] = 1
                new.append(number)
                todo.extend(filterfalse(is_seen, links.get(number, ())))
        return new

    def _leads(self, roots: Iterable[CheckpointId], number: int) -> bool:
        todo = [self.census.number(root) for root in roots]
        return number in self._reach(todo, bytearray(len(self.census)))

    def _verify(self, numbers: Iterable[int], todo: list[int]) -> set[int]:
        """Read what of *numbers* is no blob, in the order in which it is stored; gives what is in
        no pack as it should be. *todo* gets what the others name.
        """
        census, held = self.census, self.census.held()
        wanted = {it for it in numbers if not held[it] or it in census.links}
        for counted in census.packs.values():
            for node in counted.stored(STRUCTURE, counted.holding(STRUCTURE, wanted)):
                number = counted.numbers[node.number]
                if number in wanted and census.verify(counted, node):
                    wanted.discard(number)
                    todo.extend(census.links[number])
        return wanted

    def _read_apart(self, number: int) -> None:
        """Look for an object everywhere. Raises StoreDamaged or StoreTooNew if it is not there."""
        if not number:
            raise ObjectMissing(
                "an object that it names is in a record that cannot be read; run `maverick "
                "checkpoint fsck`"
            )
        object_id = self.census.id(number)
        data = self._store.objects.read(object_id)
        if not self.census.holds(object_id):
            raise ObjectMissing(
                f"object {object_id[:12]} is missing; run `maverick checkpoint fsck`"
            )
        kind = next(it for it in ObjectKind if ids.object_id(it, data) == object_id)
        if kind is not ObjectKind.BLOB:
            self.census.take_links(number, kind, data)

    # --- what follows ---

    def _attribute(self) -> None:
        """Find for each object that is dead the newest run that leads to it, and how large all
        are.
        """
        census, places = self.census, dict[str, int]()
        seen, self.loser_of = bytearray(census.live), array("i", [-1 - it for it in census.live])
        for checkpoint in sorted(self.dead, key=self._age):
            place = places.setdefault(checkpoint.run, len(places))
            for number in self._reach([census.number(checkpoint.id)], seen):
                self.loser_of[number] = place
        self.losers = [*places, ""]
        for counted in census.packs.values():
            counted.size(self.loser_of)

    def _age(self, checkpoint: Checkpoint) -> tuple[int, int, str, int]:
        ref = self.refs.get(checkpoint.run)
        started = (0, -checkpoint.created, checkpoint.run) if ref is None else by_start(ref)
        return *started, -checkpoint.sequence

    def _choose(self) -> None:
        """Choose the packs to be deleted, which hold nothing alive that is not in another one, and
        those that are worth rewriting, by what that costs. One that stays open is neither.
        """
        packs, root = self.census.packs.values(), self._store.root
        growing = {it.nonce for it in packs if it.pack.is_open and _stays_open(root, it.pack)}
        unclaimed = bytearray(self.census.live)
        self.delete = []
        small: list[tuple[int, int, Counted]] = []
        chosen: list[tuple[int, int, Counted]] = []
        for counted in sorted(
            packs, key=lambda it: (it.nonce not in growing, -it.pack.size, it.pack.name)
        ):
            live = sum(size for number, size in counted.sized() if unclaimed[number])
            dead = sum(counted.sizes) - live
            for number in counted.numbers:
                unclaimed[number] = 0
            if counted.nonce in growing:
                continue
            if not live:
                self.delete.append(counted)
            elif counted.pack.size < SMALL_PACK_BYTES:
                small.append((live, dead, counted))
            elif dead * _WORTH > live + dead:
                chosen.append((live, dead, counted))
        if len(small) > 1 or any(dead for _, dead, _ in small):
            chosen += small
        self.rewrite = [it for _, _, it in sorted(chosen, key=itemgetter(0))]


def _stands_still(ref: Ref, before: Ref | None) -> bool:
    """Say whether a run is where it was; that gc has shortened its log does not count."""
    return before is not None and ref._replace(positions=()) == before._replace(positions=())


def _stays_open(root: Path, pack: Pack) -> bool:
    """Say whether gc will find an open pack as it is: somebody appends to it, or it is damaged."""
    try:
        return bool(pack.damage) or is_locked(root / "objects" / pack.file)
    except FileNotFoundError:  # It was sealed since, by another process.
        return True
