"""What runs by itself, and what lists the tasks, names scripts and tools that exist."""

from __future__ import annotations

import fnmatch
import os
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
RULES = re.findall(r"^([a-z]+):([^\n]*)\n((?:\t[^\n]*\n)*)", MAKEFILE, re.MULTILINE)


def read(path: Path) -> Any:
    """The file's content, as GitHub and pre-commit read it."""
    return yaml.safe_load(path.read_text("utf-8"))


def missing(commands: list[str]) -> list[str]:
    """The scripts among *commands* that are not there, or cannot be executed."""
    named = {word for line in commands for word in re.findall(r"\bscripts/[\w.-]+", line)}
    return sorted(
        script
        for script in named
        if not (ROOT / script).is_file()
        or not (script.endswith(".py") or os.access(ROOT / script, os.X_OK))
    )


def jobs(path: Path) -> Iterator[dict[str, Any]]:
    """The jobs of a workflow of GitHub."""
    yield from read(path)["jobs"].values()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_runs_scripts_that_exist_and_ends(path: Path) -> None:
    """A job without a limit of time costs six hours when something hangs."""
    assert {"name", True, "permissions", "jobs"} <= set(read(path))  # YAML 1.1 reads `on` as true.
    for job in jobs(path):
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands
        assert [] == missing(commands)
        assert [] == [line for line in commands if not line.startswith("scripts/")]
        assert 0 < job["timeout-minutes"] <= 360


def test_every_python_that_is_locked_is_tested_and_both_systems_are() -> None:
    tested = read(ROOT / ".github" / "workflows" / "check.yml")["jobs"]["test"]["strategy"][
        "matrix"
    ]
    pythons = runpy.run_path(str(ROOT / "scripts" / "locks.py"))["PYTHONS"]

    assert list(pythons) == tested["python"]
    assert {"ubuntu-latest", "macos-latest"} == {
        *tested["os"],
        *(more["os"] for more in tested["include"]),
    }


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_what_it_labels(path: Path) -> None:
    form = read(path)
    if path.stem == "config":
        assert {"blank_issues_enabled": False} == form
        return

    assert {"name", "description", "labels", "body"} == set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) > 2
    assert all(field["attributes"]["label"] for field in form["body"])


def test_pre_commit_uses_the_tools_of_the_environment() -> None:
    """Versions of its own would judge otherwise than `scripts/check`, and have to be fetched."""
    repositories = read(ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = [hook for repository in repositories for hook in repository["hooks"]]
    entries = [hook["entry"] for hook in hooks]

    assert ["local"] == [repository["repo"] for repository in repositories]
    assert {"system"} == {hook["language"] for hook in hooks}
    assert [] == missing(entries)
    tools = [entry.split()[0].removeprefix(".venv/bin/") for entry in entries]
    assert [] == [tool for tool in tools if not Path(sys.executable).with_name(tool).exists()]
    assert ["mypy"] == [hook["id"] for hook in hooks if hook.get("stages") == ["manual"]]


def test_every_task_says_what_it_is_and_names_scripts_that_exist() -> None:
    """`make` alone lists the tasks by these words."""
    names = [name for name, _, _ in RULES]

    assert sorted(names) == sorted(" ".join(re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE)).split())
    assert [] == [name for name, rest, _ in RULES if " ## " not in rest]
    assert [] == missing([recipe for _, _, recipe in RULES])
    needed = {word for _, rest, _ in RULES for word in rest.partition("##")[0].split()}
    assert needed <= set(names)


def test_every_script_is_a_task() -> None:
    """What `make` does not list is not found."""
    scripts = [
        path.name
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and os.access(path, os.X_OK)
    ]
    commands = " ".join(recipe for _, _, recipe in RULES)
    own = {"test-agents"}  # `scripts/test --agents` starts it.

    assert [] == [name for name in scripts if f"scripts/{name}" not in commands and name not in own]


def test_what_is_read_at_the_root_is_in_the_source_distribution() -> None:
    """The suite runs from there, too, and it reads these files."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    read_here = [".github", ".pre-commit-config.yaml", "Makefile", "README.md", "CHANGELOG.md"]
    linked = re.findall(r"\]\(([\w.-]+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    names = {*read_here, *linked, "CONTRIBUTING.md"}

    assert [] == [name for name in names if not (ROOT / name).exists()]
    assert [] == sorted(
        name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in included)
    )
