"""Timeouts: whatever a step is made of and inside of, a message names the timeout that is over and whose it is."""

from __future__ import annotations

import pytest

from kit_runs import Runs

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


@pytest.mark.parametrize("kind", _STEPS)
def test_a_step_names_its_own_timeout(slow: Runs, kind: str) -> None:
    slow.flow(f"- {{name: a, {_STEPS[kind]}, timeout: 0.4}}")
    named = "the timeout of 0.4 s of the step a" if kind == "validate" else "its timeout of 0.4 s"

    assert f"longer than {named}" in slow.start().error


@pytest.mark.parametrize("kind", _STEPS)
def test_a_timeout_around_a_step_is_named_as_it_is_configured(slow: Runs, kind: str) -> None:
    """Not the rest of it that was left when the inner step began (`0.398731 s`), and not as the inner step's own."""
    slow.flow(f"""
    - name: work
      type: loop
      timeout: 0.4
      for_each: [1]
      steps:
        - {{name: a, {_STEPS[kind]}, timeout: 1h}}
    """)

    error = slow.start().error

    assert "step work[0].a" in error
    assert "longer than the timeout of 0.4 s of the step work" in error


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
    slow.flow(f"- {{name: work, type: {around}, timeout: 0.4, {bodies[around]}}}")

    assert "took longer than the timeout of 0.4 s of the step work" in slow.start().error


def test_of_two_timeouts_around_a_step_the_first_that_is_over_is_named(slow: Runs) -> None:
    slow.flow("""
    - name: outer
      type: loop
      timeout: 0.4
      steps:
        - name: inner
          type: loop
          timeout: 1h
          steps: [{name: a, type: shell, run: sleep 600}]
    """)

    assert "longer than the timeout of 0.4 s of the step outer" in slow.start().error


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
    slow.flow("""
    - name: a
      type: validate
      timeout: 1
      stages: [{name: one, run: sleep 0.6}, {name: two, run: sleep 0.6}, {name: three, run: touch began}]
    """)

    failed = slow.start()

    assert "failed" == failed.status
    assert not (slow.root / "began").exists()


@pytest.mark.parametrize("configured", [True, False])
def test_a_stage_names_its_own_timeout(slow: Runs, configured: bool) -> None:
    """Wherever it stands: in maverick.yaml, or in the step."""
    stage = "{run: sleep 600, timeout: 0.4}"
    if configured:
        slow.file("maverick.yaml", f"validation: {{stages: {{slow: {stage}}}}}\n")
    listed = "slow" if configured else "{name: slow, " + stage[1:]
    slow.flow(f"- {{name: a, type: validate, stages: [{listed}], timeout: 1h}}")

    assert "longer than the timeout of 0.4 s of the stage slow" in slow.start().error


@pytest.mark.parametrize("kind", _STEPS)
@pytest.mark.parametrize("timeout", ["0", "'0s'", "'soon'", "-1", "float('inf')", "[1]"])
def test_a_timeout_that_an_expression_gives_has_to_be_one(slow: Runs, kind: str, timeout: str) -> None:
    """As one that stands in the file: above 0, and no longer than a clock can wait."""
    slow.flow(f"""- {{name: a, {_STEPS[kind]}, timeout: "${{{{ {timeout} }}}}"}}""")

    assert "timeout" in slow.start().error
