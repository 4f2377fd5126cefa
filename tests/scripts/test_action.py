"""`action.yml`: what it names exists, and its steps do what they say, in a job that is played."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kit.pages import ROOT, Page
from kit.program import SOURCES, Program
from maverick.cli.app import app

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SCRIPTS = {step["name"]: step["run"] for step in STEPS if "run" in step}
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")
PINNED = re.compile(r"[\w.-]+(?:/[\w.-]+)+@(?:v\d+|main)")


def _expressions(value: object) -> Iterator[str]:
    """Every expression in *value*, at any depth; an `if` is one without `${{ }}`."""
    match value:
        case str():
            yield from EXPRESSION.findall(value)
        case list():
            for entry in value:
                yield from _expressions(entry)
        case dict():
            for key, entry in value.items():
                yield from [entry] if key == "if" else _expressions(entry)


# --- what it names --------------------------------------------------------------------------------


def test_every_script_says_its_shell_and_every_action_its_version() -> None:
    assert "composite" == ACTION["runs"]["using"]
    for step in STEPS:
        assert ("run" in step) is ("shell" in step)
        assert "run" in step or PINNED.fullmatch(step["uses"])


def test_no_value_is_put_into_a_script() -> None:
    """A pull request's title would be a command; values come by the environment."""
    assert [] == [name for name, script in SCRIPTS.items() if EXPRESSION.search(script)]


def test_what_expressions_name_is_declared() -> None:
    ids = {step["id"] for step in STEPS if "id" in step}
    for text in _expressions(ACTION):
        for kind, name in re.findall(r"\b(inputs|steps)\.([\w-]+)", text):
            assert name in (ACTION["inputs"] if kind == "inputs" else ids), text


def test_every_variable_that_a_script_reads_is_given() -> None:
    """By the step, by GitHub, or by the script itself."""
    for step in STEPS:
        script = step.get("run", "")
        read = set(re.findall(r"\$\{?([A-Za-z_]\w*)", script))
        made = set(re.findall(r"^\s*(\w+)(?:\+?=|\b(?=; do))", script, re.MULTILINE)) | {"line"}
        own = {name for name in read if not name.startswith(("GITHUB_", "RUNNER_"))}
        assert own <= made | set(step.get("env", {})), step["name"]


def test_every_command_and_option_is_there() -> None:
    """A renamed option would break the jobs of everybody who uses the action."""
    lines = [line for script in SCRIPTS.values() for line in script.splitlines()]
    called = [match[1] for line in lines if (match := re.search(r'"\$MAVERICK" (.*)', line))]
    assert 2 == len(called)
    for words in called:
        command = re.match(r"[a-z]+(?: [a-z]+)?(?= -)", words)
        assert command is not None
        shown = CliRunner().invoke(app, [*command[0].split(), "--help"])
        options = re.findall(r"(?<= )--[a-z][a-z-]+", words)
        assert 0 == shown.exit_code
        assert options
        assert [] == [option for option in options if option not in shown.output]
    assert "--input" in CliRunner().invoke(app, ["run", "--help"]).output


PAGE = Page(ROOT / "docs" / "ci.md")
EXAMPLES = {block.about: block.text for block in PAGE.blocks if block.language == "yaml"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_page_are_yaml_with_versions(name: str) -> None:
    example = yaml.safe_load(EXAMPLES[name])

    assert isinstance(example, dict)
    for uses in re.findall(r"uses: (.*)$", EXAMPLES[name], re.MULTILINE):
        assert PINNED.fullmatch(uses), uses


def test_the_page_gives_the_action_what_it_takes_and_names_all_of_it() -> None:
    job = yaml.safe_load(EXAMPLES[".github/workflows/ci.yaml"])["jobs"]["ci"]
    (step,) = [step for step in job["steps"] if step.get("id") == "maverick"]

    assert set(step["with"]) <= set(ACTION["inputs"])
    assert {name for name, each in ACTION["inputs"].items() if each.get("required")} <= set(
        step["with"]
    )
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert f"`{name}`" in PAGE.text


def test_the_page_and_this_project_use_the_same_versions() -> None:
    """Those that are used here are known to work."""
    used: dict[str, set[str]] = {}
    texts = [*EXAMPLES.values(), (ROOT / "action.yml").read_text()]
    texts += [path.read_text() for path in (ROOT / ".github" / "workflows").iterdir()]
    for text in texts:
        for name, version in re.findall(r"uses: (actions/[\w/-]+)@(\S+)", text):
            used.setdefault(name, set()).add(version)

    assert [] == [name for name, versions in used.items() if len(versions) > 1]


# --- a job that is played -------------------------------------------------------------------------


@dataclass
class Github:
    """What GitHub keeps from one attempt at a job to the next."""

    folder: Path
    caches: dict[str, Path] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)

    def attempt(self, number: int, project: Path, **given: str) -> Attempt:
        """Play the action in a job, on a machine of its own."""
        played = Attempt(self, number, project, given)
        played.play()
        return played


