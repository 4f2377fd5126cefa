"""The names of objects: what is hashed, under which context, and the types that keep the ids apart.

A blob's id is the plain BLAKE3-256 of its bytes, so `b3sum FILE` verifies it. Trees and checkpoints
are hashed with a key derivation context of their own, so that no blob can pose as one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NewType

from blake3 import blake3

ObjectId = NewType("ObjectId", str)
"""The id of any object: 64 lower-case hexadecimal digits."""
BlobId = NewType("BlobId", ObjectId)
TreeId = NewType("TreeId", ObjectId)
CheckpointId = NewType("CheckpointId", ObjectId)

TREE_CONTEXT = "maverick 2026-11-23 tree v1"
CHECKPOINT_CONTEXT = "maverick 2026-11-23 checkpoint v1"

_TREES, _CHECKPOINTS = (
    blake3(derive_key_context=context) for context in (TREE_CONTEXT, CHECKPOINT_CONTEXT)
)
"""Of which copies go on: to derive the key takes as long as to hash a node."""
_HEX = frozenset("0123456789abcdef")
# Below this size starting threads costs more than they save.
_THREADS_FROM_BYTES = 16 << 20


class ObjectKind(IntEnum):
    """The kind of an object, in the order in which those of a record stand in it."""

    BLOB = 0
    LIST = 1
    """A blob that is stored as the list of its chunks; nothing else calls it anything but a
    blob.
    """
    TREE = 2
    CHECKPOINT = 3


def blob_id(data: bytes) -> BlobId:
    """Give the id of a blob that holds *data*."""
    if len(data) < _THREADS_FROM_BYTES:
        # A quarter quicker than its hexdigest.
        return BlobId(ObjectId(blake3(data).digest().hex()))
    return BlobId(ObjectId(blake3(data, max_threads=blake3.AUTO).hexdigest()))


class Hasher:
    """Hashes a blob part by part, which need not all be in memory at once."""

    def __init__(self) -> None:
        self._hash = blake3()

    def update(self, part: bytes) -> None:
        self._hash.update(part)

    def blob_id(self) -> BlobId:
        """Give the id of the blob that holds all the parts so far, joined."""
        return BlobId(ObjectId(self._hash.hexdigest()))


def tree_id(data: bytes) -> TreeId:
    """Give the id of a tree node whose canonical JSON is *data*."""
    return TreeId(_with_key(_TREES, data))


def checkpoint_id(data: bytes) -> CheckpointId:
    """Give the id of a checkpoint whose canonical JSON is *data*."""
    return CheckpointId(_with_key(_CHECKPOINTS, data))


def _with_key(begun: blake3, data: bytes) -> ObjectId:
    hashed = begun.copy()
    hashed.update(data)
    return ObjectId(hashed.digest().hex())


def object_id(kind: ObjectKind, data: bytes) -> ObjectId:
    """Give the id of an object of *kind* whose bytes are *data*."""
    match kind:
        case ObjectKind.BLOB | ObjectKind.LIST:
            return blob_id(data)
        case ObjectKind.TREE:
            return tree_id(data)
        case ObjectKind.CHECKPOINT:
            return checkpoint_id(data)


def split(raw_ids: bytes) -> list[ObjectId]:
    """Give the ids of which *raw_ids* are the bytes, one after the other."""
    digits = raw_ids.hex()
    return [ObjectId(digits[start : start + 64]) for start in range(0, len(digits), 64)]


def is_id(text: str) -> bool:
    """Say whether *text* is spelt like an id: 64 lower-case hexadecimal digits."""
    return len(text) == 64 and _HEX.issuperset(text)


def is_id_prefix(text: str) -> bool:
    """Say whether *text* may abbreviate an id: 4 to 64 lower-case hexadecimal digits."""
    return 4 <= len(text) <= 64 and _HEX.issuperset(text)
