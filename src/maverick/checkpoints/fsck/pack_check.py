"""The check of one pack, sealed or open: that every byte of it is what was written, or at least all
that is structure.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import OpenFiles
from maverick.checkpoints.fsck.findings import Finding, error
from maverick.checkpoints.fsck.remains import read_remains
from maverick.checkpoints.objects import ids, pack_index, packs
from maverick.checkpoints.objects.ids import Hasher, ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_records import (
    MOST_HEAD_BYTES,
    NO_RUN,
    PACK_HEADER_BYTES,
    PackHeader,
    RecordDamaged,
    damaged,
    parse_head,
    parse_list,
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


class PackCheck:
    """The check of the pack at *path*. With *read_data*, and of an open one, all objects are
    verified; else all but blobs are decompressed. What stands behind the last whole record of an
    open one is no damage.

    `findings` are what is wrong, each with the objects that it is about; `sizes` those of the blobs
    that are there, UNKNOWN if they were not read; `lists` the blobs that are stored as lists of
    chunks. *read_chunks* gives the bytes of a chunk, in parts; it is no damage of this pack if that
    is missing or damaged. *see* gets each checkpoint that is whole.

    Raises:
        OSError: it cannot be read, or is gone.
    """

    def __init__(
        self,
        files: Files,
        path: Path,
        read_chunks: ReadChunks,
        *,
        read_data: bool,
        see: Callable[[Item], None] = lambda _: None,
    ) -> None:
        self.findings: list[tuple[Finding, list[ObjectId]]] = []
        self.sizes: dict[ObjectId, int] = {}
        self.lists: dict[ObjectId, Chunks] = {}
        self._file = f"{path.parent.name}/{path.name}"
        self._see = see
        self._wrong: set[int] = set()
        opened = OpenFiles(files)  # It is read to its end even if it gets another name meanwhile.
        pread, size = partial(opened.pread, path), files.size(path)
        try:
            self._check(_open(path.name, size, pread), read_chunks, read_data=read_data)
        except PackDamaged as damage:
            remains = read_remains(path.name, size, pread)
            self._report(damage, [object_id for _, _, object_id in remains.objects()])
        except StoreTooNew as problem:
            self.findings.append((error("too-new", str(problem), file=self._file), []))
        finally:
            opened.close_all()

    def _check(self, pack: Pack, read_chunks: ReadChunks, *, read_data: bool) -> None:
        if pack.damage:
            self._report_gaps(pack)
        self._check_objects(pack, content=read_data or pack.is_open)
        if read_data:
            for object_id, why in list_verdicts(self.lists, read_chunks).items():
                if why:
                    self._report_objects(pack, why, [object_id])
        if pack.is_open:
            return
        for record in pack.records:
            why = _record_problem(pack, record)
            if why and self._wrong.isdisjoint(record.numbers):  # else that was said
                why = f"its record at byte {record.offset:,} is damaged ({why})"
                self._report(damaged(pack.name, why), [])
        if pack_index.encode_rows(pack.raw_ids()) != pack.rows():
            self._report(damaged(pack.name, "its index does not fit its objects"), [])
        unsaid = read_data and not self.findings
        if unsaid and pack_index.hash_pack(pack.size, pack.pread) != pack.name:
            why = "its bytes do not hash to its name, though every object does to its id"
            self._report(damaged(pack.name, why), [])

    def _report(self, damage: PackDamaged, about: list[ObjectId]) -> None:
        self.findings.append((error("pack", str(damage), file=self._file), about))

    def _report_gaps(self, pack: Pack) -> None:
        remains = read_remains(pack.file, pack.size, pack.pread)
        object_ids = {number: object_id for number, _, object_id in remains.objects()}
        places = [(PACK_HEADER_BYTES, 0), *((it.end, it.numbers.stop) for it in pack.records)]
        for (start, least), record in zip(places, pack.records, strict=False):
            if start < record.offset:
                why = f"no record that is whole stands at bytes {start:,} to {record.offset:,}"
                about = [object_ids[it] for it in range(least, record.first) if it in object_ids]
                self._report(damaged(pack.name, why), about)

    def _check_objects(self, pack: Pack, *, content: bool) -> None:
        if not content:
            blobs = (it for _, kind, it in pack.objects() if kind is ObjectKind.BLOB)
            self.sizes = dict.fromkeys(blobs, UNKNOWN)
        # The objects that are wrong one after the other: of blobs, and of the others.
        rows: dict[bool, tuple[str, list[ObjectId]]] = {}
        for item in pack.items(content=content, trees=content):
            if isinstance(item, Lost):
                numbers, why = item.numbers, str(item.damage)
                object_ids = [ObjectId(pack.raw_id(number).hex()) for number in numbers]
                is_blob = pack.kind(numbers.start) is ObjectKind.BLOB
            else:
                numbers, why = range(item.number, item.number + 1), self._problem(item)
                object_ids, is_blob = [item.id], item.kind is ObjectKind.BLOB
            if why:
                self._wrong.update(numbers)
                rows.setdefault(is_blob, (why, []))[1].extend(object_ids)
            elif is_blob in rows:
                self._report_objects(pack, *rows.pop(is_blob))
        for row in rows.values():
            self._report_objects(pack, *row)

    def _problem(self, item: Item) -> str:
        """Say what is wrong with an object; of a list, as far as it can be told without its
        chunks.
        """
        if item.kind is ObjectKind.LIST:
            try:
                chunks = self.lists[item.id] = parse_list(item.data)
            except RecordDamaged as damage:
                return str(damage)
            self.sizes[item.id] = sum(length for _, length in chunks)
            return ""
        actual = ids.object_id(item.kind, item.data)
        if actual != item.id:
            return f"its content hashes to {actual[:12]}"
        if item.kind is ObjectKind.BLOB:
            self.sizes[item.id] = len(item.data)
        elif item.kind is ObjectKind.CHECKPOINT:
            self._see(item)
        return ""

    def _report_objects(self, pack: Pack, why: str, about: list[ObjectId]) -> None:
        text = f"object {about[0][:12]} is damaged: {why}"
        if len(about) > 1:
            text = (
                f"object {about[0][:12]} and {len(about) - 1:,} more of pack {pack.name[:12]} are "
                f"damaged: {why}"
            )
        finding = error("object-corrupt", text, object_id=about[0], file=self._file)
        self.findings.append((finding, about))


def _open(file: str, size: int, pread: packs.Pread) -> Pack:
    if file.endswith(".pack"):
        pack = packs.open_sealed(file, size, pread)
        pack.check_rows()
        return pack
    if pread(0, PACK_HEADER_BYTES).strip(b"\0") or packs.is_begun(file, pread):
        return packs.open_growing(file, pread)
    return packs.Pack(file, 0, PackHeader(b""), pread)  # Nothing was ever acknowledged.


def _record_problem(pack: Pack, record: Record) -> str:
    """Say what is wrong with the head of a record of a sealed pack."""
    try:
        head = parse_head(record.offset, pack.pread(record.offset, MOST_HEAD_BYTES))
    except RecordDamaged as damage:
        return str(damage)
    is_same = head._replace(sequence=0, run=NO_RUN) == record
    return "" if is_same else "it is not the one that the directory says"


def list_verdicts(
    lists: dict[ObjectId, Chunks], read_chunks: ReadChunks
) -> dict[ObjectId, str | None]:
    """Say of each of *lists*, inner ones first, what is wrong with it; None where a chunk is
    missing or damaged, so that nobody can say.

    A chunk is read once for a list and the one around it.
    """
    verdicts: dict[ObjectId, str | None] = {}

    def read(object_id: ObjectId, *, is_inner: bool) -> Iterator[bytes]:
        verdicts[object_id] = None
        hashed, why = Hasher(), ""
        for chunk, length in lists[object_id]:
            size = 0
            reads_on = chunk in lists and not is_inner
            for part in read(chunk, is_inner=True) if reads_on else read_chunks(chunk):
                hashed.update(part)
                size += len(part)
                yield part
            if size != length:
                why = f"its chunk {chunk[:12]} has another length than its list says"
        if not why and hashed.blob_id() != object_id:
            why = f"its chunks hash to {hashed.blob_id()[:12]}"
        verdicts[object_id] = why

    for object_id in reversed(lists):
        if object_id not in verdicts:
            with suppress(StoreDamaged):
                for _ in read(object_id, is_inner=False):
                    pass
    return verdicts
