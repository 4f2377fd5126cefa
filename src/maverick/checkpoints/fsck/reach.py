"""How fsck looks at a store: what it has found in packs it does not ask for again, and damage
matters to the runs above it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from maverick.checkpoints.refs import retention
from maverick.checkpoints.refs.retention import Fate
from maverick.checkpoints.trees.closure import UNKNOWN, ClosureWalk
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.checkpoints.fsck.pack_check import PackCheck
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.objects import Objects
    from maverick.checkpoints.refs.refs import Ref


class DamageSource:
    """The objects of the store as the walk asks for them, less often where packs were checked."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.read, self.read_chunks = objects.read, objects.read_chunks
        self._lists: set[ObjectId] = set()
        self.sizes: dict[ObjectId, int] = {}
        """Those of the blobs that are there, UNKNOWN if nobody has read one."""

    def take(self, check: PackCheck) -> None:
        """Take note of what a check has found in a pack, which is not asked for again."""
        self._lists.update(check.lists)
        for object_id, size in check.sizes.items():
            self.sizes[object_id] = max(size, self.sizes.get(object_id, UNKNOWN))

    def holds(self, object_id: ObjectId) -> bool:
        if object_id in self.sizes and object_id not in self._lists:
            return True
        return self._objects.holds(object_id)

    def chunks(self, object_id: ObjectId) -> tuple[tuple[ObjectId, int], ...]:
        if object_id not in self._lists:
            return ()
        return self._objects.chunks(object_id)

    def is_whole(self, object_id: ObjectId, damaged: str) -> bool:
        """Say whether the object can be read, though its copy in the file *damaged* cannot."""
        try:
            places = list(self._objects.packs.places(object_id))
            if all(damaged == f"objects/{place.pack.file}" for place in places):
                return False
            self.read(object_id)
        except (StoreDamaged, StoreTooNew):
            return False
        return True


class Graph:
    """Which object names which, as far as the refs lead; for finding the way back from some of
    them.
    """

    def __init__(self, source: DamageSource, refs: Iterable[Ref]) -> None:
        self._runs: dict[ObjectId, dict[str, None]] = defaultdict(dict)
        self._above: dict[ObjectId, list[tuple[ObjectId, str]]] = defaultdict(list)
        walk = ClosureWalk(source)
        for ref in refs:
            roots = retention.roots(ref, Fate.WHOLE)
            for root in roots:
                self._runs[root][ref.run] = None
            for visit in walk.visit(roots):
                for link in visit.links:
                    self._above[link.id].append((visit.link.id, link.name))

    def places(self, object_ids: Iterable[ObjectId]) -> dict[str, str]:
        """Give the runs that lead to some of the objects, each with one place of one of them."""
        places: dict[str, str] = {}
        todo: list[tuple[ObjectId, tuple[str, ...]]] = [(object_id, ()) for object_id in object_ids]
        seen = set(object_ids)
        for node, path in todo:  # grows meanwhile
            for run in self._runs.get(node, ()):
                places.setdefault(run, _show(path))
            for above, name in self._above.get(node, ()):
                if above not in seen:
                    seen.add(above)
                    todo.append((above, (name, *path) if name else path))
        return places


def _show(path: tuple[str, ...]) -> str:
    """Give a path as text: of the state as it is, of the facts with that word in front."""
    names = path[1:] if path[:1] == ("tree",) else path
    return "/".join(names) or "the checkpoint itself"
