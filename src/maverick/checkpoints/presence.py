"""Whether all is there that something leads to: what a save leans on, which gc might have collected
meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind, TreeId
from maverick.checkpoints.trees import folders
from maverick.checkpoints.trees.tree_nodes import Entry
from maverick.errors import NotFound, ObjectMissing

if TYPE_CHECKING:
    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.trees.checkpoint import Checkpoint


def require_checkpoint(store: StoreFolder, checkpoint: Checkpoint) -> None:
    """Raise NotFound unless *checkpoint*, its trees and the labelled ones before it are in
    `objects/`.
    """
    seen: set[TreeId] = set()
    try:
        labelled = checkpoint
        while True:
            _require(store, labelled.id)
            _require_tree(store, labelled.tree, seen)
            _require_tree(store, labelled.facts, seen)
            if not labelled.labelled:
                break
            labelled = store.checkpoint(labelled.labelled)
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
    if entry.object_kind is ObjectKind.TREE:
        _require_tree(store, TreeId(entry.id), set())
    elif entry.object_kind is ObjectKind.BLOB:
        _require(store, entry.id)


def _require_tree(store: StoreFolder, tree: TreeId, seen: set[TreeId]) -> None:
    """Look at all that is below *tree*, but not again at the trees *seen*."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        _require(store, node)
        for child in folders.children(store.node(node)):
            if not isinstance(child, Entry) or child.object_kind is ObjectKind.TREE:
                todo.append(TreeId(child.id))
            elif child.object_kind is ObjectKind.BLOB:
                _require(store, child.id)


def _require(store: StoreFolder, object_id: ObjectId) -> None:
    if not store.objects.holds(object_id):
        for damaged in store.objects.packs.damaged():
            raise damaged
        raise ObjectMissing(f"object {object_id[:12]} is gone; run `maverick checkpoint fsck`")