class Attempt:
    """An attempt at a job that uses the action once."""

    def __init__(self, github: Github, number: int, project: Path, given: dict[str, str]) -> None:
        self._github = github
        self._project = project
        self._number = number
        self._temporary = github.folder / f"machine-{number}"
        self._temporary.mkdir()
        self._given = {
            **{name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()},
            **given,
        }
        self._steps: dict[str, dict[str, str]] = {}
        self.failed = False
        self.log = ""
        self._install()

    def _install(self) -> None:
        """Put the program where the action installs it: that takes long, and needs a network."""
        program = self._temporary / "maverick" / "bin" / "maverick"
        program.parent.mkdir(parents=True)
        program.write_text(
            f'#!/bin/sh\nPYTHONPATH={SOURCES} exec {sys.executable} -m maverick "$@"\n'
        )
        program.chmod(0o755)

    @property
    def outputs(self) -> dict[str, str]:
        """What the job has of the action."""
        return {name: self._filled(each["value"]) for name, each in ACTION["outputs"].items()}

    def play(self) -> None:
        for step in STEPS:
            condition = str(step.get("if", "success()"))
            if (self.failed and "always()" not in condition) or not self._holds(condition):
                continue
            outputs = self._run(step) if "run" in step else self._use(step)
            if "id" in step:
                self._steps[step["id"]] = outputs

    def _holds(self, condition: str) -> bool:
        """Evaluate an `if`, which Python can read once its names have values."""
        text = condition.replace("always()", "True").replace("success()", "True")
        text = text.replace("&&", " and ").replace("||", " or ")
        text = re.sub(
            r"\b(?:steps|inputs)(?:\.[\w-]+)+", lambda name: repr(self._value(name[0])), text
        )
        return bool(eval(text, {}))

    def _value(self, name: str) -> str:
        match name.split("."):
            case ["inputs", key]:
                return self._given[key]
            case ["steps", step, "outputs", key]:
                return self._steps.get(step, {}).get(key, "")
            case ["steps", step, "outcome"]:
                return self._steps.get(step, {}).get("~outcome", "skipped")
        return {
            "github.run_id": "4711",
            "github.run_attempt": str(self._number),
            "github.action_path": str(ROOT),
            "strategy.job-index": "0",
        }[name]

    def _filled(self, text: str) -> str:
        return EXPRESSION.sub(lambda expression: self._value(expression[1]), text)

    def _run(self, step: dict[str, Any]) -> dict[str, str]:
        files = {
            name: self._temporary / f"{name}-{step['id']}"
            for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
        }
        for file in files.values():
            file.touch()
        script = self._temporary / "script.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self._project / self._filled(step.get("working-directory", ".")),
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._temporary),
                "GITHUB_ACTIONS": "true",
                "GITHUB_RUN_ID": "4711",
                "GITHUB_JOB": "ci",
                "RUNNER_TEMP": str(self._temporary),
                **{name: str(file) for name, file in files.items()},
                **{name: self._filled(str(text)) for name, text in step.get("env", {}).items()},
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.log += done.stdout + done.stderr
        self.failed = self.failed or done.returncode != 0
        outcome = "failure" if done.returncode else "success"
        return {**_outputs(files["GITHUB_OUTPUT"].read_text()), "~outcome": outcome}

    def _use(self, step: dict[str, Any]) -> dict[str, str]:
        given = {name: self._filled(str(text)) for name, text in step["with"].items()}
        caches = self._github.caches
        match step["uses"].partition("@")[0]:
            case "actions/setup-python":
                return {"python-path": sys.executable}
            case "actions/cache/restore":
                keys = [key for key in caches if key == given["key"]]
                keys += [key for key in reversed(caches) if key.startswith(given["restore-keys"])]
                if keys:
                    shutil.copytree(caches[keys[0]], self._project / given["path"])
            case "actions/cache/save":
                assert given["key"] not in caches, "a cache is never overwritten"
                folder = self._temporary / "cache"
                shutil.copytree(self._project / given["path"], folder)
                caches[given["key"]] = folder
            case "actions/upload-artifact":
                self._github.artifacts[given["name"]] = Path(given["path"]).read_bytes()
            case other:
                raise AssertionError(f"nobody plays {other}")
        return {}


def _outputs(text: str) -> dict[str, str]:
    found, lines = {}, text.split("\n")
    while lines:
        line = lines.pop(0)
        name, mark, end = line.partition("<<")
        if mark:
            rest = lines.index(end)
            found[name] = "\n".join(lines[:rest])
            lines = lines[rest + 1 :]
        elif "=" in line:
            name, _, value = line.partition("=")
            found[name] = value
    return found


