"""The objects of a store as gc reads them: all trees and checkpoints, soon one after the other.

What is stored whole is found in memory and read from packs that stay open; all else is left to
`Objects`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import OpenFiles
from maverick.checkpoints.objects import ids, packs
from maverick.checkpoints.objects.frames import Leans
from maverick.checkpoints.objects.ids import ObjectKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.pack_index import PackIndex, Place

_NOTHING = Leans()


class BulkSource:
    """The objects in *known* packs, as they were; the store's as they are now, where an object is
    in none of these.

    A `Source` for a walk. It keeps files open, and with them the space of packs that are removed,
    until `close`.
    """

    def __init__(self, store: StoreFolder, known: Iterable[PackIndex]) -> None:
        self._objects = store.objects
        self._folder = store.root / "objects"
        self._files = OpenFiles(store.files)
        self._paths = {index.name: self._folder / f"{index.name}.pack" for index in known}
        self._whole: set[bytes] = set()
        self._places: dict[bytes, Place] = {}
        for index in known:
            for raw_id, place in index.rows():
                if not place.leans:
                    self._whole.add(raw_id)
                    if place.kind is not ObjectKind.BLOB:
                        self._places[raw_id] = place

    def holds(self, object_id: ObjectId) -> bool:
        """Say whether an object is in a pack, with all that it leans on."""
        return bytes.fromhex(object_id) in self._whole or self._objects.holds(object_id)

    def leans(self, object_id: ObjectId) -> Leans:
        """Give what the copies of an object lean on."""
        return (
            _NOTHING if bytes.fromhex(object_id) in self._whole else self._objects.leans(object_id)
        )

    def read(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object, verified. Raises as `Objects.read`."""
        place = self._places.get(bytes.fromhex(object_id))
        if place is not None:
            with suppress(packs.FrameDamaged, OSError):
                raw = self._files.pread(self._paths[place.pack], place.offset, place.length)
                header, data = packs.open_frame(raw, self._objects.fetch)
                if ids.object_id(header.kind, data) == object_id:
                    return data
        return self._objects.read(object_id)  # finds another copy, or says what is wrong

    def close(self) -> None:
        """Let go of the files."""
        for path in self._paths.values():
            self._files.close(path)
