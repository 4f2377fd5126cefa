"""What a failed run had done is undone, back to its last checkpoints; design, "Failures"."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.runs import Runs

ACTIONS = """
def undo(name, output=None):
    _log(f"undo {name}")


def undo_output(output):
    _log(f"undo output {output}")


def undo_plainly():
    _log("undo plainly")


def undo_badly(name, output=None):
    _log(f"undo {name}")
    raise OSError(f"{name} does not come back")


def undo_if(name, output=None):
    _log(f"undo {name}")
    if not (LOG.parent / f"free-{name}").exists():
        raise OSError(f"{name} is taken")


def given(*args, output=None, **kwargs):
    _log(f"given {args} {kwargs} {output}")


def key(key):
    return _log(key)


def undo_result(result, cwd):
    _log(f"undo result {result}")


def undo_two(one, other):
    _log(f"undo {one} {other}")
"""


def done(name: str, rollback: str = "undo", rest: str = "") -> str:
    """A step that does something, and its rollback."""
    return f"{{name: {name}, type: python, action: do, args: [{name}], rollback: {rollback}{rest}}}"


BROKEN = "{name: work, type: python, action: unless, args: [work, ready]}"


def project(root: Path, *steps: str, head: str = "") -> Runs:
    """A project whose workflow has *steps*, each on a line of its own."""
    lines = "\n".join(f"  - {step}" for step in steps)
    return Runs(root, f"{head}steps:\n{lines}\n", actions=ACTIONS)


def undone(runs: Runs) -> list[str]:
    """What was undone, in order."""
    return [line.removeprefix("undo ") for line in runs.log if line.startswith("undo ")]


# --- which, and in which order --------------------------------------------------------------------


def test_the_rollbacks_of_finished_steps_run_in_reverse_order(tmp_path: Path) -> None:
    """What was done last may stand on what was done before it."""
    runs = project(
        tmp_path,
        done("a"),
        "{name: b, type: python, action: do, args: [b]}",
        done("c"),
        done("d"),
        BROKEN,
    )

    assert "failed" == runs.start().status
    assert ["a", "b", "c", "d", "work", "undo d", "undo c", "undo a"] == runs.log


def test_the_step_that_failed_is_not_rolled_back(tmp_path: Path) -> None:
    """It has not finished; whatever it leaves behind is its own."""
    runs = project(
        tmp_path,
        done("a"),
        "{name: work, type: python, action: fail, args: [work], rollback: undo}",
    )
    runs.start()

    assert ["a"] == undone(runs)


def test_a_failure_that_is_an_outcome_undoes_nothing(tmp_path: Path) -> None:
    """With `continue_on_error` the run goes on; nothing failed but the step, which has done nothing
    to be undone.
    """
    broken = (
        "{name: odd, type: python, action: fail, args: [odd], continue_on_error: true, rollback: "
        "undo}"
    )
    runs = project(tmp_path, done("a"), broken, BROKEN)

    runs.file("ready", "")
    assert "done" == runs.start().status
    assert [] == undone(runs)

    (tmp_path / "ready").unlink()
    runs.start()
    assert ["a"] == undone(runs)


def test_a_skipped_step_is_not_rolled_back(tmp_path: Path) -> None:
    """It did nothing."""
    runs = project(tmp_path, done("a", rest=", when: 1 > 2"), done("b"), BROKEN)
    runs.start()

    assert ["b"] == undone(runs)


def test_nothing_behind_the_last_checkpoint_is_undone(tmp_path: Path) -> None:
    """A checkpoint is the point that one goes back to."""
    runs = project(
        tmp_path,
        done("a"),
        "{name: one, type: checkpoint}",
        done("b"),
        "{name: two, type: checkpoint}",
    )
    runs.edit(
        "two, type: checkpoint}",
        f"two, type: checkpoint}}\n  - {done('c')}\n  - {done('d')}\n  - {BROKEN}",
    )
    runs.start()

    assert ["d", "c"] == undone(runs)


def test_a_checkpoint_that_was_not_reached_or_was_skipped_is_none(tmp_path: Path) -> None:
    """Only a finished one is a point to go back to."""
    skipped = "{name: never, type: checkpoint, when: 1 > 2}"
    runs = project(tmp_path, done("a"), skipped, BROKEN, "{name: later, type: checkpoint}")
    runs.start()

    assert ["a"] == undone(runs)


def test_steps_that_were_recalled_are_undone_too(tmp_path: Path) -> None:
    """It is the run that failed, not its last execution."""
    runs = project(tmp_path, done("a"), done("b"), done("c"), BROKEN)
    runs.kill_before("c")

    resumed = runs.resume()

    assert ["a", "b"] == resumed.recalled
    assert ["c", "b", "a"] == undone(runs)


def test_a_run_that_is_paused_or_killed_undoes_nothing(tmp_path: Path) -> None:
    """It is to go on where it stopped."""
    runs = project(tmp_path, done("a"), done("b"), BROKEN)

    assert "paused" == runs.stop_at("b").status
    assert runs.kill_before("work").killed
    assert [] == undone(runs)


def test_a_run_that_keeps_what_it_did_undoes_nothing(tmp_path: Path) -> None:
    """`on_failure: keep` says so."""
    runs = project(tmp_path, done("a"), BROKEN, head="on_failure: keep\n")
    failed = runs.start()

    assert [] == undone(runs)
    assert "rolled back" not in failed.error
    runs.file("ready", "")
    assert ["work"] == runs.resume().executed


# --- at every depth -------------------------------------------------------------------------------

LOOP = """
steps:
  - {name: before, type: python, action: do, args: [before], rollback: undo}
  - name: each
    type: loop
    for_each: [x, y]
    HOW
    steps:
      - {name: one, type: python, action: do, args: ["one-${{ item }}"], rollback: undo}
      - {name: two, type: python, action: do, args: ["two-${{ item }}"], rollback: undo}
  - {name: work, type: python, action: unless, args: [work, ready]}
