"""Records: what one save appends to a pack, or one MiB of a larger pack; and the header before
them. docs/format.md has every byte.

The head says where the next record is and how many objects the pack holds before this one; the
check is of this record alone, at this place in this pack. So one that was never written whole at
the end of a pack is told from one that was damaged in the middle, and what is behind that can still
be found.
"""

from __future__ import annotations

import json
import re
import struct
from contextlib import suppress
from itertools import accumulate, chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from maverick.checkpoints.disk.layout import LAST_COMMIT_OF_VERSION_1
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.errors import PackDamaged, StoreTooNew, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

RECORD_MAGIC = b"\xf7Mvr"
_HEAD = struct.Struct(">4sBII8sI16s")
HEAD_BYTES = _HEAD.size
_CHECKED = HEAD_BYTES - 16
ID_BYTES = 32

CLOSED = 16
"""A flag of a record: its run is in this pack no more, its ref says all."""
CONTENT_SHIFT = 2
"""The flags of the content block are those of `segments`, shifted by so many bits."""
NO_RUN = bytes(8)
MOST_OBJECT_BYTES = 1 << 31
_ID = re.compile(rb'"([0-9a-f]{64})"')
_NUMBER = re.compile(rb"\x01([0-9a-f]{1,8})")
_KINDS = tuple(ObjectKind)
MOST_HEAD_BYTES = HEAD_BYTES + 40
"""What `parse_head` looks at."""
PACK_MAGIC = b"MVRKPACK"
PACK_VERSION = 2
_PACK_HEADER = struct.Struct(">8sI16s16s")
PACK_HEADER_BYTES = _PACK_HEADER.size
NO_BOOT = bytes(16)


class PackHeader(NamedTuple):
    """What a pack begins with. `boot` is the boot of the system in which an open pack was begun."""

    nonce: bytes
    boot: bytes = NO_BOOT

    def encode(self) -> bytes:
        return _PACK_HEADER.pack(PACK_MAGIC, PACK_VERSION, self.nonce, self.boot)


def parse_header(name: str, data: bytes) -> PackHeader:
    """Read the header of the pack *name*.

    Raises:
        PackDamaged: it is none.
        StoreTooNew: it is of another version.
    """
    if len(data) < PACK_HEADER_BYTES:
        raise damaged(name, "it is cut off")
    magic, version, nonce, boot = _PACK_HEADER.unpack_from(data)
    if magic != PACK_MAGIC:
        raise damaged(name, "its header is damaged")
    if version == 1:
        raise StoreTooNew(
            f"pack {name[:12]} has version 1, which was never released; the last commit that reads "
            f"it is {LAST_COMMIT_OF_VERSION_1}"
        )
    if version != PACK_VERSION:
        raise StoreTooNew(
            f"pack {name[:12]} has version {version}, this version reads {PACK_VERSION}; update "
            "maverick"
        )
    return PackHeader(nonce, boot)


def damaged(name: str, why: str) -> PackDamaged:
    """Give the error for the pack *name*."""
    return PackDamaged(f"pack {name[:12]} is damaged: {why}; run `maverick checkpoint fsck`")


class RecordDamaged(Exception):
    """A record is not what was written. The text says how."""


class NewObject(NamedTuple):
    """An object to be stored. Of a LIST `data` is what `list_data` gives."""

    kind: ObjectKind
    id: ObjectId
    data: bytes


