"""Repair: makes a damaged store one in which fsck finds no damage, and removes nothing on the way.

Packs first: the whole objects of a damaged pack go into a new pack, the damaged one into
`quarantine/`. Then the refs catch up with the open packs that no process has. Then a run whose
newest checkpoint is not whole stands at its newest whole one again, and a torn or missing ref is
built anew from the checkpoints that its run has left. What a file held before is kept in
`quarantine/`. Every step is durable before the next one; after a crash the next repair goes on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import Files, writing
from maverick.checkpoints.disk.files import replace as replace_file
from maverick.checkpoints.disk.layout import file_name
from maverick.checkpoints.folder import StoreFolder, alone
from maverick.checkpoints.fsck.fallback import copy_ref, keep_copy, set_aside
from maverick.checkpoints.fsck.findings import Repair
from maverick.checkpoints.fsck.salvage import find_damaged, salvage
from maverick.checkpoints.fsck.whole import Wholeness, all_checkpoints
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.refs import refs
from maverick.checkpoints.refs.dropped import FILE, lost_runs, read_dropped
from maverick.checkpoints.refs.refs import LOG_LENGTH, Position, Ref
from maverick.checkpoints.trees.checkpoint import NO_CHECKPOINT, encode_checkpoint
from maverick.errors import FormatDamaged, RefDamaged, RunOwned, StoreDenied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
                    done += _Refs(store, clock()).repair()
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
        where = set_aside(store, spare.name)
        text = f"something else stood where quarantine is to be; it was moved to {where}"
        yield Repair("quarantined", text, file="quarantine")


def _set_aside_misplaced(store: StoreFolder, only: tuple[str, ...] = ()) -> Iterator[Repair]:
    """Set aside what stands where the store has something else; a ref is then built anew."""
    for file in list(layout.misplaced(store.files, store.root)):
        if not only or file in only:
            where = set_aside(store, file)
            text = f"something else stood where {file} is to be; it was moved to {where}"
            yield Repair("quarantined", text, file=file)


def _set_aside_notes(store: StoreFolder) -> Iterator[Repair]:
    """Set the list of dropped runs aside if it is damaged; of which something is left, those are
    rebuilt.
    """
    if read_dropped(store.files, store.root) is None:
        text = (
            "the list of the runs that gc dropped is damaged; it was moved to "
            f"{set_aside(store, FILE)}"
        )
        yield Repair("quarantined", text, file=FILE)


class _Refs:
    """Makes each ref stand at a whole checkpoint, and name nothing that is not whole."""

    def __init__(self, store: StoreFolder, now: int) -> None:
        self._store = store
        self._now = now
        self._whole = Wholeness(store, read_data=False)
        self._by_id = {checkpoint.id: checkpoint for checkpoint in all_checkpoints(store)}
        self._by_run: dict[str, list[Checkpoint]] = {}
        for checkpoint in self._by_id.values():
            self._by_run.setdefault(checkpoint.run, []).append(checkpoint)

    def repair(self) -> Iterator[Repair]:
        runs: set[str] = set()
        for name in sorted(self._store.files.list(self._store.root / "refs")):
            run = layout.run_name(name)
            if run is None:
                continue
            runs.add(run)
            try:
                ref = refs.parse_ref(self._store.files.read(self._store.root / "refs" / name))
            except StoreDenied:
                raise
            except OSError as problem:
                yield Repair(
                    "left",
                    f"the ref of run {run} cannot be read: {problem}",
                    file=f"refs/{name}",
                    run=run,
                )
                continue
            if ref is None or ref.run != run:
                ref = self._told(run)
            if ref is None:
                yield from self._rebuild(run, f"refs/{name}")
            else:
                yield from self._mend(ref)
        checkpoints = self._by_id.values()
        for run in lost_runs(self._store.files, self._store.root, runs, checkpoints):
            yield from self._rebuild(run, "")

    def _told(self, run: str) -> Ref | None:
        """Give a torn ref as far as an open pack tells it, that a process appends to."""
        try:
            return self._store.ref_files.get(run)
        except RefDamaged:
            return None

    def _mend(self, ref: Ref) -> Iterator[Repair]:
        newest = self._whole.newest(ref)
        if newest is None:
            yield from self._give_up(ref.run, f"refs/{file_name(ref.run)}")
            return
        target = self._with_whole_labels(newest)
        before = self._positions(ref, target)
        tags = {
            name: checkpoint
            for name, checkpoint in ref.tags.items()
            if self._whole.damage_of_all(checkpoint) is None
        }
        reason = (
            f"repaired: {ref.sequence} is damaged" if newest.id != ref.checkpoint else "repaired"
        )
        new = self._moved(ref._replace(positions=before, tags=tags), target, reason)
        if target.id == ref.checkpoint:  # what is right stays as it is
            last = (
                ref.positions[-1:]
                if ref.positions and ref.positions[-1].checkpoint == target.id
                else new.positions[-1:]
            )
            new = new._replace(updated=ref.updated, positions=(*before, *last)[-LOG_LENGTH:])
        if new == ref:
            return
        try:
            with self._store.locks.hold(ref.run):
                copy = copy_ref(self._store, ref)
                self._store.ref_files.put(new)
        except RunOwned as problem:
            text = f"the ref of run {ref.run} leads to what is damaged, and {problem}"
            yield Repair("left", text, file=f"refs/{file_name(ref.run)}", run=ref.run)
        else:
            yield _moved(ref, newest, copy)

    def _positions(self, ref: Ref, target: Checkpoint) -> tuple[Position, ...]:
        """Give the positions of a log that stay before *target*: of the run, whole, in order."""
        kept: list[Position] = []
        for position in ref.positions:
            if (
                position.sequence < target.sequence
                and self._whole.damage_of_all(position.checkpoint) is None
            ):
                checkpoint = self._store.checkpoint(position.checkpoint)
                if (checkpoint.run, checkpoint.sequence) == (ref.run, position.sequence):
                    kept.append(position)
        return tuple(kept)

    def _with_whole_labels(self, checkpoint: Checkpoint) -> Checkpoint:
        """Give *checkpoint*, or, where a labelled checkpoint before it is damaged, a new one that
        does not name that.
        """
        if not checkpoint.labelled or self._whole.damage_of_all(checkpoint.labelled) is None:
            return checkpoint
        labelled = checkpoint.labelled
        while labelled and self._whole.damage_of_all(labelled) is not None:
            before = self._by_id.get(labelled)
            labelled = before.labelled if before is not None else NO_CHECKPOINT
        unnamed = checkpoint._replace(
            id=NO_CHECKPOINT,
            sequence=checkpoint.sequence + 1,
            created=max(self._now, checkpoint.created),
            parent=checkpoint.id,
            labelled=labelled,
        )
        data = encode_checkpoint(unnamed)
        new = unnamed._replace(id=ids.checkpoint_id(data))
        self._store.objects.write([NewObject(ObjectKind.CHECKPOINT, new.id, data)])
        return new

    def _rebuild(self, run: str, file: str) -> Iterator[Repair]:
        """Build the ref of *run* from its newest whole checkpoint and those before it."""
        newest = self._whole.newest_of(self._by_run.get(run, []))
        if newest is None:
            yield from self._give_up(run, file)
            return
        target = self._with_whole_labels(newest)
        log = self._log(target)
        started = log[0].created if log else target.created
        # Its number is lost: it comes right behind the runs that were started before it by the
        # clock.
        order = max((ref.order for ref in self._store.refs() if ref.started <= started), default=0)
        new: Ref | None = None
        for checkpoint in log:
            new = Ref.at(checkpoint, size=0, reason=checkpoint.step, before=new, order=order)
        new = self._moved(new, target, "rebuilt by fsck", order)
        text = (
            f"the ref of run {run} was rebuilt; it stands at checkpoint {target.sequence}, "
            "tags are lost"
        )
        if file:
            data = self._store.files.read(self._store.root / file)
            copy = keep_copy(self._store, f"{file_name(run)}.ref", data)
            text += f"; what the file held is in quarantine/{copy}"
        self._store.ref_files.put(new)
        yield Repair("rebuilt", text, file=f"refs/{file_name(run)}", run=run)

    def _moved(self, before: Ref | None, target: Checkpoint, reason: str, order: int = 0) -> Ref:
        size = self._store.node(target.tree).size
        return Ref.at(target, size=size, reason=reason, before=before, time=self._now, order=order)

    def _log(self, target: Checkpoint) -> list[Checkpoint]:
        """Give the whole checkpoints of the run before *target*, oldest first, as many as a log
        holds.
        """
        log: list[Checkpoint] = []
        parent = self._by_id.get(target.parent)
        while parent is not None and parent.run == target.run and len(log) < LOG_LENGTH - 1:
            if self._whole.damage_of_all(parent.id) is None:
                log.insert(0, parent)
            parent = self._by_id.get(parent.parent)
        return log

    def _give_up(self, run: str, file: str) -> Iterator[Repair]:
        text = f"no checkpoint of run {run} is whole; it cannot be resumed"
        try:
            with self._store.locks.own(run) as owner:
                owner.note_dropped(self._store.files)
        except RunOwned as problem:
            yield Repair("left", f"{text}, and {problem}", file=file, run=run)
            return
        if file:
            text += f"; its ref was moved to {set_aside(self._store, file)}"
        yield Repair("given-up", text, file=file, run=run)


def _moved(ref: Ref, newest: Checkpoint, copy: str) -> Repair:
    file = f"refs/{file_name(ref.run)}"
    kept = f"its former ref is quarantine/{copy}"
    if newest.id == ref.checkpoint:
        text = f"the ref of run {ref.run} names nothing any more that is damaged; {kept}"
        return Repair("mended", text, file=file, run=ref.run)
    text = (
        f"run {ref.run} stands at checkpoint {newest.sequence} again, for {ref.sequence} is "
        f"damaged; {kept}"
    )
    return Repair("rolled-back", text, file=file, run=ref.run)
