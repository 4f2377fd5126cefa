"""A store, and another process that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.faults import CountingFiles, StubbornFiles
from maverick.checkpoints import Store


@pytest.fixture
def files() -> StubbornFiles:
    return StubbornFiles()


@pytest.fixture
def store(tmp_path: Path, files: StubbornFiles) -> Store:
    Store.create(tmp_path / "store", files=CountingFiles())
    return Store.open(tmp_path / "store", files=files)


@pytest.fixture
def other(store: Store) -> Store:
    return Store.open(store.root, files=StubbornFiles())
