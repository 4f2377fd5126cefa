"""Frames: one object each, described well enough to be found and checked without an index.

A frame may lean on other objects: on a similar one, its *base*, which is the dictionary that it was
compressed with, or on its *chunks*, of which it is only the list. A base leans on nothing, so this
goes one level deep; a chunk may have a base. An object's id never depends on how it is stored.
`docs/format.md` has every byte.
"""

from __future__ import annotations

import struct
import sys
import threading
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zlib import crc32

from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.errors import StoreTooNew, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

FRAME_MAGIC = b"\xf7Mvf"
_FRAME = struct.Struct(">4sBBBxII32sII")
_CHUNK = struct.Struct(">32sI")
FRAME_BYTES = _FRAME.size
BASED_BYTES = FRAME_BYTES + 32
"""The first bytes of a frame with a base, from which that is known."""

KIND, FLAGS, ID = 4, 6, slice(16, 48)
"""Where the object's kind, the frame's flags and the object's id stand in a frame."""
STORED, ZSTD = 0, 1
HAS_BASE, HAS_CHUNKS = 1, 2
_LEVEL = 3
_MAX_OBJECT_BYTES = 2**32 - 1 - 4096
_KINDS = frozenset(ObjectKind)
# Smaller objects gain nothing from a base, whose id alone has 32 bytes.
_DICTIONARY_BYTES = 8  # Zstandard takes no shorter one
_BASE_PAYS_FROM_BYTES = 96
# A base is good enough while what is stored beside it is below this share of the object stored
# whole: at first anything that gains; then, as an object grows away from its base, not too much
# again and again.
_FIRST_SHARE, _LATER_SHARE = 0.9, 0.3


@cache
def _zstd() -> ModuleType:
    """Give the module zstd, which takes 10 ms to import that listing runs does not need."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_module(name)


class Fetch(Protocol):
    """Gives the objects that a frame leans on."""

    def __call__(self, object_id: ObjectId, *, whole: bool) -> bytes:
        """Give the bytes of an object, verified; *whole* if it is a base, which must lean on
        nothing.
        """


class FrameDamaged(Exception):
    """A frame is not what was written. The text says how."""


class Frame(NamedTuple):
    """A frame as it stands in a pack: header and payload in `raw`, checked against each other."""

    kind: ObjectKind
    id: ObjectId
    raw: bytes


class Base(NamedTuple):
    """An object that is stored whole, in a frame with `stored` bytes of payload, to compress a
    similar one with.

    `former` says that it is itself what stood where the similar one stands now.
    """

    id: ObjectId
    data: bytes
    stored: int
    former: bool


class NewObject(NamedTuple):
    """An object that is not stored yet. `former` is what stands at its place in the parent
    checkpoint.
    """

    kind: ObjectKind
    id: ObjectId
    data: bytes
    former: ObjectId | None = None


class Compressor:
    """Makes frames. One compressor is for one thread; making one is what costs."""

    def __init__(self) -> None:
        self._zstd = zstd = _zstd()
        self._compress = zstd.ZstdCompressor(level=_LEVEL).compress
        self._flush = zstd.ZstdCompressor.FLUSH_FRAME

    def frame(
        self, kind: ObjectKind, object_id: ObjectId, data: bytes, base: Base | None = None
    ) -> Frame:
        """Give the frame of an object, compressed if that makes it smaller, and with *base* if that
        pays.

        Raises:
            UsageError: the object has 4 GiB or more.
        """
        if len(data) > _MAX_OBJECT_BYTES:
            raise UsageError(
                f"an object of {len(data):,} bytes cannot be stored; the limit is 4 GiB"
            )
        if (
            base is not None
            and len(base.data) >= _DICTIONARY_BYTES
            and len(data) >= _BASE_PAYS_FROM_BYTES
        ):
            like = bytes.fromhex(base.id) + self._compress_like(base.data, data)
            whole = base.stored * len(data) / max(len(base.data), 1)
            grows = kind is not ObjectKind.CHECKPOINT and not base.former
            if len(like) < whole * (_LATER_SHARE if grows else _FIRST_SHARE):
                return _frame(kind, object_id, ZSTD, HAS_BASE, len(data), like)
        payload: bytes = self._compress(data, self._flush)
        if len(payload) < len(data):
            return _frame(kind, object_id, ZSTD, 0, len(data), payload)
        return _frame(kind, object_id, STORED, 0, len(data), data)

    def chunk_list(self, object_id: ObjectId, chunks: Sequence[tuple[ObjectId, int]]) -> Frame:
        """Give the frame of a blob that is *chunks*, ids and lengths of other blobs, joined."""
        data = b"".join(_CHUNK.pack(bytes.fromhex(chunk), length) for chunk, length in chunks)
        payload: bytes = self._compress(data, self._flush)
        codec, payload = (ZSTD, payload) if len(payload) < len(data) else (STORED, data)
        return _frame(ObjectKind.BLOB, object_id, codec, HAS_CHUNKS, len(data), payload)

    def _compress_like(self, base: bytes, data: bytes) -> bytes:
        prefix = self._zstd.ZstdDict(base, is_raw=True).as_prefix
        payload: bytes = self._zstd.ZstdCompressor(level=_LEVEL, zstd_dict=prefix).compress(
            data, self._flush
        )
        return payload


_local = threading.local()


def compressor() -> Compressor:
    """Give the compressor of this thread."""
    own: Compressor | None = getattr(_local, "compressor", None)
    if own is None:
        own = _local.compressor = Compressor()
    return own


def _frame(
    kind: ObjectKind, object_id: ObjectId, codec: int, flags: int, raw_length: int, payload: bytes
) -> Frame:
    header = _FRAME.pack(
        FRAME_MAGIC,
        kind,
        codec,
        flags,
        raw_length,
        len(payload),
        bytes.fromhex(object_id),
        crc32(payload),
        0,
    )[:-4]
    return Frame(kind, object_id, b"".join((header, crc32(header).to_bytes(4), payload)))


class FrameHeader(NamedTuple):
    """The fields of a frame's header, in the order of the document."""

    kind: ObjectKind
    codec: int
    flags: int
    raw_length: int
    length: int
    id: ObjectId
    payload_check: int


