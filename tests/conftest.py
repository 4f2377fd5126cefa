"""Fixtures that tests of several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kit.agents import Agents
from kit.program import Program, Quick
from kit.runs import Runs
from kit.surroundings import Surroundings

# The same examples on every run, so that a change is judged by what it changed; `exploring` looks
# for new ones. Neither asks how long anything takes: other work on the machine would decide.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("everyday", _UNTIMED, derandomize=True)
settings.register_profile("exploring", _UNTIMED, max_examples=300, print_blob=True)

_SURROUNDINGS = Surroundings()


def pytest_unconfigure() -> None:
    """Remove what was made for all tests."""
    _SURROUNDINGS.remove()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, empty."""
    folder = _SURROUNDINGS.new_home()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A project without a workflow; `runs.flow(...)` writes one."""
    return Runs(tmp_path / "project")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The real program, in processes of its own, and a project."""
    return Program(tmp_path / "project")


@pytest.fixture
def quick(program: Program, monkeypatch: pytest.MonkeyPatch) -> Quick:
    """The program in this process, in the project's folder."""
    monkeypatch.chdir(program.root)
    return Quick(program)


@pytest.fixture
def agents(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agents:
    """The same project, whose agents are played by stand-ins; what they try again, they try at
    once.
    """
    monkeypatch.setattr("maverick.dsl.agents.conversation.TRANSPORT_PAUSE_SECONDS", 0.0)
    return Agents(runs, tmp_path / "standins")
