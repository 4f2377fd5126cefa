"""The index of a sealed pack: which number in it an object has, found by reading some of it.

Ids are hashes, so where one stands among n is known to about the square root of n; one block of
the sorted rows, which hold the first bytes of the ids, is nearly always enough to say that an
object is not there. A directory says where the records are.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from maverick.checkpoints.objects.pack_records import HEAD_BYTES, Record, RecordDamaged, varint
from maverick.checkpoints.objects.segments import compress, decompress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Pread = Callable[[int, int], bytes]

_ROW = struct.Struct(">4sI")
ROW_BYTES = _ROW.size
PREFIX_BYTES = 4
BLOCK_ROWS = 512
# After as many guesses that were off, ids are no hashes, and halving is what is sure to end.
_GUESSES = 4
_COLUMNS = 7
"""Of the directory, four bytes for each record: length, flags, the four counts, structure bytes."""

TRAILER_MAGIC = b"MVRKTAIL"
TRAILER = struct.Struct(">QIII16s16s32s8s")
TRAILER_BYTES = TRAILER.size
AFTER_HASHED_BYTES = 40
"""The hash of all before, and the magic at the very end."""
_BUFFER_BYTES = 1 << 20


class End(NamedTuple):
    """What the trailer of a sealed pack says, in the order in which it does."""

    rows_at: int
    objects: int
    records: int
    directory: int
    rows_check: bytes
    check: bytes

    @property
    def directory_at(self) -> int:
        return self.rows_at + self.objects * ROW_BYTES


def encode_rows(raw_ids: Iterable[bytes]) -> bytes:
    """Give the sorted rows of the objects *raw_ids*, which are in the order of their numbers."""
    rows = [_ROW.pack(raw_id[:PREFIX_BYTES], number) for number, raw_id in enumerate(raw_ids)]
    return b"".join(sorted(rows))


def encode_directory(records: Sequence[Record]) -> bytes:
    """Give the directory of *records*, which follow one another without gaps."""
    columns = array("I")
    for column in zip(
        *((it.length, it.flags, *it.counts, it.structure) for it in records), strict=True
    ):
        columns.extend(column)
    if sys.byteorder == "little":
        columns.byteswap()
    return compress(columns.tobytes())


def parse_directory(data: bytes, count: int, offset: int) -> list[Record]:
    """Give the *count* records that the directory *data* says begin at byte *offset*.

    Raises:
        RecordDamaged: it is none.
    """
    columns = array("I")
    columns.frombytes(decompress(data, 4 * _COLUMNS * count) if count else b"")
    if sys.byteorder == "little":
        columns.byteswap()
    rows = zip(*(columns[at * count : (at + 1) * count] for at in range(_COLUMNS)), strict=True)
    records: list[Record] = []
    first = 0
    for length, flags, blobs, lists, trees, checkpoints, structure in rows:
        counts = blobs, lists, trees, checkpoints
        prelude = sum(len(varint(number)) for number in (*counts, structure))
        record = Record(offset, length, flags, first, counts, prelude, structure)
        if record.content_bytes < 0:
            raise RecordDamaged("the parts of a record do not fit its length")
        records.append(record)
        offset, first = offset + HEAD_BYTES + length, record.stop
    return records


def ending(
    raw_ids: Iterable[bytes], records: Sequence[Record], size: int, hashed: Any
) -> tuple[str, bytes]:
    """Give the name of a sealed pack, and what it has behind its *records* and the first *size*
    bytes. *raw_ids* are those of its objects, in the order of their numbers.

    *hashed* is the BLAKE3 of all bytes before, which is continued.
    """
    rows = encode_rows(raw_ids)
    directory = encode_directory(records)
    trailer = TRAILER.pack(
        size,
        len(rows) // ROW_BYTES,
        len(records),
        len(directory),
        blake3(rows).digest(16),
        blake3(directory).digest(16),
        bytes(32),
        TRAILER_MAGIC,
    )
    start = rows + directory + trailer[:-AFTER_HASHED_BYTES]
    hashed.update(start)
    name: bytes = hashed.digest()
    return name.hex(), start + name + TRAILER_MAGIC


def hash_pack(size: int, pread: Pread) -> str:
    """Give the name that a sealed pack of *size* bytes has by what is in it. Reads all of it."""
    name: str = hash_bytes(size - AFTER_HASHED_BYTES, pread).hexdigest()
    return name


def hash_bytes(size: int, pread: Pread) -> Any:
    """Give the BLAKE3 of the first *size* bytes, to be continued."""
    hashed = blake3()
    for offset in range(0, size, _BUFFER_BYTES):
        hashed.update(pread(offset, min(_BUFFER_BYTES, size - offset)))
    return hashed


def numbers_between(
    count: int, rows: Callable[[int, int], bytes], least: bytes, most: bytes
) -> Iterator[int]:
    """Yield the numbers of the objects whose ids begin with 4 bytes from *least* to *most*, among
    *count* rows.

    *rows* gives a number of rows from a position on.
    """
    start, block = _block(count, rows, least)
    at = bisect_left(range(0, len(block), ROW_BYTES), least, key=lambda at: block[at : at + 4])
    position = start + at
    while position < count:
        if position >= start + len(block) // ROW_BYTES:
            start, block = position, rows(position, min(BLOCK_ROWS, count - position))
        prefix, number = _ROW.unpack_from(block, (position - start) * ROW_BYTES)
        if prefix > most:
            return
        yield number
        position += 1


def _block(count: int, rows: Callable[[int, int], bytes], prefix: bytes) -> tuple[int, bytes]:
    """Give rows, and the position of the first of them, among which or right behind which the first
    one is whose prefix is not less.
    """
    key = int.from_bytes(prefix)
    low, high, low_key, high_key = 0, count, 0, 1 << 8 * PREFIX_BYTES
    guesses = 0
    while high - low > BLOCK_ROWS:
        guesses += 1
        span = high_key - low_key
        guess = span > 0 and guesses <= _GUESSES
        near = (key - low_key) * (high - low) // span if guess else (high - low) // 2
        start = max(low, min(low + near - BLOCK_ROWS // 2, high - BLOCK_ROWS))
        block = rows(start, BLOCK_ROWS)
        first, last = block[:PREFIX_BYTES], block[-ROW_BYTES:][:PREFIX_BYTES]
        if last < prefix:
            low, low_key = start + BLOCK_ROWS, int.from_bytes(last)
        elif first >= prefix and start > low:
            high, high_key = start, int.from_bytes(first)
        else:
            return start, block
    return low, rows(low, high - low) if high > low else b""
