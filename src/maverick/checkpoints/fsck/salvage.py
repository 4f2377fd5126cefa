"""Salvage: what is whole in damaged packs goes into a new pack, the damaged ones into
`quarantine/`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.fsck.fallback import set_aside
from maverick.checkpoints.fsck.findings import Repair
from maverick.checkpoints.fsck.pack_check import check_pack
from maverick.checkpoints.objects import ids, packs
from maverick.checkpoints.objects.frames import FRAME_BYTES, Frame, FrameDamaged, check_frame
from maverick.checkpoints.objects.pack_index import leaning
from maverick.errors import PackDamaged, StoreDenied, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.fsck.pack_check import PackReport
    from maverick.checkpoints.objects.ids import ObjectId


def check_packs(store: StoreFolder) -> Iterator[tuple[str, PackReport | OSError]]:
    """Yield for the name of each pack what is wrong with it. Raises StoreTooNew."""
    for file in sorted(store.files.list(store.root / "objects")):
        name = file.removesuffix(".pack")
        if name == file or not ids.is_id(name):
            continue
        try:
            report = check_pack(
                store.files, store.root / "objects" / file, store.objects.fetch, read_data=True
            )
        except StoreDenied:
            raise
        except OSError as problem:
            yield name, problem
            continue
        for finding, _ in report.findings:
            if finding.kind == "too-new":
                raise StoreTooNew(finding.message)
        yield name, report


class Salvage:
    """Takes the damaged packs out of `objects/`. `unreadable` are those that the system cannot
    read.
    """

    def __init__(self, store: StoreFolder, reports: dict[str, PackReport | OSError]) -> None:
        self._store = store
        self._files = store.files
        self.unreadable = {
            name: report for name, report in reports.items() if isinstance(report, OSError)
        }
        self._reports = {
            name: report for name, report in reports.items() if not isinstance(report, OSError)
        }
        self._damaged = sorted(name for name, report in self._reports.items() if report.findings)
        self._bad = {
            about for report in self._reports.values() for _, about in _corrupt_objects(report)
        }

    def repair(self) -> Iterator[Repair]:
        if not self._damaged:
            return
        new, count = self._salvage()
        if count:
            text = f"{count} whole objects of damaged packs were copied into pack {new[:12]}"
            yield Repair("salvaged", text, file=f"objects/{new}.pack")
        for name in self._damaged:
            file = f"objects/{name}.pack"
            why = self._reports[name].findings[0][0].message
            yield Repair(
                "quarantined", f"{why}; it was moved to {set_aside(self._store, file)}", file=file
            )
        self._store.objects.packs.refresh()

    def _salvage(self) -> tuple[str, int]:
        """Copy what only damaged packs hold; gives the new pack's name, and how many objects that
        were.
        """
        while True:
            frames = self._whole_frames()
            first = next(frames, None)
            if first is None:
                return "", 0
            index = self._store.objects.write_frames(_chain(first, frames))
            file = f"objects/{index.name}.pack"
            report = check_pack(
                self._files, self._store.root / file, self._store.objects.fetch, read_data=True
            )
            if not report.findings:
                return index.name, len(index)
            self._bad |= {about for _, about in _corrupt_objects(report)}
            set_aside(self._store, file)

    def _whole_frames(self) -> Iterator[Frame]:
        """Yield the frames of damaged packs that are whole, each object once, unless a sound pack
        has it.
        """
        self._store.objects.packs.refresh()
        sound = {index.name for index in self._store.objects.packs.indexes()} - set(self._damaged)
        seen = {
            copy
            for index in self._store.objects.packs.indexes()
            if index.name in sound
            for copy, _ in index.copies()
        }
        for name in self._damaged:
            path = self._store.root / "objects" / f"{name}.pack"
            pread = partial(self._files.pread, path)
            for offset, length in _frames_in(name, self._files.size(path), pread):
                raw = pread(offset, length)
                try:
                    header = check_frame(raw)
                except (FrameDamaged, StoreTooNew):
                    continue
                raw_id = bytes.fromhex(header.id)
                copy = leaning(raw_id) if header.flags else raw_id
                if copy not in seen and header.id not in self._bad:
                    seen.add(copy)
                    yield Frame(header.kind, header.id, raw)


def _corrupt_objects(report: PackReport) -> Iterator[tuple[str, ObjectId]]:
    for finding, about in report.findings:
        if finding.kind != "pack":
            yield from ((finding.kind, object_id) for object_id in about)


def _frames_in(
    name: str, size: int, pread: Callable[[int, int], bytes]
) -> Iterator[tuple[int, int]]:
    """Yield offset and length of the frames of a pack, by its index or, if that is damaged, by
    their look.
    """
    try:
        index = packs.read_index(name, size, pread)
    except PackDamaged:
        for header, offset in packs.scan(size, pread):
            yield offset, FRAME_BYTES + header.length
    else:
        for place in sorted((place for _, place in index), key=lambda place: place.offset):
            yield place.offset, place.length


def _chain(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest
