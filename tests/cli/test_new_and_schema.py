"""`maverick new` and `maverick schema`: what they write, and that it is right."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kit.program import Program
from maverick.dsl.catalog.schema import config_schema, schema_of_tests, workflow_schema
from maverick.dsl.serialization.yaml_nodes import compose, plain_value


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "project")


RUNS = {
    "shell": {"greeting": "Hello, you", "files": 1},
    "python": 6,
    "agent": {
        "summary": "nobody was asked; give -i agent=code_reviewer",
        "diff": "no git repository, or no commit\n",
    },
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_new_workflow_checks_and_runs_as_it_is(program: Program, kind: str) -> None:
    """No agent's program is on PATH here: a first run costs nothing and needs nothing."""
    for file in program.root.glob("[!.]*"):
        file.unlink()
    program.file("only.txt", "")
    made = program.run("new", "first", "--from", kind)

    checked = program.run("workflow", "check", "first")
    ran = program.run("run", "first", "--json")

    assert (0, ".maverick/workflows/first.yaml\n") == (made.code, made.out), made.err
    assert (0, "ok\n", "") == (checked.code, checked.out, checked.err)
    assert (0, RUNS[kind]) == (ran.code, ran.json["output"]), ran.err


def test_a_new_agent_workflow_asks_the_agent_that_it_is_told(program: Program) -> None:
    program.run("new", "first", "--from", "agent")
    program.file(
        "maverick.yaml",
        """
        agents:
          code_reviewer: {provider: command, command: [echo, '{"summary": "good"}']}
        """,
    )

    ran = program.run("run", "first", "-i", "agent=code_reviewer", "--json")

    assert (0, "good") == (ran.code, ran.json["output"]["summary"]), ran.err


def test_one_from_fly_is_fly_under_another_name(program: Program) -> None:
    made = program.run("new", "my-fly", "--from", "fly")

    mine = program.run("workflow", "show", "my-fly", "--json").json
    shipped = program.run("workflow", "show", "fly", "--json").json

    assert "run it: maverick run my-fly -i branch_name=BRANCH_NAME\n" in made.err
    planned = program.shell(f"{made.err.partition('run it: ')[2].strip()} --plan")
    assert 2 != planned.code, planned.err
    assert "" == program.run("workflow", "check", "my-fly").err
    assert (0, "my-fly") == (made.code, mine["name"])
    assert shipped["steps"] == mine["steps"]
    assert shipped["inputs"] == mine["inputs"]


@pytest.mark.parametrize("kind", ["shell", "python", "agent", "fly", "test"])
def test_its_first_line_leads_editors_to_a_schema_that_it_fits(program: Program, kind: str) -> None:
    made = program.run("new", "first", "--from", kind)
    folder = program.root / ".maverick" / ("tests" if kind == "test" else "workflows")
    text = (folder / "first.yaml").read_text()

    first = text.splitlines()[0]
    schema = json.loads(
        (folder / first.removeprefix("# yaml-language-server: $schema=")).read_text()
    )
    node, _ = compose(text, "first.yaml")

    kept = "test" if kind == "test" else "workflow"
    assert f"wrote .maverick/schema/{kept}.json, too: " in made.err
    assert first.startswith("# yaml-language-server: $schema=")
    assert (schema_of_tests() if kind == "test" else workflow_schema()) == schema
    assert node is not None
    assert [] == list(Draft202012Validator(schema).iter_errors(plain_value(node)))


def test_a_new_test_is_of_the_workflow_of_its_name(program: Program) -> None:
    program.file(
        ".maverick/workflows/deploy.yaml",
        """
        version: "1.0"
        name: deploy
        inputs:
          where: {type: string, choices: [test, live]}
          count: {type: integer}
          draft: {type: boolean, default: false}
        steps:
          - {name: review, workflow: review}
          - {name: fix, agent: issue_fixer}
        """,
    )

    made = program.run("new", "deploy", "--from", "test")

    node, _ = compose((program.root / ".maverick/tests/deploy.yaml").read_text(), "x")
    assert (0, ".maverick/tests/deploy.yaml\n") == (made.code, made.out)
    assert node is not None
    assert {
        "workflow": "deploy",
        "inputs": {"where": "test", "count": 1},
        "agents": {
            "code_reviewer": {"says": "What it answers"},
            "issue_fixer": {"says": "What it answers"},
        },
        "expect": {"status": "done"},
    } == plain_value(node)


