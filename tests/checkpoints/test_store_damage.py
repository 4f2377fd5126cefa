"""Damage: each kind of file, altered, cut off or gone, is noticed, named, and told from the
others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import begin, extend, flip, read_all, record_of
from maverick.checkpoints import ObjectId, Store, value
from maverick.checkpoints.disk.layout import Format, encode_format
from maverick.checkpoints.objects.pack_index import ROW_BYTES
from maverick.checkpoints.objects.pack_records import PACK_HEADER_BYTES, NewObject
from maverick.checkpoints.objects.packs import TRAILER_BYTES
from maverick.checkpoints.objects.segments import CONTENT, Item
from maverick.errors import (
    FormatDamaged,
    MaverickError,
    NotFound,
    ObjectCorrupt,
    ObjectMissing,
    PackDamaged,
    StoreDamaged,
    StoreTooNew,
)

Damage = Callable[[bytes], bytes]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "checkpoints", files=CountingFiles())


def _flip(position: int) -> Damage:
    return lambda data: (
        data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 or len(data) :]
    )


def _only_pack(store: Store) -> Path:
    (path,) = (store.root / "objects").iterdir()
    return path


def _inputs(store: Store) -> ObjectId:
    return store.load("run-1").entry("inputs").id


@pytest.mark.parametrize("where", ["id", "payload"])
def test_a_damaged_blob_is_a_corrupt_object(store: Store, where: str) -> None:
    """Named by its id, with what to run next; what is in other records is not affected."""
    at = begin(store)
    store.save("run-1", {("steps", "plan"): value("whole")}, parent=at)
    place = store.objects.packs.find(_inputs(store))
    assert place is not None
    record = record_of(place)
    number = place.number - record.first
    offset = record.ids_at + 32 * number + 9 if where == "id" else CONTENT.place(record)[0] + 12
    path = store.root / "objects" / place.pack.file
    path.write_bytes(_flip(offset)(path.read_bytes()))

    opened = Store.open(store.root)
    found = opened.load("run-1")
    with pytest.raises(
        ObjectMissing if where == "id" else ObjectCorrupt,
        match=r"object [0-9a-f]{12} is (missing|damaged.*; run `maverick checkpoint fsck --read)",
    ):
        found.value("inputs")
    findings = [it for it in opened.check(read_data=True) if it.severity == "error"]
    assert findings
    assert not any("run `maverick" in it.message for it in findings)
    assert {"run-1"} == {run for it in findings for run in it.runs}
    assert "whole" == found.value("steps/plan")
    assert at == opened.checkpoint(at.id)


def test_a_damaged_record_affects_no_other_segment(store: Store) -> None:
    """Of what is in a segment all that follows is lost; a label begins anew."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(3))
        flipped = at
        at = extend(store, at, range(3, 6))
        label = store.save("run-1", {("x",): value(1)}, parent=at, kind="label", label="here")
        at = extend(store, label, range(6, 9))
        flip(store, flipped.id, 7, bit=16)
        store.close()

    opened = Store.open(store.root)
    with pytest.raises(StoreDamaged):
        read_all(opened, flipped)
    assert 1 == opened.snapshot(label).value("x")


def test_an_altered_payload_is_told_by_what_it_hashes_to(store: Store) -> None:
    """The id is verified on every read."""
    store.save("run-1", {("inputs",): value("".join(map(chr, range(40, 120))))}, parent=None)
    flip(store, _inputs(store), -1)

    with pytest.raises(
        ObjectCorrupt, match=r"its content hashes to [0-9a-f]{12}; pack [0-9a-f]{12}, object \d+"
    ):
        Store.open(store.root).load("run-1").value("inputs")


