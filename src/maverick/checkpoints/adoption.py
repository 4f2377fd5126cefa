"""Taking in a run that was made elsewhere, or that was lost: its objects first, then its ref."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.locks import DROPPED
from maverick.checkpoints.presence import is_there
from maverick.checkpoints.refs.refs import LOG_LENGTH
from maverick.checkpoints.saving import Saving, save
from maverick.errors import NotFound, RefMoved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.frames import Frame
    from maverick.checkpoints.refs.refs import Ref


def adopt(
    store: StoreFolder,
    ref: Ref,
    frames: Iterable[Frame],
    name: str,
    *,
    is_new: bool,
    before: Ref | None = None,
) -> None:
    """Do what `Store.adopt` says."""
    if before is not None:
        _move(store, before, ref, frames)
        return
    if name not in ("", ref.run):
        _adopt_as(store, name, ref, frames)
        return
    with store.own(ref.run) as owner, store.changing("take in the run"):
        owner.note_dropped(store.files)  # Until it has a ref, fsck is not to look for one.
        _take_frames(store, ref, frames)
        ref = _whole(store, ref)
        store.announce("order")
        with store.locks.refs():
            if store.find_ref(ref.run) is not None:
                raise RefMoved(f"run {ref.run} exists already; drop it, or choose another name")
            order = store.ref_files.next_order() if is_new else ref.order
            store.ref_files.put(ref._replace(order=order))
            if is_new:
                store.ref_files.note_order(order)
        owner.note({key: field for key, field in owner.previous.items() if key != DROPPED})


def _whole(store: StoreFolder, ref: Ref) -> Ref:
    """Give *ref* with the positions and tags whose checkpoints are there."""
    positions = tuple(
        position for position in ref.positions if is_there(store, position.checkpoint)
    )
    tags = {name: tagged for name, tagged in ref.tags.items() if is_there(store, tagged)}
    return ref._replace(positions=positions, tags=tags)


def _move(store: StoreFolder, before: Ref, ref: Ref, frames: Iterable[Frame]) -> None:
    """Move the run that stands at *before* to where *ref* stands; its log, tags and order stay."""
    with store.changing("take in the run"):
        _take_frames(store, ref, frames)
        ref = _whole(store, ref)
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


def _adopt_as(store: StoreFolder, name: str, ref: Ref, frames: Iterable[Frame]) -> None:
    with store.changing("take in the run"):
        if store.find_ref(ref.run) is None:
            with store.own(ref.run) as owner:
                # Its checkpoints are there, and nobody is to miss the run.
                owner.note_dropped(store.files)
        _take_frames(store, ref, frames)
        tip = store.checkpoint(ref.checkpoint)
        reason = f"imported {ref.run}"
        saving = Saving(name, tip, tip.kind, tip.label, tip.step, reason, "", ref.summary)
        save(store, saving, {}, {})


def _take_frames(store: StoreFolder, ref: Ref, frames: Iterable[Frame]) -> None:
    """StoreFolder *frames*, durably, and see to it that they are all that *ref* stands at."""
    store.objects.packs.refresh()
    coming = iter(frames)
    first = next(coming, None)
    if first is not None:
        with store.objects.packing() as pack:
            for frame in chain([first], coming):
                if pack.wants(frame.id):
                    pack.add(frame)
    if not is_there(store, ref.checkpoint):
        raise NotFound(f"gc has collected what run {ref.run} was")
