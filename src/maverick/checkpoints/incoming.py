"""What of an export may come in: it is what was written, its parts fit together, and somebody could
restore them.

A few kilobytes can say that they are more than any disk holds: bytes that compress well, equal
folders under many names, lists of chunks that name the same chunk again and again. So nothing is
decompressed beyond a limit, and everything here looks at each object once, and counts the rest.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from maverick.checkpoints.fsck.placement import Placement
from maverick.checkpoints.objects import ids, pack_index
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, TreeId
from maverick.checkpoints.objects.pack_records import (
    CONTENT_SHIFT,
    HEAD_BYTES,
    ID_BYTES,
    NewObject,
    Quoted,
    RecordDamaged,
    expand,
    list_data,
    named,
    parse_list,
    parse_record,
)
from maverick.checkpoints.objects.pack_writer import MOST_SHARED_BYTES
from maverick.checkpoints.objects.segments import (
    BEGINS,
    CONTENT,
    MOST_RAW_BYTES,
    STRUCTURE,
    BlockTooLarge,
    Decoder,
    Item,
    split,
)
from maverick.checkpoints.trees import folders, tree_nodes
from maverick.checkpoints.trees.checkpoint import Checkpoint, encode_checkpoint
from maverick.checkpoints.trees.closure import UNKNOWN
from maverick.checkpoints.trees.tree_nodes import Fan, LeafNode
from maverick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints.objects.objects import Objects
    from maverick.checkpoints.objects.pack_records import Record
    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.objects.segments import Stream
    from maverick.checkpoints.trees.closure import Visit
    from maverick.checkpoints.trees.folders import Nodes

MOST_BYTES: Final = 1_000_000_000_000
"""More bytes than these nobody verifies or restores, unless told to."""
MOST_HELD_BYTES: Final = 1 << 30
"""No object is longer than this that has to be in memory as a whole."""
_MOST_NODE_BYTES: Final = 64 << 20
"""Nor one that is no blob than this: the list of a blob of 1 TB has half of it."""
_MOST_BYTES_OF_LENGTH: Final = 5


class TooLarge(Exception):
    """It is more than anybody could hold, or verify. The text says what."""


class Received:
    """The objects of *pack*, which is that of an export; `lengths` are those of all, when they were
    verified.

    What is raised besides is RecordDamaged or PackDamaged: the pack is not what an export writes.
    """

    def __init__(self, pack: Pack, *, any_size: bool) -> None:
        self._pack = pack
        self._any_size = any_size
        self._firsts = [record.first for record in pack.records]
        self.lengths: dict[ObjectId, int] = {}
        self._lists: dict[ObjectId, bytes] = {}
        self._quoted = Quoted(pack.known_id)
        self._costs: dict[ObjectId, int] = {}
        # Lists that others name, and these.
        self._named: set[ObjectId] = set()
        self._naming: set[ObjectId] = set()

    def verify(self, stored: Objects, progress: Callable[[int, int], None]) -> None:
        """Read every byte, of large blobs their chunks, too, from *stored*; *progress* hears how
        many bytes of how many.

        Raises TooLarge, unless *any_size* is taken.
        """
        self._check_records()
        self._check_nodes()
        total = sum(HEAD_BYTES + record.length for record in self._pack.records)
        whole = [blob for blob in self._lists if blob not in self._named]
        total += sum(self.lengths[blob] for blob in whole)
        read, cost = 0, self._cost()
        for record in self._pack.records:
            for item in self._items_of(record, CONTENT):
                self._require(ids.blob_id(item.data) == item.id, item, "has another hash")
                self.lengths[item.id] = len(item.data)
                cost += len(item.data)
            self._require_readable(cost)
            read += HEAD_BYTES + record.length
            progress(read, total)
        for blob in whole:
            for part in stored.read_chunks(blob):
                read += len(part)
                progress(read, total)

    def objects(self) -> Iterator[NewObject]:
        """Yield all objects, those first that others name, compared once more with what was
        verified.
        """
        for stream in (CONTENT, STRUCTURE):
            for record in self._pack.records:
                for item in self._items_of(record, stream):
                    is_same = (
                        blake3(item.data).digest() == self._lists[item.id]
                        if item.kind is ObjectKind.LIST
                        else ids.object_id(item.kind, item.data) == item.id
                    )
                    self._require(is_same, item, "was altered while it was read")
                    yield NewObject(item.kind, item.id, item.data)

    def _check_records(self) -> None:
        pack = self._pack
        if pack_index.hash_pack(pack.size, pack.pread) != pack.name:
            raise RecordDamaged("its bytes do not hash to its name")
        pack.check_rows()
        for record in pack.records:
            data = pack.pread(record.offset, HEAD_BYTES + record.length)
            content = BEGINS << CONTENT_SHIFT if record.content_bytes else 0
            anew = content | (BEGINS if record.structure else 0)
            there = parse_record(pack.header.nonce, data, 0, record.offset)
            if there != record or record.flags != anew:
                raise RecordDamaged("a record is another one than its directory says")

    def _check_nodes(self) -> None:
        numbers: dict[ObjectId, int] = {}
        for number, _, object_id in self._pack.objects():
            if numbers.setdefault(object_id, number) != number:
                raise RecordDamaged(f"it holds object {object_id[:12]} twice")
        for record in self._pack.records:
            for item in self._items_of(record, STRUCTURE):
                if item.kind is ObjectKind.LIST:
                    self._take_list(item, numbers)
                    continue
                actual = ids.object_id(item.kind, item.data)
                self._require(actual == item.id, item, "has another hash")
                self.lengths[item.id] = len(item.data)
        self._require_readable(self._cost())

    def _take_list(self, item: Item, numbers: dict[ObjectId, int]) -> None:
        """Take note of a list of chunks, and of what it costs to read these."""
        chunks = parse_list(item.data)
        self._require(list_data(chunks) == item.data, item, "is not written canonically")
        cost, last = 0, -1
        for chunk, length in chunks:
            number = numbers.get(chunk, item.number)
            self._require(number < item.number, item, f"names {chunk[:12]}, which is not before it")
            if chunk in self._costs:
                cost, last = cost + self._costs[chunk], -1
                self._named.add(chunk)
                self._naming.add(item.id)
                self._require(chunk not in self._naming, item, "is a list of lists of lists")
                continue
            record = bisect_right(self._firsts, number)
            cost += length + (0 if record == last else MOST_SHARED_BYTES)
            last = record
        self.lengths[item.id] = sum(length for _, length in chunks)
        self._lists[item.id] = blake3(item.data).digest()
        self._costs[item.id] = cost

    def _items_of(self, record: Record, stream: Stream) -> Iterator[Item]:
        """Yield the objects of a record that are in one of its blocks."""
        blobs = record.counts[0]
        first, count = (0, blobs) if stream.content else (blobs, record.total - blobs)
        if not count:
            return
        most = MOST_SHARED_BYTES + _MOST_BYTES_OF_LENGTH * (count + 1)
        if record.total == 1:
            least = MOST_HELD_BYTES if stream.content else _MOST_NODE_BYTES
            most = MOST_RAW_BYTES if self._any_size else least
        block = self._pack.pread(*stream.place(record))
        try:
            raw = Decoder().take(block, BEGINS, most)
        except BlockTooLarge:
            raise self._too_large(record, most) from None
        for position, (start, end) in enumerate(pairwise(split(stream, record, raw)), first):
            number, data = record.first + position, raw[start:end]
            if not stream.content:
                # What stands for an id grows when that takes its place.
                if len(data) + 2 * ID_BYTES * data.count(b"\x01") > max(most, _MOST_NODE_BYTES):
                    raise self._too_large(record, most)
                if any(other >= number for other in named(data)):
                    raise RecordDamaged(f"object {number} names one that is not before it")
                data = expand(data, self._quoted)
            object_id = ObjectId(self._pack.raw_id(number).hex())
            yield Item(number, record.kind_of(position), object_id, data)

    def _too_large(self, record: Record, most: int) -> TooLarge | RecordDamaged:
        if record.total == 1 and not self._any_size:
            return TooLarge(f"one part of it has more than {most:,} bytes")
        return RecordDamaged("a record holds more than anybody wrote")

    def _cost(self) -> int:
        return sum(cost for blob, cost in self._costs.items() if blob not in self._named)

    def _require_readable(self, total: int) -> None:
        if total > MOST_BYTES and not self._any_size:
            raise TooLarge(
                f"{total:,} bytes have to be read to verify it, more than {MOST_BYTES:,}"
            )

    @staticmethod
    def _require(holds: object, item: Item, what: str) -> None:
        if not holds:
            raise RecordDamaged(f"object {item.id[:12]} {what}")


class _Said(NamedTuple):
    """What one object says of another, or what is true of it; UNKNOWN where nothing is."""

    size: int
    entries: int

    def fits(self, other: _Said) -> bool:
        """Say whether the two do not contradict each other."""
        return all(UNKNOWN in pair or pair[0] == pair[1] for pair in zip(self, other, strict=True))


class Incoming:
    """Gathers the visits of a walk over an export, whose objects have these *lengths*.

    `checkpoints` are those that were visited.
    """

    def __init__(self, nodes: Nodes, lengths: dict[ObjectId, int]) -> None:
        self._nodes = nodes
        self._true = {object_id: _Said(length, UNKNOWN) for object_id, length in lengths.items()}
        self._said: set[tuple[ObjectId, _Said]] = set()
        self.checkpoints: list[Checkpoint] = []
        self._placement = Placement()

    def add(self, visit: Visit) -> None:
        self._placement.add(visit)
        self._said.update((link.id, _Said(link.size, link.count)) for link in visit.links)
        if isinstance(visit.content, Checkpoint):
            self.checkpoints.append(visit.content)
        elif visit.content is not None:
            self._true[visit.id] = _Said(visit.content.size, visit.content.count)

    def problems(self, read: Callable[[ObjectId], bytes]) -> Iterator[str]:
        """Say what does not fit together. *read* gives the bytes of an object."""
        for object_id, said in self._said:
            true = self._true.get(object_id)
            if true is not None and not said.fits(true):
                yield f"object {object_id[:12]} has another size than what names it says"
        for object_id, problem in self._placement.misplaced(read):
            yield f"object {object_id[:12]} is not well-formed: {problem}"

    def require_restorable(self) -> None:
        """Refuse what is more than anybody could restore. Raises UsageError, with the numbers."""
        counted: dict[TreeId, int] = {}
        for checkpoint in self.checkpoints:
            for tree in (checkpoint.tree, checkpoint.facts):
                count, size = folders.count_paths(self._nodes, tree, counted), self._true[tree].size
                if count > folders.MOST_PATHS or size > MOST_BYTES:
                    raise UsageError(
                        f"checkpoint {checkpoint.id[:12]} holds {count:,} names and {size:,} "
                        f"bytes, more than anybody could restore ({folders.MOST_PATHS:,} and "
                        f"{MOST_BYTES:,})"
                    )


def is_canonical(visit: Visit) -> bool:
    """Say whether an object is written as this version writes it, and as narrow or wide as it has
    to be.
    """
    match visit.content:
        case Checkpoint() as checkpoint:
            return encode_checkpoint(checkpoint) == visit.data
        case LeafNode() | Fan() as node:
            is_wide = node.count > folders.WIDTH
            return tree_nodes.encode_node(node) == visit.data and is_wide is isinstance(node, Fan)
        case None:
            return True
