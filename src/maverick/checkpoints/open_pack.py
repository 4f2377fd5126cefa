"""The pack that a save writes: what is new goes into it, in whatever form takes the least space."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maverick.checkpoints.frames import HAS_BASE, Compressor, leans_of
from maverick.checkpoints.ids import ObjectKind
from maverick.checkpoints.parallel import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from maverick.checkpoints.frames import Frame
    from maverick.checkpoints.ids import ObjectId
    from maverick.checkpoints.objects import Objects
    from maverick.checkpoints.packs import PackWriter


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that is not stored yet. `former` is what stands at its place in the parent checkpoint."""

    kind: ObjectKind
    id: ObjectId
    data: bytes
    former: ObjectId | None = None


class OpenPack:
    """A pack that is being written, and what need not be put into it. Only one thread adds to it."""

    def __init__(self, objects: Objects, writer: PackWriter) -> None:
        self._objects = objects
        self._writer = writer
        self._here: set[ObjectId] = set()
        self._lock = threading.Lock()
        self._added: list[tuple[NewObject, Frame]] = []
        self._local = threading.local()

    def is_stored(self, object_id: ObjectId) -> bool:
        """Say whether earlier packs hold the object. That says nothing about what a tree names."""
        return self._objects.holds(object_id)

    def wants(self, object_id: ObjectId) -> bool:
        """Say whether the object is in no pack yet; whoever is told so adds it. Threads may ask."""
        if self.is_stored(object_id):
            return False
        with self._lock:
            if object_id in self._here:
                return False
            self._here.add(object_id)
            return True

    def add(self, frame: Frame) -> None:
        """Append the frame of an object that is wanted, children before what names them."""
        self._writer.add(frame)

    def add_all(self, new: Iterable[NewObject]) -> None:
        """Append those of *new*, children first, that are in no pack yet."""
        # A checkpoint says when it was made and what was before it; no other is the same.
        self.add_anyway([item for item in new if item.kind is ObjectKind.CHECKPOINT or self.wants(item.id)])

    def add_anyway(self, items: Sequence[NewObject]) -> None:
        """Append *items*, children first, whatever the other packs hold."""
        for item, frame in zip(items, self._frames(items), strict=True):
            self._writer.add(frame)
            self._added.append((item, frame))

    def remember(self) -> None:
        """Keep what was added in mind, now that it is stored: the next save may change it a little."""
        bases = self._objects.bases
        for item, frame in self._added:
            if not frame.flags:
                bases.keep(item.id, item.data)
            elif frame.flags & HAS_BASE:
                bases.link(item.id, leans_of(frame.raw).bases[0])
        self._added.clear()

    def _frames(self, items: Sequence[NewObject]) -> Iterator[Frame]:
        """Give the frames of *items*, in order, made on all cores where that pays."""
        return spread(self._frame, items, sum(len(item.data) for item in items))

    def _frame(self, item: NewObject) -> Frame:
        base = self._objects.bases.like(item.former) if item.former is not None else None
        return self._compressor().frame(item.kind, item.id, item.data, base)

    def _compressor(self) -> Compressor:
        if not hasattr(self._local, "compressor"):
            self._local.compressor = Compressor()
        compressor: Compressor = self._local.compressor
        return compressor