class Record(NamedTuple):
    """Where a record stands in its pack, and what is in it.

    `offset` is that of its head, `length` that of what follows the head, `first` the number of its
    first object. `counts` are its objects of each kind; `prelude` and `structure` are lengths, of
    what is before the ids and of the structure block. `run` is the tag of the run that saved it,
    and `sequence` the number of its checkpoint there; of a record in the index of a sealed pack
    neither is known.
    """

    offset: int
    length: int
    flags: int
    first: int
    counts: tuple[int, int, int, int]
    prelude: int
    structure: int
    sequence: int = 0
    run: bytes = NO_RUN

    @property
    def end(self) -> int:
        return self.offset + HEAD_BYTES + self.length

    @property
    def total(self) -> int:
        return sum(self.counts)

    @property
    def stop(self) -> int:
        """The number of the first object behind it."""
        return self.first + sum(self.counts)

    @property
    def numbers(self) -> range:
        """Those of its objects."""
        return range(self.first, self.stop)

    @property
    def ids_at(self) -> int:
        return self.offset + HEAD_BYTES + self.prelude

    @property
    def structure_at(self) -> int:
        return self.ids_at + ID_BYTES * self.total

    @property
    def content_bytes(self) -> int:
        return self.end - self.structure_at - self.structure

    def kinds(self) -> list[ObjectKind]:
        """Give the kinds of its objects, in order."""
        return list(chain.from_iterable(map(repeat, _KINDS, self.counts)))

    def kind_of(self, position: int) -> ObjectKind:
        """Give the kind of the object at *position* in the record."""
        for kind, count in zip(_KINDS, self.counts, strict=True):
            if position < count:
                return kind
            position -= count
        raise IndexError(position)


def sort(objects: list[NewObject]) -> tuple[tuple[int, int, int, int], list[NewObject]]:
    """Give *objects* in the order in which they stand in a record, and how many there are of each
    kind.
    """
    kinds: tuple[list[NewObject], ...] = tuple([] for _ in ObjectKind)
    for item in objects:
        kinds[item.kind].append(item)
    blobs, lists, trees, checkpoints = map(len, kinds)
    return (blobs, lists, trees, checkpoints), [item for group in kinds for item in group]


def run_tag(run: str) -> bytes:
    """Give what stands for *run* in the head of its records."""
    return blake3(run.encode("utf-8", "surrogateescape")).digest(8)


def encode_record(
    nonce: bytes,
    offset: int,
    flags: int,
    first: int,
    counts: tuple[int, int, int, int],
    raw_ids: bytes,
    structure: bytes,
    content: bytes,
    sequence: int = 0,
    run: bytes = NO_RUN,
) -> tuple[bytes, Record]:
    """Give the bytes of the record at *offset*, and what they say."""
    prelude = b"".join(map(varint, (*counts, len(structure))))
    payload = b"".join((prelude, raw_ids, structure, content))
    head = _HEAD.pack(RECORD_MAGIC, flags, first, sequence, run, len(payload), bytes(16))[:_CHECKED]
    check = _check(nonce, offset, head, payload)
    record = Record(
        offset, len(payload), flags, first, counts, len(prelude), len(structure), sequence, run
    )
    return b"".join((head, check, payload)), record


def parse_record(nonce: bytes, data: bytes, at: int = 0, base: int = 0) -> Record:
    """Read the record at byte *at* of *data*, which begins at offset *base* of its pack, and verify
    it.

    Raises:
        RecordDamaged: it is not what was written, or cut off.
    """
    record = parse_head(base + at, data[at : at + MOST_HEAD_BYTES])
    head, payload = data[at : at + HEAD_BYTES], data[at + HEAD_BYTES : record.end - base]
    if _check(nonce, record.offset, head[:_CHECKED], payload) != head[_CHECKED:]:
        raise RecordDamaged("it is not what was written")
    return record


def parse_head(offset: int, data: bytes) -> Record:
    """Read the record that *data* begins with, unverified. Raises RecordDamaged if it is none."""
    if len(data) < HEAD_BYTES or not data.startswith(RECORD_MAGIC):
        raise RecordDamaged("its head is damaged or missing")
    _, flags, first, sequence, run, length, _ = _HEAD.unpack_from(data)
    try:
        numbers, at = varints(data[HEAD_BYTES : HEAD_BYTES + length], 0, 5)
    except IndexError:
        raise RecordDamaged("it is cut off") from None
    blobs, lists, trees, checkpoints, structure = numbers
    counts = blobs, lists, trees, checkpoints
    record = Record(offset, length, flags, first, counts, at, structure, sequence, run)
    if record.content_bytes < 0:
        raise RecordDamaged("its parts do not fit its length")
    return record


