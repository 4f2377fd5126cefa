"""Packs in memory: objects of each kind, and packs of them as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from maverick.checkpoints.disk.sealed import encode
from maverick.checkpoints.objects import ids, packs
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject, list_data
from maverick.checkpoints.objects.pack_writer import PackWriter
from maverick.checkpoints.objects.packs import Pack


def new_blob(data: bytes) -> NewObject:
    return NewObject(ObjectKind.BLOB, ids.blob_id(data), data)


def new_list(*parts: NewObject, whole: bytes) -> NewObject:
    """Give the list that stores the blob *whole*, which consists of the blobs *parts*."""
    chunks = [(part.id, len(part.data)) for part in parts]
    return NewObject(ObjectKind.LIST, ids.blob_id(whole), list_data(chunks))


def new_tree(fields: Mapping[str, Any]) -> NewObject:
    data = encode(dict(fields))
    return NewObject(ObjectKind.TREE, ids.tree_id(data), data)


def new_checkpoint(fields: Mapping[str, Any]) -> NewObject:
    data = encode(dict(fields))
    return NewObject(ObjectKind.CHECKPOINT, ids.checkpoint_id(data), data)


def naming(name: str, *named: ObjectId) -> NewObject:
    """Give a tree that names objects, and has names and texts that look like ids."""
    rows = {object_id: ["blob", object_id, 1] for object_id in named}
    texts = {f'"{name}"': ["note", "", 0, f'{"".join(named[:1])}"{"".join(named[-1:])}']}
    return new_tree({"entries": {**rows, **texts, name: ["note", "", 0, "x"]}})


def reader(data: bytes) -> Callable[[int, int], bytes]:
    """Give what reads *data* as a file."""
    return lambda offset, length: data[offset : offset + length]


def written(objects: Iterable[NewObject], nonce: bytes | None = None) -> tuple[str, bytes]:
    """Give the name and the bytes of a sealed pack of *objects*."""
    parts: list[bytes] = []
    writer = PackWriter(parts.append, nonce)
    try:
        for item in objects:
            writer.add(item)
        name = writer.finish()
    finally:
        writer.stop()
    return name, b"".join(parts)


def opened(name: str, data: bytes) -> Pack:
    """Read a sealed pack."""
    return packs.open_sealed(f"{name}.pack", len(data), reader(data))


def as_read(pack: Pack) -> list[NewObject]:
    """Give the objects of *pack* in their order, each read by itself."""
    return [
        NewObject(kind, object_id, pack.read(number)) for number, kind, object_id in pack.objects()
    ]
