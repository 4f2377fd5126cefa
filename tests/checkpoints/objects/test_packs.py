"""Sealed packs as bytes: written on all cores, found by their index, and scanned without it."""

from __future__ import annotations

import os
import random
import threading
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles, FailingFiles
from kit.packs import (
    as_read,
    naming,
    new_blob,
    new_checkpoint,
    new_list,
    new_tree,
    opened,
    reader,
    written,
)
from kit.stores import begin, extend
from maverick.checkpoints import Store
from maverick.checkpoints.objects import pack_index, pack_records, pack_writer, packs, segments
from maverick.checkpoints.objects.ids import ObjectKind, blob_id
from maverick.checkpoints.objects.objects import Objects
from maverick.checkpoints.objects.pack_records import (
    PACK_HEADER_BYTES,
    NewObject,
    Record,
    RecordDamaged,
)
from maverick.checkpoints.objects.segments import CONTENT, Cache, Item
from maverick.errors import PackDamaged, StoreDamaged, StoreTooNew

BLOBS = [
    new_blob(data)
    for data in (
        b"",
        b"x",
        b"a" * 5000,
        bytes(range(256)) * 8,
        *(f"object {n}".encode() for n in range(40)),
    )
]
OBJECTS = [
    *BLOBS,
    new_list(BLOBS[1], BLOBS[2], whole=b"x" + b"a" * 5000),
    tree := naming("some", *(it.id for it in BLOBS[3:20])),
    naming(tree.id, tree.id, BLOBS[0].id),
    new_tree({"entries": {}}),
    new_checkpoint({"tree": tree.id, "parent": blob_id(b"elsewhere")}),
]
NONCE = bytes(range(16))


def test_each_object_is_found_by_its_id_and_read_back() -> None:
    """Of each kind, empty or not; in any order, and no other."""
    name, data = written(OBJECTS)
    pack = opened(name, data)

    for item in random.Random(3).sample(OBJECTS, len(OBJECTS)):
        number = pack.find(item.id)
        assert number is not None
        assert (item.kind, item.data) == (pack.kind(number), pack.read(number))
    assert pack.find(blob_id(b"elsewhere")) is None
    assert len(OBJECTS) == len(pack)
    assert OBJECTS == as_read(pack)
    assert OBJECTS == [NewObject(*item[1:]) for item in pack.items(content=True)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 3000), st.integers(60_000, 300_000)), max_size=30),
    st.sampled_from([1, 4]),
)
def test_a_pack_of_any_size_is_what_was_added(sizes: list[int], cores: int) -> None:
    """In the same bytes, whether one core compresses or several."""
    objects = [new_blob(random.Random(n).randbytes(size)) for n, size in enumerate(sizes)]
    objects = list({item.id: item for item in objects}.values())
    objects += [naming(str(n), *(it.id for it in objects[n : n + 3])) for n in range(len(objects))]

    with patch.object(os, "cpu_count", lambda: cores):
        name, data = written(objects, NONCE)

    pack = opened(name, data)
    by_kind = {(item.kind, item.id): item for item in as_read(pack)}
    assert {(item.kind, item.id): item for item in objects} == by_kind
    assert (name, data) == written(objects, NONCE)
    assert all(record.length < 3 << 20 for record in pack.records)


def test_the_name_is_the_hash_of_everything_before_it() -> None:
    """So that a pack that was copied somewhere can be verified as a whole."""
    name, data = written(OBJECTS)

    assert name == blake3(data[:-40]).hexdigest() == pack_index.hash_pack(len(data), reader(data))


def test_two_packs_of_the_same_objects_have_different_names() -> None:
    """A name must never come back after gc has condemned it."""
    assert written(OBJECTS)[0] != written(OBJECTS)[0]


def test_similar_objects_are_stored_once() -> None:
    """What a record holds leans on what stands before it there."""
    text = random.Random(1).randbytes(20_000)
    _, data = written([new_blob(text + b"%d" % number) for number in range(20)])

    assert len(data) < 25_000


