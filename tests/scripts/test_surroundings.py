"""A test sees nothing of the machine but its programs; `scripts/test --hostile` tries the whole
suite so.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kit.program import Program
from kit.surroundings import Surroundings


def test_each_test_has_an_empty_home_and_no_settings(home: Path) -> None:
    """What one leaves there is not found by another."""
    assert str(home) == os.environ["HOME"]
    assert [] == list(home.iterdir())
    assert ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "HOME", "LANG"] == sorted(
        name
        for name in os.environ
        if name.startswith(("GIT_", "XDG_", "MAVERICK_", "HOME", "LANG", "LC_"))
    )


def test_git_has_an_identity_and_no_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the tests, and whatever the machine's administrator has set."""
    # A repository above has settings.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    command = ["git", "config", "--list", "--name-only"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert ["user.name", "user.email", "init.defaultbranch"] == done.stdout.splitlines()


def test_what_is_set_outside_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "GIT_DIR",
        "XDG_CONFIG_HOME",
        "MAVERICK_RUN_ID",
        "LC_ALL",
        "COLUMNS",
        "GH_TOKEN",
        "PYTHONWARNINGS",
    ):
        monkeypatch.setenv(name, "/nowhere")
    before = dict(os.environ)
    try:
        surroundings = Surroundings()
        seen = dict(os.environ)
    finally:
        os.environ.clear()
        os.environ.update(before)
    surroundings.remove()

    assert [] == [name for name, value in seen.items() if value == "/nowhere"]
    assert f"{surroundings.folder / 'bin'}{os.pathsep}{before['PATH']}" == seen["PATH"]


def test_a_strangers_marks_above_the_project_change_nothing(tmp_path: Path) -> None:
    """Test projects have a mark of their own."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".maverick" / "workflows").mkdir(parents=True)
    (tmp_path / "maverick.yaml").write_text("no: [configuration")
    program = Program(tmp_path / "project")
    program.flow("- {name: a, type: shell, run: pwd}")

    done = program.run("run", "flow.yaml", "--json")

    assert (0, str(program.root)) == (done.code, done.json["output"]["value"])
