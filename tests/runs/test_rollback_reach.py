"""Which steps a rollback reaches: at every depth, and back to which checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.rollbacks import ACTIONS, BROKEN, LOOP, done, project, undone
from kit.runs import Runs

# --- at every depth -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["max_iterations: 9", "key: item"])
def test_steps_inside_loops_are_undone_iteration_by_iteration(tmp_path: Path, how: str) -> None:
    """A loop that has finished is undone by what is inside it, last iteration first."""
    runs = Runs(
        tmp_path,
        LOOP.replace("HOW", how).replace("max_iterations: 9", "description: plain"),
        actions=ACTIONS,
    )
    runs.start()

    assert ["two-y", "one-y", "two-x", "one-x", "before"] == undone(runs)


def test_of_a_concurrent_loop_what_finished_last_is_undone_first(tmp_path: Path) -> None:
    """Side by side there is no order but that of time."""
    runs = Runs(tmp_path, LOOP.replace("HOW", "parallel: true"), actions=ACTIONS)
    runs.start()
    finished = [line for line in runs.log if not line.startswith("undo") and line != "work"]

    assert {"one-x", "two-x", "one-y", "two-y", "before"} == set(undone(runs))
    assert "before" == undone(runs)[-1]
    assert undone(runs).index("two-x") < undone(runs).index("one-x")
    assert len(finished) == len(undone(runs))


def test_the_order_of_recalled_iterations_is_that_in_which_they_finished(tmp_path: Path) -> None:
    """Recalling is quick and says nothing about what stands on what."""
    runs = Runs(
        tmp_path,
        """
        - name: each
          type: loop
          for_each: [0, 1, 2]
          max_concurrency: 3
          steps:
            - {name: turn, type: python, action: turn, args: ["${{ item }}"]}
            - {name: one, type: python, action: do, args: ["one-${{ item }}"], rollback: undo}
        - {name: work, type: python, action: unless, args: [work, ready]}
        """,
        actions=ACTIONS
        + """
TURNS = [threading.Event() for _ in range(4)]
TURNS[3].set()


def turn(number):
    TURNS[number + 1].wait(300)
    TURNS[number].set()
""",
    )
    runs.kill_before("work")
    snapshot = runs.store.load(runs.run)
    facts = {
        path: json.loads(it.note)
        for path, it in snapshot.facts(("steps",)).items()
        if path.endswith("].one")
    }
    finished = sorted(facts, key=lambda path: int(facts[path]["order"]))
    runs.resume()

    assert 3 == len(finished)
    assert [f"one-{path[5]}" for path in reversed(finished)] == undone(runs)


def test_recorded_iterations_that_the_walk_did_not_come_to_are_undone_too(tmp_path: Path) -> None:
    """A concurrent loop begins no new iteration once one failed; those that finished before still
    did.
    """
    runs = Runs(
        tmp_path,
        """
        - name: each
          type: loop
          for_each: [0, 1, 2, 3]
          key: item
          steps:
            - {name: one, type: python, action: do, args: ["one-${{ item }}"], rollback: undo}
            - {name: two, type: python, action: "${{ item }}", args: [two]}
        """.replace(
            'action: "${{ item }}", args: [two]', "action: unless, args: [two, 'ready-${{ item }}']"
        ),
        actions=ACTIONS,
    )
    for number in (0, 1, 2, 3):
        runs.file(f"ready-{number}", "")
    runs.kill_after('each["3"].two')
    (tmp_path / "ready-0").unlink()
    failed = runs.resume(from_step='each["0"].two')

    assert 'each["0"].two' in failed.error
    assert ["one-3", "one-2", "one-1", "one-0"] == undone(runs)


def test_steps_of_a_finished_sub_workflow_are_undone(tmp_path: Path) -> None:
    """A sub-workflow is no border: its steps are the run's."""
    runs = project(
        tmp_path,
        done("a"),
        "{name: sub, type: subworkflow, workflow: inner.yaml}",
        done("b"),
        BROKEN,
    )
    runs.file(
        "inner.yaml",
        f"version: '1.0'\nname: inner\nsteps:\n  - {done('x')}\n  - {done('y')}\n",
    )
    runs.start()

    assert ["b", "y", "x", "a"] == undone(runs)


def test_the_chosen_step_of_a_branch_is_undone(tmp_path: Path) -> None:
    """It is a step like any."""
    runs = project(
        tmp_path,
        "{name: choice, type: branch, options: [{when: 1 < 2, step: " + done("left") + "}]}",
        BROKEN,
    )
    runs.start()

    assert ["left"] == undone(runs)


