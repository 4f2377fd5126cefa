"""Steps made of steps that fail by themselves: what they recorded is not what they fail by again."""

from __future__ import annotations

import pytest

from kit.runs import Runs
from maverick.project import Project
from maverick.runs import preview
from maverick.runs.request import Request

CHECK = (
    "{name: check, type: validate, fail: true, retry: RETRY, "
    "stages: [{name: test, run: 'test -e ready'}]FIX}"
)
FIX = ", on_failure: {name: fix, type: python, action: do, args: [fix]}"


def _check(retry: int = 0, fix: str = "") -> str:
    return CHECK.replace("RETRY", str(retry)).replace("FIX", fix)


A = "- {name: a, type: python, action: do, args: [a]}\n"
LOOP = A + "- name: each\n  type: loop\n  MARKS\n  steps:\n  - STEP"
BRANCH = A + "- name: choose\n  type: branch\n  options:\n  - when: 'true'\n    step: STEP"
AROUND = {
    "plain": (A + "- STEP", "check"),
    "loop": (LOOP.replace("MARKS", "for_each: [x, y]"), "each[0].check"),
    "keyed": (LOOP.replace("MARKS", "for_each: [x]\n  key: item"), 'each["x"].check'),
    "retried": (LOOP.replace("MARKS", "retry: {attempts: 2}\n  parallel: false"), "each.check"),
    "branch": (BRANCH, "choose.check"),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("retry", "fix"), [(0, ""), (1, ""), (2, FIX)])
def test_a_validation_that_failed_its_step_is_made_again(
    runs: Runs, around: str, retry: int, fix: str
) -> None:
    """With all its attempts, as those of a leaf; what stands before it is recalled."""
    flow, path = AROUND[around]
    runs.flow(flow.replace("STEP", _check(retry, fix)))
    began = runs.start()
    fixers = [f"{path}[{number}].fix" for number in range(retry)] if fix else []
    every = sorted([*(f"{path}[{number}]" for number in range(retry + 1)), *fixers])
    times = 2 if around == "retried" else 1

    still = runs.resume()
    runs.file("ready", "")
    passed = runs.resume()

    assert sorted(["a", *(every * times)]) == sorted(began.executed)
    assert ("failed", sorted(every * times)) == (still.status, sorted(still.executed))
    assert ("done", ["a"]) == (passed.status, passed.recalled)
    assert f"{path}[0]" == passed.executed[0]
    assert f"{path}[1]" not in passed.executed


def test_a_sub_workflow_validates_again_too(runs: Runs) -> None:
    """What is in it stands in a scope of its own."""
    runs.file("inner.yaml", f'version: "1.0"\nname: inner\nsteps:\n- {_check()}\n')
    runs.flow("- {name: inner, type: subworkflow, workflow: inner.yaml}")
    runs.start()
    runs.file("ready", "")

    assert ["inner.check[0]"] == runs.resume().executed


