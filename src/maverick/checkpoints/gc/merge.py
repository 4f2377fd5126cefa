"""Merging of small packs at saves, so that a long run does not leave thousands of them.

When eight packs of about one size have come together they are copied into one, which is of the next
size: so there are at most seven of each of some sizes, and each byte is copied once for each size.
The new pack is durable before anything else happens; the old ones, all of whose frames it holds,
are removed alone in the store, at once or, while other saves are under way, after one of the next
saves. Nothing waits for anybody. Where locks cannot be trusted, nothing is merged.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout
from maverick.checkpoints.objects.frames import ID, Frame, FrameDamaged
from maverick.checkpoints.objects.pack_index import damaged
from maverick.checkpoints.objects.pack_set import MERGED_PACKS
from maverick.errors import MaverickError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.pack_index import PackIndex, Place

LARGE_BYTES = 256 << 20
"""Packs of this size are left to gc: copying them takes a second."""
_SMALLEST_BITS = 10
_FACTOR_BITS = MERGED_PACKS.bit_length() - 1


def due(indexes: Iterable[PackIndex]) -> list[PackIndex]:
    """Give the packs to merge now, those of the smallest size of which there are enough; or
    none.
    """
    sizes: dict[int, list[PackIndex]] = {}
    for index in indexes:
        if index.size < LARGE_BYTES:
            sizes.setdefault(_size_class(index.size), []).append(index)
    for _, packs in sorted(sizes.items()):
        if len(packs) >= MERGED_PACKS:
            return _first_of(packs)
    return []


def _size_class(size: int) -> int:
    return max(size.bit_length() - _SMALLEST_BITS, 0) // _FACTOR_BITS


def _first_of(indexes: list[PackIndex]) -> list[PackIndex]:
    """Give as many of *indexes* as make one pack that is not too large."""
    total, chosen = 0, []
    for index in indexes:
        total += index.size
        if total > LARGE_BYTES:
            break
        chosen.append(index)
    return chosen


class Merger:
    """Merges the packs of a store that this process saves into. A merge that fails is no failure of
    the save.
    """

    def __init__(self, store: StoreFolder) -> None:
        self._store = store
        # Packs whose frames a merged one holds, by the name of that; they wait to be removed.
        self._replaced: dict[str, list[str]] = {}
        self._given_up = False

    def after_save(self) -> None:
        """Do what there is to do: usually nothing. Costs 2 fsyncs when packs are merged."""
        if self._given_up or not (self._replaced or due(self._store.objects.packs.listed())):
            return
        try:
            if self._store.locks.are_trusted:
                self._work()
            else:
                self._given_up = True
        except (OSError, MaverickError):
            # a full disk, a damaged pack: gc and fsck say so, and mend it
            self._given_up = True

    def _work(self) -> None:
        with suppress(BlockingIOError), self._store.locks.merge():
            self._store.objects.packs.refresh()
            waiting = {name for names in self._replaced.values() for name in names}
            chosen = due(
                index for index in self._store.objects.packs.listed() if index.name not in waiting
            )
            if chosen:
                self._announce()
                merged = self._store.objects.write_frames(_frames(self._store, chosen))
                self._replaced[merged.name] = [index.name for index in chosen]
            self._remove()

    def _announce(self) -> None:
        if "merges" not in self._store.format.gc:
            with self._store.locks.refs():
                layout.announce(self._store.files, self._store.root, "gc", "merges")

    def _remove(self) -> None:
        """Remove the packs that were merged, unless a save is under way: it may have listed
        them.
        """
        with suppress(BlockingIOError), self._store.locks.exclusive(wait=False):
            self._store.objects.packs.refresh()
            there = {index.name for index in self._store.objects.packs.listed()}
            for merged, replaced in self._replaced.items():
                for name in replaced if merged in there else ():
                    with suppress(FileNotFoundError):
                        self._store.files.unlink(self._path(name))
            self._replaced.clear()
            self._store.objects.packs.refresh()

    def _path(self, name: str) -> Path:
        return self._store.root / "objects" / f"{name}.pack"


def _frames(store: StoreFolder, chosen: list[PackIndex]) -> Iterator[Frame]:
    """Yield a frame of each object in the packs *chosen*, checked: one that leans on nothing, if
    there is one.
    """
    best: dict[bytes, Place] = {}
    for index in chosen:
        for raw_id, place in index.rows():
            kept = best.setdefault(raw_id, place)
            if (
                kept is not place
                and kept.leans
                and (not place.leans or not _can_be_read(store, kept))
            ):
                best[raw_id] = place
    for index in chosen:
        for place, frame in store.objects.frames_at(index.name, index.rows()):
            if frame is None:
                raise damaged(index.name, "one of its frames is not what was written")
            if best[frame.raw[ID]] == place:
                yield frame


def _can_be_read(store: StoreFolder, place: Place) -> bool:
    """Say whether what the frame at *place* leans on is there. Asked only where there is
    another.
    """
    try:
        leans = store.objects.leans_at(place)
    except FrameDamaged:
        return False
    bases = all(store.objects.packs.find(base, whole=True) for base in leans.bases)
    return bases and all(store.objects.holds(chunk) for chunk, _ in leans.chunks)
