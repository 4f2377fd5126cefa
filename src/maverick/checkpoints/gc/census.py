"""What all packs hold, by numbers: which objects there are, where, and what each one names.

Trees are not parsed for this: what they name is found by pattern in what is stored of them, pack by
pack, in order, and no more is kept of it than numbers. Nothing here needs a lock.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from maverick.checkpoints.disk.files import UNREADABLE, OpenFiles
from maverick.checkpoints.disk.layout import is_pack, list_folder
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_records import (
    ID_BYTES,
    PACK_HEADER_BYTES,
    Quoted,
    RecordDamaged,
    expand,
    parse_list,
    parse_record,
)
from maverick.checkpoints.objects.packs import open_growing, open_sealed
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE, Cache, split
from maverick.checkpoints.trees.checkpoint import Checkpoint, parse_checkpoint
from maverick.checkpoints.trees.closure import links_of
from maverick.checkpoints.trees.tree_nodes import parse_node
from maverick.errors import PackDamaged, StoreDamaged, StoreDenied, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from typing import TypeAlias

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.pack_records import Record
    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.objects.segments import Stream

    Wanted: TypeAlias = Callable[[int], bool]

# What an object names is followed by a comma, which a name is not, nor a note. By its id it stands
# behind the kind of an entry; in lists, and in wide nodes, behind a bracket.
_BY_NUMBER = re.compile(rb"\x01([0-9a-f]{1,8}),")
_BY_ID_IN_ENTRIES = re.compile(rb'","([0-9a-f]{64})",')
_BY_ID = re.compile(rb'\["([0-9a-f]{64})",')
_ENTRIES = b'{"entries"'
_NOWHERE = 255


class Stored(NamedTuple):
    """An object as it is stored in a pack, where it has this number; `Census.read` gives its
    bytes.
    """

    number: int
    kind: ObjectKind
    stored: bytes


class Counted:
    """A pack. `numbers` are those of its objects in the census, by their numbers in the pack;
    `lengths` are how long they are there before compression, 0 for blobs.
    """

    __slots__ = ("last", "lengths", "numbers", "pack", "quoted", "records", "written")

    def __init__(self, pack: Pack, raw_ids: Sequence[bytes]) -> None:
        self.pack = pack
        self.quoted = Quoted(lambda number: raw_ids[self.numbers[number]])
        self.records = self.last = 0
        """How many records were taken up, and the number of the first object of the last one."""
        self.written: set[int] = set()
        """Places of records that are what was written."""
        self.numbers = array("I")
        self.lengths = array("I")

    @property
    def nonce(self) -> bytes:
        return self.pack.header.nonce

    def of(self, record: Record) -> Sequence[int]:
        """Give the numbers of the objects of *record*."""
        return self.numbers[record.first : record.first + record.total]


class Census:
    """The objects in the packs of *store*. One that is named, but nowhere stored, has a number,
    too.
    """

    def __init__(self, store: StoreFolder) -> None:
        self._store = store
        self._files = OpenFiles(store.files)
        # These stay open: a pack that is sealed meanwhile can still be read then.
        self._growing = OpenFiles(store.files, limit=256)
        self._cache = Cache()
        self._nonces: dict[str, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._raw_ids: list[bytes] = []
        self._kinds = bytearray()
        self._number(b"")  # what stands for the objects of records that cannot be read
        self.packs: dict[bytes, Counted] = {}
        """By nonce, which stays when an open pack is sealed; in the order of their age."""
        self.links: dict[int, array[int]] = {}
        """What each object that is no blob names, of those that can be read."""
        self.checkpoints: dict[int, Checkpoint] = {}
        """Those that can be read."""
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

    def kind(self, number: int) -> ObjectKind | None:
        """Give the kind of an object, if it is stored. A blob that is a list anywhere is one."""
        kind = self._kinds[number]
        return ObjectKind(kind) if kind != _NOWHERE else None

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

    # --- what is in a pack ---

    def nodes(self, counted: Counted, wanted: Wanted) -> Iterator[Stored]:
        """Yield the objects that are no blobs in the records at *wanted* places, as far as they can
        be read.
        """
        for at, raw in _blocks(counted.pack, STRUCTURE, wanted):
            record = counted.pack.records[at]
            blobs = record.counts[0]
            with suppress(RecordDamaged):
                kinds = record.kinds()[blobs:]
                parts = zip(kinds, pairwise(split(STRUCTURE, record, raw)), strict=True)
                for number, (kind, (start, end)) in enumerate(parts, record.first + blobs):
                    yield Stored(number, kind, raw[start:end])

    def blobs(self, counted: Counted, wanted: Wanted) -> Iterator[Stored]:
        """Yield the blobs in the records at *wanted* places, as far as they can be read."""
        for at, raw in _blocks(counted.pack, CONTENT, wanted):
            record = counted.pack.records[at]
            with suppress(RecordDamaged):
                parts = pairwise(split(CONTENT, record, raw))
                for number, (start, end) in enumerate(parts, record.first):
                    yield Stored(number, ObjectKind.BLOB, raw[start:end])

    def read(self, counted: Counted, item: Stored) -> bytes | None:
        """Give the bytes of an object, of a LIST its list; None if they have another id.

        That of a list would take reading all that it is of: `is_written` is what can be asked.
        """
        if item.kind is ObjectKind.BLOB:
            data = item.stored
        else:
            try:
                data = expand(item.stored, counted.quoted)
            except IndexError:  # It names what there is not.
                return None
        object_id = self.id(counted.numbers[item.number])
        is_right = item.kind is ObjectKind.LIST or ids.object_id(item.kind, data) == object_id
        return data if is_right else None

    def take_links(self, kind: ObjectKind, number: int, data: bytes) -> None:
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

    def is_written(self, counted: Counted, number: int) -> bool:
        """Say whether the record of an object is what was written, and those before it in its
        segment are. They are read whole, once.
        """
        records = counted.pack.records
        places = [bisect_right(records, number, key=lambda record: record.first) - 1]
        while places[-1] and not STRUCTURE.begins_segment(records[places[-1]]):
            places.append(places[-1] - 1)
        for at in reversed(places):
            record = records[at]
            if at not in counted.written:
                data = counted.pack.pread(record.offset, record.end - record.offset)
                try:
                    parse_record(counted.nonce, data, 0, record.offset)
                except RecordDamaged:
                    return False
                counted.written.add(at)
        return True

    # --- looking ---

    def refresh(self) -> None:
        """List the packs, and take up what is new in them; open ones may have been sealed."""
        names = self._names()
        while not self._look_at_all(names) and (now := self._names()) != names:
            names = now  # One was sealed while it was looked at: it has another name.

    def _names(self) -> set[str]:
        return set(filter(is_pack, list_folder(self._store.files, self._store.root, "objects")))

    def _look_at_all(self, names: set[str]) -> bool:
        """Look at the packs *names*; says whether all are there."""
        nonces: dict[str, bytes] = {}
        self.is_whole = all_there = True
        for file in sorted(names, key=self._age):
            try:
                nonce = self._nonces.get(file) or self._look_at(file)
                if nonce is not None:
                    nonces[file] = nonce
            except FileNotFoundError:
                self.is_whole = all_there = False
            except (PackDamaged, StoreDenied):
                self.is_whole = False
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                self.is_whole = False
        self.packs = {nonce: self.packs[nonce] for nonce in nonces.values()}
        self._nonces = {file: it for file, it in nonces.items() if file.endswith(".pack")}
        return all_there

    def _age(self, file: str) -> tuple[int, str]:
        """Give what sorts packs by when they were written last: what names others comes after
        them.
        """
        with suppress(OSError):  # looking at it says what is wrong
            return self._store.files.modified(self._store.root / "objects" / file), file
        return 0, file

    def _look_at(self, file: str) -> bytes | None:
        path = self._store.root / "objects" / file
        if file.endswith(".open"):
            pread = partial(self._growing.pread, path)
            if not pread(0, PACK_HEADER_BYTES).strip(b"\0"):  # It has no record yet.
                return None
            pack = open_growing(file, pread, self._cache)
            self.is_whole = self.is_whole and not pack.damage
        else:
            size, pread = self._store.files.size(path), partial(self._files.pread, path)
            pack = open_sealed(file, size, pread, self._cache)
            pack.check_rows()
        nonce = pack.header.nonce
        counted = self.packs.setdefault(nonce, Counted(pack, self._raw_ids))
        counted.pack = pack
        self._take(counted)
        self._files.close(path)
        return nonce

    def _take(self, counted: Counted) -> None:
        """Take up the records of a pack that are new, and the last one again: it may have been
        taken back, and have another one in its place.
        """
        pack, before = counted.pack, max(counted.records - 1, 0)
        del counted.numbers[counted.last :], counted.lengths[counted.last :]
        for record in pack.records[before:]:
            gap = record.first - len(counted.numbers)
            counted.numbers.frombytes(bytes(gap * counted.numbers.itemsize))
            raw_ids = pack.pread(record.ids_at, ID_BYTES * record.total)
            starts = range(0, len(raw_ids), ID_BYTES)
            for start, kind in zip(starts, record.kinds(), strict=True):
                number = self._number(raw_ids[start : start + ID_BYTES])
                counted.numbers.append(number)
                if self._kinds[number] in (_NOWHERE, ObjectKind.BLOB):
                    self._kinds[number] = kind
        new = len(counted.numbers) - len(counted.lengths)
        counted.lengths.frombytes(bytes(new * counted.lengths.itemsize))
        for node in self.nodes(counted, lambda at: at >= before):
            counted.lengths[node.number] = len(node.stored)
            number = counted.numbers[node.number]
            if number not in self.links:
                with suppress(StoreDamaged, StoreTooNew, IndexError):
                    self._take_links(counted, number, node)
        counted.records = len(pack.records)
        counted.last = pack.records[-1].first if pack.records else 0

    def _take_links(self, counted: Counted, number: int, node: Stored) -> None:
        if node.kind is not ObjectKind.CHECKPOINT:
            self.links[number] = self._named(counted, node.stored)
        elif (data := self.read(counted, node)) is not None:
            self.take_links(node.kind, number, data)

    def _named(self, counted: Counted, stored: bytes) -> array[int]:
        numbers = counted.numbers
        found = array("I", [numbers[int(it, 16)] for it in _BY_NUMBER.findall(stored)])
        by_id = _BY_ID_IN_ENTRIES if stored.startswith(_ENTRIES) else _BY_ID
        found.extend([self._number(bytes.fromhex(it.decode())) for it in by_id.findall(stored)])
        return found

    def _number(self, raw_id: bytes) -> int:
        number = self._numbers.get(raw_id)
        if number is None:
            number = self._numbers[raw_id] = len(self._raw_ids)
            self._raw_ids.append(raw_id)
            self._kinds.append(_NOWHERE)
        return number


def _blocks(pack: Pack, stream: Stream, wanted: Wanted) -> Iterator[tuple[int, bytes]]:
    """Yield the raw blocks of the records at *wanted* places, as far as they can be read."""
    is_damaged = False
    for at, record in enumerate(pack.records):
        if stream.begins_segment(record):
            is_damaged = False
        if is_damaged or not wanted(at):
            continue
        raw = b""
        try:
            raw = pack.block(stream, at)
        except RecordDamaged:  # And all that is behind it in its segment.
            is_damaged = True
        if raw:
            yield at, raw
