"""The pack that a save writes: what is new goes into it, in whatever form takes the least space."""

from __future__ import annotations

import threading
from itertools import groupby
from typing import TYPE_CHECKING

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.frames import FLAGS, HAS_BASE, NewObject, compressor, leans_of
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.parallel import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from maverick.checkpoints.objects.bases import Bases, Stored
    from maverick.checkpoints.objects.chunking import Read
    from maverick.checkpoints.objects.frames import Frame
    from maverick.checkpoints.objects.ids import BlobId, ObjectId
    from maverick.checkpoints.objects.packs import PackWriter

CHUNKED_FROM_BYTES = 128 << 10
"""Blobs of this size and above are stored as chunks."""


class OpenPack:
    """A pack that is being written, and what need not be put into it. Only one thread adds to
    it.
    """

    def __init__(self, objects: Stored, bases: Bases, writer: PackWriter) -> None:
        self.objects = objects
        self._bases = bases
        self._writer = writer
        self._here: set[ObjectId] = set()
        self._lock = threading.Lock()
        self._added: list[tuple[NewObject, Frame]] = []

    def is_stored(self, object_id: ObjectId) -> bool:
        """Say whether earlier packs hold the object. That says nothing about what a tree names."""
        return self.objects.holds(object_id)

    def wants(self, object_id: ObjectId) -> bool:
        """Say whether the object is in no pack yet; whoever is told so adds it. Threads may ask."""
        return not self.is_stored(object_id) and self._take(object_id)

    def _take(self, object_id: ObjectId) -> bool:
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
        items = list(new)
        absent = self.objects.packs.absent(item.id for item in items)
        self.add_anyway(
            [
                item
                for item in items
                if (self._take(item.id) if item.id in absent else self.wants(item.id))
            ]
        )

    def add_anyway(self, items: Sequence[NewObject]) -> None:
        """Append *items*, children first, whatever the other packs hold. Large blobs are
        chunked.
        """
        for large, group in groupby(items, _is_large):
            if large:
                from maverick.checkpoints.objects import chunking, large_blob  # noqa: PLC0415 - most saves have none

                for item in group:
                    large_blob.LargeBlob(self, item.former, item.id).add(chunking.reader(item.data))
                continue
            small = list(group)
            frames = list(self.frames(small))
            for frame in frames:
                self._writer.add(frame)
            self._added += zip(small, frames, strict=True)

    def add_stream(self, read: Read, former: ObjectId | None = None) -> tuple[BlobId, int]:
        """Append the blob that *read* gives (at most so many bytes, none at the end); gives id and
        size.

        No more than some 30 MiB of it are in memory at a time. *former* is the blob that was in its
        place.
        """
        parts: list[bytes] = []
        size = 0
        while size < CHUNKED_FROM_BYTES and (part := read(CHUNKED_FROM_BYTES - size)):
            parts.append(part)
            size += len(part)
        if size >= CHUNKED_FROM_BYTES:
            from maverick.checkpoints.objects import chunking, large_blob  # noqa: PLC0415 - as above

            large = large_blob.LargeBlob(self, former)
            return large.add(chunking.after(b"".join(parts), read))
        data = b"".join(parts)
        blob = ids.blob_id(data)
        self.add_all([NewObject(ObjectKind.BLOB, blob, data, former)])
        return blob, size

    def remember(self) -> None:
        """Keep what was added in mind, now that it is stored: the next save may change it a
        little.
        """
        bases = self._bases
        flags = [frame.raw[FLAGS] for _, frame in self._added]
        bases.keep_all(
            [
                (item.id, item.data)
                for (item, _), leans in zip(self._added, flags, strict=True)
                if not leans
            ]
        )
        for (item, frame), leans in zip(self._added, flags, strict=True):
            if leans & HAS_BASE:
                bases.link(item.id, leans_of(frame.raw).bases[0])
        self._added.clear()

    def frames(self, items: Sequence[NewObject]) -> Iterator[Frame]:
        """Give the frames of *items*, in order, made on all cores where that pays."""
        return spread(self._frame, items, sum([len(item.data) for item in items]))

    def _frame(self, item: NewObject) -> Frame:
        kind, object_id, data, former = item
        if former is None:
            return compressor().frame(kind, object_id, data)
        return compressor().frame(kind, object_id, data, self._bases.like(former))


def _is_large(item: NewObject) -> bool:
    return item.kind is ObjectKind.BLOB and len(item.data) >= CHUNKED_FROM_BYTES
