"""Notices at the terminal: the closing lines, `--json`, and what `--strict` makes of them."""

from __future__ import annotations

import pytest

from kit.program import Quick

FLOW = """
    inputs: {bad: {type: boolean, default: true}}
    notices:
      - {when: inputs.bad, message: "validation never passed (${{ 'te\\e[31mst' }})"}
      - {when: inputs.bad, message: "not pushed: no remote"}
    steps: [{name: a, type: shell, run: "echo one"}]
    """
TEXTS = ["validation never passed (te\x1b[31mst)", "not pushed: no remote"]


@pytest.fixture
def flow(quick: Quick) -> Quick:
    quick.program.flow(FLOW)
    return quick


def test_the_closing_lines_tell_them(flow: Quick) -> None:
    """They come last, where they are read, and obey nobody."""
    done = flow("run", "flow.yaml")

    assert 0 == done.code
    assert [
        "note: validation never passed (te\\x1b[31mst)",
        "note: not pushed: no remote",
    ] == done.err.splitlines()[-2:]


def test_json_has_them_as_a_list_of_texts(flow: Quick) -> None:
    assert TEXTS == flow("run", "flow.yaml", "--json").json["notices"]
    assert [] == flow("run", "flow.yaml", "-i", "bad=no", "--json").json["notices"]


@pytest.mark.parametrize("more", [[], ["--quiet"], ["--json"]])
def test_strict_exits_with_1_and_says_why(flow: Quick, more: list[str]) -> None:
    """The run itself is done: resuming it answers with its output."""
    strict = flow("run", "flow.yaml", "--strict", *more)

    assert 1 == strict.code
    assert "error: done with 2 notices; with --strict that exits with 1" == strict.last_line
    assert "not pushed: no remote" in strict.err
    assert ["done"] == [run["status"] for run in flow("runs", "--json").json]


def test_strict_exits_with_0_where_there_are_none(flow: Quick) -> None:
    done = flow("run", "flow.yaml", "-i", "bad=no", "--strict")

    assert 0 == done.code
    assert "note" not in done.err


def test_a_done_run_that_is_resumed_tells_them_again(flow: Quick) -> None:
    run = flow("run", "flow.yaml", "--json").json["run"]

    again = flow("run", f"--resume={run}", "--json")
    strict = flow("run", f"--resume={run}", "--strict")

    assert (0, TEXTS) == (again.code, again.json["notices"])
    assert 1 == strict.code
    assert f"run {run} is done; nothing was run" in strict.err


def test_quiet_leaves_them_out(flow: Quick) -> None:
    assert "" == flow("run", "flow.yaml", "--quiet").err
