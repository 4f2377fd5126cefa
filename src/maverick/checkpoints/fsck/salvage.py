"""Salvage: what is whole in damaged packs goes into a new pack, the damaged ones into
`quarantine/`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.layout import is_pack
from maverick.checkpoints.disk.locks import is_locked
from maverick.checkpoints.fsck.fallback import set_aside
from maverick.checkpoints.fsck.findings import Repair, error
from maverick.checkpoints.fsck.pack_check import check_pack, list_verdicts
from maverick.checkpoints.fsck.remains import read_remains
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject, RecordDamaged, damaged, parse_list
from maverick.checkpoints.objects.packs import read_from
from maverick.checkpoints.objects.segments import Item
from maverick.checkpoints.refs.refs import standing
from maverick.errors import StoreDenied, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints.disk.locks import Descriptor
    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.fsck.pack_check import PackReport
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.packs import Pack


def check_packs(store: StoreFolder) -> Iterator[tuple[str, PackReport | OSError]]:
    """Yield for the file of each pack what is wrong with it. Raises StoreTooNew."""
    for file in filter(is_pack, sorted(store.files.list(store.root / "objects"))):
        try:
            report = check_pack(
                store.files,
                store.root / "objects" / file,
                store.objects.read_chunks,
                read_data=True,
            )
        except StoreDenied:
            raise
        except OSError as problem:
            yield file, problem
            continue
        for finding, _ in report.findings:
            if finding.kind == "too-new":
                raise StoreTooNew(finding.message)
        yield file, report


class Salvage:
    """Takes the damaged packs out of `objects/`. `unreadable` are those that the system cannot
    read.
    """

    def __init__(self, store: StoreFolder, reports: dict[str, PackReport | OSError]) -> None:
        self._store = store
        self.unreadable = {
            file: report for file, report in reports.items() if isinstance(report, OSError)
        }
        self._why = {
            file: report.findings[0][0].message
            for file, report in reports.items()
            if not isinstance(report, OSError) and report.findings
        }

    def repair(self, held: Descriptor) -> Iterator[Repair]:
        """Do it; *held* is `store.lock`, alone, and `refs.lock` is held, too."""
        self._why |= self._broken_off()
        for file, why in list(self._why.items()):
            if file.endswith(".open") and is_locked(self._store.root / "objects" / file):
                text = f"{why}; a process appends to it, and it stays while that lives"
                yield Repair("left", text, file=f"objects/{file}")
                del self._why[file]
        if not self._why:
            return
        packs = [self._remains(file) for file in sorted(self._why)]
        for new, count in self._salvage(packs):
            text = f"{count} whole objects of damaged packs were copied into pack {new[:12]}"
            yield Repair("salvaged", text, file=f"objects/{new}.pack")
        self._store.locks.note_removal(held)
        for file, pack in zip(sorted(self._why), packs, strict=True):
            if file.endswith(".open"):
                for run, ref in standing(pack).items():
                    self._store.appender.make_durable(run, ref)
            where = set_aside(self._store, f"objects/{file}")
            text = f"{self._why[file]}; it was moved to {where}"
            yield Repair("quarantined", text, file=f"objects/{file}")
        self._store.objects.packs.refresh()

    def _broken_off(self) -> dict[str, str]:
        """Give the open packs in which something stands behind the last whole record, where refs
        lead to what is in no pack: it may have been whole once.
        """
        store = self._store
        store.objects.packs.refresh()
        if all(store.objects.packs.find(ref.checkpoint) for ref in store.ref_files.list([])):
            return {}
        found: dict[str, str] = {}
        for pack in store.objects.packs.listed():
            if pack.is_open and read_from(pack.size, pack.pread).strip(b"\0"):
                why = "what stands behind its last whole record is none"
                found[pack.file] = error("pack", str(damaged(pack.name, why))).message
        return found

    def _remains(self, file: str) -> Pack:
        path = self._store.root / "objects" / file
        pread = partial(self._store.files.pread, path)
        return read_remains(file, self._store.files.size(path), pread).pack

    def _salvage(self, packs: list[Pack]) -> Iterator[tuple[str, int]]:
        """Copy what only damaged packs hold; gives the names of the new packs, and how many objects
        are in each: first all but lists, then these.
        """
        lists: dict[ObjectId, NewObject] = {}
        new = self._store.objects.write(self._whole_objects(packs, lists))
        if new is not None:
            yield new.name, len(new)
        chunks = {object_id: parse_list(item.data) for object_id, item in lists.items()}
        verdicts = list_verdicts(chunks, self._store.objects.read_chunks)
        new = self._store.objects.write(
            item for object_id, item in lists.items() if verdicts[object_id] == ""
        )
        if new is not None:
            yield new.name, len(new)

    def _whole_objects(
        self, packs: list[Pack], lists: dict[ObjectId, NewObject]
    ) -> Iterator[NewObject]:
        """Yield the objects of damaged packs that are whole, each once, unless a sound pack has it;
        *lists* gets the lists, whose chunks are to be looked at.
        """
        known = self._store.objects.packs
        known.refresh()
        sound = {pack.file for pack in known.checked()} - self._why.keys()
        seen: set[ObjectId] = set()
        for pack in packs:
            for item in pack.items(content=True):
                if not isinstance(item, Item) or item.id in seen:
                    continue
                if any(place.pack.file in sound for place in known.places(item.id)):
                    continue
                new = NewObject(item.kind, item.id, item.data)
                if item.kind is ObjectKind.LIST:
                    if _is_list(item):
                        lists[item.id] = new
                elif ids.object_id(item.kind, item.data) == item.id:
                    seen.add(item.id)
                    yield new


def _is_list(item: Item) -> bool:
    try:
        parse_list(item.data)
    except RecordDamaged:
        return False
    return True
