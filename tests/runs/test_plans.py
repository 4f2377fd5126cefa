"""`run --plan`: what would run, and why. It runs nothing and writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kit.agents import Agents
from kit.runs import Execution, Runs
from maverick.dsl.processes.processes import Processes
from maverick.errors import InputInvalid, InputsDiffer, NotFound, WorkflowInvalid
from maverick.project import Project
from maverick.runs import preview
from maverick.runs.preview import Changed, RunPlan
from maverick.runs.request import Request
from maverick.values import Value

CHAIN = """
inputs: {n: {type: integer, default: 1}, unused: {type: integer, default: 1}}
steps:
  - {name: a, type: python, action: do, args: [a, "${{ inputs.n }}"]}
  - {name: b, type: shell, run: echo 1}
  - {name: c, type: python, action: do, args: [c, "${{ steps.b.output.value }}"]}
  - {name: d, type: python, action: unless, args: [d, ready]}
  - {name: e, type: python, action: do, args: [e]}
"""


def _project(runs: Runs) -> Project:
    return Project(runs.root, runs.environment)


def _plan(runs: Runs, revision: str = "", **options: object) -> RunPlan:
    request = Request(**{"workflow": "flow.yaml", "revision": revision, **options})  # type: ignore[arg-type]
    return preview.plan_resume(_project(runs), request, lambda _: None)


def _actions(plan: RunPlan) -> dict[str, str]:
    return {it.step.step: it.step.action for it in plan.steps}


def _whys(plan: RunPlan) -> dict[str, str]:
    return {it.step.step: it.step.why for it in plan.steps}


def _changes(plan: RunPlan, step: str) -> dict[str, Changed]:
    return {
        change.part: change for it in plan.steps if it.step.step == step for change in it.changed
    }


def _executed(plan: RunPlan) -> list[str]:
    return [it.step.step for it in plan.steps if it.step.action in {"run", "rerun"}]


def _files(root: Path) -> dict[str, tuple[bytes, int]]:
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            if "__pycache__" not in folder:
                found[str(path)] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


def test_a_plan_runs_nothing_and_writes_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file changes, no process starts; also where there was no store before."""
    runs.flow(CHAIN)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    with monkeypatch.context() as patched:
        patched.setattr(Processes, "run", refuse)
        before = _files(runs.root)
        preview.plan_start(_project(runs), Request(workflow="flow.yaml"))
        assert before == _files(runs.root)
    runs.start()
    runs.edit("echo 1", "echo 2")
    with monkeypatch.context() as patched:
        patched.setattr(Processes, "run", refuse)
        before = _files(runs.root)
        _plan(runs, from_step="a", skip={"d": 1})
        _plan(runs, policy="rerun")
        _plan(runs, inputs={"n": 5}, change_inputs=True)
        assert before == _files(runs.root)


def test_a_new_run_runs_all(runs: Runs) -> None:
    runs.flow(CHAIN)

    plan = preview.plan_start(_project(runs), Request(workflow="flow.yaml"))

    assert dict.fromkeys("abcde", "run") == _actions(plan)
    assert ("flow", "", "") == (plan.workflow, plan.run, plan.refused)


def test_what_has_finished_is_recalled_and_the_rest_runs(runs: Runs) -> None:
    runs.flow(CHAIN)
    runs.start()

    plan = _plan(runs)

    assert {"a": "recall", "b": "recall", "c": "recall", "d": "run", "e": "run"} == _actions(plan)
    assert ("it failed before", "it has not finished yet") == (_whys(plan)["d"], _whys(plan)["e"])
    assert "" == plan.refused


def test_an_edited_step_shows_its_lines_and_what_would_be_refused(runs: Runs) -> None:
    """With the message and the exit code that a resumption would give."""
    runs.flow(CHAIN)
    runs.start()
    runs.edit("echo 1", "echo 2")

    plan = _plan(runs)

    assert {"a": "recall", "b": "rerun", "c": "rerun", "d": "run", "e": "run"} == _actions(plan)
    assert ("its field `run` changed", "b before it runs") == (_whys(plan)["b"], _whys(plan)["c"])
    assert plan.refused.startswith(
        "step b has finished, and its field `run` changed since: --rerun runs it and what follows"
    )
    diff = _changes(plan, "b")["definition"].diff
    assert (
        "@@ -1 +1 @@\n-- {name: b, type: shell, run: echo 1}\n+- {name: b, type: shell, run: echo "
        "2}" == diff
    )
    assert ["run", "definition"] == list(_changes(plan, "b"))
    assert "" == _plan(runs, policy="rerun").refused


