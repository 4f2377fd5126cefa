"""The objects of a store: a set of packs that others may add to, and gc takes from, while it is
used.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import creating, removing_on_error
from maverick.checkpoints.disk.layout import is_pack, temporary
from maverick.checkpoints.objects import ids, packs
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject, RecordDamaged, parse_list
from maverick.checkpoints.objects.pack_set import PackSet, Place
from maverick.errors import ObjectCorrupt, ObjectMissing, PackDamaged, StoreDenied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.new_objects import NewObjects
    from maverick.checkpoints.objects.pack_writer import PackWriter
    from maverick.checkpoints.objects.packs import Pack

    Chunks = tuple[tuple[ObjectId, int], ...]

_LISTS = 2
"""A large blob is a list of lists of chunks at most."""
# Packs may be sealed and rewritten again and again while one object is looked for; each listing
# that finds a change is progress.
_MOST_LISTINGS = 100


class Objects:
    """The objects in `objects/` (and, for reading only, `trash/`) of the store at *root*. Thread
    safe.

    What it knows of the packs is as of the last `refresh`; a read that misses looks again.
    """

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self.packs = PackSet(files, root)

    def holds(self, object_id: ObjectId) -> bool:
        """Say whether an object is in `objects/`, with its chunks; not whether what it names is."""
        return self._holds(object_id, 0)

    def _holds(self, object_id: ObjectId, depth: int) -> bool:
        place = self.packs.find(object_id)
        if place is None or place.kind is not ObjectKind.LIST:
            return place is not None
        if depth == _LISTS:
            return False
        try:
            chunks = parse_list(self.packs.read(place))
            return all(self._holds(chunk, depth + 1) for chunk, _ in chunks)
        except (RecordDamaged, FileNotFoundError):
            return False

    def holds_for_saves(self, object_id: ObjectId) -> bool:
        """Say the same of what a save may lean on: what another process has appended may be taken
        back.
        """
        return not self.packs.absent([object_id]) and self.holds(object_id)

    def chunks(self, object_id: ObjectId) -> Chunks:
        """Give the chunks, ids and lengths, of an object that is stored as a list of them; else
        nothing.
        """
        place = self.packs.find(object_id)
        if place is None or place.kind is not ObjectKind.LIST:
            return ()
        with suppress(RecordDamaged, FileNotFoundError):  # `read` will say what is wrong
            return parse_list(self.packs.read(place))
        return ()

    def read(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object, whose hash is its id.

        Raises:
            ObjectMissing: it is in no pack, also not in `trash/`, or one of its chunks is not.
            ObjectCorrupt: what is stored has another hash.
            PackDamaged: it is in none of the packs that can be read, and some cannot.
            StoreDenied: the same, and some this user may not read.
        """
        return self._read(object_id, 0)

    def read_chunks(self, object_id: ObjectId) -> Iterator[bytes]:
        """Yield the bytes of an object in parts of up to 256 KiB, if it is stored so; else in one.

        Each part was verified; that all of them together are the object is verified at the end.

        Raises:
            ObjectMissing, ObjectCorrupt, PackDamaged: as `read`, perhaps after some parts.
        """
        return self._parts(object_id, 0)

    def _parts(self, object_id: ObjectId, depth: int) -> Iterator[bytes]:
        chunks = self.chunks(object_id) if depth < _LISTS else ()
        if not chunks:
            yield self._read(object_id, depth)
            return
        hashed = ids.Hasher()
        for chunk, length in chunks:
            size = 0
            for part in self._parts(chunk, depth + 1):
                size += len(part)
                hashed.update(part)
                yield part
            if size != length:
                raise _corrupt(object_id, _other_length(chunk))
        if hashed.blob_id() != object_id:
            raise _corrupt(object_id, f"its chunks hash to {hashed.blob_id()[:12]}")

    def _read(self, object_id: ObjectId, depth: int) -> bytes:
        # gc may have moved it since the last refresh, or another process sealed or added it.
        for _ in range(_MOST_LISTINGS):
            changes = self.packs.changes
            wrong: ObjectCorrupt | ObjectMissing | None = None
            for place in self.packs.places(object_id):
                try:
                    return self._read_at(object_id, place, depth)
                except (ObjectCorrupt, ObjectMissing) as error:
                    wrong = wrong or error
                except FileNotFoundError:
                    continue
            if wrong is not None:
                raise wrong
            self.packs.refresh()
            if self.packs.changes == changes:
                break
        return self._read_trash(object_id, depth)

    @contextmanager
    def adding(self) -> Iterator[NewObjects]:
        """Give what takes new objects. What it has put into a sealed pack is durable when the block
        ends (2 syncs).
        """
        from maverick.checkpoints.objects.new_objects import NewObjects  # noqa: PLC0415 - what only reads does without

        with ExitStack() as stack:
            new = NewObjects(self, lambda: stack.enter_context(self._writing()))
            yield new
        if new.writer is not None:
            self.packs.load(new.writer.file)

    def write(self, new: Iterable[NewObject]) -> Pack | None:
        """Store *new*, children first, whatever the packs hold, in one that is sealed.

        When it returns they are durable (2 syncs). Of nothing there is no pack.
        """
        items = iter(new)
        first = next(items, None)
        if first is None:
            return None
        with self._writing() as writer:
            for item in chain((first,), items):
                writer.add(item)
        return self.packs.load(writer.file)

    @contextmanager
    def _writing(self) -> Iterator[PackWriter]:
        """Give what writes a sealed pack, which is durable when the block ends (2 syncs)."""
        from maverick.checkpoints.objects.pack_writer import PackWriter  # noqa: PLC0415 - as above

        path = temporary(self._root)
        with creating(self._files, path) as descriptor:
            writer = PackWriter(partial(self._files.write, descriptor))
            try:
                yield writer
                writer.finish()
            finally:
                writer.stop()
        with removing_on_error(self._files, path):
            self._files.rename(path, self._root / "objects" / writer.file)
        self._files.sync_folder(self._root / "objects")

    def _read_at(
        self, object_id: ObjectId, place: Place, depth: int, *, in_trash: bool = False
    ) -> bytes:
        try:
            kind = place.kind
            data = place.pack.read(place.number) if in_trash else self.packs.read(place)
            if kind is ObjectKind.LIST:
                data = b"".join(self._read_chunks_of(parse_list(data), depth))
        except RecordDamaged as damage:
            raise _corrupt(object_id, str(damage), place) from damage
        actual = ids.object_id(kind, data)
        if actual != object_id:
            raise _corrupt(object_id, f"its content hashes to {actual[:12]}", place)
        return data

    def _read_chunks_of(self, chunks: Chunks, depth: int) -> Iterator[bytes]:
        if depth == _LISTS:
            raise RecordDamaged("its lists of chunks are nested too deep")
        for chunk, length in chunks:
            data = self._read(chunk, depth + 1)
            if len(data) != length:
                raise RecordDamaged(_other_length(chunk))
            yield data

    def _trash(self) -> list[str]:
        try:
            return self._files.list(self._root / "trash")
        except FileNotFoundError:
            return []

    def _read_trash(self, object_id: ObjectId, depth: int) -> bytes:
        for file in filter(is_pack, self._trash()):
            with suppress(FileNotFoundError, PackDamaged):
                path = self._root / "trash" / file
                pread = partial(self._files.pread, path)
                pack = packs.open_sealed(file, self._files.size(path), pread)
                number = pack.find(object_id)
                if number is not None:
                    return self._read_at(object_id, Place(pack, number), depth, in_trash=True)
        self.packs.checked()
        damaged = self.packs.damaged()
        for denied in damaged:
            if isinstance(denied, StoreDenied):  # it may be in there, whole
                raise denied
        if damaged:
            raise PackDamaged(
                f"object {object_id[:12]} is in no pack that can be read, and {damaged[0]}"
            )
        raise ObjectMissing(f"object {object_id[:12]} is missing; run `maverick checkpoint fsck`")


def _other_length(chunk: ObjectId) -> str:
    return f"its chunk {chunk[:12]} has another length than its list says"


def _corrupt(object_id: ObjectId, why: str, place: Place | None = None) -> ObjectCorrupt:
    where = ""
    if place is not None:
        where = f"; pack {place.pack.name[:12]}, object {place.number}"
    return ObjectCorrupt(
        f"object {object_id[:12]} is damaged ({why}{where}); "
        "run `maverick checkpoint fsck --read-data`"
    )
