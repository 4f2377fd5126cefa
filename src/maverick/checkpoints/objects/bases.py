"""Similar objects: what stood at the same place before, in a form that a new object can be
compressed with.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from maverick.checkpoints.objects.frames import FRAME_BYTES, Base, FrameDamaged
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.checkpoints.objects.frames import Leans
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.pack_index import Place
    from maverick.checkpoints.objects.pack_set import PackSet

MAX_BASE_BYTES = 256 << 10
"""Larger objects are no bases: chunks are at most this large, and anything else is chunked."""
_CACHED_BYTES = 8 << 20
_CACHED_LINKS = 8192


class Stored(Protocol):
    """The objects that are stored."""

    packs: PackSet

    def leans_at(self, place: Place) -> Leans: ...

    def read_whole(self, object_id: ObjectId) -> bytes: ...

    def read(self, object_id: ObjectId) -> bytes: ...

    def holds(self, object_id: ObjectId) -> bool: ...


class Bases:
    """The objects that were last written or read whole, and which of them others were compressed
    with.
    """

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._lock = threading.Lock()
        self._whole: OrderedDict[ObjectId, bytes] = OrderedDict()
        self._whole_bytes = 0
        self._base_of: OrderedDict[ObjectId, ObjectId] = OrderedDict()

    def like(self, former: ObjectId) -> Base | None:
        """Give *former* as base, or what it is itself based on; None if neither is stored whole any
        more.
        """
        with suppress(StoreDamaged, StoreTooNew, FrameDamaged, OSError):
            # then the new object is stored whole
            place = self._stored.packs.find(former)
            base_id: ObjectId | None = former
            if place is not None and place.leans:
                base_id = self.based_on(former, place)
                place = self._stored.packs.find(base_id, whole=True) if base_id else None
            if place is not None and base_id is not None and place.length <= MAX_BASE_BYTES:
                return Base(
                    base_id, self.data(base_id), place.length - FRAME_BYTES, base_id == former
                )
        return None

    def data(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object that is stored whole. Raises StoreDamaged."""
        with self._lock:
            data = self._whole.get(object_id)
            if data is not None:
                self._whole.move_to_end(object_id)
                return data
        data = self._stored.read_whole(object_id)
        self.keep(object_id, data)
        return data

    def keep(self, object_id: ObjectId, data: bytes) -> None:
        """Remember an object that is stored whole: it may soon be a base."""
        self.keep_all([(object_id, data)])

    def keep_all(self, objects: Iterable[tuple[ObjectId, bytes]]) -> None:
        whole = self._whole
        with self._lock:
            for object_id, data in objects:
                if len(data) <= MAX_BASE_BYTES:
                    self._whole_bytes += len(data) - len(whole.pop(object_id, b""))
                    whole[object_id] = data
            while self._whole_bytes > _CACHED_BYTES:
                self._whole_bytes -= len(whole.popitem(last=False)[1])

    def link(self, object_id: ObjectId, base: ObjectId) -> None:
        """Remember which base an object was stored with."""
        with self._lock:
            self._base_of[object_id] = base
            if len(self._base_of) > _CACHED_LINKS:
                self._base_of.popitem(last=False)

    def based_on(self, object_id: ObjectId, place: Place) -> ObjectId | None:
        """Give the base of the object whose frame at *place* leans on others; None if it is a list
        of chunks.
        """
        base = self._base_of.get(object_id)
        if base is None:
            for base in self._stored.leans_at(place).bases:  # one, or none
                self.link(object_id, base)
        return base
