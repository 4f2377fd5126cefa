"""Whether the objects of a walk are well-formed: written canonically, as wide as they have to be,
found where they are looked for, and what each says of another is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.trees.checkpoint import Checkpoint, encode_checkpoint
from maverick.checkpoints.trees.closure import UNKNOWN
from maverick.checkpoints.trees.folders import WIDTH, nibbles
from maverick.checkpoints.trees.tree_nodes import Fan, LeafNode, encode_node, parse_node
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.refs.refs import Ref
    from maverick.checkpoints.trees.closure import Visit


class Coherence:
    """Gathers what a walk visits; *read* gives the bytes of an object.

    `sizes` are those of objects, as far as they are known: to begin with, of blobs that were read.
    """

    def __init__(self, sizes: dict[ObjectId, int], read: Callable[[ObjectId], bytes]) -> None:
        self.checkpoints: dict[ObjectId, Checkpoint] = {}
        self.sizes = sizes
        self._counts: dict[ObjectId, int] = {}
        self._read = read
        self._problems: dict[tuple[ObjectId, str], None] = {}
        self._folders: dict[ObjectId, None] = {}
        self._fans: dict[ObjectId, dict[str, ObjectId]] = {}
        # Parts of wide folders, and those of the names in each whose hashes are least and greatest.
        self._ends: dict[ObjectId, list[str]] = {}

    def add(self, visit: Visit) -> None:
        own, content, encoded = visit.link, visit.content, visit.data
        if isinstance(content, Checkpoint):
            self.checkpoints[own.id] = content
            encoded = encode_checkpoint(content)
        elif content is not None:
            encoded = encode_node(content)
            if (content.count > WIDTH) is not isinstance(content, Fan):
                why = f"it holds {content.count} entries as a {type(content).__name__.lower()}"
                self._note(own.kind, own.id, why)
            self._take(own.kind, own.id, content.size, content.count)
        if encoded != visit.data:
            self._note(own.kind, own.id, "its bytes are not the canonical ones")
        for link in visit.links:
            self._take(link.kind, link.id, link.size, link.count)
            if link.kind is ObjectKind.TREE and link.name:
                self._folders[link.id] = None
        if isinstance(content, Fan):
            self._fans[own.id] = {digit: it.id for digit, it in content.children.items()}
        elif isinstance(content, LeafNode) and not own.name:
            self._ends[own.id] = _ends(content)

    def problems(self) -> Iterator[tuple[ObjectId, str]]:
        """Yield the objects that are not well-formed, each with a text that says so."""
        for object_id, why in self._misplaced():
            self._note(ObjectKind.TREE, object_id, why)
        yield from self._problems

    def ref_problems(self, ref: Ref) -> Iterator[str]:
        """Say what is wrong with a ref, by the checkpoints that were visited."""
        checkpoint = self.checkpoints.get(ref.checkpoint)
        if checkpoint is not None:
            if not ref.fits(checkpoint):
                yield f"it does not fit checkpoint {checkpoint.id[:12]}, at which it stands"
            elif self.sizes.get(checkpoint.tree, ref.bytes) != ref.bytes:
                yield "it has another size than its tree"
        if [position.checkpoint for position in ref.positions[-1:]] != [ref.checkpoint]:
            yield "its log does not end where it stands"
        for position in ref.positions:
            checkpoint = self.checkpoints.get(position.checkpoint)
            says = ref.run, position.sequence
            if checkpoint is not None and (checkpoint.run, checkpoint.sequence) != says:
                yield f"position {position.sequence} of its log is another checkpoint"

    def _note(self, kind: ObjectKind, object_id: ObjectId, why: str) -> None:
        text = f"{kind.name.lower()} {object_id[:12]} is not well-formed: {why}"
        self._problems[object_id, text] = None

    def _take(self, kind: ObjectKind, object_id: ObjectId, size: int, count: int) -> None:
        """Take note of what an object is said to be, or is; both have to agree."""
        for known, number in ((self.sizes, size), (self._counts, count)):
            if number == UNKNOWN:
                continue
            if known.get(object_id, UNKNOWN) not in {UNKNOWN, number}:
                self._note(kind, object_id, "it has another size than what names it says")
            known[object_id] = number

    def _misplaced(self) -> Iterator[tuple[ObjectId, str]]:
        """Yield the nodes of wide folders whose names do not stand under the digits of their
        hashes: nobody finds them there.

        A node that is wide enough to be one has its place under the same digits wherever it is.
        """
        paths: dict[ObjectId, str] = {it: "" for it in self._folders if it in self._fans}
        todo = list(paths)
        for fan in todo:  # grows meanwhile
            for digit, child in self._fans[fan].items():
                path = paths[fan] + digit
                if child not in self._fans:
                    yield from ((child, why) for why in self._misplaced_in(child, path))
                elif child not in paths:
                    paths[child] = path
                    todo.append(child)
                elif paths[child] != path:
                    yield child, f"it stands under {paths[child] or 'no digit'} and under {path}"

    def _misplaced_in(self, leaf: ObjectId, path: str) -> Iterator[str]:
        if leaf not in self._ends:  # It is a folder, too, or damaged.
            try:
                node = parse_node(leaf, self._read(leaf))
            except (StoreDamaged, StoreTooNew):  # found by the walk
                return
            self._ends[leaf] = _ends(node)
        for name in self._ends[leaf]:
            if not nibbles(name).startswith(path):
                begins = nibbles(name)[: len(path)]
                yield f"{name!r} stands under {path}, but its hash begins with {begins}"
                return


def _ends(node: LeafNode | Fan) -> list[str]:
    names = sorted(node.entries if isinstance(node, LeafNode) else (), key=nibbles)
    return names[:1] + names[-1:]
