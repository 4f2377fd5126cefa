"""One save: changes become objects, these are appended to the open pack or fill a sealed one, and
the ref of the run moves to the new checkpoint.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from maverick.checkpoints.disk import layout
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.refs.refs import Ref, check_summary
from maverick.checkpoints.trees import folders
from maverick.checkpoints.trees.checkpoint import (
    CHECKPOINT_KINDS,
    NO_CHECKPOINT,
    Checkpoint,
    named,
)
from maverick.checkpoints.trees.content import prepare, stream
from maverick.errors import RefDamaged, RefMoved, UsageError
from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.trees.checkpoint import CheckpointKind
    from maverick.checkpoints.trees.content import Content
    from maverick.checkpoints.trees.folders import Update
    from maverick.checkpoints.trees.tree_nodes import Entry

    Changes: TypeAlias = Mapping[folders.Path, Content | None]


@record
class Saving:
    """What a save is to make; `Store.save` says what each field means."""

    run: str
    parent: Checkpoint | None
    kind: CheckpointKind
    label: str
    step: str
    reason: str
    group: str
    summary: Mapping[str, Any] | None = None

    def check(self) -> None:
        """Raise UsageError for what cannot be stored."""
        layout.file_name(self.run)
        if self.kind not in CHECKPOINT_KINDS:
            raise UsageError(f"{self.kind!r} is no kind of checkpoint")
        if (self.kind == "label") != bool(self.label):
            raise UsageError(
                "a checkpoint of kind `label` has a label, and no other has one; give `label` alone"
            )
        check_summary(self.summary or {})

    def expected_ref(self, store: StoreFolder) -> Ref | None:
        """Give the ref of the run if it stands where this save needs it to stand. Raises
        RefMoved.
        """
        ref, run, parent = store.find_ref(self.run), self.run, self.parent
        if parent is None or parent.run != run:
            if ref is not None:
                raise RefMoved(
                    f"run {run} exists already, at {ref.sequence}; choose another id, or resume it"
                )
        elif ref is None:
            raise RefMoved(f"run {run} was dropped by another process; nothing was saved")
        elif (ref.sequence, ref.checkpoint) != (parent.sequence, parent.id):
            raise RefMoved(
                f"run {run} was advanced by another process, from {parent.sequence} to "
                f"{ref.sequence}; nothing was saved; resume the run to go on from there"
            )
        return ref

    def checkpoint(self, tree: Update, facts: Update, created: int) -> tuple[Checkpoint, bytes]:
        parent = self.parent
        return named(
            Checkpoint(
                id=NO_CHECKPOINT,
                run=self.run,
                sequence=parent.sequence + 1
                if parent is not None and parent.run == self.run
                else 1,
                kind=self.kind,
                label=self.label,
                step=self.step,
                group=self.group or (parent.group if parent else ""),
                created=created,
                tree=tree.root,
                facts=facts.root,
                parent=parent.id if parent else NO_CHECKPOINT,
                labelled=parent.last_labelled if parent else NO_CHECKPOINT,
            )
        )


def save(store: StoreFolder, saving: Saving, changes: Changes, facts: Changes) -> Checkpoint:
    """Do what `Store.save` says."""
    saving.check()
    parent = saving.parent
    prepared: dict[ObjectId, NewObject] = {}
    state, volatile = prepare(changes, prepared), prepare(facts, prepared)
    appends = store.appender.takes(saving.run)
    others = _others(saving, changes)
    with store.changing("save the checkpoint", leans=not appends or bool(others)):
        saving.expected_ref(store)
        if appends:
            store.appender.ready()
        if others:
            from maverick.checkpoints.presence import require  # noqa: PLC0415 - most saves lean on nothing

            require(store, *others)
        with store.objects.adding() as new:
            state |= stream(changes, new, partial(_find, store, parent))
            tree = folders.update(store, parent.tree if parent else None, state)
            fact_tree = folders.update(store, parent.facts if parent else None, volatile)
            checkpoint, data = saving.checkpoint(tree, fact_tree, store.now())
            for update in (tree, fact_tree):
                for node in update.nodes:
                    prepared.setdefault(node.id, NewObject(ObjectKind.TREE, node.id, node.data))
            # A hit says nothing about the children of a tree: each object is looked for by itself.
            new.add_all(prepared.values(), {**tree.formers, **fact_tree.formers})
            last = NewObject(ObjectKind.CHECKPOINT, checkpoint.id, data)
            if not appends:
                new.add(last)
                new.seal()
        advance = partial(_advance, store, saving, checkpoint, tree.size)
        if appends:
            store.appender.commit(saving.run, [*new.taken(), last], advance)
        else:
            with store.locks.refs():
                _move(store, *advance())
    store.nodes.keep_all((*tree.nodes, *fact_tree.nodes))
    return checkpoint


def _advance(
    store: StoreFolder, saving: Saving, checkpoint: Checkpoint, size: int
) -> tuple[Ref | None, Ref]:
    """Give the ref of the run, which must stand where it is to, and the one that it gets. Hold
    `refs.lock` where a run begins.
    """
    before = saving.expected_ref(store)
    ref = Ref.at(
        checkpoint,
        size=size,
        reason=saving.reason,
        before=before,
        order=0 if before is not None else store.ref_files.next_order(),
        summary=saving.summary,
    )
    return before, ref


def _others(saving: Saving, changes: Changes) -> list[Checkpoint | Entry]:
    """Give what a save leans on beside the run's own newest checkpoint, which gc never touches."""
    parent = saving.parent
    forked = [parent] if parent is not None and parent.run != saving.run else []
    return [
        *forked,
        *(it.entry for it in changes.values() if it is not None and it.entry is not None),
    ]


def _find(store: StoreFolder, checkpoint: Checkpoint | None, path: folders.Path) -> Entry | None:
    return folders.lookup(store, checkpoint.tree, path) if checkpoint is not None else None


def _move(store: StoreFolder, before: Ref | None, ref: Ref) -> None:
    """Make *ref* the ref of its run; if that fails, the ref stands where it stood, unless that
    fails, too.
    """
    try:
        store.ref_files.put(ref)
        if before is None:
            store.ref_files.note_order(ref.order)
    except OSError:
        # It may have its new name, of which nobody can say that the disk has it: who is told that a
        # save has failed must not find it done, nor be told by the next one that another process
        # has advanced the run.
        with suppress(OSError, RefDamaged):
            if store.find_ref(ref.run) == ref:
                if before is None:
                    store.ref_files.remove(ref.run)
                else:
                    store.ref_files.put(before)
        raise
