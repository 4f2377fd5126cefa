"""Similar objects: what is compressed with what stood there before, and what keeps that
readable.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend, flip, raw_frames, read_all, step
from maverick.checkpoints import Store, blob, note, value
from maverick.checkpoints.disk import layout
from maverick.checkpoints.objects.frames import (
    FLAGS,
    Base,
    Compressor,
    FrameDamaged,
    NewObject,
    leans_of,
    open_frame,
    parse_header,
)
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, blob_id
from maverick.errors import ObjectMissing, StoreTooNew


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def _words(count: int, seed: int = 0) -> bytes:
    source = random.Random(seed)
    return b" ".join(b"%x" % source.randrange(1 << 40) for _ in range(count))


def _leaning(store: Store) -> dict[ObjectId, ObjectId]:
    """The objects of a store that are stored with a base, and that base."""
    found: dict[ObjectId, ObjectId] = {}
    store.objects.packs.refresh()
    for index in store.objects.packs.indexes():
        for place, raw in raw_frames(store, index):
            assert place.leans == bool(raw[6])
            if place.leans:
                found[parse_header(raw).id] = leans_of(raw).bases[0]
    return found


@given(st.binary(min_size=96, max_size=4000), st.binary(max_size=200), st.integers(0, 4000))
@settings(max_examples=60)
def test_what_was_compressed_with_a_base_comes_back(
    data: bytes, inserted: bytes, position: int
) -> None:
    """Whatever the base and the change."""
    new = data[:position] + inserted + data[position:]
    base = Base(blob_id(data), data, len(data), former=True)

    frame = Compressor().frame(ObjectKind.BLOB, blob_id(new), new, base)
    header, back = open_frame(
        frame.raw, lambda object_id, *, whole: {(base.id, True): data}[object_id, whole]
    )

    assert (new, blob_id(new)) == (back, header.id)
    if frame.raw[FLAGS]:
        assert (base.id,) == leans_of(frame.raw[:88]).bases
        with pytest.raises(FrameDamaged):
            open_frame(frame.raw)


def test_an_output_that_changes_a_little_is_stored_as_the_change(store: Store) -> None:
    """At the same path of the parent checkpoint; a value, or bytes."""
    text = _words(4000)
    at = store.save("r", {("log",): blob(text), ("out",): value(text.decode())}, parent=None)
    before = sum(index.size for index in store.objects.packs.indexes())

    store.save(
        "r", {("log",): blob(text + b" more"), ("out",): value(text.decode() + " more")}, parent=at
    )

    assert sum(index.size for index in store.objects.packs.indexes()) - before < 2000
    fresh = Store.open(store.root).load("r")
    assert text + b" more" == fresh.data("log") == str(fresh.value("out")).encode()


def test_ids_do_not_depend_on_how_an_object_is_stored(store: Store, tmp_path: Path) -> None:
    """A store that was filled at once, without bases, has the same trees."""
    at = extend(store, begin(store), range(60))
    other = Store.create(tmp_path / "other")
    start = begin(other)
    changes = {path: it for number in range(60) for path, it in step(number).items()}
    facts = {("steps", f"step{number}"): note('{"seconds":1}') for number in range(60)}

    assert at.tree == other.save("run-1", changes, parent=start, facts=facts).tree
    assert _leaning(store)


def test_a_base_is_always_stored_whole(store: Store) -> None:
    """One level deep: reading an object never takes more than two frames."""
    at = extend(store, begin(store), range(200))

    leaning = _leaning(store)
    assert len(leaning) > 400
    assert leaning.keys().isdisjoint(leaning.values())
    assert all(store.objects.packs.find(base, whole=True) for base in leaning.values())
    assert at == Store.open(store.root).resolve("run-1")
    read_all(Store.open(store.root), at)


def test_a_checkpoint_after_each_step_costs_little_beside_the_output(store: Store) -> None:
    """What long runs consist of: one output, one record and one fact for each step."""
    at = store.save("r", {}, parent=None)
    outputs, compressor = 0, Compressor()
    for number in range(400):
        text = _words(600, number)
        outputs += len(compressor.frame(ObjectKind.BLOB, blob_id(text), text).raw)
        changes = {("steps", f"s{number}"): blob(text, note=f'{{"key":"{number:064}"}}')}
        at = store.save(
            "r", changes, parent=at, facts={("steps", f"s{number}"): note(f"{number} ms")}
        )

    stored = sum(index.size for index in store.objects.packs.indexes())
    assert (stored - outputs) / 400 < 2500


def test_checkpoints_lean_on_one_of_the_last_eight(store: Store) -> None:
    """Those that are kept for long lean on nothing, and damage to one is not damage to the whole
    run.
    """
    at = begin(store)
    made = [at]
    for number in range(30):
        at = extend(store, at, range(number, number + 1))
        made.append(at)
    label = store.save("run-1", {}, parent=at, kind="label", label="here")
    end = store.save("run-1", {}, parent=label, kind="final")

    bases = _leaning(store)
    assert {label.id, end.id}.isdisjoint(bases)
    places = {checkpoint.id: number for number, checkpoint in enumerate(made)}
    gaps = [
        places[checkpoint.id] - places[bases[checkpoint.id]]
        for checkpoint in made
        if checkpoint.id in bases
    ]
    assert {1, 2, 3, 4, 5, 6, 7} == set(gaps)
    assert 4 == len(made) - len(gaps)


def test_a_checkpoint_in_which_little_is_new_costs_little(store: Store) -> None:
    """A run of steps whose outputs are stored: its checkpoints, and the nodes of its trees."""
    changes = [step(number) for number in range(40)]
    at = None
    for change in changes:
        at = store.save("first", change, parent=at)
    before = sum(index.size for index in store.objects.packs.indexes())

    at = store.save("second", {("inputs",): value("other")}, parent=None)
    for change in changes:
        at = store.save("second", change, parent=at)

    assert (sum(index.size for index in store.objects.packs.indexes()) - before) / 40 < 900


def test_gc_keeps_bases_and_what_leans_on_them(store: Store) -> None:
    """The base is in no checkpoint that is kept, and the packs are rewritten."""
    at = extend(store, begin(store), range(40))
    at = store.save("run-1", {}, parent=at, kind="final")
    content = read_all(store, at)

    result = store.plan_gc(keep_last=1).execute()

    assert result.removed_objects > 40
    fresh = Store.open(store.root)
    assert content == read_all(fresh, at)
    assert _leaning(fresh)
    assert [] == list(fresh.check(read_data=True))
    store.save("next", {}, parent=at)
    assert content == read_all(Store.open(store.root), at)


def test_gc_keeps_a_whole_copy_where_one_is_a_base(store: Store, tmp_path: Path) -> None:
    """What is whole in one pack leans in another, and the other way round: never may both lean."""
    first, second = _words(500), _words(500) + b" and more"
    one, two = blob_id(first), blob_id(second)
    store.save("a", {("x",): blob(first)}, parent=None)
    store.objects.write([NewObject(ObjectKind.BLOB, two, second, one)])
    other = Store.create(tmp_path / "other")
    other.save("b", {("x",): blob(second)}, parent=None)
    other.objects.write([NewObject(ObjectKind.BLOB, one, first, two)])
    for path in (other.root / "objects").iterdir():
        shutil.copy(path, store.root / "objects")
    shutil.copy(other.root / "refs" / "b", store.root / "refs")
    store = Store.open(store.root)
    assert {one: two, two: one} == _leaning(store)

    for _ in range(2):
        store.plan_gc().execute()
        fresh = Store.open(store.root)
        assert (first, second) == (fresh.load("a").data("x"), fresh.load("b").data("x"))


def test_a_hit_counts_only_with_its_base(store: Store) -> None:
    """An object whose base is gone is stored again: nothing could read what is there."""
    first, second = _words(500), _words(500) + b" and more"
    store.objects.write([NewObject(ObjectKind.BLOB, blob_id(first), first)])
    store.objects.write([NewObject(ObjectKind.BLOB, blob_id(second), second, blob_id(first))])
    (lost,) = [
        index
        for index in store.objects.packs.indexes()
        if index.find(bytes.fromhex(blob_id(first)))
    ]
    (store.root / "objects" / f"{lost.name}.pack").unlink()
    store = Store.open(store.root)
    with pytest.raises(ObjectMissing):
        store.read(blob_id(second))

    store.save("r", {("x",): blob(second)}, parent=None)

    assert second == Store.open(store.root).load("r").data("x")


def test_damage_to_a_base_is_reported_with_the_runs_that_lean_on_it(store: Store) -> None:
    """The base itself is in no checkpoint of theirs."""
    at = store.save("r", {("x",): blob(_words(500))}, parent=None)
    store.save("r", {("x",): blob(_words(500) + b" more")}, parent=at, kind="final")
    store.plan_gc(keep_last=1).execute()
    store = Store.open(store.root)
    (base,) = [base for base in _leaning(store).values() if base == blob_id(_words(500))]
    flip(store, base, 60)

    found = list(Store.open(store.root).check(read_data=True))

    assert (base, ("r",)) in [(it.object, it.runs) for it in found]


def test_an_older_store_announces_bases_before_it_holds_any(tmp_path: Path) -> None:
    """A version that does not know them refuses the store instead of finding objects of an unknown
    kind.
    """
    root = tmp_path / "store"
    Store.create(root)
    old = layout.Format(1, frozenset(), frozenset(), frozenset())
    (root / "format.json").write_bytes(layout.encode_format(old))
    store = Store.open(root)
    at = store.save("r", {("x",): blob(_words(500))}, parent=None)
    assert {"order"} == layout.read_format(store.files, root).read
    opened_before = Store.open(root)

    at = store.save("r", {("x",): blob(_words(500) + b" more")}, parent=at)

    assert {"bases", "order"} == layout.read_format(store.files, root).read
    assert at == opened_before.resolve("r")
    assert _words(500) + b" more" == opened_before.load("r").data("x")


def test_a_version_that_knows_no_bases_refuses_such_a_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flag stands in `read`."""
    monkeypatch.setattr(
        layout, "_KNOWN", {"read": frozenset(), "write": frozenset(), "gc": frozenset()}
    )

    with pytest.raises(StoreTooNew, match=r"read: bases, chunks"):
        Store.open(store.root)


def test_a_base_of_a_few_bytes_is_none(store: Store) -> None:
    """Zstandard takes none of less than 8 bytes."""
    at = store.save("run-1", {("text",): blob(b"1234567")}, parent=None)

    at = store.save("run-1", {("text",): blob(b"1234567" * 99)}, parent=at)

    assert b"1234567" * 99 == store.snapshot(at).data("text")
