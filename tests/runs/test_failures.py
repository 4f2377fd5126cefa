"""What a failed step is to its run: the end of it or, with `continue_on_error`, an outcome."""

from __future__ import annotations

import pytest

from kit.runs import Runs


def test_a_failed_step_that_continues_is_an_outcome(runs: Runs) -> None:
    """Its status is `failed`, its output names the error, it is recorded so and recalled."""
    runs.flow("""
    - {name: a, type: python, action: fail, args: [a, boom], continue_on_error: true}
    - {name: b, type: python, action: give,
       args: ["${{ steps.a.status }}: ${{ 'boom' in steps.a.output.error }}"]}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["a", "b"], ["c"], "done") == (resumed.recalled, resumed.executed, resumed.status)
    assert ("failed", "failed: true") == (runs.status("a"), runs.value("steps/b"))
    assert 1 == runs.log.count("a")


@pytest.mark.parametrize(
    "step",
    [
        "type: subworkflow, workflow: inner.yaml",
        "type: loop, for_each: [1], steps: [{name: x, type: python, action: fail, args: [x]}]",
        "type: parallel, steps: [{name: x, type: python, action: fail, args: [x]}]",
        (
            "type: branch, options: [{when: 'true', step: {name: x, type: python, action: fail, args: "
            "[x]}}]"
        ),
        "type: validate, stages: ['false'], fail: true",
        "type: shell, run: 'echo x >> log; exit 3'",
    ],
)
def test_a_composite_that_fails_and_continues_is_recalled_as_failed(runs: Runs, step: str) -> None:
    """What failed inside is not done again by a resumption."""
    runs.file(
        "inner.yaml",
        'version: "1.0"\nname: inner\nsteps: [{name: x, type: python, action: fail, args: [x]}]\n',
    )
    runs.flow(f"""
    - {{name: a, {step}, continue_on_error: true}}
    - {{name: b, type: python, action: give, args: ["${{{{ steps.a.status }}}}"]}}
    - {{name: c, type: python, action: unless, args: [c, ready]}}
    """)
    started = runs.start()
    expected = runs.value("steps/b")
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["c"], "done") == (resumed.executed, resumed.status)
    assert expected == runs.value("steps/b")
    assert "loop" in step or "parallel" in step or expected == "failed", started.failed
    assert 1 >= runs.log.count("x")


def test_a_field_that_cannot_be_evaluated_is_a_failure_like_any(runs: Runs) -> None:
    """It is told and counted, and names its place."""
    runs.flow("- {name: a, type: python, action: do, args: [\"${{ 1 + 'x' }}\"]}")

    failed = runs.start()

    assert ("failed", ["a"]) == (failed.status, failed.failed)
    assert failed.outcome is not None
    assert 1 == failed.outcome.counts.failed
    assert "flow.yaml:4:" in failed.error
