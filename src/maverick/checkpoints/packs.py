"""Packs: files of frames, then a sorted index of them, then a trailer with the hash of everything before.

A pack never changes; its name is that hash, and a random nonce in its header makes it the name of this one
pack for ever. Frames describe themselves, so that they can be found without the index. `docs/format.md` has
every byte.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from blake3 import blake3

from maverick.checkpoints.ids import ObjectId, ObjectKind
from maverick.checkpoints.pack_index import INDEX_BYTES, PackIndex, damaged, encode_rows
from maverick.errors import StoreTooNew, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

PACK_MAGIC = b"MVRKPACK"
PACK_VERSION = 1
FRAME_MAGIC = b"\xf7Mvf"
TRAILER_MAGIC = b"MVRKTAIL"

_HEADER = struct.Struct(">8sI16s")
_FRAME = struct.Struct(">4sBBBxII32sII")
_TRAILER = struct.Struct(">QI32s32s8s")
_AFTER_HASHED_BYTES = 40  # the hash, and the magic at the very end
HEADER_BYTES, FRAME_BYTES, TRAILER_BYTES = _HEADER.size, _FRAME.size, _TRAILER.size

STORED, ZSTD = 0, 1
HAS_BASE, HAS_CHUNKS = 1, 2
_LEVEL = 3
_MAX_OBJECT_BYTES = 2**32 - 1 - 4096
_BUFFER_BYTES = 1 << 20
# What is read of a pack at first: header and all of a small save, or the index of about 88 objects.
_TAIL_BYTES = 4096
_KINDS = frozenset(ObjectKind)


def _zstd_module() -> ModuleType:
    """Give the module zstd, which takes 10 ms to import that listing runs does not need."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_module(name)


class FrameDamaged(Exception):
    """A frame is not what was written. The text says how."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it stands in a pack: header and payload in `raw`, checked against each other."""

    kind: ObjectKind
    id: ObjectId
    raw: bytes


class Compressor:
    """Makes frames. One compressor is for one thread; making one is what costs."""

    def __init__(self) -> None:
        zstd = _zstd_module()
        self._compress = zstd.ZstdCompressor(level=_LEVEL).compress
        self._flush = zstd.ZstdCompressor.FLUSH_FRAME

    def frame(self, kind: ObjectKind, object_id: ObjectId, data: bytes) -> Frame:
        """Give the frame of an object, compressed if that makes it smaller.

        Raises:
            UsageError: the object has 4 GiB or more.
        """
        if len(data) > _MAX_OBJECT_BYTES:
            raise UsageError(f"an object of {len(data):,} bytes cannot be stored; the limit is 4 GiB")
        payload, codec = self._compress(data, self._flush), ZSTD
        if len(payload) >= len(data):
            payload, codec = data, STORED
        header = _FRAME.pack(
            FRAME_MAGIC, kind, codec, 0, len(data), len(payload), bytes.fromhex(object_id), crc32(payload), 0
        )[:-4]
        return Frame(kind, object_id, header + crc32(header).to_bytes(4) + payload)


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
    magic, kind, codec, flags, raw_length, length, raw_id, check, header_check = _FRAME.unpack_from(data)
    if magic != FRAME_MAGIC or crc32(data[: FRAME_BYTES - 4]) != header_check:
        raise FrameDamaged("the header of its frame is damaged")
    if kind not in _KINDS:
        raise StoreTooNew(f"object {raw_id.hex()[:12]} is of a kind ({kind}) that this version does not know")
    return FrameHeader(ObjectKind(kind), codec, flags, raw_length, length, ObjectId(raw_id.hex()), check)


def check_frame(raw: bytes) -> FrameHeader:
    """Give the header of a frame whose payload is the one that was written, without decompressing it.

    Raises:
        FrameDamaged: it is not.
    """
    header = parse_header(raw)
    payload = memoryview(raw)[FRAME_BYTES:]
    if len(payload) != header.length or crc32(payload) != header.payload_check:
        raise FrameDamaged("the payload of its frame is damaged")
    return header


def open_frame(raw: bytes) -> tuple[FrameHeader, bytes]:
    """Give a frame's header and the object's bytes. The caller compares their hash with the id.

    Raises:
        FrameDamaged: the header is damaged, or the payload cannot be decompressed.
        StoreTooNew: it needs a feature that this version does not know.
    """
    header = parse_header(raw)
    payload = raw[FRAME_BYTES:]
    if header.flags or header.codec not in (STORED, ZSTD):
        raise StoreTooNew(
            f"object {header.id[:12]} is stored in a way that this version does not know; update maverick"
        )
    if len(payload) != header.length:
        raise FrameDamaged("its frame is cut off")
    data = _decompress(payload, header.raw_length) if header.codec == ZSTD else payload
    if len(data) != header.raw_length:
        raise FrameDamaged("its content has another length than its frame says")
    return header, data