def test_a_step_made_of_steps_has_a_rollback_of_its_own(tmp_path: Path) -> None:
    """It is undone before what is inside it, and gets its own output."""
    runs = Runs(
        tmp_path,
        """
        - name: each
          type: loop
          for_each: [x, y]
          rollback: undo_output
          steps:
            - {name: one, type: python, action: do, args: ["one-${{ item }}"], rollback: undo}
        - {name: work, type: python, action: unless, args: [work, ready]}
        """,
        actions=ACTIONS,
    )
    failed = runs.start()

    assert ["output ['one-x', 'one-y']", "one-y", "one-x"] == undone(runs)
    assert () == failed.outcome.rollback_errors  # type: ignore[union-attr]
    runs.file("ready", "")
    assert ["each[0].one", "each[1].one", "work"] == runs.resume().executed


def test_another_attempt_at_what_is_around_a_step_undoes_it_once(tmp_path: Path) -> None:
    """A sub-workflow that is tried again recalls what it had finished."""
    runs = project(
        tmp_path,
        "{name: sub, type: subworkflow, workflow: inner.yaml, retry: {attempts: 3}, "
        "continue_on_error: false}",
    )
    runs.file("inner.yaml", f"version: '1.0'\nname: inner\nsteps:\n  - {done('x')}\n  - {BROKEN}\n")
    runs.start()

    assert ["x", "work", "work", "work", "undo x"] == runs.log


# --- how far a checkpoint reaches -----------------------------------------------------------------

SCOPES = """
steps:
  - {name: before, type: python, action: do, args: [before], rollback: undo}
  - name: each
    type: loop
    for_each: [x, y, z]
    HOW
    steps:
      - {name: one, type: python, action: do, args: ["one-${{ item }}"], rollback: undo}
      - {name: mark, type: checkpoint, checkpoint_id: "mark-${{ item }}", when: item == 'y'}
      - {name: two, type: python, action: do, args: ["two-${{ item }}"], rollback: undo}
  - {name: work, type: python, action: unless, args: [work, ready]}
"""


@pytest.mark.parametrize("how", ["description: a chain", "key: item", "max_concurrency: 2"])
def test_a_checkpoint_reaches_its_own_iteration_and_the_blocks_around(
    tmp_path: Path, how: str
) -> None:
    """The other iterations have nothing that one could go back to."""
    runs = Runs(tmp_path, SCOPES.replace("HOW", how), actions=ACTIONS)
    runs.start()

    assert {"two-z", "one-z", "two-y", "two-x", "one-x"} == set(undone(runs))


def test_a_checkpoint_in_a_sub_workflow_reaches_its_callers(tmp_path: Path) -> None:
    """What stands before the call, too, is behind it."""
    runs = project(
        tmp_path,
        done("a"),
        "{name: sub, type: subworkflow, workflow: inner.yaml}",
        done("b"),
        BROKEN,
    )
    runs.file(
        "inner.yaml",
        f"version: '1.0'\nname: inner\nsteps:\n  - {done('x')}\n  - {{name: m, type: "
        f"checkpoint}}\n  - {done('y')}\n",
    )
    runs.start()

    assert ["b", "y"] == undone(runs)


def test_a_checkpoint_of_one_arm_does_not_reach_the_other(tmp_path: Path) -> None:
    """The steps of a `parallel` block stand side by side."""
    runs = Runs(
        tmp_path,
        """
        - name: arms
          type: parallel
          steps:
            - {name: left, type: python, action: do, args: [left], rollback: undo}
            - name: right
              type: subworkflow
              workflow: inner.yaml
        - {name: work, type: python, action: unless, args: [work, ready]}
        """,
        actions=ACTIONS,
    )
    runs.file(
        "inner.yaml",
        f"version: '1.0'\nname: inner\nsteps:\n  - {done('x')}\n  - {{name: m, type: "
        f"checkpoint}}\n  - {done('y')}\n",
    )
    runs.start()

    assert {"left", "y"} == set(undone(runs))


def test_what_a_loop_did_is_behind_a_checkpoint_after_it(tmp_path: Path) -> None:
    """It stands before the checkpoint, as all that is inside it."""
    runs = Runs(
        tmp_path,
        LOOP.replace("HOW", "key: item").replace(
            "  - {name: work", "  - {name: m, type: checkpoint}\n  - {name: work"
        ),
        actions=ACTIONS,
    )
    runs.start()

    assert [] == undone(runs)


def test_a_checkpoint_that_was_recalled_counts(tmp_path: Path) -> None:
    """It is a point to go back to in whichever execution it was made."""
    runs = project(tmp_path, done("a"), "{name: m, type: checkpoint}", done("b"), BROKEN)
    runs.kill_before("b")
    runs.resume()

    assert ["b"] == undone(runs)


def test_a_checkpoint_that_has_to_run_again_does_not_count(tmp_path: Path) -> None:
    """A step before it ran again since; what it kept is no longer where the run stands."""
    runs = project(tmp_path, done("a"), done("b"), BROKEN, "{name: m, type: checkpoint}", done("c"))
    runs.file("ready", "")
    runs.kill_after("c")
    (tmp_path / "ready").unlink()
    runs.edit("args: [b]", "args: [b2]")
    failed = runs.resume(policy="rerun")

    assert "step work" in failed.error
    assert ["c", "b2"] == undone(runs)
