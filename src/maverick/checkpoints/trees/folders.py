"""Folders: trees of narrow nodes that are changed by making new ones.

A folder with more than 48 entries is stored as up to 16 narrower ones, by the next unused nibble of
the hash of each name, and so on. The stored form is a function of the entries alone: whatever the
history, equal content has equal ids. Changing one entry of n makes about log16(n / 48) + 1 new
nodes.

A `NodeCache` has the nodes that were last read or written: the next save need not read them.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

from blake3 import blake3

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, TreeId
from maverick.checkpoints.trees import tree_nodes
from maverick.checkpoints.trees.tree_nodes import Child, Entry, Fan, LeafNode, Node
from maverick.errors import UsageError
from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_CACHED_NODES = 1024
_AnyEntry = TypeVar("_AnyEntry", bound="Entry | None")


class NodeCache:
    """Nodes by their ids; those it does not know it reads with *read*. Thread safe."""

    def __init__(self, read: Callable[[ObjectId], bytes]) -> None:
        self._read = read
        self._nodes: OrderedDict[TreeId, Node] = OrderedDict()
        self._lock = Lock()

    def node(self, node_id: TreeId) -> Node:
        """Give a node, which nobody may change."""
        with self._lock:
            node = self._nodes.get(node_id)
            if node is not None:
                self._nodes.move_to_end(node_id)
                return node
        node = tree_nodes.parse_node(node_id, self._read(node_id))
        self.keep(node_id, node)
        return node

    def keep(self, node_id: TreeId, node: Node) -> None:
        """Remember a node that is stored."""
        self.keep_all([NewNode(node_id, node, b"")])

    def keep_all(self, nodes: Iterable[NewNode]) -> None:
        """Remember nodes that are stored now; nobody asks for those in whose places they stand."""
        cached = self._nodes
        with self._lock:
            for new in nodes:
                cached[new.id] = new.node
                cached.move_to_end(new.id)
                if new.former is not None:
                    cached.pop(new.former, None)
            while len(cached) > _CACHED_NODES:
                cached.popitem(last=False)


WIDTH = 48
"""The most entries that a node holds itself."""

MOST_PATHS = 10_000_000
"""More files and folders than these nobody restores or lists. Equal folders under many names are
quickly that many.
"""
COUNTED_FROM = 1_000_000
"""Whoever comes to so many paths of a tree counts all of them before going on."""
MOST_NAMES = 200
"""The most names in the path of a change; below a folder that is set as a whole there may be more.
"""

Path: TypeAlias = tuple[str, ...]


class Nodes(Protocol):
    """Where tree nodes are read from."""

    def node(self, node_id: TreeId) -> Node:
        """Give the node *node_id*; it is never changed by anybody."""


class Located(NamedTuple):
    """What a path names: an entry, its names, and how to go on from its value to a part of that."""

    names: tuple[str, ...]
    entry: Entry
    inside: str = ""


class NewNode(NamedTuple):
    """A node that an update made, with its canonical JSON. `former` is the node that was at its
    place.
    """

    id: TreeId
    node: Node
    data: bytes
    former: TreeId | None = None


@record
class Update:
    """The outcome of an update: the new root, the bytes below it, and the nodes made, children
    first.

    `formers` says of blobs that are new at their place which blob was there before.
    """

    root: TreeId
    size: int
    nodes: list[NewNode]
    formers: dict[ObjectId, ObjectId] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Inside:
    """What becomes of a name below which something changes: if it `replaces` what stands there,
    `own` does (None removes it); then `below` changes what is in it.
    """

    own: Entry | None
    replaces: bool
    below: dict[str, _Change] = field(default_factory=dict)


_Change: TypeAlias = "Entry | _Inside | None"


def nibbles(name: str) -> str:
    """Give the 64 hexadecimal digits that place *name* in a wide folder."""
    return blake3(name.encode("utf-8", "surrogateescape")).digest().hex()


def update(nodes: Nodes, root: TreeId | None, changes: Mapping[Path, Entry | None]) -> Update:
    """Give the folder *root* (None: an empty one) with *changes* made to it.

    None as an entry removes what is there, with all below it; removing what is not there changes
    nothing. A folder that loses its last entry disappears, a name on the way that is no folder
    becomes one. A path may be removed, or set to a folder, and changed below in the same update.

    Raises:
        UsageError: a path is empty or cannot be a name, or is set to no folder and changed below.
    """
    if not changes and root is not None:
        return Update(root, nodes.node(root).size, [])
    maker = _Maker(nodes)
    built = maker.folder(root, _nested(changes))
    return Update(built.id, built.size, maker.reachable(built.id), maker.formers)


def make(content: dict[str, Entry]) -> Update:
    """Give the folder that holds exactly *content*, with all its nodes; what is below its entries
    is not looked at.
    """
    maker = _Maker(_NoNodes())
    built = maker.stored(content, 0)
    return Update(built.id, built.size, maker.reachable(built.id))


def lookup(nodes: Nodes, root: TreeId, path: Path) -> Entry | None:
    """Give the entry at *path* (not empty) below the folder *root*, or None."""
    folder: TreeId | None = root
    entry: Entry | None = None
    for name in path:
        entry = _find(nodes, folder, name) if folder is not None else None
        folder = TreeId(entry.id) if entry is not None and entry.kind == "tree" else None
    return entry


def entries(nodes: Nodes, folder: TreeId) -> dict[str, Entry]:
    """Give the entries of *folder* by name, in the order of their names."""
    return dict(sorted(scan(nodes, folder)))


def scan(nodes: Nodes, folder: TreeId) -> Iterator[tuple[str, Entry]]:
    """Yield the entries of *folder*, node by node, in no order that means anything."""
    node = nodes.node(folder)
    if isinstance(node, LeafNode):
        yield from node.entries.items()
    else:
        for child in node.children.values():
            yield from scan(nodes, child.id)


def walk(nodes: Nodes, folder: TreeId, path: Path = ()) -> Iterator[tuple[Path, Entry]]:
    """Yield every entry below *folder* with its path, folders before what is in them, names in
    order.
    """
    todo = [(path, iter(entries(nodes, folder).items()))]
    while todo:
        here, rest = todo[-1]
        for name, entry in rest:
            yield (*here, name), entry
            if entry.kind == "tree":
                todo.append(((*here, name), iter(entries(nodes, TreeId(entry.id)).items())))
                break
        else:
            todo.pop()


def walk_once(nodes: Nodes, folder: TreeId, seen: set[TreeId]) -> Iterator[tuple[Path, Entry]]:
    """Yield the entries below *folder* with their paths, in no order, those of equal nodes once.

    Nodes that are *seen* are passed over; those that are read are added.
    """
    todo: list[tuple[TreeId, Path]] = [(folder, ())]
    while todo:
        node_id, path = todo.pop()
        if node_id in seen:
            continue
        seen.add(node_id)
        node = nodes.node(node_id)
        if isinstance(node, Fan):
            todo += [(child.id, path) for child in node.children.values()]
            continue
        for name, entry in node.entries.items():
            yield (*path, name), entry
            if entry.kind == "tree":
                todo.append((TreeId(entry.id), (*path, name)))


def count_paths(nodes: Nodes, folder: TreeId, counted: dict[TreeId, int] | None = None) -> int:
    """Give how many entries `walk` would yield, reading each node once; *counted* keeps what was
    counted.
    """
    counted = {} if counted is None else counted
    todo = [folder]
    while todo:
        node = nodes.node(todo[-1])
        below = subtrees(node)
        unknown = [tree for tree in below if tree not in counted]
        if unknown:
            todo += unknown
        else:
            own = len(node.entries) if isinstance(node, LeafNode) else 0
            counted[todo.pop()] = own + sum(counted[tree] for tree in below)
    return counted[folder]


def _find(nodes: Nodes, folder: TreeId, name: str) -> Entry | None:
    node = nodes.node(folder)
    if isinstance(node, Fan):
        for nibble in nibbles(name):
            child = node.children.get(nibble)
            if child is None:
                return None
            node = nodes.node(child.id)
            if isinstance(node, LeafNode):
                break
    return node.entries.get(name) if isinstance(node, LeafNode) else None


def _nested(changes: Mapping[Path, Entry | None]) -> dict[str, _Change]:
    top: dict[str, _Change] = {}
    for path, entry in changes.items():
        if not path:
            raise UsageError("a change needs a path; the root folder itself cannot be set")
        if len(path) > MOST_NAMES:
            text = (
                f"a change may be {MOST_NAMES} names deep, this one has {len(path)}; it begins "
                f"with {path[:4]!r}"
            )
            raise UsageError(text)
        level = top
        for name in path[:-1]:
            inside = level.get(name)
            if not isinstance(inside, _Inside):
                inside = _Inside(inside, replaces=name in level)
                level[tree_nodes.check_name(name)] = inside
            level = inside.below
        change = level.get(path[-1])
        if isinstance(change, _Inside):
            change.own, change.replaces = entry, True
        else:
            level[tree_nodes.check_name(path[-1])] = entry
    return top


class _NoNodes:
    """Where nothing is stored."""

    def node(self, node_id: TreeId) -> Node:
        raise AssertionError(f"a new folder asked for a stored node {node_id}")


class _Maker:
    """Makes the nodes of one update; what it made is looked up before what is stored."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._made: dict[TreeId, NewNode] = {}
        self._digits: dict[str, str] = {}
        self.formers: dict[ObjectId, ObjectId] = {}

    def folder(self, folder: TreeId | None, changes: dict[str, _Change]) -> Child:
        flat = {
            name: self._entry(folder, name, change) if isinstance(change, _Inside) else change
            for name, change in changes.items()
        }
        return self._changed(folder, 0, flat)

    def reachable(self, root: TreeId) -> list[NewNode]:
        """Give the nodes made that *root* leads to, children first."""
        done: dict[TreeId, NewNode] = {}
        todo = [(root, False)] if root in self._made else []
        while todo:
            node_id, are_children_done = todo.pop()
            made = self._made[node_id]
            if are_children_done:
                done[node_id] = made
            elif node_id not in done:
                todo.append((node_id, True))
                below = reversed(subtrees(made.node))
                todo += [(tree, False) for tree in below if tree in self._made]
        return list(done.values())

    def _entry(self, folder: TreeId | None, name: str, change: _Inside) -> Entry | None:
        """Give what *name* in *folder* stands for after *change*; None if it is gone."""
        if not change.replaces:
            before = _find(self, folder, name) if folder is not None else None
        elif change.own is None or change.own.kind == "tree":
            before = change.own
        else:
            raise UsageError(
                f"{name!r} is set to a {change.own.kind} and changed below in the same update"
            )
        inner = TreeId(before.id) if before is not None and before.kind == "tree" else None
        built = self.folder(inner, change.below)
        if not built.count and inner is None and not change.replaces:
            return before  # what was removed below it was not there
        return Entry("tree", built.id, built.size) if built.count else None

    def _changed(self, node_id: TreeId | None, depth: int, flat: dict[str, Entry | None]) -> Child:
        """Give the node *node_id*, *depth* nibbles below its folder, with the changes in *flat*."""
        node = self.node(node_id) if node_id is not None else LeafNode({})
        if isinstance(node, LeafNode):
            merged = {**node.entries, **flat}
            self._note_formers(node, flat)
            return self.stored(
                {name: entry for name, entry in merged.items() if entry is not None}, depth, node_id
            )
        below = dict(node.children)
        for nibble, group in self._groups(flat, depth).items():
            old = below.get(nibble)
            below[nibble] = self._changed(old.id if old else None, depth + 1, group)
        return self._fan({nibble: child for nibble, child in below.items() if child.count}, node_id)

    def _groups(self, content: dict[str, _AnyEntry], depth: int) -> dict[str, dict[str, _AnyEntry]]:
        """Give *content* in groups: by the digit that places a name, *depth* nibbles below its
        folder.
        """
        digits = self._digits
        digits |= {name: nibbles(name) for name in content.keys() - digits.keys()}
        groups: defaultdict[str, dict[str, _AnyEntry]] = defaultdict(dict)
        for name, entry in content.items():
            groups[digits[name][depth]][name] = entry
        return groups

    def _note_formers(self, node: LeafNode, flat: dict[str, Entry | None]) -> None:
        for name in flat.keys() & node.entries.keys():
            before, entry = node.entries[name], flat[name]
            if entry is not None and before.object_kind is entry.object_kind is ObjectKind.BLOB:
                self.formers[entry.id] = before.id

    def _fan(self, below: dict[str, Child], former: TreeId | None) -> Child:
        """Store *below* as a fan, or, if that is too narrow now, all its entries as one leaf."""
        fan = Fan(dict(sorted(below.items())))
        if fan.count > WIDTH:
            return self._made_of(fan, former)
        merged = [pair for child in below.values() for pair in scan(self, child.id)]
        return self._made_of(LeafNode(dict(sorted(merged))), former)

    def stored(self, content: dict[str, Entry], depth: int, former: TreeId | None = None) -> Child:
        """Store the entries of one node, *depth* nibbles below its folder, splitting it if it is
        wide.
        """
        if len(content) <= WIDTH:
            return self._made_of(LeafNode(dict(sorted(content.items()))), former)
        groups = self._groups(content, depth).items()
        return self._fan(
            {nibble: self.stored(group, depth + 1, former) for nibble, group in groups}, None
        )

    def _made_of(self, node: Node, former: TreeId | None) -> Child:
        data = tree_nodes.encode_node(node)
        node_id = ids.tree_id(data)
        self._made[node_id] = NewNode(node_id, node, data, former)
        return Child(node_id, node.count, node.size)

    def node(self, node_id: TreeId) -> Node:
        made = self._made.get(node_id)
        return made.node if made is not None else self._nodes.node(node_id)


def subtrees(node: Node) -> list[TreeId]:
    """Give the trees that *node* names: its narrower nodes, or the folders among its entries."""
    if isinstance(node, Fan):
        return [child.id for child in node.children.values()]
    return [TreeId(entry.id) for entry in node.entries.values() if entry.kind == "tree"]
