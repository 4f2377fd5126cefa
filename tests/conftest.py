"""Fixtures that tests of several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit_runs import Runs


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A project without a workflow; `runs.flow(...)` writes one."""
    return Runs(tmp_path / "project")
