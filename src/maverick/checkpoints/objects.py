"""The objects of a store: a set of packs that others may add to, and gc takes from, while it is used."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints import ids, packs
from maverick.checkpoints.files import OpenFiles, creating, removing_on_error
from maverick.checkpoints.layout import list_folder, temporary
from maverick.checkpoints.parallel import spread
from maverick.errors import ObjectCorrupt, ObjectMissing, PackDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from maverick.checkpoints.files import Files
    from maverick.checkpoints.ids import ObjectId, ObjectKind
    from maverick.checkpoints.pack_index import PackIndex, Place
    from maverick.checkpoints.packs import Frame

# The places of smaller packs, such as most saves write, are in one dictionary; larger packs are searched each.
_SMALL_COUNT = 64


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object that is not stored yet."""

    kind: ObjectKind
    id: ObjectId
    data: bytes


class OpenPack:
    """A pack that is being written, and what need not be put into it. Only one thread adds to it."""

    def __init__(self, objects: Objects, writer: packs.PackWriter) -> None:
        self._objects = objects
        self._writer = writer
        self._here: set[ObjectId] = set()
        self._lock = threading.Lock()

    def is_stored(self, object_id: ObjectId) -> bool:
        """Say whether an earlier pack holds the object. That says nothing about what a tree names."""
        return self._objects.find(object_id) is not None

    def wants(self, object_id: ObjectId) -> bool:
        """Say whether the object is in no pack yet; whoever is told so adds it. Threads may ask."""
        with self._lock:
            if object_id in self._here or self.is_stored(object_id):
                return False
            self._here.add(object_id)
            return True

    def add(self, frame: Frame) -> None:
        """Append the frame of an object that is wanted, children before what names them."""
        self._writer.add(frame)

    def add_all(self, new: Iterable[NewObject]) -> None:
        """Append those of *new*, children first, that are in no pack yet."""
        for frame in self._objects.frames_of([item for item in new if self.wants(item.id)]):
            self.add(frame)


