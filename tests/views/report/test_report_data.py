"""What a page gathers from a run, and what it leaves out of one that is too large."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit.runs import Runs
from maverick.checkpoints import Store
from maverick.dsl.paths import StepPath
from maverick.views.page_loader import load_page
from maverick.views.report.bounds import Budget
from maverick.views.report.details import MOST_ARTIFACTS
from maverick.views.report.gathering import Gathered, gather
from maverick.views.report.previous import MOST_CHANGES
from maverick.views.report.rows import placed
from maverick.views.run_page import RunPage, StepNode, StepRow


def _gathered(runs: Runs, revision: str = "@latest", *, room: int = 1 << 24) -> Gathered:
    store = Store.open(runs.root / ".maverick" / "checkpoints")
    return gather(str(runs.root), store, store.resolve(revision), Budget(room), lambda value: value)


def _details(gathered: Gathered) -> dict[str, dict[str, Any]]:
    steps = gathered.data["steps"]
    return {steps[number]["path"]: detail for number, detail in gathered.details.items()}


FLOW = """
    inputs: {names: {type: array, default: [{name: one}, {name: two}]}}
    steps:
      - {name: first, type: python, action: give, kwargs: {output: {deep: {x: 7}}}}
      - name: each
        type: loop
        for_each: ${{ inputs.names }}
        steps:
          - name: inner
            type: python
            action: do
            kwargs: {name: "${{ item.name }} ${{ index }} ${{ steps.first.output.deep.x }}"}
      - {name: last, type: shell, run: "echo said; exit 1"}
    """


def test_rows_stand_below_what_is_around_them_in_the_order_of_the_workflow(runs: Runs) -> None:
    runs.flow(FLOW)
    runs.start()

    steps = _gathered(runs).data["steps"]

    assert [
        ("first", -1, "first"),
        ("each", -1, "each"),
        ("each[0]", 1, "[0]"),
        ("each[0].inner", 2, "inner"),
        ("each[1]", 1, "[1]"),
        ("each[1].inner", 4, "inner"),
        ("last", -1, "last"),
    ] == [(step["path"], step["parent"], step["name"]) for step in steps]
    assert ["one", "two"] == [step["label"] for step in steps if step["type"] == "iteration"]
    assert "each[].inner" == steps[3]["pattern"]


def test_a_step_says_what_it_was_given(runs: Runs) -> None:
    runs.flow(FLOW)
    runs.start()

    given = _details(_gathered(runs))["each[1].inner"]["given"]

    assert [
        {"name": "item.name", "value": "two", "step": None},
        {"name": "index", "value": 1, "step": None},
        {"name": "steps.first.output.deep.x", "value": 7, "step": "first"},
    ] == given


def test_what_a_step_was_given_is_named_as_an_expression_names_it(runs: Runs) -> None:
    runs.flow(
        """
        - {name: my-step, type: python, action: give, kwargs: {output: {"a b": 1, "a\\u202eb": 2}}}
        - name: last
          type: python
          action: do
          kwargs:
            name: ${{ steps.my-step.output["a b"] }} ${{ steps.my-step.output["a\u202eb"] }}
        """
    )
    runs.start()

    given = _details(_gathered(runs))["last"]["given"]

    assert [
        ('steps.my-step.output["a b"]', 1),
        (r'steps.my-step.output["a\u202eb"]', 2),
    ] == [(each["name"], each["value"]) for each in given]


def test_a_step_that_failed_has_its_error_log_and_attempts(runs: Runs) -> None:
    runs.flow(FLOW)
    runs.start()

    detail = _details(_gathered(runs))["last"]

    assert "exit code 1" in detail["error"]
    assert [["stdout", "said\n"]] == json.loads(json.dumps(detail["logs"][0]["pieces"]))
    assert [("failed", 1)] == [(each["status"], each["exit_code"]) for each in detail["tries"]]


def test_a_step_that_ran_again_says_why(runs: Runs) -> None:
    runs.flow(FLOW)
    runs.start()
    runs.edit("x: 7", "x: 8")
    runs.resume(policy="rerun")

    details = _details(_gathered(runs))

    assert "reran" == details["first"]["did"]
    assert details["first"]["changes"]
    assert "first before it ran" == details["each[0].inner"]["because"]


def test_the_run_before_is_the_one_of_the_same_workflow(runs: Runs) -> None:
    runs.flow(FLOW)
    runs.start()
    runs.file(
        "other.yaml", 'version: "1.0"\nname: other\nsteps: [{name: a, type: shell, run: "true"}]'
    )
    runs.edit("exit 1", "exit 0")
    runs.start()

    data = _gathered(runs).data

    assert "failed" == data["before"]["status"]
    assert {"status": "failed"} == {
        name: value for name, value in data["steps"][-1]["before"].items() if name == "status"
    }
    assert {
        "path": "steps.last.status",
        "change": "added",
        "old": None,
        "new": "done",
    } in data["before"]["changes"]
    assert _gathered(runs, data["before"]["run"]).data["before"] is None


def test_of_two_runs_that_differ_in_everything_only_the_first_differences_are_shown(
    runs: Runs,
) -> None:
    lines = [
        f"- {{name: s{n}, type: python, action: give, kwargs: {{output: [x, {n}]}}}}"
        for n in range(MOST_CHANGES + 20)
    ]
    runs.flow("\n".join(lines))
    runs.start()
    runs.edit("[x, ", "[y, ")
    runs.start()

    before = _gathered(runs).data["before"]

    assert MOST_CHANGES == len(before["changes"])
    assert "maverick diff" in before["note"]


def test_a_full_page_says_what_it_left_out_and_the_command_that_shows_it(runs: Runs) -> None:
    runs.flow(FLOW)
    runs.start()

    details = _details(_gathered(runs, room=0))

    assert {"Left out, because the page is full: maverick show"} == {
        detail["notes"][0][:49] for detail in details.values()
    }


def test_of_many_artifacts_a_step_says_how_to_see_all(runs: Runs) -> None:
    runs.flow(
        f"""
        - name: few
          type: shell
          run: "echo x > x.txt"
          artifacts: [x.txt]
        - name: many
          type: shell
          run: "mkdir -p out; for n in $(seq {MOST_ARTIFACTS + 5}); do echo x > out/$n.txt; done"
          artifacts: ["out/*.txt"]
        """
    )
    runs.start()

    details = _details(_gathered(runs))

    assert [{"path": "artifacts/few/x.txt", "bytes": 2}] == details["few"]["artifacts"]
    assert "notes" not in details["few"]
    assert MOST_ARTIFACTS == len(details["many"]["artifacts"])
    assert details["many"]["notes"][0].endswith(f"checkpoint show {runs.run}:artifacts/many")


def test_secrets_of_now_are_masked_everywhere(runs: Runs) -> None:
    """Those of then were masked when the run was recorded; a page is for sharing."""
    from maverick.dsl.processes.secrets import Scrubber  # noqa: PLC0415

    runs.flow(
        """
        description: secret-of-now
        steps:
          - {name: a, type: shell, run: "echo secret-of-now; echo secret-of-now >&2; exit 1"}
        """
    )
    runs.start()
    store = Store.open(runs.root / ".maverick" / "checkpoints")

    gathered = gather(
        "", store, store.resolve("@latest"), Budget(), Scrubber(["secret-of-now"]).value
    )

    assert "secret-of-now" not in json.dumps(gathered)
    assert "***" in json.dumps(gathered.head)


@pytest.mark.parametrize("before", ["two", "one"])
def test_a_run_that_was_killed_is_shown_as_far_as_it_came(runs: Runs, before: str) -> None:
    runs.flow(
        """
        - {name: one, type: python, action: do, kwargs: {name: one}}
        - {name: two, type: python, action: do, kwargs: {name: two}}
        """
    )
    runs.kill_before(before)

    gathered = _gathered(runs)

    assert "killed" == gathered.data["status"]
    assert {"one", "two"} == {step["path"] for step in gathered.data["steps"]}


# --- too many -------------------------------------------------------------------------------------


def _page_of(top: StepNode) -> RunPage:
    page = RunPage.__new__(RunPage)
    page.top = top
    return page


def _node(path: str, status: str = "done", *inner: StepNode) -> StepNode:
    row = StepRow(path=StepPath(path), type="python", status=status)  # type: ignore[arg-type]
    return StepNode(StepPath(path), row, list(inner))


def test_of_too_many_steps_those_stay_that_a_reader_looks_for() -> None:
    loop = _node("loop")
    for number in range(50_000):
        status = "failed" if number == 40_000 else "done"
        loop.inner.append(
            StepNode(StepPath(f"loop[{number}]"), None, [_node(f"loop[{number}].step", status)])
        )
    top = StepNode(StepPath(), None, [_node("first"), loop, _node("last")])

    rows, left_out = placed(_page_of(top), 100)

    paths = [each.node.path for each in rows]
    assert (100, 100_003 - 100) == (len(rows), left_out)
    assert {"first", "loop", "last", "loop[40000]", "loop[40000].step", "loop[0]"} <= set(paths)
    for number, each in enumerate(rows):
        assert each.parent < number
        around = "" if each.parent < 0 else paths[each.parent]
        assert each.node.path.startswith(around)


def test_however_many_failed_there_is_a_bound() -> None:
    top = StepNode(StepPath(), None, [_node(f"s{number}", "failed") for number in range(300)])

    rows, left_out = placed(_page_of(top), 100)

    assert (100, 200) == (len(rows), left_out)


def test_counts_are_of_all_steps_however_few_are_shown(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maverick.views.report.rows.placed.__defaults__", (5,))
    runs.flow(
        """
        - name: each
          type: loop
          for_each: ${{ range(30) }}
          steps:
            - {name: one, type: python, action: give, kwargs: {output: "${{ item }}"}}
        """
    )
    runs.start()

    gathered = _gathered(runs)

    assert (5, 56) == (len(gathered.data["steps"]), gathered.data["steps_left_out"])
    assert {"done": 30} == gathered.data["steps"][0]["counts"]
    assert ["Steps", "31 done"] in [list(fact) for fact in gathered.head["facts"]]


def test_few_steps_are_all_there() -> None:
    top = StepNode(StepPath(), None, [_node("a", "done", _node("a.b")), _node("c")])

    rows, left_out = placed(_page_of(top), 3)

    assert ([-1, 0, -1], 0) == ([each.parent for each in rows], left_out)


def test_loading_and_gathering_agree(runs: Runs) -> None:
    runs.flow(FLOW)
    runs.start()
    store = Store.open(runs.root / ".maverick" / "checkpoints")
    page = load_page(str(runs.root), store, store.resolve("@latest"))

    steps = _gathered(runs).data["steps"]

    shown = [step for step in steps if step["type"] != "iteration"]
    assert [str(row.path) for row in page.steps] == [step["path"] for step in shown]
    assert [row.status for row in page.steps] == [step["status"] for step in shown]
    assert Path(str(runs.root)).name not in json.dumps(_gathered(runs).data)
