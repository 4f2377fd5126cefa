"""The index of a pack: where each of its objects is. Small ones are held in memory, large ones
searched on disk.

The sorted index of a large pack is searched by reading a few hundred bytes of it. Ids are hashes,
so where one stands among n is known to about the square root of n; each block that is read says how
far off the guess was. An id among a million is found, or not, by reading three or four blocks.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.errors import PackDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Pread = Callable[[int, int], bytes]

_ROW = struct.Struct(">32sQIB")
ROW_BYTES = _ROW.size
BLOCK_ROWS = 12
# After as many guesses that were off, ids are no hashes, and halving is what is sure to end.
_GUESSES = 8
LEANS = 128
"""What an index adds to the kind of an object whose frame leans on others."""
_KINDS = {kind | leans: (kind, leans > 0) for kind in ObjectKind for leans in (0, LEANS)}
_KNOWN_KINDS = frozenset(_KINDS)
# An index up to this size is read whole once look-ups in it have read as much as it has.
_HELD_BYTES = 1 << 20
# Ids of as many rows fit a dictionary that costs little; more are searched for among the bytes.
_HASHED_ROWS = 4096


class Place(NamedTuple):
    """Where an object's frame is: in which pack, from which byte on, how many; and whether it leans
    on others.
    """

    pack: str
    offset: int
    length: int
    kind: ObjectKind
    leans: bool = False


def _no_file(offset: int, length: int) -> bytes:
    raise AssertionError(f"{length} bytes at {offset} were asked for of an index that is in memory")


class PackIndex:
    """The index of the pack *name* of *size* bytes: *count* rows of 45 bytes, sorted by id, from
    byte *start* on.

    Its rows are `data`; or they are read by *pread* (offset, length) when they are needed: by
    `find` and `with_prefix` a few at a time, by anything else all, and then checked against the
    hash *check*.
    """

    __slots__ = (
        "_check",
        "_data",
        "_positions",
        "_pread",
        "_read_bytes",
        "count",
        "name",
        "size",
        "start",
    )

    def __init__(
        self,
        name: str,
        count: int,
        size: int,
        start: int,
        *,
        data: bytes | None = None,
        pread: Pread = _no_file,
        check: bytes = b"",
    ) -> None:
        self.name = name
        self.count = count
        self.size = size
        self.start = start
        self._data = data
        self._pread = pread
        self._check = check
        self._read_bytes = 0
        self._positions: dict[bytes, int] | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[ObjectId, Place]]:
        for raw_id, place in self.rows():
            yield ObjectId(raw_id.hex()), place

    def rows(self) -> Iterator[tuple[bytes, Place]]:
        """Yield every object's raw id and its place."""
        for raw_id, offset, length, kind in _ROW.iter_unpack(self.data):
            yield raw_id, Place(self.name, offset, length, *_KINDS[kind])

    def copies(self) -> Iterator[tuple[bytes, Place]]:
        """Yield for every frame what it is a copy of, and its place.

        That is the object's raw id, and for a frame that leans on others the same with one byte
        more: where a whole copy is needed, such a one does not do.
        """
        for raw_id, place in self.rows():
            yield leaning(raw_id) if place.leans else raw_id, place

    @property
    def data(self) -> bytes:
        """All rows.

        Raises:
            PackDamaged: they are not what was written.
            StoreTooNew: a newer version wrote them.
        """
        if self._data is None:
            self.take_rows(self._pread(self.start, self.count * ROW_BYTES))
        return self._data or b""

    def take_rows(self, data: bytes) -> None:
        """Take *data*, which was read already, as all rows. Raises as `data`."""
        if blake3(data).digest() != self._check:
            raise damaged(self.name, "its index is damaged")
        if not _KNOWN_KINDS.issuperset(data[ROW_BYTES - 1 :: ROW_BYTES]):
            raise StoreTooNew(
                f"pack {self.name[:12]} holds objects of a kind that this version does not know; "
                "update maverick"
            )
        self._data = data

    def find(self, raw_id: bytes) -> Place | None:
        """Give the place of an object by its 32-byte id, or None."""
        if (
            self._data is None
            and self._read_bytes >= self.count * ROW_BYTES
            and self._read_bytes <= _HELD_BYTES
        ):
            self.data  # noqa: B018 - reads it
        if self._data is not None and self.count <= _HASHED_ROWS:
            if self._positions is None:
                ids = range(0, len(self._data), ROW_BYTES)
                self._positions = {self._data[start : start + 32]: start for start in ids}
            start = self._positions.get(raw_id)
            return self._place(self._data[start : start + ROW_BYTES]) if start is not None else None
        _, row = search(self.count, self._rows, raw_id)
        return self._place(row) if row else None

    def with_prefix(self, prefix: str) -> Iterator[tuple[ObjectId, Place]]:
        """Yield the objects whose ids begin with the hexadecimal digits *prefix*."""
        position, _ = search(self.count, self._rows, bytes.fromhex(prefix.ljust(64, "0")))
        while position < self.count:
            row = self._rows(position, 1)
            object_id = ObjectId(row[:32].hex())
            if not object_id.startswith(prefix):
                break
            yield object_id, self._place(row)
            position += 1

    def _place(self, row: bytes) -> Place:
        _, offset, length, kind = _ROW.unpack(row)
        if kind not in _KINDS:
            raise damaged(self.name, "its index is damaged")
        return Place(self.name, offset, length, *_KINDS[kind])

    def _rows(self, first: int, number: int) -> bytes:
        if self._data is not None:
            return self._data[first * ROW_BYTES : (first + number) * ROW_BYTES]
        rows = self._pread(self.start + first * ROW_BYTES, number * ROW_BYTES)
        if len(rows) != number * ROW_BYTES:
            raise damaged(self.name, "it is cut off")
        self._read_bytes += len(rows)
        return rows


