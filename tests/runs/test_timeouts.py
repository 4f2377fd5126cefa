"""Timeouts: whatever a step is made of and inside of, a message names the timeout that is over and
whose it is.
"""

from __future__ import annotations

import pytest

from kit.patience import GROWING_SECONDS
from kit.runs import Runs

_STEPS = {
    "shell": "type: shell, run: sleep 600",
    "sync": "type: python, action: hang",
    "async": "type: python, action: linger",
    "validate": "type: validate, stages: [{name: slow, run: sleep 600}]",
    "agent": "type: agent, agent: helper, context: {a: b}",
}
_ACTIONS = """
def hang():
    import threading
    threading.Event().wait()


async def linger():
    import asyncio
    await asyncio.sleep(600)
"""
_CONFIG = """
agents: {helper: {provider: command, command: [sleep, "600"]}}
"""


@pytest.fixture
def slow(runs: Runs) -> Runs:
    """A project of steps that never end."""
    runs.set_actions(_ACTIONS)
    runs.file("maverick.yaml", f"actions: [{runs.module}]\n{_CONFIG}")
    return runs


def _late(slow: Runs, flow: str) -> tuple[str, str]:
    """The error of *flow*, whose timeout is `SECONDS`, once something began before it was over; and
    that timeout.
    """
    for seconds in GROWING_SECONDS:
        slow.flow(flow.replace("SECONDS", str(seconds)))
        error = slow.start().error
        if "longer than" in error:
            break
    return error, f"{seconds:g} s"


@pytest.mark.parametrize("kind", _STEPS)
def test_a_step_names_its_own_timeout(slow: Runs, kind: str) -> None:
    error, timeout = _late(slow, f"- {{name: a, {_STEPS[kind]}, timeout: SECONDS}}")

    named = (
        f"the timeout of {timeout} of the step a"
        if kind == "validate"
        else f"its timeout of {timeout}"
    )
    assert f"longer than {named}" in error


@pytest.mark.parametrize("kind", _STEPS)
def test_a_timeout_around_a_step_is_named_as_it_is_configured(slow: Runs, kind: str) -> None:
    """Not the rest of it that was left when the inner step began (`0.398731 s`), and not as the
    inner step's own.
    """
    flow = f"""
    - name: work
      type: loop
      timeout: SECONDS
      for_each: [1]
      steps:
        - {{name: a, {_STEPS[kind]}, timeout: 1h}}
    """

    error, timeout = _late(slow, flow)

    assert "step work[0].a" in error
    assert f"longer than the timeout of {timeout} of the step work" in error


def test_an_async_action_may_take_a_century(slow: Runs) -> None:
    """Longer than one wait of the system can be, which ends after 24 days."""
    slow.set_actions("async def quick():\n    return 1\n")
    slow.flow("- {name: a, type: python, action: quick, timeout: 36500d}")

    assert 1 == slow.start().output


@pytest.mark.parametrize("around", ["loop", "branch", "subworkflow"])
def test_every_step_made_of_steps_hands_its_timeout_on(slow: Runs, around: str) -> None:
    inner = "{name: a, type: shell, run: sleep 600}"
    bodies = {
        "loop": f"steps: [{inner}]",
        "branch": f"options: [{{when: 'true', step: {inner}}}]",
        "subworkflow": "workflow: ./inner.yaml",
    }
    slow.file("inner.yaml", f'version: "1.0"\nname: inner\nsteps: [{inner}]\n')
    error, timeout = _late(
        slow, f"- {{name: work, type: {around}, timeout: SECONDS, {bodies[around]}}}"
    )

    assert f"took longer than the timeout of {timeout} of the step work" in error


def test_a_timeout_on_a_composite_ends_what_is_inside(runs: Runs) -> None:
    """At whatever depth."""
    for seconds in GROWING_SECONDS:
        runs.flow(f"""
        - name: each
          type: loop
          timeout: {seconds}
          for_each: [1, 2]
          steps:
            - {{name: slow, type: shell, run: sleep 6000}}
        """)
        failed = runs.start()
        if failed.executed:
            break

    assert ("failed", ["each[0].slow"]) == (failed.status, failed.executed)
    assert "each[0].slow" in failed.error
    assert "timeout" in failed.error