def test_prefixes_find_the_ids_that_begin_with_them() -> None:
    """Odd numbers of digits too."""
    pack = opened(*written(OBJECTS))
    ids = sorted(item.id for item in OBJECTS)

    for prefix in ("", ids[3][:5], ids[3][:4], ids[3][:20], ids[-1], "f", "0"):
        assert [it for it in ids if it.startswith(prefix)] == sorted(
            found for found, _ in pack.with_prefix(prefix)
        )


def _large() -> list[NewObject]:
    return [new_blob(random.Random(n).randbytes(70_000)) for n in range(70)]


def test_objects_are_found_without_the_index() -> None:
    """An index can be lost without the objects being lost."""
    name, data = written(_large())
    pack = opened(name, data)

    found = list(pack_records.scan(data[PACK_HEADER_BYTES:], pack.header.nonce, PACK_HEADER_BYTES))

    assert len(found) > 3
    assert [(it.offset, it.end, it.counts) for it in pack.records] == [
        (it.offset, it.end, it.counts) for it in found if isinstance(it, Record)
    ]


def test_damage_in_a_record_stays_there() -> None:
    """Those before it and behind it are read, in order and one at a time."""
    name, data = written(_large())
    hurt = opened(name, data).records[2]
    broken = bytearray(data)
    broken[hurt.structure_at + 5] ^= 0x40
    pack = opened(name, bytes(broken))

    inside = range(hurt.first, hurt.first + hurt.total)
    read = list(pack.items(content=True))
    assert [inside] == [it.numbers for it in read if not isinstance(it, Item)]
    items = [it for it in read if isinstance(it, Item)]
    assert set(range(len(pack))) - set(inside) == {it.number for it in items}
    for item in items:
        assert item.id == blob_id(item.data) == blob_id(pack.read(item.number))
    with pytest.raises(RecordDamaged):
        pack.read(inside[0])


def test_every_flipped_byte_of_header_index_and_trailer_is_noticed() -> None:
    """A wrong number must not be followed."""
    name, data = written(OBJECTS[-8:])
    start = opened(name, data).records[-1].end

    for position in [*range(12), *range(start, len(data))]:
        broken = bytearray(data)
        broken[position] ^= 0x01
        with pytest.raises(PackDamaged):
            opened(name, bytes(broken))


def test_no_flipped_byte_of_a_pack_gives_wrong_bytes(tmp_path: Path) -> None:
    """What is stored elsewhere, too, is read from there; anything else is damaged."""
    objects = [tree, OBJECTS[1], OBJECTS[-1]]
    name, data = written(objects)
    other, whole = written(reversed(objects))
    (tmp_path / "objects").mkdir()
    path = tmp_path / f"objects/{name}.pack"
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        path.write_bytes(broken)
        (tmp_path / f"objects/{other}.pack").unlink(missing_ok=True)
        for item in objects:
            with suppress(StoreDamaged):
                assert item.data == Objects(CountingFiles(), tmp_path).read(item.id)
        (tmp_path / f"objects/{other}.pack").write_bytes(whole)
        both = Objects(CountingFiles(), tmp_path)
        assert [it.data for it in objects] == [both.read(it.id) for it in objects]


def test_every_truncation_is_noticed() -> None:
    """A pack that was copied by half."""
    name, data = written(OBJECTS[:3])

    for length in range(len(data)):
        with pytest.raises(PackDamaged):
            opened(name, data[:length])


@pytest.mark.parametrize(("version", "words"), [(1, "ea2b6a2"), (3, "update maverick")])
def test_what_another_version_wrote_is_told_from_damage(version: int, words: str) -> None:
    """By the name, which is the hash of all."""
    _, data = written(OBJECTS)
    changed = data[:8] + version.to_bytes(4) + data[12:-40]
    hashed = blake3(changed).digest()

    with pytest.raises(StoreTooNew, match=words):
        opened(hashed.hex(), changed + hashed + data[-8:])
    with pytest.raises(PackDamaged, match="its header is damaged"):
        opened(written(OBJECTS, NONCE)[0], changed + data[-40:])


