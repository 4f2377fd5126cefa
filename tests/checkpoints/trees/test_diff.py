"""The comparison of trees, values and checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.stores import begin, step
from maverick.checkpoints import Entry, ObjectId, Store, Value, blob, note, value
from maverick.checkpoints.objects import ids
from maverick.checkpoints.trees import folders
from maverick.checkpoints.trees.diff import (
    MISSING,
    Change,
    diff_trees,
    diff_values,
    natural_key,
    same,
)
from maverick.checkpoints.trees.tree_nodes import Node

Names = tuple[str, ...]


class Memory:
    """Tree nodes in memory, with a count of how many were read."""

    def __init__(self) -> None:
        self.nodes: dict[ids.TreeId, Node] = {}
        self.reads = 0

    def node(self, node_id: ids.TreeId) -> Node:
        self.reads += 1
        return self.nodes[node_id]

    def tree(self, content: dict[Names, str]) -> ids.TreeId:
        changes: dict[Names, Entry | None] = {path: entry(text) for path, text in content.items()}
        made = folders.update(self, None, changes)
        self.nodes.update({new.id: new.node for new in made.nodes})
        return made.root


def entry(text: str) -> Entry:
    return Entry("blob", ids.blob_id(text.encode()), len(text))


def shown(changes: list[Change]) -> list[tuple[Names, tuple[str | int, ...], str, object, object]]:
    return [(it.path, it.inside, it.change, it.old, it.new) for it in changes]


names = st.one_of(st.sampled_from(["a", "b", "step[2]", "step[10]"]), st.integers(0, 200).map(str))
contents = st.dictionaries(st.tuples(names.map("f{}".format)), st.sampled_from("xyz"), max_size=120)
nested = st.tuples(
    contents, st.dictionaries(st.tuples(st.just("dir"), names), st.sampled_from("xyz"), max_size=60)
)


@settings(max_examples=60)
@given(nested, nested)
def test_a_difference_of_trees_is_that_of_their_entries(
    left: tuple[dict[Names, str], dict[Names, str]],
    right: tuple[dict[Names, str], dict[Names, str]],
) -> None:
    """Whatever the widths: narrow against wide, one side without the folder at all."""
    memory = Memory()
    old, new = {**left[0], **left[1]}, {**right[0], **right[1]}
    expected = {
        path: (old.get(path), new.get(path))
        for path in old.keys() | new.keys()
        if old.get(path) != new.get(path)
    }

    found = list(diff_trees(memory, memory.tree(old), memory.tree(new)))

    texts: dict[ObjectId | None, str | None] = {entry(text).id: text for text in "xyz"} | {
        None: None
    }
    actual = {
        it.path: (texts[it.old.id if it.old else None], texts[it.new.id if it.new else None])
        for it in found
    }
    assert expected == actual
    assert len(found) == len(actual)
    assert [it.path for it in found] == sorted(
        expected, key=lambda path: [natural_key(name) for name in path]
    )


def test_equal_trees_are_not_read() -> None:
    memory = Memory()
    root = memory.tree({("a", str(number)): "x" for number in range(200)})
    memory.reads = 0

    assert [] == list(diff_trees(memory, root, root))
    assert 0 == memory.reads


def test_a_folder_against_a_file_is_the_file_and_what_is_in_the_folder() -> None:
    memory = Memory()

    found = list(diff_trees(memory, memory.tree({("a",): "x"}), memory.tree({("a", "b"): "x"})))

    assert [(("a",), False), (("a", "b"), True)] == [(it.path, it.new is not None) for it in found]


def test_five_of_ten_thousand_steps_are_found_with_fifty_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost of a difference depends on what differs, not on what is there."""
    store = Store.create(tmp_path / "store")
    many = {
        ("steps", f"phases[{number}].implement"): value({"out": number}) for number in range(10_000)
    }
    first = store.save("old", many, parent=None)
    five = {
        ("steps", f"phases[{number}].implement"): value({"out": -1})
        for number in (7, 1200, 4711, 8000, 9999)
    }
    store.save("new", five, parent=first)
    fresh = Store.open(tmp_path / "store")
    objects_read: list[ids.ObjectId] = []
    read = fresh.objects.read

    def counting(object_id: ids.ObjectId) -> bytes:
        objects_read.append(object_id)
        return read(object_id)

    monkeypatch.setattr(fresh.objects, "read", counting)
    changes = list(fresh.diff("old", "new"))

    assert [7, 1200, 4711, 8000, 9999] == [it.old for it in changes]
    assert len(objects_read) <= 50


