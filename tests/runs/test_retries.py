"""`retry`: what is tried again, how often, and what of it is recorded."""

from __future__ import annotations

import pytest

from kit.patience import GROWING_SECONDS
from kit.runs import Runs
from maverick.dsl.events import Event


def _retries(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.step, event.message) for event in events if event.event == "step_retried"]


def test_retry_counts_attempts_in_all_and_tells_of_each(runs: Runs) -> None:
    """Three attempts: two failures are told, and the record says how many were needed."""
    runs.flow("- {name: a, type: python, action: flaky, args: [a, 2], retry: {attempts: 3}}")

    done = runs.start()

    assert ("done", ["a", "a", "a"]) == (done.status, runs.log)
    assert ["failure 1 of a", "failure 2 of a"] == [
        message.removeprefix("ValueError: ").partition(" (")[0]
        for _, message in _retries(done.events)
    ]
    assert '"attempts":3' in runs.store.load("@latest").fact(("steps", "a"))


def test_the_last_attempt_s_failure_is_the_step_s(runs: Runs) -> None:
    """There is no attempt more than asked for."""
    runs.flow("- {name: a, type: python, action: flaky, args: [a, 2], retry: {attempts: 2}}")

    failed = runs.start()

    assert ("failed", ["a", "a"]) == (failed.status, runs.log)
    assert "failure 2 of a" in failed.error


@pytest.mark.parametrize(
    ("on", "times"),
    [("[ValueError]", 2), ("[ArithmeticError]", 1), ("[Exception]", 2), ("[timeout]", 1)],
)
def test_retry_on_names_what_is_worth_another_attempt(runs: Runs, on: str, times: int) -> None:
    """Classes of exceptions, their bases, or `timeout`."""
    runs.flow(
        f"- {{name: a, type: python, action: fail, args: [a], retry: {{attempts: 2, on: {on}}}}}"
    )

    runs.start()

    assert ["a"] * times == runs.log


def test_the_delay_grows_by_the_backoff(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """`delay * backoff ** (n - 1)` seconds."""
    waited: list[float | None] = []
    monkeypatch.setattr(
        "maverick.dsl.processes.stop_request.Stop.wait",
        lambda _self, seconds=None: waited.append(seconds),
    )
    runs.flow(
        "- {name: a, type: python, action: flaky, args: [a, 3], retry: {attempts: 4, delay: 10, "
        "backoff: 3}}"
    )

    assert "done" == runs.start().status
    assert [10, 30, 90] == waited


def test_the_fields_of_retry_may_be_expressions(runs: Runs) -> None:
    """They are fields like others."""
    runs.flow("""
    inputs: {times: {type: integer, default: 3}}
    steps:
      - {name: a, type: python, action: flaky, args: [a, 2],
         retry: {attempts: "${{ inputs.times }}"}}
    """)

    assert "done" == runs.start().status


def test_an_attempt_at_a_sub_workflow_recalls_what_the_one_before_finished(runs: Runs) -> None:
    """What had finished does not run twice, whether the run was killed or the step is tried
    again.
    """
    runs.flow("""
    - {name: before, type: python, action: do, args: [before]}
    - {name: inner, type: subworkflow, workflow: inner.yaml, retry: {attempts: 3}}
    - {name: after, type: python, action: do, args: [after]}
    """)
    runs.file(
        "inner.yaml",
        """
        version: "1.0"
        name: inner
        steps:
          - {name: x, type: python, action: do, args: [x]}
          - {name: y, type: python, action: flaky, args: [y, 2]}
        """,
    )

    assert "done" == runs.start().status
    assert ["before", "x", "y", "y", "y", "after"] == runs.log


LOOP = """
- {name: before, type: python, action: do, args: [before]}
- name: each
  type: loop
  for_each: [1, 2]
  continue_on_error: true
  steps:
    - name: inner
      type: branch
      retry: {attempts: 2}
      else: {name: one, type: python, action: ACTION, args: ["one-${{ item }}"]}
      options: []
- {name: last, type: python, action: unless, args: [last, ready]}
"""


def test_a_failure_that_is_tried_again_is_no_outcome(runs: Runs) -> None:
    """Only the last one is recorded, although the loop around takes failures as outcomes."""
    runs.flow(
        LOOP.replace("ACTION", "flaky").replace(
            "options: []", "options: [{when: 'false', step: {name: n, type: checkpoint}}]"
        )
    )
    runs.file("ready", "")

    assert "done" == runs.start().status
    assert ["one-1", "one-2"] == runs.value("steps/each")


def test_a_recorded_failure_is_not_tried_again(runs: Runs) -> None:
    """It was the outcome of all attempts."""
    runs.flow(
        LOOP.replace("ACTION", "fail").replace(
            "options: []", "options: [{when: 'false', step: {name: n, type: checkpoint}}]"
        )
    )
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert ["last"] == resumed.executed
    assert [] == _retries(resumed.events)
    assert ["before", "one-1", "one-1", "one-2", "one-2", "last", "last"] == runs.log


def test_retrying_on_a_timeout_gives_each_attempt_the_whole_time(runs: Runs) -> None:
    """A composite's timeout is that of an attempt, as a plain step's is."""
    runs.file(
        "inner.yaml",
        """
        version: "1.0"
        name: inner
        steps:
          - {name: y, type: shell, run: "test -e was || { touch was; sleep 6000; }"}
        """,
    )
    for seconds in GROWING_SECONDS:
        (runs.root / "was").unlink(missing_ok=True)
        runs.flow(f"""
        - name: inner
          type: subworkflow
          workflow: inner.yaml
          timeout: {seconds}
          retry: {{attempts: 2, on: [timeout]}}
        """)
        status = runs.start().status
        if status == "done":
            break

    assert "done" == status


def test_another_attempt_compares_what_is_not_saved_yet(runs: Runs) -> None:
    """A step made of steps that failed the same way is kept with the next save, and may be asked
    for before.
    """
    runs.file(
        "inner.yaml",
        """
        version: "1.0"
        name: inner
        steps:
          - name: odd
            type: loop
            for_each: ${{ 5 }}
            continue_on_error: true
            steps: [{name: x, type: checkpoint}]
          - {name: flaky, type: python, action: flaky, args: [flaky, 2]}
        """,
    )
    runs.flow("- {name: sub, type: subworkflow, workflow: inner.yaml, retry: {attempts: 3}}")

    assert "done" == runs.start().status
    assert "failed" == runs.status("sub.odd")