def parse_header(data: bytes) -> FrameHeader:
    """Read a frame's header from its first 56 bytes.

    Raises:
        FrameDamaged: there is no frame, or its header is not what was written.
    """
    if len(data) < FRAME_BYTES:
        raise FrameDamaged("its frame is cut off")
    magic, kind, codec, flags, raw_length, length, raw_id, check, header_check = _FRAME.unpack_from(
        data
    )
    if magic != FRAME_MAGIC or crc32(data[: FRAME_BYTES - 4]) != header_check:
        raise FrameDamaged("the header of its frame is damaged")
    if kind not in _KINDS:
        raise StoreTooNew(
            f"object {raw_id.hex()[:12]} is of a kind ({kind}) that this version does not know"
        )
    return FrameHeader(
        ObjectKind(kind), codec, flags, raw_length, length, ObjectId(raw_id.hex()), check
    )


def check_frame(raw: bytes) -> FrameHeader:
    """Give the header of a frame whose payload is the one that was written, without decompressing
    it.

    Raises:
        FrameDamaged: it is not.
    """
    header = parse_header(raw)
    payload = memoryview(raw)[FRAME_BYTES:]
    if len(payload) != header.length or crc32(payload) != header.payload_check:
        raise FrameDamaged("the payload of its frame is damaged")
    return header


def is_sound(raw: bytes) -> bool:
    """Say whether a frame's header and payload are those that were written; `check_frame` says what
    is not.
    """
    header, payload = raw[:FRAME_BYTES], raw[FRAME_BYTES:]
    return (
        header[: len(FRAME_MAGIC)] == FRAME_MAGIC
        and crc32(header[:-4]).to_bytes(4) == header[-4:]
        and header[12:16] == len(payload).to_bytes(4)
        and header[48:52] == crc32(payload).to_bytes(4)
    )


