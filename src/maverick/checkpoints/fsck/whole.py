"""Which checkpoints are whole: everything they lead to is there, and is what was written."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind
from maverick.checkpoints.objects.segments import Item
from maverick.checkpoints.trees import tree_nodes
from maverick.checkpoints.trees.checkpoint import parse_checkpoint
from maverick.checkpoints.trees.closure import Link, follow, links_of
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    @cached_property
    def checkpoints(self) -> dict[ObjectId, Checkpoint]:
        """All that are left, whole or not."""
        return {checkpoint.id: checkpoint for checkpoint in all_checkpoints(self._store)}

    def damage(self, checkpoint_id: CheckpointId) -> Damage | None:
        """Say what is wrong with a checkpoint or its trees; the labelled ones before it do not
        count.
        """
        if checkpoint_id not in self._damage:
            damage: Damage | None = None
            try:
                self._read(checkpoint_id)
            except (StoreDamaged, StoreTooNew) as error:
                damage = error
            self._damage[checkpoint_id] = damage
        return self._damage[checkpoint_id]

    def damage_of_all(self, checkpoint_id: CheckpointId) -> Damage | None:
        """Say what is wrong with a checkpoint, or with one of the labelled ones before it."""
        while checkpoint_id:
            damage = self.damage(checkpoint_id)
            if damage is not None:
                return damage
            checkpoint_id = self._store.checkpoint(checkpoint_id).labelled
        return None

    def newest(self, run: str, ref: Ref | None) -> Checkpoint | None:
        """Give the newest whole checkpoint of *run*: where its ref stands, its log, its labels,
        then any.

        A labelled checkpoint of the run that this one was forked from is none of its own.
        """
        for checkpoint_id in self._candidates(run, ref):
            if self.damage(checkpoint_id) is None:
                checkpoint = self._store.checkpoint(checkpoint_id)
                if checkpoint.run == run:
                    return checkpoint
        return None

    def _candidates(self, run: str, ref: Ref | None) -> Iterator[CheckpointId]:
        if ref is not None:
            yield ref.checkpoint
            yield from (position.checkpoint for position in reversed(ref.positions))
            labelled = ref.labelled
            while labelled in self.checkpoints:
                yield labelled
                labelled = self.checkpoints[labelled].labelled
        left = [it for it in self.checkpoints.values() if it.run == run]
        left.sort(key=lambda it: (it.sequence, it.created), reverse=True)
        yield from (checkpoint.id for checkpoint in left)

    def _read(self, checkpoint_id: CheckpointId) -> None:
        links = links_of(self._store.checkpoint(checkpoint_id))
        trees = [link for link in links if link.kind is ObjectKind.TREE]
        blobs: list[ObjectId] = []
        seen = follow(trees, partial(self._links, blobs), self._whole)
        for blob in sorted(blobs, key=self._place):
            self._store.read(blob)
        self._whole |= seen

    def _place(self, object_id: ObjectId) -> tuple[str, int]:
        """Give what sorts objects so that each segment of a pack is decoded once."""
        place = self._store.objects.packs.find(object_id)
        return (place.pack.file, place.number) if place is not None else ("", 0)

    def _links(self, blobs: list[ObjectId], link: Link) -> tuple[Link, ...]:
        """Give what an object names; *blobs* gets those that are to be read."""
        if link.kind is ObjectKind.TREE:
            return links_of(tree_nodes.parse_node(link.id, self._store.read(link.id)))
        if self._read_data and link.size <= READ_UP_TO_BYTES:
            blobs.append(link.id)
        elif not self._store.objects.holds(link.id):
            self._store.read(link.id)
        return ()


def all_checkpoints(store: StoreFolder) -> Iterator[Checkpoint]:
    """Yield all checkpoints in packs that can be read, whether a ref leads to them or not."""
    store.objects.packs.refresh()
    seen: set[ObjectId] = set()
    for pack in store.objects.packs.checked():
        for item in pack.items(content=False, trees=False):
            if not isinstance(item, Item) or item.kind is not ObjectKind.CHECKPOINT:
                continue
            if item.id in seen or ids.checkpoint_id(item.data) != item.id:
                continue
            seen.add(item.id)
            with suppress(StoreDamaged, StoreTooNew):
                yield parse_checkpoint(CheckpointId(item.id), item.data)
