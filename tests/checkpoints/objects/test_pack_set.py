"""The packs of a store as one process knows them, while others and it itself change them."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import patch

import pytest

from kit.faults import CountingFiles
from kit.packs import new_blob, written
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Store
from maverick.checkpoints.objects import open_pack, pack_index, packs
from maverick.checkpoints.objects.objects import Objects
from maverick.errors import PackDamaged


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", files=CountingFiles())


def test_nothing_is_read_through_a_pack_that_was_let_go(store: Store) -> None:
    """The number of its file may be that of another one by now; the object is where it was."""
    with store.own("run-1"):
        at = begin(store)
        place = store.objects.packs.find(at.id)
        assert place is not None
        assert place.pack.is_open

    with pytest.raises(FileNotFoundError):
        store.objects.packs.read(place)
    assert store.read(at.id)
    store.appender.seal_all()
    assert store.read(at.id)


def test_objects_are_read_while_their_pack_is_sealed(store: Store) -> None:
    """Again and again, by another thread, and always right."""
    done = threading.Event()
    errors: list[BaseException] = []
    with patch.object(open_pack, "SEALED_FROM_BYTES", 4000), store.own("run-1"):
        at = begin(store)

        def read() -> None:
            try:
                while not done.is_set():
                    read_all(store, at)
            except BaseException as error:  # noqa: BLE001 - the test tells it
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        extend(store, at, range(40))
        done.set()
        thread.join()

    assert [] == errors
    assert len(list((store.root / "objects").glob("*.pack"))) > 2


def test_a_small_pack_with_a_damaged_directory_is_one_damaged_pack(tmp_path: Path) -> None:
    """It is read as soon as the pack is found; the others are read all the same."""
    (tmp_path / "objects").mkdir()
    broken, whole = written([new_blob(b"broken")]), written([new_blob(b"whole")])
    data = bytearray(broken[1])
    data[-pack_index.TRAILER_BYTES - 1] ^= 1
    (tmp_path / f"objects/{broken[0]}.pack").write_bytes(data)
    (tmp_path / f"objects/{whole[0]}.pack").write_bytes(whole[1])

    with patch.object(packs, "_TAIL_BYTES", pack_index.TRAILER_BYTES):
        objects = Objects(CountingFiles(), tmp_path)
        assert b"whole" == objects.read(new_blob(b"whole").id)
        with pytest.raises(PackDamaged, match="its directory is damaged"):
            objects.read(new_blob(b"broken").id)
    assert [f"{whole[0]}.pack"] == [pack.file for pack in objects.packs.listed()]


def test_names_that_are_no_packs_mean_nothing(store: Store) -> None:
    """Whatever somebody has put there."""
    at = begin(store)
    for name in ("x.open", "x.pack", f"{'5A' * 16}.open", f"{'0' * 31}.open", "README"):
        (store.root / "objects" / name).write_bytes(b"anything")

    fresh = Store.open(store.root)
    assert ["run-1"] == [ref.run for ref in fresh.refs()]
    assert at == fresh.resolve("run-1")
    with fresh.own("run-1"):
        extend(fresh, at, range(2))
    assert 3 == Store.open(store.root).ref("run-1").sequence
