"""The content-addressed store: immutable checkpoints of runs, each object stored once, verified on each read.

Knows nothing of workflows, YAML or terminals. `docs/format.md` describes every byte it writes.
"""

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
