"""Tree nodes and their canonical JSON.

A node is narrow (`LeafNode`, 48 entries at most) or wide (`Fan`, up to 16 narrower ones); `folders`
keeps them so.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from maverick.checkpoints.disk.sealed import quote, to_bytes
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, TreeId
from maverick.errors import StoreDamaged, UsageError
from maverick.record import record

EntryKind: TypeAlias = Literal["blob", "value", "bundle", "tree", "note"]

ENTRY_KINDS: frozenset[str] = frozenset(get_args(EntryKind))
MAX_NOTE_BYTES = 4096
NO_OBJECT = ObjectId("")


class Entry(NamedTuple):
    """What a name in a folder stands for.

    `size` is the number of bytes of a blob, or of all blobs below a tree or bundle; a `note` has
    neither id nor size, its text is `note`. Any other entry may carry a note of up to 4,096 bytes
    beside its object.
    """

    kind: EntryKind
    id: ObjectId
    size: int
    note: str = ""

    @property
    def object_kind(self) -> ObjectKind | None:
        """Give the kind of the object `id` names; None for a note, which has none."""
        if self.kind == "note":
            return None
        return ObjectKind.TREE if self.kind in ("tree", "bundle") else ObjectKind.BLOB


@record
class LeafNode:
    """A narrow tree node: the entries by name, in the order of their names."""

    entries: dict[str, Entry]

    @property
    def count(self) -> int:
        return len(self.entries)

    @property
    def size(self) -> int:
        """The bytes of all blobs below."""
        return sum([entry.size for entry in self.entries.values()])


@record
class Child:
    """A narrower node below a `Fan`, with the number of entries and the bytes below it."""

    id: TreeId
    count: int
    size: int


@record
class Fan:
    """A wide tree node: narrower nodes by the nibble (one hexadecimal digit) of their names'
    hashes.
    """

    children: dict[str, Child]

    @property
    def count(self) -> int:
        """The number of entries in all nodes below."""
        return sum([child.count for child in self.children.values()])

    @property
    def size(self) -> int:
        """The bytes of all blobs below."""
        return sum([child.size for child in self.children.values()])


Node: TypeAlias = LeafNode | Fan


def encode_node(node: Node) -> bytes:
    """Give the canonical JSON of *node*."""
    if isinstance(node, LeafNode):
        rows = [
            f'{quote(name)}:["{kind}","{object_id}",{size}{"," + quote(note) if note else ""}]'
            for name, (kind, object_id, size, note) in sorted(node.entries.items())
        ]
        return to_bytes(f'{{"entries":{{{",".join(rows)}}}}}')
    fan = [
        f'"{nibble}":["{child.id}",{child.count},{child.size}]'
        for nibble, child in sorted(node.children.items())
    ]
    return to_bytes(f'{{"fan":{{{",".join(fan)}}}}}')


def parse_node(node_id: ObjectId, data: bytes) -> Node:
    """Read the tree node *node_id* (for the message only) from its canonical JSON.

    Raises:
        StoreDamaged: it is no tree node by these rules.
    """
    try:
        match json.loads(data):
            case {"entries": dict(rows), **rest} if not rest:
                return LeafNode({name: _entry(*row) for name, row in rows.items()})
            case {"fan": dict(rows), **rest} if not rest:
                return Fan({nibble: _child(nibble, *row) for nibble, row in rows.items()})
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreDamaged(malformed("tree", node_id, error)) from error
    raise StoreDamaged(malformed("tree", node_id, "it has other fields"))


def _entry(kind: Any, object_id: Any, size: Any, note: Any = "") -> Entry:
    if kind not in ENTRY_KINDS or type(size) is not int or type(note) is not str:
        raise ValueError("an entry has another shape")
    if not (ids.is_id(object_id) if kind != "note" else object_id == ""):
        raise ValueError("an entry's id is no id")
    return Entry(kind, ObjectId(object_id), size, note)


def _child(nibble: str, node_id: Any, count: Any, size: Any) -> Child:
    if nibble not in tuple("0123456789abcdef") or not ids.is_id(node_id):
        raise ValueError("a child has another shape")
    if type(count) is not int or type(size) is not int:
        raise ValueError("a child's count or size is no integer")
    return Child(TreeId(ObjectId(node_id)), count, size)


def check_name(name: str) -> str:
    """Give *name* back if a folder can hold it.

    Raises:
        UsageError: it is empty, or holds surrogates that decoding bytes with `surrogateescape`
            cannot give.
    """
    if not name:
        raise UsageError("a name in a folder cannot be empty")
    if name.isascii():
        return name
    try:
        same = name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == name
    except UnicodeEncodeError:
        same = False
    if not same:
        raise UsageError(f"the name {name!r} holds a surrogate that stands for no byte")
    return name


def check_note(note: str) -> str:
    """Give *note* back if an entry can carry it.

    Raises:
        UsageError: it has more than 4,096 bytes.
    """
    if note and len(note.encode("utf-8", "backslashreplace")) > MAX_NOTE_BYTES:
        raise UsageError(
            f"a note may have {MAX_NOTE_BYTES} bytes; this one begins with {note[:40]!r}"
        )
    return note


def malformed(kind: str, object_id: ObjectId, why: object) -> str:
    """Give the message for an object of *kind* that is not what anybody writes."""
    return f"{kind} {object_id[:12]} is not well-formed ({why}); run `maverick checkpoint fsck`"
