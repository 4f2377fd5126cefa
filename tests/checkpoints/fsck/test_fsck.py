"""What a check of the store finds where nothing, or something other than a bit on the disk, is
wrong.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import begin, extend, flip
from maverick.checkpoints import CheckpointId, ObjectId, Store, TreeId, blob, note, value
from maverick.checkpoints.disk import layout, sealed
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.fsck.check import check
from maverick.checkpoints.fsck.findings import Finding
from maverick.checkpoints.objects import ids, segments
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject, list_data
from maverick.checkpoints.objects.segments import Item
from maverick.checkpoints.refs.refs import encode_ref
from maverick.checkpoints.trees import folders, tree_nodes
from maverick.checkpoints.trees.checkpoint import encode_checkpoint
from maverick.checkpoints.trees.tree_nodes import Fan, LeafNode
from maverick.errors import NotFound


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def kinds(findings: list[Finding]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(it.severity, it.kind, it.runs) for it in findings]


def rewrite_ref(store: Store, run: str, **fields: object) -> None:
    changed = store.ref(run)._replace(**fields)  # type: ignore[arg-type]
    (store.root / "refs" / run).write_bytes(encode_ref(changed))


def delete_pack_of(store: Store, object_id: str) -> None:
    place = store.objects.packs.find(ObjectId(object_id))
    assert place is not None
    (store.root / "objects" / place.pack.file).unlink()


def test_a_sound_store_has_no_findings(store: Store) -> None:
    """After saves, values of all kinds, wide folders, labels, forks, tags, drops and gc."""
    at = extend(store, begin(store), range(60))
    at = store.save(
        "run-1", {("bytes",): value([b"a", b"b"])}, parent=at, kind="label", label="here"
    )
    store.save("fork", {}, parent=at)
    store.tag("run-1", "good", at)
    extend(store, begin(store, "dropped"), range(3))
    store.drop("dropped")

    assert [] == list(store.check())
    store.plan_gc().execute()
    assert [] == list(store.check(read_data=True))


def test_an_empty_store_has_no_findings(store: Store) -> None:
    assert [] == list(store.check(read_data=True))


def test_where_there_is_no_store_there_is_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(check(tmp_path / "none"))


def test_the_quick_check_reads_no_content(store: Store) -> None:
    """Else it would take as long as the other one."""
    content = os.urandom(1 << 20)
    store.save("r", {("big",): blob(content)}, parent=None)

    class Measuring(Files):
        bytes_read = 0

        def pread_open(self, descriptor: int, offset: int, length: int) -> bytes:
            data = super().pread_open(descriptor, offset, length)
            self.bytes_read += len(data)
            return data

    files = Measuring()
    assert [] == list(check(store.root, files=files))
    assert files.bytes_read < len(content) / 50  # heads, and lists of chunks
    assert [] == list(check(store.root, files=files, read_data=True))
    assert files.bytes_read > len(content)


def test_each_block_is_decoded_once_and_again_where_a_ref_leads(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs are gone through in order; what the walk reads again is in the segments it keeps."""
    with store.own("run-1"):
        extend(store, begin(store), range(60))
        (pack,) = (it for it in store.objects.packs.listed() if it.is_open)
    store.appender.seal_all()
    structures = sum(record.structure > 0 for record in pack.records)
    contents = sum(record.content_bytes > 0 for record in pack.records)
    taken = 0
    take = segments.Decoder.take

    def counted(decoder: segments.Decoder, block: bytes, flags: int, most_bytes: int) -> bytes:
        nonlocal taken
        taken += bool(block)
        return take(decoder, block, flags, most_bytes)

    monkeypatch.setattr(segments.Decoder, "take", counted)
    assert [] == list(check(store.root))
    assert taken <= 2 * structures + 1  # and the directory
    taken = 0
    assert [] == list(check(store.root, read_data=True))
    assert taken <= 2 * structures + contents + 1


@pytest.mark.parametrize("which", ["chunk", "inner list", "list"])
def test_damage_to_a_part_of_a_large_blob_is_named_by_the_step(store: Store, which: str) -> None:
    """A list is compared with its chunks; a repair keeps what is whole of the others."""
    at = store.save("run-1", {("steps", "small"): value("kept")}, parent=None)
    content = random.Random(1).randbytes(4 << 20)
    at = store.save("run-1", {("steps", "large"): blob(content)}, parent=at)
    assert [] == list(store.check(read_data=True))
    lists = store.objects.chunks(ids.blob_id(content))
    inner = lists[0][0]
    chunk = store.objects.chunks(inner)[0][0]
    wrong = {"chunk": chunk, "inner list": inner, "list": ids.blob_id(content)}[which]
    place = store.objects.packs.find(wrong)
    assert place is not None
    objects = store.root / "objects"
    path = objects / place.pack.file
    if which == "chunk":
        flip(store, wrong, 1 << 14)
    else:  # lists whose chunks are others
        data = list_data(store.objects.chunks(wrong)[::-1])
        items = [it for it in place.pack.items(content=True) if isinstance(it, Item)]
        store.objects.write(
            NewObject(it.kind, it.id, data if it.id == wrong else it.data) for it in items
        )
        path.unlink()

    findings = list(Store.open(store.root).check(read_data=True))

    assert {("error", "object-corrupt", ("run-1",))} == set(kinds(findings))
    assert wrong in {it.object for it in findings}
    assert any("run-1 (steps/large)" in it.message for it in findings)
    Store.open(store.root).repair()
    assert [] == [it for it in store.check(read_data=True) if it.severity == "error"]
    assert "kept" == Store.open(store.root).load("run-1").value("steps/small")


