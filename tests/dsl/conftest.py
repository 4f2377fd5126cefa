"""Fixtures for tests of real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.processes import Bench, runs


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench in the test's folder."""
    return Bench(tmp_path)


@pytest.fixture
def victims() -> Iterator[list[int]]:
    """Pids that are killed when the test is over, whatever came of it."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)
