"""Garbage collection, second half: does what `gc` planned, in an order that is safe at every instant.

Without a lock: the live objects of the packs to be rewritten are copied into a new pack, durably. Then, alone
in the store (no save is under way): refs and objects are synced, what is new is marked, refs are removed and
shortened and synced, and only then dead packs are moved to `trash/`. A process that dies leaves garbage.

Where kernel locks hold off everybody, the packs just moved are removed at once: a save keeps the shared lock
from listing the packs to syncing its ref, so none can rely on them, and nothing leads to them. Where locks
cannot be trusted a save may be under way; its ref shows up in a later mark, which brings the packs back from
`trash/`. There they wait for a cycle that begins an hour later.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from maverick.checkpoints import filesystem, layout, packs
from maverick.checkpoints.files import FULL, write_new, writing
from maverick.checkpoints.gc import alone, decide, lost_positions, read_refs, take_survey
from maverick.checkpoints.ids import ObjectId
from maverick.checkpoints.packs import Frame
from maverick.checkpoints.refs import encode_ref, file_name
from maverick.checkpoints.retention import Fate
from maverick.errors import PackDamaged, RunOwned, StoreDamaged, StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from maverick.checkpoints.gc import Survey
    from maverick.checkpoints.pack_index import PackIndex, Place
    from maverick.checkpoints.refs import Position, Ref
    from maverick.checkpoints.store import Store

GRACE_MS = 3_600_000
"""How old a leftover must be whose writer may still be at work, where locks do not say so."""


@dataclass(frozen=True, slots=True)
class GcResult:
    """What gc did. `removed_bytes` are bytes of objects, `freed_bytes` those that the disk has gained.

    `trashed_bytes` are those that a later gc frees, where locks cannot be trusted. `left` names the packs
    that were to be rewritten, but could not be read, or for which there was no space.
    """

    runs: tuple[str, ...] = ()
    removed_objects: int = 0
    removed_bytes: int = 0
    kept_objects: int = 0
    freed_bytes: int = 0
    trashed_bytes: int = 0
    left: tuple[str, ...] = ()


def sweep(store: Store, survey: Survey, progress: Callable[[int, int], None] | None) -> GcResult:
    """Do what *survey* found; `GcPlan.execute` says what that guarantees."""
    layout.read_format(store.files, store.root).require_gc(store.root)
    with alone(store), writing("collect garbage", store.root):
        trusted = filesystem.locks_are_trusted(store.root / "gc.lock")
        store.objects.refresh()
        names = {index.name for index in store.objects.packs()}
        if not names.issuperset(index.name for index in survey.packs):  # another gc was here
            survey = take_survey(store, survey.policy, survey)
        sweeper = _Sweeper(store, survey, trusted, progress)
        try:
            sweeper.run()
        finally:
            with suppress(OSError):
                layout.fill_reserve(store.files, store.root)
        return sweeper.result()


class _Sweeper:
    def __init__(
        self, store: Store, survey: Survey, trusted: bool, progress: Callable[[int, int], None] | None
    ) -> None:
        self._store = store
        self._files = store.files
        self._survey = survey
        self._trusted = trusted
        self._progress = progress
        self._dropped: dict[str, None] = {}
        self._removed: dict[bytes, int] = {}
        self._freed = self._trashed = 0
        self._left: dict[str, None] = {}
        self._tight = False
        self._shortened: set[str] = set()

    def run(self) -> None:
        """Sweep in one pass, or, if the disk is too full for that, in as many as it takes."""
        rewrite = self._survey.rewrite
        try:
            self._pass(rewrite)
        except (OSError, StoreUnwritable) as error:
            if not _is_full(error):
                raise
            self._tight = True
            with suppress(FileNotFoundError):
                self._files.unlink(self._store.root / "reserve")
            self._pass([])
            for index in sorted(rewrite, key=self._live_bytes):
                self._try_pass(index)

    def result(self) -> GcResult:
        """Say what was done."""
        kept = {copy for index in self._store.objects.packs() for copy, _ in index.copies()}
        removed = {copy: size for copy, size in self._removed.items() if copy not in kept}
        return GcResult(
            runs=tuple(self._dropped),
            removed_objects=len(removed),
            removed_bytes=sum(removed.values()),
            kept_objects=len(kept),
            freed_bytes=self._freed,
            trashed_bytes=self._trashed,
            left=tuple(self._left),
        )

    def _try_pass(self, index: PackIndex) -> None:
        try:
            self._pass([index])
        except (OSError, StoreUnwritable) as error:
            if not _is_full(error):
                raise
            self._left[index.name] = None

    def _pass(self, rewrite: list[PackIndex]) -> None:
        before = self._purgeable()
        shorter: dict[str, Path] = {}
        try:
            self._shorten(shorter)
            self._copy(rewrite)
            victims = [index for index in (*self._survey.delete, *rewrite) if index.name not in self._left]
            with self._store.locks.exclusive(), self._store.locks.refs():
                condemned = self._condemn(victims, shorter)
        finally:
            for temporary in shorter.values():
                with suppress(FileNotFoundError):
                    self._files.unlink(temporary)
        self._purge(before, condemned)

    def _live_bytes(self, index: PackIndex) -> int:
        live = self._survey.live_copies()
        return sum(place.length for copy, place in index.copies() if copy in live)

    def _path(self, folder: str, name: str) -> Path:
        return self._store.root / folder / f"{name}.pack"

    # Without a lock.

    def _shorten(self, shorter: dict[str, Path]) -> None:
        """Write the refs that lose positions under temporary names; on a full disk as many as fit."""
        for ref in self._survey.refs.values():
            lost = self._lost(ref, self._survey.fates)
            if not lost or ref.run in self._shortened:
                continue
            kept = tuple(position for position in ref.positions if position not in lost)
            temporary = layout.temporary(self._store.root)
            try:
                write_new(self._files, temporary, [encode_ref(replace(ref, positions=kept))])
            except OSError as error:
                if self._tight and _is_full(error):
                    return
                raise
            shorter[ref.run] = temporary

    def _lost(self, ref: Ref, fates: dict[str, Fate]) -> tuple[Position, ...]:
        fate = fates[ref.run]
        return lost_positions(ref, fate, self._survey.live) if fate is Fate.ENDS else ()

    def _copy(self, rewrite: list[PackIndex]) -> None:
        """Write the live objects that only *rewrite* holds into one new pack, durably."""
        going = {index.name for index in (*self._survey.delete, *rewrite)}
        wanted = self._survey.live_copies()
        for index in self._store.objects.packs():
            if index.name not in going:
                wanted.difference_update(copy for copy, _ in index.copies())
        copies = {copy: place.length for index in rewrite for copy, place in index.copies() if copy in wanted}
        frames = self._live_frames(rewrite, wanted, sum(copies.values()))
        first = next(frames, None)
        if first is not None:
            self._freed -= self._store.objects.write_frames(chain([first], frames)).size

    def _live_frames(self, rewrite: list[PackIndex], wanted: set[bytes], total: int) -> Iterator[Frame]:
        done = 0
        for index in rewrite:
            path = self._path("objects", index.name)
            for copy, place in sorted(index.copies(), key=lambda row: row[1].offset):
                if copy not in wanted:
                    continue
                object_id = ObjectId(copy[:32].hex())
                raw = self._files.pread(path, place.offset, place.length)
                if not _is_whole(raw, object_id, place):
                    self._left[index.name] = None  # the pack stays as it is, for fsck
                    continue
                wanted.discard(copy)
                yield Frame(place.kind, object_id, raw)
                done += place.length
                if self._progress is not None:
                    self._progress(done, total)

    # Alone in the store.

    def _condemn(self, victims: list[PackIndex], shorter: dict[str, Path]) -> list[str]:
        """Remove and shorten refs, then move the packs to `trash/` that nothing leads to; gives their names."""
        root, survey = self._store.root, self._survey
        # What a save has written counts here, so it has to be durable before anything goes.
        self._files.sync_folder(root / "refs")
        self._files.sync_folder(root / "objects")
        self._store.objects.refresh()
        refs = read_refs(self._store)
        fates = decide(self._store, refs, survey.policy, survey)
        for ref in refs:
            if self._lost(ref, fates) and ref.run not in shorter:
                fates[ref.run] = Fate.WHOLE
        survey.mark(refs, fates)
        self._heal()
        self._change_refs(refs, fates, shorter)
        self._remove_stale()
        return self._move(victims)

    def _heal(self) -> None:
        """Bring back the packs from `trash/` with what is alive after all; else refuse to go on."""
        missing = self._missing()
        while missing and self._bring_back({copy[:32] for copy in missing}):
            missing = self._missing()
        for copy in missing:
            raise StoreDamaged(
                f"gc removed nothing, because object {copy[:32].hex()[:12]} is missing; run `maverick checkpoint fsck`"
            )

    def _bring_back(self, missing: set[bytes]) -> bool:
        """Bring back the packs from `trash/` that hold some of *missing*; says whether there were any."""
        found = False
        for name in self._trash():
            path = self._path("trash", name)
            with suppress(PackDamaged, FileNotFoundError):
                index = packs.read_index(name, self._files.size(path), partial(self._files.pread, path))
                if any(raw_id in missing for raw_id, _ in index.rows()):
                    self._files.rename(path, self._path("objects", name))
                    found = True
        self._files.sync_folder(self._store.root / "objects")
        self._store.objects.refresh()
        self._survey.note_leans(ObjectId(raw_id.hex()) for raw_id in missing)
        return found

    def _missing(self) -> set[bytes]:
        missing = self._survey.live_copies()
        for index in self._store.objects.packs():
            missing.difference_update(copy for copy, _ in index.copies())
        return missing

    def _change_refs(self, refs: list[Ref], fates: dict[str, Fate], shorter: dict[str, Path]) -> None:
        folder = self._store.root / "refs"
        for ref in refs:
            if fates[ref.run] is Fate.DROPPED:
                self._drop(ref, folder / file_name(ref.run))
            elif fates[ref.run] is Fate.ENDS and ref.run in shorter:
                self._files.rename(shorter[ref.run], folder / file_name(ref.run))
                self._shortened.add(ref.run)
        self._files.sync_folder(folder)

    def _drop(self, ref: Ref, path: Path) -> None:
        """Remove a ref while nobody can begin to own its run."""
        try:
            with self._store.own(ref.run) as owner:
                owner.note_dropped(self._files)
                self._files.unlink(path)
        except RunOwned:  # since an instant ago
            self._survey.mark([ref], {ref.run: Fate.WHOLE})
            return
        except StoreUnwritable as error:  # no space for the owner's note
            if not _is_full(error):
                raise
            self._files.unlink(path)
        self._dropped[ref.run] = None

    def _move(self, victims: list[PackIndex]) -> list[str]:
        """Move those of *victims* to `trash/` that hold nothing alive that is nowhere else."""
        going = {index.name for index in victims}
        needed = self._survey.live_copies()
        for index in self._store.objects.packs():
            if index.name not in going:
                needed.difference_update(copy for copy, _ in index.copies())
        moved: list[str] = []
        for index in victims:
            rows = dict(index.copies())
            if not needed.isdisjoint(rows):
                needed.difference_update(rows)
                continue
            path = self._path("objects", index.name)
            with suppress(FileNotFoundError):  # an earlier pass has moved it
                if not self._trusted:
                    self._files.touch(path)
                self._files.rename(path, self._path("trash", index.name))
                moved.append(index.name)
                self._removed.update((copy, place.length) for copy, place in rows.items())
        self._store.objects.refresh()
        return moved

    def _remove_stale(self) -> None:
        """Remove what is left in `tmp/` by writers that are gone."""
        now = self._now()
        for name in self._files.list(self._store.root / "tmp"):
            path = self._store.root / "tmp" / name
            with suppress(FileNotFoundError):
                if now - self._files.modified(path) >= GRACE_MS or (self._trusted and not writer_lives(name)):
                    size = self._files.size(path)
                    self._files.unlink(path)
                    self._freed += size

    # Without a lock again.

    def _trash(self) -> list[str]:
        names = self._files.list(self._store.root / "trash")
        return sorted(name.removesuffix(".pack") for name in names if name.endswith(".pack"))

    def _purgeable(self) -> list[str]:
        """Give the packs in `trash/` that may go once a mark that is yet to come has not brought them back.

        Where locks cannot be trusted, a save that found an object in one of them may still be under way. It
        began before the pack was moved; after an hour it has ended, and that mark sees its ref.
        """
        now = self._now()
        found: list[str] = []
        for name in self._trash():
            with suppress(FileNotFoundError):  # another gc, where locks hold off nobody
                if self._trusted or now - self._files.modified(self._path("trash", name)) >= GRACE_MS:
                    found.append(name)
        return found

    def _purge(self, before: list[str], condemned: list[str]) -> None:
        """Remove the packs *before* from `trash/`, and, where locks can be trusted, those just *condemned*."""
        for name in condemned if not self._trusted else ():
            with suppress(FileNotFoundError):
                self._trashed += self._files.size(self._path("trash", name))
        going = {*before, *condemned} if self._trusted else set(before) - set(condemned)
        if going and not self._trusted:
            # What the mark found instead may be a pack that a save is about to make durable.
            self._files.sync_folder(self._store.root / "objects")
        for name in going:
            path = self._path("trash", name)
            with suppress(FileNotFoundError):  # brought back
                size = self._files.size(path)
                self._files.unlink(path)
                self._freed += size

    def _now(self) -> int:
        """Give the time by the clock that stamps this store's files, which may be another host's."""
        lock = self._store.root / "gc.lock"
        self._files.touch(lock)
        return self._files.modified(lock)


def _is_whole(raw: bytes, object_id: ObjectId, place: Place) -> bool:
    try:
        header = packs.check_frame(raw)
    except packs.FrameDamaged:
        return False
    return (header.id, header.kind) == (object_id, place.kind)


def writer_lives(name: str) -> bool:
    """Say whether the process that gave a temporary file its *name* lives; True if the name does not say who."""
    pid = name.partition("-")[0]
    if not (pid.isascii() and pid.isdigit() and 0 < int(pid) < 1 << 31):
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_full(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, StoreUnwritable) else error
    return isinstance(cause, OSError) and cause.errno in FULL
