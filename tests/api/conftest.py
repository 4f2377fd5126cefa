"""A project for tests of Python's front door."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.folders import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A project, which is the current folder."""
    made = Folder(tmp_path / "project")
    monkeypatch.chdir(made.root)
    return made