def _decompress(payload: bytes, length: int) -> bytes:
    zstd = _zstd_module()
    decompressor = zstd.ZstdDecompressor()
    try:
        data: bytes = decompressor.decompress(payload, max_length=length + 1)
    except zstd.ZstdError as error:
        raise FrameDamaged(f"its content cannot be decompressed: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise FrameDamaged("its content does not end where its frame does")
    return data


class PackWriter:
    """Writes a pack, frame by frame, through *write*, in pieces of at least 1 MiB (and one for the rest)."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._hash = blake3()
        self._offset = 0
        self._index: list[tuple[bytes, int, int, int]] = []
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._put(_HEADER.pack(PACK_MAGIC, PACK_VERSION, os.urandom(16)))

    def add(self, frame: Frame) -> None:
        """Append *frame*. Children come before what names them."""
        self._index.append((bytes.fromhex(frame.id), self._offset, len(frame.raw), frame.kind))
        self._put(frame.raw)

    def finish(self) -> PackIndex:
        """Write index and trailer; gives the pack's index, which knows its name."""
        start = self._offset
        index = encode_rows(self._index)
        self._put(index)
        tail = _TRAILER.pack(start, len(self._index), blake3(index).digest(), bytes(32), TRAILER_MAGIC)
        self._put(tail[:44])
        rest = b"".join(self._buffer)
        self._hash.update(rest)
        name = self._hash.digest()
        self._offset += len(name + TRAILER_MAGIC)
        self._write(rest + name + TRAILER_MAGIC)
        return PackIndex(name.hex(), len(self._index), self._offset, start, data=index)

    def _put(self, data: bytes) -> None:
        self._offset += len(data)
        self._buffer.append(data)
        self._buffered += len(data)
        if self._buffered >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._buffer)
        self._hash.update(data)
        self._write(data)
        self._buffer, self._buffered = [], 0


def read_index(name: str, size: int, pread: Callable[[int, int], bytes]) -> PackIndex:
    """Read the index of the pack *name* of *size* bytes; *pread* takes offset and length.

    Raises:
        PackDamaged: header, index or trailer is not what was written. Its frames may be whole: `scan`.
        StoreTooNew: it was written by a newer version.
    """
    index = open_index(name, size, pread)
    index.data  # noqa: B018 - reads and checks it
    return index


def open_index(name: str, size: int, pread: Callable[[int, int], bytes]) -> PackIndex:
    """As `read_index`, but the rows of a large pack are read when they are needed, and not checked before."""
    tail = pread(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    header = tail[:HEADER_BYTES] if size <= _TAIL_BYTES else pread(0, HEADER_BYTES)
    if len(header) < HEADER_BYTES or len(tail) < TRAILER_BYTES:
        raise damaged(name, "it is cut off")
    magic, version, _ = _HEADER.unpack(header)
    if magic != PACK_MAGIC:
        raise damaged(name, "its header is damaged")
    if version != PACK_VERSION:
        # The version stands under no check of its own, and a flipped bit must not pass for a newer one.
        if hash_pack(size, pread) != name:
            raise damaged(name, "its header is damaged")
        raise StoreTooNew(f"pack {name[:12]} has version {version}, this version reads {PACK_VERSION}; update maverick")
    start, count, check, pack_hash, end = _TRAILER.unpack(tail[-TRAILER_BYTES:])
    if end != TRAILER_MAGIC or pack_hash.hex() != name:
        raise damaged(name, "its trailer is damaged")
    rows_bytes = count * INDEX_BYTES
    if start + rows_bytes + TRAILER_BYTES != size:
        raise damaged(name, "its trailer does not fit its size")
    index = PackIndex(name, count, size, start, pread=pread, check=check)
    if rows_bytes + TRAILER_BYTES <= len(tail):
        index.take(tail[-TRAILER_BYTES - rows_bytes : -TRAILER_BYTES])
    return index


def hash_pack(size: int, pread: Callable[[int, int], bytes]) -> str:
    """Give the name that a pack of *size* bytes has by what is in it. Reads all of it."""
    hashed, end = blake3(), size - _AFTER_HASHED_BYTES
    for offset in range(0, end, _BUFFER_BYTES):
        hashed.update(pread(offset, min(_BUFFER_BYTES, end - offset)))
    return hashed.hexdigest()


def scan(size: int, pread: Callable[[int, int], bytes]) -> Iterator[tuple[FrameHeader, int]]:
    """Find the frames of a pack of *size* bytes without its index; yields header and offset of each.

    What is damaged is skipped up to the next frame whose header is whole. A payload is not looked at.
    """
    offset = HEADER_BYTES
    while offset + FRAME_BYTES <= size:
        try:
            header = parse_header(pread(offset, FRAME_BYTES))
        except (FrameDamaged, StoreTooNew):
            offset = _next_magic(offset + 1, size, pread)
            continue
        yield header, offset
        offset += FRAME_BYTES + header.length


def _next_magic(offset: int, size: int, pread: Callable[[int, int], bytes]) -> int:
    while offset < size:
        window = pread(offset, _BUFFER_BYTES)
        found = window.find(FRAME_MAGIC)
        if found >= 0:
            return offset + found
        if len(window) <= len(FRAME_MAGIC):
            break
        offset += len(window) - len(FRAME_MAGIC) + 1
    return size
