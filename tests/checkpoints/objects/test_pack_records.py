"""Records: what one save appends, told from everything that is none."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.packs import naming, new_blob, new_checkpoint, new_list, new_tree
from maverick.checkpoints.objects import pack_records
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, blob_id
from maverick.checkpoints.objects.pack_records import (
    HEAD_BYTES,
    NO_RUN,
    PACK_HEADER_BYTES,
    PackHeader,
    Quoted,
    Record,
    RecordDamaged,
    encode_record,
    expand,
    parse_header,
    parse_list,
    parse_record,
    raw_content,
    raw_structure,
    run_tag,
    scan,
    shorten,
    sort,
    split_content,
    split_structure,
    varint,
    varints,
)
from maverick.errors import PackDamaged, StoreTooNew, UsageError

NONCE = bytes(range(16))
ID = st.binary(min_size=32, max_size=32)


def _record(offset: int, first: int, number: int = 3, size: int = 40) -> tuple[bytes, Record]:
    raw_ids = random.Random(first).randbytes(32 * number)
    block = random.Random(offset).randbytes(size)
    counts = (1, 0, number - 1, 0)
    return encode_record(
        NONCE, offset, 5, first, counts, raw_ids, block, block[:9], first, run_tag("r")
    )


def _records(count: int, size: int = 40) -> tuple[bytes, list[Record]]:
    data, found = b"", list[Record]()
    for number in range(count):
        part, record = _record(PACK_HEADER_BYTES + len(data), 3 * number, size=size)
        data += part
        found.append(record)
    return data, found


@given(st.lists(st.integers(0, 2**62), max_size=9))
def test_numbers_come_back(numbers: list[int]) -> None:
    """In one byte up to 127."""
    data = b"".join(map(varint, numbers))

    assert (numbers, len(data) + 2) == varints(b"ab" + data, 2, len(numbers))
    assert all(len(varint(number)) == max(1, -(-number.bit_length() // 7)) for number in numbers)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 100_000 + b"\x00"])
def test_a_number_without_an_end_is_none(data: bytes) -> None:
    """Nor is one that has more digits than any number in a pack."""
    with pytest.raises(IndexError):
        varints(data, 0, 1)


@given(
    st.integers(0, 2**40),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(0, 200)] * 4),
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.integers(0, 2**32 - 1),
    st.text(max_size=20),
)
def test_a_record_says_what_was_put_into_it(
    offset: int,
    flags: int,
    first: int,
    counts: tuple[int, int, int, int],
    structure: bytes,
    content: bytes,
    sequence: int,
    run: str,
) -> None:
    """At its place in its pack alone."""
    raw_ids = bytes(32 * sum(counts))
    data, record = encode_record(
        NONCE, offset, flags, first, counts, raw_ids, structure, content, sequence, run_tag(run)
    )

    assert record == parse_record(NONCE, b"xy" + data + b"more", 2, offset - 2)
    assert record == Record(
        offset,
        len(data) - HEAD_BYTES,
        flags,
        first,
        counts,
        record.prelude,
        len(structure),
        sequence,
        run_tag(run),
    )
    assert raw_ids == data[record.ids_at - offset : record.structure_at - offset]
    assert structure == data[record.structure_at - offset :][: len(structure)]
    assert content == data[len(data) - record.content_bytes :]
    kinds = [kind for kind, count in zip(ObjectKind, counts, strict=True) for _ in range(count)]
    assert kinds == [record.kind_of(position) for position in range(record.total)]
    with pytest.raises(IndexError):
        record.kind_of(record.total)
    for other_nonce, other_offset in ((bytes(16), offset), (NONCE, offset + 1)):
        with pytest.raises(RecordDamaged):
            parse_record(other_nonce, data, 0, other_offset)


def test_no_flipped_byte_of_a_record_goes_unnoticed() -> None:
    """Head, ids or blocks, and whatever length it then has."""
    data, record = _record(100, 0)

    for position in range(len(data)):
        for bit in (1, 16, 128):
            broken = bytearray(data)
            broken[position] ^= bit
            with pytest.raises(RecordDamaged):
                parse_record(NONCE, bytes(broken), 0, 100)
    for length in range(len(data)):
        with pytest.raises(RecordDamaged):
            parse_record(NONCE, data[:length], 0, 100)
    assert record == parse_record(NONCE, data, 0, 100)


def test_records_up_to_a_cut_are_found() -> None:
    """Wherever it is, and whatever is behind it; that is no damage."""
    data, written = _records(4)

    for length in range(len(data) + 1):
        other = bytes([data[length] ^ 1]) if length < len(data) else b""
        for tail in (b"", other + bytes(300), other + b"\xf7Mvr" * 20):
            whole = [record for record in written if record.end - PACK_HEADER_BYTES <= length]
            assert whole == list(scan(data[:length] + tail, NONCE, PACK_HEADER_BYTES))


def test_a_scan_goes_on_behind_damage() -> None:
    """One damage between two records that are whole, wherever the flipped byte is."""
    data, written = _records(4)

    for position in range(written[3].offset - PACK_HEADER_BYTES):
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        found = list(scan(bytes(broken), NONCE, PACK_HEADER_BYTES))
        (hurt,) = [it for it in written if it.offset <= position + PACK_HEADER_BYTES < it.end]
        assert [it for it in written if it != hurt] == [it for it in found if it in written]
        assert [RecordDamaged] == [type(it) for it in found if it not in written]


def test_several_damaged_records_are_one_damage() -> None:
    """Also zeros in their place, and what looks like records in them."""
    data, written = _records(5)
    start, end = (written[at].offset - PACK_HEADER_BYTES for at in (1, 3))
    other, _ = _record(written[1].offset, 1)

    for between in (bytes(end - start), (other + bytes(end))[: end - start]):
        found = list(scan(data[:start] + between + data[end:], NONCE, PACK_HEADER_BYTES))
        assert [written[0], *written[3:]] == [it for it in found if isinstance(it, Record)]
        assert 1 == sum(isinstance(it, RecordDamaged) for it in found)


def test_a_record_that_counts_back_does_not_belong_there() -> None:
    """It is whole, and its numbers were given away already."""
    data, written = _records(2)
    stale, _ = _record(written[1].end, 0)
    last, record = _record(written[1].end + len(stale), 6)

    found = list(scan(data + stale + last, NONCE, PACK_HEADER_BYTES))

    assert [*written, record] == [it for it in found if isinstance(it, Record)]
    assert 1 == sum(isinstance(it, RecordDamaged) for it in found)


@given(st.lists(ID, max_size=6, unique=True), st.integers(0, 7), st.data())
def test_ids_become_numbers_and_come_back(
    raw_ids: list[bytes], own: int, data: st.DataObject
) -> None:
    """Those of objects before, wherever they stand; no others, and no text is changed."""
    hexed = [ObjectId(raw_id.hex()) for raw_id in raw_ids]
    texts = st.sampled_from([*hexed, "", "x", '"', "\\", "\n", "é", "0" * 64, "f" * 63])
    name = "".join(data.draw(st.lists(texts, max_size=4)))
    tree = naming(name, *hexed)
    numbers = {object_id.encode(): number for number, object_id in enumerate(hexed)}

    stored = shorten(tree.data, numbers, own)

    assert tree.data == expand(stored, Quoted(raw_ids.__getitem__))
    assert set(pack_records.named(stored)) <= set(range(min(own, len(hexed))))
    assert all(b'"%s"' % it.encode() not in stored for it in hexed[:own])


def test_a_list_names_chunks_by_numbers_too() -> None:
    """Else a large file would have each id twice."""
    parts = [new_blob(b"one"), new_blob(b"three")]
    item = new_list(*parts, whole=b"onethree")
    numbers = {part.id.encode(): number for number, part in enumerate(parts)}

    stored = shorten(item.data, numbers, 2)

    assert b"[[\x010,3],[\x011,5]]" == stored
    back = expand(stored, Quoted(lambda number: bytes.fromhex(parts[number].id)))
    assert ((parts[0].id, 3), (parts[1].id, 5)) == parse_list(back)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}x",
        b"[1]",
        b'[["x",1]]',
        b'[["%s"]]' % (b"a" * 64),
        b'[["%s",-1]]' % (b"a" * 64),
        b'[["%s",true]]' % (b"a" * 64),
        b"\xff",
        b"[" * 5000,
    ],
)
def test_what_is_no_list_is_damage(data: bytes) -> None:
    """Nothing else that it may be passes for one."""
    with pytest.raises(RecordDamaged):
        parse_list(data)


@given(st.binary(max_size=20), st.lists(st.binary(max_size=200), max_size=9))
def test_blocks_are_split_as_they_were_joined(meta: bytes, parts: list[bytes]) -> None:
    """And one that was cut, or is too long, is damage."""
    structure, content = raw_structure(meta, parts), raw_content(parts)

    found, bounds = split_structure(structure, len(parts))
    assert meta == found
    assert parts == [structure[a:b] for a, b in pairwise(bounds)]
    bounds = split_content(content, len(parts))
    assert parts == [content[a:b] for a, b in pairwise(bounds)]
    for wrong in (structure + b"x", structure[:-1]):
        with pytest.raises(RecordDamaged):
            split_structure(wrong, len(parts))
    with pytest.raises(RecordDamaged):
        split_content(content + b"x", len(parts))


def test_objects_stand_in_the_order_of_their_kinds() -> None:
    """Blobs, lists, trees, checkpoints; those of a kind as they were added."""
    blobs = [new_blob(b"%d" % n) for n in range(3)]
    many = new_list(*blobs, whole=b"012")
    tree, checkpoint = new_tree({"entries": {}}), new_checkpoint({"format": 1})

    counts, objects = sort([tree, blobs[0], checkpoint, blobs[1], many, blobs[2]])

    assert ((3, 1, 1, 1), [*blobs, many, tree, checkpoint]) == (counts, objects)


def test_headers_are_told_from_damage_and_from_other_versions() -> None:
    """Of version 1 with the last commit that reads it."""
    header = PackHeader(NONCE, bytes(range(16, 32)))
    data = header.encode()

    assert header == parse_header("name", data)
    for broken in (data[:-1], b"x" + data[1:], b""):
        with pytest.raises(PackDamaged, match="pack name is damaged"):
            parse_header("name", broken)
    with pytest.raises(StoreTooNew, match="ea2b6a2"):
        parse_header("name", data[:8] + (1).to_bytes(4) + data[12:])
    with pytest.raises(StoreTooNew, match="has version 3, this version reads 2; update maverick"):
        parse_header("name", data[:8] + (3).to_bytes(4) + data[12:])


class _Long(bytes):
    def __len__(self) -> int:
        return pack_records.MOST_OBJECT_BYTES + 1


def test_an_object_that_a_record_cannot_hold_is_refused() -> None:
    """The length of a record has 32 bits, and what does not compress becomes longer."""
    with pytest.raises(UsageError, match="the limit is 2 GiB"):
        pack_records.require_storable(_Long())
    assert NO_RUN == bytes(8)
    assert blob_id(b"") == new_blob(b"").id
