"""One pack: its records, and the objects in them, read segment by segment.

A pack is *sealed* (`objects/<name>.pack`: records, index, trailer; it never changes) or *open*
(`objects/<nonce>.open`: records alone; one process appends to it, and others may read what it has
appended). docs/format.md has every byte.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING

from blake3 import blake3

from maverick.checkpoints.objects import ids, pack_index
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_index import TRAILER_BYTES, TRAILER_MAGIC, End
from maverick.checkpoints.objects.pack_records import (
    HEAD_BYTES,
    ID_BYTES,
    KNOWN_IDS,
    PACK_HEADER_BYTES,
    PackHeader,
    Quoted,
    Record,
    RecordDamaged,
    damaged,
    expand,
    parse_header,
    scan,
    split_structure,
)
from maverick.checkpoints.objects.segments import (
    CONTENT,
    MOST_RAW_BYTES,
    STRUCTURE,
    Cache,
    Decoder,
    Item,
    Lost,
    Segments,
    Stream,
    items_of,
)
from maverick.errors import StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    MostBytes = Callable[[Stream, Record], int]
    Pread = Callable[[int, int], bytes]

MOST_OBJECTS = 1 << 16
"""An open pack of so many objects is sealed."""
# What is read of a sealed pack at first: all of a small one, or the index of a few hundred objects.
_TAIL_BYTES = 4096
_READ_WHOLE_BYTES = 16 << 20
SMALL_RECORD_BYTES = 16 << 10
"""To read parts of so small records one by one takes longer than to read all at once."""
_NO_END = End(0, 0, 0, 0, b"", b"")
# Who reads more nodes of a pack than a save does is about to walk through it.
_FEW_NODES = 8
# So many rows are read at once when one is looked for.
_FEW_ROWS = 1 << 13


class Pack:
    """A pack as it is read. `file` is the name of its file, `name` without what it ends with.

    `records` are those that can be read; `damage` is what stands between them and is none. Not
    thread safe.
    """

    def __init__(
        self,
        file: str,
        size: int,
        header: PackHeader,
        pread: Pread,
        cache: Cache | None = None,
        end: End | None = None,
    ) -> None:
        """*end* is what the trailer says, of a sealed pack."""
        self.file = file
        self.name = file.rpartition(".")[0]
        self.size = size
        self.header = header
        self.pread = pread
        self.is_open = end is None
        self._end = end or _NO_END
        self._records: list[Record] = []
        self.damage: list[RecordDamaged] = []
        self._firsts: list[int] = []
        self._numbers: dict[bytes, int] | None = None
        self._ids: dict[int, bytes] = {}
        self._segments = Segments(self._records, pread, cache or Cache())
        self._quoted = Quoted(self.known_id)
        self._last_head = b""
        self._nodes_read = 0
        self._rows_data: bytes | None = None

    def __len__(self) -> int:
        """The number of objects, damaged ones included."""
        if not self.is_open:
            return self._end.objects
        return self._records[-1].stop if self._records else 0

    @property
    def records(self) -> list[Record]:
        """What can be read. Raises PackDamaged if the directory is not what was written."""
        if not (self.is_open or self._records):  # They are read when they are needed.
            for record in self._listed():
                self.add(record)
        return self._records

    # --- which objects there are ---

    def find(self, object_id: ObjectId) -> int | None:
        """Give the number of an object, or None. Raises PackDamaged."""
        if self.is_open:
            number = self.numbers().get(object_id.encode(), len(self))
            return number if number < len(self) else None
        if len(self) <= _FEW_ROWS:
            self.check_rows()
        raw_id = bytes.fromhex(object_id)
        prefix = raw_id[: pack_index.PREFIX_BYTES]
        for number in pack_index.numbers_between(len(self), self._rows, prefix, prefix):
            with suppress(RecordDamaged):
                if self.raw_id(number) == raw_id:
                    return number
        return None

    def with_prefix(self, prefix: str) -> Iterator[tuple[ObjectId, int]]:
        """Yield the objects whose ids begin with the hexadecimal digits *prefix*, with their
        numbers.
        """
        if self.is_open:
            found: Iterable[int] = list(self.numbers().values())
        else:
            digits = 2 * pack_index.PREFIX_BYTES
            least, most = prefix[:digits].ljust(digits, "0"), prefix[:digits].ljust(digits, "f")
            found = pack_index.numbers_between(
                len(self), self._rows, bytes.fromhex(least), bytes.fromhex(most)
            )
        for number in found:
            with suppress(RecordDamaged):
                object_id = ObjectId(self.raw_id(number).hex())
                if object_id.startswith(prefix):
                    yield object_id, number

    def numbers(self) -> dict[bytes, int]:
        """Give the numbers of all objects of an open pack by their ids, in digits."""
        if self._numbers is None:
            self._numbers = {}
            for at, record in enumerate(self.records):
                self._note_ids(at, record)
        return self._numbers

    def objects(self) -> Iterator[tuple[int, ObjectKind, ObjectId]]:
        """Yield number, kind and id of all objects, those of damaged records left out."""
        self._read_ids()
        for at, record in enumerate(self.records):
            yield from zip(
                record.numbers, record.kinds(), ids.split(self._raw_ids(at)), strict=True
            )

    def raw_ids(self) -> Iterator[bytes]:
        """Yield the raw ids of all objects, those of damaged records left out."""
        self._read_ids()
        for at in range(len(self.records)):
            raw = self._raw_ids(at)
            yield from (raw[start : start + ID_BYTES] for start in range(0, len(raw), ID_BYTES))

    def kind(self, number: int) -> ObjectKind:
        record = self.records[self._record_of(number)]
        return record.kind_of(number - record.first)

    def raw_id(self, number: int) -> bytes:
        """Give the raw id of the object *number*."""
        at = self._record_of(number)
        start = ID_BYTES * (number - self.records[at].first)
        known = self._ids.get(at)
        if known is not None:
            return known[start : start + ID_BYTES]
        return self.pread(self.records[at].ids_at + start, ID_BYTES)

    # --- what is in them ---

    def read(self, number: int) -> bytes:
        """Give the bytes of an object, of a LIST its list; nothing is compared with the id.

        Raises:
            RecordDamaged: they cannot be read.
            OSError: the file cannot be read, or is gone.
        """
        at = self._record_of(number)
        position = number - self.records[at].first
        blobs = self.records[at].counts[0]
        if position < blobs:
            return self._segments.part(CONTENT, at, position)
        stored = self._segments.part(STRUCTURE, at, position - blobs)
        self._nodes_read += 1
        if self._nodes_read > _FEW_NODES:
            self._read_ids()
        return expand(stored, self._quoted)

    def known_id(self, number: int) -> bytes:
        """Give the raw id of an object that another of the pack names. Raises RecordDamaged."""
        if self._nodes_read > _FEW_NODES:
            self._raw_ids(self._record_of(number))
        return self.raw_id(number)

    def block(self, stream: Stream, at: int) -> bytes:
        """Give the raw bytes of a block of the record at *at* of `records`. Raises
        RecordDamaged.
        """
        return self._segments.raw(stream, at)

    def meta(self, at: int) -> bytes:
        """Give the meta of the record at *at* of `records`. Raises RecordDamaged."""
        record = self.records[at]
        raw = self._segments.raw(STRUCTURE, at)
        return split_structure(raw, record.total - record.counts[0])[0] if raw else b""

    def begun(self) -> tuple[bytes, bytes]:
        """Give the raw bytes of the last segments of both streams, for who goes on with them; none
        where they cannot be read.
        """
        try:
            return self._segments.begun(STRUCTURE), self._segments.begun(CONTENT)
        except RecordDamaged:
            return b"", b""

    def items(
        self,
        *,
        content: bool,
        trees: bool = True,
        most_bytes: MostBytes = lambda *_: MOST_RAW_BYTES,
    ) -> Iterator[Item | Lost]:
        """Yield all objects in the order of their numbers, or what was lost in their place; without
        *content* no blobs, which are not read then, without *trees* none of these. *most_bytes*
        says how many bytes a block of a record may hold, and an object in it.
        """
        pread = self.pread
        if content and self.size <= _READ_WHOLE_BYTES:
            data = self.pread(0, self.size)
            pread = lambda offset, length: data[offset : offset + length]  # noqa: E731 - as short
        decoders: dict[Stream, Decoder] = {}
        quoted = Quoted(self.known_id)
        for at, record in enumerate(self.records):
            if len(quoted) > KNOWN_IDS:
                quoted.clear()
            found = ids.split(pread(record.ids_at, ID_BYTES * record.total))
            if trees:  # which are about to name them
                for number, object_id in enumerate(found, record.first):
                    quoted[b"%x" % number] = b'"%s"' % object_id.encode()
            # Both streams go on, whatever is wrong with one of them.
            for stream in (CONTENT, STRUCTURE) if content else (STRUCTURE,):
                if self._segments.begins(stream, at):
                    decoders[stream] = Decoder()
                decoder, most = decoders[stream], most_bytes(stream, record)
                yield from items_of(
                    record, found, stream, decoder, quoted, pread, most, trees=trees
                )

    # --- where things are ---

    def _record_of(self, number: int) -> int:
        records = self.records
        at = bisect_right(self._firsts, number) - 1
        if at < 0 or number >= records[at].stop:
            raise RecordDamaged(f"object {number} of its pack is in no record that can be read")
        return at

    def _raw_ids(self, at: int) -> bytes:
        record = self.records[at]
        known = self._ids.get(at)
        if known is None:
            known = self._ids[at] = self.pread(record.ids_at, ID_BYTES * record.total)
        return known

    def _read_ids(self) -> None:
        """Read all ids of a pack that is not large, nor its records: what is in it is about to name
        them.
        """
        most_bytes = min(_READ_WHOLE_BYTES, SMALL_RECORD_BYTES * len(self.records))
        if len(self._ids) == len(self.records) or self.size > most_bytes:
            return
        data = self.pread(0, self.size)
        for at, record in enumerate(self.records):
            self._ids[at] = data[record.ids_at : record.ids_at + ID_BYTES * record.total]

    def _rows(self, position: int, number: int) -> bytes:
        start, length = position * pack_index.ROW_BYTES, number * pack_index.ROW_BYTES
        if self._rows_data is not None:
            return self._rows_data[start : start + length]
        rows = self.pread(self._end.rows_at + start, length)
        if len(rows) != length:
            raise damaged(self.name, "it is cut off")
        return rows

    # --- what is added ---

    def add(self, record: Record, raw_ids: bytes | None = None, *, are_noted: bool = False) -> None:
        """Take note of the record that follows, whose objects have *raw_ids*; `numbers` has those
        that *are_noted*.
        """
        at = len(self._records)
        self._records.append(record)
        self._firsts.append(record.first)
        self._segments.add(record)
        if raw_ids is not None:
            self._ids[at] = raw_ids
            if self._numbers is not None and not are_noted:
                self._note_ids(at, record)

    def look_on(self) -> None:
        """Take note of what its writer has appended to an open pack since. Raises PackDamaged if it
        has taken the last record back.
        """
        if self.records and self.pread(self.records[-1].offset, HEAD_BYTES) != self._last_head:
            raise damaged(self.name, "a record was taken back that others had read")
        if self.pread(self.size, HEAD_BYTES).strip(b"\0"):
            self._scan_on()

    def _scan_on(self) -> None:
        base = self.size
        data = read_from(base, self.pread)
        found = list(scan(data, self.header.nonce, base, len(self)))
        if any(isinstance(record, RecordDamaged) for record in found):
            # It may have been written at this very instant.
            data = read_from(base, self.pread)
            found = list(scan(data, self.header.nonce, base, len(self)))
        for record in found:
            if isinstance(record, RecordDamaged):
                self.damage.append(record)
                continue
            start = record.ids_at - base
            self.add(record, data[start : start + ID_BYTES * record.total])
            self._last_head = data[record.offset - base :][:HEAD_BYTES]
            self.size = record.end

    def _note_ids(self, at: int, record: Record) -> None:
        object_ids = map(str.encode, ids.split(self._raw_ids(at)))
        self.numbers().update(zip(object_ids, record.numbers, strict=True))

    def _listed(self) -> list[Record]:
        end = self._end
        data = self.pread(end.directory_at, end.directory)
        if blake3(data).digest(16) != end.check:
            raise damaged(self.name, "its directory is damaged")
        try:
            listed = pack_index.parse_directory(data, end.records, PACK_HEADER_BYTES)
        except RecordDamaged as damage:
            raise damaged(self.name, f"its directory is damaged ({damage})") from damage
        last = listed[-1].end if listed else PACK_HEADER_BYTES
        if last != end.rows_at or sum(record.total for record in listed) != end.objects:
            raise damaged(self.name, "its directory does not fit its size")
        return listed

    def rows(self) -> bytes:
        """Give all rows of a sealed pack, checked. Raises PackDamaged."""
        self.check_rows()
        return self._rows(0, len(self))

    def check_rows(self) -> None:
        """Read all rows and keep them. Raises PackDamaged if they, or the directory, are not what
        was written.
        """
        if self.is_open or self._rows_data is not None:
            return
        self.records  # noqa: B018 - checks it
        rows = self.pread(self._end.rows_at, len(self) * pack_index.ROW_BYTES)
        if blake3(rows).digest(16) != self._end.rows_check:
            raise damaged(self.name, "its index is damaged")
        self._rows_data = rows


def is_begun(file: str, pread: Pread) -> bool:
    """Say whether the open pack *file* has a header or a record; if not, nothing in it was ever
    acknowledged.
    """
    header = pread(0, PACK_HEADER_BYTES)
    if len(header) == PACK_HEADER_BYTES and header.strip(b"\0"):
        return True
    nonce = bytes.fromhex(file.removesuffix(".open"))
    return any(scan(read_from(PACK_HEADER_BYTES, pread), nonce, PACK_HEADER_BYTES))


def open_growing(file: str, pread: Pread, cache: Cache | None = None) -> Pack:
    """Read an open pack, as far as it goes.

    Raises:
        PackDamaged: its header is not what was written. Its records may be whole: their nonce is
            the pack's name, and `pack_records.scan` finds them.
        StoreTooNew: it was written by another version.
    """
    name, data = file.removesuffix(".open"), pread(0, PACK_HEADER_BYTES)
    pack = Pack(file, PACK_HEADER_BYTES, PackHeader(bytes.fromhex(name)), pread, cache)
    pack._scan_on()  # noqa: SLF001 - also what stands behind damage at the very beginning
    try:
        pack.header = parse_header(name, data)
    except StoreTooNew:
        if pack.records:  # as this version writes them: a flipped bit must not pass for a newer one
            raise damaged(name, "its header is damaged") from None
        raise
    if pack.header.nonce.hex() != name:
        raise damaged(name, "its header is damaged")
    return pack


def open_sealed(file: str, size: int, pread: Pread, cache: Cache | None = None) -> Pack:
    """Read the end of a sealed pack of *size* bytes; its rows are not checked, its records neither.

    Raises:
        PackDamaged: header, index or trailer is not what was written. Its records may be whole:
            `pack_records.scan`.
        StoreTooNew: it was written by another version.
    """
    name = file.removesuffix(".pack")
    tail = pread(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    header = tail[:PACK_HEADER_BYTES] if size <= _TAIL_BYTES else pread(0, PACK_HEADER_BYTES)
    try:
        parsed = parse_header(name, header)
    except StoreTooNew:
        # The version stands under no check of its own, and a flipped bit must not pass for a newer
        # one.
        if pack_index.hash_pack(size, pread) != name:
            raise damaged(name, "its header is damaged") from None
        raise
    if len(tail) < TRAILER_BYTES:
        raise damaged(name, "it is cut off")
    *fields, pack_hash, magic = pack_index.TRAILER.unpack(tail[-TRAILER_BYTES:])
    found = End(*fields)
    if magic != TRAILER_MAGIC or pack_hash.hex() != name:
        raise damaged(name, "its trailer is damaged")
    size_of_it = found.directory_at + found.directory + TRAILER_BYTES
    if size_of_it != size or found.records * HEAD_BYTES > found.rows_at:
        raise damaged(name, "its trailer does not fit its size")
    pack = Pack(file, size, parsed, pread, cache, found)
    if found.rows_at >= size - len(tail):
        pack.check_rows()
    return pack


def read_from(offset: int, pread: Pread) -> bytes:
    """Give all bytes from *offset* on."""
    parts = [pread(offset, _READ_WHOLE_BYTES)]
    while len(parts[-1]) == _READ_WHOLE_BYTES:
        offset += _READ_WHOLE_BYTES
        parts.append(pread(offset, _READ_WHOLE_BYTES))
    return b"".join(parts)
