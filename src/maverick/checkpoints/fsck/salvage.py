"""Salvage: what is whole in damaged packs goes into a new pack, the damaged ones into
`quarantine/`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.layout import is_pack
from maverick.checkpoints.disk.locks import is_locked
from maverick.checkpoints.fsck.fallback import set_aside
from maverick.checkpoints.fsck.findings import Repair, error
from maverick.checkpoints.fsck.pack_check import PackCheck, list_verdicts
from maverick.checkpoints.fsck.remains import read_remains
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import (
    NewObject,
    RecordDamaged,
    damaged,
    list_data,
    parse_list,
)
from maverick.checkpoints.objects.packs import read_from
from maverick.checkpoints.objects.segments import Item
from maverick.checkpoints.refs.refs import standing
from maverick.errors import StoreDenied, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints.disk.locks import Descriptor
    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.fsck.pack_check import Chunks
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.packs import Pack


def find_damaged(store: StoreFolder) -> tuple[dict[str, str], dict[str, OSError]]:
    """Give the files of damaged packs, with what is wrong with each, and those that the system
    cannot read. Raises StoreTooNew.
    """
    why: dict[str, str] = {}
    unreadable: dict[str, OSError] = {}
    for file in filter(is_pack, sorted(store.files.list(store.root / "objects"))):
        path = store.root / "objects" / file
        try:
            check = PackCheck(store.files, path, store.objects.read_chunks, read_data=True)
        except StoreDenied:
            raise
        except OSError as problem:
            unreadable[file] = problem
            continue
        for finding, _ in check.findings:
            if finding.kind == "too-new":
                raise StoreTooNew(finding.message)
            why.setdefault(file, finding.message)
    return why, unreadable


def salvage(store: StoreFolder, why: dict[str, str], held: Descriptor) -> Iterator[Repair]:
    """Take damaged packs out of `objects/`; *why* says what is wrong with each. *held* is
    `store.lock`, alone, and `refs.lock` is held, too.
    """
    why = {**why, **_broken_off(store)}
    objects = store.root / "objects"
    for file in [it for it in why if it.endswith(".open") and is_locked(objects / it)]:
        text = f"{why.pop(file)}; a process appends to it, and it stays while that lives"
        yield Repair("left", text, file=f"objects/{file}")
    if not why:
        return
    packs: dict[str, Pack] = {}
    for file in sorted(why):
        size, pread = store.files.size(objects / file), partial(store.files.pread, objects / file)
        packs[file] = read_remains(file, size, pread)
    lists: dict[ObjectId, Chunks] = {}
    for whole in (_whole_objects(store, packs, lists), _whole_lists(store, lists)):
        new = store.objects.write(whole)
        if new is not None:
            text = (
                f"{len(new)} whole objects of damaged packs were copied into pack {new.name[:12]}"
            )
            yield Repair("salvaged", text, file=f"objects/{new.file}")
    store.locks.note_removal(held)
    for file, pack in packs.items():
        if file.endswith(".open"):
            for run, ref in standing(pack).items():
                store.appender.make_durable(run, ref)
        yield set_aside(store, f"objects/{file}", why[file])
    store.objects.packs.refresh()


def _broken_off(store: StoreFolder) -> dict[str, str]:
    """Give the open packs in which something stands behind the last whole record, where refs lead
    to what is in no pack: it may have been whole once.
    """
    packs = store.objects.packs
    packs.refresh()
    if all(packs.find(ref.checkpoint) for ref in store.ref_files.list()):
        return {}
    why = "what stands behind its last whole record is none"
    return {
        pack.file: error("pack", str(damaged(pack.name, why))).message
        for pack in packs.listed()
        if pack.is_open and read_from(pack.size, pack.pread).strip(b"\0")
    }


def _whole_objects(
    store: StoreFolder, packs: dict[str, Pack], lists: dict[ObjectId, Chunks]
) -> Iterator[NewObject]:
    """Yield the objects of the damaged *packs* that are whole, each once, unless a sound pack has
    it; *lists* gets the lists, whose chunks are to be looked at.
    """
    known = store.objects.packs
    known.refresh()
    known.checked()
    seen: set[ObjectId] = set()
    for pack in packs.values():
        for item in pack.items(content=True):
            if not isinstance(item, Item) or item.id in seen:
                continue
            if any(place.pack.file not in packs for place in known.places(item.id)):
                continue
            if item.kind is ObjectKind.LIST:
                with suppress(RecordDamaged):
                    lists[item.id] = parse_list(item.data)
            elif ids.object_id(item.kind, item.data) == item.id:
                seen.add(item.id)
                yield NewObject(item.kind, item.id, item.data)


def _whole_lists(store: StoreFolder, lists: dict[ObjectId, Chunks]) -> Iterator[NewObject]:
    verdicts = list_verdicts(lists, store.objects.read_chunks)
    for object_id, chunks in lists.items():
        if verdicts[object_id] == "":
            yield NewObject(ObjectKind.LIST, object_id, list_data(chunks))
