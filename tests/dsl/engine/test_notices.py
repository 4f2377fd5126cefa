"""Notices: what a person has to know of a run that is done."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kit.runs import Runs
from maverick.dsl.engine.notices import Notices

_CHECK = """
notices:
  - {when: not steps.check.output.success, message: "never passed (${{ inputs.name }})"}
  - {when: "inputs.name == 'b'", message: it is b}
inputs: {name: {type: string, default: a}}
steps:
  - {name: check, type: validate, stages: [{name: test, run: exit 3}]}
"""


def told(runs: Runs, **inputs: str) -> tuple[str, ...]:
    """The notices of a run that is done."""
    done = runs.start(**inputs)
    assert "done" == done.status, done.error
    assert done.outcome is not None
    return done.outcome.notices


def test_those_that_hold_are_the_runs_in_the_order_of_the_file(runs: Runs) -> None:
    runs.flow(_CHECK)

    assert ("never passed (a)",) == told(runs)
    assert ("never passed (b)", "it is b") == told(runs, name="b")


def test_of_many_the_run_keeps_all_and_its_ref_the_first_hundred(runs: Runs) -> None:
    """Every listing reads the ref."""
    texts = [f"notice {number} {'x' * 300}" for number in range(1200)]
    rows = "".join(f"  - {{when: true, message: {text}}}\n" for text in texts)
    runs.flow(f"notices:\n{rows}steps:\n  - {{name: one, type: shell, run: 'true'}}\n")

    assert tuple(texts) == told(runs)
    kept = runs.store.ref(runs.run).summary["notices"]
    assert [text[:199] for text in texts[:100]] == [text[:199] for text in kept[:100]]
    assert ["and 1,100 more"] == kept[100:]


def test_a_done_run_that_is_resumed_tells_them_again(runs: Runs) -> None:
    """They are recorded: nothing is evaluated anew."""
    runs.flow(_CHECK)
    runs.start()
    runs.edit("never passed", "changed since")

    again = runs.resume(runs.run)

    assert again.outcome is not None
    assert ([], ("never passed (a)",)) == (again.executed, again.outcome.notices)


def test_they_are_of_the_end_whichever_execution_it_is(runs: Runs) -> None:
    """A run that was interrupted ends as one that was not."""
    runs.flow(_CHECK + "  - {name: last, type: python, action: do, args: [last]}\n")
    runs.kill_before("last")

    resumed = runs.resume()

    assert resumed.outcome is not None
    assert ("never passed (a)",) == resumed.outcome.notices


def test_a_run_that_is_not_done_has_none(runs: Runs) -> None:
    runs.flow(_CHECK + "  - {name: last, type: python, action: fail, args: [last]}\n")

    failed = runs.start()

    assert failed.outcome is not None
    assert () == failed.outcome.notices


def test_a_fork_of_a_done_run_has_its_own(runs: Runs) -> None:
    runs.flow(_CHECK.replace("exit 3", "'test ${{ inputs.name }} = b'"))
    told(runs)

    forked = runs.resume(runs.run, inputs={"name": "b"}, change_inputs=True)

    assert forked.outcome is not None
    assert ("it is b",) == forked.outcome.notices
    tellers = runs.resume(runs.run)
    assert tellers.outcome is not None
    assert ("it is b",) == tellers.outcome.notices


def test_one_that_cannot_be_evaluated_is_told_and_fails_nothing(runs: Runs) -> None:
    """The work is done, whatever is wrong with a sentence about it."""
    runs.flow("""
    notices: [{when: "1 > 'a'", message: x}, {message: "${{ json('{') }}"}, {message: all the same}]
    steps: [{name: a, type: python, action: give, args: [1]}]
    """)

    first, second, third = told(runs)

    assert first.startswith("a notice cannot be evaluated: ")
    assert "cannot compare" in first
    assert second.startswith("a notice cannot be evaluated: ")
    assert "all the same" == third


def test_a_list_is_several_and_what_has_no_text_is_none(runs: Runs) -> None:
    runs.flow("""
    notices: [{message: "${{ steps.a.output }}"}, {message: "${{ null }}"}, {message: "${{ '' }}"}]
    steps: [{name: a, type: python, action: give, args: [[one, "", two]]}]
    """)

    assert ("one", "two") == told(runs)


def test_those_of_a_sub_workflow_come_with_its_path(runs: Runs) -> None:
    runs.file(
        "inner.yaml",
        """
        version: "1.0"
        name: inner
        inputs: {n: {type: integer}}
        notices: [{when: inputs.n > 1, message: "n is ${{ inputs.n }}"}]
        steps: [{name: a, type: python, action: give, args: [1]}]
        """,
    )
    runs.flow("""
    notices: [{message: the run's own}]
    steps:
      - name: each
        type: loop
        for_each: [1, 2, 3]
        steps:
          - {name: call, type: subworkflow, workflow: inner.yaml, inputs: {n: "${{ item }}"}}
      - name: hushed
        type: subworkflow
        workflow: inner.yaml
        inputs: {n: 4}
        notices: false
    """)

    done = runs.start()

    assert done.outcome is not None
    assert (
        "the run's own",
        "each[1].call: n is 2",
        "each[2].call: n is 3",
    ) == done.outcome.notices
    assert {"each[1].call": "n is 2", "each[2].call": "n is 3", "hushed": "n is 4"} == {
        event.step: event.message
        for event in done.events
        if event.event == "step_done" and event.message
    }


@pytest.mark.parametrize("around", ["", "notices: false"])
def test_the_engine_tells_of_loops(runs: Runs, around: str) -> None:
    runs.flow(f"""
    - name: rounds
      type: loop
      {around}
      until: "false"
      max_iterations: 3
      on_exhausted: continue
      steps: [{{name: a, type: python, action: give, args: [1]}}]
    - name: each
      type: loop
      {around}
      for_each: [1, 2]
      continue_on_error: true
      steps: [{{name: b, type: python, action: fail, args: [b]}}]
    """)

    expected = ("rounds: until never held in 3 rounds", "each: 2 of 2 iterations failed")
    assert (() if around else expected) == told(runs)


def test_of_the_rounds_of_an_until_the_last_one_counts(runs: Runs) -> None:
    """Those before it were tries."""
    runs.flow("""
    - name: rounds
      type: loop
      until: index == 2
      steps:
        - name: each
          type: loop
          for_each: [1]
          continue_on_error: true
          steps: [{name: b, type: python, action: fail, args: [b]}]
    """)

    assert ("rounds[2].each: 1 of 1 iterations failed",) == told(runs)


def test_of_the_attempts_at_a_step_the_last_one_counts(runs: Runs) -> None:
    runs.file(
        "inner.yaml",
        """
        version: "1.0"
        name: inner
        notices: [{when: run.attempt == 1, message: x}, {message: "${{ steps.a.output }}"}]
        steps:
          - {name: a, type: python, action: give, args: ["${{ run.attempt }}"], always_run: true}
        """,
    )
    runs.flow("""
    - name: outer
      type: loop
      retry: {attempts: 2}
      steps:
        - {name: call, type: subworkflow, workflow: inner.yaml}
        - {name: c, type: python, action: flaky, args: [c]}
    """)

    assert ("outer.call: x", "outer.call: 1") == told(runs)


def test_secrets_are_masked(tmp_path: Path) -> None:
    runs = Runs(tmp_path, config="secrets: [TOKEN]")
    runs.environment["TOKEN"] = "hunter2hunter2"
    runs.flow("""
    notices: [{message: "it is ${{ env.TOKEN }}"}]
    steps: [{name: a, type: python, action: give, args: [1]}]
    """)

    assert ("it is ***",) == told(runs)


def test_a_validation_that_does_not_pass_is_not_just_done(runs: Runs) -> None:
    """A line that says `done` and no more would be taken for a pass."""
    runs.flow("""
    - {name: check, type: validate, stages: [{name: lint, run: "true"}, {name: test, run: exit 3}]}
    """)

    done = runs.start()

    assert {
        "check[0]": "did not pass: test (exit 3)",
        "check": "did not pass: test (exit 3)",
    } == {event.step: event.message for event in done.events if event.event == "step_done"}


def test_a_step_that_is_skipped_says_for_what(runs: Runs) -> None:
    runs.flow("""
    - {name: a, type: python, action: give, args: [1]}
    - {name: b, type: python, action: give, args: [1], when: steps.a.output == 2}
    """)

    assert ["when: steps.a.output == 2"] == [
        event.message for event in runs.start().events if event.event == "step_skipped"
    ]


def test_those_of_iterations_that_run_at_once_are_all_told(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever thread has the first one: since 3.12 Python's `cached_property` may make two."""
    make = Notices.__init__

    def make_slowly(notices: Notices) -> None:
        time.sleep(0.1)
        make(notices)

    monkeypatch.setattr(Notices, "__init__", make_slowly)
    runs.flow(
        """
        steps:
          - name: outer
            for_each: [0, 1, 2]
            parallel: true
            steps:
              - name: inner
                for_each: [0]
                continue_on_error: true
                steps: [{name: bad, run: exit 3}]
        """
    )

    assert [f"outer[{number}].inner: 1 of 1 iterations failed" for number in range(3)] == sorted(
        told(runs)
    )
