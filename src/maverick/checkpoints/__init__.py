"""The content-addressed store: checkpoints of runs, each object stored once, verified when read.

Knows nothing of workflows, YAML or terminals. `docs/format.md` describes every byte it writes.

Each name is loaded when it is first used, so that a command which only lists runs does not load the
whole store.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.disk.locks import Owner
    from maverick.checkpoints.objects.ids import BlobId, CheckpointId, ObjectId, TreeId
    from maverick.checkpoints.refs.overview import Overview
    from maverick.checkpoints.refs.refs import Position, Ref
    from maverick.checkpoints.store import Store
    from maverick.checkpoints.trees.checkpoint import Checkpoint, CheckpointKind
    from maverick.checkpoints.trees.content import Content, blob, blob_from, existing, note, value
    from maverick.checkpoints.trees.snapshot import Snapshot
    from maverick.checkpoints.trees.tree_nodes import Entry, EntryKind
    from maverick.values import Value

__all__ = [
    "BlobId",
    "Checkpoint",
    "CheckpointId",
    "CheckpointKind",
    "Content",
    "Entry",
    "EntryKind",
    "Files",
    "ObjectId",
    "Overview",
    "Owner",
    "Position",
    "Ref",
    "Snapshot",
    "Store",
    "TreeId",
    "Value",
    "blob",
    "blob_from",
    "existing",
    "note",
    "value",
]

_HOMES = {
    "BlobId": "objects.ids",
    "Checkpoint": "trees.checkpoint",
    "CheckpointId": "objects.ids",
    "CheckpointKind": "trees.checkpoint",
    "Content": "trees.content",
    "Entry": "trees.tree_nodes",
    "EntryKind": "trees.tree_nodes",
    "Files": "disk.files",
    "ObjectId": "objects.ids",
    "Overview": "refs.overview",
    "Owner": "disk.locks",
    "Position": "refs.refs",
    "Ref": "refs.refs",
    "Snapshot": "trees.snapshot",
    "Store": "store",
    "TreeId": "objects.ids",
    "Value": ".values",
    "blob": "trees.content",
    "blob_from": "trees.content",
    "existing": "trees.content",
    "note": "trees.content",
    "value": "trees.content",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    """Load a public name from the module that it is defined in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
