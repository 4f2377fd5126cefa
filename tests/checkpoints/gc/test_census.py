"""What gc finds of the packs without parsing what is in them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend, flip, read_all, record_of
from maverick.checkpoints import Store, blob
from maverick.checkpoints.gc import survey, sweep
from maverick.checkpoints.gc.census import Census
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, TreeId, blob_id, tree_id
from maverick.checkpoints.objects.pack_records import HEAD_BYTES, NewObject, list_data
from maverick.checkpoints.refs import refs
from maverick.checkpoints.trees.closure import links_of
from maverick.checkpoints.trees.tree_nodes import Child, Entry, Fan, LeafNode, Node, encode_node
from maverick.errors import StoreDamaged


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


BLOBS = [b"%d" % number for number in range(4)]
IDS = [blob_id(data) for data in BLOBS]
ELSEWHERE = [blob_id(b"elsewhere %d" % number) for number in range(2)]
# What looks like what is looked for: ids, and what stands around them.
TRAPS = [
    *IDS,
    *ELSEWHERE,
    '","',
    '["',
    '["blob","',
    f'","{IDS[0]}",',
    f'["{IDS[1]}",',
    "\x01",
    "\\",
]
TEXTS = st.lists(st.sampled_from(TRAPS) | st.text(max_size=3), max_size=4).map("".join)
SOME_IDS = st.sampled_from([*IDS, *ELSEWHERE])
ENTRIES = st.one_of(
    st.builds(Entry, st.sampled_from(["blob", "value"]), SOME_IDS, st.integers(0, 9), TEXTS),
    st.builds(Entry, st.just("note"), st.just(ObjectId("")), st.just(0), TEXTS),
    st.builds(Entry, st.sampled_from(["tree", "bundle"]), SOME_IDS, st.integers(0, 9), TEXTS),
)
CHILDREN = st.builds(Child, SOME_IDS.map(TreeId), st.integers(1, 9), st.integers(0, 9))
NODES: st.SearchStrategy[Node] = st.one_of(
    st.builds(LeafNode, st.dictionaries(TEXTS.filter(bool) | SOME_IDS, ENTRIES, max_size=6)),
    st.builds(Fan, st.dictionaries(st.sampled_from("0123456789abcdef"), CHILDREN, max_size=6)),
)


@given(nodes=st.lists(NODES, min_size=1, max_size=6))
def test_what_a_node_names_is_found_without_parsing_it(
    nodes: list[Node], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Exactly that, whatever names and notes look like, of objects of its pack and of others."""
    store = Store.create(tmp_path_factory.mktemp("store"), files=CountingFiles())
    items = [
        *(NewObject(ObjectKind.BLOB, blob_id(data), data) for data in BLOBS),
        *(
            NewObject(ObjectKind.TREE, tree_id(data), data)
            for data in dict.fromkeys(map(encode_node, nodes))
        ),
    ]
    store.objects.write(items)
    census = Census(store)

    census.refresh()

    for node in nodes:
        links = census.links[census.number(tree_id(encode_node(node)))]
        expected = {link.id for link in links_of(node)}
        assert expected == {census.id(number) for number in links}


def test_what_a_list_names_is_found(store: Store) -> None:
    chunks = [(IDS[0], 1), (ELSEWHERE[0], 2), (IDS[1], 1)]
    whole = blob_id(b"whole")
    store.objects.write(
        [
            *(NewObject(ObjectKind.BLOB, blob_id(data), data) for data in BLOBS),
            NewObject(ObjectKind.LIST, whole, list_data(chunks)),
        ]
    )
    census = Census(store)
    census.refresh()

    named = [census.id(number) for number in census.links[census.number(whole)]]

    assert {chunk for chunk, _ in chunks} == set(named)


def test_the_bytes_of_records_are_those_of_their_objects(store: Store) -> None:
    """All of them, whoever is asked for, in open packs and in sealed ones."""
    with store.own("run-1"):
        extend(store, begin(store), range(40))
        store.save("other", {("large",): blob(os.urandom(1 << 20))}, parent=None)
        census = Census(store)
        census.refresh()
        for modulus in (1, 2, 7):
            groups = [number % modulus for number in range(len(census))]
            for counted in census.packs.values():
                expected = sum(
                    HEAD_BYTES + record.length for record in counted.pack.records if record.total
                )
                counted.size(groups)
                assert expected == sum(counted.sizes)
    assert 2 == len(census.packs)


def test_blobs_of_one_record_have_bytes_by_their_lengths(store: Store) -> None:
    """If they do not go together."""
    small, large = os.urandom(1000), os.urandom(9000)
    store.save("r", {("small",): blob(small), ("large",): blob(large)}, parent=None)
    census = Census(store)
    census.refresh()
    (counted,) = census.packs.values()
    wanted = census.number(blob_id(small))

    counted.size([number == wanted for number in range(len(census))])

    sizes = dict(counted.sized())
    assert 1000 <= sizes[wanted] < 1200
    assert 9000 <= sizes[census.number(blob_id(large))] < 9200


