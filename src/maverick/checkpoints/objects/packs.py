"""Packs: files of frames, then a sorted index of them, then a trailer with the hash of everything
before.

A pack never changes; its name is that hash, and a random nonce in its header makes it the name of
this one pack for ever. Frames describe themselves, so that they can be found without the index.
`docs/format.md` has every byte.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from blake3 import blake3

from maverick.checkpoints.objects.frames import (
    FLAGS,
    FRAME_BYTES,
    FRAME_MAGIC,
    HAS_BASE,
    HAS_CHUNKS,
    ID,
    KIND,
    Frame,
    FrameDamaged,
    FrameHeader,
    is_sound,
    parse_header,
)
from maverick.checkpoints.objects.ids import ObjectId
from maverick.checkpoints.objects.pack_index import (
    LEANS,
    ROW_BYTES,
    PackIndex,
    Place,
    damaged,
    encode_row,
)
from maverick.errors import StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PACK_MAGIC = b"MVRKPACK"
PACK_VERSION = 1
TRAILER_MAGIC = b"MVRKTAIL"

_HEADER = struct.Struct(">8sI16s")
_TRAILER = struct.Struct(">QI32s32s8s")
_AFTER_HASHED_BYTES = 40  # the hash, and the magic at the very end
HEADER_BYTES, TRAILER_BYTES = _HEADER.size, _TRAILER.size

_BUFFER_BYTES = 1 << 20
_WINDOW_BYTES = 256 << 10
FEATURES = {HAS_BASE: "bases", HAS_CHUNKS: "chunks"}
"""What a store must announce that holds frames with these flags."""
# What is read of a pack at first: header and all of a small save, or the index of about 88 objects.
_TAIL_BYTES = 4096


class PackWriter:
    """Writes a pack, frame by frame, through *write*, in pieces of at least 1 MiB (and one for the
    rest).
    """

    def __init__(self, write: Callable[[bytes], None], nonce: bytes | None = None) -> None:
        """*nonce*: 16 bytes; random ones, if the pack is for a store, where no name may come
        twice.
        """
        self._write = write
        self._hash = blake3()
        self._offset = 0
        self._index: list[bytes] = []
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._flags = 0
        self._put(_HEADER.pack(PACK_MAGIC, PACK_VERSION, nonce or os.urandom(16)))

    def add(self, frame: Frame) -> None:
        """Append *frame*. Children come before what names them."""
        kind, _, raw = frame
        flags, length = raw[FLAGS], len(raw)
        self._flags |= flags
        self._index.append(
            encode_row(raw[ID], self._offset, length, kind | LEANS if flags else kind)
        )
        self._offset += length
        self._buffer.append(raw)
        self._buffered += length
        if self._buffered >= _BUFFER_BYTES:
            self._flush()

    def features(self) -> list[str]:
        """Give the features of the format that a reader of the pack must know."""
        return [name for flag, name in FEATURES.items() if self._flags & flag]

    def finish(self) -> PackIndex:
        """Write index and trailer; gives the pack's index, which knows its name."""
        start = self._offset
        index = b"".join(sorted(self._index))
        self._put(index)
        tail = _TRAILER.pack(
            start, len(self._index), blake3(index).digest(), bytes(32), TRAILER_MAGIC
        )
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
        PackDamaged: header, index or trailer is not what was written. Its frames may be whole:
            `scan`.
        StoreTooNew: it was written by a newer version.
    """
    index = open_index(name, size, pread)
    index.data  # noqa: B018 - reads and checks it
    return index


def open_index(name: str, size: int, pread: Callable[[int, int], bytes]) -> PackIndex:
    """As `read_index`, but the rows of a large pack are read when they are needed, and not checked
    before.
    """
    tail = pread(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    header = tail[:HEADER_BYTES] if size <= _TAIL_BYTES else pread(0, HEADER_BYTES)
    if len(header) < HEADER_BYTES or len(tail) < TRAILER_BYTES:
        raise damaged(name, "it is cut off")
    magic, version, _ = _HEADER.unpack(header)
    if magic != PACK_MAGIC:
        raise damaged(name, "its header is damaged")
    if version != PACK_VERSION:
        # The version stands under no check of its own, and a flipped bit must not pass for a newer
        # one.
        if hash_pack(size, pread) != name:
            raise damaged(name, "its header is damaged")
        raise StoreTooNew(
            f"pack {name[:12]} has version {version}, this version reads {PACK_VERSION}; update "
            "maverick"
        )
    start, count, check, pack_hash, end = _TRAILER.unpack(tail[-TRAILER_BYTES:])
    if end != TRAILER_MAGIC or pack_hash.hex() != name:
        raise damaged(name, "its trailer is damaged")
    rows_bytes = count * ROW_BYTES
    if start + rows_bytes + TRAILER_BYTES != size:
        raise damaged(name, "its trailer does not fit its size")
    index = PackIndex(name, count, size, start, pread=pread, check=check)
    if rows_bytes + TRAILER_BYTES <= len(tail):
        index.take_rows(tail[-TRAILER_BYTES - rows_bytes : -TRAILER_BYTES])
    return index


def hash_pack(size: int, pread: Callable[[int, int], bytes]) -> str:
    """Give the name that a pack of *size* bytes has by what is in it. Reads all of it."""
    hashed, end = blake3(), size - _AFTER_HASHED_BYTES
    for offset in range(0, end, _BUFFER_BYTES):
        hashed.update(pread(offset, min(_BUFFER_BYTES, end - offset)))
    return hashed.hexdigest()


def scan(size: int, pread: Callable[[int, int], bytes]) -> Iterator[tuple[FrameHeader, int]]:
    """Find the frames of a pack of *size* bytes without its index; yields header and offset of
    each.

    What is damaged is skipped up to the next frame whose header is whole. A payload is not looked
    at.
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
        position = window.find(FRAME_MAGIC)
        if position >= 0:
            return offset + position
        if len(window) <= len(FRAME_MAGIC):
            break
        offset += len(window) - len(FRAME_MAGIC) + 1
    return size


def read_frames(
    rows: Iterable[tuple[bytes, Place]], pread: Callable[[int, int], bytes]
) -> Iterator[tuple[Place, Frame | None]]:
    """Yield the frames of *rows* (raw ids and places) of a pack in the order in which they stand in
    it, to be copied; None in place of one that is not what was written.
    """
    window, start = b"", 0
    for raw_id, place in sorted(rows, key=_offset):
        offset, length = place.offset, place.length
        if offset + length > start + len(window):
            window, start = pread(offset, max(length, _WINDOW_BYTES)), offset
        raw = window[offset - start : offset - start + length]
        if is_sound(raw) and raw[ID] == raw_id and raw[KIND] == place.kind:
            yield place, Frame(place.kind, ObjectId(raw_id.hex()), raw)
        else:
            yield place, None


def _offset(row: tuple[bytes, Place]) -> int:
    return row[1].offset
