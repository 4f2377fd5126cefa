"""A checkpoint to look into: folders, values and bytes, read when they are asked for, verified each
time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from maverick.checkpoints.objects.ids import TreeId
from maverick.checkpoints.trees import codec, folders
from maverick.checkpoints.trees.folders import Located
from maverick.errors import NotFound, UsageError
from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.trees.checkpoint import Checkpoint
    from maverick.checkpoints.trees.tree_nodes import Entry, Node
    from maverick.values import Value


AnyPath: TypeAlias = "tuple[str, ...] | str"
"""A path inside a snapshot: its names, or a text, which `places` explains."""


class NodeSource(Protocol):
    """Where a snapshot reads from: the store."""

    def node(self, node_id: TreeId) -> Node: ...

    def read(self, object_id: ObjectId) -> bytes: ...

    def read_chunks(self, object_id: ObjectId) -> Iterator[bytes]: ...


@record
class Snapshot:
    """What a checkpoint holds: the run's state, and beside it the facts of its execution.

    A path is a tuple of names or a text: `models/best`, or as at the command line
    `steps.work[0].implement.output`. Every method raises NotFound for a path that is not there, and
    StoreDamaged for an object that cannot be read.
    """

    checkpoint: Checkpoint
    _source: NodeSource

    def __repr__(self) -> str:
        return f"<Snapshot of {self.checkpoint.title}>"

    def find(self, path: AnyPath) -> Entry | None:
        """Give the entry at *path* (not empty), or None."""
        return self._find(self.checkpoint.tree, path)

    def entry(self, path: AnyPath) -> Entry:
        """Give the entry at *path* (not empty)."""
        return self._found(self.find(path), path)

    def value(self, path: AnyPath) -> Value:
        """Give the value at *path*, which may lead into one: `inputs.rates[0]`."""
        place = locate(self._source, self.checkpoint.tree, path)
        if place is None or not place.inside:
            return self.value_of(self._found(place.entry if place else None, path), path)
        from maverick.checkpoints.trees.places import part_inside  # noqa: PLC0415 - the engine asks for whole values

        whole = self.value_of(place.entry, path)
        part: Value = part_inside(whole, place.inside, show_path(path))
        return part

    def value_of(self, entry: Entry, path: AnyPath = ()) -> Value:
        """Give the value that *entry* holds; *path* is for the message."""
        if entry.kind not in ("value", "bundle"):
            raise NotFound(f"{show_path(path)} is a {entry.kind}, it holds no value")
        return codec.decode(self.data_of(entry, path), self._source.read)

    def data(self, path: AnyPath) -> bytes:
        """Give the bytes at *path*: of a blob as they are, of a value as it is encoded."""
        return self.data_of(self.entry(path), path)

    def data_of(self, entry: Entry, path: AnyPath = ()) -> bytes:
        """Give the bytes of *entry*, as `data` does; *path* is for the message."""
        return self._source.read(self._holder(entry, path).id)

    def stream(self, path: AnyPath) -> Iterator[bytes]:
        """Yield the bytes at *path*, of a blob as they are, of a value as it is encoded, a part at
        a time.

        Each part is verified; that they make up the object is verified at the end, by an error.
        """
        return self._source.read_chunks(self._holder(self.entry(path), path).id)

    def entries(self, path: AnyPath = ()) -> dict[str, Entry]:
        """Give the entries of the folder at *path* by name, in the order of their names."""
        return folders.entries(self._source, self._folder(self.checkpoint.tree, path))

    def names(self, path: AnyPath = ()) -> list[str]:
        """Give the sorted names in the folder at *path*."""
        return list(self.entries(path))

    def count(self, path: AnyPath = ()) -> int:
        """Give how many entries the folder at *path* has; reads one node of it."""
        return self._source.node(self._folder(self.checkpoint.tree, path)).count

    def walk(self, path: AnyPath = ()) -> Iterator[tuple[tuple[str, ...], Entry]]:
        """Yield all that is below the folder at *path*, with its path from the root, folders
        first.
        """
        place = locate(self._source, self.checkpoint.tree, path)
        names = place.names if place is not None else ()
        return folders.walk(self._source, self._folder(self.checkpoint.tree, path), names)

    def walk_once(
        self, path: AnyPath, seen: set[TreeId]
    ) -> Iterator[tuple[tuple[str, ...], Entry]]:
        """Yield what is below the folder at *path*, with its path from there; equal folders once.

        For what may be too much to be walked: some kilobytes can say that they are a million names.
        What is in *seen* is passed over; the nodes that are read are added to it.
        """
        return folders.walk_once(self._source, self._folder(self.checkpoint.tree, path), seen)

    def fact(self, path: AnyPath) -> str:
        """Give the text of the fact at *path* (not empty)."""
        entry = self._found(self.find_fact(path), path)
        if entry.kind in ("value", "bundle") and not entry.note:
            raise NotFound(f"{show_path(path)} is a value, not a text; ask `fact_value` for it")
        return entry.note

    def fact_value(self, path: AnyPath) -> Value:
        """Give the value of the fact at *path* (not empty)."""
        return self.value_of(self._found(self.find_fact(path), path), path)

    def find_fact(self, path: AnyPath) -> Entry | None:
        """Give the entry of the fact at *path* (not empty), or None."""
        return self._find(self.checkpoint.facts, path)

    def facts(self, path: AnyPath = ()) -> dict[str, Entry]:
        """Give the facts in the folder at *path* by name, in the order of their names."""
        return folders.entries(self._source, self._folder(self.checkpoint.facts, path))

    def _find(self, root: TreeId, path: AnyPath) -> Entry | None:
        place = locate(self._source, root, path)
        return place.entry if place is not None and not place.inside else None

    def _folder(self, root: TreeId, path: AnyPath) -> TreeId:
        if not parse_path(path):
            return root
        entry = self._found(self._find(root, path), path)
        if entry.kind != "tree":
            raise NotFound(f"{show_path(path)} is a {entry.kind}, not a folder")
        return TreeId(entry.id)

    def _holder(self, entry: Entry, path: AnyPath) -> Entry:
        """Give the entry whose blob holds the bytes of *entry*."""
        if entry.kind == "bundle":
            return self._found(folders.lookup(self._source, TreeId(entry.id), ("value",)), path)
        if entry.kind not in ("blob", "value"):
            raise NotFound(f"{show_path(path)} is a {entry.kind}, it holds no bytes")
        return entry

    def _found(self, entry: Entry | None, path: AnyPath) -> Entry:
        if entry is None:
            checkpoint = self.checkpoint
            raise NotFound(
                f"there is no {show_path(path)} in checkpoint {checkpoint.id[:12]} "
                f"(run {checkpoint.run}, {checkpoint.sequence})"
            )
        return entry


def parse_path(path: AnyPath) -> tuple[str, ...]:
    """Give the names of *path*; those of a text have `/` between them.

    Raises:
        UsageError: it is neither a text nor a tuple of texts.
    """
    if isinstance(path, str):
        return tuple(name for name in path.split("/") if name)
    if type(path) is tuple and all(isinstance(name, str) for name in path):
        return path
    raise UsageError(
        f"{path!r:.100} is no path: write a text such as 'models/best', or a tuple of names such "
        "as ('models', 'best')"
    )


def show_path(path: AnyPath) -> str:
    """Give *path* as text for a message."""
    return path if isinstance(path, str) else "/".join(path)


def locate(nodes: NodeSource, root: TreeId, path: AnyPath) -> Located | None:
    """Give what *path* names below *root*; None if that is nothing."""
    names = parse_path(path)
    entry = folders.lookup(nodes, root, names) if names else None
    if entry is not None:
        return Located(names, entry)
    if not isinstance(path, str) or not names:
        return None
    from maverick.checkpoints.trees.places import locate_part  # noqa: PLC0415 - the engine gives names

    return locate_part(nodes, root, path)
