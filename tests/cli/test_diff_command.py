"""`maverick diff` of runs: which two it takes, what it folds, times and costs."""

from __future__ import annotations

import pytest

from kit.program import Program, Quick
from maverick.cli.commands import checkpoint_diff
from maverick.dsl.paths import StepPath
from maverick.views.comparing.expenses import Expense

ACTIONS = """
def train(lr):
    return {"weights": [round(lr * n, 4) for n in range(12)], "loss": 0.1}

def same():
    return 1
"""
TRAIN = """
    inputs: {lr: {type: float, default: 0.1}}
    steps:
      - {name: same, type: python, action: "tools:same"}
      - {name: train, type: python, action: "tools:train", kwargs: {lr: "${{ inputs.lr }}"}}
    """


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Three runs of `train`, the second of which has another action; and one of another workflow."""
    program = Program(tmp_path_factory.mktemp("trained") / "project")
    program.file("tools.py", ACTIONS)
    program.flow(TRAIN, "train")
    program.flow("- {name: a, type: checkpoint}", "other")
    assert 0 == program.run("run", "train.yaml", "--quiet").code
    program.file("tools.py", ACTIONS.replace("return 1", "return 2 - 1"))
    assert 0 == program.run("run", "train.yaml", "--quiet").code
    assert 0 == program.run("run", "train.yaml", "-i", "lr=0.2", "--quiet").code
    assert 0 == program.run("run", "other.yaml", "--quiet").code
    return program


@pytest.fixture
def trained(original: Program, quick: Quick) -> Quick:
    quick.program.copy_of(original)
    return quick


def runs(quick: Quick) -> list[str]:
    """The runs of `train`, the newest first."""
    return [row["run"] for row in quick("runs", "--json").json if row["workflow"] == "train"]


@pytest.mark.parametrize("verb", [["diff"], ["checkpoint", "diff"]])
def test_one_name_is_compared_with_the_run_before_it_of_the_same_workflow(
    trained: Quick, verb: list[str]
) -> None:
    newest, second, first = runs(trained)

    shown = trained(*verb, newest)

    assert [
        "~ inputs.lr: 0.1 -> 0.2",
        "~ steps.train.output.weights: 11 of 12 changed",
    ] == shown.out.splitlines()
    assert f"{second} (the run before it) -> {newest}" in shown.err
    assert f"{first} (the run before it) -> {second}" in trained(*verb, "train@{1}").err


def test_without_a_name_the_newest_is_compared(trained: Quick) -> None:
    trained.program.run("run", "train.yaml", "-i", "lr=0.3", "--quiet")

    assert "~ inputs.lr: 0.2 -> 0.3" == trained("diff").out.splitlines()[0]


@pytest.mark.parametrize("words", [[], ["other@latest"], ["train@{2}"]])
def test_a_run_with_none_before_it_is_told(trained: Quick, words: list[str]) -> None:
    refused = trained("diff", *words)

    assert 10 == refused.code
    assert "there is no run of " in refused.err
    assert "to compare it with" in refused.err


def test_code_that_changed_is_told(trained: Quick) -> None:
    _, second, first = runs(trained)

    assert "~ steps.same: the source of its action changed\n" == trained("diff", first, second).out
    (row,) = trained("diff", first, second, "--json").json
    assert {"path": "steps.same", "change": "code", "part": "action"}.items() <= row.items()
    assert "1 change: 1 code" == trained("diff", first, second, "--stat").out.splitlines()[-1]


@pytest.mark.parametrize("option", ["--all", "--full"])
def test_all_folds_nothing(trained: Quick, option: str) -> None:
    newest = runs(trained)[0]

    lines = trained("diff", newest, option).out.splitlines()

    assert 12 == len(lines)
    assert "~ steps.train.output.weights[11]: 1.1 -> 2.2" == lines[-1]


def test_json_is_complete(trained: Quick) -> None:
    assert 12 == len(trained("diff", runs(trained)[0], "--json").json)


def test_stat_counts_what_is_folded(trained: Quick) -> None:
    assert [
        "~ inputs.lr",
        "~ steps.train.output.weights: 11 of 12 changed",
        "12 changes: 12 changed",
    ] == trained("diff", runs(trained)[0], "--stat").out.splitlines()


def test_times_stand_side_by_side(trained: Quick) -> None:
    newest, second, _ = runs(trained)

    shown = trained("diff", newest, "--times").out.split("\n\n")[0].splitlines()

    ends = [run.rpartition("-")[2] for run in (second, newest)]
    assert ["STEP", *ends] == shown[0].split()
    assert ["same", "train", "the run"] == [line.partition("  ")[0] for line in shown[1:]]


def test_a_step_that_took_no_time_at_all_has_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    took = [Expense(StepPath("quick"), "seconds", 0.0, 0.0)]

    assert checkpoint_diff._print_expenses(took, ("r-aaa", "r-bbb"), unfold=False)

    _, row = capsys.readouterr().out.splitlines()
    assert ["quick", "time", "0", "ms", "0", "ms"] == row.split()


def test_json_has_the_times_that_differ_behind_what_differs(trained: Quick) -> None:
    """Two times may be equal; that of a step which only one run has never is."""
    trained.program.flow(f"{TRAIN}  - {{name: more, type: checkpoint}}\n", "train")
    assert 0 == trained.program.run("run", "train.yaml", "--quiet").code

    rows = trained("diff", "--times", "--json").json

    (more,) = [row for row in rows if row["path"] == "steps.more.seconds"]
    assert {"path", "change", "old", "new"} == set(more)
    assert ("added", None) == (more["change"], more["old"])
    times = [row["path"].endswith("seconds") for row in rows]
    assert sorted(times) == times


def test_a_table_comes_before_what_differs(trained: Quick) -> None:
    """It was asked for; what differs may be long."""
    newest = runs(trained)[0]

    table, differences = trained("diff", newest, "--times").out.split("\n\n")

    assert table.startswith("STEP")
    assert trained("diff", newest).out == differences


def test_a_text_that_a_script_printed_is_shown_once(quick: Quick) -> None:
    """Its output has it twice: of one line it is shown as the value, which a workflow reads."""
    for count in ("1", "3"):
        quick.program.flow(
            f"- {{name: one, run: echo {count}}}\n- {{name: more, run: seq 9 1{count}}}"
        )
        assert 0 == quick.program.run("run", "flow.yaml", "--quiet").code

    shown = quick("diff", "--step", "one").out + quick("diff", "--step", "more").out

    assert '~ steps.one.output.value: "1" -> "3"\n' in shown
    assert "steps.one.output.stdout" not in shown
    assert "~ steps.more.output.stdout\n" in shown
    assert "steps.more.output.value" not in shown
    both = [row["path"] for row in quick("diff", "--json").json]
    assert {"steps.one.output.stdout", "steps.one.output.value"} <= set(both)


def test_costs_stand_side_by_side(quick: Quick) -> None:
    quick.program.file("agent.sh", "echo yes")
    quick.program.file(
        "maverick.yaml", "agents: {default: {provider: command, command: [sh, agent.sh]}}"
    )
    quick.program.flow("- {name: ask, type: agent, agent: helper, context: {a: b}}")
    for _ in range(2):
        assert 0 == quick.program.run("run", "flow.yaml", "--quiet").code

    shown = quick("diff", "--costs").out.splitlines()

    assert ["ask", "calls", "1", "1"] == shown[1].split()
    assert ["the", "run", "calls", "1", "1"] == shown[2].split()


def test_costs_of_runs_without_agents_are_told_to_be_none(trained: Quick) -> None:
    shown = trained("diff", runs(trained)[0], "--costs", "--step", "same")

    assert "" == shown.out
    assert "cost anything" in shown.err
