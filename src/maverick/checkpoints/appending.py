"""Appending: the runs that this process owns are saved into an open pack, one sync for each save.

docs/design.md has the rules and their reasons, docs/format.md the order of every step. In short: a
record is durable before the ref says so; the ref is written over, unsynced, while the run is open;
when the run is left, its ref is made durable, then the pack says that the run is closed.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from maverick.checkpoints.disk import filesystem
from maverick.checkpoints.disk.files import writing
from maverick.checkpoints.disk.locks import is_locked
from maverick.checkpoints.objects import packs
from maverick.checkpoints.objects.open_pack import OpenPack
from maverick.checkpoints.objects.pack_records import run_tag
from maverick.checkpoints.refs.refs import Ref, Refs, encode_ref, newer, open_packs, standing
from maverick.errors import (
    PackDamaged,
    RefDamaged,
    RefMoved,
    StoreDamaged,
    StoreTooNew,
    StoreUnwritable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.disk.locks import Locks, Owner
    from maverick.checkpoints.objects.ids import CheckpointId
    from maverick.checkpoints.objects.objects import Objects
    from maverick.checkpoints.objects.pack_records import NewObject

SEALED_AT_END_FROM_BYTES = 1 << 20
"""An open pack of this size is sealed when the last run leaves it."""
_WHOLE_REF_EVERY = 64
"""Where a run stands can be told from this many records at most."""


@dataclass(slots=True)
class _Entered:
    """A run that this process saves into its open pack: its ref's file, and what that says."""

    ref: Ref
    path: Path
    descriptor: int = -1
    inode: int = 0
    size: int = 0
    records: int = 0
    """Since one that holds the whole ref; the first one of a run in a pack does."""


