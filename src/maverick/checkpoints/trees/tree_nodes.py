"""The two objects with a structure: tree nodes and checkpoints, and their canonical JSON.

A tree node is narrow (`Leaf`, at most 48 entries) or wide (`Fan`, up to 16 narrower nodes);
`folders` keeps them so. Nothing here touches a disk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind, TreeId
from maverick.errors import StoreDamaged, StoreTooNew, UsageError

EntryKind: TypeAlias = Literal["blob", "value", "bundle", "tree", "note"]
CheckpointKind: TypeAlias = Literal["auto", "label", "pause", "failure", "final"]

ENTRY_KINDS: frozenset[str] = frozenset(get_args(EntryKind))
CHECKPOINT_KINDS: frozenset[str] = frozenset(get_args(CheckpointKind))
MAX_NOTE_BYTES = 4096
CHECKPOINT_FORMAT = 1
NO_CHECKPOINT = CheckpointId(ObjectId(""))
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


@dataclass(frozen=True, slots=True)
class Leaf:
    """A narrow tree node: the entries by name, in the order of their names."""

    entries: dict[str, Entry]

    @property
    def count(self) -> int:
        """The number of entries."""
        return len(self.entries)

    @property
    def size(self) -> int:
        """The bytes of all blobs below."""
        return sum(entry.size for entry in self.entries.values())


@dataclass(frozen=True, slots=True)
class Child:
    """A narrower node below a `Fan`, with the number of entries and the bytes below it."""

    id: TreeId
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Fan:
    """A wide tree node: narrower nodes by the nibble (one hexadecimal digit) of their names'
    hashes.
    """

    children: dict[str, Child]

    @property
    def count(self) -> int:
        """The number of entries in all nodes below."""
        return sum(child.count for child in self.children.values())

    @property
    def size(self) -> int:
        """The bytes of all blobs below."""
        return sum(child.size for child in self.children.values())


Node: TypeAlias = Leaf | Fan


class Checkpoint(NamedTuple):
    """An immutable snapshot of a run. `created` is in milliseconds since the epoch.

    `parent` is a weak link (gc may have collected it, it may be in another run), `labelled` a
    strong one to the newest labelled checkpoint before this one; both are empty where there is
    none.
    """

    id: CheckpointId
    run: str
    sequence: int
    kind: CheckpointKind
    label: str
    step: str
    group: str
    created: int
    tree: TreeId
    facts: TreeId
    parent: CheckpointId
    labelled: CheckpointId

    @property
    def last_labelled(self) -> CheckpointId:
        """The newest labelled checkpoint up to and including this one; empty where there is
        none.
        """
        return self.id if self.kind == "label" else self.labelled


def encode_node(node: Node) -> bytes:
    """Give the canonical JSON of *node*."""
    if isinstance(node, Leaf):
        return sealed.encode(
            {"entries": {name: _row(entry) for name, entry in node.entries.items()}}
        )
    fan = {nibble: [child.id, child.count, child.size] for nibble, child in node.children.items()}
    return sealed.encode({"fan": fan})


def _row(entry: Entry) -> list[str | int]:
    if entry.note:
        return [entry.kind, entry.id, entry.size, entry.note]
    return [entry.kind, entry.id, entry.size]


def parse_node(node_id: ObjectId, data: bytes) -> Node:
    """Read the tree node *node_id* (for the message only) from its canonical JSON.

    Raises:
        StoreDamaged: it is no tree node by these rules.
    """
    try:
        match json.loads(data):
            case {"entries": dict(rows), **rest} if not rest:
                return Leaf({name: _entry(*row) for name, row in rows.items()})
            case {"fan": dict(rows), **rest} if not rest:
                return Fan({nibble: _child(nibble, *row) for nibble, row in rows.items()})
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreDamaged(_malformed("tree", node_id, error)) from error
    raise StoreDamaged(_malformed("tree", node_id, "it has other fields"))


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


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Give the canonical JSON of *checkpoint*, which does not hold its id."""
    return sealed.encode(
        {
            "created": checkpoint.created,
            "facts": checkpoint.facts,
            "format": CHECKPOINT_FORMAT,
            "group": checkpoint.group,
            "kind": checkpoint.kind,
            "label": checkpoint.label,
            "labelled": checkpoint.labelled,
            "parent": checkpoint.parent,
            "run": checkpoint.run,
            "sequence": checkpoint.sequence,
            "step": checkpoint.step,
            "tree": checkpoint.tree,
        }
    )


def parse_checkpoint(checkpoint_id: CheckpointId, data: bytes) -> Checkpoint:
    """Read the checkpoint *checkpoint_id* from its canonical JSON.

    Raises:
        StoreTooNew: it has a format that this version does not know.
        StoreDamaged: it is no checkpoint by these rules.
    """
    try:
        fields = json.loads(data)
        version = fields.pop("format")
        if type(version) is int and version > CHECKPOINT_FORMAT:
            raise StoreTooNew(
                f"checkpoint {checkpoint_id[:12]} has format {version}, "
                f"this version reads {CHECKPOINT_FORMAT}; update maverick"
            )
        checkpoint = Checkpoint(id=checkpoint_id, **fields)
        _validate(checkpoint)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreDamaged(_malformed("checkpoint", checkpoint_id, error)) from error
    return checkpoint


def _validate(checkpoint: Checkpoint) -> None:
    texts = (checkpoint.run, checkpoint.label, checkpoint.step, checkpoint.group)
    if not all(type(text) is str for text in texts):
        raise ValueError("a text has another type")
    if type(checkpoint.sequence) is not int or type(checkpoint.created) is not int:
        raise ValueError("a number has another type")
    if checkpoint.kind not in CHECKPOINT_KINDS:
        raise ValueError(f"unknown kind {checkpoint.kind!r}")
    if not (ids.is_id(checkpoint.tree) and ids.is_id(checkpoint.facts)):
        raise ValueError("a tree's id is no id")
    if not all(link == "" or ids.is_id(link) for link in (checkpoint.parent, checkpoint.labelled)):
        raise ValueError("a link is no id")


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


def _malformed(kind: str, object_id: ObjectId, why: object) -> str:
    return f"{kind} {object_id[:12]} is not well-formed ({why}); run `maverick checkpoint fsck`"
