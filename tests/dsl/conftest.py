"""Fixtures for tests of real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.processes import Bench, runs
from maverick.dsl.processes.process_table import can_name_forks

STARTS = ["at once", "gate"] if can_name_forks() else ["gate"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench in the test's folder."""
    return Bench(tmp_path)


@pytest.fixture(params=STARTS)
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How commands are started: each way that there is on this system, and that of all others."""
    if request.param == "gate":
        monkeypatch.setattr("maverick.dsl.processes.processes.can_name_forks", lambda: False)
    return str(request.param)


@pytest.fixture
def victims() -> Iterator[list[int]]:
    """Pids that are killed when the test is over, whatever came of it."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)
