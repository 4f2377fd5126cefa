"""The objects of a store: a set of packs that others may add to, and gc takes from, while it is
used.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import creating, removing_on_error
from maverick.checkpoints.disk.layout import temporary
from maverick.checkpoints.objects import ids, packs
from maverick.checkpoints.objects.bases import Bases
from maverick.checkpoints.objects.frames import (
    BASED_BYTES,
    HAS_BASE,
    HAS_CHUNKS,
    Compressor,
    Frame,
    FrameDamaged,
    Leans,
    NewObject,
    check_frame,
    leans_of,
    open_frame,
    parse_header,
)
from maverick.checkpoints.objects.pack_set import PackSet, pack_name
from maverick.errors import ObjectCorrupt, ObjectMissing, PackDamaged, StoreDenied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
    from maverick.checkpoints.objects.open_pack import OpenPack
    from maverick.checkpoints.objects.pack_index import PackIndex, Place

_LISTS = 2
"""A large blob is a list of lists of chunks at most."""
# Packs may be merged again and again while one object is looked for; each listing that finds a
# change is progress.
_MOST_LISTINGS = 100


def _no_feature(name: str) -> None:
    """Announce nothing: the caller knows what the store says that it needs."""


class Objects:
    """The objects in `objects/` (and, for reading only, `trash/`) of the store at *root*. Thread
    safe.

    What it knows of the packs is as of the last `refresh`; a read that misses looks again.
    *announce* is called with each feature of the format that a pack needs, before the pack can be
    seen.
    """

    def __init__(
        self, files: Files, root: Path, announce: Callable[[str], None] = _no_feature
    ) -> None:
        self._files = files
        self._root = root
        self._announce = announce
        self.packs = PackSet(files, root)
        self.bases = Bases(self)

    def holds(self, object_id: ObjectId) -> bool:
        """Say whether an object is in `objects/` with all that it leans on. Says nothing of what it
        names.
        """
        place = self.packs.find(object_id)
        if place is None or not place.leans:
            return place is not None
        try:
            base = self.bases.based_on(object_id, place)
            leans = Leans(bases=(base,)) if base else self.leans_at(place)
        except (FrameDamaged, FileNotFoundError):
            return False
        bases = all(self.packs.find(base_id, whole=True) is not None for base_id in leans.bases)
        return bases and all(self.holds(chunk) for chunk, _ in leans.chunks)

    def leans(self, object_id: ObjectId) -> Leans:
        """Give what the copies of an object lean on, all of them together; nothing if one leans on
        nothing.

        As long as that is there, each copy can be read, also when the others are gone.
        """
        parts: list[Leans] = []
        for place in self.packs.leaning(object_id):
            with suppress(FrameDamaged, FileNotFoundError):
                parts.append(self.leans_at(place))
        if len(parts) < 2:
            return parts[0] if parts else Leans()
        return Leans(
            tuple(dict.fromkeys(base for part in parts for base in part.bases)),
            tuple(dict.fromkeys(chunk for part in parts for chunk in part.chunks)),
        )

    def leans_at(self, place: Place) -> Leans:
        """Give what the frame at *place* leans on. Raises FrameDamaged, FileNotFoundError."""
        path = self._path("objects", place.pack)
        raw = self._files.pread(path, place.offset, min(place.length, BASED_BYTES))
        if parse_header(raw).flags & HAS_CHUNKS:
            raw = self._files.pread(path, place.offset, place.length)
        return leans_of(raw)

    def read(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object, whose hash is its id.

        Raises:
            ObjectMissing: it is in no pack, also not in `trash/`, or what it leans on is not.
            ObjectCorrupt: what is stored has another hash.
            PackDamaged: it is in none of the packs that can be read, and some cannot.
        StoreDenied: the same, and some this user may not read.
        """
        return self._read(object_id)

    def read_whole(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object from a copy that leans on nothing. Raises as `read`."""
        return self._read(object_id, whole=True)

    def read_chunks(self, object_id: ObjectId) -> Iterator[bytes]:
        """Yield the bytes of an object in parts of up to 256 KiB, if it is stored so; else in one.

        Each part was verified; that all of them together are the object is verified at the end.

        Raises:
            ObjectMissing, ObjectCorrupt, PackDamaged: as `read`, perhaps after some parts.
        """
        return self._parts(object_id, 0)

    def _parts(self, object_id: ObjectId, depth: int) -> Iterator[bytes]:
        place = self.packs.find(object_id)
        chunks: tuple[tuple[ObjectId, int], ...] = ()
        if place is not None and place.leans and depth < _LISTS:
            with suppress(FrameDamaged, FileNotFoundError):  # `read` will say what is wrong
                chunks = self.leans_at(place).chunks
        if place is None or not chunks:
            yield self.read(object_id)
            return
        hashed = ids.Hasher()
        for chunk, length in chunks:
            size = 0
            for part in self._parts(chunk, depth + 1):
                size += len(part)
                hashed.update(part)
                yield part
            if size != length:
                raise _corrupt(
                    object_id,
                    f"its chunk {chunk[:12]} has another length than its list says",
                    place,
                )
        if hashed.blob_id() != object_id:
            raise _corrupt(object_id, f"its chunks hash to {hashed.blob_id()[:12]}", place)

    def portable(self, object_id: ObjectId, kind: ObjectKind) -> Frame:
        """Give the frame of an object of *kind*, made anew if it has a base; it leans on its
        chunks, or on nothing.

        Raises:
            StoreDamaged: it is missing or damaged.
        """
        place = self.packs.find(object_id)
        if place is not None:
            with suppress(FrameDamaged, FileNotFoundError):
                raw = self._files.pread(
                    self._path("objects", place.pack), place.offset, place.length
                )
                if not check_frame(raw).flags & HAS_BASE:
                    return Frame(place.kind, object_id, raw)
        return Compressor().frame(kind, object_id, self.read(object_id))

    def fetch(self, object_id: ObjectId, *, whole: bool) -> bytes:
        return self._fetch(0, object_id, whole=whole)

    def _fetch(self, depth: int, object_id: ObjectId, *, whole: bool) -> bytes:
        """Give what a frame leans on, which is itself in as many lists of chunks as *depth*
        says.
        """
        if whole:
            return self.bases.data(object_id)
        if depth == _LISTS:
            raise FrameDamaged("its lists of chunks are nested too deep")
        return self._read(object_id, depth=depth + 1)

    def _read(self, object_id: ObjectId, *, whole: bool = False, depth: int = 0) -> bytes:
        # gc or a merge may have moved it since the last refresh, or another process added it.
        for _ in range(_MOST_LISTINGS):
            changes = self.packs.changes
            place = self.packs.find(object_id, whole=whole)
            if place is not None:
                with suppress(FileNotFoundError):
                    return self._read_any(object_id, place, whole=whole, depth=depth)
            self.packs.refresh()
            if self.packs.changes == changes:
                break
        return self._read_trash(object_id, whole=whole, depth=depth)

    @contextmanager
    def packing(self) -> Iterator[OpenPack]:
        """Give a pack to put objects into. When the block ends they are durable (2 fsyncs)."""
        from maverick.checkpoints.objects.open_pack import OpenPack  # noqa: PLC0415 - what only reads does without

        path = temporary(self._root)
        with creating(self._files, path) as descriptor:
            writer = packs.PackWriter(lambda data: self._files.write(descriptor, data))
            pack = OpenPack(self, self.bases, writer)
            yield pack
            index = writer.finish()
        with removing_on_error(self._files, path):
            for feature in writer.features():
                self._announce(feature)
        self._publish(path, index)
        pack.remember()

    def write(self, new: Iterable[NewObject]) -> None:
        """Store *new*, children first, as one pack. When it returns they are durable (2 fsyncs)."""
        with self.packing() as pack:
            pack.add_anyway(list(new))

    def write_frames(self, frames: Iterable[Frame]) -> PackIndex:
        """Store *frames*, children first, as one pack. When it returns they are durable (2
        fsyncs).
        """
        path = temporary(self._root)
        with creating(self._files, path) as descriptor:
            writer = packs.PackWriter(lambda data: self._files.write(descriptor, data))
            for frame in frames:
                writer.add(frame)
            index = writer.finish()
        self._publish(path, index)
        return index

    def _publish(self, path: Path, index: PackIndex) -> None:
        with removing_on_error(self._files, path):
            self._files.rename(path, self._path("objects", index.name))
        self._files.sync_folder(self._root / "objects")
        self.packs.add(index)

    def frames_at(
        self, pack: str, rows: Iterable[tuple[bytes, Place]]
    ) -> Iterator[tuple[Place, Frame | None]]:
        return packs.read_frames(rows, partial(self._files.pread, self._path("objects", pack)))

    def _path(self, folder: str, name: str) -> Path:
        return self._root / f"{folder}/{name}.pack"

    def _read_any(self, object_id: ObjectId, place: Place, *, whole: bool, depth: int) -> bytes:
        """Read an object at *place*, or, if it cannot be read there, from another pack that holds
        it.
        """
        try:
            return self._read_at(object_id, place, "objects", depth)
        except (ObjectCorrupt, ObjectMissing):
            for index in self.packs.indexes():
                other = index.find(bytes.fromhex(object_id))
                if other is not None and other != place and not (whole and other.leans):
                    with suppress(ObjectCorrupt, ObjectMissing, FileNotFoundError):
                        return self._read_at(object_id, other, "objects", depth)
            raise

    def _read_at(self, object_id: ObjectId, place: Place, folder: str, depth: int) -> bytes:
        raw = self._files.pread(self._path(folder, place.pack), place.offset, place.length)
        try:
            header, data = open_frame(raw, partial(self._fetch, depth))
        except FrameDamaged as error:
            raise _corrupt(object_id, str(error), place) from error
        actual = ids.object_id(header.kind, data)
        if actual != object_id:
            raise _corrupt(object_id, f"its content hashes to {actual[:12]}", place)
        if header.kind is ids.ObjectKind.TREE and not header.flags:
            # what is read of a folder is what the next save changes
            self.bases.keep(object_id, data)
        return data

    def _trash(self) -> list[str]:
        try:
            return self._files.list(self._root / "trash")
        except FileNotFoundError:
            return []

    def _read_trash(self, object_id: ObjectId, *, whole: bool, depth: int) -> bytes:
        raw_id = bytes.fromhex(object_id)
        for name in filter(None, map(pack_name, self._trash())):
            with suppress(FileNotFoundError, PackDamaged):
                path = self._path("trash", name)
                place = packs.open_index(
                    name, self._files.size(path), partial(self._files.pread, path)
                ).find(raw_id)
                if place is not None and not (whole and place.leans):
                    return self._read_at(object_id, place, "trash", depth)
        self.packs.indexes()  # checks the large indexes, too
        damaged = self.packs.damaged()
        for denied in damaged:
            if isinstance(denied, StoreDenied):  # it may be in there, whole
                raise denied
        if damaged:
            raise PackDamaged(
                f"object {object_id[:12]} is in no pack that can be read, and {damaged[0]}"
            )
        raise ObjectMissing(f"object {object_id[:12]} is missing; run `maverick checkpoint fsck`")


def _corrupt(object_id: ObjectId, why: str, place: Place) -> ObjectCorrupt:
    return ObjectCorrupt(
        f"object {object_id[:12]} is damaged ({why}; pack {place.pack[:12]}, byte {place.offset}); "
        "run `maverick checkpoint fsck --read-data`"
    )