def open_frame(raw: bytes, fetch: Fetch | None = None) -> tuple[FrameHeader, bytes]:
    """Give a frame's header and the object's bytes. The caller compares their hash with the id.

    *fetch* gives the objects that the frame leans on; its errors are raised.

    Raises:
        FrameDamaged: the header is damaged, or the payload cannot be decompressed.
        StoreTooNew: it needs a feature that this version does not know.
    """
    header = _known_header(raw)
    if header.flags and fetch is None:
        raise FrameDamaged("its frame leans on another object, where it must be whole")
    if header.flags & HAS_BASE and fetch is not None:
        return header, _expand(raw[BASED_BYTES:], header, fetch(_base_id(raw), whole=True))
    if header.flags & HAS_CHUNKS and fetch is not None:
        return header, b"".join(fetch_chunks(_chunks(raw, header), fetch))
    return header, _expand(raw[FRAME_BYTES:], header, b"")


class Leans(NamedTuple):
    """What a frame leans on: bases must be there as copies that lean on nothing, chunks in any
    form.
    """

    bases: tuple[ObjectId, ...] = ()
    chunks: tuple[tuple[ObjectId, int], ...] = ()


def leans_of(raw: bytes) -> Leans:
    """Give what a frame leans on, and the lengths of chunks. Of one with a base the first 88 bytes
    are enough.

    Raises:
        FrameDamaged: that cannot be read.
        StoreTooNew: it needs a feature that this version does not know.
    """
    header = _known_header(raw)
    if header.flags & HAS_BASE:
        return Leans(bases=(_base_id(raw),))
    if header.flags & HAS_CHUNKS:
        return Leans(chunks=tuple(_chunks(raw, header)))
    return Leans()


def fetch_chunks(chunks: Iterator[tuple[ObjectId, int]], fetch: Fetch) -> Iterator[bytes]:
    """Yield the bytes of *chunks*, ids and lengths. Raises FrameDamaged if one has another
    length.
    """
    for chunk, length in chunks:
        data = fetch(chunk, whole=False)
        if len(data) != length:
            raise FrameDamaged(f"its chunk {chunk[:12]} has another length than its list says")
        yield data


def _known_header(raw: bytes) -> FrameHeader:
    header = parse_header(raw)
    if header.flags not in (0, HAS_BASE, HAS_CHUNKS) or header.codec not in (STORED, ZSTD):
        raise StoreTooNew(
            f"object {header.id[:12]} is stored in a way that this version does not know; update "
            "maverick"
        )
    return header


def _base_id(raw: bytes) -> ObjectId:
    if len(raw) < BASED_BYTES:
        raise FrameDamaged("its frame is cut off")
    return ObjectId(raw[FRAME_BYTES:BASED_BYTES].hex())


def _chunks(raw: bytes, header: FrameHeader) -> Iterator[tuple[ObjectId, int]]:
    if crc32(raw[FRAME_BYTES:]) != header.payload_check:
        # Else a list with a flipped bit would pass for one of chunks that are missing.
        raise FrameDamaged("its list of chunks is damaged")
    data = _expand(raw[FRAME_BYTES:], header, b"")
    if len(data) % _CHUNK.size:
        raise FrameDamaged("its list of chunks is cut off")
    for raw_id, length in _CHUNK.iter_unpack(data):
        yield ObjectId(raw_id.hex()), length


def _expand(payload: bytes, header: FrameHeader, base: bytes) -> bytes:
    expected = header.length - (BASED_BYTES - FRAME_BYTES if header.flags & HAS_BASE else 0)
    if len(payload) != expected:
        raise FrameDamaged("its frame is cut off")
    data = _decompress(payload, header.raw_length, base) if header.codec == ZSTD else payload
    if len(data) != header.raw_length:
        raise FrameDamaged("its content has another length than its frame says")
    return data


def _decompress(payload: bytes, length: int, base: bytes) -> bytes:
    zstd = _zstd()
    prefix = zstd.ZstdDict(base, is_raw=True).as_prefix if base else None
    decompressor = zstd.ZstdDecompressor(zstd_dict=prefix)
    try:
        data: bytes = decompressor.decompress(payload, max_length=length + 1)
    except zstd.ZstdError as error:
        raise FrameDamaged(f"its content cannot be decompressed: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise FrameDamaged("its content does not end where its frame does")
    return data
