"""What all packs hold, by numbers: which objects there are, where, and what each one names.

Trees are not parsed for this: what they name is found by pattern in what is stored of them, pack by
pack, in order, and no more is kept of it than numbers. Nothing here needs a lock.
"""

from __future__ import annotations

import re
from array import array
from contextlib import suppress
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from maverick.checkpoints.disk.files import UNREADABLE, OpenFiles
from maverick.checkpoints.disk.layout import is_pack, list_folder
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_index import hash_pack
from maverick.checkpoints.objects.pack_records import (
    HEAD_BYTES,
    ID_BYTES,
    Quoted,
    RecordDamaged,
    expand,
    parse_list,
)
from maverick.checkpoints.objects.packs import (
    SMALL_RECORD_BYTES,
    is_begun,
    open_growing,
    open_sealed,
)
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE, Cache, split
from maverick.checkpoints.trees.checkpoint import Checkpoint, parse_checkpoint
from maverick.checkpoints.trees.closure import links_of
from maverick.checkpoints.trees.tree_nodes import parse_node
from maverick.errors import PackDamaged, StoreDamaged, StoreDenied, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.pack_records import Record
    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.objects.segments import Stream

# What an object names is followed by a comma, which a name is not, nor a note. By its id it stands
# behind the kind of an entry; in lists, and in wide nodes, behind a bracket.
_BY_NUMBER = re.compile(rb"\x01([0-9a-f]{1,8}),")
_BY_ID_IN_ENTRIES = re.compile(rb'","([0-9a-f]{64})",')
_BY_ID = re.compile(rb'\["([0-9a-f]{64})",')
_ENTRIES = b'{"entries"'
_UNREAD = array("I")


class Stored(NamedTuple):
    """An object as it is stored in a pack, where it has this number; `Census.read` gives its
    bytes.
    """

    number: int
    kind: ObjectKind
    stored: bytes


class Counted:
    """A pack. `numbers` are those of its objects in the census, by their numbers in the pack;
    `lengths` are how long they are there before compression, 0 where nobody has looked; `sizes` how
    many bytes of the pack are theirs, once that was worked out.
    """

    def __init__(self, pack: Pack, raw_ids: Sequence[bytes]) -> None:
        self.pack = pack
        self.records: list[Record] = []
        """Those that were taken up."""
        self.numbers = array("I")
        self.lengths = array("I")
        self.sizes = array("Q")
        self.quoted = Quoted(lambda number: raw_ids[self.numbers[number]])

    @property
    def nonce(self) -> bytes:
        return self.pack.header.nonce

    def sized(self) -> Iterator[tuple[int, int]]:
        """Yield the numbers of the objects in the census, with their sizes."""
        return zip(self.numbers, self.sizes, strict=True)

    def of(self, record: Record, stream: Stream) -> Sequence[int]:
        """Give the numbers of the objects of *record* that are in *stream*."""
        numbers = stream.numbers(record)
        return self.numbers[numbers.start : numbers.stop]

    def holding(self, stream: Stream, wanted: AbstractSet[int]) -> list[int]:
        """Give the places of the records that hold *wanted* objects in *stream*."""
        return [
            at
            for at, record in enumerate(self.records)
            if not wanted.isdisjoint(self.of(record, stream))
        ]

    def stored(self, stream: Stream, places: Iterable[int]) -> Iterator[Stored]:
        """Yield the objects that the records at *places*, in order, have in *stream*, as far as
        they can be read.
        """
        for at in places:
            record = self.records[at]
            numbers = stream.numbers(record)
            kinds = record.kinds()[numbers.start - record.first :]
            with suppress(RecordDamaged):
                raw = self.pack.block(stream, at)
                bounds = pairwise(split(stream, record, raw))
                for number, kind, (start, end) in zip(numbers, kinds, bounds, strict=False):
                    yield Stored(number, kind, raw[start:end])

    @cached_property
    def is_written(self) -> bool:
        """Whether a sealed pack is what was written, all of which is read for that."""
        with suppress(OSError):
            return hash_pack(self.pack.size, self.pack.pread) == self.pack.name
        return False

    def size(self, group_of: Sequence[int]) -> None:
        """Work out `sizes`.

        A record's bytes are those of its objects, all together: a block is shared by what is in it,
        by the lengths before compression, the rest evenly. Blobs of one group (by number in the
        census) share evenly: only of others the lengths are looked up, which takes reading the
        content. Records without objects, and what is around the records, are nobody's.
        """
        mixed = [
            at
            for at, record in enumerate(self.records)
            if len({group_of[it] for it in self.of(record, CONTENT)}) > 1
        ]
        for blob in self.stored(CONTENT, mixed):
            self.lengths[blob.number] = len(blob.stored)
        self.sizes = array("Q", bytes(8 * len(self.numbers)))
        for record in self.records:
            first, end = record.first, record.numbers.stop
            nodes_at = STRUCTURE.numbers(record).start
            content, structure = record.content_bytes, record.structure
            rest = HEAD_BYTES + record.length - content - structure
            for start, total, weights in (
                (first, content, self.lengths[first:nodes_at]),
                (nodes_at, structure, self.lengths[nodes_at:end]),
                (first, rest, [1] * (end - first)),
            ):
                for number, share in enumerate(_shares(total, weights), start):
                    self.sizes[number] += share


