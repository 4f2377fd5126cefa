"""Exports that say much in few bytes, or hold what no restore would take: refused at import, and
quickly.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.stores import begin, take_in
from maverick.checkpoints import (
    Checkpoint,
    Content,
    Snapshot,
    Store,
    blob,
    existing,
    exports,
    imports,
    value,
)
from maverick.checkpoints.disk import sealed
from maverick.checkpoints.incoming import MOST_BYTES
from maverick.checkpoints.objects import pack_records, pack_writer, packs
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, TreeId, blob_id, tree_id
from maverick.checkpoints.objects.pack_records import NewObject, list_data, shorten
from maverick.checkpoints.objects.pack_writer import PackWriter
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE, Item
from maverick.checkpoints.trees import folders, tree_nodes
from maverick.checkpoints.trees.folders import Path as Names
from maverick.checkpoints.trees.tree_nodes import Child, Entry, Fan, LeafNode, Node, encode_node
from maverick.checkpoints.workspace import diff_files, open_workspace, plan_copy, plan_restore
from maverick.errors import StoreDamaged, UsageError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "there")


def _put(store: Store, node: Node) -> Entry:
    """Store a tree node as it is; gives an entry of it."""
    data = encode_node(node)
    store.objects.write([NewObject(ObjectKind.TREE, tree_id(data), data)])
    return Entry("tree", tree_id(data), node.size)


def _save(store: Store, changes: dict[Names, Content | None]) -> Checkpoint:
    return store.save("run-1", changes, parent=begin(store), kind="final")


def _bomb(store: Store, levels: int, text: bytes = b"", *, top: str = "workspace") -> Checkpoint:
    """A checkpoint of a folder with ten names for one folder with ten names, and so on."""
    store.objects.write([NewObject(ObjectKind.BLOB, blob_id(text), text)])
    entry = Entry("blob", blob_id(text), len(text))
    for _ in range(levels):
        entry = _put(store, LeafNode({f"n{number}": entry for number in range(10)}))
    return _save(store, {(top,): existing(entry)})


# --- as many names as one likes -------------------------------------------------------------------


@pytest.mark.parametrize("top", ["workspace", "artifacts", "steps", "definition"])
def test_one_folder_under_many_names_is_counted_and_refused(
    store: Store, there: Store, tmp_path: Path, top: str
) -> None:
    """Twelve levels are a million million files, in some kilobytes."""
    exports.export(store, _bomb(store, 12, top=top), tmp_path / "bomb")

    with pytest.raises(
        UsageError,
        match=r"bomb is refused: .* holds 1,111,111,111,\d+ names .*; --any-size takes it",
    ):
        take_in(there, tmp_path / "bomb")
    assert [] == there.refs()

    take_in(there, tmp_path / "bomb", any_size=True)
    assert [] == list(there.check(read_data=True))


def test_many_bytes_are_refused_though_the_names_are_few(
    store: Store, there: Store, tmp_path: Path
) -> None:
    exports.export(store, _bomb(store, 6, b"x" * 2_000_000), tmp_path / "bomb")

    with pytest.raises(
        UsageError, match=r"and 2,000,000,000,\d+ bytes, more than anybody could restore"
    ):
        take_in(there, tmp_path / "bomb")


def test_some_repetition_is_no_bomb(store: Store, there: Store, tmp_path: Path) -> None:
    """A folder may be there a thousand times."""
    exports.export(store, _bomb(store, 3, b"text"), tmp_path / "run")

    take_in(there, tmp_path / "run")
    plan_copy(there, there.load("run-1"), tmp_path / "copy").execute()

    assert 1000 == sum(path.is_file() for path in (tmp_path / "copy").rglob("*"))


def test_nothing_walks_through_all_names_of_a_bomb(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a store that has one: what needs all names says that they are too many, what does not is
    quick.
    """
    monkeypatch.setattr("maverick.checkpoints.trees.folders.COUNTED_FROM", 1000)
    at = _bomb(store, 12)
    folder = tmp_path / "project"
    folder.mkdir()
    workspace = open_workspace(folder, git=False)

    for plan in (
        lambda: plan_restore(store, store.snapshot(at), workspace),
        lambda: plan_copy(store, store.snapshot(at), tmp_path / "c"),
    ):
        with pytest.raises(
            UsageError,
            match=r"holds 1,111,111,111,110 files and folders, more than can be restored",
        ):
            plan()
    plan_copy(store, store.snapshot(at), tmp_path / "part", ["/".join(["n1"] * 10)]).execute()
    assert 100 == sum(path.is_file() for path in (tmp_path / "part").rglob("*"))
    with pytest.raises(
        UsageError, match=r"more than 1,000 names differ, of 1,111,111,111,110 on both sides"
    ):
        for _ in diff_files(store, store.load("run-1~1"), store.snapshot(at)):
            pass
    assert [] == list(diff_files(store, store.snapshot(at), store.snapshot(at)))
    store.tag("run-1", "kept", at)
    store.save("fork", {("output",): value(1)}, parent=at)
    store.plan_gc().execute()
    assert [] == list(store.check(read_data=True))


