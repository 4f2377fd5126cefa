"""Taking in a run that was made elsewhere, or that was lost: its objects first, then its ref."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.presence import is_there
from maverick.checkpoints.refs.refs import LOG_LENGTH
from maverick.checkpoints.saving import Saving, save
from maverick.errors import NotFound, RefMoved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.pack_records import NewObject
    from maverick.checkpoints.refs.refs import Ref


def adopt(
    store: StoreFolder, ref: Ref, objects: Iterable[NewObject], name: str, before: Ref | None
) -> None:
    """Do what `Store.adopt` says."""
    if before is not None:
        _move(store, before, ref, objects)
        return
    if name not in ("", ref.run):
        _adopt_as(store, name, ref, objects)
        return
    with store.own(ref.run) as owner, store.changing("take in the run"):
        # Until it has a ref, fsck is not to look for one.
        owner.note_dropped(store.files, max(store.now(), ref.updated))
        ref = _take(store, ref, objects)
        with store.locks.refs():
            if store.find_ref(ref.run) is not None:
                raise RefMoved(f"run {ref.run} exists already; drop it, or choose another name")
            order = store.ref_files.next_order() if name else ref.order
            store.ref_files.put(ref._replace(order=order))
            if name:
                store.ref_files.note_order(order)
        owner.note_dropped(store.files, 0)


def _move(store: StoreFolder, before: Ref, ref: Ref, objects: Iterable[NewObject]) -> None:
    """Move the run that stands at *before* to where *ref* stands; its log, tags and order stay."""
    with store.changing("take in the run"):
        ref = _take(store, ref, objects)
        with store.locks.refs():
            now = store.find_ref(ref.run)
            if now is None or now.checkpoint != before.checkpoint:
                raise RefMoved(
                    f"run {ref.run} was changed by another process meanwhile; nothing was imported"
                )
            known = {position.checkpoint for position in ref.positions}
            earlier = (it for it in now.positions if it.checkpoint not in known)
            positions = (*earlier, *ref.positions)[-LOG_LENGTH:]
            tags = {**ref.tags, **now.tags}
            store.ref_files.put(ref._replace(positions=positions, tags=tags, order=now.order))


def _adopt_as(store: StoreFolder, name: str, ref: Ref, objects: Iterable[NewObject]) -> None:
    with store.changing("take in the run"):
        if store.find_ref(ref.run) is None:
            with store.own(ref.run) as owner:
                # Its checkpoints are there, and nobody is to miss the run.
                owner.note_dropped(store.files, max(store.now(), ref.updated))
        _take(store, ref, objects)
        tip = store.checkpoint(ref.checkpoint)
        reason = f"imported {ref.run}"
        saving = Saving(name, tip, tip.kind, tip.label, tip.step, reason, "", ref.summary)
        save(store, saving, {}, {})


def _take(store: StoreFolder, ref: Ref, objects: Iterable[NewObject]) -> Ref:
    """Store *objects*, durably, and see to it that they are all that *ref* stands at; gives it with
    the positions and tags that are there.
    """
    with store.objects.adding() as new:
        for item in objects:
            if new.wants(item.id):
                new.add(item)
        if new.taken():
            new.seal()
    if not is_there(store, ref.checkpoint):
        raise NotFound(f"gc has collected what run {ref.run} was")
    return ref.keeping(partial(is_there, store))
