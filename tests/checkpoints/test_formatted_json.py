"""What is formatted by hand at each save: its bytes are those of the canonical encoder."""

from __future__ import annotations

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, TreeId
from maverick.checkpoints.refs.refs import LOG_LENGTH, Position, Ref, encode_ref
from maverick.checkpoints.trees import folders
from maverick.checkpoints.trees.checkpoint import (
    CHECKPOINT_KINDS,
    NO_CHECKPOINT,
    Checkpoint,
    encode_checkpoint,
)
from maverick.checkpoints.trees.tree_nodes import Child, Entry, Fan, LeafNode, Node, encode_node

TEXTS = st.text(
    st.characters(exclude_categories=[])
    | st.sampled_from('\0\n\x1f"\\/\x7f\u2028\ud83d\ude00\udcff')
)
NAMES = st.binary(min_size=1, max_size=8).map(lambda name: name.decode("utf-8", "surrogateescape"))
IDS = st.integers(0, 2**256 - 1).map(lambda number: ObjectId(f"{number:064x}"))
NUMBERS = st.integers(0, 2**53 - 1)
KINDS = st.sampled_from(sorted(CHECKPOINT_KINDS))
CHECKPOINTS = IDS.map(CheckpointId)
LINKS = CHECKPOINTS | st.just(NO_CHECKPOINT)
ENTRIES = st.one_of(
    st.builds(Entry, st.sampled_from(["blob", "value", "bundle", "tree"]), IDS, NUMBERS, TEXTS),
    st.builds(Entry, st.just("note"), st.just(ObjectId("")), st.just(0), TEXTS),
)


@given(TEXTS)
def test_a_text_is_quoted_as_the_encoder_spells_it(text: str) -> None:
    """Control characters and what is half a character, too."""
    assert sealed.encode(text) == sealed.to_bytes(sealed.quote(text))


@given(st.dictionaries(NAMES, ENTRIES, max_size=60))
def test_a_narrow_node_is_written_canonically(entries: dict[str, Entry]) -> None:
    """Whatever bytes its names have, and in whatever order it has them."""
    assert _canonical(LeafNode(entries)) == encode_node(LeafNode(entries))


@given(
    st.dictionaries(
        st.sampled_from("0123456789abcdef"),
        st.builds(Child, IDS.map(TreeId), NUMBERS, NUMBERS),
    )
)
def test_a_wide_node_is_written_canonically(children: dict[str, Child]) -> None:
    """In whatever order it has its children."""
    assert _canonical(Fan(children)) == encode_node(Fan(children))


class _DecodedNodes:
    """Nodes as they were made."""

    def __init__(self) -> None:
        self.made: dict[TreeId, Node] = {}

    def node(self, node_id: TreeId) -> Node:
        return self.made[node_id]

    def put(self, root: TreeId | None, changes: dict[folders.Path, Entry | None]) -> TreeId:
        """Update *root*, keeping the new nodes, which must be canonical."""
        update = folders.update(self, root, changes)
        for new in update.nodes:
            assert _canonical(new.node) == new.data
            self.made[new.id] = new.node
        return update.root


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3000), st.randoms(use_true_random=False), st.lists(ENTRIES, min_size=1))
@example(3000, Random(1), [Entry("note", ObjectId(""), 0, "\udcff")])
def test_a_folder_made_at_once_has_the_id_of_one_made_entry_by_entry(
    count: int, random: Random, entries: list[Entry]
) -> None:
    """In any order, up to 3,000 entries of all kinds, with names that are no UTF-8."""
    names = [b"\xff%d" % number for number in range(count)]
    content = {
        name.decode("utf-8", "surrogateescape"): entries[number % len(entries)]
        for number, name in enumerate(names)
    }
    nodes = _DecodedNodes()
    root = nodes.put(None, {})
    order = list(content)
    random.shuffle(order)
    for name in order:
        root = nodes.put(root, {(name,): content[name]})

    assert folders.make(content).root == root
    assert nodes.put(None, {(name,): entry for name, entry in content.items()}) == root


@given(
    st.builds(
        Checkpoint,
        id=st.just(NO_CHECKPOINT),
        run=TEXTS,
        sequence=NUMBERS,
        kind=KINDS,
        label=TEXTS,
        step=TEXTS,
        group=TEXTS,
        created=NUMBERS,
        tree=IDS.map(TreeId),
        facts=IDS.map(TreeId),
        parent=LINKS,
        labelled=LINKS,
    )
)
def test_a_checkpoint_is_written_canonically(checkpoint: Checkpoint) -> None:
    """Its id is a function of what it says."""
    fields = checkpoint._asdict()
    del fields["id"]

    assert sealed.encode({**fields, "format": 1}) == encode_checkpoint(checkpoint)


REFS = st.builds(
    Ref,
    run=TEXTS,
    group=TEXTS,
    checkpoint=CHECKPOINTS,
    tree=IDS.map(TreeId),
    sequence=NUMBERS,
    kind=KINDS,
    step=TEXTS,
    started=NUMBERS,
    updated=NUMBERS,
    bytes=NUMBERS,
    labelled=LINKS,
    positions=st.lists(
        st.builds(Position, CHECKPOINTS, NUMBERS, NUMBERS, TEXTS, KINDS, TEXTS),
        max_size=LOG_LENGTH,
    ).map(tuple),
    tags=st.dictionaries(TEXTS, CHECKPOINTS, max_size=3),
    order=NUMBERS,
    summary=st.dictionaries(TEXTS, TEXTS | NUMBERS | st.lists(TEXTS, max_size=2), max_size=3),
)


@given(REFS)
def test_a_ref_is_written_canonically(ref: Ref) -> None:
    """A number of 0 and an empty summary are left out."""
    fields = {**ref._asdict(), "positions": list(map(list, ref.positions)), "format": 1}
    for name in ("order", "summary"):
        if not fields[name]:
            del fields[name]

    assert sealed.seal(fields) == encode_ref(ref)


def _canonical(node: Node) -> bytes:
    """Give the bytes of *node* as `docs/format.md` defines them."""
    if isinstance(node, LeafNode):
        rows = {
            name: [entry.kind, entry.id, entry.size, *([entry.note] if entry.note else [])]
            for name, entry in node.entries.items()
        }
        return sealed.encode({"entries": rows})
    children = {
        nibble: [child.id, child.count, child.size] for nibble, child in node.children.items()
    }
    return sealed.encode({"fan": children})
