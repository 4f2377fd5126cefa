"""What a save adds to the store: objects that it does not hold yet, kept in memory while they are
few, else written into a sealed pack as they come.
"""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject, require_storable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from maverick.checkpoints.objects.chunking import Read
    from maverick.checkpoints.objects.ids import BlobId, ObjectId
    from maverick.checkpoints.objects.pack_set import PackSet
    from maverick.checkpoints.objects.pack_writer import PackWriter

CHUNKED_FROM_BYTES = 128 << 10
"""Blobs of this size and above are stored as chunks."""
LARGE_BYTES = 4 << 20
"""More new bytes than these go into a sealed pack of their own, compressed on all cores."""


class Stored(Protocol):
    """The objects that are stored, and which of them a save may lean on."""

    packs: PackSet

    def holds_for_saves(self, object_id: ObjectId) -> bool: ...

    def chunks(self, object_id: ObjectId) -> tuple[tuple[ObjectId, int], ...]: ...

    def read(self, object_id: ObjectId) -> bytes: ...


class NewObjects:
    """Gathers objects, children first. Only one thread adds; `wants` may be asked by several.

    *begin* gives what writes a sealed pack; it is called once there is too much for memory.
    """

    def __init__(self, objects: Stored, begin: Callable[[], PackWriter]) -> None:
        self.objects = objects
        self._begin = begin
        self._here: set[ObjectId] = set()
        self._lock = threading.Lock()
        self._held: list[NewObject] = []
        self._held_bytes = 0
        self.writer: PackWriter | None = None

    def is_stored(self, object_id: ObjectId) -> bool:
        """Say whether the store holds the object. That says nothing about what a tree names."""
        return self.objects.holds_for_saves(object_id)

    def wants(self, object_id: ObjectId) -> bool:
        """Say whether the object is not stored yet; whoever is told so adds it."""
        if self.is_stored(object_id):
            return False
        with self._lock:
            if object_id in self._here:
                return False
            self._here.add(object_id)
            return True

    def add(self, item: NewObject) -> None:
        """Add an object that is wanted."""
        require_storable(item.data)
        self._hold([item])

    def _hold(self, items: list[NewObject]) -> None:
        if self.writer is None:
            self._held += items
            self._held_bytes += sum([len(item.data) for item in items])
            if self._held_bytes > LARGE_BYTES:
                self.seal()
        else:
            for item in items:
                self.writer.add(item)

    def seal(self) -> None:
        """Put what was added, and all that will be, into a sealed pack."""
        if self.writer is None:
            self.writer = self._begin()
            for item in self._held:
                self.writer.add(item)
            self._held = []

    def taken(self) -> list[NewObject]:
        """Give what was added and is in no sealed pack."""
        return self._held

    def add_all(
        self,
        new: Iterable[NewObject],
        former_of: Mapping[ObjectId, ObjectId] = MappingProxyType({}),
    ) -> None:
        """Add those of *new* that are not stored yet; large blobs are chunked.

        *former_of* says what stood in the place of a blob before.
        """
        items = {item.id: item for item in new}
        absent = self.objects.packs.absent(items)
        with self._lock:
            wanted = absent - self._here
            self._here |= wanted
        wanted.update(object_id for object_id in items.keys() - absent if self.wants(object_id))
        small: list[NewObject] = []
        for object_id, item in items.items():
            if object_id not in wanted:
                continue
            if len(item.data) < CHUNKED_FROM_BYTES or item.kind is not ObjectKind.BLOB:
                small.append(item)
                continue
            from maverick.checkpoints.objects import chunking, large_blob  # noqa: PLC0415 - most saves have none

            former = former_of.get(object_id)
            large_blob.LargeBlob(self, former, object_id).add(chunking.reader(item.data))
        self._hold(small)

    def add_stream(self, read: Read, former: ObjectId | None = None) -> tuple[BlobId, int]:
        """Add the blob that *read* gives (at most so many bytes, none at the end); gives id and
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
        if self.wants(blob):
            self.add(NewObject(ObjectKind.BLOB, blob, data))
        return blob, size
