"""Open packs as files: what is appended is read back, whoever goes on with them and whatever befalls
them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.packs import as_read, naming, new_blob, new_checkpoint, new_list, opened, reader
from maverick.checkpoints.objects import ids, packs, segments
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.open_pack import OpenPack
from maverick.checkpoints.objects.pack_records import (
    HEAD_BYTES,
    PACK_HEADER_BYTES,
    NewObject,
    Record,
    RecordDamaged,
    run_tag,
)
from maverick.checkpoints.objects.packs import Pack
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE, Item
from maverick.errors import PackDamaged, StoreTooNew

BOOT = bytes(range(16))
DATA = st.one_of(st.binary(max_size=30), st.integers(1, 4000).map(lambda n: b"%d " % n * (n // 3)))
STEPS = st.lists(
    st.tuples(
        st.lists(DATA, max_size=4),
        st.sampled_from(["", "", "label", "takeover", "takeover", "closed"]),
    ),
    min_size=1,
    max_size=12,
)


def begin(folder: Path) -> OpenPack:
    return OpenPack.begin(CountingFiles(), folder, BOOT)


def go_on(path: Path) -> OpenPack:
    """Go on with an open pack that nobody has, as another process does."""
    pack = OpenPack.go_on(CountingFiles(), path)
    assert pack is not None
    return pack


def seen(path: Path) -> Pack:
    """Read an open pack as others do."""
    return packs.open_growing(path.name, partial(CountingFiles().pread, path))


def objects_of(number: int, datas: list[bytes], known: list[NewObject]) -> list[NewObject]:
    """Give what save *number* adds: blobs, a list and a tree that name what is there, and its
    checkpoint.
    """
    blobs = [new_blob(data) for data in dict.fromkeys(datas)]
    named = [item.id for item in (*known[-3:], *blobs)]
    whole = b"".join(item.data for item in blobs) + b"%d" % number
    new = [
        *blobs,
        new_list(*blobs, new_blob(b"%d" % number), whole=whole),
        naming(named[0] if number % 2 and named else f"step{number}", *named),
        new_checkpoint({"sequence": number, "tree": named[-1] if named else ""}),
    ]
    there = {item.id for item in known}
    return [item for item in new if item.id not in there]


def appended(pack: OpenPack, saves: int, size: int = 12) -> list[NewObject]:
    """Append *saves* records that lean on one another, and give the objects in their order."""
    known: list[NewObject] = []
    for number in range(saves):
        data = random.Random(number).randbytes(size) + b"what all have in common" * 2
        new = objects_of(number, [data], known)
        pack.append(new, {"run": "r"}, run="r", sequence=number, anew=number == 4)
        known += new
    return known


@settings(deadline=None)
@given(STEPS, st.sampled_from([60, 3000, 1 << 20]), st.booleans())
def test_whatever_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[list[bytes], str]],
    segment_bytes: int,
    sealed: bool,
) -> None:
    """In order and at random, by who wrote it and by others, open and sealed; with labels, and
    taken over at any point.
    """
    known: list[NewObject] = []
    with patch.object(segments, "SEGMENT_BYTES", segment_bytes):
        pack = begin(tmp_path_factory.mktemp("objects"))
        for number, (datas, how) in enumerate(steps):
            if how == "takeover" and known:
                pack.leave()
                pack = go_on(pack.path)
            new = objects_of(number, datas, known) if how != "closed" else []
            meta = {"run": "r", "number": number}
            pack.append(
                new, meta, run="r", sequence=number, anew=how == "label", closed=how == "closed"
            )
            known += new
            assert pack.pack.size == seen(pack.path).size
        other = seen(pack.path)
        assert [b'{"run":"r","number":%d}' % n for n in range(len(steps))] == [
            other.meta(at) for at in range(len(steps))
        ]
        assert list(range(len(steps))) == [record.sequence for record in other.records]
        assert {run_tag("r")} == {record.run for record in other.records}
        _check_segments(other, segment_bytes, [how for _, how in steps])

        for found in (_sealed(pack),) if sealed else (pack.pack, other):
            assert len(known) == len(found)
            assert [NewObject(*item[1:]) for item in found.items(content=True)] == known
            assert [item[1:] for item in found.items(content=False)] == [
                tuple(item) for item in known if item.kind is not ObjectKind.BLOB
            ]
            for number in random.Random(1).sample(range(len(known)), len(known)):
                assert known[number].data == found.read(number)
                assert number == found.find(known[number].id)
                assert known[number].kind is found.kind(number)
            assert found.find(ids.blob_id(b"elsewhere")) is None
    if not sealed:
        pack.leave()


def _sealed(pack: OpenPack) -> Pack:
    file = pack.seal()
    data = pack.path.with_name(file).read_bytes()
    assert not pack.path.exists()
    return opened(file.removesuffix(".pack"), data)


def _check_segments(pack: Pack, segment_bytes: int, hows: list[str]) -> None:
    """No segment is longer than it may be, unless it is one block; a label begins new ones."""
    for stream in (STRUCTURE, CONTENT):
        blocks = 0
        size = 0
        for at, record in enumerate(pack.records):
            _, length = stream.place(record)
            if not length:
                continue
            if hows[at] == "label":
                assert stream.begins_segment(record)
            if stream.begins_segment(record):
                blocks = size = 0
            decoded = pack._segments.raw(stream, at)
            blocks, size = blocks + 1, size + len(decoded)
            assert blocks == 1 or size <= segment_bytes


@pytest.fixture
def pack(tmp_path: Path) -> Iterator[OpenPack]:
    pack = begin(tmp_path)
    yield pack
    if pack.is_usable:
        pack.leave()


def test_a_reader_looks_on_while_another_process_appends(pack: OpenPack) -> None:
    """It reads what is new, and no zeros that were written ahead."""
    known = appended(pack, 1)
    files = CountingFiles()
    other = packs.open_growing(pack.path.name, partial(files.pread, pack.path))
    for number in range(1, 30):
        new = objects_of(number, [b"%d" % number], known)
        pack.append(new, {}, run="r", sequence=number)
        known += new
        other.look_on()
        assert known == as_read(other)
    before = files.read_bytes

    other.look_on()

    assert files.read_bytes - before < 100
    assert pack.path.stat().st_size > pack.pack.size
    pack.leave()
    assert pack.path.stat().st_size == pack.pack.size


def test_any_flipped_byte_costs_its_segment_at_most(pack: OpenPack) -> None:
    """No wrong byte is read; what begins anew behind it is read; and only of the last record nobody
    can say that it was ever there.
    """
    known = appended(pack, 7)
    pack.leave()
    data, whole = pack.path.read_bytes(), seen(pack.path)
    anew, last = whole.records[4], whole.records[-1]
    for position in range(PACK_HEADER_BYTES, len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        found = packs.open_growing(pack.path.name, reader(bytes(broken)))
        assert (position < last.offset) == bool(found.damage)
        read = _readable(found)
        assert all(item.data == known[number].data for number, item in read.items())
        assert {n for n in range(len(known)) if n < _hurt(whole, position).first} <= set(read)
        if position < anew.offset:
            assert set(range(anew.first, len(known))) <= set(read)
        in_order = [item for item in found.items(content=True) if isinstance(item, Item)]
        assert [read[item.number] for item in in_order] == in_order


def _hurt(pack: Pack, position: int) -> Record:
    return next(record for record in pack.records if record.offset <= position < record.end)


def _readable(pack: Pack) -> dict[int, Item]:
    """Give the objects of an open pack that can be read one at a time."""
    read: dict[int, Item] = {}
    for number, kind, object_id in pack.objects():
        try:
            read[number] = Item(number, kind, object_id, pack.read(number))
        except RecordDamaged:
            continue
    return read


def test_any_cut_leaves_the_records_before_it(pack: OpenPack) -> None:
    """As a write that was not finished leaves them; and whoever goes on puts the next one there."""
    known = appended(pack, 4)
    pack.leave()
    data, whole = pack.path.read_bytes(), seen(pack.path)
    for length in range(PACK_HEADER_BYTES, len(data)):
        pack.path.write_bytes(data[:length] + bytes(length % 3 * 40))
        records = [record for record in whole.records if record.end <= length]
        count = sum(record.total for record in records)
        found = seen(pack.path)
        assert ([], records) == (found.damage, found.records)
        assert known[:count] == as_read(found)
        if length % 37 == 0:
            other = go_on(pack.path)
            new = objects_of(9, [b"later"], known[:count])
            other.append(new, {}, run="r", sequence=9)
            other.leave()
            assert [*known[:count], *new] == as_read(seen(pack.path))


@pytest.mark.parametrize("position", [0, 9, 20, 43, PACK_HEADER_BYTES, PACK_HEADER_BYTES + 70])
@pytest.mark.parametrize("zeros", [False, True])
def test_nobody_goes_on_with_an_open_pack_that_is_damaged(
    pack: OpenPack, position: int, zeros: bool
) -> None:
    """Nor cuts it: what is behind the damage would be gone. The boot id is no part of what is
    stored.
    """
    appended(pack, 3)
    pack.leave()
    data = bytearray(pack.path.read_bytes())
    if zeros:
        data[: position + 1] = bytes(position + 1)
    else:
        data[position] ^= 4
    pack.path.write_bytes(data)

    other = OpenPack.go_on(CountingFiles(), pack.path)

    if position == 43 and not zeros:
        assert other is not None
        other.leave()
    else:
        assert other is None
        assert bytes(data) == pack.path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, PACK_HEADER_BYTES, 20_000])
def test_an_open_pack_of_which_nothing_arrived_is_removed(tmp_path: Path, size: int) -> None:
    """The power went before its first record was acknowledged."""
    path = tmp_path / f"{'5a' * 16}.open"
    path.write_bytes(bytes(size))

    assert OpenPack.go_on(CountingFiles(), path) is None
    assert not path.exists()


def test_the_version_of_an_open_pack_is_told_from_a_flipped_bit(pack: OpenPack) -> None:
    """What this version finds whole, no newer one wrote."""
    appended(pack, 1)
    pack.leave()
    data = bytearray(pack.path.read_bytes())
    data[11] = 3
    with pytest.raises(PackDamaged, match="its header is damaged"):
        packs.open_growing(pack.path.name, reader(bytes(data)))
    with pytest.raises(StoreTooNew):
        packs.open_growing(pack.path.name, reader(bytes(data[:PACK_HEADER_BYTES]) + b"new" * 50))


def test_damage_that_is_a_write_under_way_is_none(pack: OpenPack) -> None:
    """The pages of two records may be read in the order in which they were not written."""
    known = appended(pack, 3)
    pack.leave()
    data, whole = pack.path.read_bytes(), seen(pack.path)
    early = bytearray(data)
    early[whole.records[1].offset : whole.records[1].end] = bytes(
        HEAD_BYTES + whole.records[1].length
    )
    reads = iter([bytes(early)])

    def pread(offset: int, length: int) -> bytes:
        current = next(reads, data) if offset == PACK_HEADER_BYTES else data
        return current[offset : offset + length]

    found = packs.open_growing(pack.path.name, pread)

    assert ([], known) == (found.damage, as_read(found))