@pytest.mark.parametrize(
    "damage",
    [
        _flip(0),
        _flip(-1),
        _flip(-20),
        _flip(-60),
        _flip(-TRAILER_BYTES),
        _flip(-TRAILER_BYTES - ROW_BYTES),
        _flip(-TRAILER_BYTES - 1),
        lambda data: data[:-1],
        lambda data: data[:40],
        lambda _: b"",
    ],
)
def test_a_damaged_pack_is_named_and_keeps_no_other_from_being_read(
    store: Store, damage: Damage
) -> None:
    """Header, index and trailer; reading what was in it fails, saving and reading the rest does
    not.
    """
    begin(store)
    path = _only_pack(store)
    whole = begin(store, "run-2", group="other")
    path.write_bytes(damage(path.read_bytes()))

    fresh = Store.open(store.root)
    with pytest.raises(PackDamaged, match=rf"pack {path.stem[:12]} is damaged.*checkpoint fsck"):
        fresh.load("run-1")
    assert [path.stem[:12]] == [str(error)[5:17] for error in fresh.objects.packs.damaged()]
    assert whole == fresh.resolve("run-2")
    again = begin(fresh, "run-3")
    assert 3 == len(read_all(fresh, again))


def test_a_pack_that_is_gone_is_a_missing_object(store: Store) -> None:
    """Told from damage: somebody removed it, or half of the folder was copied."""
    at = begin(store)
    _only_pack(store).unlink()

    with pytest.raises(ObjectMissing, match=f"object {at.id[:12]} is missing"):
        Store.open(store.root).load("run-1")


def test_a_damaged_object_is_read_from_another_pack_that_has_it(store: Store) -> None:
    """As two saves at once leave them."""
    begin(store)
    inputs = _inputs(store)
    (pack,) = store.objects.packs.checked()
    items = [it for it in pack.items(content=True) if isinstance(it, Item)]
    store.objects.write(NewObject(it.kind, it.id, it.data) for it in items)
    places = list(store.objects.packs.places(inputs))
    assert 2 == len({place.pack.file for place in places})
    for place in places:
        path = store.root / "objects" / place.pack.file
        data = path.read_bytes()
        path.write_bytes(_flip(CONTENT.place(record_of(place))[0] + 12)(data))

        assert {"epic": "a-1", "dry": False} == Store.open(store.root).load("run-1").value("inputs")
        path.write_bytes(data)


def test_what_is_no_pack_is_passed_over(store: Store) -> None:
    """A file manager's droppings."""
    (store.root / "objects" / ".DS_Store").write_bytes(b"x")
    (store.root / "objects" / "x.pack").write_bytes(b"x")
    begin(store)

    fresh = Store.open(store.root)
    read_all(fresh, fresh.resolve("run-1"))
    assert [] == fresh.objects.packs.damaged()


def test_an_object_that_another_process_added_is_found(store: Store) -> None:
    """A reader that misses looks again."""
    other = Store.open(store.root)
    begin(store)
    read_all(other, other.resolve("run-1"))
    at = extend(store, store.resolve("run-1"), range(3))

    read_all(other, other.resolve("run-1"))
    assert at == other.checkpoint(at.id)


def test_an_object_that_gc_moved_meanwhile_is_found(store: Store) -> None:
    """Into another pack, or into trash/ for the readers that are still at it."""
    begin(store)
    reader = Store.open(store.root)
    found = reader.load("run-1")
    _only_pack(store).rename(store.root / "trash" / _only_pack(store).name)

    assert {"epic": "a-1", "dry": False} == found.value("inputs")


@pytest.mark.parametrize("folder", ["trash", "tmp", "owners", "cache", "quarantine"])
def test_a_folder_that_holds_nothing_for_long_may_be_removed(store: Store, folder: str) -> None:
    """`create`, which every run begins with, makes it again; reading does without."""
    at = begin(store)
    (store.root / folder).rmdir()
    read_all(Store.open(store.root), at)
    with pytest.raises(ObjectMissing):
        Store.open(store.root).read(at.id[::-1])  # type: ignore[arg-type]

    extend(Store.create(store.root), at, range(1))


@pytest.mark.parametrize(
    "damage",
    [_flip(0), _flip(30), _flip(-5), lambda data: data[:-3], lambda _: b"", lambda _: b"{}"],
)
def test_a_damaged_format_file_is_named(store: Store, damage: Damage) -> None:
    """Guessing the format could damage more."""
    path = store.root / "format.json"
    path.write_bytes(damage(path.read_bytes()))

    for call in (Store.open, Store.create):
        with pytest.raises(FormatDamaged, match=r"format\.json is torn or altered"):
            call(store.root)


