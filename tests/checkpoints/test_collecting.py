"""When garbage is collected unasked."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from maverick.checkpoints import Store, blob
from maverick.checkpoints import store as store_module
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.store import collecting_pays, note_collected


def _grow(store: Store, run: str, size: int) -> None:
    store.save(run, {("blob",): blob(os.urandom(size))}, parent=None)


def test_it_does_not_pay_in_a_small_store(tmp_path: Path) -> None:
    """Most runs end without it."""
    store = Store.create(tmp_path)
    _grow(store, "r", 1000)

    assert not collecting_pays(store)


def test_it_pays_once_the_store_has_grown_to_twice_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not again before it has done so once more."""
    monkeypatch.setattr(store_module, "GROWN_BYTES", 10_000)
    store = Store.create(tmp_path)
    paid = []
    for number in range(6):
        _grow(store, f"r{number}", 9_000 - 100 * number)
        paid.append(collecting_pays(store))
        if paid[-1]:
            note_collected(store)

    assert [False, True, False, False, True, False] == paid


def test_what_is_in_open_packs_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that nobody appends to are sealed by gc."""
    monkeypatch.setattr(store_module, "GROWN_BYTES", 10_000)
    store = Store.create(tmp_path)
    with store.own("r"):
        _grow(store, "r", 20_000)
    assert [".open"] == [path.suffix for path in (tmp_path / "objects").iterdir()]

    assert collecting_pays(store)
    store.plan_gc().execute()
    note_collected(store)
    assert not collecting_pays(store)


def test_many_packs_make_it_pay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a file to be opened."""
    monkeypatch.setattr(store_module, "MANY_PACKS", 3)
    store = Store.create(tmp_path)
    for number in range(5):
        _grow(store, f"r{number}", 10)

    assert collecting_pays(store) is (len(list((tmp_path / "objects").iterdir())) > 3)


def test_a_note_that_is_damaged_costs_one_collection(tmp_path: Path) -> None:
    """It lies in the cache, which may be lost."""
    store = Store.create(tmp_path)
    (tmp_path / "cache" / "collected").write_text("nonsense")

    assert not collecting_pays(store)


def test_a_collection_on_a_full_disk_needs_no_note(tmp_path: Path) -> None:
    """It did its work; the next one is judged by the note before."""

    class Full(Files):
        def write(self, descriptor: int, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    store = Store.create(tmp_path)
    note_collected(store)
    before = (tmp_path / "cache" / "collected").read_bytes()
    _grow(store, "r", 9_000)

    note_collected(Store.open(tmp_path, files=Full()))

    assert before == (tmp_path / "cache" / "collected").read_bytes()
