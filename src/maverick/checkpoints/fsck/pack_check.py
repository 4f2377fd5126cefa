"""The check of one pack, sealed or open: that every byte of it is what was written, or at least all
that is structure.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import OpenFiles
from maverick.checkpoints.fsck.findings import Finding, error
from maverick.checkpoints.fsck.remains import read_remains
from maverick.checkpoints.objects import ids, pack_index, packs
from maverick.checkpoints.objects.ids import Hasher, ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_index import encode_rows
from maverick.checkpoints.objects.pack_records import (
    MOST_HEAD_BYTES,
    NO_RUN,
    PACK_HEADER_BYTES,
    RecordDamaged,
    damaged,
    parse_head,
    parse_list,
    parse_record,
)
from maverick.checkpoints.objects.segments import Lost
from maverick.checkpoints.trees.closure import UNKNOWN
from maverick.errors import PackDamaged, StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.pack_records import Record
    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.objects.segments import Item

    Chunks = tuple[tuple[ObjectId, int], ...]
    ReadChunks = Callable[[ObjectId], Iterable[bytes]]

_HELD_BYTES = 16 << 20


@dataclass(slots=True)
class PackReport:
    """What is wrong with a pack: findings, each with the objects that it is about. And the sizes of
    the blobs that are there, UNKNOWN if they were not read; and those stored as lists.
    """

    findings: list[tuple[Finding, list[ObjectId]]] = field(default_factory=list)
    sizes: dict[ObjectId, int] = field(default_factory=dict)
    lists: set[ObjectId] = field(default_factory=set)


def check_pack(
    files: Files,
    path: Path,
    read_chunks: ReadChunks,
    *,
    read_data: bool,
    see: Callable[[Item], None] = lambda _: None,
) -> PackReport:
    """Check the pack at *path*. With *read_data*, and of an open one, all objects are verified;
    else all but blobs are decompressed. What stands behind the last whole record of an open one is
    no damage.

    *read_chunks* gives the bytes of a chunk, in parts; it is no damage of this pack if that is
    missing or damaged. *see* gets each checkpoint that is whole.

    Raises:
        OSError: it cannot be read, or is gone.
    """
    opened = OpenFiles(files)  # It is read to its end even if it gets another name meanwhile.
    pread = partial(opened.pread, path)
    report = PackReport()
    check = _PackCheck(f"{path.parent.name}/{path.name}", report, see)
    try:
        pack = _open(path.name, size := files.size(path), pread)
        check.run(pack, read_chunks, read_data=read_data)
    except PackDamaged as damage:
        inside = read_remains(path.name, size, pread).pack
        check.report(damage, [object_id for _, _, object_id in inside.objects()])
    except StoreTooNew as problem:
        report.findings.append((error("too-new", str(problem), file=check.file), []))
    finally:
        opened.close_all()
    return report


def _open(file: str, size: int, pread: packs.Pread) -> Pack:
    if file.endswith(".pack"):
        pack = packs.open_sealed(file, size, pread)
        pack.check_rows()
        return pack
    if pread(0, PACK_HEADER_BYTES).strip(b"\0"):
        return packs.open_growing(file, pread)
    remains = read_remains(file, size, pread)
    if remains.whole:
        raise damaged(remains.pack.name, "its header is damaged")
    return packs.Pack(file, 0, remains.pack.header, pread)  # nothing was ever acknowledged


class _PackCheck:
    """The check of one pack, whose *file* is named in findings."""

    def __init__(self, file: str, report: PackReport, see: Callable[[Item], None]) -> None:
        self.file = file
        self._report = report
        self._see = see
        self._lists: dict[ObjectId, Chunks] = {}
        self._wrong: set[int] = set()
        # The objects that are wrong one after the other: of blobs, and of the others.
        self._rows: dict[bool, tuple[str, list[ObjectId]]] = {}

    def report(self, damage: PackDamaged, about: list[ObjectId]) -> None:
        self._report.findings.append((error("pack", str(damage), file=self.file), about))

    def run(self, pack: Pack, read_chunks: ReadChunks, *, read_data: bool) -> None:
        if read_data or pack.size < len(pack.records) * packs.SMALL_RECORD_BYTES:
            _hold(pack)
        if pack.damage:
            self._report_gaps(pack)
        self._check_objects(pack, content=read_data or pack.is_open)
        if read_data:
            for object_id, why in list_verdicts(self._lists, read_chunks).items():
                if why:
                    self._report_objects(pack, why, [object_id])
        if pack.is_open:
            return
        self._check_records(pack, read_data=read_data)
        if encode_rows(pack.raw_ids()) != pack.rows():
            self.report(damaged(pack.name, "its index does not fit its objects"), [])
        unsaid = read_data and not self._report.findings
        if unsaid and pack_index.hash_pack(pack.size, pack.pread) != pack.name:
            why = "its bytes do not hash to its name, though every object does to its id"
            self.report(damaged(pack.name, why), [])

    def _report_gaps(self, pack: Pack) -> None:
        remains = read_remains(pack.file, pack.size, pack.pread)
        object_ids = {number: object_id for number, _, object_id in remains.pack.objects()}
        for gap in remains.gaps:
            why = f"no record that is whole stands at bytes {gap.start:,} to {gap.end:,}"
            about = [object_ids[number] for number in gap.numbers if number in object_ids]
            self.report(damaged(pack.name, why), about)

    def _check_objects(self, pack: Pack, *, content: bool) -> None:
        if not content:
            blobs = (it for _, kind, it in pack.objects() if kind is ObjectKind.BLOB)
            self._report.sizes = dict.fromkeys(blobs, UNKNOWN)
        for item in pack.items(content=content, trees=content):
            if isinstance(item, Lost):
                for number in item.numbers:
                    object_id = ObjectId(pack.raw_id(number).hex())
                    self._add_wrong(number, pack.kind(number), object_id, str(item.damage))
            elif why := self._problem(item):
                self._add_wrong(item.number, item.kind, item.id, why)
            else:
                self._end_row(pack, is_blob=item.kind is ObjectKind.BLOB)
        for is_blob in (True, False):
            self._end_row(pack, is_blob=is_blob)

    def _problem(self, item: Item) -> str:
        """Say what is wrong with an object; of a list, as far as it can be told without its
        chunks.
        """
        if item.kind is ObjectKind.LIST:
            try:
                chunks = self._lists[item.id] = parse_list(item.data)
            except RecordDamaged as damage:
                return str(damage)
            self._report.lists.add(item.id)
            self._report.sizes[item.id] = sum(length for _, length in chunks)
            return ""
        actual = ids.object_id(item.kind, item.data)
        if actual != item.id:
            return f"its content hashes to {actual[:12]}"
        if item.kind is ObjectKind.BLOB:
            self._report.sizes[item.id] = len(item.data)
        elif item.kind is ObjectKind.CHECKPOINT:
            self._see(item)
        return ""

    def _add_wrong(self, number: int, kind: ObjectKind, object_id: ObjectId, why: str) -> None:
        self._wrong.add(number)
        self._rows.setdefault(kind is ObjectKind.BLOB, (why, []))[1].append(object_id)

    def _end_row(self, pack: Pack, *, is_blob: bool) -> None:
        if is_blob in self._rows:
            self._report_objects(pack, *self._rows.pop(is_blob))

    def _report_objects(self, pack: Pack, why: str, about: list[ObjectId]) -> None:
        text = f"object {about[0][:12]} is damaged: {why}"
        if len(about) > 1:
            text = (
                f"object {about[0][:12]} and {len(about) - 1:,} more of pack {pack.name[:12]} are "
                f"damaged: {why}"
            )
        finding = error("object-corrupt", text, object_id=about[0], file=self.file)
        self._report.findings.append((finding, about))

    def _check_records(self, pack: Pack, *, read_data: bool) -> None:
        """Compare the records of a sealed pack with its directory, and verify them."""
        for record in pack.records:
            try:
                _check_record(pack, record, read_data=read_data)
            except RecordDamaged as damage:
                if self._wrong.isdisjoint(record.numbers):  # else that was said
                    why = f"its record at byte {record.offset:,} is damaged ({damage})"
                    self.report(damaged(pack.name, why), [])


def _hold(pack: Pack) -> None:
    """Have a pack in memory, unless it is large."""
    if pack.size <= _HELD_BYTES:
        data = pack.pread(0, pack.size)
        pack.pread = lambda offset, length: data[offset : offset + length]


def _check_record(pack: Pack, record: Record, *, read_data: bool) -> None:
    if read_data:
        data = pack.pread(record.offset, record.end - record.offset)
        found = parse_record(pack.header.nonce, data, 0, record.offset)
    else:
        found = parse_head(record.offset, pack.pread(record.offset, MOST_HEAD_BYTES))
    if found._replace(sequence=0, run=NO_RUN) != record:
        raise RecordDamaged("it is not the one that the directory says")


def list_verdicts(
    lists: dict[ObjectId, Chunks], read_chunks: ReadChunks
) -> dict[ObjectId, str | None]:
    """Say of each of *lists*, inner ones first, what is wrong with it; None where a chunk is
    missing or damaged, so that nobody can say.

    A chunk is read once for a list and the one around it.
    """
    verdicts: dict[ObjectId, str | None] = {}
    for object_id in reversed(lists):
        if object_id not in verdicts:
            with suppress(StoreDamaged):
                for _ in _parts(object_id, lists, read_chunks, verdicts, 0):
                    pass
    return verdicts


def _parts(
    object_id: ObjectId,
    lists: dict[ObjectId, Chunks],
    read_chunks: ReadChunks,
    verdicts: dict[ObjectId, str | None],
    depth: int,
) -> Iterator[bytes]:
    verdicts[object_id] = None
    hashed = Hasher()
    why = ""
    for chunk, length in lists[object_id]:
        size = 0
        inner = chunk in lists and depth == 0
        parts = _parts(chunk, lists, read_chunks, verdicts, 1) if inner else read_chunks(chunk)
        for part in parts:
            hashed.update(part)
            size += len(part)
            yield part
        if size != length:
            why = f"its chunk {chunk[:12]} has another length than its list says"
    if not why and hashed.blob_id() != object_id:
        why = f"its chunks hash to {hashed.blob_id()[:12]}"
    verdicts[object_id] = why
