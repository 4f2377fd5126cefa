"""The content-addressed store: immutable checkpoints of runs, each object stored once, verified on each read.

Knows nothing of workflows, YAML or terminals. `docs/format.md` describes every byte it writes.

Each name is loaded when it is first used, so that a command which only lists runs does not load the whole store.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.checkpoints.codec import Value
    from maverick.checkpoints.content import Content, blob, blob_from, existing, note, value
    from maverick.checkpoints.ids import BlobId, CheckpointId, ObjectId, TreeId
    from maverick.checkpoints.locks import Owner
    from maverick.checkpoints.model import Checkpoint, CheckpointKind, Entry, EntryKind
    from maverick.checkpoints.refs import Position, Ref
    from maverick.checkpoints.snapshot import Snapshot
    from maverick.checkpoints.store import Store

__all__ = [
    "BlobId",
    "Checkpoint",
    "CheckpointId",
    "CheckpointKind",
    "Content",
    "Entry",
    "EntryKind",
    "ObjectId",
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
    "BlobId": "ids",
    "Checkpoint": "model",
    "CheckpointId": "ids",
    "CheckpointKind": "model",
    "Content": "content",
    "Entry": "model",
    "EntryKind": "model",
    "ObjectId": "ids",
    "Owner": "locks",
    "Position": "refs",
    "Ref": "refs",
    "Snapshot": "snapshot",
    "Store": "store",
    "TreeId": "ids",
    "Value": "codec",
    "blob": "content",
    "blob_from": "content",
    "existing": "content",
    "note": "content",
    "value": "content",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    """Load a public name from the module that it is defined in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