def test_a_step_of_several_lines_and_of_a_sub_workflow_is_compared(runs: Runs) -> None:
    runs.file(
        "sub.yaml",
        'version: "1.0"\nname: sub\nsteps:\n  - name: s\n    type: shell\n    run: |\n      echo '
        "1\n",
    )
    runs.flow("""
    - {name: call, type: subworkflow, workflow: sub.yaml}
    - {name: d, type: python, action: unless, args: [d, ready]}
    """)
    runs.start()
    path = runs.root / "sub.yaml"
    path.write_text(path.read_text().replace("echo 1", "echo 2"))

    plan = _plan(runs)

    assert {"call.s": "rerun", "d": "run"} == _actions(plan)
    assert (
        " - name: s\n   type: shell\n   run: |\n-    echo 1\n+    echo 2"
        in _changes(plan, "call.s")["definition"].diff
    )


def test_changed_inputs_are_shown_old_and_new_where_they_are_read(runs: Runs) -> None:
    runs.flow(CHAIN)
    runs.start()

    plan = _plan(runs, inputs={"n": 5, "unused": 2}, change_inputs=True)

    change = _changes(plan, "a")["inputs.n"]
    assert (1, 5) == (change.old, change.new)
    assert ["args", "inputs.n"] == list(_changes(plan, "a"))
    assert ("", ["a", "b", "c", "d", "e"]) == (plan.refused, _executed(plan))


def test_what_changed_beside_the_inputs_would_still_be_refused(runs: Runs) -> None:
    runs.flow(CHAIN)
    runs.start()
    runs.edit("echo 1", "echo 2")

    assert "step b has finished" in _plan(runs, inputs={"n": 5}, change_inputs=True).refused


def test_another_player_of_an_agent_is_shown(agents: Agents) -> None:
    """Program and model, old and new; changed instructions by name."""
    agents.runs.flow("- {name: ask, type: agent, agent: implementer, context: {task: x}}")
    runs = agents.runs
    config = "agents: {{implementer: {{provider: command, command: [sh, -c, 'echo {}']}}}}\n"
    runs.file("maverick.yaml", config.format("one"))
    runs.start()
    runs.file("maverick.yaml", config.format("two"))

    plan = preview.plan_resume(_project(runs), Request(workflow="flow.yaml"), lambda _: None)

    change = _changes(plan, "ask")["agent"]
    assert isinstance(change.old, dict)
    assert isinstance(change.new, dict)
    assert (["sh", "-c", "echo one"], ["sh", "-c", "echo two"]) == (
        change.old["command"],
        change.new["command"],
    )


def test_what_depends_on_what_is_not_there_yet_is_unknown(runs: Runs) -> None:
    """A pure step that reads it may find that nothing changed; a loop over it has no iterations
    yet.
    """
    runs.flow("""
    - {name: a, type: python, action: do, args: [a]}
    - {name: p, type: python, action: do, args: [p, "${{ steps.a.output }}"], pure: true}
    - {name: w, type: python, action: do, args: [w], when: steps.a.output}
    - name: each
      type: loop
      for_each: "${{ [steps.a.output] }}"
      key: item
      steps:
        - {name: x, type: python, action: do, args: ["${{ item }}"]}
    - {name: d, type: python, action: unless, args: [d, ready]}
    """)
    runs.start()

    plan = _plan(runs, from_step="a")

    assert {"a": "rerun", "p": "unknown", "w": "unknown", "each": "rerun", "d": "run"} == _actions(
        plan
    )
    assert "it depends on what a gives" == _whys(plan)["p"]
    assert "its `when` depends on what a gives" == _whys(plan)["w"]
    assert "what is in it depends on what a gives" == _whys(plan)["each"]


def test_rounds_that_nobody_can_count_yet_are_unknown(runs: Runs) -> None:
    runs.flow("""
    - name: rounds
      type: loop
      until: steps.x.output
      max_iterations: 3
      steps:
        - {name: x, type: python, action: do, args: [x]}
    """)

    plan = preview.plan_start(_project(runs), Request(workflow="flow.yaml"))

    assert {"rounds[0].x": "run", "rounds[1]": "unknown"} == _actions(plan)
    assert _whys(plan)["rounds[1]"].endswith("; 3 at most (`max_iterations`)")