@pytest.mark.parametrize("content", ["objects", "refs"])
def test_a_missing_format_file_is_damage_if_there_is_anything(store: Store, content: str) -> None:
    """And no store otherwise."""
    (store.root / "format.json").unlink()
    with pytest.raises(NotFound, match="no checkpoint store at"):
        Store.open(store.root)
    (store.root / content / "x").write_bytes(b"")

    for call in (Store.open, Store.create):
        with pytest.raises(FormatDamaged, match="missing"):
            call(store.root)


@pytest.mark.parametrize("root", ["nothing", "file"])
def test_where_there_is_no_store_none_is_found(tmp_path: Path, root: str) -> None:
    """`open` never makes one."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(NotFound):
        Store.open(tmp_path / root)


def _allowed(action: Callable[[], object]) -> bool:
    try:
        action()
    except StoreTooNew as error:
        return "update maverick" not in str(error)
    return True


@pytest.mark.parametrize(
    ("form", "may"),
    [
        (Format(3, frozenset(), frozenset(), frozenset()), (False, False, False)),
        (Format(2, frozenset({"x"}), frozenset(), frozenset()), (False, False, False)),
        (Format(2, frozenset(), frozenset({"x"}), frozenset()), (True, False, False)),
        (Format(2, frozenset(), frozenset(), frozenset({"x"})), (True, True, False)),
        (Format(2, frozenset(), frozenset(), frozenset()), (True, True, True)),
    ],
)
def test_an_unknown_feature_stops_gc_first_and_reading_last(
    store: Store, form: Format, may: tuple[bool, ...]
) -> None:
    """Removing what one does not understand is worst, looking at it harmless."""
    at = begin(store)
    (store.root / "format.json").write_bytes(encode_format(form))

    def save() -> None:
        extend(Store.open(store.root), at, range(1))

    def collect() -> None:
        Store.open(store.root).format.require_gc(store.root)

    assert may == tuple(
        map(_allowed, (lambda: Store.open(store.root).load("run-1"), save, collect))
    )


def test_a_feature_added_while_a_store_is_open_stops_its_next_save(store: Store) -> None:
    """A newer version works in the same folder."""
    at = begin(store)
    (store.root / "format.json").write_bytes(
        encode_format(Format(2, frozenset(), frozenset({"deltas"}), frozenset()))
    )

    with pytest.raises(StoreTooNew, match="write: deltas"):
        extend(store, at, range(1))


def test_no_flipped_byte_of_a_pack_goes_unnoticed(store: Store) -> None:
    """Every byte, one after the other: an error of the tree, or, where nothing reads it, no effect
    at all.
    """
    at = begin(store)
    expected = read_all(store, at)
    path = _only_pack(store)
    data = path.read_bytes()

    for position in range(len(data)):
        path.write_bytes(_flip(position)(data))
        try:
            found = read_all(fresh := Store.open(store.root), fresh.resolve("run-1"))
        except MaverickError:
            continue
        assert expected == found


def test_no_flipped_byte_of_an_open_pack_goes_unnoticed(store: Store) -> None:
    """Reading says so, or nothing reads it; and fsck says so of all but the boot in the header."""
    with store.own("run-1"):
        at = begin(store)
    expected = read_all(store, at)
    path = _only_pack(store)
    data = path.read_bytes()
    boot = range(28, PACK_HEADER_BYTES)
    store.objects.packs.refresh()
    (pack,) = store.objects.packs.checked()
    _, closing = (record.offset for record in pack.records)

    for position in range(len(data)):
        path.write_bytes(_flip(position)(data))
        fresh = Store.open(store.root)
        # The last record says that the run was left, which its ref says, too.
        findings = position in boot or position >= closing or list(fresh.check())
        assert findings, position
        try:
            found = read_all(fresh, fresh.resolve("run-1"))
        except MaverickError:
            continue
        assert expected == found