def _shares(total: int, weights: Sequence[int]) -> Iterator[int]:
    """Yield whole numbers that are in the proportions of *weights*, and *total* together."""
    whole = sum(weights)
    if not whole:  # Nobody knows, or all are empty.
        weights, whole = [1] * len(weights), len(weights)
    before = passed = 0
    for weight in weights:
        passed += weight
        yield total * passed // whole - before
        before = total * passed // whole


class Census:
    """The objects in the packs of *store*. One that is named, but nowhere stored, has a number,
    too.
    """

    def __init__(self, store: StoreFolder) -> None:
        self._store = store
        self._files = OpenFiles(store.files)
        # These stay open: a pack that is sealed meanwhile can still be read then.
        self._growing = OpenFiles(store.files, limit=256)
        self._whole: tuple[Path | None, bytes] = (
            None,
            b"",
        )  # a pack of which all is about to be read
        self._cache = Cache()
        # What stands for the objects of records that cannot be read has the number 0.
        self._numbers: dict[bytes, int] = {b"": 0}
        self._raw_ids: list[bytes] = [b""]
        self.live = bytearray(1)
        """By number: whether somebody has marked the object as one that must stay."""
        self.packs: dict[bytes, Counted] = {}
        """By nonce, which stays when an open pack is sealed."""
        self.links: dict[int, array[int]] = {}
        """What each object that is no blob names, nothing if it cannot be read. One that is a list
        anywhere is no blob.
        """
        self.checkpoints: dict[int, Checkpoint | None] = {}
        """None are those that cannot be read."""
        self.is_whole = True
        """Whether all packs can be read, as far as that was looked at."""

    def __len__(self) -> int:
        return len(self._raw_ids)

    def close(self) -> None:
        """Close what is open; else packs that are removed keep their space."""
        self._files.close_all()
        self._growing.close_all()

    def number(self, object_id: ObjectId) -> int:
        """Give the number of an object, which need not be stored."""
        return self._number(bytes.fromhex(object_id))

    def id(self, number: int) -> ObjectId:
        return ObjectId(self._raw_ids[number].hex())

    def holds(self, object_id: ObjectId) -> bool:
        """Say whether a pack holds the object."""
        number = self._numbers.get(bytes.fromhex(object_id))
        return number is not None and any(number in it.numbers for it in self.packs.values())

    def open_packs(self) -> list[Pack]:
        return [counted.pack for counted in self.packs.values() if counted.pack.is_open]

    def held(self, apart_from: Container[bytes] = ()) -> bytearray:
        """Say for each number whether a pack holds the object, *apart_from* some, by nonce."""
        found = bytearray(len(self))
        for nonce, counted in self.packs.items():
            if nonce not in apart_from:
                for number in counted.numbers:
                    found[number] = 1
        found[0] = 0
        return found

    def read(self, counted: Counted, item: Stored) -> bytes | None:
        """Give the bytes of an object, of a LIST its list; None if they have another id.

        That of a list would take reading all that it is of: `Counted.is_written` says whether it
        can be relied on.
        """
        try:
            is_blob = item.kind is ObjectKind.BLOB
            data = item.stored if is_blob else expand(item.stored, counted.quoted)
        except IndexError:  # It names what there is not.
            return None
        object_id = self.id(counted.numbers[item.number])
        is_right = item.kind is ObjectKind.LIST or ids.object_id(item.kind, data) == object_id
        return data if is_right else None

    def verify(self, counted: Counted, item: Stored) -> bool:
        """Read an object that is no blob, and take what it names; says whether it is as it should
        be.
        """
        with suppress(StoreDamaged, StoreTooNew, RecordDamaged):
            data = self.read(counted, item)
            if data is not None:
                self.take_links(counted.numbers[item.number], item.kind, data)
                return True
        return False

    def take_links(self, number: int, kind: ObjectKind, data: bytes) -> None:
        """Take what an object names from its bytes, which are what they should be. Raises
        StoreDamaged, StoreTooNew, RecordDamaged.
        """
        object_id = self.id(number)
        if kind is ObjectKind.LIST:
            named = [chunk for chunk, _ in parse_list(data)]
        elif kind is ObjectKind.TREE:
            named = [link.id for link in links_of(parse_node(object_id, data))]
        else:
            checkpoint = parse_checkpoint(CheckpointId(object_id), data)
            named = [link.id for link in links_of(checkpoint)]
            self.checkpoints[number] = checkpoint
        self.links[number] = array("I", map(self.number, named))

    # --- looking ---

    def refresh(self) -> None:
        """List the packs, and take up what is new in them; open ones may have been sealed."""
        names = None
        while (now := self._names()) != names:  # One may be sealed while it is looked at.
            names, self.is_whole = now, True
            known = {it.pack.file: it for it in self.packs.values() if not it.pack.is_open}
            found = [known.get(file) or self._look_at(file) for file in sorted(names)]
            self.packs = {it.nonce: it for it in found if it is not None}
            if self.is_whole:
                return

    def _names(self) -> set[str]:
        return set(filter(is_pack, list_folder(self._store.files, self._store.root, "objects")))

    def _look_at(self, file: str) -> Counted | None:
        """Take up a pack; None if it has no record yet, or cannot be read."""
        path = self._store.root / "objects" / file
        try:
            is_open = file.endswith(".open")
            pread = partial(self._pread, self._growing if is_open else self._files, path)
            if is_open and not is_begun(file, pread):
                return None
            if is_open:
                pack = open_growing(file, pread, self._cache)
                self.is_whole = self.is_whole and not pack.damage
            else:
                pack = open_sealed(file, self._store.files.size(path), pread, self._cache)
                pack.check_rows()
            if pack.size <= SMALL_RECORD_BYTES * len(pack.records):
                with suppress(OSError):  # Then its parts are read one by one.
                    self._whole = path, pread(0, pack.size)
            return self._take(pack)
        except (FileNotFoundError, PackDamaged, StoreDenied):
            self.is_whole = False
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            self.is_whole = False
        finally:
            self._whole = None, b""
        return None

    def _pread(self, files: OpenFiles, path: Path, offset: int, length: int) -> bytes:
        whole, data = self._whole
        if path is whole:
            return data[offset : offset + length]
        return files.pread(path, offset, length)

    def _take(self, pack: Pack) -> Counted:
        """Take up the records of a pack that are new, and the last one again: it may have been
        taken back, and have another one in its place.
        """
        counted = self.packs.get(pack.header.nonce) or Counted(pack, self._raw_ids)
        places = range(max(len(counted.records) - 1, 0), len(pack.records))
        for last in counted.records[-1:]:
            del counted.numbers[last.first :], counted.lengths[last.first :]
        counted.pack, counted.records = pack, pack.records
        numbers, lengths = counted.numbers, counted.lengths
        for record in pack.records[places.start :]:
            numbers.frombytes(bytes(numbers.itemsize * (record.first - len(numbers))))
            raw_ids = pack.pread(record.ids_at, ID_BYTES * record.total)
            starts = range(0, len(raw_ids), ID_BYTES)
            numbers.extend([self._number(raw_ids[at : at + ID_BYTES]) for at in starts])
            for number in counted.of(record, STRUCTURE):
                self.links.setdefault(number, _UNREAD)
            for number in numbers[len(numbers) - record.counts[ObjectKind.CHECKPOINT] :]:
                self.checkpoints.setdefault(number, None)
        lengths.frombytes(bytes(lengths.itemsize * (len(numbers) - len(lengths))))
        for item in counted.stored(STRUCTURE, places):
            lengths[item.number] = len(item.stored)
            number = numbers[item.number]
            if item.kind is ObjectKind.CHECKPOINT:
                self.verify(counted, item)
            elif not self.links[number]:
                with suppress(IndexError):  # It names what there is not.
                    self.links[number] = self._named(numbers, item.stored)
        return counted

    def _named(self, numbers: array[int], stored: bytes) -> array[int]:
        found = array("I", [numbers[int(it, 16)] for it in _BY_NUMBER.findall(stored)])
        by_id = _BY_ID_IN_ENTRIES if stored.startswith(_ENTRIES) else _BY_ID
        found.extend([self._number(bytes.fromhex(it.decode())) for it in by_id.findall(stored)])
        return found

    def _number(self, raw_id: bytes) -> int:
        number = self._numbers.get(raw_id)
        if number is None:
            number = self._numbers[raw_id] = len(self._raw_ids)
            self._raw_ids.append(raw_id)
            self.live.append(0)
        return number
