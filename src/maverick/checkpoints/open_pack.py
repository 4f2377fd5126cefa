"""The pack that a save writes: what is new goes into it, in whatever form takes the least space."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple

from maverick.checkpoints import chunking, ids
from maverick.checkpoints.frames import HAS_BASE, FrameDamaged, compressor, leans_of
from maverick.checkpoints.ids import ObjectKind
from maverick.checkpoints.parallel import spread
from maverick.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from maverick.checkpoints.chunking import Read
    from maverick.checkpoints.frames import Frame
    from maverick.checkpoints.ids import BlobId, ObjectId
    from maverick.checkpoints.objects import Objects
    from maverick.checkpoints.packs import PackWriter

    Chunks = list[tuple[ObjectId, int]]


class NewObject(NamedTuple):
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

    def is_stored(self, object_id: ObjectId) -> bool:
        """Say whether earlier packs hold the object. That says nothing about what a tree names."""
        return self._objects.holds(object_id)

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
        absent = self._objects.absent(item.id for item in items)
        self.add_anyway([it for it in items if (self._take(it.id) if it.id in absent else self.wants(it.id))])

    def add_anyway(self, items: Sequence[NewObject]) -> None:
        """Append *items*, children first, whatever the other packs hold. Large blobs are chunked."""
        for large, group in groupby(items, _is_large):
            if large:
                for item in group:
                    self._add_chunks(chunking.reader(item.data), item.former, item.id)
                continue
            small = list(group)
            for item, frame in zip(small, self._frames(small), strict=True):
                self._writer.add(frame)
                self._added.append((item, frame))

    def add_stream(self, read: Read, former: ObjectId | None = None) -> tuple[BlobId, int]:
        """Append the blob that *read* gives (at most so many bytes, none at the end); gives id and size.

        No more than some 30 MiB of it are in memory at a time. *former* is the blob that was in its place.
        """
        parts: list[bytes] = []
        size = 0
        while size < chunking.CHUNKED_FROM_BYTES and (part := read(chunking.CHUNKED_FROM_BYTES - size)):
            parts.append(part)
            size += len(part)
        if size >= chunking.CHUNKED_FROM_BYTES:
            return self._add_chunks(chunking.after(b"".join(parts), read), former, None)
        data = b"".join(parts)
        blob = ids.blob_id(data)
        self.add_all([NewObject(ObjectKind.BLOB, blob, data, former)])
        return blob, size

    def _add_chunks(self, read: Read, former: ObjectId | None, known: ObjectId | None) -> tuple[BlobId, int]:
        """Append a large blob, of which the id may be *known*: its chunks, then the list of them."""
        before = self._chunks_of(former)
        hashed = ids.Hasher()
        chunks, read = self._unchanged(read, before, hashed)
        formers = Formers([chunk for chunk, _ in before[len(chunks) :]])
        first, read = self._begun(read, before[len(chunks) :])
        for window in chain(first, chunking.windows(read)):
            # The whole is hashed by one thread while others hash its chunks.
            work: list[bytes | list[bytes]] = [[], *window] if known is not None else [window, *window]
            found = list(spread(partial(_id_of, hashed), work, 2 * sum(map(len, window))))
            new: list[NewObject] = []
            for chunk, part in zip(found[1:], window, strict=True):
                chunks.append((chunk, len(part)))
                like = formers.next(chunk)
                if chunk == known or self.wants(chunk):  # a blob of one chunk was asked for already
                    new.append(NewObject(ObjectKind.BLOB, chunk, part, like))
            for frame in self._frames(new):
                self._writer.add(frame)
        blob = known or hashed.blob_id()
        if len(chunks) > 1 and (known is not None or self.wants(blob)):
            self._writer.add(compressor().chunk_list(blob, chunks))
        return ids.BlobId(blob), sum(length for _, length in chunks)

    def _unchanged(self, read: Read, before: Chunks, hashed: ids.Hasher) -> tuple[Chunks, Read]:
        """Give the chunks *before* with which what is read begins, and what reads the rest."""
        if before and before[-1][1] < chunking.MIN_BYTES:
            before = before[:-1]  # too small to be kept apart from what comes now
        same: Chunks = []
        while len(same) < len(before):
            parts = chunking.pieces(read, [length for _, length in before[len(same) :]])
            found = spread(ids.blob_id, parts, sum(map(len, parts)))
            for number, (part, chunk) in enumerate(zip(parts, found, strict=True)):
                if before[len(same)] != (chunk, len(part)) or not self.is_stored(chunk):
                    return same, chunking.after(b"".join(parts[number:]), read)
                same.append((chunk, len(part)))
                hashed.update(part)
        return same, read

    def _begun(self, read: Read, before: Chunks) -> tuple[list[list[bytes]], Read]:
        """Cut where the last chunk *before* ends or (it may be JSON, with a bracket at the end) begins to differ.

        So what is appended to again and again is stored once. Gives that part, if it is large enough.
        """
        if len(before) != 1 or before[0][1] < chunking.MIN_BYTES:
            return [], read
        with suppress(StoreDamaged):
            former = self._objects.read(before[0][0])
            (part,) = chunking.pieces(read, [len(former)])
            same = chunking.common(former, part)
            if same < chunking.MIN_BYTES:
                return [], chunking.after(part, read)
            return [[part[:same]]], chunking.after(part[same:], read)
        return [], read

    def _chunks_of(self, blob: ObjectId | None) -> Chunks:
        place = self._objects.find(blob) if blob is not None else None
        if place is None or blob is None:
            return []
        with suppress(FrameDamaged, StoreDamaged, OSError):
            if place.leans and (chunks := self._objects.leans_at(place).chunks):
                return list(chunks)
            return [(blob, len(self._objects.read(blob)))]
        return []

    def remember(self) -> None:
        """Keep what was added in mind, now that it is stored: the next save may change it a little."""
        bases = self._objects.bases
        bases.keep_all((item.id, item.data) for item, frame in self._added if not frame.flags)
        for item, frame in self._added:
            if frame.flags & HAS_BASE:
                bases.link(item.id, leans_of(frame.raw).bases[0])
        self._added.clear()

    def _frames(self, items: Sequence[NewObject]) -> Iterator[Frame]:
        """Give the frames of *items*, in order, made on all cores where that pays."""
        return spread(self._frame, items, sum(len(item.data) for item in items))

    def _frame(self, item: NewObject) -> Frame:
        kind, object_id, data, former = item
        base = self._objects.bases.like(former) if former is not None else None
        return compressor().frame(kind, object_id, data, base)


class Formers:
    """Says which chunk of the former blob stood where a new one stands now."""

    def __init__(self, chunks: list[ObjectId]) -> None:
        self._chunks = chunks
        self._positions = {chunk: position for position, chunk in enumerate(chunks)}
        self._at = 0

    def next(self, chunk: ObjectId) -> ObjectId | None:
        """Give the former chunk in the place of *chunk*, the next of the new ones; None if it is the same."""
        same = self._positions.get(chunk)
        if same is not None:
            self._at = same + 1
            return None
        self._at += 1
        return self._chunks[self._at - 1] if self._at <= len(self._chunks) else None


def _id_of(hashed: ids.Hasher, part: bytes | list[bytes]) -> BlobId:
    if isinstance(part, bytes):
        return ids.blob_id(part)
    for piece in part:
        hashed.update(piece)
    return hashed.blob_id()


def _is_large(item: NewObject) -> bool:
    return item.kind is ObjectKind.BLOB and len(item.data) >= chunking.CHUNKED_FROM_BYTES