FLOW = """
    inputs: {where: {type: string, default: nowhere}}
    steps:
      - {name: build, type: shell, run: "echo built >> log"}
      - {name: deploy, type: shell, run: "test -e ready"}
    outputs: "deployed to ${{ inputs.where }}"
    """


@pytest.fixture
def github(tmp_path: Path) -> Github:
    return Github(tmp_path)


def _checkout(folder: Path, *, ready: bool) -> Path:
    project = Program(folder)
    project.flow(FLOW)
    if ready:
        project.file("ready", "")
    return project.root


def test_the_second_attempt_goes_on_where_the_first_one_stopped(
    github: Github, tmp_path: Path
) -> None:
    """On another machine, with nothing but what GitHub kept."""
    given = {"workflow": "flow.yaml", "inputs": "where=the moon\n"}
    first = github.attempt(1, _checkout(tmp_path / "one", ready=False), **given)
    second = github.attempt(2, _checkout(tmp_path / "two", ready=True), **given)

    assert (True, False) == (first.failed, second.failed), second.log
    assert {"run": "github-4711-ci-0", "status": "failed", "output": ""} == {
        key: text for key, text in first.outputs.items() if key != "file"
    }
    assert ("github-4711-ci-0", "done", "deployed to the moon") == tuple(
        second.outputs[key] for key in ("run", "status", "output")
    )
    assert not (tmp_path / "two" / "log").exists()
    assert "::error file=flow.yaml,line=6::step deploy: " in first.log


def test_a_third_attempt_at_what_is_done_runs_nothing(github: Github, tmp_path: Path) -> None:
    for number in (1, 2):
        done = github.attempt(
            number, _checkout(tmp_path / str(number), ready=True), workflow="flow.yaml"
        )
        assert not done.failed, done.log

    assert "deployed to nowhere" == done.outputs["output"]
    assert not (tmp_path / "2" / "log").exists()


@pytest.mark.parametrize(("when", "kept"), [("always", [1, 2]), ("failure", [1]), ("never", [])])
def test_the_run_is_uploaded_when_that_is_asked_for(
    github: Github, tmp_path: Path, when: str, kept: list[int]
) -> None:
    """What is uploaded is a run that can be imported."""
    for number in (1, 2):
        project = _checkout(tmp_path / str(number), ready=number == 2)
        github.attempt(number, project, workflow="flow.yaml", artifact=when)

    assert [f"maverick-github-4711-ci-0-{number}" for number in kept] == list(github.artifacts)
    home = Program(tmp_path / "home")
    for data in github.artifacts.values():
        (home.root / "run.maverick").write_bytes(data)
        assert 0 == home.run("checkpoint", "import", "run.maverick").code


def test_a_project_in_a_folder_and_a_name_that_is_given(github: Github, tmp_path: Path) -> None:
    _checkout(tmp_path / "repository" / "part", ready=True)
    given = {"workflow": "flow.yaml", "working-directory": "part", "run-id": "release-1.4"}

    done = github.attempt(1, tmp_path / "repository", options="--quiet\n", **given)

    assert ("release-1.4", "done") == (done.outputs["run"], done.outputs["status"]), done.log
    assert ["maverick/release-1.4/4711-1"] == list(github.caches)
    assert "::group::" not in done.log


@pytest.mark.parametrize("name", ["a b", "x\nrun=y", "$(touch mark)", "a/b", "-x", "x" * 101])
def test_a_name_that_is_none_stops_the_action(github: Github, tmp_path: Path, name: str) -> None:
    """Before anything is restored, run or kept; it is not taken for shell, nor for an output."""
    project = _checkout(tmp_path / "one", ready=True)

    done = github.attempt(1, project, workflow="flow.yaml", **{"run-id": name})

    assert (True, {}, {}) == (done.failed, github.caches, github.artifacts)
    assert not (project / "mark").exists()
    assert not (project / ".maverick").exists()


def test_inputs_are_no_shell(github: Github, tmp_path: Path) -> None:
    given = {
        "workflow": "flow.yaml",
        "inputs": 'where=$(touch mark)`touch mark`"; touch mark #\n\n',
    }

    done = github.attempt(1, _checkout(tmp_path / "one", ready=True), **given)

    assert 'deployed to $(touch mark)`touch mark`"; touch mark #' == done.outputs["output"]
    assert not (tmp_path / "one" / "mark").exists()


def test_a_run_that_never_began_leaves_nothing_to_keep(github: Github, tmp_path: Path) -> None:
    done = github.attempt(1, _checkout(tmp_path / "one", ready=True), workflow="none.yaml")

    assert (True, {}, {}) == (done.failed, github.caches, github.artifacts)
