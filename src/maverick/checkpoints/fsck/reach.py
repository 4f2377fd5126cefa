"""How fsck looks at a store: what the system cannot read is damaged, and damage matters to the runs
above it.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_index import ids_of
from maverick.checkpoints.refs import retention
from maverick.checkpoints.refs.retention import Fate
from maverick.checkpoints.trees.closure import ClosureWalk
from maverick.errors import ObjectCorrupt, StoreDamaged, StoreDenied, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints.objects.frames import Leans
    from maverick.checkpoints.objects.ids import ObjectId
    from maverick.checkpoints.objects.objects import Objects
    from maverick.checkpoints.refs.refs import Ref


class DamageSource:
    """The objects of the store as the walk wants them: what the system cannot read is damage."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def holds(self, object_id: ObjectId) -> bool:
        with _naming(object_id):
            return self._objects.holds(object_id)

    def leans(self, object_id: ObjectId) -> Leans:
        with _naming(object_id):
            return self._objects.leans(object_id)

    def fetch(self, object_id: ObjectId, *, whole: bool) -> bytes:
        with _naming(object_id):
            return self._objects.read_whole(object_id) if whole else self._objects.read(object_id)

    def read(self, object_id: ObjectId) -> bytes:
        with _naming(object_id):
            return self._objects.read(object_id)

    def is_whole(self, object_id: ObjectId) -> bool:
        """Say whether the object can be read, perhaps from another pack."""
        try:
            self.read(object_id)
        except (StoreDamaged, StoreTooNew):
            return False
        return True

    def checkpoints(self) -> set[ObjectId]:
        """Give all checkpoints in packs that can be read, whether anything leads to them or not."""
        try:
            self._objects.packs.refresh()
        except StoreDenied:
            raise
        except (StoreDamaged, StoreTooNew, OSError):
            return set()
        return ids_of(self._objects.packs.indexes(), ObjectKind.CHECKPOINT)


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
                    self._above[link.id].append((visit.id, link.name))
                for base in visit.bases:
                    self._above[base].append((visit.id, ""))

    def places(self, object_id: ObjectId) -> dict[str, str]:
        """Give the runs that lead to an object, each with one place where it stands in it."""
        places: dict[str, str] = {}
        todo: list[tuple[ObjectId, tuple[str, ...]]] = [(object_id, ())]
        seen = {object_id}
        for node, path in todo:  # grows meanwhile
            for run in self._runs.get(node, ()):
                places.setdefault(run, _show(path))
            for above, name in self._above.get(node, ()):
                if above not in seen:
                    seen.add(above)
                    todo.append((above, (name, *path) if name else path))
        return places


@contextmanager
def _naming(object_id: ObjectId) -> Iterator[None]:
    """Say of which object it is that the system cannot read it."""
    try:
        yield
    except StoreDenied:
        raise
    except OSError as problem:
        raise ObjectCorrupt(f"object {object_id[:12]} cannot be read: {problem}") from problem


def _show(path: tuple[str, ...]) -> str:
    """Give a path as text: of the state as it is, of the facts with that word in front."""
    names = path[1:] if path[:1] == ("tree",) else path
    return "/".join(names) or "the checkpoint itself"
