"""Repair: makes a damaged store one in which fsck finds no damage, and removes nothing on the way.

Packs first: the whole objects of a damaged pack go into a new pack, the damaged one into
`quarantine/`. Then the refs catch up with the open packs that no process has. Then a run whose
newest checkpoint is not whole stands at its newest whole one again, and a torn or missing ref is
built anew from the checkpoints that its run has left. What a file held before is kept in
`quarantine/`. Every step is durable before the next one; after a crash the next repair goes on.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import Files, writing
from maverick.checkpoints.disk.files import replace as replace_file
from maverick.checkpoints.disk.layout import file_name
from maverick.checkpoints.folder import StoreFolder, alone
from maverick.checkpoints.fsck.fallback import keep_copy, set_aside
from maverick.checkpoints.fsck.findings import Repair
from maverick.checkpoints.fsck.salvage import find_damaged, salvage
from maverick.checkpoints.fsck.whole import Wholeness
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.refs import refs
from maverick.checkpoints.refs.dropped import FILE, lost_runs, read_dropped
from maverick.checkpoints.refs.refs import LOG_LENGTH, Ref
from maverick.checkpoints.trees.checkpoint import NO_CHECKPOINT, named
from maverick.errors import FormatDamaged, RefDamaged, RunOwned, StoreDenied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from maverick.checkpoints.fsck.findings import RepairKind
    from maverick.checkpoints.refs.refs import Position
    from maverick.checkpoints.trees.checkpoint import Checkpoint


def repair(
    root: Path,
    *,
    clock: Callable[[], int],
    files: Files | None = None,
    trust_locks: bool | None = None,
) -> list[Repair]:
    """Repair the store at *root*, alone in it; gives what was done, in order. *clock* gives
    milliseconds, *trust_locks* is as for `Store.open`.

    Raises:
        UsageError: locks cannot be trusted to keep out anybody; nothing was changed.
        NotFound: there is no store.
        StoreTooNew: a newer version wrote some of it; nothing was changed.
        RunConflict: gc is at work.
        StoreDenied: this user may not read all of it.
        StoreUnwritable: the disk takes nothing. What was done until then is durable; no object was
            removed.
    """
    files = files or Files()
    with writing("repair the store", root):
        form = _format_of(files, root)
        store = StoreFolder(root, files, form or layout.CURRENT, clock, trust_locks=trust_locks)
        # Nobody holds a lock that is no file.
        done = [*_make_quarantine(store), *_set_aside_misplaced(store, layout.LOCKS)]
        with alone(store, "repair the store"):
            with store.locks.exclusive() as held, store.locks.refs():
                done += [*_set_aside_misplaced(store), *_make_folders(files, root)]
                damaged, unreadable = find_damaged(store)
                if form is None:
                    done.append(_write_format(store))
                done += _set_aside_notes(store)
                done += salvage(store, damaged, held)
                for file, problem in unreadable.items():
                    text = (
                        f"pack {file[:12]} cannot be read: {problem}; refs stay as they are while "
                        "that is so"
                    )
                    done.append(Repair("left", text, file=f"objects/{file}"))
            if not unreadable:
                store.appender.close_all()
                with store.locks.exclusive(), store.locks.refs():
                    done += _Refs(store, store.now()).repair()
    return done


def _format_of(files: Files, root: Path) -> layout.Format | None:
    try:
        return layout.read_format(files, root)
    except FormatDamaged:
        return None


def _write_format(store: StoreFolder) -> Repair:
    """Write `format.json` as this version does: nothing in the store says that another one made
    it.
    """
    damaged = store.root / "format.json"
    if damaged.name in store.files.list(store.root):
        keep_copy(store, damaged.name, store.files.read(damaged))
    replace_file(
        store.files, layout.temporary(store.root), damaged, [layout.encode_format(layout.CURRENT)]
    )
    return Repair("format", "format.json was written anew", file="format.json")


def _make_folders(files: Files, root: Path) -> Iterator[Repair]:
    there = files.list(root)
    for folder in layout.FOLDERS:
        if folder not in there:
            files.make_folder(root / folder)
            files.sync_folder(root)
            yield Repair("folder", f"the folder {folder}/ was made again", file=folder)


def _make_quarantine(store: StoreFolder) -> Iterator[Repair]:
    """Put what stands in the place of `quarantine/` into it."""
    path = store.root / "quarantine"
    if path.name in layout.misplaced(store.files, store.root):
        spare = path.with_name(f"{path.name}-{os.urandom(4).hex()}")
        store.files.rename(path, spare)
        repair = set_aside(store, spare.name, "something else stood where quarantine is to be")
        yield replace(repair, file=path.name)


def _set_aside_misplaced(store: StoreFolder, only: tuple[str, ...] = ()) -> Iterator[Repair]:
    """Set aside what stands where the store has something else; a ref is then built anew."""
    for file in list(layout.misplaced(store.files, store.root)):
        if not only or file in only:
            yield set_aside(store, file, f"something else stood where {file} is to be")


def _set_aside_notes(store: StoreFolder) -> Iterator[Repair]:
    """Set the list of dropped runs aside if it is damaged; of which something is left, those are
    rebuilt.
    """
    if read_dropped(store.files, store.root) is None:
        yield set_aside(store, FILE, "the list of the runs that gc dropped is damaged")


class _Refs:
    """Makes each ref stand at a whole checkpoint, and name nothing that is not whole."""

    def __init__(self, store: StoreFolder, now: int) -> None:
        self._store = store
        self._now = now
        self._whole = Wholeness(store, read_data=False)

    def repair(self) -> Iterator[Repair]:
        store, runs = self._store, set[str]()
        for name in sorted(store.files.list(store.root / "refs")):
            run = layout.run_name(name)
            if run is None:
                continue
            runs.add(run)
            try:
                data = store.files.read(store.root / "refs" / name)
            except StoreDenied:
                raise
            except OSError as problem:
                text = f"the ref of run {run} cannot be read: {problem}"
                yield Repair("left", text, file=f"refs/{name}", run=run)
                continue
            ref = refs.parse_ref(data)
            if ref is None or ref.run != run:
                ref = None
                with suppress(RefDamaged):  # An open pack may tell it, that a process appends to.
                    ref = store.ref_files.get(run)
            yield from self._repair(run, ref, data)
        checkpoints = self._whole.checkpoints.values()
        for run in lost_runs(store.files, store.root, runs, checkpoints):
            yield from self._repair(run, None, None)

    def _repair(self, run: str, ref: Ref | None, data: bytes | None) -> Iterator[Repair]:
        """Make *run* stand at its newest whole checkpoint. *ref* says where it stood, if anything
        does; *data* is what the file of its ref holds, if it has one.
        """
        store, file = self._store, f"refs/{file_name(run)}"
        newest = self._whole.newest(run, ref)
        new = self._whole_ref(ref, newest) if newest is not None else None
        if new is not None and new == ref:
            return
        kind, text = _describe(run, ref, newest, new)
        if ref is not None and newest is not None and new is not None:
            text += self._gone(ref, newest, new)
        try:
            with store.locks.hold(run) as owner:
                if new is None:
                    every = self._whole.checkpoints.values()
                    made = [each.created for each in every if each.run == run]
                    owner.note_dropped(store.files, max([self._now, *made]), given_up=True)
                if data is not None:
                    copy = keep_copy(store, f"{file_name(run)}.ref", data)
                    text += f"; its former ref is quarantine/{copy}"
                if new is not None:
                    store.ref_files.put(new)
                elif data is not None:
                    store.ref_files.remove(run)
        except RunOwned as problem:
            kind, text = "left", f"the ref of run {run} leads to what is damaged, and {problem}"
        yield Repair(kind, text, file=file, run=run)

    def _whole_ref(self, ref: Ref | None, newest: Checkpoint) -> Ref:
        """Give the ref of a run whose newest whole checkpoint is *newest*: *ref* without what is
        damaged, and one that is new if that is lost.
        """
        target = self._with_whole_labels(newest)
        former, reason = ref or self._told(newest), "rebuilt by fsck"
        if ref is not None:
            reason = "repaired"
            if newest.id != ref.checkpoint:
                reason += f": {ref.sequence} is damaged"
        kept = former.keeping(lambda it: self._whole.damage_of_all(it) is None)
        log = tuple(it for it in kept.positions if self._is_before(target, it))
        before = kept._replace(positions=log)
        size = self._store.node(target.tree).size
        new = Ref.at(target, size=size, reason=reason, before=before, time=self._now)
        if ref is None or target.id != ref.checkpoint:
            return new
        # What is right stays as it is.
        last = [it for it in ref.positions[-1:] if it.checkpoint == target.id]
        log = (*log, *(last or new.positions[-1:]))
        return new._replace(updated=ref.updated, positions=log[-LOG_LENGTH:])

    def _gone(self, ref: Ref, newest: Checkpoint, new: Ref) -> str:
        """Say which labels and tags a run has lost."""
        stay = {it.checkpoint for it in new.positions}
        labels = [it.label for it in ref.positions if it.label and it.checkpoint not in stay]
        each = self._whole.checkpoints.get(newest.labelled)
        while each is not None and each.id != new.labelled:
            labels.append(each.label)
            each = self._whole.checkpoints.get(each.labelled)
        names = [f"label {shlex.quote(label)}" for label in sorted({*labels} - {""})]
        names += [f"tag {shlex.quote(tag)}" for tag in sorted(ref.tags.keys() - new.tags.keys())]
        return f"; gone with what is damaged: {', '.join(names)}" if names else ""

    def _is_before(self, target: Checkpoint, position: Position) -> bool:
        """Say whether a position of a log is one of the run of *target*, before that."""
        checkpoint = self._store.checkpoint(position.checkpoint)
        says = (checkpoint.run, checkpoint.sequence)
        return says == (target.run, position.sequence) and position.sequence < target.sequence

    def _told(self, newest: Checkpoint) -> Ref:
        """Give the ref of a run, which is lost, by *newest* and those before it."""
        log, parent = [newest], self._whole.checkpoints.get(newest.parent)
        while parent is not None and parent.run == newest.run and len(log) < LOG_LENGTH:
            if self._whole.damage_of_all(parent.id) is None:
                log.insert(0, parent)
            parent = self._whole.checkpoints.get(parent.parent)
        # Its number is lost: it comes right behind the runs that were started before it by the
        # clock.
        earlier = (it.order for it in self._store.refs() if it.started <= log[0].created)
        order = max(earlier, default=0)
        ref = Ref.at(log[0], size=0, reason=log[0].step, order=order)
        for checkpoint in log[1:]:
            ref = Ref.at(checkpoint, size=0, reason=checkpoint.step, before=ref)
        return ref

    def _with_whole_labels(self, checkpoint: Checkpoint) -> Checkpoint:
        """Give *checkpoint*, or, where a labelled checkpoint before it is damaged, a new one that
        does not name that.
        """
        labelled = checkpoint.labelled
        while labelled and self._whole.damage_of_all(labelled) is not None:
            before = self._whole.checkpoints.get(labelled)
            labelled = before.labelled if before is not None else NO_CHECKPOINT
        if labelled == checkpoint.labelled:
            return checkpoint
        new, data = named(
            checkpoint._replace(
                id=NO_CHECKPOINT,
                sequence=checkpoint.sequence + 1,
                created=max(self._now, checkpoint.created),
                parent=checkpoint.id,
                labelled=labelled,
            )
        )
        self._store.objects.write([NewObject(ObjectKind.CHECKPOINT, new.id, data)])
        return new


def _describe(
    run: str, ref: Ref | None, newest: Checkpoint | None, new: Ref | None
) -> tuple[RepairKind, str]:
    if newest is None or new is None:
        return "given-up", f"no checkpoint of run {run} is whole; it cannot be resumed"
    if ref is None:
        at = f"it stands at checkpoint {new.sequence}, tags are lost"
        return "rebuilt", f"the ref of run {run} was rebuilt; {at}"
    if newest.id == ref.checkpoint:
        return "mended", f"the ref of run {run} names nothing any more that is damaged"
    at = f"checkpoint {new.sequence} again, for {ref.sequence} is damaged"
    return "rolled-back", f"run {run} stands at {at}"
