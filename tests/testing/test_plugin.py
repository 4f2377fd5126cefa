"""The pytest plugin, in a pytest of a user's: the fixture, and reports of tests that fail."""

from __future__ import annotations

import re
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


MISTAKES = """
import maverick as api
from maverick.testing import run_workflow

def test_workflow(maverick):
    maverick.run_workflow("flo")

def test_input():
    run_workflow("flow.yaml", {"colour": "red"})

def test_value():
    run_workflow("flow.yaml", {"colour": object()})

def test_action(maverick):
    maverick.run_workflow("flow.yaml", actions={"nobody": 1})

def test_run():
    api.run("flow.yaml", {"colour": "red"})

def test_resume():
    api.resume("nobody")
"""


@pytest.fixture
def pytest_of_a_user(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return run_pytest(tmp_path, TESTS)


def run_pytest(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "flow.yaml").write_text(FLOW)
    (folder / "test_flow.py").write_text(tests)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_mistake_shows_the_test_and_not_the_code_of_maverick(tmp_path: Path) -> None:
    """The message says what is wrong; screens of code that is not one's own hide it."""
    out = run_pytest(tmp_path, MISTAKES).stdout

    assert "6 failed" in out
    assert "colour" in out
    assert "src/maverick" not in out
    places = {line.split(":")[0] for line in out.splitlines() if re.match(r"\S+\.py:\d+: ", line)}
    assert {"test_flow.py"} == places, out


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
