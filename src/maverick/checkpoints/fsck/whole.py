"""Which checkpoints are whole: everything they lead to is there, and is what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.checkpoints.disk.layout import list_folder
from maverick.checkpoints.disk.names import file_name
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind
from maverick.checkpoints.refs.dropped import Dropped
from maverick.checkpoints.trees import tree_nodes
from maverick.checkpoints.trees.closure import Link, links_of
from maverick.errors import StoreDamaged, StoreDenied, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.refs.refs import Ref
    from maverick.checkpoints.trees.checkpoint import Checkpoint

READ_UP_TO_BYTES = 16 << 20
"""Blobs of more bytes are only looked for: they are files of a workspace, which a resumption does
not read.
"""
Damage = StoreDamaged | StoreTooNew


class Wholeness:
    """Answers which checkpoints of *store* are whole; nothing is looked at twice.

    With *read_data* it verifies the bytes of blobs, up to `READ_UP_TO_BYTES` each; else it only
    finds them.
    """

    def __init__(self, store: StoreFolder, *, read_data: bool) -> None:
        self._store = store
        self._read_data = read_data
        self._whole: set[ObjectId] = set()
        self._damage: dict[ObjectId, Damage | None] = {}

    def damage(self, checkpoint_id: CheckpointId) -> Damage | None:
        """Say what is wrong with a checkpoint or its trees; the labelled ones before it do not
        count.
        """
        if checkpoint_id not in self._damage:
            try:
                checkpoint = self._store.checkpoint(checkpoint_id)
                self._follow(
                    [link for link in links_of(checkpoint) if link.kind is ObjectKind.TREE]
                )
            except (StoreDamaged, StoreTooNew) as error:
                self._damage[checkpoint_id] = error
            except StoreDenied:
                raise
            except OSError as error:
                self._damage[checkpoint_id] = StoreDamaged(
                    f"checkpoint {checkpoint_id[:12]} cannot be read: {error}"
                )
            else:
                self._damage[checkpoint_id] = None
        return self._damage[checkpoint_id]

    def damage_of_all(self, checkpoint_id: CheckpointId) -> Damage | None:
        """Say what is wrong with a checkpoint, or with one of the labelled ones before it."""
        while checkpoint_id:
            damage = self.damage(checkpoint_id)
            if damage is not None:
                return damage
            checkpoint_id = self._store.checkpoint(checkpoint_id).labelled
        return None

    def newest(self, ref: Ref) -> Checkpoint | None:
        """Give the newest whole checkpoint of a run: where its ref stands, its log, its labels,
        then any.

        A labelled checkpoint of the run that this one was forked from is none of its own.
        """
        for checkpoint_id in self._candidates(ref):
            if self.damage(checkpoint_id) is None:
                found = self._store.checkpoint(checkpoint_id)
                if found.run == ref.run:
                    return found
        rest = checkpoints_of(self._store, ref.run)
        return next((it for it in rest if self.damage(it.id) is None), None)

    def _candidates(self, ref: Ref) -> Iterator[CheckpointId]:
        yield ref.checkpoint
        for position in reversed(ref.positions):
            yield position.checkpoint
        labelled = ref.labelled
        while labelled:
            yield labelled
            try:
                labelled = self._store.checkpoint(labelled).labelled
            except (StoreDamaged, StoreTooNew):
                return

    def _follow(self, todo: list[Link]) -> None:
        """Look at all that is below; raises what is wrong with the first thing that is not
        whole.
        """
        seen: set[ObjectId] = set()
        while todo:
            link = todo.pop()
            if link.id not in seen and link.id not in self._whole:
                seen.add(link.id)
                todo += self._links(link)
        self._whole |= seen

    def _links(self, link: Link) -> tuple[Link, ...]:
        if link.kind is ObjectKind.TREE:
            return links_of(tree_nodes.parse_node(link.id, self._store.read(link.id)))
        small = self._read_data and link.size <= READ_UP_TO_BYTES
        if small or not self._store.objects.holds(link.id):
            self._store.read(link.id)
        return ()


def checkpoints_of(store: StoreFolder, run: str) -> list[Checkpoint]:
    """Give all checkpoints of *run* in packs that can be read, the newest first. Reads every pack's
    index.
    """
    return sorted(
        (it for it in all_checkpoints(store) if it.run == run),
        key=lambda it: (it.sequence, it.created),
        reverse=True,
    )


def all_checkpoints(store: StoreFolder) -> Iterator[Checkpoint]:
    """Yield all checkpoints in packs that can be read, whether a ref leads to them or not."""
    store.objects.packs.refresh()
    ids = {
        it
        for pack in store.objects.packs.indexes()
        for it, place in pack
        if place.kind is ObjectKind.CHECKPOINT
    }
    for object_id in ids:
        try:
            yield store.checkpoint(CheckpointId(object_id))
        except (StoreDamaged, StoreTooNew):
            continue


def lost_runs(
    store: StoreFolder, known: Container[str], checkpoints: Iterable[Checkpoint]
) -> dict[str, list[Checkpoint]]:
    """Give those of *checkpoints* whose runs have lost their refs, by run.

    A run that is not among the *known* ones, and has none now, has had a ref if it has a second
    checkpoint, and has lost it unless it is noted that it was dropped.
    """
    by_run: dict[str, list[Checkpoint]] = {}
    for it in checkpoints:
        if it.run not in known:
            by_run.setdefault(it.run, []).append(it)
    dropped = Dropped(store.files, store.root)
    begun = set(list_folder(store.files, store.root, "refs")) if by_run else set()
    return {
        run: found
        for run, found in sorted(by_run.items())
        if file_name(run) not in begun and dropped.is_lost(run, found)
    }