class Objects:
    """The objects in `objects/` (and, for reading only, `trash/`) of the store at *root*. Thread safe.

    What it knows of the packs is as of the last `refresh`; a read that misses looks again.
    """

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._lock = threading.Lock()
        self._open = OpenFiles(files)
        self._packs: dict[str, PackIndex] = {}
        self._damaged: dict[str, PackDamaged] = {}
        self._places: dict[bytes, Place] = {}
        self._large: list[PackIndex] = []
        self._names: set[str] = set()
        self._listed = False

    def refresh(self) -> None:
        """List `objects/`, read the indexes of new packs, forget the packs that are gone.

        A damaged pack is remembered as that: its objects are not found, reading one says why.
        """
        with self._lock:
            names = set(list_folder(self._files, self._root, "objects"))
            self._listed = True
            if names == self._names:
                return
            self._forget({name for name in self._packs if f"{name}.pack" not in names})
            self._damaged = {name: it for name, it in self._damaged.items() if f"{name}.pack" in names}
            for name in sorted(map(_pack_name, names - self._names)):
                if name and name not in self._packs and name not in self._damaged:
                    self._load(name)
            self._names = names

    def packs(self) -> list[PackIndex]:
        """Give the indexes of the packs in `objects/` as of the last refresh, read whole, damaged ones left out."""
        with self._lock:
            for index in list(self._packs.values()):
                with self._noting_damage(index):
                    index.data  # noqa: B018 - reads and checks it
            return list(self._packs.values())

    def damaged(self) -> list[PackDamaged]:
        """Give what is wrong with the damaged packs in `objects/`, as of the last refresh."""
        with self._lock:
            return list(self._damaged.values())

    def find(self, object_id: ObjectId) -> Place | None:
        """Give the place of an object in `objects/` as of the last refresh; None if it is not there."""
        if not self._listed:
            self.refresh()
        raw_id = bytes.fromhex(object_id)
        with self._lock:
            return self._places.get(raw_id) or self._find_large(raw_id)

    def with_prefix(self, prefix: str, kind: ObjectKind) -> set[ObjectId]:
        """Give the objects of *kind* whose ids begin with the hexadecimal digits *prefix*."""
        self.refresh()
        found: set[ObjectId] = set()
        with self._lock:
            for index in list(self._packs.values()):
                with self._noting_damage(index):
                    found.update(it for it, place in index.with_prefix(prefix) if place.kind == kind)
        return found

    def read(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object, whose hash is its id.

        Raises:
            ObjectMissing: it is in no pack, also not in `trash/`.
            ObjectCorrupt: what is stored has another hash.
            PackDamaged: it is in none of the packs that can be read, and some cannot.
        """
        for _ in range(2):  # gc may have moved it since the last refresh, or another process added it
            with suppress(FileNotFoundError):
                place = self.find(object_id)
                if place is not None:
                    return self._read_whole(object_id, place)
            self.refresh()
        return self._read_trash(object_id)

    @contextmanager
    def packing(self) -> Iterator[OpenPack]:
        """Give a pack to put objects into. When the block ends they are durable (2 fsyncs)."""
        path = temporary(self._root)
        with creating(self._files, path) as descriptor:
            writer = packs.PackWriter(lambda data: self._files.write(descriptor, data))
            yield OpenPack(self, writer)
            index = writer.finish()
        self._publish(path, index)

    def frames_of(self, items: Sequence[NewObject]) -> Iterator[Frame]:
        """Give the frames of *items*, in order, made on all cores where that pays."""
        local = threading.local()

        def frame(item: NewObject) -> Frame:
            if not hasattr(local, "compressor"):
                local.compressor = packs.Compressor()
            made: Frame = local.compressor.frame(item.kind, item.id, item.data)
            return made

        return spread(frame, items, sum(len(item.data) for item in items))

    def write(self, new: Iterable[NewObject]) -> None:
        """Store *new*, children first, as one pack. When it returns they are durable (2 fsyncs)."""
        self.write_frames(self.frames_of(list(new)))

    def write_frames(self, frames: Iterable[Frame]) -> PackIndex:
        """Store *frames*, children first, as one pack. When it returns they are durable (2 fsyncs)."""
        path = temporary(self._root)
        with creating(self._files, path) as descriptor:
            writer = packs.PackWriter(lambda data: self._files.write(descriptor, data))
            for frame in frames:
                writer.add(frame)
            index = writer.finish()
        self._publish(path, index)
        return index

    def _publish(self, path: Path, index: PackIndex) -> None:
        folder = self._root / "objects"
        with removing_on_error(self._files, path):
            self._files.rename(path, folder / f"{index.name}.pack")
        self._files.sync_folder(folder)
        with self._lock:
            self._names.add(f"{index.name}.pack")
            self._register(index)

    def frames(self, index: PackIndex) -> Iterator[tuple[Place, bytes]]:
        """Yield the raw frames of a pack in `objects/`, in the order in which they stand there."""
        for place in sorted((place for _, place in index.rows()), key=lambda place: place.offset):
            yield place, self._files.pread(self._path("objects", index.name), place.offset, place.length)

    def _path(self, folder: str, name: str) -> Path:
        return self._root / folder / f"{name}.pack"

    # With the lock held.

    def _load(self, name: str) -> None:
        path = self._path("objects", name)
        try:
            index = packs.open_index(name, self._files.size(path), partial(self._open.pread, path))
        except PackDamaged as error:
            self._damaged[name] = error
        except FileNotFoundError:  # gc was faster
            return
        else:
            self._register(index)
        if name in self._damaged or len(index) <= _SMALL_COUNT:
            self._open.close(path)

    def _register(self, index: PackIndex) -> None:
        self._packs[index.name] = index
        if len(index) <= _SMALL_COUNT:
            self._places.update(index.rows())
        else:
            self._large.append(index)

    def _forget(self, names: set[str]) -> None:
        if not names:
            return
        known, self._packs, self._places, self._large = self._packs, {}, {}, []
        for name, index in known.items():
            if name in names:
                self._open.close(self._path("objects", name))
            else:
                self._register(index)

    def _find_large(self, raw_id: bytes) -> Place | None:
        for index in list(self._large):
            with self._noting_damage(index):
                place = index.find(raw_id)
                if place is not None:
                    return place
        return None

    @contextmanager
    def _noting_damage(self, index: PackIndex) -> Iterator[None]:
        """Go on without a pack that turns out to be damaged, or to be gone, when its rows are read."""
        try:
            yield
        except PackDamaged as error:
            self._forget({index.name})
            self._damaged[index.name] = error
        except FileNotFoundError:
            self._forget({index.name})
            self._names.discard(f"{index.name}.pack")

    # Without the lock.

    def _read_whole(self, object_id: ObjectId, place: Place) -> bytes:
        """Read an object at *place*, or, if it is damaged there, from another pack that holds it."""
        try:
            return self._read_at(object_id, place, "objects")
        except ObjectCorrupt:
            for index in self.packs():
                other = index.find(bytes.fromhex(object_id))
                if other is not None and other != place:
                    with suppress(ObjectCorrupt, FileNotFoundError):
                        return self._read_at(object_id, other, "objects")
            raise

    def _read_at(self, object_id: ObjectId, place: Place, folder: str) -> bytes:
        raw = self._files.pread(self._path(folder, place.pack), place.offset, place.length)
        try:
            header, data = packs.open_frame(raw)
        except packs.FrameDamaged as error:
            raise _corrupt(object_id, str(error), place) from error
        actual = ids.object_id(header.kind, data)
        if actual != object_id:
            raise _corrupt(object_id, f"its content hashes to {actual[:12]}", place)
        return data

    def _trash(self) -> list[str]:
        try:
            return self._files.list(self._root / "trash")
        except FileNotFoundError:
            return []

    def _read_trash(self, object_id: ObjectId) -> bytes:
        raw_id = bytes.fromhex(object_id)
        for name in filter(None, map(_pack_name, self._trash())):
            with suppress(FileNotFoundError, PackDamaged):
                path = self._path("trash", name)
                place = packs.open_index(name, self._files.size(path), partial(self._files.pread, path)).find(raw_id)
                if place is not None:
                    return self._read_at(object_id, place, "trash")
        self.packs()  # checks the large indexes, too
        damaged = self.damaged()
        if damaged:
            raise PackDamaged(f"object {object_id[:12]} is in no pack that can be read, and {damaged[0]}")
        raise ObjectMissing(f"object {object_id[:12]} is missing; run `maverick checkpoint fsck`")


def _pack_name(file_name: str) -> str:
    """Give the name of the pack in a file; empty if the file is none."""
    name = file_name.removesuffix(".pack")
    return name if name != file_name and ids.is_id(name) else ""


def _corrupt(object_id: ObjectId, why: str, place: Place) -> ObjectCorrupt:
    return ObjectCorrupt(
        f"object {object_id[:12]} is damaged ({why}; pack {place.pack[:12]}, byte {place.offset}); "
        "run `maverick checkpoint fsck`"
    )