TREES = st.recursive(
    st.just(None),
    lambda inner: st.dictionaries(st.text("abc", min_size=1), inner, min_size=1, max_size=4),
)


@given(TREES, st.booleans())
@settings(max_examples=60)
def test_counting_is_walking(tree: dict[str, object] | None, wide: bool) -> None:
    """Each node is read once for the one, each path once for the other."""
    nodes = _Nodes()
    top: dict[str, object] = {
        "x": tree,
        **{str(number): tree for number in range(100 if wide else 1)},
    }
    root = nodes.make(top)

    assert folders.count_paths(nodes, root) == len(list(folders.walk(nodes, root)))
    paths = [path for path, _ in folders.walk(nodes, root)]
    assert sorted(paths) == sorted(_paths(top))
    places = {path: place for place, path in enumerate(paths)}
    assert all(places[path[:-1]] < place for path, place in places.items() if path[:-1])


def _paths(tree: dict[str, object], above: Names = ()) -> list[Names]:
    found: list[Names] = []
    for name, inner in tree.items():
        found.append((*above, name))
        if isinstance(inner, dict):
            found += _paths(inner, (*above, name))
    return found


class _Nodes:
    """Nodes in memory."""

    def __init__(self) -> None:
        self._nodes: dict[TreeId, Node] = {}

    def node(self, node_id: TreeId) -> Node:
        return self._nodes[node_id]

    def make(self, tree: dict[str, object]) -> TreeId:
        content: dict[str, Entry] = {}
        for name, inner in tree.items():
            is_folder = isinstance(inner, dict)
            content[name] = (
                Entry("tree", self.make(inner), 0)
                if is_folder
                else Entry("note", tree_nodes.NO_OBJECT, 0, "x")
            )
        made = folders.make(content)
        self._nodes |= {node.id: node.node for node in made.nodes}
        return made.root


# --- what is decompressed, and lists of chunks ----------------------------------------------------

ZEROS = bytes(200_000)
CHUNK = NewObject(ObjectKind.BLOB, blob_id(ZEROS), ZEROS)


def _crafted(store: Store, objects: list[NewObject], to: Path) -> None:
    """Write an export of a small run with *objects* behind its own."""
    exports.export(store, _save(store, {}), to)
    data = to.read_bytes()
    end = len(data) - 16 - int.from_bytes(data[-16:-8])
    said = sealed.unseal(data[end:-16])
    assert said is not None
    own = packs.open_sealed(f"{said['pack']}.pack", end, lambda at, n: data[:end][at : at + n])
    parts: list[bytes] = []
    writer = PackWriter(parts.append, bytes(16))
    for item in own.items(content=True):
        assert isinstance(item, Item)
        writer.add(NewObject(item.kind, item.id, item.data))
    for new in objects:
        writer.add(new)
    head = sealed.seal({**said, "pack": writer.finish()})
    to.write_bytes(b"".join(parts) + head + len(head).to_bytes(8) + b"MVRKRUN\n")


