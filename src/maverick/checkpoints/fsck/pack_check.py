"""The check of one pack: that every byte of it is what was written, or at least all that is
structure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.fsck.findings import Finding, error
from maverick.checkpoints.objects import ids, packs
from maverick.checkpoints.objects.frames import (
    FRAME_BYTES,
    HAS_CHUNKS,
    FrameDamaged,
    check_frame,
    fetch_chunks,
    leans_of,
    open_frame,
    parse_header,
)
from maverick.checkpoints.objects.pack_index import ROW_BYTES
from maverick.errors import PackDamaged, StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.frames import Fetch
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.pack_index import PackIndex, Place

    Pread = Callable[[int, int], bytes]


@dataclass(slots=True)
class PackReport:
    """What is wrong with a pack: findings, each with the objects that it is about; and the objects'
    lengths.
    """

    findings: list[tuple[Finding, list[ObjectId]]] = field(default_factory=list)
    lengths: dict[ObjectId, int] = field(default_factory=dict)


def check_pack(
    files: Files,
    path: Path,
    fetch: Fetch,
    *,
    read_data: bool,
    tell_read: Callable[[int], None] | None = None,
) -> PackReport:
    """Check the pack at *path*. With *read_data* every byte is read, else headers, index and
    trailer are.

    *fetch* gives what frames lean on. It is no damage of this pack if that is missing or damaged.
    *tell_read* hears, with *read_data*, how many bytes of objects were read, again and again.

    Raises:
        OSError: it cannot be read.
    """
    name, file = path.name.removesuffix(".pack"), f"{path.parent.name}/{path.name}"
    size, pread = files.size(path), partial(files.pread, path)
    report = PackReport()
    try:
        index = packs.read_index(name, size, pread)
    except PackDamaged as damage:
        inside = [header.id for header, _ in packs.scan(size, pread)]
        report.findings.append((error("pack", str(damage), file=file), inside))
        return report
    except StoreTooNew as problem:
        report.findings.append((error("too-new", str(problem), file=file), []))
        return report
    whole = True
    for object_id, why in _check_frames(
        index, pread, fetch, report.lengths, read_data=read_data, tell_read=tell_read
    ):
        whole = False
        finding = error(
            "object-corrupt",
            f"object {object_id[:12]} is damaged: {why}",
            object_id=object_id,
            file=file,
        )
        report.findings.append((finding, [object_id]))
    if not _is_tiled(index):
        whole = False
        report.findings.append(
            (error("pack", f"pack {name[:12]} is damaged: its frames leave gaps", file=file), [])
        )
    if read_data and whole and packs.hash_pack(size, pread) != name:
        text = (
            f"pack {name[:12]} is damaged: its bytes do not hash to its name, though every object "
            "does to its id"
        )
        report.findings.append((error("pack", text, file=file), []))
    return report


def _check_frames(
    index: PackIndex,
    pread: Pread,
    fetch: Fetch,
    lengths: dict[ObjectId, int],
    *,
    read_data: bool,
    tell_read: Callable[[int], None] | None,
) -> Iterator[tuple[ObjectId, str]]:
    for object_id, place in sorted(index, key=lambda row: row[1].offset):
        try:
            header = parse_header(pread(place.offset, FRAME_BYTES))
            if (header.id, header.kind, header.flags != 0) != (object_id, place.kind, place.leans):
                yield object_id, "its frame says that it is another object"
            elif FRAME_BYTES + header.length != place.length:
                yield object_id, "its frame has another length than the index says"
            else:
                lengths[object_id] = header.raw_length
                if header.flags & HAS_CHUNKS:
                    leans = leans_of(pread(place.offset, place.length))
                    lengths[object_id] = sum(length for _, length in leans.chunks)
                if read_data:
                    yield from _check_content(object_id, place, pread, fetch, tell_read)
        except (FrameDamaged, StoreTooNew) as problem:
            yield object_id, str(problem)


def _check_content(
    object_id: ObjectId,
    place: Place,
    pread: Pread,
    fetch: Fetch,
    tell_read: Callable[[int], None] | None,
) -> Iterator[tuple[ObjectId, str]]:
    raw = pread(place.offset, place.length)
    header = check_frame(raw)
    try:
        if header.flags & HAS_CHUNKS:  # may be more than can be held
            hashed = ids.Hasher()
            for part in fetch_chunks(iter(leans_of(raw).chunks), fetch):
                hashed.update(part)
                if tell_read is not None:
                    tell_read(len(part))
            actual: ObjectId = hashed.blob_id()
        else:
            actual = ids.object_id(place.kind, open_frame(raw, fetch)[1])
            if tell_read is not None:
                tell_read(header.raw_length)
    except StoreDamaged:
        # of what the frame leans on, which is reported where that stands, or where it is missing
        return
    if actual != object_id:
        yield object_id, f"its content hashes to {actual[:12]}"


def _is_tiled(index: PackIndex) -> bool:
    """Say whether the frames follow one another from the header to the index."""
    offset = packs.HEADER_BYTES
    for place in sorted((place for _, place in index.rows()), key=lambda place: place.offset):
        if place.offset != offset:
            return False
        offset += place.length
    return offset == index.size - packs.TRAILER_BYTES - index.count * ROW_BYTES
