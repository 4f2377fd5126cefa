"""Whether the names of wide folders stand under the digits of their hashes: where they do not,
nobody finds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.trees.folders import nibbles
from maverick.checkpoints.trees.tree_nodes import Fan, LeafNode, parse_node
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints.objects.ids import ObjectId, TreeId
    from maverick.checkpoints.trees.closure import Visit


class Placement:
    """Gathers the nodes of wide folders from a walk, and then says which names are misplaced."""

    def __init__(self) -> None:
        self._folders: set[ObjectId] = set()
        self._fans: dict[ObjectId, dict[str, TreeId]] = {}
        self._digits: dict[ObjectId, str] = {}

    def add(self, visit: Visit) -> None:
        self._folders.update(
            link.id for link in visit.links if link.kind is ObjectKind.TREE and link.name
        )
        if isinstance(visit.content, Fan):
            self._fans[visit.id] = {
                digit: child.id for digit, child in visit.content.children.items()
            }
        elif isinstance(visit.content, LeafNode) and not visit.by.name:
            self._digits[visit.id] = _common_digits(visit.content)

    def misplaced(self, read: Callable[[ObjectId], bytes]) -> Iterator[tuple[ObjectId, str]]:
        """Yield the nodes that hold a misplaced name, with what is wrong. *read* gives the bytes of
        an object.
        """
        digits = self._digits_below()
        todo = [(folder, "") for folder in sorted(self._folders & self._fans.keys())]
        seen = set(todo)
        wrong: set[ObjectId] = set()
        for node, path in todo:  # grows meanwhile
            for digit, child in self._fans[node].items():
                place = child, path + digit
                if place in seen:
                    continue
                seen.add(place)
                if child not in self._fans:
                    yield from self._check(*place, read)
                elif digits[child].startswith(place[1]):
                    todo.append(place)
                elif child not in wrong:  # once is enough to find a name that is out of place
                    wrong.add(child)
                    todo.append(place)

    def _digits_below(self) -> dict[ObjectId, str]:
        """Give for each wide node the digits with which the hashes of all names below it begin, as
        far as is known.
        """
        common: dict[ObjectId, str] = {}
        for top in self._fans:
            todo: list[ObjectId] = [top]
            while todo:
                node = todo[-1]
                children = self._fans[node].values()
                unknown = [
                    child for child in children if child in self._fans and child not in common
                ]
                if node not in common and not unknown:
                    below = [
                        common[child] if child in common else self._digits.get(child, "")
                        for child in children
                    ]
                    common[node] = _common([digits for digits in below if digits])
                if node in common:
                    todo.pop()
                todo += unknown
        return common

    def _check(
        self, node_id: TreeId, path: str, read: Callable[[ObjectId], bytes]
    ) -> Iterator[tuple[ObjectId, str]]:
        if self._digits.get(node_id, "").startswith(path):
            return
        try:
            node = parse_node(node_id, read(node_id))
        except (StoreDamaged, StoreTooNew):  # found by the walk
            return
        for name in node.entries if isinstance(node, LeafNode) else ():
            if not nibbles(name).startswith(path):
                yield (
                    node_id,
                    (
                        f"{name!r} stands under {path}, but its hash begins with "
                        f"{nibbles(name)[: len(path)]}"
                    ),
                )
                return


def _common_digits(node: LeafNode) -> str:
    """Give the digits with which the hashes of all names begin."""
    return _common([nibbles(name) for name in node.entries])


def _common(digits: list[str]) -> str:
    """Give what all of *digits* begin with; nothing if there are none."""
    # what these two have in common all have
    first, last = min(digits, default=""), max(digits, default="")
    return first[
        : next((at for at, digit in enumerate(first) if digit != last[at : at + 1]), len(first))
    ]