"""


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


# --- what a rollback is given ---------------------------------------------------------------------


def test_an_action_gets_the_step_s_arguments_and_its_output(tmp_path: Path) -> None:
    """What was made is undone by what it was made of, and by what came of it."""
    step = (
        "{name: a, type: python, action: do, args: [a, {id: 7}], rollback: given}",
        (
            '{name: b, type: python, action: do, kwargs: {name: b, output: "${{ steps.a.output.id '
            '}}"}, rollback: given}'
        ),
    )
    runs = project(tmp_path, *step, BROKEN)
    runs.start()

    assert ["given () {'name': 'b'} 7", "given ('a', {'id': 7}) {} {'id': 7}"] == runs.log[-2:]


def test_an_action_that_accepts_no_output_gets_none(tmp_path: Path) -> None:
    """Neither do the arguments of a step that has none become anything."""
    runs = project(tmp_path, "{name: a, type: shell, run: 'true', rollback: undo_plainly}", BROKEN)
    runs.start()

    assert ["plainly"] == undone(runs)


def test_an_action_is_given_what_it_takes(tmp_path: Path) -> None:
    """One that undoes by the output alone, or by nothing, need not name the arguments of the
    step.
    """
    runs = project(
        tmp_path,
        "{name: a, type: python, action: do, args: [a, 7], rollback: undo_output}",
        "{name: b, type: python, action: do, kwargs: {name: b, output: 8}, rollback: undo_output}",
        "{name: c, type: python, action: do, kwargs: {name: c, output: 9}, rollback: undo_plainly}",
        "{name: d, type: python, action: do, kwargs: {name: d, output: 5}, rollback: undo_result}",
        BROKEN,
    )
    failed = runs.start()

    assert failed.outcome is not None
    assert () == failed.outcome.rollback_errors
    assert ["result 5", "plainly", "output 8", "output 7"] == undone(runs)


def test_an_action_of_another_step_gets_the_output_alone(tmp_path: Path) -> None:
    """A shell step has no arguments."""
    runs = project(
        tmp_path,
        "{name: a, type: shell, run: echo made, parse: lines, rollback: undo_output}",
        BROKEN,
    )
    runs.start()

    assert [
        "output {'stdout': 'made\\n', 'stderr': '', 'exit_code': 0, 'value': ['made']}"
    ] == undone(runs)


def test_a_step_as_rollback_sees_what_it_undoes_and_its_iteration(tmp_path: Path) -> None:
    """It stands where the step stood."""
    runs = Runs(
        tmp_path,
        """
        - name: each
          type: loop
          for_each: [x, y]
          steps:
            - name: make
              type: shell
              run: echo made-${{ quote(item) }}
              rollback: {type: shell, run: "echo undo ${{ item }} ${{ quote(steps.make.output.value) }} >> log"}
        - {name: work, type: python, action: unless, args: [work, ready]}
        """,
        actions=ACTIONS,
    )
    failed = runs.start()

    assert ["y made-y", "x made-x"] == undone(runs)
    assert () == failed.outcome.rollback_errors  # type: ignore[union-attr]


def test_a_rollback_knows_the_key_of_what_it_undoes_and_has_one_of_its_own(tmp_path: Path) -> None:
    """An effect that was made under a key is found under that key; undoing it is an effect, too."""
    runs = Runs(
        tmp_path,
        """
        - name: make
          type: python
          action: key
          args: ["${{ run.idempotency_key }}"]
          rollback: key
        - name: shell
          type: shell
          run: echo $MAVERICK_IDEMPOTENCY_KEY >> log
          rollback: {type: shell, run: echo $MAVERICK_IDEMPOTENCY_KEY >> log}
        - {name: work, type: python, action: unless, args: [work, ready]}
        """,
        actions=ACTIONS,
    )
    runs.start()
    made, shell, work, unshell, unmade = runs.log
    runs.resume()
    again = runs.log[5:]

    assert "work" == work
    assert made == unmade
    assert 2 == len({shell, unshell})
    assert not {made, shell, unshell} & set(again)


# --- failing rollbacks ----------------------------------------------------------------------------


def test_a_rollback_that_fails_keeps_none_of_the_others(tmp_path: Path) -> None:
    """Each is run as well as it can, and all errors are reported."""
    runs = project(tmp_path, done("a", "undo_badly"), done("b"), done("c", "undo_badly"), BROKEN)
    failed = runs.start()

    assert ["c", "b", "a"] == undone(runs)
    assert failed.outcome is not None
    first, second = failed.outcome.rollback_errors
    assert first.startswith("c: OSError: c does not come back")
    assert second.startswith("a: OSError: a does not come back")
    assert "rolled back: b; resuming runs again: b, c" in failed.error


def test_where_the_rollback_failed_nothing_is_forgotten(tmp_path: Path) -> None:
    """The step is still done."""
    runs = project(tmp_path, done("a", "undo_badly"), done("b", "undo_badly"), BROKEN)
    failed = runs.start()
    assert "rolled back" not in failed.error
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["a", "b"], ["work"]) == (resumed.recalled, resumed.executed)
    assert ["b", "a"] == undone(runs)


def test_a_rollback_that_cannot_be_called_is_an_error_like_any(tmp_path: Path) -> None:
    """Wrong arguments, a step that fails: reported, and the others run."""
    runs = project(
        tmp_path,
        done("a"),
        done("b", "undo_two"),
        "{name: c, type: shell, run: 'true', rollback: {type: shell, run: 'exit 3'}}",
        BROKEN,
    )
    failed = runs.start()

    assert failed.outcome is not None
    assert ["c", "b"] == [error.partition(":")[0] for error in failed.outcome.rollback_errors]
    assert "exit code 3" in failed.outcome.rollback_errors[0]
    assert ["a"] == undone(runs)


def test_what_a_failing_rollback_has_left_is_tried_again_by_the_next_failure(
    tmp_path: Path,
) -> None:
    """The step is still a finished one of a run that failed."""
    runs = project(tmp_path, done("a", "undo_if"), BROKEN)
    runs.start()
    runs.file("free-a", "")
    failed = runs.resume()

    assert ["a", "a"] == undone(runs)
    assert failed.outcome is not None
    assert () == failed.outcome.rollback_errors


# --- what is forgotten ----------------------------------------------------------------------------


def test_what_was_undone_is_done_again_with_what_follows(tmp_path: Path) -> None:
    """And the failure says so."""
    runs = project(
        tmp_path,
        "{name: first, type: python, action: do, args: [first]}",
        done("a"),
        "{name: b, type: python, action: do, args: [b]}",
        BROKEN,
    )
    failed = runs.start()
    runs.file("ready", "")
    resumed = runs.resume()

    assert failed.error.endswith("rolled back: a; resuming runs again: a, b")
    assert (["first"], ["a", "b", "work"]) == (resumed.recalled, resumed.executed)
    assert "done" == resumed.status


def test_it_is_forgotten_in_one_save_with_what_follows(tmp_path: Path) -> None:
    """No kill can part them."""
    runs = project(tmp_path, done("a"), "{name: b, type: python, action: do, args: [b]}", BROKEN)
    runs.start()
    store = runs.store
    saves = list(store.history(store.ref(runs.run).checkpoint))[::-1]
    records = [
        set(store.snapshot(it).names(("steps",))) if store.snapshot(it).find(("steps",)) else set()
        for it in saves
    ]

    assert [set(), {"a"}, {"a", "b"}, {"a", "b"}, set(), set()] == records
    assert ["auto"] * 5 + ["failure"] == [it.kind for it in saves]


def test_iterations_that_are_judged_by_their_key_are_not_forgotten(tmp_path: Path) -> None:
    """What stands before a keyed loop does not make it run."""
    runs = Runs(
        tmp_path,
        """
        - {name: a, type: python, action: do, args: [a], rollback: undo}
        - name: each
          type: loop
          for_each: [x, y]
          key: item
          steps:
            - {name: one, type: python, action: do, args: ["one-${{ item }}"]}
        - {name: tail, type: python, action: do, args: [tail]}
        - {name: work, type: python, action: unless, args: [work, ready]}
        """,
        actions=ACTIONS,
    )
    failed = runs.start()
    runs.file("ready", "")

    assert failed.error.endswith("resuming runs again: a, tail")
    assert ["a", "tail", "work"] == runs.resume().executed


def test_steps_inside_steps_that_run_again_are_not_listed(tmp_path: Path) -> None:
    """A loop over a thousand items is one word."""
    runs = Runs(tmp_path, LOOP.replace("HOW", "description: plain"), actions=ACTIONS)
    failed = runs.start()

    assert failed.error.endswith("resuming runs again: before, each")


# --- interrupted rollbacks ------------------------------------------------------------------------


def test_a_rollback_that_was_interrupted_is_finished_first(tmp_path: Path) -> None:
    """Nobody knows how far it came."""
    runs = project(tmp_path, done("a"), done("b"), done("c"), BROKEN)
    number = 0
    while True:
        killed = runs.kill_at(number)
        if "undo b" in runs.log:
            break
        number += 1
        (tmp_path / "log").unlink(missing_ok=True)
    assert killed.killed
    before = len(runs.log)
    runs.file("ready", "")
    resumed = runs.resume()

    assert ["undo b", "b", "c", "work"] == runs.log[before:]
    assert (["a"], "done") == (resumed.recalled, resumed.status)
    assert ["rolled back"] == resumed.notices


def test_an_interrupted_rollback_that_fails_is_reported(tmp_path: Path) -> None:
    """The step stays done, and the run goes on."""
    runs = project(tmp_path, done("a", "undo_badly"), BROKEN)
    number = 0
    while "undo a" not in runs.log:
        runs.kill_at(number)
        number += 1
    runs.file("ready", "")
    (tmp_path / "log").unlink()
    resumed = runs.resume()

    assert resumed.outcome is not None
    assert "done" == resumed.status
    assert resumed.outcome.rollback_errors[0].startswith("a: OSError")
    assert ["undo a", "work"] == runs.log


@pytest.mark.parametrize(
    "old", [", rollback: undo}", "{name: a, type: python, action: do, args: [a], rollback: undo}"]
)
def test_a_rollback_that_is_gone_since_it_was_interrupted_is_told(tmp_path: Path, old: str) -> None:
    """Half undone is not done: the step runs again."""
    runs = project(tmp_path, done("a"), "{name: b, type: python, action: do, args: [b]}", BROKEN)
    number = 0
    while "undo a" not in runs.log:
        runs.kill_at(number)
        number += 1
    runs.file("ready", "")
    (tmp_path / "log").unlink()
    runs.edit(
        old,
        "}"
        if old.startswith(",")
        else "{name: other, type: python, action: do, args: [other], pure: true}",
    )
    resumed = runs.resume(policy="rerun")

    assert "done" == resumed.status
    assert [True] == ["interrupted" in notice for notice in resumed.notices]
    assert ("a" if old.startswith(",") else "other") in runs.log
    assert "work" == runs.log[-1]


def test_a_stop_while_rolling_back_pauses_the_run(tmp_path: Path) -> None:
    """Resuming finishes the rollback that was under way, and does not leave it half done."""
    runs = project(
        tmp_path,
        done("a"),
        "{name: b, type: shell, run: 'true', rollback: {type: shell, run: 'echo undo b >> log; "
        "test -e ready'}}",
        BROKEN,
    )
    paused = runs.stop_at("b.rollback")

    assert "paused" == paused.status
    assert "step work" in paused.error
    runs.file("ready", "")
    assert "done" == runs.resume().status
    assert ["b"] == undone(runs)[:1]


EVERYWHERE = """
steps:
  - {name: kept, type: python, action: put, args: [kept], rollback: take}
  - {name: mark, type: checkpoint}
  - {name: a, type: python, action: put, args: [a], rollback: take}
  - name: each
    type: loop
    for_each: [x, y]
    rollback: take_all
    steps:
      - {name: one, type: python, action: put, args: ["one-${{ item }}"], rollback: take}
      - {name: mark, type: checkpoint, checkpoint_id: m, when: item == 'x'}
      - {name: two, type: python, action: put, args: ["two-${{ item }}"], rollback: take}
  - {name: sub, type: subworkflow, workflow: inner.yaml}
  - {name: work, type: python, action: unless, args: [work, ready]}
