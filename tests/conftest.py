"""Fixtures that tests of several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from kit_agents import Agents
from kit_runs import Runs

# The same examples on every run, so that a change is judged by what it changed; `exploring` looks for new ones.
settings.register_profile("everyday", derandomize=True, deadline=None)
settings.register_profile("exploring", max_examples=300, deadline=None, print_blob=True)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A project without a workflow; `runs.flow(...)` writes one."""
    return Runs(tmp_path / "project")


@pytest.fixture
def agents(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agents:
    """The same project, whose agents are played by stand-ins; what they try again, they try at once."""
    monkeypatch.setattr("maverick.dsl.agents.conversation.TRANSPORT_PAUSE_SECONDS", 0.0)
    return Agents(runs, tmp_path / "standins")
