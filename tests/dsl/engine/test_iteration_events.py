"""Who watches a run is told of each iteration: its number, how many there are, and its name."""

from __future__ import annotations

import pytest

from kit.runs import Runs

_STEP = "{name: a, type: python, action: give}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            "for_each: [{title: Phase 1}, two]",
            [("work[0]", 1, 2, "Phase 1"), ("work[1]", 2, 2, "two")],
        ),
        (
            "for_each: [{id: 7}, [no name]]\n    key: index",
            [('work["0"]', 1, 2, "7"), ('work["1"]', 2, 2, "")],
        ),
        (
            "until: index == 1\n    max_iterations: 9",
            [("work[0]", 1, None, ""), ("work[1]", 2, None, "")],
        ),
        ("max_concurrency: 2", []),
    ],
)
def test_an_iteration_tells_its_number_and_the_name_of_its_item(
    runs: Runs, fields: str, expected: list[tuple[str, int, int | None, str]]
) -> None:
    """Of `until` nobody knows how many rounds there will be; a block is no loop."""
    runs.flow(f"""
    - name: work
      type: loop
      {fields.replace(chr(10) + "    ", chr(10) + "      ")}
      steps: [{_STEP}]
    """)

    done = runs.start()

    assert "done" == done.status, done.error
    begun = [event for event in done.events if event.event == "iteration_started"]
    assert expected == [
        (event.step, *(event.data[name] for name in ("number", "count", "name"))) for event in begun
    ]
    ended = [event.step for event in done.events if event.event == "iteration_ended"]
    assert [event.step for event in begun] == ended


def test_an_iteration_that_fails_ends_too(runs: Runs) -> None:
    """Else a display would go on to show it."""
    runs.flow("""
    - name: work
      type: loop
      for_each: [1, 2]
      continue_on_error: true
      steps: [{name: a, type: python, action: fail, args: [a]}]
    """)

    done = runs.start()

    kinds = [event.event for event in done.events if event.event.startswith("iteration")]
    assert ["iteration_started", "iteration_ended"] * 2 == kinds


def test_a_step_made_of_steps_is_told_apart(runs: Runs) -> None:
    """Each attempt of a `validate` step does something itself, the step does not."""
    runs.flow("""
    - name: work
      type: loop
      for_each: [1]
      steps: [{name: check, type: validate, stages: [{name: one, run: "true"}]}]
    """)

    done = runs.start()

    assert {"work": True, "work[0].check": True, "work[0].check[0]": False} == {
        event.step: bool(event.data.get("composite"))
        for event in done.events
        if event.event == "step_started"
    }
    assert ["work[0].check[0]", "work[0].check", "work"] == [
        event.step for event in done.events if event.event == "step_done"
    ]