def test_of_two_timeouts_around_a_step_the_first_that_is_over_is_named(slow: Runs) -> None:
    flow = """
    - name: outer
      type: loop
      timeout: SECONDS
      steps:
        - name: inner
          type: loop
          timeout: 1h
          steps: [{name: a, type: shell, run: sleep 600}]
    """

    error, timeout = _late(slow, flow)

    assert f"longer than the timeout of {timeout} of the step outer" in error


def test_a_step_that_begins_when_the_time_is_over_names_whose_it_was(slow: Runs) -> None:
    """Nothing of it starts; `continue_on_error` inside does not stretch the time."""
    slow.flow("""
    - name: work
      type: loop
      timeout: 0.3
      steps:
        - {name: a, type: shell, run: sleep 600, continue_on_error: true}
        - {name: b, type: shell, run: touch began}
    """)

    failed = slow.start()

    assert failed.error.endswith("the timeout of 0.3 s of the step work is over")
    assert not (slow.root / "began").exists()


def test_the_stages_of_a_validation_share_its_timeout(slow: Runs) -> None:
    """A second stage has what the first one left of it."""
    for seconds in GROWING_SECONDS:
        slow.flow(f"""
        - name: a
          type: validate
          timeout: {seconds}
          stages: [{{name: one, run: touch one}}, {{name: two, run: sleep 600}}, {{name: three, run: touch three}}]
        """)
        failed = slow.start()
        if (slow.root / "one").exists():
            break

    assert "failed" == failed.status
    assert f"the timeout of {seconds:g} s of the step a" in failed.error
    assert not (slow.root / "three").exists()


@pytest.mark.parametrize("configured", [True, False])
def test_a_stage_names_its_own_timeout(slow: Runs, configured: bool) -> None:
    """Wherever it stands: in maverick.yaml, or in the step. It is the stage that fails, as by
    another exit code.
    """
    stage = "{run: echo begun; sleep 600, timeout: 0.3}"
    if configured:
        slow.file("maverick.yaml", f"validation: {{stages: {{slow: {stage}}}}}\n")
    listed = "slow" if configured else "{name: slow, " + stage[1:]
    slow.flow(f"- {{name: a, type: validate, stages: [{listed}, 'touch after'], timeout: 1h}}")

    done = slow.start()

    said = (
        "`echo begun; sleep 600` took longer than the timeout of 0.3 s of the stage slow and was "
        "stopped"
    )
    stopped = {"name": "slow", "success": False, "exit_code": 124, "output": f"begun\n{said}"}
    assert {"success": False, "passed": False, "stages": [stopped], "attempts": 1} == slow.value(
        "steps/a"
    )
    assert any(said in notice for notice in done.notices)
    assert not (slow.root / "after").exists()


def test_a_stage_that_took_too_long_is_corrected_and_run_again(slow: Runs) -> None:
    slow.flow("""
    - name: a
      type: validate
      stages: [{name: slow, run: "test -e fixed || sleep 600", timeout: 0.3}]
      retry: 1
      on_failure: {type: shell, run: touch fixed}
      fail: true
    """)

    done = slow.start()

    assert "done" == done.status
    assert any(
        notice.startswith("validation failed at slow: exit code 124: `test")
        for notice in done.notices
    )


@pytest.mark.parametrize("kind", _STEPS)
@pytest.mark.parametrize("timeout", ["0", "'0s'", "'soon'", "-1", "float('inf')", "[1]"])
def test_a_timeout_that_an_expression_gives_has_to_be_one(
    slow: Runs, kind: str, timeout: str
) -> None:
    """As one that stands in the file: above 0, and no longer than a clock can wait."""
    slow.flow(f"""- {{name: a, {_STEPS[kind]}, timeout: "${{{{ {timeout} }}}}"}}""")

    assert "timeout" in slow.start().error
