"""Folders that split themselves, against a plain dictionary."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectId, TreeId
from maverick.checkpoints.trees.folders import (
    WIDTH,
    Path,
    Update,
    entries,
    lookup,
    scan,
    subtrees,
    update,
    walk,
)
from maverick.checkpoints.trees.tree_nodes import (
    Entry,
    Fan,
    LeafNode,
    Node,
    encode_node,
    parse_node,
)
from maverick.errors import UsageError


class MemoryNodes:
    """Nodes as they are stored: their bytes by id."""

    def __init__(self) -> None:
        self.stored: dict[TreeId, bytes] = {}

    def node(self, node_id: TreeId) -> Node:
        return parse_node(node_id, self.stored[node_id])

    def apply(self, root: TreeId | None, changes: dict[Path, Entry | None]) -> Update:
        """Update *root*, keeping the new nodes; those must come children first."""
        made = update(self, root, changes)
        for new in made.nodes:
            assert self.stored.keys() >= set(subtrees(new.node))
            self.stored[new.id] = new.data
        return made


def _entry(number: int) -> Entry:
    return Entry("blob", ObjectId(f"{number:064x}"), number)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
CHANGES = st.dictionaries(PATHS, st.none() | st.integers(0, 5).map(_entry), max_size=12)


def _model_apply(model: dict[Path, Entry], changes: dict[Path, Entry | None]) -> dict[Path, Entry]:
    """A folder is the paths of what is not a folder."""
    after = dict(model)
    for path, entry in sorted(changes.items(), key=lambda change: len(change[0])):
        for other in list(after):
            if other[: len(path)] == path or (path[: len(other)] == other and entry is not None):
                del after[other]
        if entry is not None:
            after[path] = entry
    return after


def _consistent(changes: dict[Path, Entry | None]) -> dict[Path, Entry | None]:
    """Drop the changes below a path that is set to something: no update may hold both."""
    set_paths = {path for path, entry in changes.items() if entry is not None}
    return {
        path: entry
        for path, entry in changes.items()
        if not any(path[:n] in set_paths for n in range(1, len(path)))
    }


@given(st.lists(CHANGES, max_size=6))
def test_a_folder_holds_what_a_dictionary_would(history: list[dict[Path, Entry | None]]) -> None:
    """Whatever is set and removed, at any depth, in any order."""
    nodes, root, model = MemoryNodes(), None, {}
    for changes in map(_consistent, history):
        root = nodes.apply(root, changes).root
        model = _model_apply(model, changes)
    if root is None:
        return

    held = {path: entry for path, entry in walk(nodes, root) if entry.kind != "tree"}
    assert dict(sorted(model.items())) == dict(sorted(held.items()))
    assert nodes.apply(None, dict(model)).root == root


@settings(max_examples=40)
@given(st.sets(st.integers(0, 400), max_size=300), st.sets(st.integers(0, 400), max_size=300))
def test_equal_content_has_equal_ids_whatever_the_history(
    first: set[int], second: set[int]
) -> None:
    """Wide folders too: splitting on the way up and merging on the way down end in the same
    form.
    """
    nodes = MemoryNodes()
    names = {number: (f"steps[{number}]",) for number in first | second}

    direct = nodes.apply(None, {names[n]: _entry(n) for n in second})
    root = nodes.apply(None, {names[n]: _entry(n + 1) for n in first}).root
    for batch in (sorted(second - first), sorted(second & first)):
        root = nodes.apply(root, {names[n]: _entry(n) for n in batch}).root
    over = nodes.apply(root, {names[n]: None for n in first - second})

    assert (direct.root, direct.size) == (over.root, over.size)
    assert {names[n][0]: _entry(n) for n in second} == entries(nodes, over.root)


def test_a_folder_splits_with_its_49th_entry_and_merges_without_it() -> None:
    """The stored form is a function of the entries alone."""
    nodes = MemoryNodes()
    full = nodes.apply(None, {(f"{n}",): _entry(n) for n in range(WIDTH)})
    wide = nodes.apply(full.root, {("more",): _entry(99)})
    narrow = nodes.apply(wide.root, {("more",): None})

    assert isinstance(nodes.node(full.root), LeafNode)
    assert isinstance(nodes.node(wide.root), Fan)
    assert (full.root, full.size) == (narrow.root, narrow.size)


def test_no_node_is_wider_than_48_and_every_fan_has_more_below() -> None:
    """Narrow nodes are what makes a save cheap."""
    nodes = MemoryNodes()
    root = nodes.apply(None, {(f"{n}",): _entry(n) for n in range(3000)}).root

    todo = [root]
    while todo:
        node = nodes.node(todo.pop())
        if isinstance(node, Fan):
            assert node.count > WIDTH
            assert all(
                child.count == nodes.node(child.id).count for child in node.children.values()
            )
            assert all(child.size == nodes.node(child.id).size for child in node.children.values())
            todo += [child.id for child in node.children.values()]
        else:
            assert len(node.entries) <= WIDTH


def test_changing_one_of_10000_entries_makes_a_few_narrow_nodes() -> None:
    """Cost grows with what changed, not with what exists."""
    nodes = MemoryNodes()
    root = nodes.apply(None, {("steps", f"step{n}"): _entry(n) for n in range(10_000)}).root

    made = nodes.apply(root, {("steps", "step77"): _entry(1)})

    assert 4 == len(made.nodes)
    assert sum(len(new.data) for new in made.nodes) < 10_000
    assert 10_000 == len(entries(nodes, TreeId(lookup(nodes, made.root, ("steps",)).id)))  # type: ignore[union-attr]


def test_lookup_finds_each_entry_of_a_wide_folder_and_nothing_else() -> None:
    """By the nibbles of the name's hash, not by listing."""
    nodes = MemoryNodes()
    root = nodes.apply(None, {(f"{n}",): _entry(n) for n in range(1000)}).root

    assert [_entry(n) for n in range(1000)] == [lookup(nodes, root, (f"{n}",)) for n in range(1000)]
    assert [None, None] == [lookup(nodes, root, ("1000",)), lookup(nodes, root, ("1", "x"))]
    assert {f"{n}" for n in range(1000)} == {name for name, _ in scan(nodes, root)}


