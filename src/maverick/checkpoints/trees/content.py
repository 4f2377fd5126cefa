"""What a save puts at a path: `blob`, `value`, `note` and their like make it; here it becomes
objects.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias, TypeVar

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import BlobId, ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.trees import codec, folders, tree_nodes
from maverick.checkpoints.trees.snapshot import AnyPath, NodeSource, locate, parse_path, show_path
from maverick.checkpoints.trees.tree_nodes import Entry
from maverick.errors import UsageError, ValueUnstorable
from maverick.record import record
from maverick.values import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from maverick.checkpoints.objects.ids import ObjectId, TreeId
    from maverick.checkpoints.objects.new_objects import NewObjects
    from maverick.checkpoints.trees.folders import Path as Names
    from maverick.checkpoints.trees.tree_nodes import EntryKind

_Path = TypeVar("_Path", bound="str | tuple[str, ...]")
Objects: TypeAlias = "dict[ObjectId, NewObject]"


class Streamed(Protocol):
    """Content that is too much to be held: it adds its objects to those of a save while that is
    made.
    """

    def put(self, into: NewObjects, before: Entry | None) -> Entry:
        """Add to *into* what is not stored yet, children first, and give the entry that leads to
        all of it.

        *before* is what stands at the path in the parent checkpoint; what that leads to is stored.
        """


@record
class Content:
    """What is to stand at a path. Make it by `blob`, `value`, `note`, `existing`,
    `blob_from` or `streamed`.
    """

    kind: EntryKind
    data: bytes = b""
    attachments: Mapping[BlobId, bytes] = field(default_factory=dict)
    text: str = ""
    entry: Entry | None = None
    source: Streamed | None = None

    def __repr__(self) -> str:
        return f"<Content: {self.kind}>"

    @property
    def has_bytes(self) -> bool:
        return self.entry is None and self.source is None and self.kind != "note"


def blob(data: bytes, note: str = "") -> Content:
    """Give content that is exactly the bytes *data*.

    Raises:
        UsageError: *note* has more than 4,096 bytes.
    """
    return Content("blob", data=data, text=tree_nodes.check_note(note))


def value(plain: object, note: str = "", *, path: str = "value") -> Content:
    """Give content that is *plain* as a value; it is encoded now, so a later change does no harm.

    Tuples, dates, paths, data classes and the like become values as a step's output does, by the
    rules of `maverick.values.normalise`.

    Raises:
        ValueUnstorable: it holds something that cannot be stored; the place begins with *path*.
        UsageError: *note* has more than 4,096 bytes.
    """
    try:
        encoded = codec.encode(plain, path=path)
    except ValueUnstorable:  # The codec knows exact types only, which is what the engine gives it.
        encoded = codec.encode(normalise(plain, path), path=path)
    kind: EntryKind = "bundle" if encoded.attachments else "value"
    return Content(kind, encoded.data, encoded.attachments, tree_nodes.check_note(note))


def note(text: str) -> Content:
    """Give content that is *text* of up to 4,096 bytes, written into the folder itself.

    Raises:
        UsageError: it is longer.
    """
    return Content("note", text=tree_nodes.check_note(text))


def existing(entry: Entry) -> Content:
    """Give content that is stored already: *entry*, as a snapshot of the same store gave it."""
    return Content(entry.kind, entry=entry)


def streamed(source: Streamed) -> Content:
    """Give content that *source* reads and stores while the save is written."""
    return Content("tree", source=source)


def blob_from(source: Path | BinaryIO | Iterable[bytes], note: str = "") -> Content:
    """Give content that is the bytes of *source*: a file's path, an open file, or parts in their
    order.

    It is read once, while the save is written, and never in memory as a whole.

    Raises:
        UsageError: *note* has more than 4,096 bytes.
    """
    return Content("blob", source=_Stream(source, tree_nodes.check_note(note)))


@record
class _Stream:
    source: Path | BinaryIO | Iterable[bytes]
    note: str

    def put(self, into: NewObjects, before: Entry | None) -> Entry:
        former = before.id if before is not None and before.object_kind is ObjectKind.BLOB else None
        with ExitStack() as stack:
            source = self.source
            if isinstance(source, Path):
                source = stack.enter_context(source.open("rb", buffering=0))
            read: Callable[[int], bytes] = getattr(source, "read", None) or _reader_of(iter(source))
            blob, size = into.add_stream(read, former)
        return Entry("blob", blob, size, self.note)


def _reader_of(parts: Iterator[bytes]) -> Callable[[int], bytes]:
    rest = memoryview(b"")

    def read(size: int) -> bytes:
        nonlocal rest
        while not rest:
            part = next(parts, None)
            if part is None:
                return b""
            rest = memoryview(part)
        taken, rest = rest[:size], rest[size:]
        return bytes(taken)

    return read


def content_of(
    changes: Mapping[_Path, object], nodes: NodeSource, root: TreeId | None
) -> dict[Names, Content | None]:
    """Give *changes* by names, each as content: plain Python values become values.

    A text names what it names in a snapshot of *root*, else what is new under its names.

    Raises:
        ValueUnstorable: one cannot be stored; the place begins with its path.
        UsageError: a path is none, or stands there twice.
    """
    contents: dict[Names, Content | None] = {}
    for path, change in changes.items():
        names = _names_of(path, nodes, root)
        if names in contents:
            raise UsageError(f"{show_path(path)} stands twice among the changes of one save")
        if isinstance(change, Entry):
            raise UsageError(
                f"{show_path(path)} is given an entry of a snapshot; write `existing(entry)`"
            )
        if change is None or isinstance(change, Content):
            contents[names] = change
        else:
            contents[names] = value(change, path=show_path(path))
    return contents


def _names_of(path: AnyPath, nodes: NodeSource, root: TreeId | None) -> Names:
    names = parse_path(path)
    if isinstance(path, tuple) or root is None:
        return names
    located = locate(nodes, root, path)
    if located is not None and located.inside:
        raise UsageError(
            f"{path} is a part of the value {'/'.join(located.names)}, which is saved as a whole; "
            "change it there and save that"
        )
    return located.names if located is not None else names


def prepare(changes: Mapping[Names, Content | None], into: Objects) -> dict[Names, Entry | None]:
    """Give the entries for *changes* and add the objects they need to *into*, children first.

    What is streamed is left out.
    """
    from maverick.checkpoints.objects.new_objects import LARGE_BYTES  # noqa: PLC0415 - what only reads does without

    datas = [it.data for it in changes.values() if it is not None and it.has_bytes]
    size = sum(map(len, datas))
    blobs: Iterator[BlobId] = map(ids.blob_id, datas)
    if size > LARGE_BYTES:
        from maverick.checkpoints.objects.parallel import spread  # noqa: PLC0415 - most saves are small

        blobs = spread(ids.blob_id, datas, size)
    entries: dict[Names, Entry | None] = {}
    for path, content in changes.items():
        if content is None:
            entries[path] = None
        elif content.has_bytes:
            entries[path] = _make(content, next(blobs), into)
        elif content.source is None:
            entries[path] = content.entry or Entry("note", tree_nodes.NO_OBJECT, 0, content.text)
    return entries


def stream(
    changes: Mapping[Names, Content | None],
    into: NewObjects,
    before: Callable[[Names], Entry | None],
) -> dict[Names, Entry | None]:
    """Give the entries of what is streamed, having added it to *into*; *before* looks into the
    parent.
    """
    return {
        path: content.source.put(into, before(path))
        for path, content in changes.items()
        if content and content.source
    }


def _make(content: Content, main: BlobId, into: Objects) -> Entry:
    """Give the entry of *content*, whose bytes are the blob *main*."""
    data = content.data
    if main not in into:
        into[main] = NewObject(ObjectKind.BLOB, main, data)
    if content.kind != "bundle":
        return Entry(content.kind, main, len(data), content.text)
    parts = {"value": Entry("value", main, len(data))}
    for attachment, part in content.attachments.items():
        into.setdefault(attachment, NewObject(ObjectKind.BLOB, attachment, part))
        parts[attachment] = Entry("blob", attachment, len(part))
    bundle = folders.make(parts)
    for new in bundle.nodes:
        into.setdefault(new.id, NewObject(ObjectKind.TREE, new.id, new.data))
    return Entry("bundle", bundle.root, bundle.size, content.text)