def test_a_plan_reads_trees_once_and_no_content(store: Store) -> None:
    """However much of either there is, beside what is alive of the trees."""
    parts = {(f"{number}",): blob(os.urandom(1 << 20)) for number in range(4)}
    at = store.save("large", {**parts}, parent=None)
    store.save("large", {}, parent=at, kind="final")
    with store.own("run-1"):
        at = extend(store, begin(store), range(400))
        store.save("run-1", {}, parent=at, kind="final")
    size = sum(path.stat().st_size for path in (store.root / "objects").iterdir())
    files = CountingFiles()

    plan = Store.open(store.root, files=files).plan_gc(keep_last=1)

    assert plan.removed_objects > 2000
    assert files.look_ups + files.reads < 100
    assert files.read_bytes < 3 * (size - (4 << 20))


class Watched(CountingFiles):
    """Knows which folders were listed, and which files opened."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: Counter[str] = Counter()
        self.opened: Counter[Path] = Counter()

    def list(self, path: Path) -> list[str]:
        self.listed[path.name] += 1
        return super().list(path)

    def open(self, path: Path) -> int:
        self.opened[path] += 1
        return super().open(path)


def test_a_gc_looks_at_each_pack_and_each_ref_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is alone, refs are read again, but not parsed, and of packs the names alone are looked
    at. The store looks itself at what is left.
    """
    for number in range(20):
        with store.own(f"fly-{number}"):
            at = extend(store, begin(store, f"fly-{number}"), range(2))
            store.save(at.run, {}, parent=at, kind="final")
    store.save("large", {("a",): blob(os.urandom(1 << 20))}, parent=None)
    monkeypatch.setattr(survey, "SMALL_PACK_BYTES", 1 << 20)  # it stays
    files, parsed = Watched(), list[bytes]()
    parse = refs.parse_ref

    def counted(data: bytes) -> refs.Ref | None:
        parsed.append(data)
        return parse(data)

    monkeypatch.setattr(refs, "parse_ref", counted)

    result = Store.open(store.root, files=files).plan_gc(keep_last=2).execute()

    assert 18 == len(result.runs)
    assert 21 == len(parsed)
    assert 6 == files.listed["objects"]
    assert 2 == max(files.opened.values())


def test_a_pack_with_a_list_that_is_not_what_was_written_stays_as_it_is(store: Store) -> None:
    """Its id says nothing of its bytes, so the record is looked at that it is in."""
    large = os.urandom(1 << 20)
    store.save("r", {("large",): blob(large)}, parent=None, kind="final")
    begin(store, "other")
    (place,) = store.objects.packs.places(blob_id(large))
    assert place.kind is ObjectKind.LIST
    path = store.root / "objects" / place.pack.file
    data = bytearray(path.read_bytes())
    data[record_of(place).offset + HEAD_BYTES - 1] ^= 1  # of its check
    path.write_bytes(data)

    result = Store.open(store.root, files=CountingFiles()).plan_gc().execute()

    assert (place.pack.name,) == result.left
    assert bytes(data) == path.read_bytes()


def test_gc_refuses_while_a_list_of_chunks_cannot_be_read(store: Store) -> None:
    large = os.urandom(1 << 20)
    store.save("r", {("large",): blob(large)}, parent=None, kind="final")
    flip(store, blob_id(large), 40)

    with pytest.raises(StoreDamaged, match="gc removed nothing"):
        Store.open(store.root).plan_gc()


def test_gc_writes_no_pack_that_is_too_large_to_handle(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But as many as it takes."""
    monkeypatch.setattr(sweep, "MOST_OBJECTS", 10)
    at = extend(store, begin(store), range(12))
    content = read_all(store, at)

    result = store.plan_gc().execute()

    packs = store.objects.packs.listed()
    assert {10} == {len(pack) for pack in packs[:-1]} | {10}
    assert result.kept_objects == sum(map(len, packs)) > 10
    assert len(packs) == -(-result.kept_objects // 10)
    assert content == read_all(store, at)
    assert [] == list(store.check(read_data=True))


def test_gc_compresses_anew_what_it_writes(store: Store) -> None:
    """What many packs held becomes much less in one."""
    at = extend(store, begin(store), range(30))
    before = sum(path.stat().st_size for path in (store.root / "objects").iterdir())

    result = store.plan_gc().execute()

    after = sum(path.stat().st_size for path in (store.root / "objects").iterdir())
    assert before - after == result.freed_bytes
    assert after < before // 3
    read_all(store, at)