def test_a_validation_is_made_again_wherever_it_was_killed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Before its failure was kept, or after: the next execution ends by what it finds then.

    Attempts that were recorded before a kill in their midst are recalled.
    """
    number = 0
    recalled = set()
    while True:
        one = Runs(tmp_path_factory.mktemp("killed"))
        one.flow(f"- {_check(1, FIX)}")
        killed = one.kill_at(number)
        if not killed.killed:
            break
        number += 1
        if not any(point.startswith("step_started check") for point in killed.point.points):
            continue
        one.file("ready", "")
        resumed = one.resume()
        assert "done" == resumed.status, (number, killed.point.points[-1])
        recalled.add((tuple(resumed.recalled), tuple(resumed.executed)))
    assert ((), ("check[0]",)) in recalled
    assert (("check[0]", "check[0].fix"), ("check[1]",)) in recalled


@pytest.mark.parametrize("policy", ["refuse", "rerun", "recorded"])
def test_no_policy_keeps_a_failed_validation(runs: Runs, policy: str) -> None:
    """A policy is about what finished."""
    runs.flow(f"- {_check()}")
    runs.start()
    runs.file("ready", "")

    assert ["check[0]"] == runs.resume(policy=policy).executed


def test_a_failed_validation_that_goes_on_is_an_outcome(runs: Runs) -> None:
    """It is recalled like any failure under `continue_on_error`, the steps after it with it."""
    step = _check().replace("fail: true", "fail: true, continue_on_error: true")
    runs.flow(
        f"- {step}\n- {{name: b, type: python, action: do, args: [b]}}\n"
        "- {name: c, type: python, action: unless, args: [c, there]}"
    )
    runs.start()
    runs.file("ready", "")
    runs.file("there", "")

    resumed = runs.resume()

    assert (["check[0]", "b"], ["c"]) == (resumed.recalled, resumed.executed)


def test_a_validation_told_to_fail_since_is_made_again(runs: Runs) -> None:
    """Its attempt was recorded as one that only did not pass."""
    runs.flow(
        f"- {_check().replace('fail: true, ', '')}\n"
        "- {name: c, type: python, action: unless, args: [c, there]}"
    )
    runs.start()
    runs.edit("type: validate", "type: validate, fail: true")

    assert ["check[0]"] == runs.resume(policy="rerun").executed


def _planned(runs: Runs) -> list[tuple[str, str, str]]:
    request = Request(workflow="flow.yaml", revision="@latest")
    plan = preview.plan_resume(Project(runs.root, runs.environment), request, lambda _: None)
    return [(step.step.step, step.step.action, step.step.why) for step in plan.steps]


def test_a_plan_says_that_a_failed_validation_is_made_again(runs: Runs) -> None:
    """And why."""
    runs.flow(f"- {_check(1, FIX)}")
    runs.start()

    assert [("check[0]", "rerun", "it failed before")] == _planned(runs)


def test_a_plan_says_so_too_where_a_kill_came_before_the_failure_was_kept(runs: Runs) -> None:
    """A resumption does not recall the attempts then, either."""
    runs.flow(f"- {_check(1, FIX)}")
    runs.kill_after("check[1]")

    assert [("check[0]", "rerun", "it failed before")] == _planned(runs)
    assert ["check[0]", "check[0].fix", "check[1]"] == runs.resume().executed


def test_rounds_go_on_where_there_may_be_more_of_them(runs: Runs) -> None:
    """With as many as before the loop fails at once, and says what helps; `--from` is one."""
    runs.flow("""
    - name: poll
      type: loop
      until: exists('ready')
      max_iterations: 2
      steps: [{name: look, type: python, action: do, args: [look]}]
    """)
    runs.start()
    again = runs.resume()
    runs.file("ready", "")
    runs.edit("max_iterations: 2", "max_iterations: 4")
    more = runs.resume()

    assert ([], "failed") == (again.executed, again.status)
    assert "raise `max_iterations`" in again.error
    assert "--from 'poll'" in again.error
    assert (["poll[2].look"], "done") == (more.executed, more.status)


def test_rounds_run_again_where_that_is_asked_for(runs: Runs) -> None:
    """As the message says."""
    runs.flow("""
    - name: poll
      type: loop
      until: exists('ready')
      max_iterations: 2
      steps: [{name: look, type: python, action: do, args: [look]}]
    """)
    runs.start()
    runs.file("ready", "")

    assert ["poll[0].look"] == runs.resume(from_step="poll").executed


def test_a_branch_without_an_option_chooses_anew(runs: Runs) -> None:
    """What no option held by may be there by now."""
    runs.flow("""
    - name: choose
      type: branch
      on_no_match: fail
      options:
      - {when: "exists('ready')", step: {name: b, type: python, action: do, args: [b]}}
    """)
    failed = runs.start()
    runs.file("ready", "")

    assert ("failed", ["choose.b"]) == (failed.status, runs.resume().executed)


@pytest.mark.parametrize("bad", ["null", "['x', 'x']"])
def test_a_loop_over_what_is_no_list_looks_anew(runs: Runs, bad: str) -> None:
    """What it was computed from may be mended by now; so may keys that were not unique."""
    runs.flow(f"""
    - {{name: a, type: python, action: do, args: [a]}}
    - name: each
      type: loop
      for_each: "${{{{ ['x'] if exists('ready') else {bad} }}}}"
      key: item
      steps: [{{name: b, type: python, action: do, args: [b]}}]
    """)
    failed = runs.start()
    runs.file("ready", "")

    assert ("failed", ['each["x"].b']) == (failed.status, runs.resume().executed)