outputs: ["${{ steps.kept.output }}", "${{ steps.a.output }}", "${{ steps.each.output }}", "${{ steps.sub.output }}"]
"""
EFFECTS = """
def put(name):
    _log(f"+{name}")
    (LOG.parent / "effects").mkdir(exist_ok=True)
    (LOG.parent / "effects" / name).touch()
    return name


def take(name, output=None):
    _log(f"-{name}")
    (LOG.parent / "effects" / name).unlink(missing_ok=True)


def take_all(output):
    _log(f"-{output}")
"""
INNER = """
version: "1.0"
name: inner
steps:
  - {name: x, type: python, action: put, args: [x], rollback: take}
  - {name: y, type: python, action: put, args: [y]}
"""
ALL = {"kept", "a", "one-x", "two-x", "one-y", "two-y", "x", "y"}
KEPT = {"kept", "a", "one-x", "y"}
"""What stays after a failure: what is behind a checkpoint, and what has no rollback."""


def _everywhere(root: Path) -> Runs:
    runs = Runs(root, EVERYWHERE, actions=EFFECTS)
    runs.file("inner.yaml", INNER)
    return runs


def _effects(runs: Runs) -> set[str]:
    return {path.name for path in (runs.root / "effects").glob("*")}


def test_a_failing_run_that_is_killed_anywhere_ends_right(tmp_path: Path) -> None:
    """Every rollback that began is finished, at least once; the resumption redoes what was undone,
    and no more.
    """
    whole = _everywhere(tmp_path / "whole")
    failing = whole.start()
    assert "failed" == failing.status
    taken = {line for line in whole.log if line.startswith("-")}
    assert _effects(whole) == KEPT
    assert {"-two-x", "-one-y", "-two-y", "-x", "-['two-x', 'two-y']"} == taken
    points = failing.point.points
    for number in range(points.index("step_started sub"), len(points)):
        # test_kill_everywhere has what is before.
        runs = _everywhere(tmp_path / str(number))
        killed = runs.kill_at(number)
        assert killed.killed
        where = f"killed at {number}, after {killed.point.points[-3:]}"
        again = runs.resume()
        assert "failed" == again.status, where
        assert _effects(runs) == KEPT, where
        assert taken <= set(runs.log), where
        runs.file("ready", "")
        resumed = runs.resume()
        expected = ["kept", "a", ["two-x", "two-y"], "y"]
        assert ("done", expected) == (resumed.status, resumed.output), where
        assert ALL == _effects(runs), where


def test_a_resumption_that_is_killed_anywhere_ends_right(tmp_path: Path) -> None:
    """After a run failed and was rolled back, killing the resumption costs the step in flight, as
    ever.
    """
    number = 0
    while True:
        runs = _everywhere(tmp_path / str(number))
        runs.start()
        if number % 3 == 0:
            runs.file("ready", "")
        killed = runs.kill_at(number, resuming=True)
        where = f"killed at {number}, after {killed.point.points[-3:]}"
        runs.file("ready", "")
        resumed = runs.resume()
        assert ("done", ["kept", "a", ["two-x", "two-y"], "y"]) == (
            resumed.status,
            resumed.output,
        ), where
        assert ALL == _effects(runs), where
        if not killed.killed:
            return
        number += 1