def _list(name: str, items: list[tuple[ObjectId, int]]) -> tuple[NewObject, tuple[ObjectId, int]]:
    """A list of *items*, and what another one would say of it."""
    blob = blob_id(name.encode())  # of what it says it holds nobody knows the hash
    return NewObject(ObjectKind.LIST, blob, list_data(items)), (blob, sum(n for _, n in items))


def _id(number: int) -> ObjectId:
    """The id of the list before the list called *number*."""
    return blob_id(b"%d" % number) if number >= 0 else CHUNK.id


def test_lists_of_lists_of_chunks_are_refused_before_they_are_read(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """Some kilobytes that name a chunk of zeros again and again are terabytes."""
    inner, named = _list("inner", [(CHUNK.id, len(ZEROS))] * 2_000)
    outer, _ = _list("outer", [named] * 4_000)
    _crafted(store, [CHUNK, inner, outer], tmp_path / "bomb")

    assert (tmp_path / "bomb").stat().st_size < 20_000
    with pytest.raises(
        UsageError,
        match=r"bomb is refused: 1,6\d\d,\d+,\d+,\d+ bytes have to be read to verify it, more",
    ):
        take_in(there, tmp_path / "bomb")


def test_a_list_that_leaps_between_records_costs_these(
    store: Store, there: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chunk is some bytes, but a whole record is decompressed for it."""
    monkeypatch.setattr("maverick.checkpoints.incoming.MOST_BYTES", 1 << 30)
    blobs = [bytes([n]) * 1_000_000 for n in range(6)]
    chunks = [NewObject(ObjectKind.BLOB, blob_id(data), data) for data in blobs]
    small = [NewObject(ObjectKind.BLOB, blob_id(bytes([n])), bytes([n])) for n in range(6)]
    filled = [item for pair in zip(small, chunks, strict=True) for item in pair]
    leaping, _ = _list("leaping", [(small[0].id, 1), (small[5].id, 1)] * 300)
    _crafted(store, [*filled, leaping], tmp_path / "bomb")

    with pytest.raises(UsageError, match=r"1,2\d\d,\d+,\d+ bytes have to be read to verify it"):
        take_in(there, tmp_path / "bomb")


def test_what_does_not_fit_into_memory_is_refused(
    store: Store, there: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not decompressed beyond the limit."""
    monkeypatch.setattr("maverick.checkpoints.incoming.MOST_HELD_BYTES", 3_000_000)
    large = bytes(3_000_001)
    bomb = NewObject(ObjectKind.BLOB, blob_id(large), large)
    _crafted(store, [bomb], tmp_path / "bomb")

    with pytest.raises(
        UsageError, match=r"one part of it has more than 3,000,000 bytes; --any-size takes it"
    ):
        take_in(there, tmp_path / "bomb")
    assert [] == there.refs()

    take_in(there, tmp_path / "bomb", any_size=True)
    assert large == there.read(bomb.id)


@pytest.mark.parametrize("any_size", [False, True])
def test_a_record_that_holds_more_than_exports_write_is_refused(
    store: Store, there: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, any_size: bool
) -> None:
    """A small object in it would cost as much as the large one, again and again."""
    monkeypatch.setattr(pack_writer, "MOST_SHARED_BYTES", 1 << 40)
    large = bytes(30_000_000)
    bomb = [CHUNK, NewObject(ObjectKind.BLOB, blob_id(large), large)]
    _crafted(store, bomb, tmp_path / "bomb")

    assert (tmp_path / "bomb").stat().st_size < 20_000
    with pytest.raises(StoreDamaged, match="a record holds more than anybody wrote"):
        take_in(there, tmp_path / "bomb", any_size=any_size)


def test_an_object_that_grows_too_much_when_its_ids_are_written_out_is_refused(
    store: Store, there: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes stand for 66, and there may be as many as one likes."""
    monkeypatch.setattr("maverick.checkpoints.incoming._MOST_NODE_BYTES", 1 << 20)
    bomb, _ = _list("bomb", [(CHUNK.id, len(ZEROS))] * 40_000)
    _crafted(store, [CHUNK, bomb], tmp_path / "bomb")

    with pytest.raises(UsageError, match="one part of it has more than 1,048,576 bytes"):
        take_in(there, tmp_path / "bomb")


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([CHUNK, CHUNK], "holds object [0-9a-f]{12} twice"),
        (
            [_list("a", [(blob_id(b"b"), 1)])[0], _list("b", [])[0]],
            "names [0-9a-f]{12}, which is not bef",
        ),
        ([CHUNK, _list("a", [(CHUNK.id, 7)])[0]], "has another length than its list says"),
        ([CHUNK, _list("a", [(CHUNK.id, len(ZEROS))])[0]], "its chunks hash to"),
        ([CHUNK._replace(id=blob_id(b"other"))], "object [0-9a-f]{12} has another hash"),
        (
            [NewObject(ObjectKind.TREE, tree_id(b"{}"), encode_node(LeafNode({})) + b" ")],
            "object [0-9a-f]{12} has another hash",
        ),
        ([CHUNK, NewObject(ObjectKind.LIST, blob_id(b"a"), b"[ ]")], "is not written canonically"),
        ([CHUNK, NewObject(ObjectKind.LIST, blob_id(b"a"), b"{")], "its list of chunks cannot"),
        ([NewObject(ObjectKind.LIST, blob_id(b"a"), b"[" * 100_000)], "its list of chunks cannot"),
        ([CHUNK, _list("a", [(CHUNK.id, 10**4000)])[0]], "its list of chunks cannot"),
        (
            [CHUNK, *(_list(f"{n}", [(_id(n - 1), 1)] * 2)[0] for n in range(10))],
            "is a list of lists of lists",
        ),
    ],
)
def test_a_pack_that_no_export_would_write_is_refused(
    store: Store, there: Store, tmp_path: Path, objects: list[NewObject], message: str
) -> None:
    """Though all its checks fit, since whoever made it made these, too."""
    _crafted(store, objects, tmp_path / "run")

    with pytest.raises(StoreDamaged, match=f"run is damaged: .*{message}.*; nothing was imported"):
        take_in(there, tmp_path / "run")
    assert ([], []) == (there.refs(), there.objects.packs.listed())


def test_a_number_of_what_is_not_before_it_is_refused(
    store: Store, there: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pack_records, "shorten", lambda data, known, _: shorten(data, known, 1 << 32)
    )
    below = encode_node(LeafNode({}))
    above = encode_node(LeafNode({"a": Entry("tree", tree_id(below), 0)}))
    trees = [NewObject(ObjectKind.TREE, tree_id(data), data) for data in (above, below)]
    _crafted(store, trees, tmp_path / "run")

    with pytest.raises(StoreDamaged, match="names one that is not before it"):
        take_in(there, tmp_path / "run")


def test_verifying_tells_how_far_it_is(store: Store, there: Store, tmp_path: Path) -> None:
    """Up to all of it, and never back."""
    exports.export(store, _save(store, {("large",): blob(os.urandom(900_000))}), tmp_path / "run")
    told: list[tuple[int, int]] = []

    take_in(there, tmp_path / "run", progress=lambda done, total: told.append((done, total)))

    assert told == sorted(told)
    assert {told[-1][0]} == {total for _, total in told}
    assert MOST_BYTES > told[-1][1] > 1_800_000


# --- what does not fit together, or leads out -----------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        Entry("blob", blob_id(b"x"), 7),
        Entry("tree", tree_id(encode_node(LeafNode({"a": Entry("blob", blob_id(b"x"), 1)}))), 0),
    ],
)
def test_what_says_a_wrong_size_of_another_is_refused(
    store: Store, there: Store, tmp_path: Path, entry: Entry
) -> None:
    """Else it would be counted as less than it is; also where the first that names it says the
    right one.
    """
    store.objects.write([NewObject(ObjectKind.BLOB, blob_id(b"x"), b"x")])
    _put(store, LeafNode({"a": Entry("blob", blob_id(b"x"), 1)}))
    right = Entry(entry.kind, entry.id, 1)
    top = _put(store, LeafNode({"a": right, "b": entry}))
    exports.export(store, _save(store, {("workspace",): existing(top)}), tmp_path / "run")

    with pytest.raises(
        StoreDamaged, match="has another size than what names it says; nothing was imported"
    ):
        take_in(there, tmp_path / "run")


def test_wide_folders_that_share_their_parts_are_refused(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """Each part of a wide folder belongs to one digit; a chain of them would be looked at along
    every path.
    """
    names = {f"{number}": Entry("note", tree_nodes.NO_OBJECT, 0, "040000") for number in range(48)}
    entry = _put(store, LeafNode(dict(sorted(names.items()))))
    count = 48
    for _ in range(20):
        child = Child(TreeId(entry.id), count, 0)
        entry, count = _put(store, Fan({"0": child, "1": child})), 2 * count
    at = _save(store, {("artifacts",): existing(_put(store, LeafNode({"s": entry})))})
    exports.export(store, at, tmp_path / "run")

    with pytest.raises(StoreDamaged, match=r"is not well-formed: .* stands under 0"):
        take_in(there, tmp_path / "run")
    assert {"object-malformed"} == {it.kind for it in store.check()}


@pytest.mark.parametrize("top", ["workspace", "artifacts"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".g\u200cit", blob(b"[core]")),
        (".Git", blob(b"[core]")),
        (".MAVERICK", blob(b"x")),
        ("..", blob(b"x")),
        ("a/b", blob(b"x")),
        ("value", value(1)),
        ("mode", blob(b"x", note="100600")),
    ],
)
def test_what_restoring_would_refuse_is_refused_at_once(
    store: Store, there: Store, tmp_path: Path, top: str, name: str, content: Content
) -> None:
    """Else the run would be here, and its files could never be used."""
    at = _save(store, {(top, "step", name): content})
    exports.export(store, at, tmp_path / "run")

    with pytest.raises(UsageError, match="run is refused: no file of a project can be called"):
        take_in(there, tmp_path / "run")
    assert [] == there.refs()


def test_a_step_with_artifacts_may_be_called_anything(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """Its path is no name of a file."""
    at = _save(store, {("artifacts", 'loop["../.git"].x', "report.txt"): blob(b"x")})
    exports.export(store, at, tmp_path / "run")

    assert at.id == take_in(there, tmp_path / "run").checkpoint


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "what"), [(_fifo, "a FIFO"), (Path.mkdir, "a folder"), (_socket, "")]
)
def test_what_is_no_file_is_not_waited_for(
    there: Store, tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    """A FIFO would be read when somebody writes to it."""
    make(tmp_path / "run")

    with pytest.raises(
        UsageError,
        match=f"run is {what}, not the file of a run" if what else "cannot read .*/run: ",
    ):
        take_in(there, tmp_path / "run")


@pytest.mark.parametrize("kind", [ObjectKind.BLOB, ObjectKind.TREE])
def test_a_file_that_is_altered_behind_its_verification_is_refused(
    store: Store, there: Store, tmp_path: Path, kind: ObjectKind
) -> None:
    """What was verified is compared once more as it is copied."""
    exports.export(store, _save(store, {("large",): blob(os.urandom(300_000))}), tmp_path / "run")
    data = bytearray((tmp_path / "run").read_bytes())
    end = len(data) - 16 - int.from_bytes(data[-16:-8])
    said = sealed.unseal(bytes(data[end:-16]))
    assert said is not None
    own = packs.open_sealed(
        f"{said['pack']}.pack", end, lambda at, n: bytes(data[:end])[at : at + n]
    )
    stream = CONTENT if kind is ObjectKind.BLOB else STRUCTURE
    offset, length = stream.place(own.records[0])

    def alter(_: Snapshot) -> None:
        with (tmp_path / "run").open("r+b") as file:
            file.seek(offset + length // 2)
            file.write(b"altered")

    with pytest.raises(StoreDamaged, match=r"run is damaged: .*; nothing was imported"):
        imports.take_in(lambda: there, tmp_path / "run", check=alter)

    assert ([], []) == (there.refs(), there.objects.packs.listed())
    assert [] == list((there.root / "tmp").iterdir())