def search(count: int, rows: Callable[[int, int], bytes], raw_id: bytes) -> tuple[int, bytes]:
    """Find *raw_id* among *count* rows of 45 bytes, sorted by the 32-byte ids they begin with.

    *rows* gives a number of rows from a position on. Gives the position of the first row whose id
    is not less, and that row if it is in the block read last and its id is *raw_id*, else nothing.
    """
    key = _key(raw_id)
    low, high, low_key, high_key = 0, count, 0, 1 << 64
    guesses = 0
    while high - low > BLOCK_ROWS:
        guesses += 1
        span = high_key - low_key
        near = (
            (key - low_key) * (high - low) // span
            if span > 0 and guesses <= _GUESSES
            else (high - low) // 2
        )
        start = max(low, min(low + near - BLOCK_ROWS // 2, high - BLOCK_ROWS))
        block = rows(start, BLOCK_ROWS)
        if raw_id < block[:32]:
            high, high_key = start, _key(block)
        elif raw_id > block[-ROW_BYTES : 32 - ROW_BYTES]:
            low, low_key = start + BLOCK_ROWS, _key(block[-ROW_BYTES:])
        else:
            return _in_block(start, block, raw_id)
    return _in_block(low, rows(low, high - low) if high > low else b"", raw_id)


def _in_block(start: int, block: bytes, raw_id: bytes) -> tuple[int, bytes]:
    ids = range(0, len(block), ROW_BYTES)
    offset = bisect_left(ids, raw_id, key=lambda row: block[row : row + 32]) * ROW_BYTES
    row = block[offset : offset + ROW_BYTES]
    return start + offset // ROW_BYTES, row if row[:32] == raw_id else b""


def _key(raw_id: bytes) -> int:
    return int.from_bytes(raw_id[:8])


def ids_of(indexes: Iterable[PackIndex], kind: ObjectKind) -> set[ObjectId]:
    """Give the objects of *kind* in packs."""
    return {object_id for index in indexes for object_id, place in index if place.kind is kind}


def leaning(raw_id: bytes) -> bytes:
    """Give what a copy of the object that leans on others is a copy of; see `PackIndex.copies`."""
    return raw_id + b"+"


encode_row: Callable[[bytes, int, int, int], bytes] = _ROW.pack
"""Give the bytes of a row: of id, offset, length, and kind, with LEANS where it does. Rows sort as
their bytes do.
"""


def damaged(name: str, why: str) -> PackDamaged:
    """Give the error for the pack *name*."""
    return PackDamaged(f"pack {name[:12]} is damaged: {why}; run `maverick checkpoint fsck`")