def scan(data: bytes, nonce: bytes, base: int, first: int = 0) -> Iterator[Record | RecordDamaged]:
    """Yield the records in *data*, which begins at offset *base* of a pack, verified.

    In place of what stands between two of them and is none, there is one RecordDamaged. What is
    behind the last one is left out: nobody can say that it was ever written whole. *first* is the
    number of objects before.
    """
    at = 0
    while at < len(data):
        try:
            record = _following(parse_record(nonce, data, at, base), first)
        except RecordDamaged as damage:
            found = _next(data, nonce, at + 1, base, first)
            if found is None:
                return
            yield damage
            record = found
        yield record
        at, first = record.end - base, record.stop


def _following(record: Record, first: int) -> Record:
    if record.first != first:
        raise RecordDamaged("it is not the one that belongs there")
    return record


def _next(data: bytes, nonce: bytes, at: int, base: int, first: int) -> Record | None:
    while (at := data.find(RECORD_MAGIC, at)) >= 0:
        try:
            record = parse_record(nonce, data, at, base)
        except RecordDamaged:
            at += 1
        else:
            if record.first >= first:
                return record
            at += 1
    return None


def _check(nonce: bytes, offset: int, head: bytes, payload: bytes) -> bytes:
    hashed = blake3(nonce)
    hashed.update(offset.to_bytes(8))
    hashed.update(head)
    hashed.update(payload)
    return hashed.digest(16)


# --- what is in the streams -----------------------------------------------------------------------


def raw_structure(meta: bytes, nodes: Sequence[bytes]) -> bytes:
    """Give the raw bytes of a structure block: *meta*, and the objects that are no blobs."""
    lengths = [varint(len(node)) for node in nodes]
    return b"".join((varint(len(meta)), meta, *lengths, *nodes))


def raw_content(blobs: Sequence[bytes]) -> bytes:
    """Give the raw bytes of a content block."""
    return b"".join((*[varint(len(blob)) for blob in blobs], *blobs))


def raw_blocks(
    objects: Sequence[NewObject],
    blobs: int,
    numbers: Mapping[bytes, int],
    first: int,
    meta: bytes = b"",
) -> tuple[bytes, bytes, bytes]:
    """Give the raw ids of *objects*, in the order of a record, and the raw bytes of its structure
    and content blocks; nothing of a block that holds nothing.

    The first so many are *blobs*; they have numbers from *first* on, others the *numbers* by which
    they are named.
    """
    nodes = [
        shorten(item.data, numbers, number)
        for number, item in enumerate(objects[blobs:], first + blobs)
    ]
    return (
        bytes.fromhex("".join([item.id for item in objects])),
        raw_structure(meta, nodes) if meta or nodes else b"",
        raw_content([item.data for item in objects[:blobs]]) if blobs else b"",
    )


def split_structure(raw: bytes, count: int) -> tuple[bytes, list[int]]:
    """Give the meta of a structure block, and where its *count* objects begin (and the last one
    ends). Raises RecordDamaged.
    """
    try:
        (length,), at = varints(raw, 0, 1)
        return raw[at : at + length], _bounds(raw, at + length, count)
    except IndexError:
        raise RecordDamaged("its structure is cut off") from None


def split_content(raw: bytes, count: int) -> list[int]:
    """Give where the *count* blobs of a content block begin (and the last one ends). Raises
    RecordDamaged.
    """
    try:
        return _bounds(raw, 0, count)
    except IndexError:
        raise RecordDamaged("its content is cut off") from None


def _bounds(raw: bytes, at: int, count: int) -> list[int]:
    lengths, at = varints(raw, at, count)
    bounds = list(accumulate(lengths, initial=at))
    if bounds[-1] != len(raw):
        raise RecordDamaged("its objects do not fill it")
    return bounds