def test_a_missing_blob_is_named_by_its_runs_and_steps(store: Store) -> None:
    """Two runs share it, a third has nothing to do with it."""
    lost = blob(b"lost")
    begin(store, "other")
    facts = {("host",): note("here")}  # else the three of them share the empty tree of facts
    seed = store.save("seed", {("x",): lost}, parent=None)
    at = store.save("run-1", {("steps", "plan"): lost}, parent=None, facts={**facts})
    store.save("fork", {}, parent=at)
    delete_pack_of(store, seed.id)
    (store.root / "refs" / "seed").unlink()

    (finding,) = store.check()

    assert ("error", "object-missing", ids.blob_id(b"lost")) == (
        finding.severity,
        finding.kind,
        finding.object,
    )
    assert ["fork", "run-1"] == sorted(finding.runs)
    assert "is missing; affects " in finding.message
    assert "run-1 (steps/plan)" in finding.message


def test_a_lost_ref_is_found_by_its_checkpoints(store: Store) -> None:
    """One that was dropped is not lost, and one of a first save that was killed has never been."""
    extend(store, begin(store, "lost"), range(1))
    extend(store, begin(store, "dropped"), range(1))
    begin(store, "killed")
    store.drop("dropped")
    (store.root / "refs" / "lost").unlink()
    (store.root / "refs" / "killed").unlink()

    assert [("error", "ref-missing", ("lost",))] == kinds(list(store.check()))


@pytest.mark.parametrize(
    "fields",
    [
        {"sequence": 7},
        {"group": "other"},
        {"kind": "final"},
        {"step": "elsewhere"},
        {"bytes": 1},
        {"positions": ()},
        {"labelled": CheckpointId(ObjectId("ab" * 32))},
        {"tree": TreeId(ObjectId("ab" * 32))},
    ],
)
def test_a_ref_must_fit_its_checkpoint(store: Store, fields: dict[str, object]) -> None:
    """It is sealed, so only a bug can have written it; listings believe it."""
    begin(store, "other")
    extend(store, begin(store), range(2))
    rewrite_ref(store, "run-1", **fields)

    findings = list(store.check())

    assert ("error", "ref", ("run-1",)) in kinds(findings)
    assert {("run-1",)} == {it.runs for it in findings if it.kind == "ref"}


def test_a_tag_that_leads_nowhere_is_found(store: Store) -> None:
    begin(store)
    rewrite_ref(store, "run-1", tags={"good": CheckpointId(ObjectId("ab" * 32))})

    assert [("error", "object-missing", ("run-1",))] == kinds(list(store.check()))


def save_raw(store: Store, kind: ObjectKind, data: bytes) -> ObjectId:
    object_id = ids.object_id(kind, data)
    store.objects.write([NewObject(kind, object_id, data)])
    return object_id


def stand_at(store: Store, run: str, tree: bytes) -> None:
    """Make the ref of *run* stand at a checkpoint whose tree has these bytes."""
    at = store.resolve(run)._replace(tree=TreeId(save_raw(store, ObjectKind.TREE, tree)))
    checkpoint = CheckpointId(save_raw(store, ObjectKind.CHECKPOINT, encode_checkpoint(at)))
    ref = store.ref(run)
    position = ref.positions[-1]._replace(checkpoint=checkpoint)
    size = tree_nodes.parse_node(at.tree, tree).size
    rewrite_ref(store, run, checkpoint=checkpoint, tree=at.tree, positions=(position,), bytes=size)


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        (b'{"entries": {}}', "not the canonical ones"),
        (b'{"fan":{}}', "holds 0 entries as a fan"),
        (b'{"entries":{"b":["note","",0,"x"],"a":["note","",0,"x"]}}', "not the canonical ones"),
    ],
)
def test_a_tree_must_be_canonical(store: Store, tree: bytes, why: str) -> None:
    """The same content would have two ids."""
    begin(store)
    stand_at(store, "run-1", tree)

    findings = list(store.check())

    assert {("error", "object-malformed", ("run-1",))} == set(kinds(findings))
    assert any(why in it.message for it in findings)


def test_what_a_tree_says_of_sizes_must_be_true(store: Store) -> None:
    """Listings show them, and never look."""
    begin(store)
    data = b"five!"
    save_raw(store, ObjectKind.BLOB, data)
    wrong = LeafNode({"it": tree_nodes.Entry("blob", ids.blob_id(data), 6)})
    stand_at(store, "run-1", tree_nodes.encode_node(wrong))

    (finding,) = store.check(read_data=True)

    assert ("object-malformed", ids.blob_id(data)) == (finding.kind, finding.object)