def test_entries_and_walk_are_in_the_order_of_names() -> None:
    """Listings and diffs must not depend on hashes."""
    nodes = MemoryNodes()
    root = nodes.apply(
        None, {("d", f"{n}"): _entry(n) for n in range(100)} | {("a",): _entry(1)}
    ).root

    paths = [path for path, _ in walk(nodes, root)]
    assert all(a < b for a, b in pairwise(paths))


def test_an_emptied_folder_disappears() -> None:
    """As in git: a folder is what is in it."""
    nodes = MemoryNodes()
    root = nodes.apply(None, {("a", "b", "c"): _entry(1), ("x",): _entry(2)}).root
    root = nodes.apply(root, {("a", "b", "c"): None}).root

    assert ["x"] == list(entries(nodes, root))


def test_a_folder_can_be_replaced_in_one_update() -> None:
    """Removed, and filled again: nothing of the former content is left."""
    nodes = MemoryNodes()
    root = nodes.apply(None, {("a", "old"): _entry(1)}).root
    root = nodes.apply(root, {("a",): None, ("a", "new"): _entry(2)}).root

    assert ["new"] == list(entries(nodes, TreeId(lookup(nodes, root, ("a",)).id)))  # type: ignore[union-attr]


def test_a_stored_folder_can_be_put_elsewhere_and_changed() -> None:
    """Without reading what is in it."""
    nodes = MemoryNodes()
    root = nodes.apply(None, {("a", "x"): _entry(1)}).root
    folder = lookup(nodes, root, ("a",))
    root = nodes.apply(root, {("b",): folder, ("b", "y"): _entry(2)}).root

    assert [("a",), ("a", "x"), ("b",), ("b", "x"), ("b", "y")] == [
        path for path, _ in walk(nodes, root)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {(): _entry(1)},
        {("",): _entry(1)},
        {("a", ""): None},
        {("\ud800",): _entry(1)},
        {("\udcc3\udca9",): _entry(1)},
        {("a",): _entry(1), ("a", "b"): _entry(2)},
    ],
)
def test_paths_that_no_folder_can_hold_are_refused(changes: dict[Path, Entry | None]) -> None:
    """The last but one is é spelt as two undecodable bytes: two names for the same bytes."""
    with pytest.raises(UsageError):
        MemoryNodes().apply(None, changes)


def test_names_are_any_bytes() -> None:
    """A file's name need not be UTF-8."""
    nodes = MemoryNodes()
    names = ["\udcff\udcfe", "a/b", "\x00", "ü", "$x", " "]
    root = nodes.apply(None, {(name,): _entry(n) for n, name in enumerate(names)}).root

    assert sorted(names) == list(entries(nodes, root))


@given(st.dictionaries(NAMES, st.integers(0, 10**18).map(_entry)))
def test_encoding_what_was_decoded_gives_the_same_bytes(content: dict[str, Entry]) -> None:
    """The check of a store demands it of every tree."""
    nodes = MemoryNodes()
    made = nodes.apply(None, {(name,): entry for name, entry in content.items()})

    for new in made.nodes:
        assert new.data == encode_node(parse_node(new.id, new.data))
        assert new.id == ids.tree_id(new.data)