def test_numbers_in_names_sort_as_numbers() -> None:
    """Also such that `int` would refuse."""
    huge = "9" * 5000
    ordered = ["a", "step[2]", "step[02]x", "step[10]", f"step[{huge}]", f"step[{huge}0]", "étape"]

    shuffled = [ordered[number] for number in (3, 6, 0, 5, 1, 4, 2)]
    assert ordered == sorted(shuffled, key=natural_key)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1, 1, []),
        (1, 1.0, [((), 1, 1.0)]),
        (True, 1, [((), True, 1)]),
        (math.nan, math.nan, []),
        (0.0, -0.0, [((), 0.0, -0.0)]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": 1, "b": None}, [(("b",), MISSING, None)]),
        (
            {"tasks": [{"title": "x"}]},
            {"tasks": [{"title": "y"}]},
            [(("tasks", 0, "title"), "x", "y")],
        ),
        ([1, 2], [1, 2, 3], [((2,), MISSING, 3)]),
        ([1, 2, 3], [0, 1, 2, 3], [((0,), MISSING, 0)]),
        ([1, 2, 3], [1, 3], [((1,), 2, MISSING)]),
        ([1, 2, 3], [1, 5, 3], [((1,), 2, 5)]),
        ([1, 1], [1, 1, 1], [((2,), MISSING, 1)]),
        ([1], {"0": 1}, [((), [1], {"0": 1})]),
        (b"a", "a", [((), b"a", "a")]),
    ],
)
def test_values_differ_at_their_leaves(old: Value, new: Value, expected: list[object]) -> None:
    assert repr(expected) == repr(list(diff_values(old, new)))


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=2)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=2), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(values, values)
def test_there_is_a_difference_unless_the_values_are_the_same(old: Value, new: Value) -> None:
    assert same(old, new) is not any(True for _ in diff_values(old, new))
    assert [] == list(diff_values(old, old))


def test_a_diff_of_checkpoints_goes_from_entries_to_leaves(tmp_path: Path) -> None:
    """Statuses are notes beside the values; blobs are whole; facts do not count."""
    store = Store.create(tmp_path / "store")
    first = begin(store)
    first = store.save(
        "run-1",
        {
            ("steps", "plan"): value({"tasks": [{"title": "a"}, {"title": "b"}]}, note="running"),
            ("steps", "gone"): value(1),
            ("steps", "bytes"): value({"raw": b"1"}),
            ("steps", "mark"): note("x"),
            ("steps", "same"): value("same"),
        },
        parent=first,
    )
    store.save(
        "run-2",
        {
            ("steps", "plan"): value({"tasks": [{"title": "a"}, {"title": "c"}]}, note="done"),
            ("steps", "gone"): None,
            ("steps", "bytes"): value({"raw": b"2"}),
            ("steps", "mark"): note("y"),
            ("definition", "flow.yaml"): blob(b"version: 2\n"),
            **step(3),
        },
        parent=first,
        facts={("host",): note("elsewhere")},
    )

    changes = list(store.diff("run-1", "run-2"))

    assert [
        (("definition", "flow.yaml"), (), "changed", b"version: 1\n", b"version: 2\n"),
        (("steps", "bytes"), ("raw",), "changed", b"1", b"2"),
        (("steps", "gone"), (), "removed", 1, MISSING),
        (("steps", "mark"), (), "changed", "x", "y"),
        (("steps", "plan"), (), "changed", "running", "done"),
        (("steps", "plan"), ("tasks", 1, "title"), "changed", "b", "c"),
        (("steps", "step3"), (), "added", MISSING, {"out": 3}),
    ] == shown(changes)
    assert ["data", "value", "value", "note", "note", "value", "value"] == [
        it.part for it in changes
    ]
    assert changes[-1].before is None
    assert changes[-1].after is not None
    assert changes[-1].after.note.endswith('"status":"done"}')


def test_a_value_with_its_keys_in_another_order_is_a_change(tmp_path: Path) -> None:
    """No leaf differs, but the stored values do: to say nothing would be wrong."""
    store = Store.create(tmp_path / "store")
    first = store.save("old", {("it",): value({"a": 1, "b": 2})}, parent=None)
    store.save("new", {("it",): value({"b": 2, "a": 1})}, parent=first)

    assert [(("it",), (), "changed", {"a": 1, "b": 2}, {"b": 2, "a": 1})] == shown(
        list(store.diff("old", "new"))
    )


def test_bytes_that_became_a_value_are_a_change(tmp_path: Path) -> None:
    """Both can be the same object."""
    store = Store.create(tmp_path / "store")
    first = store.save("old", {("it",): blob(b"1")}, parent=None)
    store.save("new", {("it",): value(1)}, parent=first)

    assert [(("it",), (), "changed", b"1", 1)] == shown(list(store.diff("old", "new")))
