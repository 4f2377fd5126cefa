"""What of an export may come in: its parts fit together, and somebody could restore them.

A few kilobytes can say that they are more than any disk holds: equal folders under many names,
lists of chunks that name the same chunk again and again. So everything here looks at each object
once, and counts the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.checkpoints.fsck.placement import Placement
from maverick.checkpoints.objects.ids import ObjectId, TreeId
from maverick.checkpoints.trees import folders, tree_nodes
from maverick.checkpoints.trees.checkpoint import Checkpoint, encode_checkpoint
from maverick.checkpoints.trees.closure import UNKNOWN
from maverick.checkpoints.trees.tree_nodes import Fan, LeafNode
from maverick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints.trees.closure import Visit
    from maverick.checkpoints.trees.folders import Nodes

MOST_BYTES: Final = 1_000_000_000_000
"""More bytes than these nobody verifies or restores, unless told to."""
MOST_HELD_BYTES: Final = 1 << 30
"""No object is longer than this that has to be in memory as a whole."""


class _Said(NamedTuple):
    """What one object says of another, or what is true of it; UNKNOWN where nothing is."""

    size: int
    entries: int

    def fits(self, other: _Said) -> bool:
        """Say whether the two do not contradict each other."""
        return all(UNKNOWN in pair or pair[0] == pair[1] for pair in zip(self, other, strict=True))


class Incoming:
    """Gathers the visits of a walk over an export, whose objects have these *lengths*.

    `checkpoints` are those that were visited.
    """

    def __init__(self, nodes: Nodes, lengths: dict[ObjectId, int]) -> None:
        self._nodes = nodes
        self._true = {object_id: _Said(length, UNKNOWN) for object_id, length in lengths.items()}
        self._said: set[tuple[ObjectId, _Said]] = set()
        self.checkpoints: list[Checkpoint] = []
        self._placement = Placement()

    def add(self, visit: Visit) -> None:
        self._placement.add(visit)
        self._said.update((link.id, _Said(link.size, link.count)) for link in visit.links)
        if isinstance(visit.content, Checkpoint):
            self.checkpoints.append(visit.content)
        elif visit.content is not None:
            self._true[visit.id] = _Said(visit.content.size, visit.content.count)

    def problems(self, read: Callable[[ObjectId], bytes]) -> Iterator[str]:
        """Say what does not fit together. *read* gives the bytes of an object."""
        for object_id, said in self._said:
            true = self._true.get(object_id)
            if true is not None and not said.fits(true):
                yield f"object {object_id[:12]} has another size than what names it says"
        for object_id, problem in self._placement.misplaced(read):
            yield f"object {object_id[:12]} is not well-formed: {problem}"

    def require_restorable(self) -> None:
        """Refuse what is more than anybody could restore. Raises UsageError, with the numbers."""
        counted: dict[TreeId, int] = {}
        for checkpoint in self.checkpoints:
            for tree in (checkpoint.tree, checkpoint.facts):
                count, size = folders.count_paths(self._nodes, tree, counted), self._true[tree].size
                if count > folders.MOST_PATHS or size > MOST_BYTES:
                    raise UsageError(
                        f"checkpoint {checkpoint.id[:12]} holds {count:,} names and {size:,} "
                        f"bytes, more than anybody could restore ({folders.MOST_PATHS:,} and "
                        f"{MOST_BYTES:,})"
                    )


def is_canonical(visit: Visit) -> bool:
    """Say whether an object is written as this version writes it, and as narrow or wide as it has
    to be.
    """
    match visit.content:
        case Checkpoint() as checkpoint:
            return encode_checkpoint(checkpoint) == visit.data
        case LeafNode() | Fan() as node:
            is_wide = node.count > folders.WIDTH
            return tree_nodes.encode_node(node) == visit.data and is_wide is isinstance(node, Fan)
        case None:
            return True
