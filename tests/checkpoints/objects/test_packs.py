"""Packs as bytes: written, read by index, and scanned without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from blake3 import blake3

from maverick.checkpoints.objects import packs
from maverick.checkpoints.objects.frames import (
    FRAME_MAGIC,
    HAS_BASE,
    HAS_CHUNKS,
    STORED,
    ZSTD,
    Compressor,
    Frame,
    FrameDamaged,
    check_frame,
    open_frame,
    parse_header,
)
from maverick.checkpoints.objects.ids import ObjectKind, blob_id
from maverick.checkpoints.objects.pack_index import PackIndex
from maverick.checkpoints.objects.packs import PackWriter
from maverick.errors import PackDamaged, StoreTooNew

DATAS = [
    b"",
    b"x",
    b"a" * 5000,
    bytes(range(256)) * 8,
    *(f"object {n}".encode() for n in range(40)),
]


def _frame(data: bytes) -> Frame:
    return Compressor().frame(ObjectKind.BLOB, blob_id(data), data)


def _written(datas: list[bytes]) -> tuple[bytes, PackIndex]:
    pieces: list[bytes] = []
    writer = PackWriter(pieces.append)
    for data in datas:
        writer.add(_frame(data))
    index = writer.finish()
    return b"".join(pieces), index


def _reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


def test_each_object_is_found_by_its_id_and_read_back() -> None:
    """Stored or compressed, empty or not."""
    data, _ = _written(DATAS)
    index = packs.read_index(blake3(data[:-40]).hexdigest(), len(data), _reader(data))

    for content in DATAS:
        place = index.find(bytes.fromhex(blob_id(content)))
        assert place is not None
        header, back = open_frame(data[place.offset : place.offset + place.length])
        assert (content, blob_id(content)) == (back, header.id)
    assert index.find(bytes(32)) is None
    assert len(DATAS) == len(index) == len(list(index))


def test_the_name_is_the_hash_of_everything_before_it() -> None:
    """So that a pack that was copied somewhere can be verified as a whole."""
    data, index = _written(DATAS)

    assert index.name == blake3(data[:-40]).hexdigest()
    assert len(data) == index.size


def test_two_packs_of_the_same_objects_have_different_names() -> None:
    """A name must never come back after gc has condemned it."""
    assert _written(DATAS)[1].name != _written(DATAS)[1].name


def test_an_object_is_compressed_only_if_that_makes_it_smaller() -> None:
    """The codec is one byte of the frame; ids do not depend on it."""
    small, large = _frame(b"x"), _frame(b"a" * 5000)

    assert STORED == parse_header(small.raw).codec
    assert ZSTD == parse_header(large.raw).codec
    assert len(large.raw) < 200


def test_prefixes_find_the_ids_that_begin_with_them() -> None:
    """Odd numbers of digits too."""
    _, index = _written(DATAS)
    ids = sorted(map(blob_id, DATAS))

    for prefix in ("", ids[3][:5], ids[3][:4], ids[-1], "f", "0"):
        assert [i for i in ids if i.startswith(prefix)] == [
            found for found, _ in index.with_prefix(prefix)
        ]


def test_frames_are_found_without_the_index() -> None:
    """An index can be lost without the objects being lost."""
    data, _ = _written(DATAS)
    end = data.rfind(FRAME_MAGIC)

    found = list(packs.scan(len(data), _reader(data)))
    assert [blob_id(content) for content in DATAS] == [header.id for header, _ in found]
    assert end == found[-1][1]


def test_a_scan_goes_on_behind_a_damaged_frame() -> None:
    """Also when its length is what is damaged."""
    data, index = _written(DATAS)
    place = index.find(bytes.fromhex(blob_id(DATAS[5])))
    assert place is not None
    broken = bytearray(data)
    broken[place.offset + 14] ^= 0xFF

    found = [header.id for header, _ in packs.scan(len(data), _reader(bytes(broken)))]
    assert [blob_id(content) for content in DATAS if content != DATAS[5]] == found


def test_every_flipped_byte_of_a_frame_is_noticed() -> None:
    """In the header by its check, in the payload by its check or the id."""
    for content in (b"abc", b"a" * 300):
        raw = _frame(content).raw
        for position in range(len(raw)):
            broken = bytearray(raw)
            broken[position] ^= 0x01
            with pytest.raises(FrameDamaged):
                check_frame(bytes(broken))


def test_every_flipped_byte_of_index_and_trailer_is_noticed() -> None:
    """A wrong offset must not be followed."""
    data, index = _written(DATAS[:3])
    start = len(data) - packs.TRAILER_BYTES - len(index.data)

    for position in [*range(8), *range(start, len(data))]:
        broken = bytearray(data)
        broken[position] ^= 0x01
        with pytest.raises(PackDamaged):
            packs.read_index(index.name, len(data), _reader(bytes(broken)))


def test_every_truncation_is_noticed() -> None:
    """A pack that was copied by half."""
    data, index = _written(DATAS[:3])

    for length in range(len(data)):
        with pytest.raises(PackDamaged):
            packs.read_index(index.name, length, _reader(data[:length]))


@pytest.mark.parametrize(("offset", "byte"), [(4, 9), (5, 7), (6, 4), (6, HAS_BASE | HAS_CHUNKS)])
def test_what_a_newer_version_wrote_is_told_from_damage(offset: int, byte: int) -> None:
    """A kind, a codec or a flag that this version does not know, in a frame that is whole."""
    from zlib import crc32  # noqa: PLC0415

    raw = bytearray(_frame(b"abc").raw)
    raw[offset] = byte
    raw[52:56] = crc32(raw[:52]).to_bytes(4)

    with pytest.raises(StoreTooNew):
        open_frame(bytes(raw))
