from __future__ import annotations

from pathlib import Path

import pytest

from kit_agents import Agents
from kit_runs import Runs
from maverick.dsl.agents import conversation


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr(conversation, "TRANSPORT_PAUSE_SECONDS", 0.0)


@pytest.fixture
def agents(runs: Runs, tmp_path: Path) -> Agents:
    """A project whose agents are stand-ins."""
    return Agents(runs, tmp_path / "standins")
