"""The tree nodes that were last read or written, so that the next save need not read them."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from maverick.checkpoints.trees import tree_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from maverick.checkpoints.objects.ids import ObjectId, TreeId
    from maverick.checkpoints.trees.tree_nodes import Node

_CACHED_NODES = 1024


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
        with self._lock:
            self._nodes[node_id] = node
            self._nodes.move_to_end(node_id)
            if len(self._nodes) > _CACHED_NODES:
                self._nodes.popitem(last=False)
