"""What stands for ids in a pack: numbers of objects before the one that names them."""

from __future__ import annotations

import os
from itertools import pairwise
from random import Random

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from maverick.checkpoints.objects import pack_index, pack_writer, packs
from maverick.checkpoints.objects.ids import ObjectKind, blob_id, tree_id
from maverick.checkpoints.objects.pack_records import NewObject, named, shorten, split_structure
from maverick.checkpoints.objects.pack_writer import PackWriter
from maverick.checkpoints.objects.packs import Pack
from maverick.checkpoints.objects.segments import STRUCTURE, Decoder, Item, decoded
from maverick.errors import PackDamaged


def _nodes(number: int) -> list[NewObject]:
    """Nodes of which each names others, wherever these come in the list."""
    random = Random(number)
    ids = [blob_id(b"%d" % n) for n in range(number)]  # of what nobody compares with them
    texts = [b'["%s","%s"]' % tuple(i.encode() for i in random.choices(ids, k=2)) for _ in ids]
    kinds = random.choices([ObjectKind.LIST, ObjectKind.TREE, ObjectKind.CHECKPOINT], k=number)
    return [NewObject(*row) for row in zip(kinds, ids, texts, strict=True)]


def _written(objects: list[NewObject]) -> tuple[Pack, bytes]:
    parts: list[bytes] = []
    writer = PackWriter(parts.append, bytes(16))
    for item in objects:
        writer.add(item)
    name = writer.finish()
    data = b"".join(parts)
    return packs.open_sealed(f"{name}.pack", len(data), lambda at, n: data[at : at + n]), data


def test_a_number_names_what_is_before_it_whatever_the_threads_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that come later have numbers already, when a record is packed beside others."""
    monkeypatch.setattr(pack_writer, "_RECORD_BYTES", 1 << 12)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    objects = _nodes(2000)

    (pack, data), (_, again) = _written(objects), _written(objects)

    assert data == again
    numbers = 0
    for record in pack.records:
        raw = decoded(STRUCTURE, record, Decoder(), pack.pread)
        _, bounds = split_structure(raw, record.total)
        for own, (start, end) in enumerate(pairwise(bounds), record.first):
            assert all(other < own for other in named(raw[start:end]))
            numbers += len(list(named(raw[start:end])))
    assert numbers > 1000
    items = [item for item in pack.items(content=True) if isinstance(item, Item)]
    assert {it.id: it.data for it in objects} == {it.id: it.data for it in items}
    assert all(item.data == pack.read(item.number) for item in items)


@given(st.lists(st.integers(0, 9)), st.integers(0, 9))
def test_an_id_is_shortened_where_its_number_is_lower(names: list[int], own: int) -> None:
    ids = [tree_id(b"%d" % number) for number in range(10)]
    numbers = {object_id.encode(): number for number, object_id in enumerate(ids)}

    stored = shorten(b",".join(b'"%s"' % ids[n].encode() for n in names), numbers, own)

    assert [number for number in names if number < own] == list(named(stored))
    assert sum(number >= own for number in names) == stored.count(b'"') // 2


def test_a_directory_lists_no_more_records_than_there_is_room_for() -> None:
    """Else some bytes would decompress to gigabytes of it."""
    _, data = _written(_nodes(3))
    fields = list(pack_index.TRAILER.unpack(data[-pack_index.TRAILER_BYTES :]))
    fields[2] = 2**32 - 1
    body = data[: -pack_index.TRAILER_BYTES] + pack_index.TRAILER.pack(*fields)[:-40]
    altered = body + blake3(body).digest() + pack_index.TRAILER_MAGIC

    with pytest.raises(PackDamaged, match="its trailer does not fit its size"):
        packs.open_sealed(
            f"{blake3(body).hexdigest()}.pack", len(altered), lambda at, n: altered[at : at + n]
        )


def test_a_large_object_has_a_record_of_its_own() -> None:
    """Else each small one beside it would cost as much to be read."""
    large = bytes(3_000_000)
    blobs = [b"a", large, b"b", b"c" * 1_500_000, b"d"]

    pack, _ = _written([NewObject(ObjectKind.BLOB, blob_id(data), data) for data in blobs])

    assert [1, 1, 2, 1] == [record.total for record in pack.records]
    assert blobs == [pack.read(number) for number in range(5)]