def test_a_name_must_stand_under_the_digit_of_its_hash(store: Store) -> None:
    """Nobody would find it there: the step would look as if it had never run."""
    begin(store)
    names = [f"step{number}" for number in range(2000)]
    wide = folders.make({name: tree_nodes.Entry("note", ObjectId(""), 0, "x") for name in names})
    for node in wide.nodes:
        save_raw(store, ObjectKind.TREE, node.data)
    node = {it.id: it.node for it in wide.nodes}[wide.root]
    assert isinstance(node, Fan)
    stand_at(store, "run-1", tree_nodes.encode_node(node))
    assert [] == list(store.check())
    one, other = sorted(node.children)[:2]
    swapped = {**node.children, one: node.children[other], other: node.children[one]}
    stand_at(store, "run-1", tree_nodes.encode_node(Fan(swapped)))

    findings = list(store.check())

    assert {("error", "object-malformed", ("run-1",))} == set(kinds(findings))
    assert any(f"stands under {one}" in it.message for it in findings)
    assert any(f"stands under {other}" in it.message for it in findings)


def test_one_misplaced_name_among_many_is_found(store: Store) -> None:
    """In a node that is otherwise as it should be."""
    begin(store)
    names = [f"step{number}" for number in range(100)]
    wide = folders.make({name: tree_nodes.Entry("note", ObjectId(""), 0, "x") for name in names})
    nodes = {it.id: it.node for it in wide.nodes}
    root = nodes[wide.root]
    assert isinstance(root, Fan)
    one, other = sorted(root.children)[:2]
    first, second = nodes[root.children[one].id], nodes[root.children[other].id]
    assert isinstance(first, LeafNode)
    assert isinstance(second, LeafNode)
    moved = min(first.entries)
    leaves = {
        one: LeafNode({name: it for name, it in first.entries.items() if name != moved}),
        other: LeafNode(dict(sorted({**second.entries, moved: first.entries[moved]}.items()))),
    }
    for node in nodes.values():
        save_raw(store, ObjectKind.TREE, tree_nodes.encode_node(node))
    children = dict(root.children)
    for digit, leaf in leaves.items():
        node_id = TreeId(save_raw(store, ObjectKind.TREE, tree_nodes.encode_node(leaf)))
        children[digit] = tree_nodes.Child(node_id, leaf.count, leaf.size)
    stand_at(store, "run-1", tree_nodes.encode_node(Fan(children)))

    (finding,) = store.check()

    assert ("object-malformed", children[other].id, ("run-1",)) == (
        finding.kind,
        finding.object,
        finding.runs,
    )
    assert f"{moved!r} stands under {other}, but its hash begins with {one}" in finding.message


def test_leftovers_are_warnings(store: Store) -> None:
    """A kill leaves them; gc takes them away. The files of a save at work are none."""
    begin(store)
    (store.root / "tmp" / "4194399-gone").write_bytes(b"")
    (store.root / "tmp" / f"{os.getpid()}-mine").write_bytes(b"")
    (store.root / "trash" / ("ab" * 32 + ".pack")).write_bytes(b"")
    (store.root / "objects" / ".DS_Store").write_bytes(b"")
    (store.root / "refs" / ".DS_Store").write_bytes(b"")

    findings = list(store.check())

    assert {"warning"} == {it.severity for it in findings}
    assert [
        "objects/.DS_Store",
        "refs/.DS_Store",
        "tmp/4194399-gone",
        "trash/" + "ab" * 32 + ".pack",
    ] == sorted(it.file for it in findings)
    store.plan_gc().execute()
    assert ["objects/.DS_Store", "refs/.DS_Store"] == sorted(it.file for it in store.check())


@pytest.mark.parametrize("folder", layout.FOLDERS)
def test_a_missing_folder_is_found(store: Store, folder: str) -> None:
    begin(store)
    shutil.rmtree(store.root / folder)

    assert folder in {it.file for it in store.check() if it.kind == "folder"}


def test_a_newer_store_is_left_alone(store: Store) -> None:
    """Nothing this version says of it would mean anything."""
    begin(store)
    newer = layout.CURRENT._replace(version=99)
    (store.root / "format.json").write_bytes(layout.encode_format(newer))

    assert [("error", "too-new", ())] == kinds(list(check(store.root)))


def test_a_disk_that_cannot_be_read_is_a_finding(store: Store) -> None:
    """And the check goes on behind it."""
    extend(store, begin(store), range(2))
    first = min(path.name for path in (store.root / "objects").iterdir())

    class Failing(Files):
        def open(self, path: Path) -> int:
            if path.name == first:
                raise OSError(5, "Input/output error")
            return super().open(path)

    findings = list(check(store.root, files=Failing()))

    assert ("error", "unreadable", ()) in kinds(findings)
    assert f"objects/{first}" in {it.file for it in findings}


def test_a_sealed_file_is_not_enough_to_be_a_ref(store: Store) -> None:
    begin(store)
    (store.root / "refs" / "odd").write_bytes(sealed.seal({"format": 1}))

    assert [("error", "ref", ("odd",))] == kinds(list(store.check()))
