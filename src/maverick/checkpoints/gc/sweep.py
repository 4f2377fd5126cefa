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
from maverick.checkpoints.disk.files import is_full, writing
from maverick.checkpoints.folder import alone
from maverick.checkpoints.gc.departure import Departure
from maverick.checkpoints.gc.survey import decide, lagging, read_refs, take_survey
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.open_pack import OpenPack
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.refs.refs import open_packs
from maverick.errors import StoreDamaged, StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.census import Counted
    from maverick.checkpoints.gc.survey import Survey

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


def sweep(
    store: StoreFolder, survey: Survey, progress: Callable[[int, int], None] | None
) -> GcResult:
    """Do what *survey* found; `GcPlan.execute` says what that guarantees."""
    layout.read_format(store.files, store.root).require_gc(store.root)
    layout.mend(store.files, store.root)
    with alone(store, "collect garbage"), writing("collect garbage", store.root):
        try:
            store.appender.seal_all()
        except OSError as error:
            if not is_full(error):
                raise
        planned = set(survey.census.packs)
        survey.census.refresh()
        if not planned <= survey.census.packs.keys():  # another gc was here
            survey.census.close()
            survey = take_survey(store, survey.policy, survey)
        sweeper = _Sweeper(store, survey, progress)
        try:
            sweeper.run()
        finally:
            survey.census.close()
            with suppress(OSError):
                layout.fill_reserve(store.files, store.root)
        return sweeper.result()


