"""Whether all is there that something leads to: what a save leans on, which gc might have collected
meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.objects.ids import CheckpointId, ObjectKind, TreeId
from maverick.checkpoints.trees.checkpoint import Checkpoint
from maverick.checkpoints.trees.closure import Link, follow, links_of
from maverick.errors import NotFound, ObjectMissing

if TYPE_CHECKING:
    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.trees.tree_nodes import Entry


def require(store: StoreFolder, *others: Checkpoint | Entry) -> None:
    """Raise ObjectMissing, or PackDamaged, unless all that *others* lead to is in `objects/`, of a
    checkpoint its trees and the labelled ones before it; NotFound where gc has taken of that.
    """
    for other in others:
        kind = ObjectKind.CHECKPOINT if isinstance(other, Checkpoint) else other.object_kind
        try:
            if kind is not None:
                follow([Link(kind, other.id)], partial(_links, store))
        except ObjectMissing as error:
            if not isinstance(other, Checkpoint):
                raise
            raise NotFound(
                f"checkpoint {other.id[:12]} of run {other.run} was collected by gc"
            ) from error


def is_there(store: StoreFolder, checkpoint: CheckpointId) -> bool:
    """Say whether `require` has nothing against a checkpoint."""
    try:
        require(store, store.checkpoint(checkpoint))
    except (NotFound, ObjectMissing):
        return False
    return True


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
