"""What of an export may come in: it is what was written, its parts fit together, and somebody could
restore them.

A few kilobytes can say that they are more than any disk holds: bytes that compress well, equal
folders under many names, lists of chunks that name the same chunk again and again. So nothing is
decompressed beyond a limit, and everything here looks at each object once, and counts the rest.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from maverick.checkpoints.objects import ids, pack_index
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import (
    CONTENT_SHIFT,
    NewObject,
    RecordDamaged,
    list_data,
    parse_list,
)
from maverick.checkpoints.objects.pack_writer import MOST_SHARED_BYTES
from maverick.checkpoints.objects.segments import (
    BEGINS,
    CONTENT,
    MOST_RAW_BYTES,
    STRUCTURE,
    BlockTooLarge,
    Lost,
)
from maverick.checkpoints.trees import folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from maverick.checkpoints.objects.ids import ObjectId, TreeId
    from maverick.checkpoints.objects.objects import Objects
    from maverick.checkpoints.objects.pack_records import Record
    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.objects.segments import Item, Stream
    from maverick.checkpoints.trees.checkpoint import Checkpoint
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
    """The objects of *pack*, which is that of an export; `sizes` are those of blobs, when they were
    verified.

    What is raised besides is RecordDamaged or PackDamaged: the pack is not what an export writes.
    """

    def __init__(self, pack: Pack, *, any_size: bool) -> None:
        self._pack = pack
        self._any_size = any_size
        self._firsts = [record.first for record in pack.records]
        self.sizes: dict[ObjectId, int] = {}
        self._lists: dict[ObjectId, bytes] = {}
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
        whole = [blob for blob in self._lists if blob not in self._named]
        cost = sum(self._costs[blob] for blob in whole)
        self._require_readable(cost)
        read = self._pack.size
        total = read + sum(self.sizes[blob] for blob in whole)
        for item in self._items(content=True, trees=False):
            if item.kind is ObjectKind.BLOB:
                _require(ids.blob_id(item.data) == item.id, item, "has another hash")
                self.sizes[item.id] = len(item.data)
                cost += len(item.data)
                self._require_readable(cost)
                progress(self._record_of(item.number).offset, total)
        progress(read, total)
        for blob in whole:
            for part in stored.read_chunks(blob):
                read += len(part)
                progress(read, total)

    def objects(self) -> Iterator[NewObject]:
        """Yield all objects, those first that others name, compared once more with what was
        verified.
        """
        for item in self._items(content=True):
            is_same = (
                blake3(item.data).digest() == self._lists[item.id]
                if item.kind is ObjectKind.LIST
                else ids.object_id(item.kind, item.data) == item.id
            )
            _require(is_same, item, "was altered while it was read")
            yield NewObject(item.kind, item.id, item.data)

    def _check_records(self) -> None:
        pack = self._pack
        if pack_index.hash_pack(pack.size, pack.pread) != pack.name:
            raise RecordDamaged("its bytes do not hash to its name")
        pack.check_rows()
        for record in pack.records:
            content = BEGINS << CONTENT_SHIFT if record.content_bytes else 0
            if record.flags != content | (BEGINS if record.structure else 0):
                raise RecordDamaged("a record leans on another one")

    def _check_nodes(self) -> None:
        numbers: dict[ObjectId, int] = {}
        for number, _, object_id in self._pack.objects():
            if numbers.setdefault(object_id, number) != number:
                raise RecordDamaged(f"it holds object {object_id[:12]} twice")
        for item in self._items(content=False):
            if item.kind is ObjectKind.LIST:
                self._take_list(item, numbers)
            else:
                actual = ids.object_id(item.kind, item.data)
                _require(actual == item.id, item, "has another hash")

    def _take_list(self, item: Item, numbers: dict[ObjectId, int]) -> None:
        """Take note of a list of chunks, and of what it costs to read these."""
        chunks = parse_list(item.data)
        _require(list_data(chunks) == item.data, item, "is not written canonically")
        cost, last = 0, -1
        for chunk, length in chunks:
            number = numbers.get(chunk, item.number)
            _require(number < item.number, item, f"names {chunk[:12]}, which is not before it")
            if chunk in self._costs:
                cost, last = cost + self._costs[chunk], -1
                self._named.add(chunk)
                self._naming.add(item.id)
                _require(chunk not in self._naming, item, "is a list of lists of lists")
                continue
            record = self._record_of(number).offset
            cost += length + (0 if record == last else MOST_SHARED_BYTES)
            last = record
        self.sizes[item.id] = sum(length for _, length in chunks)
        self._lists[item.id] = blake3(item.data).digest()
        self._costs[item.id] = cost

    def _items(self, *, content: bool, trees: bool = True) -> Iterator[Item]:
        for item in self._pack.items(content=content, trees=trees, most_bytes=self._most_bytes):
            if isinstance(item, Lost):
                raise self._problem(item)
            yield item

    def _record_of(self, number: int) -> Record:
        return self._pack.records[bisect_right(self._firsts, number) - 1]

    def _most_bytes(self, stream: Stream, record: Record) -> int:
        """Give how many bytes a block may hold: an export gives a record to each large object."""
        if record.total > 1:
            return MOST_SHARED_BYTES + _MOST_BYTES_OF_LENGTH * (record.total + 1)
        if self._any_size:
            return MOST_RAW_BYTES
        return MOST_HELD_BYTES if stream.content else _MOST_NODE_BYTES

    def _problem(self, lost: Lost) -> TooLarge | RecordDamaged:
        record = self._record_of(lost.numbers.start)
        if not isinstance(lost.damage, BlockTooLarge):
            return lost.damage
        if record.total > 1 or self._any_size:
            return RecordDamaged("a record holds more than anybody wrote")
        most = self._most_bytes(CONTENT if record.counts[0] else STRUCTURE, record)
        return TooLarge(f"one part of it has more than {most:,} bytes")

    def _require_readable(self, total: int) -> None:
        if total > MOST_BYTES and not self._any_size:
            raise TooLarge(
                f"{total:,} bytes have to be read to verify it, more than {MOST_BYTES:,}"
            )


def _require(holds: object, item: Item, what: str) -> None:
    if not holds:
        raise RecordDamaged(f"object {item.id[:12]} {what}")


def require_restorable(
    nodes: Nodes, checkpoints: Iterable[Checkpoint], sizes: Mapping[ObjectId, int]
) -> None:
    """Refuse *checkpoints* of more than anybody could restore, by the *sizes* of their trees.

    Raises TooLarge, with the numbers.
    """
    counted: dict[TreeId, int] = {}
    for checkpoint in checkpoints:
        for tree in (checkpoint.tree, checkpoint.facts):
            count, size = folders.count_paths(nodes, tree, counted), sizes[tree]
            if count > folders.MOST_PATHS or size > MOST_BYTES:
                raise TooLarge(
                    f"checkpoint {checkpoint.id[:12]} holds {count:,} names and {size:,} bytes, "
                    f"more than anybody could restore ({folders.MOST_PATHS:,} and {MOST_BYTES:,})"
                )
