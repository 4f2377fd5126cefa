"""What a save puts at a path: made by `blob`, `value`, `note` or `existing`, and turned into objects here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from maverick.checkpoints import codec, folders, ids, model
from maverick.checkpoints.ids import BlobId, ObjectKind, TreeId
from maverick.checkpoints.model import Entry
from maverick.checkpoints.objects import NewObject
from maverick.checkpoints.parallel import spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.checkpoints.codec import Value
    from maverick.checkpoints.folders import Path
    from maverick.checkpoints.ids import ObjectId
    from maverick.checkpoints.model import EntryKind, Node

Objects: TypeAlias = "dict[ObjectId, NewObject]"


@dataclass(frozen=True, slots=True)
class Content:
    """What is to stand at a path. Make it by `blob`, `value`, `note` or `existing`."""

    kind: EntryKind
    data: bytes = b""
    attachments: Mapping[BlobId, bytes] = field(default_factory=dict)
    text: str = ""
    entry: Entry | None = None

    @property
    def has_bytes(self) -> bool:
        """Whether `data` is to be stored."""
        return self.entry is None and self.kind != "note"


def blob(data: bytes, note: str = "") -> Content:
    """Give content that is exactly the bytes *data*.

    Raises:
        UsageError: *note* has more than 4,096 bytes.
    """
    return Content("blob", data=data, text=model.check_note(note))


def value(it: Value, note: str = "", *, path: str = "value") -> Content:
    """Give content that is the value *it*; it is encoded now, so a later change to it does no harm.

    Raises:
        ValueUnstorable: it holds something that cannot be stored; the place begins with *path*.
        UsageError: *note* has more than 4,096 bytes.
    """
    encoded = codec.encode(it, path=path)
    kind: EntryKind = "bundle" if encoded.attachments else "value"
    return Content(kind, encoded.data, encoded.attachments, model.check_note(note))


def note(text: str) -> Content:
    """Give content that is *text* of up to 4,096 bytes, written into the folder itself.

    Raises:
        UsageError: it is longer.
    """
    return Content("note", text=model.check_note(text))


def existing(entry: Entry) -> Content:
    """Give content that is stored already: *entry*, as a snapshot of the same store gave it."""
    return Content(entry.kind, entry=entry)


def prepare(changes: Mapping[Path, Content | None], into: Objects) -> dict[Path, Entry | None]:
    """Give the entries for *changes* and add the objects they need to *into*, children first."""
    hashed = {path: it.data for path, it in changes.items() if it is not None and it.has_bytes}
    blobs = spread(ids.blob_id, list(hashed.values()), sum(map(len, hashed.values())))
    mains = dict(zip(hashed, blobs, strict=True))
    return {path: _make(it, mains.get(path), into) if it else None for path, it in changes.items()}


def _make(content: Content, main: BlobId | None, into: Objects) -> Entry:
    if content.entry is not None:
        return content.entry
    if main is None:
        return Entry("note", model.NO_OBJECT, 0, content.text)
    into.setdefault(main, NewObject(ObjectKind.BLOB, main, content.data))
    if content.kind != "bundle":
        return Entry(content.kind, main, len(content.data), content.text)
    parts: dict[Path, Entry | None] = {("value",): Entry("value", main, len(content.data))}
    for attachment, data in content.attachments.items():
        into.setdefault(attachment, NewObject(ObjectKind.BLOB, attachment, data))
        parts[attachment,] = Entry("blob", attachment, len(data))
    bundle = folders.update(_NoNodes(), None, parts)
    for new in bundle.nodes:
        into.setdefault(new.id, NewObject(ObjectKind.TREE, new.id, new.data))
    return Entry("bundle", bundle.root, bundle.size, content.text)


class _NoNodes:
    """Where nothing is stored yet."""

    def node(self, node_id: TreeId) -> Node:
        raise AssertionError(f"a new bundle asked for a stored node {node_id}")
