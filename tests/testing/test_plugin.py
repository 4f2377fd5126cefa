"""The pytest plugin, in a pytest of a user's: the fixture, and reports of tests that fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FLOW = (
    'version: "1.0"\nname: flow\nsteps:\n  - {name: ask, agent: helper, context: {t: 1}}\n'
    "  - {name: last, run: 'echo out; echo reason >&2; exit 3'}\n"
)
TESTS = """
import sys
from maverick.testing import run_workflow

def test_with_the_fixture(maverick):
    outcome = maverick.run_workflow("flow.yaml", agents={"helper": "x"})
    assert outcome.status == "done"

def test_without_it():
    outcome = run_workflow("flow.yaml")
    assert outcome.status == "done"

def test_that_passes(maverick):
    outcome = maverick.run_workflow("flow.yaml", agents={"helper": "x"})
    assert outcome.failed_at == "last"
    assert "reason" in outcome.error

def test_with_nothing_of_it():
    assert 1 == 2
"""


@pytest.fixture
def pytest_of_a_user(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "test_flow.py").write_text(TESTS)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_failed_test_shows_what_its_runs_came_to(
    pytest_of_a_user: subprocess.CompletedProcess[str],
) -> None:
    """`assert outcome.status == "done"` alone says that 'failed' is not 'done'."""
    out = pytest_of_a_user.stdout

    assert "3 failed, 1 passed" in out
    first, second, third = out.split("FAILURES")[1].split("\n____")[1:4]
    assert "step last: exit code 3" in first
    assert "reason" in first
    assert "asked: helper (1 times)" in first
    assert "agent 'helper' is asked, and this test gives no answer for it" in second
    assert "-- maverick" not in third


def test_the_plugin_imports_next_to_nothing() -> None:
    """Pytest loads it in each project where maverick is installed."""
    code = (
        "import pytest, sys; before = set(sys.modules); import maverick.testing.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "['maverick', 'maverick.testing', 'maverick.testing.plugin']\n" == done.stdout
