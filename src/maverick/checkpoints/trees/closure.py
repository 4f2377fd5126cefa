"""The one walk over what a checkpoint leads to: fsck checks by it, export copies by it, and gc
marks by the same links.

A checkpoint leads to its tree, its facts and the labelled checkpoint before it (its parent is a
weak link, which is not followed); a tree node to its narrower nodes or its entries; an object that
is stored as a list of chunks to these. What was seen is not visited again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, ObjectKind
from maverick.checkpoints.trees.checkpoint import Checkpoint, parse_checkpoint
from maverick.checkpoints.trees.tree_nodes import Entry, LeafNode, Node, parse_node
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

UNKNOWN = -1
"""The size or count of a link that does not say it."""


class ObjectSource(Protocol):
    """Where the walk finds objects: the store's `objects`."""

    def holds(self, object_id: ObjectId) -> bool:
        """Say whether an object is in a pack, with its chunks."""

    def chunks(self, object_id: ObjectId) -> tuple[tuple[ObjectId, int], ...]:
        """Give the chunks, ids and lengths, of an object that is stored as a list of them."""

    def read(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object, verified."""


@dataclass(frozen=True, slots=True)
class Link:
    """One thing that an object names.

    `name` is the entry's name, `tree` or `facts` below a checkpoint, and empty where a wide node
    leads to a narrower one and a checkpoint to the labelled one before it. `size` and `count` are
    what the object says of the other, or UNKNOWN.
    """

    kind: ObjectKind
    id: ObjectId
    name: str = ""
    size: int = UNKNOWN
    count: int = UNKNOWN


@dataclass(frozen=True, slots=True)
class Visit:
    """One object, when it is first reached, by `link`.

    A blob is not read, so `data` and `content` are empty; an object that is missing or damaged has
    an `error`, nothing else, and the walk goes on beside it.
    """

    link: Link
    data: bytes = b""
    content: Checkpoint | Node | None = None
    links: tuple[Link, ...] = ()
    error: StoreDamaged | StoreTooNew | None = None


class ClosureWalk:
    """A walk that can be continued from further checkpoints.

    `seen` is what it has visited so far.
    """

    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self.seen: set[ObjectId] = set()

    def visit(self, checkpoints: Iterable[CheckpointId]) -> Iterator[Visit]:
        """Visit *checkpoints* and all that they lead to, what names a thing before the thing.

        Never raises for damage: the visit of an object that cannot be read has the error.
        """
        todo = [Link(ObjectKind.CHECKPOINT, checkpoint) for checkpoint in checkpoints][::-1]
        while todo:
            link = todo.pop()
            if link.id not in self.seen:
                self.seen.add(link.id)
                visit = self._visit(link)
                yield visit
                todo += (below for below in reversed(visit.links) if below.id not in self.seen)

    def _visit(self, link: Link) -> Visit:
        try:
            data, content = self._read(link)
            chunks = self._source.chunks(link.id) if link.kind is ObjectKind.BLOB else ()
        except (StoreDamaged, StoreTooNew) as error:
            return Visit(link, error=error)
        links = links_of(content) if content is not None else ()
        links += tuple(Link(ObjectKind.BLOB, chunk, "", length) for chunk, length in chunks)
        return Visit(link, data, content, links)

    def _read(self, link: Link) -> tuple[bytes, Checkpoint | Node | None]:
        if link.kind is ObjectKind.BLOB:
            if not self._source.holds(link.id):
                self._source.read(link.id)  # looks again, also in trash/, and says what is wrong
            return b"", None
        data = self._source.read(link.id)
        if link.kind is ObjectKind.CHECKPOINT:
            return data, parse_checkpoint(CheckpointId(link.id), data)
        return data, parse_node(link.id, data)


def follow(
    links: Iterable[Link],
    links_below: Callable[[Link], Iterable[Link]],
    passed: Container[ObjectId] = (),
) -> set[ObjectId]:
    """Look at what *links* name and all that is below, in no order; gives the objects it met.

    *links_below* looks at one object, gives what it names, and raises what is wrong with it. What
    was *passed* before is left out.
    """
    seen: set[ObjectId] = set()
    todo = list(links)
    while todo:
        link = todo.pop()
        if link.id not in seen and link.id not in passed:
            seen.add(link.id)
            todo += links_below(link)
    return seen


def links_of(content: Checkpoint | Node) -> tuple[Link, ...]:
    """Give what *content* keeps alive, in order."""
    if isinstance(content, Checkpoint):
        trees = (
            Link(ObjectKind.TREE, content.tree, "tree"),
            Link(ObjectKind.TREE, content.facts, "facts"),
        )
        return (
            (*trees, Link(ObjectKind.CHECKPOINT, content.labelled)) if content.labelled else trees
        )
    if isinstance(content, LeafNode):
        links = (_entry_link(name, entry) for name, entry in content.entries.items())
        return tuple(link for link in links if link is not None)
    return tuple(
        Link(ObjectKind.TREE, child.id, "", child.size, child.count)
        for child in content.children.values()
    )


def _entry_link(name: str, entry: Entry) -> Link | None:
    kind = entry.object_kind
    return Link(kind, entry.id, name, entry.size) if kind is not None else None
