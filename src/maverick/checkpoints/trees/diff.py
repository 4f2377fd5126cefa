"""What differs between two trees, and between two values: equal subtrees are skipped unread.

The cost of a difference depends on what differs: wide folders are compared node by node along the
nibbles of their names' hashes, and only nodes, values and blobs that differ are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from maverick.checkpoints.objects.ids import TreeId
from maverick.checkpoints.trees import folders
from maverick.checkpoints.trees.snapshot import Snapshot
from maverick.checkpoints.trees.tree_nodes import Entry, Fan, LeafNode, Node
from maverick.errors import UsageError
from maverick.values import same

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from maverick.checkpoints.trees.checkpoint import Checkpoint
    from maverick.checkpoints.trees.folders import Nodes, Path
    from maverick.checkpoints.trees.snapshot import NodeSource
    from maverick.values import Value

_DIGITS = re.compile(r"([0-9]+)")

ChangeKind: TypeAlias = Literal["added", "removed", "changed"]
Part: TypeAlias = Literal["value", "data", "note"]
ValuePath: TypeAlias = "tuple[str | int, ...]"
_Side: TypeAlias = "tuple[Snapshot, Entry]"


class Missing(Enum):
    """The type of MISSING, which stands for the side of a difference that has nothing."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True)
class EntryChange:
    """A name that stands for something else in two trees. The side that lacks it is None."""

    path: Path
    old: Entry | None
    new: Entry | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change between two checkpoints, at an entry of their trees or at a leaf inside an entry's
    value.

    `path` leads to the entry (`("a", "b")`), `inside` on into its value (`("tasks", 3, "title")`;
    empty: the whole of it). `part` says what `old` and `new` are: of a `value` the values there, of
    `data` the bytes of a blob, of a `note` the text beside the entry (or of an entry that is only a
    note). MISSING stands where a side has nothing. `before` and `after` are the entries, for their
    notes and sizes.

    An entry that was added or removed is one change, with the whole value. One that changed gives a
    change for its note, if that differs, then one for each leaf of its value.
    """

    path: Path
    change: ChangeKind
    old: Value | Missing
    new: Value | Missing
    part: Part
    inside: ValuePath
    before: Entry | None
    after: Entry | None
    wholes: tuple[Value | Missing, Value | Missing] = field(
        default=(MISSING, MISSING), repr=False, compare=False
    )
    """Of a leaf inside a value, both values as a whole."""


def diff_checkpoints(
    source: NodeSource, old: Checkpoint, new: Checkpoint, *, without: Collection[str] = ()
) -> Iterator[Change]:
    """Yield what differs between the state of two checkpoints, in the natural order of the paths.

    Facts are not compared, nor what stands in the folders *without* at the top. What differs is
    read as it is asked for.
    """
    left, right = Snapshot(old, source), Snapshot(new, source)
    for entry_change in diff_trees(source, old.tree, new.tree):
        match entry_change:
            case EntryChange(path=(top, *_)) if top in without:
                continue
            case EntryChange(old=Entry() as before, new=Entry() as after):
                yield from _changed(entry_change, (left, before), (right, after))
            case EntryChange(new=Entry() as after):
                yield _change(entry_change, "added", MISSING, _content(right, after), _part(after))
            case EntryChange(old=Entry() as before):
                yield _change(
                    entry_change, "removed", _content(left, before), MISSING, _part(before)
                )


def diff_trees(nodes: Nodes, old: TreeId | None, new: TreeId | None) -> Iterator[EntryChange]:
    """Yield the entries that differ between two folders (None: an empty one) and the folders below.

    Names come in natural order (`step[2]` before `step[10]`). A folder itself is none of the
    entries, what is in it is; unless both sides have it with another note.

    Raises:
        UsageError: there are more than a million differences, and more than anybody could list.
    """
    count = 0
    above: Path = ()
    todo = [(above, _pairs(nodes, old, new))]
    while todo:
        above, pairs = todo[-1]
        pair = next(pairs, None)
        if pair is None:
            todo.pop()
            continue
        name, before, after = pair
        here = (*above, name)
        folders_both = _is_folder(before) and _is_folder(after)
        count += 1
        if count == folders.COUNTED_FROM:
            _require_listable(nodes, old, new)
        if before is not None and after is not None and folders_both and before.note != after.note:
            yield EntryChange(here, before, after)
        if not folders_both:
            shown = [None if _is_folder(entry) else entry for entry in (before, after)]
            if any(shown):
                yield EntryChange(here, shown[0], shown[1])
        if _is_folder(before) or _is_folder(after):
            todo.append((here, _pairs(nodes, _folder_id(before), _folder_id(after))))


def _pairs(
    nodes: Nodes, old: TreeId | None, new: TreeId | None
) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    differing = _differing(nodes, old, new)
    for name in sorted(differing, key=natural_key):
        yield name, *differing[name]


def _require_listable(nodes: Nodes, old: TreeId | None, new: TreeId | None) -> None:
    counted: dict[TreeId, int] = {}
    count = sum(
        folders.count_paths(nodes, tree, counted) for tree in (old, new) if tree is not None
    )
    if count > folders.MOST_PATHS:
        raise UsageError(
            f"more than {folders.COUNTED_FROM:,} names differ, of {count:,} on both sides "
            f"together, which are more than can be listed ({folders.MOST_PATHS:,}); look into "
            "folders of it with `maverick checkpoint show`"
        )


def diff_values(
    old: Value | Missing, new: Value | Missing, path: ValuePath = ()
) -> Iterator[tuple[ValuePath, Value | Missing, Value | Missing]]:
    """Yield the leaves that differ: path, old and new, MISSING where a side has none.

    Types count (`1` is not `1.0`), NaN equals NaN, the order of a mapping's keys does not. Lists
    are compared by position, after what both begin and end with: an item put in or taken out is one
    difference.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from diff_values(old.get(key, MISSING), new.get(key, MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _diff_lists(old, new, path)
    elif not same(old, new):
        yield path, old, new


def natural_key(name: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Give what sorts *name* with the numbers in it as numbers, of any length."""
    parts = _DIGITS.split(name)
    key = tuple(_number(part) if n % 2 else part for n, part in enumerate(parts))
    return key, name


def _number(digits: str) -> tuple[int, str]:
    significant = digits.lstrip("0")
    return len(significant), significant


def _diff_lists(
    old: list[Value], new: list[Value], path: ValuePath
) -> Iterator[tuple[ValuePath, Value | Missing, Value | Missing]]:
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and same(old[start], new[start]):
        start += 1
    end = 0
    if len(old) != len(new):
        while end < shorter - start and same(old[-1 - end], new[-1 - end]):
            end += 1
    last_old, last_new = len(old) - end, len(new) - end
    for n in range(start, max(last_old, last_new)):
        before = old[n] if n < last_old else MISSING
        after = new[n] if n < last_new else MISSING
        yield from diff_values(before, after, (*path, n))


def _differing(
    nodes: Nodes, old: TreeId | None, new: TreeId | None
) -> dict[str, tuple[Entry | None, Entry | None]]:
    """Give the names that differ between two folders, or two nodes at the same place of two
    folders.
    """
    if old == new:
        return {}
    before, after = _node(nodes, old), _node(nodes, new)
    if isinstance(before, Fan) and isinstance(after, Fan):
        pairs: dict[str, tuple[Entry | None, Entry | None]] = {}
        for nibble in before.children.keys() | after.children.keys():
            left, right = before.children.get(nibble), after.children.get(nibble)
            pairs |= _differing(nodes, left.id if left else None, right.id if right else None)
        return pairs
    olds, news = _entries(nodes, before), _entries(nodes, after)
    pairs = {name: (olds.get(name), news.get(name)) for name in olds.keys() | news.keys()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _node(nodes: Nodes, node_id: TreeId | None) -> Node:
    return nodes.node(node_id) if node_id is not None else LeafNode({})


def _entries(nodes: Nodes, node: Node) -> dict[str, Entry]:
    if isinstance(node, LeafNode):
        return node.entries
    return {
        name: entry
        for child in node.children.values()
        for name, entry in folders.scan(nodes, child.id)
    }


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == "tree"


def _folder_id(entry: Entry | None) -> TreeId | None:
    return TreeId(entry.id) if entry is not None and entry.kind == "tree" else None


def _changed(entry_change: EntryChange, left: _Side, right: _Side) -> Iterator[Change]:
    before, after = left[1], right[1]
    if before.note != after.note:
        yield _change(entry_change, "changed", before.note, after.note, "note")
    if (before.kind, before.id) == (after.kind, after.id):
        return
    old, new = _content(*left), _content(*right)
    if _part(before) != "value" or _part(after) != "value":
        yield _change(entry_change, "changed", old, new, _part(after))
        return
    nothing = True
    for inside, was, now in diff_values(old, new):
        change: ChangeKind = (
            "added" if was is MISSING else "removed" if now is MISSING else "changed"
        )
        yield _change(entry_change, change, was, now, "value", inside, (old, new))
        nothing = False
    if nothing:  # the order of keys differs
        yield _change(entry_change, "changed", old, new, "value")


def _change(
    entry_change: EntryChange,
    change: ChangeKind,
    old: Value | Missing,
    new: Value | Missing,
    part: Part,
    inside: ValuePath = (),
    wholes: tuple[Value | Missing, Value | Missing] = (MISSING, MISSING),
) -> Change:
    before, after = entry_change.old, entry_change.new
    return Change(entry_change.path, change, old, new, part, inside, before, after, wholes)


def _part(entry: Entry) -> Part:
    match entry.kind:
        case "value" | "bundle":
            return "value"
        case "blob":
            return "data"
        case _:
            return "note"


def _content(snapshot: Snapshot, entry: Entry) -> Value:
    match _part(entry):
        case "value":
            return snapshot.value_of(entry)
        case "data":
            return snapshot.data_of(entry)
        case "note":
            return entry.note