def test_a_damaged_directory_is_reported_each_time() -> None:
    """It is read when it is needed; until then nobody knows."""
    name, data = written(_large())
    broken = bytearray(data)
    broken[len(data) - pack_index.TRAILER_BYTES - 3] ^= 1
    with patch.object(packs, "_TAIL_BYTES", pack_index.TRAILER_BYTES):
        pack = opened(name, bytes(broken))

    for _ in range(2):
        with pytest.raises(PackDamaged, match="its directory is damaged"):
            pack.find(_large()[0].id)


def test_what_was_decoded_last_is_kept_for_all_packs_together() -> None:
    """Else a store of many packs would need as many caches."""
    reads: list[int] = []
    cache = Cache()
    found = []
    for seed in range(3):
        name, data = written([new_blob(random.Random(seed).randbytes(40_000))])

        def pread(offset: int, length: int, data: bytes = data) -> bytes:
            reads.append(offset)
            return data[offset : offset + length]

        found.append(packs.open_sealed(f"{name}.pack", len(data), pread, cache))

    with patch.object(segments, "_CACHED_BYTES", 2 * segments._WINDOW_BYTES + 100_000):
        for at in (0, 1, 0, 1):
            found[at].read(0)
        before = len(reads)
        found[0].read(0)
        assert before == len(reads)
        found[2].read(0)
        before = len(reads)
        found[1].read(0)
        assert before < len(reads)


@pytest.mark.parametrize("at", range(12))
def test_no_thread_is_left_where_a_pack_cannot_be_written(tmp_path: Path, at: int) -> None:
    """Whichever operation fails."""
    Store.create(tmp_path / "store", files=CountingFiles())
    files = FailingFiles(at)
    store = Store.open(tmp_path / "store", files=files)
    before = threading.active_count()

    with patch.object(os, "cpu_count", lambda: 4):
        try:
            store.objects.write(_large())
        except OSError:
            assert [] == store.objects.packs.listed()
        else:
            assert len(files.done) <= at
    assert before == threading.active_count()
    assert [] == os.listdir(tmp_path / "store/tmp")  # noqa: PTH208 - as short


def test_an_error_in_a_thread_is_that_of_the_writer() -> None:
    """And the others are stopped."""
    before = threading.active_count()
    with (
        patch.object(os, "cpu_count", lambda: 4),
        patch.object(pack_writer, "compress", side_effect=MemoryError),
        pytest.raises(MemoryError),
    ):
        written(_large())
    assert before == threading.active_count()


def test_the_kinds_of_a_pack_are_known_without_reading_it() -> None:
    """By how many of each a record has."""
    pack = opened(*written(OBJECTS))

    assert [item.kind for item in OBJECTS] == [pack.kind(n) for n in range(len(OBJECTS))]
    assert {*ObjectKind} == {item.kind for item in OBJECTS}
    with pytest.raises(RecordDamaged):
        pack.kind(len(OBJECTS))


def test_what_is_before_damage_is_decoded_once_for_all_that_is_behind_it(tmp_path: Path) -> None:
    """Else a damaged segment of a thousand records takes a thousand times as long as a whole one."""
    store = Store.create(tmp_path / "store", files=CountingFiles())
    with store.own("run-1"):
        extend(store, begin(store), range(60))
    store.appender.seal_all()
    (path,) = (store.root / "objects").iterdir()
    data, lengths = bytearray(path.read_bytes()), list[int]()
    pack = opened(path.stem, bytes(data))
    offset, length = CONTENT.place(pack.records[20])
    data[offset : offset + length] = bytes(length)

    def pread(offset: int, length: int) -> bytes:
        lengths.append(length)
        return bytes(data[offset : offset + length])

    pack = packs.open_sealed(path.name, len(data), pread)
    lost = 0
    for at in range(len(pack.records)):
        try:
            pack.block(CONTENT, at)
        except RecordDamaged:
            lost += 1

    assert lost >= 40
    assert len(lengths) < 2 * len(pack.records)
