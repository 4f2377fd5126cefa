"""The walk over what checkpoints lead to."""

from __future__ import annotations

from pathlib import Path

from kit.stores import begin, extend
from maverick.checkpoints import Store, value
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.checkpoints.trees.closure import ClosureWalk, Link
from maverick.errors import ObjectMissing


class Without:
    """A store's objects but one."""

    def __init__(self, store: Store, missing: ObjectId) -> None:
        self._store = store
        self._missing = missing

    def holds(self, object_id: ObjectId) -> bool:
        return object_id != self._missing and self._store.objects.holds(object_id)

    def chunks(self, object_id: ObjectId) -> tuple[tuple[ObjectId, int], ...]:
        return self._store.objects.chunks(object_id)

    def read(self, object_id: ObjectId) -> bytes:
        if object_id == self._missing:
            raise ObjectMissing("gone")
        return self._store.read(object_id)


def test_a_walk_reaches_what_a_checkpoint_needs_and_nothing_else(tmp_path: Path) -> None:
    """The tree, the facts, the labelled checkpoint before it; not the parent."""
    store = Store.create(tmp_path / "store")
    first = begin(store)
    labelled = store.save("run-1", {}, parent=first, kind="label", label="ready")
    between = extend(store, labelled, range(1))
    last = extend(store, between, range(1, 2))

    visits = list(ClosureWalk(store.objects).visit([last.id]))

    links = [visit.link for visit in visits]
    reached = [link.id for link in links if link.kind is ObjectKind.CHECKPOINT]
    assert [last.id, labelled.id] == reached
    assert {last.tree, last.facts, labelled.tree, labelled.facts} <= {link.id for link in links}
    assert len(links) == len({link.id for link in links})
    assert not any(visit.error for visit in visits)


def test_a_walk_says_where_things_stand(tmp_path: Path) -> None:
    """Wide nodes in between have no names; attachments stand in their bundle."""
    store = Store.create(tmp_path / "store")
    at = store.save(
        "r", {("steps", f"s{number}"): value(number) for number in range(60)}, parent=None
    )
    at = store.save("r", {("steps", "bytes"): value(b"attached")}, parent=at)

    visits = list(ClosureWalk(store.objects).visit([at.id]))
    above = {link.id: (visit.link, link.name) for visit in visits for link in visit.links}

    assert {
        (),
        ("tree",),
        ("facts",),
        ("tree", "steps", "s59"),
        ("tree", "steps", "bytes", "value"),
    } <= {_path(visit.link.id, above) for visit in visits}


def _path(object_id: ObjectId, above: dict[ObjectId, tuple[Link, str]]) -> tuple[str, ...]:
    """Give the names of the links that lead to an object."""
    if object_id not in above:
        return ()
    by, name = above[object_id]
    return (*_path(by.id, above), *([name] if name else []))


def test_a_walk_goes_on_from_where_it_was(tmp_path: Path) -> None:
    """The collector marks again under its lock, and only what is new costs anything."""
    store = Store.create(tmp_path / "store")
    first = extend(store, begin(store), range(20))
    walk = ClosureWalk(store.objects)
    before = len(list(walk.visit([first.id])))
    second = extend(store, first, range(20, 21))

    visits = list(walk.visit([first.id, second.id]))

    assert 6 == len(visits)  # checkpoint, two folders of the state with one value, two of the facts
    assert before + 6 == len(walk.seen)


def test_a_missing_object_is_one_visit_with_an_error(tmp_path: Path) -> None:
    """Whatever it leads to is not reached by it, all the rest is."""
    store = Store.create(tmp_path / "store")
    at = extend(store, begin(store), range(3))
    entry = store.load("run-1").entry("steps/step1")

    visits = list(ClosureWalk(Without(store, entry.id)).visit([at.id]))
    failed = [visit for visit in visits if visit.error is not None]

    assert [("step1", entry.id)] == [(visit.link.name, visit.link.id) for visit in failed]
    assert len(visits) == len(list(ClosureWalk(store.objects).visit([at.id])))
