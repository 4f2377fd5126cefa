"""What is left of a damaged pack: its records by its directory or, if that is damaged, by their
look. Nothing of it is verified: it is for who compares each object with its id.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from maverick.checkpoints.objects.pack_records import (
    CONTENT_SHIFT,
    HEAD_BYTES,
    MOST_HEAD_BYTES,
    PACK_HEADER_BYTES,
    RECORD_MAGIC,
    PackHeader,
    Record,
    RecordDamaged,
    parse_head,
    scan,
)
from maverick.checkpoints.objects.packs import Pack, open_sealed
from maverick.checkpoints.objects.segments import BEGINS
from maverick.errors import PackDamaged, StoreTooNew

if TYPE_CHECKING:
    from maverick.checkpoints.objects.packs import Pread

_NONCE = slice(12, 28)
_WINDOW_BYTES = 1 << 20
_MOST_NUMBERS = 1 << 32


def read_remains(file: str, size: int, pread: Pread) -> Pack:
    """Read the pack in *file*, of *size* bytes, as far as anything of it can be recognized: also
    records that are not whole, before, between and behind those that are.
    """
    name = file.rpartition(".")[0]
    nonce = bytes.fromhex(name) if file.endswith(".open") else pread(0, PACK_HEADER_BYTES)[_NONCE]
    with suppress(PackDamaged, StoreTooNew):
        if file.endswith(".pack"):
            sealed = open_sealed(file, size, _under(PackHeader(nonce).encode(), pread))
            sealed.check_rows()
            return sealed
    pack = Pack(f"{name}.open", size, PackHeader(nonce), pread)
    at = PACK_HEADER_BYTES
    for record in scan(cast("bytes", _Rest(size, pread)), nonce, at):
        if isinstance(record, Record):
            _fill(pack, at, record.offset, record.first)
            pack.add(record)
            at = record.end
    _fill(pack, at, size, _MOST_NUMBERS)
    return pack


def _under(header: bytes, pread: Pread) -> Pread:
    """Give what reads a pack as if it had this header: its end says where its records are."""

    def read(offset: int, length: int) -> bytes:
        own = header[offset : offset + length]
        return own + pread(offset, length)[len(own) :]

    return read


def _fill(pack: Pack, at: int, end: int, most: int) -> None:
    """Add to *pack* what looks like records from byte *at* to *end*, with numbers below *most*."""
    with suppress(RecordDamaged):
        record = parse_head(at, _mended(pack.pread(at, MOST_HEAD_BYTES), len(pack), end - at))
        if record.numbers.stop == most:
            pack.add(record)
            return
    while 0 <= at < end:
        with suppress(RecordDamaged):
            record = parse_head(at, pack.pread(at, min(MOST_HEAD_BYTES, end - at)))
            if len(pack) <= record.first <= most - record.total and record.end <= end:
                pack.add(record)
                at = record.end
                continue
        at = _find(pack.pread, RECORD_MAGIC, at + 1, end)


def _mended(data: bytes, first: int, size: int) -> bytes:
    """Give the head of a record, with what it must say if a record of *size* bytes is all that is
    missing.
    """
    begins = 0 if first else BEGINS | BEGINS << CONTENT_SHIFT
    flags = bytes(it | begins for it in data[4:5])
    length = max(size - HEAD_BYTES, 0).to_bytes(8)[-4:]
    return b"".join((RECORD_MAGIC, flags, first.to_bytes(4), data[9:21], length, data[25:]))


def _find(pread: Pread, magic: bytes, at: int, end: int) -> int:
    """Give where *magic* stands from *at* on, before *end*; -1 if nowhere."""
    while at < end:
        found = pread(at, min(_WINDOW_BYTES, end - at)).find(magic)
        if found >= 0:
            return at + found
        at += _WINDOW_BYTES - len(magic) + 1
    return -1


class _Rest:
    """What a pack holds behind its header, as if it were in memory: read where it is looked at."""

    def __init__(self, size: int, pread: Pread) -> None:
        self._size = size
        self._pread = pread

    def __len__(self) -> int:
        return max(self._size - PACK_HEADER_BYTES, 0)

    def __getitem__(self, part: slice) -> bytes:
        start, end, _ = part.indices(len(self))
        return self._pread(start + PACK_HEADER_BYTES, end - start) if end > start else b""

    def find(self, magic: bytes, start: int) -> int:
        found = _find(self._pread, magic, start + PACK_HEADER_BYTES, self._size)
        return found - PACK_HEADER_BYTES if found >= 0 else -1
