"""A large blob on its way into a pack: its chunks, lists of some dozens of them, and the list of
these.

So a blob that grows, or changes at one place, costs what is new in it, and one list and a half.
Cuts follow those of the blob that was in its place, as far as both begin alike.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Protocol

from maverick.checkpoints.objects import chunking, ids
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject, list_data
from maverick.checkpoints.objects.parallel import spread
from maverick.errors import StoreDamaged

if TYPE_CHECKING:
    from maverick.checkpoints.objects.chunking import Read
    from maverick.checkpoints.objects.ids import BlobId, ObjectId

    Chunks = tuple[tuple[ObjectId, int], ...]


class Stored(Protocol):
    """The objects that are stored."""

    def chunks(self, object_id: ObjectId) -> Chunks: ...

    def read(self, object_id: ObjectId) -> bytes: ...


class Sink(Protocol):
    """What a blob goes into: see `NewObjects`."""

    @property
    def objects(self) -> Stored: ...

    def is_stored(self, object_id: ObjectId) -> bool: ...

    def wants(self, object_id: ObjectId) -> bool: ...

    def add(self, item: NewObject) -> None: ...


class _Item(NamedTuple):
    """A part of the former blob: a chunk, or a list of `chunks`."""

    id: ObjectId
    length: int
    chunks: Chunks = ()


class LargeBlob:
    """The blob that *sink* is to get, in whose place *former* was. Its id *blob* may be known, and
    then it is wanted.
    """

    def __init__(self, sink: Sink, former: ObjectId | None, blob: ObjectId | None = None) -> None:
        self._sink = sink
        self._former = former
        self._known = blob
        self._hashed = ids.Hasher()
        self._lists = _Lists(sink)

    def add(self, read: Read) -> tuple[BlobId, int]:
        """Append what *read* gives (at most so many bytes, none at the end); gives id and size."""
        before = self._items_of(self._former)
        # A last chunk that is too small is not kept apart from what comes now.
        kept = before[:-1] if before and before[-1].length < chunking.MIN_BYTES else before
        same, read = self._unchanged(read, kept)
        if same < len(before) and before[same].chunks:
            begun = [_Item(*chunk) for chunk in before[same].chunks]
            before = [*begun, *before[same + 1 :]]
            same, read = self._unchanged(read, begun)
        rest = [
            chunk for item in before[same:] for chunk in item.chunks or ((item.id, item.length),)
        ]
        first, read = self._begun(read, rest)
        for window in chain(first, chunking.windows(read)):
            self._add_window(window)
        blob = self._known or self._hashed.blob_id()
        items = self._lists.items()
        if len(items) > 1 and (self._known is not None or self._sink.wants(blob)):
            self._sink.add(NewObject(ObjectKind.LIST, blob, list_data(items)))
        return ids.BlobId(blob), sum(length for _, length in items)

    def _add_window(self, window: list[bytes]) -> None:
        # The whole is hashed by one thread while others hash its chunks.
        work: list[bytes | list[bytes]] = (
            [[], *window] if self._known is not None else [window, *window]
        )
        blobs = list(spread(partial(_id_of, self._hashed), work, 2 * sum(map(len, window))))
        for chunk, part in zip(blobs[1:], window, strict=True):
            if chunk == self._known or self._sink.wants(chunk):
                # a blob of one chunk was asked for already
                self._sink.add(NewObject(ObjectKind.BLOB, chunk, part))
            self._lists.add(chunk, part)

    def _unchanged(self, read: Read, before: list[_Item]) -> tuple[int, Read]:
        """Take those of *before* with which what is read begins; gives their number, and what reads
        the rest.
        """
        same = 0
        while same < len(before):
            parts = chunking.pieces(read, [item.length for item in before[same:]])
            blobs = spread(ids.blob_id, parts, sum(map(len, parts)))
            for number, (part, blob) in enumerate(zip(parts, blobs, strict=True)):
                item = before[same]
                if (item.id, item.length) != (blob, len(part)) or not self._sink.is_stored(blob):
                    return same, chunking.after(b"".join(parts[number:]), read)
                if self._known is None:
                    self._hashed.update(part)
                self._lists.keep(item, part)
                same += 1
        return same, read

    def _begun(
        self, read: Read, before: list[tuple[ObjectId, int]]
    ) -> tuple[list[list[bytes]], Read]:
        """Cut where the last chunk *before* ends or (it may be JSON, with a bracket at the end)
        begins to differ.

        So what is appended to again and again is stored once. Gives that part, if it is large
        enough.
        """
        if len(before) != 1 or before[0][1] < chunking.MIN_BYTES:
            return [], read
        with suppress(StoreDamaged):
            former = self._sink.objects.read(before[0][0])
            (part,) = chunking.pieces(read, [len(former)])
            same = chunking.common(former, part)
            if same < chunking.MIN_BYTES:
                return [], chunking.after(part, read)
            return [[part[:same]]], chunking.after(part[same:], read)
        return [], read

    def _items_of(self, blob: ObjectId | None) -> list[_Item]:
        """Give what *blob* is made of; nothing if it cannot be read."""
        if blob is None:
            return []
        stored = self._sink.objects
        with suppress(StoreDamaged, OSError):
            chunks = stored.chunks(blob)
            if chunks:
                return [_Item(chunk, length, stored.chunks(chunk)) for chunk, length in chunks]
            return [_Item(blob, len(stored.read(blob)))]
        return []


class _Lists:
    """The lists of a blob: complete ones, and the chunks behind them that are in none yet."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._complete: list[tuple[ObjectId, int]] = []
        self._open: list[tuple[ObjectId, int]] = []
        self._hashed = ids.Hasher()

    def add(self, chunk: ObjectId, part: bytes) -> None:
        """Take the next chunk, whose bytes are *part*."""
        # A list is complete only when something follows it: else it could be the blob itself.
        if self._open and chunking.ends_list(len(self._open), self._open[-1][0]):
            self._close()
        self._open.append((chunk, len(part)))
        self._hashed.update(part)

    def keep(self, item: _Item, part: bytes) -> None:
        """Take a part of the former blob, whose bytes are *part*."""
        if item.chunks and not self._open:
            self._complete.append((item.id, item.length))
            return
        start = 0
        for chunk, length in item.chunks or ((item.id, item.length),):
            self.add(chunk, part[start : start + length])
            start += length

    def items(self) -> list[tuple[ObjectId, int]]:
        """Give what the list of the blob has to name."""
        return [*self._complete, *self._open]

    def _close(self) -> None:
        blob = self._hashed.blob_id()
        if self._sink.wants(blob):
            self._sink.add(NewObject(ObjectKind.LIST, blob, list_data(self._open)))
        self._complete.append((blob, sum(length for _, length in self._open)))
        self._open, self._hashed = [], ids.Hasher()


def _id_of(hashed: ids.Hasher, part: bytes | list[bytes]) -> BlobId:
    if isinstance(part, bytes):
        return ids.blob_id(part)
    for piece in part:
        hashed.update(piece)
    return hashed.blob_id()
