"""`workflow list`, `workflow show`, `workflow check`, and workflows that are commands of their
own.
"""

from __future__ import annotations

import pytest

from kit.program import Quick

GOOD = """
    description: |
      What it does.

      And more.
    inputs:
      size: {type: integer, default: 3, choices: [3, 4], description: How many}
      who: {type: string, description: Who it is for}
    steps:
      - name: each
        type: loop
        for_each: [1]
        steps:
          - {name: say, type: shell, run: "echo", description: Say it}
      - {name: log, type: python, action: log_message, kwargs: {message: done}}
    """


def test_a_good_workflow_is_ok(quick: Quick) -> None:
    quick.program.flow(GOOD)

    assert (0, "ok\n") == (
        quick("workflow", "check", "flow.yaml").code,
        quick("workflow", "check", "flow.yaml").out,
    )
    assert [] == quick("workflow", "check", "flow.yaml", "--json").json


def test_every_problem_is_reported_with_its_place(quick: Quick) -> None:
    quick.program.flow(
        """
        - {name: a, type: shell, run: "${{ steps.b.output }}"}
        - {name: b, type: python, action: nosuch_action}
        """
    )

    done = quick("workflow", "check", "flow.yaml")
    rows = quick("workflow", "check", "flow.yaml", "--json").json

    assert (3, "") == (done.code, done.out)
    assert "error: 2 problems:" == done.err.splitlines()[-7]
    assert ["severity", "file", "line", "column", "message"] == list(rows[0])
    assert [("error", "flow.yaml", 4), ("error", "flow.yaml", 5)] == [
        (it["severity"], it["file"], it["line"]) for it in rows if it["severity"] == "error"
    ]


def test_syntax_looks_nothing_up(quick: Quick) -> None:
    quick.program.flow("- {name: b, type: python, action: nosuch_action}")

    assert 3 == quick("workflow", "check", "flow.yaml").code
    assert "ok\n" == quick("workflow", "check", "flow.yaml", "--syntax").out


def test_warnings_go_to_stderr_and_are_no_problem(quick: Quick) -> None:
    quick.program.flow(
        "inputs: {a: {type: string}}\nsteps:\n  - {name: b, type: shell, run: 'echo ${{ inputs.a "
        "}}'}"
    )

    done = quick("workflow", "check", "flow.yaml")

    assert (0, "ok\n") == (done.code, done.out)
    assert done.err.startswith("warning: flow.yaml:5:")


def test_a_workflow_that_is_not_there_exits_3(quick: Quick) -> None:
    assert 3 == quick("workflow", "check", "missing.yaml").code
    assert 3 == quick("workflow", "show", "flyy").code


def test_workflows_are_listed_with_their_source_and_what_they_override(quick: Quick) -> None:
    quick.program.flow(GOOD, ".maverick/workflows/mine")
    quick.program.file(".maverick/workflows/mine.yaml", _named(quick, "mine"))
    quick.program.file(".maverick/workflows/fly.yaml", _named(quick, "fly"))
    quick.program.file(".maverick/workflows/bad.yaml", "name: bad")

    done = quick("workflow", "list", "--json")

    rows = {it["name"]: it for it in done.json}
    assert ["name", "source", "file", "description", "overrides", "inputs"] == list(rows["mine"])
    assert ("project", ".maverick/workflows/mine.yaml") == (
        rows["mine"]["source"],
        rows["mine"]["file"],
    )
    assert ("project", ["<built in>/fly.yaml"]) == (rows["fly"]["source"], rows["fly"]["overrides"])
    assert "built in" == rows["validate_and_fix"]["source"]
    assert "bad" not in rows
    assert ".maverick/workflows/bad.yaml is left out" in done.err
    assert "What it does." in quick("workflow", "list").out


def test_show_has_description_inputs_and_steps(quick: Quick) -> None:
    quick.program.flow(GOOD)

    shown = quick("workflow", "show", "flow.yaml").out
    row = quick("workflow", "show", "flow.yaml", "--json").json

    assert shown.startswith("flow (flow.yaml)\n\nWhat it does.\n\nAnd more.\n\nInputs:\n")
    assert (
        "  size  integer  = 3       How many [one of 3, 4]\n"
        "  who   string   required  Who it is for\n" in shown
    )
    assert (
        "\nSteps:\n  each   loop\n    say  shell               Say it\n  log    python "
        "log_message\n" in shown
    )
    assert ["name", "file", "description", "inputs", "steps"] == list(row)
    assert ["say"] == [it["name"] for it in row["steps"][0]["steps"]]


def _named(quick: Quick, name: str) -> str:
    return quick.program.flow(GOOD, "scratch").read_text().replace("name: scratch", f"name: {name}")


# --- commands that are workflows ---


@pytest.fixture
def flying(quick: Quick) -> Quick:
    """A project whose own `fly` says what it was given."""
    quick.program.file(
        ".maverick/workflows/fly.yaml",
        """\
        version: "1.0"
        name: fly
        inputs:
          branch_name: {type: string, description: The branch}
          dry_run: {type: boolean, default: false}
          max_attempts: {type: integer, default: 3}
          labels: {type: array, default: []}
          quiet: {type: string, default: "no"}
        steps:
          - {name: say, type: checkpoint}
          - {name: check, type: shell, run: "test ! -e broken"}
        outputs: ${{ [inputs.branch_name, inputs.dry_run, inputs.max_attempts, inputs.labels, inputs.quiet] }}
        """,
    )
    return quick


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--branch-name", "b"], ["b", False, 3, [], "no"]),
        (["--branch-name=b", "--dry-run", "--max-attempts", "5"], ["b", True, 5, [], "no"]),
        (["--branch-name", "b", "--no-dry-run", "--labels", '["x"]'], ["b", False, 3, ["x"], "no"]),
        (["-i", "branch_name=c", "-i", "quiet=yes"], ["c", False, 3, [], "yes"]),
    ],
)
def test_the_workflows_inputs_are_options(
    flying: Quick, args: list[str], expected: list[object]
) -> None:
    """One whose name is an option of every run stays reachable by `-i`."""
    assert expected == flying("fly", "--json", *args).json["output"]


def test_wrong_values_of_such_options_exit_2(flying: Quick) -> None:
    assert 2 == flying("fly").code
    assert "max_attempts" in flying("fly", "--branch-name", "b", "--max-attempts", "many").err
    assert 2 == flying("fly", "--nosuch").code


def test_such_a_command_is_resumed_by_itself(flying: Quick) -> None:
    flying.program.file("broken", "")
    failed = flying("fly", "--branch-name", "b", "--json")
    (flying.program.root / "broken").unlink()

    run = failed.json["run"]
    assert f"maverick fly --resume={run}" == failed.last_line == failed.json["resume"]
    resumed = flying("fly", "--resume", run, "--json").json
    assert (1, ["b", False, 3, [], "no"]) == (resumed["steps"]["recalled"], resumed["output"])


def test_its_help_lists_the_inputs(flying: Quick) -> None:
    shown = " ".join(flying("fly", "--help").out.split())

    assert "--branch-name TEXT The branch. [required]" in shown
    assert "--dry-run / --no-dry-run [default: false]" in shown
    assert "--max-attempts INTEGER [default: 3]" in shown


def test_a_broken_override_exits_3_and_spoils_no_other_command(flying: Quick) -> None:
    flying.program.file(".maverick/workflows/fly.yaml", "name: fly")

    assert 3 == flying("fly", "--json").code
    assert "error" in flying("fly", "--json").json
    assert 0 == flying("--help").code
    assert 0 == flying("runs").code
