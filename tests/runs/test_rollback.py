"""What a failed run had done is undone, back to its last checkpoints; design, "Failures"."""

from __future__ import annotations

from pathlib import Path

from kit.rollbacks import ACTIONS, BROKEN, LOOP, done, project, undone
from kit.runs import Runs

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
