"""The store: saves and loads checkpoints, moves refs, lends the ownership of runs.

When `save` returns, the checkpoint and all it leads to are durable, and the run's ref stands at it. When it
fails or the process dies, the ref stands where it stood or, at the last instant, at the new checkpoint.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING

from maverick.checkpoints import folders, ids, layout, model, refs, revisions
from maverick.checkpoints.content import prepare, stream
from maverick.checkpoints.files import FULL, Files, writing
from maverick.checkpoints.ids import CheckpointId, ObjectId, ObjectKind, TreeId
from maverick.checkpoints.locks import DROPPED, Locks
from maverick.checkpoints.merge import Merger
from maverick.checkpoints.model import NO_CHECKPOINT, Checkpoint, Entry, encode_checkpoint, parse_checkpoint
from maverick.checkpoints.objects import NewObject, Objects
from maverick.checkpoints.snapshot import Snapshot
from maverick.errors import NotFound, ObjectMissing, RefMoved, StoreUnwritable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from pathlib import Path
    from typing import Any

    from maverick.checkpoints.content import Content
    from maverick.checkpoints.diff import Change
    from maverick.checkpoints.fallback import Standing
    from maverick.checkpoints.findings import Finding
    from maverick.checkpoints.frames import Frame
    from maverick.checkpoints.gc import GcPlan
    from maverick.checkpoints.locks import Owner
    from maverick.checkpoints.model import CheckpointKind, Node
    from maverick.checkpoints.refs import Ref
    from maverick.checkpoints.repairs import Repair
    from maverick.errors import RefDamaged

    Changes = Mapping[folders.Path, Content | None]

_CACHED_NODES = 1024
_WHOLE_EVERY = 8


def _now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Store:
    """A store in the folder `root`; use `create` or `open`. Threads may share one, processes may not."""

    def __init__(self, root: Path, files: Files, form: layout.Format, clock: Callable[[], int]) -> None:
        self.root = root
        self.files = files
        self.format = form
        self.locks = Locks(root)
        self.objects = Objects(files, root, self._announce)
        self._merger = Merger(self)
        self._refs = refs.Refs(files, root)
        self._clock = clock
        self._nodes: OrderedDict[TreeId, Node] = OrderedDict()
        self._nodes_lock = Lock()

    @classmethod
    def create(cls, root: Path, *, files: Files | None = None, clock: Callable[[], int] = _now) -> Store:
        """Open the store at *root*, making it if there is none; safe while another process does the same.

        *clock* gives milliseconds since the epoch.

        Raises:
            StoreUnwritable: it cannot be made.
            FormatDamaged: `format.json` is missing or damaged while there are objects.
            StoreTooNew: it was written by a newer version.
        """
        files = files or Files()
        with suppress(NotFound):
            store = cls.open(root, files=files, clock=clock)
            layout.mend(files, root)
            return store
        with writing("make a store", root):
            layout.create(files, root)
        return cls.open(root, files=files, clock=clock)

    @classmethod
    def open(cls, root: Path, *, files: Files | None = None, clock: Callable[[], int] = _now) -> Store:
        """Open the store at *root*. It may be read-only.

        Raises:
            NotFound: there is none.
            FormatDamaged: `format.json` is missing or damaged while there are objects.
            StoreTooNew: it was written by a newer version.
        """
        files = files or Files()
        with writing("open the store", root):
            return cls(root, files, layout.read_format(files, root), clock)

    def save(
        self,
        run: str,
        changes: Changes,
        *,
        parent: Checkpoint | None,
        kind: CheckpointKind = "auto",
        label: str = "",
        step: str = "",
        reason: str = "",
        group: str = "",
        facts: Changes | None = None,
    ) -> Checkpoint:
        """Save a new checkpoint of *run*: *parent*'s content with *changes* (and *facts*) made to it.

        A change of None removes what is at its path, with all below it. *parent* is where the run's ref must
        stand; None, if the run must not exist yet; or a checkpoint of another run, from which *run* then
        begins. *group* is the parent's where it is empty. Costs 4 fsyncs, whatever the number of objects, and 2
        more where small packs are merged afterwards.

        Raises:
            RefMoved: the ref does not stand at *parent*; nothing was changed.
            StoreUnwritable: the disk takes nothing; nothing was changed. If it is full, the store's reserve
                has been released, so that one more small save can succeed.
            NotFound: *parent* is a checkpoint of another run that gc has collected.
            ObjectMissing: an `existing` entry leads to an object that is gone.
            UsageError: a path, a note or the run's id cannot be stored.
            StoreTooNew: this version may read the store, but not write it.
        """
        _check_arguments(run, kind, label)
        new: dict[ObjectId, NewObject] = {}
        state, volatile = prepare(changes, new), prepare(facts or {}, new)
        with self._changing("save the checkpoint"):
            self._expect(run, parent)
            self.objects.refresh()
            self._require_whole(run, parent, [it.entry for it in changes.values() if it])
            with self.objects.packing() as pack:
                state |= stream(changes, pack, partial(self._find, parent))
                tree = folders.update(self, parent.tree if parent else None, state)
                fact_tree = folders.update(self, parent.facts if parent else None, volatile)
                for blob, former in (*tree.formers.items(), *fact_tree.formers.items()):
                    if blob in new:
                        new[blob] = NewObject(ObjectKind.BLOB, blob, new[blob].data, former)
                for node in (*tree.nodes, *fact_tree.nodes):
                    new.setdefault(node.id, NewObject(ObjectKind.TREE, node.id, node.data, node.former))
                checkpoint, data = _checkpoint(
                    run=run,
                    sequence=parent.sequence + 1 if parent is not None and parent.run == run else 1,
                    kind=kind,
                    label=label,
                    step=step,
                    group=group or (parent.group if parent else ""),
                    created=self._clock(),
                    tree=tree.root,
                    facts=fact_tree.root,
                    parent=parent.id if parent else NO_CHECKPOINT,
                    labelled=parent.last_labelled if parent else NO_CHECKPOINT,
                )
                new[checkpoint.id] = NewObject(ObjectKind.CHECKPOINT, checkpoint.id, data, _like(checkpoint, parent))
                # A hit says nothing about the children of a tree: each object is looked for by itself.
                pack.add_all(new.values())
            with self.locks.refs():
                before = self._expect(run, parent)
                self._refs.put(refs.advanced(before, checkpoint, size_bytes=tree.size, reason=reason))
        for node in (*tree.nodes, *fact_tree.nodes):
            self._remember(node.id, node.node)
        self._merger.after_save()
        return checkpoint

    def load(self, revision: str) -> Snapshot:
        """Give the snapshot of the checkpoint that *revision* names; see `resolve` for its errors."""
        return self.snapshot(self.resolve(revision))

    def snapshot(self, checkpoint: Checkpoint) -> Snapshot:
        """Give what *checkpoint* holds."""
        return Snapshot(checkpoint, self)

    def resolve(self, revision: str) -> Checkpoint:
        """Give the checkpoint that *revision* names: `RUN`, `RUN~2`, `RUN@label`, `@latest`, an id prefix….

        Raises:
            NotFound: it names none; the message has the names most like it.
            RevisionAmbiguous: it abbreviates the ids of several checkpoints, which the message lists.
            RefDamaged: the run that it names has a damaged ref.
        """
        return revisions.resolve(self, revision)

    def history(self, revision: str) -> Iterator[Checkpoint]:
        """Yield the checkpoint that *revision* names and what came before it, newest first.

        Follows parents, also into the run that this one was forked from, while gc has left them; then the
        labelled checkpoints.
        """
        return revisions.history(self, self.resolve(revision))

    def refs(self, damaged: list[RefDamaged] | None = None) -> list[Ref]:
        """Give the refs of all runs, newest first, reading nothing but `refs/`.

        Those that cannot be read are left out; *damaged* gets an error for each.
        """
        return self._refs.list(damaged)

    def ref(self, run: str) -> Ref:
        """Give the ref of *run*.

        Raises:
            NotFound: there is no such run.
            RefDamaged: it is torn or altered.
        """
        found = self._refs.get(run)
        if found is None:
            raise refs.no_such_run(run, [ref.run for ref in self.refs()])
        return found

    def find_ref(self, run: str) -> Ref | None:
        """Give the ref of *run*, or None if there is no such run. Raises RefDamaged."""
        return self._refs.get(run)

    def tag(self, run: str, name: str, checkpoint: Checkpoint | None) -> None:
        """Tag *checkpoint* in the ref of *run*, so that gc keeps it; None removes the tag.

        Raises:
            NotFound: there is no such run, or gc has collected the checkpoint.
            StoreUnwritable: the disk takes nothing.
        """
        with self._changing("tag the checkpoint"):
            self.objects.refresh()
            if checkpoint is not None:
                self._require_checkpoint(checkpoint)
            with self.locks.refs():
                self._refs.put(refs.tagged(self.ref(run), name, checkpoint.id if checkpoint else None))

    def drop(self, run: str) -> None:
        """Forget *run*: its ref is removed, what only it led to is garbage. Raises NotFound, RunOwned."""
        with self.own(run) as owner, self._changing("drop the run"), self.locks.refs():
            self.ref(run)
            owner.note_dropped(self.files)
            self._refs.remove(run)

    def adopt(self, ref: Ref, frames: Iterable[Frame] = (), *, name: str = "") -> None:
        """Make *ref* the ref of its run, which there must not be, when the objects of *frames* are durable.

        With another *name* a run of that name begins where *ref* stands. Positions and tags whose checkpoints are
        not there are left out. After a crash the run is there or it is not; what it would have led to is garbage.

        Raises:
            RunOwned, RefMoved: there is such a run.
            NotFound: what *ref* stands at is not all there, because gc has collected it.
            StoreUnwritable: the disk takes nothing.
        """
        if name not in ("", ref.run):
            self._adopt_as(name, ref, frames)
            return
        with self.own(ref.run) as owner, self._changing("take in the run"):
            owner.note_dropped(self.files)  # Until it has a ref, fsck is not to look for one.
            self._take_frames(ref, frames)
            positions = tuple(it for it in ref.positions if self._is_there(it.checkpoint))
            tags = {name: at for name, at in ref.tags.items() if self._is_there(at)}
            with self.locks.refs():
                if self._refs.get(ref.run) is not None:
                    raise RefMoved(f"run {ref.run} exists already; drop it, or choose another name")
                self._refs.put(replace(ref, positions=positions, tags=tags))
            owner.note({key: it for key, it in owner.previous.items() if key != DROPPED})

    def _adopt_as(self, name: str, ref: Ref, frames: Iterable[Frame]) -> None:
        with self._changing("take in the run"):
            if self._refs.get(ref.run) is None:
                with self.own(ref.run) as owner:
                    owner.note_dropped(self.files)  # Its checkpoints are there, and nobody is to miss the run.
            self._take_frames(ref, frames)
            at = self.checkpoint(ref.checkpoint)
            self.save(name, {}, parent=at, kind=at.kind, label=at.label, step=at.step, reason=f"imported {ref.run}")

    def _take_frames(self, ref: Ref, frames: Iterable[Frame]) -> None:
        """Store *frames*, durably, and see to it that they are all that *ref* stands at."""
        self.objects.refresh()
        coming = iter(frames)
        first = next(coming, None)
        if first is not None:
            with self.objects.packing() as pack:
                for frame in chain([first], coming):
                    if pack.wants(frame.id):
                        pack.add(frame)
        if not self._is_there(ref.checkpoint):
            raise NotFound(f"gc has collected what run {ref.run} was")

    def diff(self, old: str, new: str) -> Iterator[Change]:
        """Yield what differs between the states of two checkpoints, given as revisions, in natural order.

        Equal subtrees are skipped unread. See `Change` for the shape, `resolve` for the errors.
        """
        from maverick.checkpoints.diff import diff_checkpoints  # noqa: PLC0415 - a run does not need it

        return diff_checkpoints(self, self.resolve(old), self.resolve(new))

    def plan_gc(
        self,
        *,
        keep_last: int = 5,
        keep_within: timedelta | None = None,
        run: str | None = None,
        spared: Iterable[CheckpointId] = (),
    ) -> GcPlan:
        """Plan what can go, and change nothing. `gc.plan_gc` has the details and the errors."""
        from maverick.checkpoints.gc import plan_gc  # noqa: PLC0415 - a run does not need it

        now = self._clock()
        return plan_gc(self, now=now, keep_last=keep_last, keep_within=keep_within, run=run, spared=spared)

    def check(self, *, read_data: bool = False) -> Iterator[Finding]:
        """Yield what is wrong with the store. `fsck.check` has the details, and works without an open store."""
        from maverick.checkpoints.fsck import check  # noqa: PLC0415 - a run does not need it

        return check(self.root, files=self.files, read_data=read_data)

    def repair(self) -> list[Repair]:
        """Make fsck find no damage, removing nothing. `repair.repair` has the details, and works without a store."""
        from maverick.checkpoints.repair import repair  # noqa: PLC0415 - a run does not need it

        return repair(self.root, clock=self._clock, files=self.files)

    def newest_whole(self, run: str) -> Standing:
        """Give the newest whole checkpoint of *run*. `fallback.newest_whole` has the details and the errors."""
        from maverick.checkpoints.fallback import newest_whole  # noqa: PLC0415 - as below

        return newest_whole(self, run)

    def fall_back(self, run: str) -> Standing:
        """Make *run*, which the caller owns, stand at its newest whole checkpoint. `fallback.fall_back` says how."""
        from maverick.checkpoints.fallback import fall_back  # noqa: PLC0415 - only resuming needs it

        return fall_back(self, run, self._clock())

    def lost_runs(self) -> dict[str, Checkpoint]:
        """Give the newest checkpoint of each run whose ref is gone, though nobody dropped it. Reads all checkpoints."""
        from maverick.checkpoints.whole import all_checkpoints, lost_runs  # noqa: PLC0415 - as above

        damaged: list[RefDamaged] = []
        known = {ref.run for ref in self.refs(damaged)}
        if damaged:
            return {}  # A run whose ref is torn is damaged, and not lost; which one it is cannot be read.
        lost = lost_runs(self, known, all_checkpoints(self))
        return {run: max(found, key=lambda it: it.sequence) for run, found in lost.items()}

    def own(self, run: str) -> AbstractContextManager[Owner]:
        """Own *run* while the block runs, or until the process dies. Raises RunOwned."""
        return self.locks.own(run)

    def is_owned(self, run: str) -> bool:
        """Say whether some process owns *run* at this instant."""
        return self.locks.is_owned(run)

    def owner_note(self, run: str) -> dict[str, Any]:
        """Give what the owner of *run*, or its last one, noted; empty if there is nothing or it is torn."""
        return self.locks.owner_note(run)

    def checkpoint(self, checkpoint_id: CheckpointId) -> Checkpoint:
        """Read a checkpoint by its id. Raises ObjectMissing and the other kinds of StoreDamaged."""
        return parse_checkpoint(checkpoint_id, self.read(checkpoint_id))

    def read(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object, verified. Raises ObjectMissing, ObjectCorrupt, PackDamaged."""
        return self.objects.read(object_id)

    def read_chunks(self, object_id: ObjectId) -> Iterator[bytes]:
        """Yield the bytes of an object in verified parts of up to 256 KiB. Raises as `read`, perhaps at the end."""
        return self.objects.read_chunks(object_id)

    def node(self, node_id: TreeId) -> Node:
        """Give a tree node, which nobody may change. Raises as `read`."""
        with self._nodes_lock:
            node = self._nodes.get(node_id)
            if node is not None:
                self._nodes.move_to_end(node_id)
                return node
        node = model.parse_node(node_id, self.read(node_id))
        self._remember(node_id, node)
        return node

    def now(self) -> int:
        """Give the time, in milliseconds since the epoch."""
        return self._clock()

    def _find(self, checkpoint: Checkpoint | None, path: folders.Path) -> Entry | None:
        return folders.lookup(self, checkpoint.tree, path) if checkpoint is not None else None

    def _remember(self, node_id: TreeId, node: Node) -> None:
        with self._nodes_lock:
            self._nodes[node_id] = node
            self._nodes.move_to_end(node_id)
            if len(self._nodes) > _CACHED_NODES:
                self._nodes.popitem(last=False)

    def _expect(self, run: str, parent: Checkpoint | None) -> Ref | None:
        """Give the ref of *run* if it stands where a save on top of *parent* needs it to stand."""
        ref = self._refs.get(run)
        if parent is None or parent.run != run:
            if ref is not None:
                raise RefMoved(f"run {run} exists already, at {ref.sequence}; choose another id, or resume it")
        elif ref is None:
            raise RefMoved(f"run {run} was dropped by another process; nothing was saved")
        elif (ref.sequence, ref.checkpoint) != (parent.sequence, parent.id):
            raise RefMoved(
                f"run {run} was advanced by another process, from {parent.sequence} to {ref.sequence}; "
                "nothing was saved; resume the run to go on from there"
            )
        return ref

    def _require_whole(self, run: str, parent: Checkpoint | None, entries: list[Entry | None]) -> None:
        """Check what a save leans on beside the run's own newest checkpoint, which gc never touches."""
        if parent is not None and parent.run != run:
            self._require_checkpoint(parent)
        for entry in entries:
            if entry is not None:
                self._require_entry(entry)

    def _require_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Raise NotFound unless *checkpoint*, its trees and the labelled ones before it are in `objects/`."""
        try:
            labelled = checkpoint
            while True:
                self._require(labelled.id)
                self._require_tree(labelled.tree)
                self._require_tree(labelled.facts)
                if not labelled.labelled:
                    break
                labelled = self.checkpoint(labelled.labelled)
        except ObjectMissing as error:
            raise NotFound(f"checkpoint {checkpoint.id[:12]} of run {checkpoint.run} was collected by gc") from error

    def _is_there(self, checkpoint: CheckpointId) -> bool:
        try:
            self._require_checkpoint(self.checkpoint(checkpoint))
        except (NotFound, ObjectMissing):
            return False
        return True

    def _require_tree(self, tree: TreeId) -> None:
        self._require(tree)
        for child in folders.children(self.node(tree)):
            if isinstance(child, Entry):
                self._require_entry(child)
            else:
                self._require_tree(child.id)

    def _require_entry(self, entry: Entry) -> None:
        if entry.object_kind is ObjectKind.TREE:
            self._require_tree(TreeId(entry.id))
        elif entry.object_kind is ObjectKind.BLOB:
            self._require(entry.id)

    def _require(self, object_id: ObjectId) -> None:
        if not self.objects.holds(object_id):
            for damaged in self.objects.damaged():
                raise damaged
            raise ObjectMissing(f"object {object_id[:12]} is gone; run `maverick checkpoint fsck`")

    def _announce(self, feature: str) -> None:
        """Let no program read the store any more that does not know *feature*; called before a pack needs it."""
        if feature not in self.format.read:
            with self.locks.refs():
                layout.announce(self.files, self.root, "read", feature)

    @contextmanager
    def _changing(self, action: str) -> Iterator[None]:
        """Hold the lock that keeps gc away; give the reserve away if the disk is full."""
        try:
            with writing(action, self.root), self.locks.shared():
                # Read again: a newer version may have put features into the store since it was opened.
                self.format = layout.read_format(self.files, self.root, self.format)
                self.format.require_write(self.root)
                yield
        except StoreUnwritable as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
                with suppress(OSError):
                    self.files.unlink(self.root / "reserve")
            raise


def _check_arguments(run: str, kind: CheckpointKind, label: str) -> None:
    refs.file_name(run)
    if kind not in model.CHECKPOINT_KINDS:
        raise UsageError(f"{kind!r} is no kind of checkpoint")
    if (kind == "label") != bool(label):
        raise UsageError("a checkpoint of kind label has a label, and no other has one")


def _like(checkpoint: Checkpoint, parent: Checkpoint | None) -> CheckpointId | None:
    """Give what to store *checkpoint* with; nothing for those that stay long, nor for one in some others.

    So damage to one of them is no damage to the whole run.
    """
    lasting = checkpoint.kind != "auto" or checkpoint.sequence % _WHOLE_EVERY == 1
    return None if parent is None or parent.run != checkpoint.run or lasting else parent.id


def _checkpoint(**fields: Any) -> tuple[Checkpoint, bytes]:
    """Make a checkpoint, and its bytes, from all its fields but the id."""
    unnamed = Checkpoint(id=NO_CHECKPOINT, **fields)
    data = encode_checkpoint(unnamed)
    return Checkpoint(id=ids.checkpoint_id(data), **fields), data
