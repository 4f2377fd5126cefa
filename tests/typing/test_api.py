"""What users' programs may rely on has the types that it says, and does what they say."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import maverick
import maverick.checkpoints
import maverick.testing
from maverick import library
from maverick.checkpoints import Store
from maverick.dsl.catalog.scene import Scene
from maverick.library import actions
from maverick.testing import Maverick

ROOT = Path(__file__).parents[2]
API = Path(__file__).with_name("api.py")


def mypy(program: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Check *program* as `scripts/check` does."""
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(cache), str(program)]
    return subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    """The user's program."""
    return runpy.run_path(str(API))


def test_a_users_program_type_checks_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    """Public names that were `Any` would pass every check, and promise nothing."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from maverick.checkpoints import Store, value\n"
        "from maverick.library.actions import git_comit, git_commit\n"
        "def use(store: Store) -> None:\n"
        "    store.save('run', {1: value(1)}, parent='run')\n"
        "    git_commit(message=1)\n"
        "import maverick\n"
        "maverick.run('flow', resume=1.5)\n"
        "maverick.open('.').run().stepz\n"
        "from maverick.testing import run_workflow\n"
        "run_workflow('flow', agent={})\n"
    )

    right = mypy(API, tmp_path / "cache")
    done = mypy(wrong, tmp_path / "cache")

    assert (0, "") == (right.returncode, right.stderr), right.stdout
    places = [line.split(":")[1] for line in done.stdout.splitlines() if ": error: " in line]
    assert ["2", "4", "4", "5", "7", "8", "10"] == places, done.stdout


def test_the_program_uses_every_public_name_of_the_store(api: dict[str, Any]) -> None:
    assert [] == [name for name in maverick.checkpoints.__all__ if name not in api]


def test_the_program_uses_what_maverick_and_its_tests_offer() -> None:
    text = API.read_text()

    assert [] == [name for name in maverick.__all__ if f"maverick.{name}" not in text]
    assert [] == [name for name in maverick.testing.__all__ if name not in text]


def test_every_public_name_is_explained() -> None:
    """The reference is made of it."""
    packages = (maverick, maverick.testing, maverick.checkpoints)
    named = [getattr(package, name) for package in packages for name in package.__all__]

    assert [] == [
        each for each in named if isinstance(each, type | FunctionType) and not each.__doc__
    ]


def test_type_checkers_see_the_actions_that_there_are() -> None:
    assert sorted(library.ACTIONS) == actions.__all__
    assert [] == [name for name in actions.__all__ if not callable(getattr(actions, name))]


def test_the_program_works(api: dict[str, Any], tmp_path: Path) -> None:
    """A program that only type-checks would be no example."""
    (tmp_path / "data.bin").write_bytes(b"data")

    api["save_two_checkpoints"](tmp_path)

    store = Store.open(tmp_path)
    assert {"model": "removed"} == api["compare"](store, "train-1~1", "train-1")
    seen = api["look_into"](store, "train-1~1")
    assert ["{'rate': 0.5, 'names': ['a', 'b'], 'nothing': None}", "11"] == seen[1:3]
    assert [("copy", 1, [""]), ("train-1", 2, ["", "trained"])] == sorted(api["list_runs"](store))
    assert ["copy", "train-1"] == sorted(
        api["list_quickly"](maverick.checkpoints.Overview(tmp_path))
    )
    assert 0 == api["tidy"](store)
    assert [] == api["problems"](store)


def test_an_experiment_is_saved_in_plain_python(api: dict[str, Any], tmp_path: Path) -> None:
    assert ["exp"] == api["save_an_experiment"](str(tmp_path))


def test_a_builder_and_a_generator_of_a_project_work(api: dict[str, Any]) -> None:
    scene = Scene({"branch_name": "topic"}, {"diff": {"text": "", "files": ["a"]}})

    context = api["changed_files_context"](scene)

    assert {"files": ["a"], "branch": "topic", "item": None} == context
    assert "topic" == api["plain_message"](context)


FLOW = """version: "1.0"
name: flow
inputs: {n: {type: integer}, at: {type: string, required: false}}
steps:
  - {name: first, run: echo hello}
  - name: ask
    agent: helper
    context: {n: "${{ inputs.n }}"}
    output_schema: {type: object}
  - {name: push, action: git_push}
"""


def test_runs_are_made_looked_at_and_rehearsed(
    api: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the program works, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW.replace("git_push", "git_has_changes"))
    (tmp_path / "maverick.yaml").write_text(
        "agents: {helper: {provider: command, command: [sh, -c, 'echo {}']}}"
    )
    subprocess.run(["git", "init", "-q"], check=True)

    outcome = api["run_and_resume"](tmp_path / "flow.yaml")

    assert ("mine", "done") == (outcome.run, outcome.status), outcome.error
    (line, *steps) = api["look_at_runs"](".")
    assert "{'n': 1, 'at': 'x'}" in line
    assert steps[0].startswith("hello")
    status, prompt, calls = api["rehearse"](Maverick(), FLOW)
    assert ("failed", "## n\n\n```json\n1\n```\n") == (
        status,
        prompt.partition("\n\n## Your")[0] + "\n",
    )
    assert "[Call(args=(), kwargs={})]" == calls
