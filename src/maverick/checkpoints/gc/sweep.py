"""Garbage collection, second half: does what was planned, in an order that is always safe.

Without a lock: the live objects of the packs to be rewritten are copied into a new pack, durably.
Then, alone in the store (no save is under way): refs and objects are synced, what is new is marked,
refs are removed and shortened and synced, and only then dead packs are moved to `trash/`. What is
in there is removed when saves go on again: a save keeps the shared lock from listing the packs to
syncing its ref, so none can rely on them, and nothing leads to them. A process that dies leaves
garbage.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import is_full, writing
from maverick.checkpoints.folder import alone
from maverick.checkpoints.gc.departure import Departure
from maverick.checkpoints.gc.survey import decide, read_refs, take_survey
from maverick.checkpoints.objects.frames import Frame
from maverick.errors import StoreDamaged, StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.survey import Survey
    from maverick.checkpoints.objects.pack_index import PackIndex


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
    with alone(store, "collect garbage"), writing("collect garbage", store.root):
        store.objects.packs.refresh()
        names = {index.name for index in store.objects.packs.indexes()}
        if not names.issuperset(index.name for index in survey.packs):  # another gc was here
            survey = take_survey(store, survey.policy, survey)
        sweeper = _Sweeper(store, survey, progress)
        try:
            sweeper.run()
        finally:
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
        self._progress = _Progress(progress)
        self._runs = Departure(store, survey)
        self._removed: dict[bytes, int] = {}
        self._freed = self._copied = 0
        self._left: dict[str, None] = {}
        self._tight = False

    def run(self) -> None:
        """Sweep in one pass, or, if the disk is too full for that, in as many as it takes."""
        rewrite = self._survey.rewrite
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
            for index in sorted(rewrite, key=self._live_bytes):
                self._try_pass(index)
            self._runs.note_the_rest()
        self._progress.end()

    def result(self) -> GcResult:
        kept = {copy for index in self._store.objects.packs.indexes() for copy, _ in index.copies()}
        removed = {copy: size for copy, size in self._removed.items() if copy not in kept}
        return GcResult(
            runs=tuple(self._runs.dropped),
            removed_objects=len(removed),
            removed_bytes=sum(removed.values()),
            kept_objects=len(kept),
            freed_bytes=self._freed - self._copied,
            left=tuple(self._left),
        )

    def _try_pass(self, index: PackIndex) -> None:
        try:
            self._pass([index])
        except (OSError, StoreUnwritable) as error:
            if not is_full(error):
                raise
            self._left[index.name] = None

    def _pass(self, rewrite: list[PackIndex]) -> None:
        try:
            self._runs.write_shorter_refs(tight=self._tight)
            self._copy(rewrite)
            victims = [
                index for index in (*self._survey.delete, *rewrite) if index.name not in self._left
            ]
            with self._store.locks.exclusive(), self._store.locks.refs():
                self._condemn(victims)
        finally:
            self._runs.clean_up()
            self._survey.source.close()  # else what is removed keeps its space
        for name in self._files.list(self._store.root / "trash"):
            if name.endswith(".pack"):
                self._remove(self._store.root / "trash" / name)

    def _live_bytes(self, index: PackIndex) -> int:
        live = self._survey.live_copies()
        return sum(place.length for copy, place in index.copies() if copy in live)

    def _path(self, folder: str, name: str) -> Path:
        return self._store.root / folder / f"{name}.pack"

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            size = self._files.size(path)
            self._files.unlink(path)
            self._freed += size

    # Without a lock.

    def _copy(self, rewrite: list[PackIndex]) -> None:
        """Write the live objects that only *rewrite* holds into one new pack, durably."""
        going = {index.name for index in (*self._survey.delete, *rewrite)}
        wanted = self._survey.live_copies()
        for index in self._store.objects.packs.indexes():
            if index.name not in going:
                wanted.difference_update(copy for copy, _ in index.copies())
        copies = {
            copy: place.length
            for index in rewrite
            for copy, place in index.copies()
            if copy in wanted
        }
        self._progress.begin(sum(copies.values()))
        frames = self._live_frames(rewrite, wanted)
        first = next(frames, None)
        if first is not None:
            self._copied += self._store.objects.write_frames(chain([first], frames)).size

    def _live_frames(self, rewrite: list[PackIndex], wanted: set[bytes]) -> Iterator[Frame]:
        for index in rewrite:
            copies = {place: copy for copy, place in index.copies() if copy in wanted}
            rows = [(copy[:32], place) for place, copy in copies.items()]
            for place, frame in self._store.objects.frames_at(index.name, rows):
                if frame is None:
                    self._left[index.name] = None  # the pack stays as it is, for fsck
                    continue
                wanted.discard(copies[place])
                yield frame
                self._progress.add(place.length)

    # Alone in the store.

    def _condemn(self, victims: list[PackIndex]) -> None:
        """Remove and shorten refs, then move the packs to `trash/` that nothing leads to."""
        root, survey = self._store.root, self._survey
        # What a save has written counts here, so it has to be durable before anything goes.
        self._files.sync_folder(root / "refs")
        self._files.sync_folder(root / "objects")
        self._store.objects.packs.refresh()
        refs = read_refs(self._store)
        fates = decide(self._store, refs, survey.policy, survey)
        self._runs.keep_unprepared(refs, fates)
        survey.mark(refs, fates)
        self._require_all()
        self._runs.carry_out(refs, fates, tight=self._tight)
        self._remove_leftovers()
        self._move(victims)

    def _require_all(self) -> None:
        """Raise StoreDamaged unless all that is alive is in `objects/`."""
        missing = self._survey.live_copies()
        for index in self._store.objects.packs.indexes():
            missing.difference_update(copy for copy, _ in index.copies())
        for copy in missing:
            raise StoreDamaged(
                f"gc removed nothing, because object {copy[:32].hex()[:12]} is missing; run "
                "`maverick checkpoint fsck`"
            )

    def _remove_leftovers(self) -> None:
        """Remove what writers that are gone have left in `tmp/`."""
        for name in self._files.list(self._store.root / "tmp"):
            path = self._store.root / "tmp" / name
            with suppress(FileNotFoundError):
                if layout.is_leftover(self._files, path):
                    self._remove(path)

    def _move(self, victims: list[PackIndex]) -> None:
        """Move those of *victims* to `trash/` that hold nothing alive that is nowhere else."""
        going = {index.name for index in victims}
        needed = self._survey.live_copies()
        for index in self._store.objects.packs.indexes():
            if index.name not in going:
                needed.difference_update(copy for copy, _ in index.copies())
        for index in victims:
            rows = dict(index.copies())
            if not needed.isdisjoint(rows):
                needed.difference_update(rows)
                continue
            with suppress(FileNotFoundError):  # an earlier pass has moved it
                self._files.rename(
                    self._path("objects", index.name), self._path("trash", index.name)
                )
                self._removed.update((copy, place.length) for copy, place in rows.items())
        self._store.objects.packs.refresh()


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