def test_steps_that_are_skipped_or_run_each_time_are_shown(runs: Runs) -> None:
    runs.flow("""
    - {name: never, type: python, action: do, args: [n], when: "false"}
    - {name: login, type: python, action: do, args: [l], always_run: true}
    - {name: d, type: python, action: unless, args: [d, ready]}
    - {name: e, type: python, action: do, args: [e]}
    """)
    runs.start()

    plan = _plan(runs, skip={"d": None})

    assert {"never": "skip", "login": "rerun", "d": "skip", "e": "run"} == _actions(plan)
    assert "it was skipped by hand" == _whys(plan)["d"]
    assert "it runs each time (`always_run`)" == _whys(plan)["login"]


@pytest.mark.parametrize("marks", ["collect: last", "max_concurrency: 2", "key: item"])
@pytest.mark.parametrize(
    "options", [{}, {"policy": "rerun"}, {"from_step": "a"}, {"skip": {"d": 1}}]
)
def test_a_resumption_runs_what_the_plan_said(
    runs: Runs, marks: str, options: dict[str, Value]
) -> None:
    """The plan is the same walk."""
    runs.flow(f"""
    - {{name: a, type: python, action: do, args: [a]}}
    - name: each
      type: loop
      {marks}
      for_each: [x, y, z]
      steps:
        - {{name: one, type: python, action: do, args: ["one-${{{{ item }}}}"]}}
        - {{name: two, type: python, action: do, args: ["two-${{{{ item }}}}"]}}
    - {{name: d, type: python, action: unless, args: [d, ready]}}
    - {{name: e, type: python, action: do, args: [e]}}
    """)
    runs.start()
    runs.file("ready", "")
    if options.get("policy") == "rerun":
        runs.edit("one-${{ item }}", "one-${{ item }}-${{ item == 'y' }}")

    plan = _plan(runs, **options)
    resumed: Execution = runs.resume(**options)

    assert sorted(resumed.executed) == sorted(_executed(plan))
    assert sorted(resumed.skipped) == [
        it.step.step for it in plan.steps if it.step.action == "skip"
    ]


def test_it_says_when_a_new_run_would_be_forked_or_nothing_would_run(runs: Runs) -> None:
    runs.flow(CHAIN)
    runs.file("ready", "")
    runs.start()
    run = runs.run

    assert (
        f"run {run} is done: resuming it prints the recorded output and runs none of these",
    ) == _plan(runs).notes
    assert (
        _plan(runs, from_step="c").notes[0].startswith(f"a new run would be forked from {run} at ")
    )
    assert _plan(runs, f"{run}~2").notes[0].startswith(f"a new run would be forked from {run} at ")
    with runs.store.own(run):
        assert "is being executed by another process" in _plan(runs).notes[0]


def test_what_a_resumption_refuses_for_other_reasons_a_plan_refuses(runs: Runs) -> None:
    runs.flow(CHAIN)
    with pytest.raises(NotFound, match="no runs in"):
        _plan(runs)
    runs.start()

    with pytest.raises(InputsDiffer, match="n was 1, now 2"):
        _plan(runs, inputs={"n": 2})
    with pytest.raises(InputInvalid):
        preview.plan_start(_project(runs), Request(workflow="flow.yaml", inputs={"n": "x"}))
    with pytest.raises(NotFound, match="there is no step x"):
        _plan(runs, from_step="x")
    runs.edit("name: b", "name: b b")
    with pytest.raises(WorkflowInvalid):
        _plan(runs)


def test_programs_that_are_missing_and_steps_that_would_fail_are_said(runs: Runs) -> None:
    runs.flow("""
    - {name: a, type: python, action: give, args: ["${{ 1 + 'x' }}"]}
    - {name: b, type: shell, run: "true", requires: [no-such-program]}
    """)

    plan = preview.plan_start(_project(runs), Request(workflow="flow.yaml"))

    assert plan.notes[0].startswith(
        "it would not begin: programs that the workflow requires are not on PATH: no-such"
    )
    assert _whys(plan)["a"].startswith("it would fail: flow.yaml:4:")


def test_of_a_done_run_nothing_is_refused(runs: Runs) -> None:
    """An edit since is shown; resuming prints the recorded output all the same, with exit code
    0.
    """
    runs.flow("- {name: a, type: python, action: do, args: [a]}")
    runs.start()
    runs.edit("args: [a]", "args: [b]")

    plan = _plan(runs)

    assert "" == plan.refused
    assert "runs none of these" in plan.notes[0]
    assert "done" == runs.resume().status