def test_a_file_that_is_there_is_refused_and_stays(program: Program) -> None:
    mine = program.file(".maverick/workflows/first.yaml", "mine")
    other = program.file(
        ".maverick/workflows/other.yaml",
        'version: "1.0"\nname: sec-ond\nsteps: [{name: a, run: x}]\n',
    )

    same_file = program.run("new", "first")
    same_name = program.run("new", "sec_ond")

    assert 2 == same_file.code == same_name.code
    assert ".maverick/workflows/first.yaml defines the workflow `first` already" in same_file.err
    assert ".maverick/workflows/other.yaml defines the workflow `sec_ond` already" in same_name.err
    assert ["mine", True] == [mine.read_text(), other.exists()]
    assert not (program.root / ".maverick/workflows/sec_ond.yaml").exists()
    assert not (program.root / ".maverick/schema").exists()


@pytest.mark.parametrize("name", ["My Flow", "1st", "../up", "a/b", "", "a.yaml", "ä", "x" * 65])
def test_a_name_that_cannot_be_one_is_told_what_can(program: Program, name: str) -> None:
    done = program.run("new", name)

    assert 2 == done.code
    assert "lower-case letters, digits, `_` and `-`, at most 64, a letter first" in done.err
    assert not (program.root / ".maverick").exists()


def test_an_unknown_beginning_is_told_those_that_there_are(program: Program) -> None:
    assert "did you mean `python`?" in program.run("new", "a", "--from", "pyton").err
    other = program.run("new", "a", "--from", "zzz")
    assert (2, True) == (other.code, "there are shell, python, agent, fly, test" in other.err)


def test_a_name_that_hides_one_that_ships_is_warned_of(program: Program) -> None:
    done = program.run("new", "quick-fix")

    assert 0 == done.code
    assert (
        "warning: it stands in for the workflow `quick-fix` of <built in>/quick_fix.yaml"
        in done.err
    )


def test_it_is_written_into_the_project_from_a_folder_below(program: Program) -> None:
    program.file("maverick.yaml", "")
    below = program.root / "src" / "deep"
    below.mkdir(parents=True)

    done = program.run("-C", str(below), "new", "first")

    assert (0, ".maverick/workflows/first.yaml\n") == (done.code, done.out)
    assert (program.root / ".maverick/workflows/first.yaml").exists()


def test_a_folder_that_cannot_be_written_is_an_error_that_says_why(program: Program) -> None:
    program.file(".maverick/workflows", "a file")

    done = program.run("new", "first")

    assert 1 == done.code
    assert "cannot write " in done.err
    assert "Traceback" not in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_told(program: Program) -> None:
    program.file(".maverick/schema/x", "")
    (program.root / ".maverick").chmod(0o500)
    try:
        done = program.run("new", "first")
    finally:
        (program.root / ".maverick").chmod(0o700)

    assert (1, True) == (done.code, "Permission denied" in done.err)


def test_schema_prints_that_of_workflow_files_and_writes_both(program: Program) -> None:
    printed = program.run("schema")
    program.file("maverick.yaml", "")
    program.file(".maverick/schema/workflow.json", "an older one")

    written = program.run("schema", "--write")

    folder = program.root / ".maverick" / "schema"
    assert workflow_schema() == printed.json
    assert ".maverick/schema/workflow.json\n.maverick/schema/maverick.json\n" == written.out
    assert {
        "workflow.json": workflow_schema(),
        "maverick.json": config_schema(),
    } == {file.name: json.loads(file.read_text()) for file in folder.iterdir()}
