"""The two Zstandard streams of a pack, flushed once per record, so that what is stored leans on
what was stored before.

A stream is cut into *segments*: each begins anew, so that no object needs more than its segment to
be read, and damage reaches no further. Within a segment a new Zstandard frame may begin, with the
raw bytes before it as prefix: so goes on who did not write what is there. What was decoded last is
kept.
"""

from __future__ import annotations

import itertools
import sys
from collections import OrderedDict
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_records import (
    CONTENT_SHIFT,
    ID_BYTES,
    Quoted,
    Record,
    RecordDamaged,
    expand,
    named,
    split_content,
    split_structure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    Pread = Callable[[int, int], bytes]

BEGINS, PREFIXED = 1, 2
"""Flags of a block: a frame begins; what the segment holds so far is its prefix."""
PREFIX_BYTES = 256 << 10
SEGMENT_BYTES = 1 << 20
"""A segment is at most this long, or one record."""
_LEVEL = 3
_SHORTEST_PREFIX = 8  # Zstandard takes no shorter one
MOST_RAW_BYTES = 1 << 33
"""A block holds no more than this."""
_CACHED_BYTES = 24 << 20
_WINDOW_BYTES = 2 << 20  # what a decoder holds
_BOUND_BYTES = 36


class BlockTooLarge(RecordDamaged):
    """A block holds more than it may."""


@cache
def _zstd() -> ModuleType:
    """Give the module zstd, which takes 10 ms to import that listing runs does not need."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_module(name)


def compress(data: bytes) -> bytes:
    """Give *data* as one frame."""
    zstd = _zstd()
    packed: bytes = zstd.ZstdCompressor(level=_LEVEL).compress(
        data, zstd.ZstdCompressor.FLUSH_FRAME
    )
    return packed


def decompress(data: bytes, length: int) -> bytes:
    """Give the *length* bytes of the frame *data*. Raises RecordDamaged if it holds others."""
    raw = Decoder().take(data, BEGINS, length)
    if len(raw) != length:
        raise RecordDamaged("it has another length than it should")
    return raw


class Encoder:
    """Writes a stream; *begun* are the raw bytes of a segment to go on with."""

    def __init__(self, begun: bytes = b"") -> None:
        self._prefix = begun[-PREFIX_BYTES:]
        self._length = len(begun)
        self._compress: Any = None

    def put(self, data: bytes, *, anew: bool = False) -> tuple[bytes, int]:
        """Give the block of *data* and its flags; *anew* if a segment is to begin with it."""
        if not data:
            return b"", 0
        flags = 0
        if anew or self._length + len(data) > SEGMENT_BYTES:
            self._prefix, self._length, self._compress = b"", 0, None
        zstd = _zstd()
        if self._compress is None:
            flags, prefix = BEGINS, None
            if len(self._prefix) >= _SHORTEST_PREFIX:
                flags, prefix = BEGINS | PREFIXED, _as_prefix(self._prefix)
            elif self._length:
                self._length = 0
            compressor = zstd.ZstdCompressor(level=_LEVEL, zstd_dict=prefix)
            self._compress = compressor.compress
        self._length += len(data)
        return self._compress(data, zstd.ZstdCompressor.FLUSH_BLOCK), flags


class Decoder:
    """Reads a segment of a stream, block by block from its beginning, up to one that is damaged."""

    def __init__(self) -> None:
        self._decompress: Any = None
        self._parts: list[bytes] = []

    def take(self, block: bytes, flags: int, most_bytes: int) -> bytes:
        """Give the raw bytes of *block*.

        Raises:
            RecordDamaged: it cannot be decompressed.
            BlockTooLarge: it holds more than *most_bytes*.
        """
        if not block:
            return b""
        zstd = _zstd()
        if flags & BEGINS:
            prefix = None
            if flags & PREFIXED:
                if self._decompress is None:
                    raise RecordDamaged("what it leans on is missing")
                prefix = _as_prefix(self._end())
            else:
                self._parts = []
            self._decompress = zstd.ZstdDecompressor(zstd_dict=prefix).decompress
        if self._decompress is None:
            raise RecordDamaged("its stream has no beginning")
        try:
            raw: bytes = self._decompress(block, most_bytes + 1)
        except (zstd.ZstdError, EOFError) as error:
            self._decompress = None
            raise RecordDamaged(f"it cannot be decompressed: {error}") from error
        if len(raw) > most_bytes:
            self._decompress = None
            raise BlockTooLarge("it holds more than anybody wrote")
        self._parts.append(raw)
        return raw

    def _end(self) -> memoryview:
        """Give the raw bytes that the prefix of the next frame is, without joining what is before
        them.
        """
        begin, length = len(self._parts), 0
        while begin and length < PREFIX_BYTES:
            begin -= 1
            length += len(self._parts[begin])
        return memoryview(b"".join(self._parts[begin:]))[-PREFIX_BYTES:]


def _as_prefix(raw: bytes | memoryview) -> Any:
    return _zstd().ZstdDict(raw, is_raw=True).as_prefix


# --- decoded segments ---


class Item(NamedTuple):
    """An object of a pack, by its number. `data` has not been compared with `id`."""

    number: int
    kind: ObjectKind
    id: ObjectId
    data: bytes


class Lost(NamedTuple):
    """Objects of a pack, by their numbers, that cannot be read, and why."""

    numbers: range
    damage: RecordDamaged


class Stream:
    """One of the two streams of a pack: which flags and which bytes of a record are of it."""

    def __init__(self, *, content: bool) -> None:
        self.content = content

    def flags(self, record: Record) -> int:
        return record.flags >> CONTENT_SHIFT if self.content else record.flags

    def begins_segment(self, record: Record) -> bool:
        return self.flags(record) & (BEGINS | PREFIXED) == BEGINS

    def numbers(self, record: Record) -> range:
        """Give those of the objects that are in it."""
        nodes_at = record.first + record.counts[0]
        return (
            range(record.first, nodes_at) if self.content else range(nodes_at, record.numbers.stop)
        )

    def place(self, record: Record) -> tuple[int, int]:
        """Give offset and length of the block."""
        if self.content:
            return record.structure_at + record.structure, record.content_bytes
        return record.structure_at, record.structure


STRUCTURE, CONTENT = Stream(content=False), Stream(content=True)


class _Segment:
    """The part of a stream that was decoded, from the record at *begin* of a pack's list on."""

    __slots__ = ("begin", "bounds", "decoder", "raws", "size")

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.decoder = Decoder()
        self.raws: list[bytes] = []
        # Of the records of which one object was asked for: where all begin.
        self.bounds: dict[int, list[int]] = {}
        self.size = _WINDOW_BYTES


class Cache:
    """The segments that were decoded last, of all packs that share it: 24 MiB of memory, or
    one.
    """

    def __init__(self) -> None:
        self._segments: OrderedDict[tuple[Segments, Stream, int], _Segment] = OrderedDict()
        self._size = 0

    def pop(self, key: tuple[Segments, Stream, int]) -> _Segment | None:
        """Give a segment, and forget it."""
        segment = self._segments.pop(key, None)
        if segment is not None:
            self._size -= segment.size
        return segment

    def put(self, key: tuple[Segments, Stream, int], segment: _Segment) -> None:
        """Keep a segment that is not there."""
        self._segments[key] = segment
        self._size += segment.size
        while self._size > _CACHED_BYTES and len(self._segments) > 1:
            self._size -= self._segments.popitem(last=False)[1].size


class Segments:
    """The segments of a pack whose records are *records*, to which more may be added by `add`."""

    def __init__(self, records: list[Record], pread: Pread, cache: Cache) -> None:
        self._records = records
        self._pread = pread
        # Of each record the one with which its segment begins.
        self._begins: dict[Stream, list[int]] = {STRUCTURE: [], CONTENT: []}
        self._cache = cache

    def add(self, record: Record) -> None:
        """Take note of the last of the records."""
        at = len(self._records) - 1
        # Behind a record that is lost, what goes on with a segment has no beginning.
        goes_on = at > 0 and self._records[at - 1].end == record.offset
        for stream, begins in self._begins.items():
            begins.append(begins[-1] if goes_on and not stream.begins_segment(record) else at)

    def begins(self, stream: Stream, at: int) -> bool:
        """Say whether nothing that was decoded before helps to decode the record *at*."""
        return self._begins[stream][at] == at

    def begun(self, stream: Stream) -> bytes:
        """Give the raw bytes of the last segment, for who goes on with it. Raises RecordDamaged."""
        if not self._records:
            return b""
        return b"".join(self._decoded(stream, len(self._records) - 1).raws)

    def raw(self, stream: Stream, at: int) -> bytes:
        """Give the raw bytes of the block of the record *at*; those before it in its segment are
        decoded, and kept. Raises RecordDamaged.
        """
        return self._decoded(stream, at).raws[at - self._begins[stream][at]]

    def part(self, stream: Stream, at: int, position: int) -> bytes:
        """Give the raw bytes of one object of the record *at*, by its position in that block.
        Raises RecordDamaged.
        """
        segment = self._decoded(stream, at)
        raw = segment.raws[at - segment.begin]
        bounds = segment.bounds.get(at)
        if bounds is None:
            bounds = segment.bounds[at] = split(stream, self._records[at], raw)
        return raw[bounds[position] : bounds[position + 1]]

    def _decoded(self, stream: Stream, at: int) -> _Segment:
        begin = self._begins[stream][at]
        key = self, stream, begin
        segment = self._cache.pop(key) or _Segment(begin)
        try:
            while len(segment.raws) <= at - begin:
                record = self._records[begin + len(segment.raws)]
                raw = decoded(stream, record, segment.decoder, self._pread)
                segment.raws.append(raw)
                segment.size += len(raw) + _BOUND_BYTES * record.total
        finally:
            self._cache.put(key, segment)  # else what is before damage is decoded for all behind it
        return segment


def decoded(
    stream: Stream,
    record: Record,
    decoder: Decoder,
    pread: Pread,
    most_bytes: int = MOST_RAW_BYTES,
) -> bytes:
    """Give the raw bytes of the block of *record*, the next one for *decoder*. Raises
    RecordDamaged, or BlockTooLarge.
    """
    offset, length = stream.place(record)
    block = pread(offset, length)
    if len(block) != length:
        raise RecordDamaged("it is cut off")
    return decoder.take(block, stream.flags(record), most_bytes)


def split(stream: Stream, record: Record, raw: bytes) -> list[int]:
    """Give where the objects in the raw block of *record* begin (and the last one ends). Raises
    RecordDamaged.
    """
    blobs = record.counts[0]
    if stream is CONTENT:
        return split_content(raw, blobs)
    return split_structure(raw, record.total - blobs)[1]


def items_of(
    record: Record,
    object_ids: list[ObjectId],
    stream: Stream,
    decoder: Decoder,
    quoted: Quoted,
    pread: Pread,
    most_bytes: int,
    *,
    trees: bool,
) -> Iterator[Item | Lost]:
    """Yield what *record* holds in one of its streams, whose next block *decoder* takes; its trees
    if they are wanted. Neither a block nor an object holds more than *most_bytes*.
    """
    blobs, first = record.counts[0], record.first
    positions = range(blobs) if stream is CONTENT else range(blobs, record.total)
    try:
        raw = decoded(stream, record, decoder, pread, most_bytes)
        bounds = split(stream, record, raw) if positions else []
    except RecordDamaged as damage:
        if positions:
            yield Lost(range(first + positions.start, first + positions.stop), damage)
        return
    if stream is CONTENT:
        for number, object_id, (a, b) in zip(
            itertools.count(first), object_ids, itertools.pairwise(bounds), strict=False
        ):
            yield Item(number, ObjectKind.BLOB, object_id, raw[a:b])
        return
    for position, kind, (a, b) in zip(
        positions, record.kinds()[blobs:], itertools.pairwise(bounds), strict=True
    ):
        if kind is ObjectKind.TREE and not trees:
            continue
        number, stored = first + position, raw[a:b]
        try:
            _require_named_before(number, stored, most_bytes)
            data = expand(stored, quoted)
        except RecordDamaged as damage:
            yield Lost(range(number, number + 1), damage)
        else:
            yield Item(number, kind, object_ids[position], data)


def _require_named_before(number: int, stored: bytes, most_bytes: int) -> None:
    numbers = list(named(stored))
    if len(stored) + 2 * ID_BYTES * len(numbers) > most_bytes:  # as it grows when they are expanded
        raise BlockTooLarge("it holds more than anybody wrote")
    if numbers and max(numbers) >= number:
        raise RecordDamaged(f"object {number} names one that is not before it")
