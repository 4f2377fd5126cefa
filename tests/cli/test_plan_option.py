"""`run --plan`: its lines, its JSON, its exit codes."""

from __future__ import annotations

import pytest

from kit_program import Quick

FLOW = """
    inputs: {n: {type: integer, default: 1}}
    steps:
      - {name: first, type: shell, run: "echo $N", env: {N: "${{ inputs.n }}"}}
      - {name: second, type: shell, run: "echo two"}
      - {name: third, type: shell, run: "test -e ready"}
    """


@pytest.fixture
def failed(quick: Quick) -> Quick:
    """A project with a run of `FLOW` that failed at `third`."""
    quick.program.flow(FLOW)
    assert 1 == quick("run", "flow.yaml", "--quiet").code
    return quick


def test_it_prints_a_line_for_each_step_and_the_rest_to_stderr(failed: Quick) -> None:
    failed.program.flow(FLOW.replace("echo two", "echo three"))

    done = failed("run", "flow.yaml", "--resume", "--plan")

    assert 0 == done.code
    assert [
        "reuse    first  (it is recorded, and nothing of it changed)",
        "rerun    second  (its run changed)",
        "           @@ -1 +1 @@",
        '           -- {name: second, type: shell, run: "echo two"}',
        '           +- {name: second, type: shell, run: "echo three"}',
        "run      third  (it failed before)",
    ] == done.out.splitlines()
    refused, summary = done.err.splitlines()
    assert refused.startswith("resuming would stop before anything runs (exit code 12): step second has finished, and")
    assert "3 steps: 1 reuse, 1 run, 1 rerun; nothing was run" == summary


def test_json_is_a_list_with_exactly_these_keys(failed: Quick) -> None:
    done = failed("run", "flow.yaml", "--resume", "-i", "n=2", "--change-inputs", "--plan", "--json")

    assert {
        "step": "first",
        "type": "shell",
        "action": "rerun",
        "why": "its env changed",
        "changed": [{"part": "env"}, {"part": "inputs.n", "old": 1, "new": 2}],
    } == done.json[0]
    assert ["rerun", "rerun", "run"] == [row["action"] for row in done.json]


def test_a_new_run_and_a_workflow_of_its_own_command_are_planned(quick: Quick) -> None:
    """Without a store before and after."""
    quick.program.flow(FLOW)

    new = quick("run", "flow.yaml", "--plan", "--json")
    fly = quick("fly", "--branch-name", "x", "--plan", "--json")

    assert ["first", "second", "third"] == [row["step"] for row in new.json]
    assert "preflight" == fly.json[0]["step"]
    assert {"run", "skip", "unknown"} == {row["action"] for row in fly.json}
    assert not (quick.program.root / ".maverick").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--resume", "-i", "n=2"], 12, "no unfinished run of "),
        (["--resume", "--from", "forth"], 10, "there is no step forth in run"),
        (["-i", "m=2"], 2, "The inputs do not fit the workflow `flow`"),
        (["--resume=nope"], 10, "there is no run nope"),
    ],
)
def test_what_cannot_be_planned_is_refused(failed: Quick, words: list[str], code: int, message: str) -> None:
    done = failed("run", "flow.yaml", *words, "--plan")

    assert (code, True) == (done.code, done.err.startswith(f"error: {message}")), done.err
