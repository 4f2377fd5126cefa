"""Whether all is there that something leads to: what a save leans on, which gc might have collected
meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.objects.ids import CheckpointId, ObjectKind, TreeId
from maverick.checkpoints.trees.closure import Link, follow, links_of
from maverick.errors import NotFound, ObjectMissing

if TYPE_CHECKING:
    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.trees.checkpoint import Checkpoint
    from maverick.checkpoints.trees.tree_nodes import Entry


def require_checkpoint(store: StoreFolder, checkpoint: Checkpoint) -> None:
    """Raise NotFound unless *checkpoint*, its trees and the labelled ones before it are in
    `objects/`.
    """
    try:
        follow([Link(ObjectKind.CHECKPOINT, checkpoint.id)], partial(_links, store))
    except ObjectMissing as error:
        raise NotFound(
            f"checkpoint {checkpoint.id[:12]} of run {checkpoint.run} was collected by gc"
        ) from error


def is_there(store: StoreFolder, checkpoint: CheckpointId) -> bool:
    """Say whether `require_checkpoint` has nothing against a checkpoint."""
    try:
        require_checkpoint(store, store.checkpoint(checkpoint))
    except (NotFound, ObjectMissing):
        return False
    return True


def require_entry(store: StoreFolder, entry: Entry) -> None:
    """Raise ObjectMissing, or PackDamaged, unless all that *entry* leads to is in `objects/`."""
    if entry.object_kind is not None:
        follow([Link(entry.object_kind, entry.id)], partial(_links, store))


def _links(store: StoreFolder, link: Link) -> tuple[Link, ...]:
    """Give what an object names. Raises ObjectMissing, or PackDamaged, if it is not there."""
    if not store.objects.holds(link.id):
        store.objects.packs.refresh()  # Another process may have appended it since.
    if not store.objects.holds(link.id):
        for damaged in store.objects.packs.damaged():
            raise damaged
        raise ObjectMissing(f"object {link.id[:12]} is gone; run `maverick checkpoint fsck`")
    match link.kind:
        case ObjectKind.BLOB | ObjectKind.LIST:
            return ()
        case ObjectKind.TREE:
            return links_of(store.node(TreeId(link.id)))
        case ObjectKind.CHECKPOINT:
            return links_of(store.checkpoint(CheckpointId(link.id)))