class Appender:
    """What appends for one store object. Threads may share it."""

    def __init__(
        self, files: Files, root: Path, locks: Locks, objects: Objects, refs: Refs
    ) -> None:
        self._files = files
        self._root = root
        self._locks = locks
        self._packs = objects.packs
        self._refs = refs
        self._mutex = threading.RLock()
        self._owned: dict[str, Owner] = {}
        self._entered: dict[str, _Entered] = {}
        self._pack: OpenPack | None = None
        self._failed: set[str] = set()
        self._synced_others = 0

    def takes(self, run: str) -> bool:
        """Say whether saves of *run* are appended: this store object owns it, and nobody else can
        append to what it has locked.
        """
        owner = self._owned.get(run)
        return owner is not None and owner.is_held and self._locks.are_trusted

    def own(self, run: str, owner: Owner) -> None:
        """Take note that *run* is owned from now on. Where it stood is in its ref, durably."""
        self.settle(run)
        self._owned[run] = owner

    def disown(self, run: str) -> None:
        """Take note that *run* is owned no more."""
        del self._owned[run]
        # Where it fails, the pack says where the run stands; who opens it next goes on from there.
        # A store that was removed meanwhile is told by whoever asks it next.
        with self._mutex, suppress(OSError, StoreUnwritable, StoreDamaged):
            self.leave(run)
            if not self._entered:
                self._let_go()

    # --- where runs stand ---

    def ref(self, run: str) -> Ref | None:
        """Give the ref of a run that was entered, as long as nobody else has replaced it."""
        entered, pack = self._entered.get(run), self._pack
        if entered is None or pack is None or not pack.is_usable or not self._is_same(entered):
            return None
        return entered.ref

    def _is_same(self, entered: _Entered) -> bool:
        with suppress(FileNotFoundError):
            return self._files.stat(entered.path).st_ino == entered.inode
        return False

    # --- saving ---

    def ready(self) -> None:
        """Have an open pack to append to: one that nobody else has, or a new one."""
        with self._mutex:
            if self._pack is not None and self._pack.is_usable:
                return
            self._abandon()
            others = self._packs.others
            with self._locks.refs():
                pack = self._taken()
                if pack is None:
                    folder = self._root / "objects"
                    pack = OpenPack.begin(self._files, folder, filesystem.boot())
                else:
                    self._synced_others = others  # with the name of what was taken
            self._pack = pack
            self._packs.own(pack.pack)

    def _taken(self) -> OpenPack | None:
        """Take an open pack that nobody has, if there is one."""
        for file in open_packs(self._files, self._root):
            pack = self._go_on(file) if file not in self._failed else None
            if pack is not None:
                pack.keep()
                return pack
        return None

    def _go_on(self, file: str, *, damaged: bool = False) -> OpenPack | None:
        """Take an open pack, and close all runs in it, whose refs are durable then; None if another
        process has it, or it cannot be gone on with.

        Hold `refs.lock`, also while it is taken: so whoever finds one that is kept knows that all
        this is done.
        """
        path = self._root / "objects" / file
        pack = OpenPack.go_on(self._files, path, damaged=damaged)
        if pack is None:
            return None
        try:
            for run, ref in standing(pack.pack).items():
                self.make_durable(run, ref)
                pack.append([], {"run": run}, run=run, sequence=ref.sequence, closed=True)
        except BaseException:
            pack.leave()
            raise
        return pack

    def make_durable(self, run: str, ref: Ref) -> None:
        """Make the ref of *run* durable, *ref* if its file is torn or says less. Hold
        `refs.lock`.
        """
        there = None
        try:
            there = self._refs.in_file(run)
        except RefDamaged:
            # Another pack may know of tags of which this one does not.
            with suppress(RefDamaged):  # None does that can be read as a whole.
                newest = self._refs.get(run)
                ref = ref._replace(tags=newest.tags) if newest is not None else ref
        found = newer(there, ref)
        if found is not there:
            # gc may have collected what the pack still names. In a damaged pack it may be yet.
            self._packs.refresh()
            found = found.keeping(self._may_be_there)
        self._refs.put(found)

    def _may_be_there(self, checkpoint: CheckpointId) -> bool:
        if self._packs.find(checkpoint) is not None or self._packs.damaged():
            return True
        return any(pack.damage for pack in self._packs.listed())

    def commit(
        self, run: str, objects: list[NewObject], advance: Callable[[], tuple[Ref | None, Ref]]
    ) -> None:
        """Append *objects*, the last of which is the checkpoint that the ref comes to. That is
        durable then (1 sync; more for the first record of a pack).

        *advance* gives the ref before and after, and raises where the run stands elsewhere. It is
        called with `refs.lock` held if the run begins.

        Raises:
            OSError: nothing was saved.
            StoreDamaged: the same; somebody has removed the pack.
            RefMoved: another process has moved the ref meanwhile; nothing was saved.
        """
        with self._mutex:
            self.ready()  # Another thread may have sealed or lost what there was.
            entered = self._entered.get(run)
            if entered is None:
                with self._locks.refs():
                    self._enter(objects, *advance())
            else:
                self._go_along(entered, objects, *advance())
            if self._pack is not None and self._pack.is_full:
                self._seal_own(self._pack)

    def _enter(self, objects: list[NewObject], before: Ref | None, ref: Ref) -> None:
        self._append(objects, ref, {"ref": encode_ref(ref).decode()})
        with self._telling():
            self._entered[ref.run] = entered = _Entered(ref, self._refs.path(ref.run))
            self._open_file(entered)
            entered.size = self._refs.overwrite(ref, entered.descriptor, entered.size)
            if before is None:
                self._refs.note_order(ref.order)

    def _go_along(
        self, entered: _Entered, objects: list[NewObject], before: Ref | None, ref: Ref
    ) -> None:
        whole = entered.records >= _WHOLE_REF_EVERY or before is not entered.ref
        if whole:
            fields: dict[str, Any] = {"ref": encode_ref(ref).decode()}
        else:
            fields = {"bytes": ref.bytes, "reason": ref.positions[-1].reason}
            if ref.summary != entered.ref.summary:
                fields["summary"] = dict(ref.summary)
        self._append(objects, ref, fields)
        entered.records = 0 if whole else entered.records + 1
        stood_there = True
        with self._telling(), self._locks.refs():
            stood_there = self._advance(entered, before, ref)
        if not stood_there:
            # Whoever was faster may lose the power before its ref is durable.
            if self._pack is not None:
                self._pack.take_back()
            self._abandon()
            raise RefMoved(
                f"run {ref.run} was changed by another process; nothing was saved; resume the run "
                "to go on from there"
            )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Write a ref of which the pack says the same, durably. Where that fails the save is made
        all the same: readers ask a pack that no process keeps.
        """
        try:
            yield
        except OSError:
            self._abandon()

    def _append(self, objects: list[NewObject], ref: Ref, fields: Mapping[str, Any]) -> None:
        pack = self._pack
        if pack is None:
            raise AssertionError("a save was to be appended to no pack")
        known = pack.pack.numbers()
        new = [item for item in objects[:-1] if item.id.encode() not in known]
        others = self._packs.others
        if others != self._synced_others:  # Their names may not be on the disk yet.
            self._files.sync_folder(self._root / "objects")
            self._synced_others = others
        try:
            pack.append(
                [*new, objects[-1]],
                {"run": ref.run, **fields},
                run=ref.run,
                sequence=ref.sequence,
                anew=ref.kind == "label",
            )
        except BaseException:
            self._failed.add(pack.path.name)
            self._abandon()
            raise

    def _advance(self, entered: _Entered, before: Ref | None, ref: Ref) -> bool:
        """Write *ref*, now that the pack says the same; gives whether the run stood where it did,
        *before*. Hold `refs.lock`.
        """
        if self._is_same(entered):
            entered.size = self._refs.overwrite(ref, entered.descriptor, entered.size)
            entered.ref = ref
            return True
        # Somebody has replaced it, durably: what a tag says must not be lost by a torn write.
        try:
            there = self._refs.in_file(ref.run)
        except RefDamaged:  # which the pack makes good
            there = before
        if there is None or before is None or there.checkpoint != before.checkpoint:
            return False
        ref = ref._replace(tags=there.tags, order=there.order)
        self._refs.put(ref)
        self._open_file(entered)
        entered.ref, entered.records = ref, _WHOLE_REF_EVERY
        return True

    # --- leaving ---

    def leave(self, run: str) -> None:
        """Make the ref of *run* durable and close the run in its pack, if it was entered (3
        syncs).
        """
        with self._mutex:
            entered, pack = self._entered.get(run), self._pack
            if entered is None or pack is None or not pack.is_usable:
                return
            try:
                with self._locks.shared():
                    with self._locks.refs():
                        self.make_durable(run, entered.ref)
                    sequence = entered.ref.sequence
                    pack.append([], {"run": run}, run=run, sequence=sequence, closed=True)
            except BaseException:
                # Nobody may keep what says of a run that it is not closed, and not own it.
                self._abandon()
                raise
            self._close_file(self._entered.pop(run))
            if not self._entered:
                self._let_go()

    def settle(self, run: str, *, removal: bool = False) -> None:
        """See to it that no open pack says anything of *run*, which the caller owns, that its ref
        does not say, durably; for *removal* of the ref, or its return to an older state, that none
        will say it after a power cut either.
        """
        with writing("make durable what was saved", self._root):
            self.leave(run)
            for file in open_packs(self._files, self._root):
                with suppress(FileNotFoundError):
                    self._settle_in(file, run, removal=removal)
            if removal:
                # A pack that was sealed may be open again where its new name was not synced.
                self._files.sync_folder(self._root / "objects")

    def _settle_in(self, file: str, run: str, *, removal: bool) -> None:
        path = self._root / "objects" / file
        with self._mutex, self._locks.shared(), self._locks.refs():
            # What another process keeps says nothing of a run that it does not own.
            if is_locked(path):
                return
            if run_tag(run) not in self._files.read(path):
                return
            try:
                found = packs.open_growing(file, partial(self._files.pread, path))
            except (PackDamaged, StoreTooNew):  # fsck says what is wrong with it
                return
            from maverick.checkpoints.refs import run_commits  # noqa: PLC0415 - a store's first run needs none

            concerns = run_commits.names if removal else run_commits.holds_unclosed
            if not concerns(found, run):
                return
            pack = self._go_on(file, damaged=True)
            if pack is not None:
                if run_commits.holds_unclosed(pack.pack, run):  # It cannot be read where it stood.
                    pack.append([], {"run": run}, run=run, sequence=0, closed=True)
                pack.leave()

    def recover(self) -> None:
        """Make durable what refs lag behind: what is leaned on next may not be on the disk yet."""
        if self._locks.are_trusted and self._refs.may_lag():
            self.close_all()

    @contextmanager
    def changing(self, run: str) -> Iterator[Ref | None]:
        """Hold `refs.lock`, and give what the ref's file of *run* says, as what an open pack says
        beyond it may not be on the disk; None if there is none, or it is torn though all packs were
        asked.
        """
        with self._mutex, self._locks.refs():
            self.recover()
            there = None
            with suppress(RefDamaged):
                there = self._refs.in_file(run)
            yield there

    def close(self) -> None:
        """Leave all runs."""
        for run in list(self._entered):
            self.leave(run)

    def close_all(self) -> None:
        """Close all runs in every open pack that no process has locked; their refs are durable
        then.
        """
        self._take_each(OpenPack.leave)

    def seal_all(self) -> None:
        """Seal every open pack that no process has locked."""
        self._take_each(self._seal)

    def _take_each(self, finish: Callable[[OpenPack], None]) -> None:
        for file in open_packs(self._files, self._root):
            with self._mutex, self._locks.shared(), self._locks.refs():
                pack = self._go_on(file)
                if pack is not None:
                    finish(pack)

    def _seal_own(self, pack: OpenPack) -> None:
        """Seal the pack that this process appends to; what runs are entered are entered anew in the
        next one.
        """
        # Where refs cannot be made durable, it is gone on with, which does the same.
        with suppress(OSError):
            with self._locks.refs():
                for run, entered in self._entered.items():
                    self.make_durable(run, entered.ref)
            self._seal(pack)
        self._abandon()

    def _seal(self, pack: OpenPack) -> None:
        """Seal *pack*, whose runs have durable refs. On a full disk it stays open, and whoever goes
        on with it cuts what was begun.
        """
        file = pack.path.name
        self._packs.disown(file)  # Nobody reads through what is about to be closed.
        try:
            if pack.pack.records:
                self._packs.note_sealed(pack.seal())
                return
        except OSError:
            self._failed.add(file)
        pack.leave()

    def _let_go(self) -> None:
        """Let others go on with the open pack, in which no run is entered."""
        pack = self._pack
        try:
            if pack is not None and pack.is_usable and pack.pack.size >= SEALED_AT_END_FROM_BYTES:
                with self._locks.shared():
                    self._seal(pack)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Append no more to the open pack, and take it for that of somebody else."""
        for entered in self._entered.values():
            self._close_file(entered)
        self._entered.clear()
        pack, self._pack = self._pack, None
        if pack is not None:
            self._packs.disown(pack.path.name)
            pack.leave()

    def _open_file(self, entered: _Entered) -> None:
        self._close_file(entered)
        try:
            entered.descriptor = self._files.open_to_write(entered.path)
        except FileNotFoundError:
            entered.descriptor = self._files.create(entered.path)
        status = self._files.stat(entered.path)
        entered.inode, entered.size = status.st_ino, status.st_size

    def _close_file(self, entered: _Entered) -> None:
        if entered.descriptor >= 0:
            self._files.close(entered.descriptor)
            entered.descriptor = -1