class _Sweeper:
    def __init__(
        self, store: StoreFolder, survey: Survey, progress: Callable[[int, int], None] | None
    ) -> None:
        self._store = store
        self._files = store.files
        self._survey = survey
        self._census = survey.census
        self._progress = _Progress(progress)
        self._runs = Departure(store, survey)
        self._removed: dict[int, int] = {}
        self._freed = self._copied = 0
        self._left: dict[str, None] = {}
        self._tight = False

    def run(self) -> None:
        """Sweep in one pass, or, if the disk is too full for that, in as many as it takes."""
        rewrite = [it for it in self._survey.rewrite if self._is_settled(it)]
        try:
            self._pass(rewrite)
        except (OSError, StoreUnwritable) as error:
            if not is_full(error):
                raise
            self._tight = True
            with suppress(FileNotFoundError):
                self._files.unlink(self._store.root / "reserve")
            self._progress.begin_again()
            self._pass([])
            for counted in sorted(rewrite, key=self._live_bytes):
                self._try_pass(counted)
            self._runs.note_the_rest()
        self._progress.end()

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

    def _try_pass(self, counted: Counted) -> None:
        try:
            self._pass([counted])
        except (OSError, StoreUnwritable) as error:
            if not is_full(error):
                raise
            self._left[counted.pack.name] = None

    def _pass(self, rewrite: list[Counted]) -> None:
        try:
            self._runs.write_shorter_refs(tight=self._tight)
            self._copy(rewrite)
            with self._store.locks.exclusive() as held, self._store.locks.refs():
                self._condemn(rewrite, partial(self._store.locks.note_removal, held))
        finally:
            self._runs.clean_up()
            self._census.close()  # else what is removed keeps its space
        for name in self._files.list(self._store.root / "trash"):
            if name.endswith(".pack"):
                self._remove(self._store.root / "trash" / name)

    def _is_settled(self, counted: Counted) -> bool:
        """Say whether a pack is sealed, and holds what it held when it was surveyed."""
        sizes = self._survey.sizes[counted.nonce]
        return not counted.pack.is_open and len(counted.numbers) == len(sizes)

    def _sized(self, counted: Counted) -> Iterator[tuple[int, int]]:
        return zip(counted.numbers, self._survey.sizes[counted.nonce], strict=True)

    def _live_bytes(self, counted: Counted) -> int:
        return sum(size for number, size in self._sized(counted) if self._survey.live[number])

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            size = self._files.size(path)
            self._files.unlink(path)
            self._freed += size

    # Without a lock.

    def _copy(self, rewrite: list[Counted]) -> None:
        """Write the live objects that only *rewrite* holds into new packs, durably."""
        # What is in an open pack may still be taken back.
        growing = {it.nonce for it in self._census.packs.values() if it.pack.is_open}
        going = {it.nonce for it in (*self._survey.delete, *rewrite)}
        held = self._census.held(going | growing)
        wanted = {
            number: size
            for counted in rewrite
            for number, size in self._sized(counted)
            if self._survey.live[number] and not held[number]
        }
        self._progress.begin(sum(wanted.values()))
        items = self._live_items(rewrite, wanted)
        while (pack := self._store.objects.write(_as_many_as_fit(items))) is not None:
            self._copied += pack.size

    def _live_items(self, rewrite: list[Counted], wanted: dict[int, int]) -> Iterator[NewObject]:
        """Yield what is *wanted* of the packs, in the order in which it was written. A pack in
        which some of it is damaged stays as it is, for fsck.
        """
        census = self._census
        order = list(census.packs)
        for counted in sorted(rewrite, key=lambda it: order.index(it.nonce)):
            places = {
                at
                for at, record in enumerate(counted.pack.records)
                if not wanted.keys().isdisjoint(counted.of(record))
            }
            for read in (census.blobs, census.nodes):
                for item in read(counted, places.__contains__):
                    number = counted.numbers[item.number]
                    if number not in wanted or (
                        item.kind is ObjectKind.LIST and not census.is_written(counted, item.number)
                    ):
                        continue
                    data = census.read(counted, item)
                    if data is not None:
                        self._progress.add(wanted.pop(number))
                        yield NewObject(item.kind, census.id(number), data)
            if not wanted.keys().isdisjoint(counted.numbers):
                self._left[counted.pack.name] = None

    # Alone in the store.

    def _condemn(self, rewrite: list[Counted], note_removal: Callable[[], None]) -> None:
        """Remove and shorten refs, then move the packs to `trash/` that nothing leads to."""
        survey = self._survey
        # What a save has written counts here, so it has to be durable before anything goes.
        self._sync()
        refs = read_refs(self._store, self._census)
        self._bring_up()
        fates = decide(self._store, refs, survey, survey)
        self._runs.keep_unprepared(refs, fates)
        survey.mark(refs, fates)
        self._require_all()
        self._runs.carry_out(refs, fates, tight=self._tight)
        self._remove_leftovers()
        note_removal()
        self._move([*survey.delete, *rewrite])

    def _sync(self) -> None:
        root = self._store.root
        for file in open_packs(self._files, root):
            with suppress(FileNotFoundError):  # It was none yet.
                self._sync_pack(root / "objects" / file)
        self._files.sync_folder(root / "refs")
        self._files.sync_folder(root / "objects")

    def _sync_pack(self, path: Path) -> None:
        pack = None
        try:
            # Of one that nobody keeps a sync may have failed, of which the next one says nothing.
            pack = OpenPack.go_on(self._files, path, damaged=True)
        except OSError as error:
            if not is_full(error):
                raise
        if pack is not None:
            pack.leave()
            return
        descriptor = self._files.open_to_write(path)
        try:
            self._files.sync(descriptor)
        finally:
            self._files.close(descriptor)

    def _bring_up(self) -> None:
        """Make refs durable that lag behind open packs, also behind those that somebody has locked:
        what was committed counts.
        """
        for ref in lagging(self._store, self._census).values():
            try:
                self._store.ref_files.put(ref)
            except OSError as error:
                # The pack goes on saying it, and the run stays whole as long as it does.
                if not (self._tight and is_full(error)):
                    raise

    def _require_all(self) -> None:
        """Raise StoreDamaged unless all that is alive is in `objects/`."""
        held = self._census.held()
        for number, is_live in enumerate(self._survey.live):
            if is_live and not held[number]:
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
        victims = [
            it
            for it in victims
            if it.nonce in self._census.packs  # else an earlier pass has moved it
            and it.pack.name not in self._left
            and self._is_settled(it)
        ]
        held = self._census.held({it.nonce for it in victims})
        live = self._survey.live
        for counted in victims:
            if any(live[number] and not held[number] for number in counted.numbers):
                for number in counted.numbers:
                    held[number] = 1
                continue
            file, root = counted.pack.file, self._store.root
            self._files.rename(root / "objects" / file, root / "trash" / file)
            for number, size in self._sized(counted):
                self._removed.setdefault(number, size)
        self._census.refresh()
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


class _Progress:
    """Counts the bytes copied. On a full disk a pass is begun again, but what was told is never
    taken back.
    """

    def __init__(self, tell: Callable[[int, int], None] | None) -> None:
        self._tell = tell
        self._done = self._told = self._total = 0

    def begin(self, total: int) -> None:
        """Begin to copy so many bytes; the first is the whole work."""
        if not self._total:
            self._total = total
            self._report(0)

    def add(self, length: int) -> None:
        self._done += length
        if self._done > self._told:
            self._report(min(self._done, self._total))

    def begin_again(self) -> None:
        self._done = 0

    def end(self) -> None:
        """Tell that all is done, or needs not be."""
        if self._total:
            self._report(self._total)

    def _report(self, done: int) -> None:
        self._told = done
        if self._tell is not None:
            self._tell(done, self._total)
