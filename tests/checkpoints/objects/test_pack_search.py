"""Look-ups in large packs read a few hundred bytes, and what a store does costs the same however
large it is.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from random import Random

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend, read_all, step
from maverick.checkpoints import Store, note
from maverick.checkpoints.objects import packs
from maverick.checkpoints.objects.frames import Compressor
from maverick.checkpoints.objects.ids import ObjectKind, blob_id
from maverick.checkpoints.objects.pack_index import BLOCK_ROWS, ROW_BYTES, search
from maverick.errors import PackDamaged

ROW = struct.Struct(">32sQIB")


def _rows(ids: list[bytes]) -> bytes:
    return b"".join(raw_id + bytes(ROW_BYTES - 32) for raw_id in sorted(ids))


class Reader:
    """The rows of an index, counting what is read of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.blocks = self.most = 0

    def __call__(self, first: int, number: int) -> bytes:
        assert 0 <= first <= first + number <= len(self._data) // ROW_BYTES
        self.blocks += 1
        self.most = max(self.most, number)
        return self._data[first * ROW_BYTES : (first + number) * ROW_BYTES]


@given(
    st.sets(st.binary(min_size=32, max_size=32), max_size=60), st.binary(min_size=32, max_size=32)
)
def test_every_id_is_found_and_no_other(ids: set[bytes], other: bytes) -> None:
    """Whatever the ids are; the position is that of the first id that is not less."""
    ordered = sorted(ids)
    reader = Reader(_rows(ordered))

    for position, raw_id in enumerate(ordered):
        at, row = search(len(ordered), reader, raw_id)
        assert (position, raw_id) == (at, row[:32])
    if other not in ids:
        assert (sum(raw_id < other for raw_id in ids), b"") == search(len(ordered), reader, other)


@given(st.integers(0, 2000), st.integers(0, 31))
def test_ids_that_are_no_hashes_are_found_all_the_same(count: int, shift: int) -> None:
    """All of them close together: guessing fails, halving does not."""
    ids = [(n << 8 * (shift % 28)).to_bytes(32) for n in range(count)]
    reader = Reader(_rows(ids))

    for raw_id in ids[:: max(1, count // 7)]:
        reader.blocks = 0
        assert raw_id == search(count, reader, raw_id)[1][:32]
        assert reader.blocks < 24


def test_a_look_up_among_many_reads_a_few_hundred_bytes() -> None:
    """Three or four blocks of 540 bytes among 200,000 ids, found or not."""
    random = Random(7)
    ids = [random.randbytes(32) for _ in range(200_000)]
    reader = Reader(_rows(ids))

    for raw_id in [*random.sample(ids, 200), *(random.randbytes(32) for _ in range(200))]:
        search(len(ids), reader, raw_id)

    assert BLOCK_ROWS == reader.most
    assert reader.blocks / 400 < 4


def add_big_pack(root: Path, count: int) -> list[bytes]:
    """Put a pack of *count* blobs into a store; only the first and last frame are there. Gives
    their ids.
    """
    first, last = (
        Compressor().frame(ObjectKind.BLOB, blob_id(data), data) for data in (b"first", b"last")
    )
    between = 1000 * count
    start = packs.HEADER_BYTES + len(first.raw) + between + len(last.raw)
    rows = [(bytes.fromhex(first.id), packs.HEADER_BYTES, len(first.raw), 1)]
    rows += [(os.urandom(32), packs.HEADER_BYTES + 1000 * n, 1000, 1) for n in range(count - 2)]
    rows += [(bytes.fromhex(last.id), start - len(last.raw), len(last.raw), 1)]
    index = b"".join(ROW.pack(*row) for row in sorted(rows))
    name = os.urandom(32)
    with (root / "objects" / f"{name.hex()}.pack").open("wb") as file:
        file.write(b"MVRKPACK" + struct.pack(">I16s", 1, os.urandom(16)) + first.raw)
        file.seek(between, os.SEEK_CUR)
        file.write(
            last.raw
            + index
            + struct.pack(">QI32s32s8s", start, count, blake3(index).digest(), name, b"MVRKTAIL")
        )
    return [row[0] for row in rows]


def _prepared(root: Path, objects: int) -> list[bytes]:
    store = Store.create(root, files=CountingFiles())
    extend(store, begin(store), range(20))
    return add_big_pack(root, objects)


def _costs(root: Path) -> dict[str, tuple[int, int]]:
    """How many reads, and of how many bytes, each operation takes in a process of its own."""
    costs: dict[str, tuple[int, int]] = {}

    def counted(name: str) -> Store:
        files = CountingFiles()
        store = Store.open(root, files=files)
        match name:
            case "open":
                store.refs()
            case "load":
                read_all(store, store.resolve("run-1"))
            case "save":
                at = store.resolve("run-1")
                store.save("run-1", step(500), parent=at, facts={("steps", "step500"): note("x")})
            case "save again":
                extend(store, store.resolve("run-1"), range(600, 603))
            case "log":
                list(store.history("run-1"))
            case "diff":
                list(store.diff("run-1~8", "run-1"))
            case "resolve":
                store.resolve(store.ref("run-1").checkpoint[:12])
        costs[name] = (files.reads + files.look_ups, files.read_bytes)
        return store

    for name in ("open", "load", "log", "diff", "resolve", "save", "save again"):
        counted(name)
    return costs


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.thorough)])
def test_operations_cost_the_same_in_a_store_with_very_many_objects(
    tmp_path: Path, count: int
) -> None:
    """Twice the reads and bytes of a store with 1,000 objects at the most."""
    _prepared(tmp_path / "small", 1000)
    ids = _prepared(tmp_path / "large", count)

    small, large = _costs(tmp_path / "small"), _costs(tmp_path / "large")

    for name, (reads, read_bytes) in large.items():
        assert reads <= 2 * small[name][0], name
        assert read_bytes <= 2 * small[name][1], name
    store = Store.open(tmp_path / "large")
    assert [b"first", b"last"] == [store.read(blob_id(data)) for data in (b"first", b"last")]
    assert all(store.objects.packs.find(raw_id.hex()) for raw_id in Random(1).sample(ids, 100))  # type: ignore[arg-type]


def test_a_large_index_that_is_overwritten_is_reported_as_damage(tmp_path: Path) -> None:
    """Look-ups do not check it, but what is not found is not said to be missing before it was."""
    _prepared(tmp_path, 1000)
    (path,) = [path for path in (tmp_path / "objects").iterdir() if path.stat().st_size > 900_000]
    damaged = bytearray(path.read_bytes())
    damaged[-84 - 45 * 500 : -84 - 45 * 200] = bytes(45 * 300)
    path.write_bytes(damaged)
    store = Store.open(tmp_path)

    assert path.stem not in [index.name for index in store.objects.packs.indexes()]
    with pytest.raises(PackDamaged, match="its index is damaged"):
        store.read(blob_id(b"elsewhere"))