def shorten(data: bytes, numbers: Mapping[bytes, int], own: int) -> bytes:
    """Give what is stored of a tree, a checkpoint or a list, which is object number *own* of its
    pack: ids that have lower *numbers* there become these.
    """
    parts = _ID.split(data)
    parts[1::2] = [
        b"\x01%x" % number if (number := numbers.get(object_id, own)) < own else b'"%s"' % object_id
        for object_id in parts[1::2]
    ]
    return b"".join(parts)


KNOWN_IDS = 1 << 15


class Quoted(dict[bytes, bytes]):
    """The ids of a pack's objects as JSON has them, by their numbers as `shorten` writes them;
    *id_of* gives a raw id by its number. No more are kept than fit some MiB.
    """

    def __init__(self, id_of: Callable[[int], bytes]) -> None:
        super().__init__()
        self._id_of = id_of

    def __missing__(self, digits: bytes) -> bytes:
        if len(self) >= KNOWN_IDS:
            self.clear()
        quoted = self[digits] = b'"%s"' % self._id_of(int(digits, 16)).hex().encode()
        return quoted


def named(stored: bytes) -> Iterator[int]:
    """Yield the numbers of the objects that `shorten` put into what is *stored*."""
    return (int(digits, 16) for digits in _NUMBER.findall(stored))


def expand(stored: bytes, quoted: Quoted) -> bytes:
    """Give the object that `shorten` made *stored* of."""
    parts = _NUMBER.split(stored)
    parts[1::2] = [quoted[digits] for digits in parts[1::2]]
    return b"".join(parts)


def list_data(chunks: Iterable[tuple[ObjectId, int]]) -> bytes:
    """Give the bytes of the list of *chunks*, ids and lengths."""
    return b"[" + b",".join(b'["%s",%d]' % (chunk.encode(), n) for chunk, n in chunks) + b"]"


def parse_list(data: bytes) -> tuple[tuple[ObjectId, int], ...]:
    """Give the chunks of a list. Raises RecordDamaged if it is none."""
    try:
        chunks = tuple((chunk, length) for chunk, length in json.loads(data))
    except (ValueError, TypeError, RecursionError):
        raise RecordDamaged("its list of chunks cannot be read") from None
    for chunk, length in chunks:
        is_length = type(length) is int and 0 <= length < 1 << 63
        if type(chunk) is not str or not ids.is_id(chunk) or not is_length:
            raise RecordDamaged("its list of chunks cannot be read")
    return chunks


def require_storable(data: bytes) -> None:
    """Raise UsageError if an object is too long to be stored."""
    if len(data) > MOST_OBJECT_BYTES:
        raise UsageError(f"an object of {len(data):,} bytes cannot be stored; the limit is 2 GiB")


def encode_meta(fields: Mapping[str, Any]) -> bytes:
    """Give the bytes of a record's meta; none if it says nothing."""
    if not fields:
        return b""
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()


def varint(number: int) -> bytes:
    """Give *number* in groups of seven bits, the lowest first, all but the last with 128 added."""
    if number < 128:
        return _ONE_BYTE[number]
    if number < 1 << 14:
        return bytes((number & 127 | 128, number >> 7))
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_ONE_BYTE = tuple(bytes((number,)) for number in range(128))


def varints(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    """Read *count* numbers from byte *at* on; gives them, and where the next byte is. Raises
    IndexError.
    """
    numbers: list[int] = []
    for _ in range(count):
        byte = data[at]
        at += 1
        if byte < 128:
            numbers.append(byte)
            continue
        number, shift = byte & 127, 7
        while byte > 127:
            if shift > 63:
                raise IndexError(at)
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
        numbers.append(number)
    return numbers, at


def may_say_more(data: bytes) -> bool:
    """Say whether an open pack that holds *data* may hold a run that is not closed; its heads alone
    are looked at.
    """
    at, runs = PACK_HEADER_BYTES, set[bytes]()
    with suppress(RecordDamaged):
        while True:
            record = parse_head(at, data[at : at + MOST_HEAD_BYTES])
            (runs.discard if record.flags & CLOSED else runs.add)(record.run)
            at = record.end
    return bool(runs) or data.find(RECORD_MAGIC, at) >= 0
