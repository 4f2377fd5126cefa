"""Garbage collection, second half: does what was planned, in an order that is always safe.

First the open packs are sealed that nobody appends to. Without a lock: the live objects of the
packs to be rewritten are written into new packs, durably. Then, alone in the store (no save is
under way): open packs, refs and objects are synced, refs that lag are brought up, what is new is
marked, refs are removed and shortened and synced, and only then dead packs are moved to `trash/`.
What is in there is removed when saves go on again: a save keeps the shared lock from looking at the
packs to syncing its record or ref, so none can rely on them, and nothing leads to them. A process
that dies leaves garbage.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import fits, writing
from maverick.checkpoints.folder import alone
from maverick.checkpoints.gc.departure import Departure
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.open_pack import OpenPack
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE
from maverick.checkpoints.refs.refs import open_packs
from maverick.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.census import Counted, Stored
    from maverick.checkpoints.gc.survey import Survey

    Progress = Callable[[int, int], None]

MOST_BYTES, MOST_OBJECTS = 256 << 20, 1 << 17
"""A pack that gc writes holds no more, before compression."""


@dataclass(frozen=True, slots=True)
class GcResult:
    """What gc did. `removed_bytes` are bytes of objects, `freed_bytes` those that the disk has
    gained.

    `left` names the packs that were to be rewritten, but could not be read, or for which there was
    no space.
    """

    runs: tuple[str, ...] = ()
    removed_objects: int = 0
    removed_bytes: int = 0
    kept_objects: int = 0
    freed_bytes: int = 0
    left: tuple[str, ...] = ()


def sweep(store: StoreFolder, survey: Survey, progress: Progress | None) -> GcResult:
    """Do what *survey* found; `GcPlan.execute` says what that guarantees."""
    layout.read_format(store.files, store.root).require_gc(store.root)
    layout.mend(store.files, store.root)
    with alone(store, "collect garbage"), writing("collect garbage", store.root):
        fits(store.appender.seal_all)
        planned = set(survey.census.packs)
        survey.census.refresh()
        if not planned <= survey.census.packs.keys():  # another gc was here
            survey.census.close()
            survey.take()
        sweeper = _Sweeper(store, survey, progress)
        try:
            sweeper.run()
        finally:
            survey.census.close()
            with suppress(OSError):
                layout.fill_reserve(store.files, store.root)
        return sweeper.result()


class _Sweeper:
    def __init__(self, store: StoreFolder, survey: Survey, progress: Progress | None) -> None:
        self._store = store
        self._files = store.files
        self._survey = survey
        self._census = survey.census
        self._progress = progress or (lambda *_: None)
        self._untold: dict[int, int] = {}
        self._told = self._total = 0
        self._runs = Departure(store, survey)
        self._removed: dict[int, int] = {}
        self._freed = self._copied = 0
        self._left: dict[str, None] = {}
        self._tight = False

    def run(self) -> None:
        """Sweep in one pass, or, if the disk is too full for that, in as many as it takes."""
        survey = self._survey
        if not fits(partial(self._pass, [*survey.delete, *survey.rewrite])):
            self._tight = True
            with suppress(FileNotFoundError):
                self._files.unlink(self._store.root / "reserve")
            self._pass(survey.delete)
            for counted in survey.rewrite:
                if not fits(partial(self._pass, [counted])):
                    self._left[counted.pack.name] = None
            self._runs.note_the_rest()
        if self._total:
            self._progress(self._total, self._total)

    def result(self) -> GcResult:
        held = self._census.held()
        removed = [size for number, size in self._removed.items() if not held[number]]
        return GcResult(
            runs=tuple(self._runs.dropped),
            removed_objects=len(removed),
            removed_bytes=sum(removed),
            kept_objects=held.count(1),
            freed_bytes=self._freed - self._copied,
            left=tuple(self._left),
        )

    def _pass(self, planned: list[Counted]) -> None:
        victims = [it for it in planned if self._is_settled(it)]
        try:
            self._runs.write_shorter_refs(tight=self._tight)
            self._copy(victims)
            with self._store.locks.exclusive() as held, self._store.locks.refs():
                self._condemn()
                self._store.locks.note_removal(held)
                self._move(victims)
        finally:
            self._runs.clean_up()
            self._census.close()  # else what is removed keeps its space
        for name in self._files.list(self._store.root / "trash"):
            if name.endswith(".pack"):
                self._remove(self._store.root / "trash" / name)

    def _is_settled(self, counted: Counted) -> bool:
        """Say whether a pack is there, sealed, and holds what it held when it was surveyed."""
        is_there = counted.nonce in self._census.packs
        return is_there and not counted.pack.is_open and len(counted.numbers) == len(counted.sizes)

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            size = self._files.size(path)
            self._files.unlink(path)
            self._freed += size

    # Without a lock.

    def _copy(self, victims: list[Counted]) -> None:
        """Write the live objects that only *victims* hold into new packs, durably."""
        # What is in an open pack may still be taken back.
        growing = {it.nonce for it in self._census.packs.values() if it.pack.is_open}
        held, live = self._census.held({it.nonce for it in victims} | growing), self._census.live
        wanted = {
            number: size
            for counted in victims
            for number, size in counted.sized()
            if live[number] and not held[number]
        }
        if wanted and not self._total:  # the first time it is the whole work
            self._untold, self._total = dict(wanted), sum(wanted.values())
            self._progress(0, self._total)
        items = self._live_items(victims, wanted)
        while (pack := self._store.objects.write(_as_many_as_fit(items))) is not None:
            self._copied += pack.size

    def _live_items(self, victims: list[Counted], wanted: dict[int, int]) -> Iterator[NewObject]:
        """Yield what is *wanted* of the packs, in the order in which it was written. A pack in
        which some of it is damaged stays as it is, for fsck.
        """
        objects = self._store.root / "objects"
        # By when they were written last: what names others comes after them.
        for counted in sorted(victims, key=lambda it: self._files.modified(objects / it.pack.file)):
            for stream in (CONTENT, STRUCTURE):
                for item in counted.stored(stream, counted.holding(stream, wanted.keys())):
                    number = counted.numbers[item.number]
                    data = self._read(counted, item) if number in wanted else None
                    if data is not None:
                        del wanted[number]
                        self._told += self._untold.pop(number, 0)
                        self._progress(self._told, self._total)
                        yield NewObject(item.kind, self._census.id(number), data)
            if not wanted.keys().isdisjoint(counted.numbers):
                self._left[counted.pack.name] = None

    def _read(self, counted: Counted, item: Stored) -> bytes | None:
        is_list = item.kind is ObjectKind.LIST
        return None if is_list and not counted.is_written else self._census.read(counted, item)

    # Alone in the store.

    def _condemn(self) -> None:
        """Find again what must stay, and remove and shorten refs."""
        # What a save has written counts here, so it has to be durable before anything goes.
        self._sync()
        self._survey.look()
        for ref in self._survey.lagging:
            # On a full disk the pack goes on saying it, and the run stays whole as long as it does.
            fits(partial(self._store.ref_files.put, ref), tight=self._tight)
        self._require_all()
        self._runs.carry_out(tight=self._tight)
        self._remove_leftovers()

    def _sync(self) -> None:
        root = self._store.root
        for file in open_packs(self._files, root):
            path = root / "objects" / file
            # Of one that nobody keeps a sync may have failed, of which the next one says nothing.
            fits(partial(self._write_again, path))
            with suppress(FileNotFoundError):  # It was none yet.
                descriptor = self._files.open_to_write(path)
                try:
                    self._files.sync(descriptor)
                finally:
                    self._files.close(descriptor)
        self._files.sync_folder(root / "refs")
        self._files.sync_folder(root / "objects")

    def _write_again(self, path: Path) -> None:
        pack = OpenPack.go_on(self._files, path, damaged=True)
        if pack is not None:
            pack.leave()

    def _require_all(self) -> None:
        """Raise StoreDamaged unless all that is alive is in `objects/`."""
        held, live = self._census.held(), self._census.live
        for number in range(len(live)):
            if live[number] and not held[number]:
                raise StoreDamaged(
                    f"gc removed nothing, because object {self._census.id(number)[:12]} is "
                    "missing; run `maverick checkpoint fsck`"
                )

    def _remove_leftovers(self) -> None:
        """Remove what writers that are gone have left in `tmp/`."""
        for name in self._files.list(self._store.root / "tmp"):
            path = self._store.root / "tmp" / name
            with suppress(FileNotFoundError):
                if layout.is_leftover(self._files, path):
                    self._remove(path)

    def _move(self, victims: list[Counted]) -> None:
        """Move those of *victims* to `trash/` that hold nothing alive that is nowhere else."""
        victims = [it for it in victims if it.pack.name not in self._left and self._is_settled(it)]
        held = self._census.held({it.nonce for it in victims})
        live = self._census.live
        for counted in victims:
            if any(live[number] and not held[number] for number in counted.numbers):
                for number in counted.numbers:
                    held[number] = 1
                continue
            file, root = counted.pack.file, self._store.root
            self._files.rename(root / "objects" / file, root / "trash" / file)
            del self._census.packs[counted.nonce]
            for number, size in counted.sized():
                self._removed.setdefault(number, size)
        self._store.objects.packs.refresh()


def _as_many_as_fit(items: Iterator[NewObject]) -> Iterator[NewObject]:
    """Yield the next of *items*, no more than are to be in one pack."""
    count = size = 0
    while count < MOST_OBJECTS and size < MOST_BYTES:
        item = next(items, None)
        if item is None:
            return
        yield item
        count, size = count + 1, size + len(item.data)
