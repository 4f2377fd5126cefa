"""Which finished steps of a resumed run are recalled: chains of steps, one for each block."""

from __future__ import annotations

import pytest

from kit.runs import Runs
from maverick.errors import StepsDiffer

THREE = """
- {name: a, type: shell, run: echo 1}
- {name: b, type: python, action: do, args: [b]}
- {name: c, type: python, action: unless, args: [c, ready]}
"""


def test_what_was_to_run_again_does_so_after_another_kill(runs: Runs) -> None:
    """`b` follows `a`, which ran again: that `b` was recorded before that does not make it
    finished.
    """
    runs.flow(THREE)
    runs.start()
    runs.edit("echo 1", "echo 2")
    runs.resume_killed_before("b", policy="rerun")
    runs.file("ready", "")

    resumed = runs.resume()

    assert ["b", "c"] == resumed.executed


def test_what_was_to_run_again_does_so_after_a_kill_inside_a_block(runs: Runs) -> None:
    """The same where the step that ran again stands inside a step before it."""
    runs.flow("""
    - name: inside
      type: branch
      options: [{when: "true", step: {name: a, type: shell, run: echo 1}}]
    - {name: b, type: python, action: do, args: [b]}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.edit("echo 1", "echo 2")
    runs.resume_killed_before("b", policy="rerun")
    runs.file("ready", "")

    resumed = runs.resume()

    assert ["b", "c"] == resumed.executed


# --- once a step runs, the rest of its block runs -------------------------------------------------


def test_after_a_failure_only_what_had_not_finished_runs(runs: Runs) -> None:
    """A recorded step is returned, not run."""
    runs.flow(THREE)
    failed = runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert ("failed", ["a", "b", "c"]) == (failed.status, failed.executed)
    assert (["a", "b"], ["c"], "done") == (resumed.recalled, resumed.executed, resumed.status)


def test_an_edit_of_a_finished_step_is_refused_before_anything_runs(runs: Runs) -> None:
    """Running it again may do harm; the message names the step and what changed of it."""
    runs.flow(THREE)
    runs.start()
    runs.edit("echo 1", "echo 2")
    log = runs.log

    with pytest.raises(
        StepsDiffer,
        match=r"step a has finished, and its field `run` changed .*--rerun.*--as-recorded",
    ) as error:
        runs.resume()

    assert error.value.exit_code == 12
    assert log == runs.log


def test_rerun_runs_the_changed_step_and_all_that_follows(runs: Runs) -> None:
    """As with the layers of a container image: `b` may depend on what `a` did."""
    runs.flow(THREE)
    runs.start()
    runs.edit("[b]", "[b, changed]")
    runs.file("ready", "")

    assert ["b", "c"] == runs.resume(policy="rerun").executed


def test_as_recorded_keeps_the_records(runs: Runs) -> None:
    """The edit has no effect on what had finished."""
    runs.flow(THREE)
    runs.start()
    runs.edit("[b]", "[b, changed]")
    runs.file("ready", "")

    resumed = runs.resume(policy="recorded")

    assert ["c"] == resumed.executed
    assert "b" == runs.value("steps/b")


def test_an_edit_of_what_had_not_finished_asks_nothing(runs: Runs) -> None:
    """That is what one does after a failure."""
    runs.flow(THREE)
    runs.start()
    runs.edit("action: unless, args: [c, ready]", "action: do, args: [corrected]")

    resumed = runs.resume()

    assert (["c"], "corrected") == (resumed.executed, resumed.output)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("type: shell, run", "type: shell, description: new, metadata: {x: 1}, run"),
        ("type: shell, run", "type: shell, timeout: 90s, retry: {attempts: 2}, run"),
        ("type: shell, run", "type: shell, requires: [sh], continue_on_error: true, run"),
    ],
)
def test_what_does_not_say_what_a_step_does_is_no_part_of_its_key(
    runs: Runs, old: str, new: str
) -> None:
    """A longer timeout is no reason to do it again."""
    runs.flow(THREE)
    runs.start()
    runs.edit(old, new)
    runs.file("ready", "")

    assert ["c"] == runs.resume().executed


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("echo 1", "'echo 1 '", "field `run`"),
        ("run: echo 1", "run: echo 1, shell: sh -eu", "field `shell`"),
        ("run: echo 1", "run: echo 1, env: {A: b}", "field `env`"),
        ("run: echo 1", "run: echo 1, cwd: .", "field `cwd`"),
        ("run: echo 1", "run: echo 1, parse: lines", "field `parse`"),
        ("[b]", "[b, 2]", "field `args`"),
        ("args: [b]", "kwargs: {name: b}", "fields `args` and `kwargs`"),
        ("do, args: [b]", "give, args: [b]", "field `action`"),
    ],
)
def test_each_part_that_says_what_a_step_does_is_part_of_its_key(
    runs: Runs, old: str, new: str, part: str
) -> None:
    """The message names it."""
    runs.flow(THREE)
    runs.start()
    runs.edit(old, new)

    with pytest.raises(StepsDiffer, match=f"its {part} changed"):
        runs.resume()


def test_an_action_whose_source_changed_is_another_one(runs: Runs) -> None:
    """What a step runs is part of its key."""
    runs.set_actions("def mine():\n    return 1\n")
    runs.flow("""
    - {name: a, type: python, action: mine}
    - {name: b, type: python, action: fail, args: [b]}
    """)
    runs.start()
    runs.set_actions("def mine():\n    return 2\n")

    with pytest.raises(StepsDiffer, match="step a has finished, and its field `action` changed"):
        runs.resume()


# The finished steps inside a step that stands behind a new one: the new one makes that step run,
# but not all in it.
UNMOVED = [
    """
    - {name: b, type: loop, for_each: [1, 2], steps: [
        {name: inner, type: python, action: do, args: ["${{ item }}"], pure: true}]}
    """,
    """
    - {name: b, type: loop, for_each: [1, 2], steps: [
        {name: keyed, type: loop, for_each: [3], key: item, steps: [{name: inner, type: shell, run: 'true'}]}]}
    """,
    """
    - {name: b, type: branch, options: [{when: "true", step: {name: inner, type: shell,
       run: 'true', pure: true}}]}
    """,
    """
    - {name: b, type: loop, for_each: [1], steps: [
        {name: login, type: shell, run: 'true', always_run: true}]}
    """,
    """
    - {name: b, type: subworkflow, workflow: other.yaml}
    """,
]


@pytest.mark.parametrize(
    "middle", UNMOVED, ids=["pure", "keyed", "branch", "always_run", "subworkflow"]
)
def test_a_new_step_before_what_stands_outside_the_chain_is_not_refused(
    runs: Runs, middle: str
) -> None:
    """Nothing that has finished would run again because of it, however deep it stands."""
    runs.file(
        "other.yaml",
        "version: '1.0'\nname: other\nsteps: [{name: inner, type: shell, run: 'true', pure: "
        "true}]\n",
    )
    runs.flow(
        "    - {name: a, type: python, action: do, args: [a]}"
        + middle
        + "- {name: c, type: python, action: fail, args: [c]}"
    )
    first = runs.start()
    runs.edit("- {name: b", "- {name: new, type: python, action: do, args: [new]}\n  - {name: b")

    again = runs.resume()

    assert ("failed", "failed") == (first.status, again.status)
    finished = set(first.executed) - {"c"}
    assert "new" in again.executed
    assert [] == [step for step in again.executed if step in finished and "login" not in step]


def test_a_step_put_before_finished_ones_is_refused(runs: Runs) -> None:
    """They would run again, since they stand behind it now."""
    runs.flow(THREE)
    runs.start()
    runs.edit("- {name: b", "- {name: new, type: python, action: do, args: [new]}\n  - {name: b")
    runs.file("ready", "")

    with pytest.raises(StepsDiffer, match="step b has finished, but new before it has to run"):
        runs.resume()
    assert ["new", "b", "c"] == runs.resume(policy="rerun").executed


def test_a_pure_step_put_before_finished_ones_runs_alone(runs: Runs) -> None:
    """It does not make the rest run."""
    runs.flow(THREE)
    runs.start()
    runs.edit(
        "- {name: b",
        "- {name: new, type: python, action: do, args: [new], pure: true}\n  - {name: b",
    )
    runs.file("ready", "")

    assert ["new", "c"] == runs.resume().executed


def test_an_edit_behind_a_new_pure_step_is_refused_all_the_same(runs: Runs) -> None:
    """What has to run and makes nothing else run hides nothing."""
    runs.flow(THREE)
    runs.start()
    runs.edit(
        "- {name: b",
        "- {name: new, type: python, action: do, args: [new], pure: true}\n  - {name: b",
    )
    runs.edit("[b]", "[b, changed]")

    with pytest.raises(StepsDiffer, match="step b has finished"):
        runs.resume()


def test_a_new_pure_step_inside_a_finished_one_makes_nothing_behind_it_run(runs: Runs) -> None:
    """Nothing that follows has to run."""
    runs.flow("""
    - name: inside
      type: loop
      for_each: [1, 2]
      steps:
        - {name: a, type: python, action: do, args: ["a-${{ item }}"]}
    - {name: c, type: python, action: unless, args: [c, ready]}
    - {name: d, type: python, action: do, args: [d]}
    """)
    runs.file("ready", "")
    runs.kill_before("d")
    runs.edit(
        "    - {name: a",
        "    - {name: new, type: python, action: give, pure: true}\n      - {name: a",
    )

    assert ["inside[0].new", "inside[1].new", "d"] == runs.resume().executed


def test_a_pure_step_is_not_made_to_run_by_what_stands_before_it(runs: Runs) -> None:
    """It depends on what it is given alone."""
    runs.flow(THREE.replace("args: [b]", "args: [b], pure: true"))
    runs.start()
    runs.edit("echo 1", "echo 2")
    runs.file("ready", "")

    assert ["a", "c"] == runs.resume(policy="rerun").executed


def test_an_always_run_step_runs_each_time_and_makes_nothing_else_run(runs: Runs) -> None:
    """Such as one that logs in."""
    runs.flow(THREE.replace("run: echo 1", "run: echo 1, always_run: true"))
    runs.start()
    runs.file("ready", "")

    assert ["a", "c"] == runs.resume().executed


def test_what_always_runs_and_gives_something_else_makes_those_run_that_read_it(runs: Runs) -> None:
    """Their inputs changed."""
    runs.flow("""
    - {name: a, type: shell, run: "cat number", always_run: true}
    - {name: b, type: python, action: do, args: [b, "${{ steps.a.output.value }}"]}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.file("number", "1")
    runs.start()
    runs.file("number", "2")
    runs.file("ready", "")

    assert ["a", "b", "c"] == runs.resume().executed


# --- loops ----------------------------------------------------------------------------------------

LOOP = """
inputs: {names: {type: array, default: [a, b, c]}}
steps:
  - name: each
    type: loop
    for_each: inputs.names
    steps:
      - {name: one, type: python, action: do, args: ["${{ item }}"]}
  - {name: stop, type: python, action: unless, args: [stop, ready]}
"""


def test_the_iterations_of_a_loop_are_one_chain(runs: Runs) -> None:
    """Each may depend on what those before it did."""
    runs.flow(LOOP)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume(inputs={"names": ["a", "B", "c"]}, change_inputs=True)

    assert ["each[1].one", "each[2].one", "stop"] == resumed.executed


@pytest.mark.parametrize("marks", ["key: item", "max_concurrency: 2", "parallel: true"])
def test_one_changed_item_reruns_one_iteration_of_a_keyed_or_concurrent_loop(
    runs: Runs, marks: str
) -> None:
    """Its iterations are blocks of their own."""
    runs.flow(LOOP.replace("type: loop", f"type: loop\n    {marks}"))
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume(inputs={"names": ["a", "B", "c"]}, change_inputs=True)

    assert ['each["B"].one' if "key" in marks else "each[1].one", "stop"] == resumed.executed


def test_the_iterations_of_a_keyed_loop_are_found_by_key(runs: Runs) -> None:
    """An item put at the front moves all positions and no key."""
    runs.flow(LOOP.replace("type: loop", "type: loop\n    key: item"))
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume(inputs={"names": ["z", "c", "a", "b"]}, change_inputs=True)

    assert ['each["z"].one', "stop"] == resumed.executed
    assert ["z", "c", "a", "b"] == runs.value("steps/each")


def test_a_keyed_loop_is_judged_by_key_alone_and_a_concurrent_one_is_not(runs: Runs) -> None:
    """Where a step before the loop ran, only the iterations of a keyed one stay."""
    flow = """
    - {name: before, type: shell, run: echo 1}
    - name: each
      type: loop
      MARKS
      for_each: [a, b]
      steps:
        - {name: one, type: python, action: do, args: ["${{ item }}"]}
    - {name: last, type: python, action: fail, args: [stop]}
    """
    executed = {}
    for marks in ("key: item", "parallel: true"):
        runs.flow(flow.replace("MARKS", marks))
        runs.start()
        runs.edit("echo 1", "echo 2")
        executed[marks] = set(runs.resume(policy="rerun").executed)

    assert {"before", "last"} == executed["key: item"]
    assert {"before", "each[0].one", "each[1].one", "last"} == executed["parallel: true"]


def test_two_failures_among_a_hundred_rerun_two(runs: Runs) -> None:
    """The other iterations had finished."""
    runs.set_actions("""
    def work(number):
        _log(f"work {number}")
        if number in (17, 63) and not LOG.with_name("ready").exists():
            raise ValueError(number)
        return number
    """)
    runs.flow("""
    - name: each
      type: loop
      for_each: range(100)
      max_concurrency: 8
      steps:
        - {name: work, type: python, action: work, args: ["${{ item }}"]}
    - {name: stop, type: python, action: unless, args: [stop, ready]}
    """)
    started = runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert "failed" == started.status
    again = {f"each[{number}].work" for number in range(100)} - set(started.executed) | set(
        started.failed
    )
    assert again | {"stop"} == set(resumed.executed)
    assert list(range(100)) == runs.value("steps/each")
    assert "each[17].work" in again


def test_an_iteration_that_gained_a_step_runs_it_and_what_follows(runs: Runs) -> None:
    """Of the iterations of a keyed loop, each for itself."""
    runs.flow(LOOP.replace("type: loop", "type: loop\n    key: item"))
    runs.kill_before('each["c"].one')
    runs.edit(
        "- {name: one", "- {name: new, type: python, action: give, args: [new]}\n      - {name: one"
    )

    with pytest.raises(
        StepsDiffer, match=r'step each\["a"\].one has finished, but each\["a"\].new'
    ):
        runs.resume()


# --- decisions ------------------------------------------------------------------------------------


def test_a_decision_about_files_is_recalled(runs: Runs) -> None:
    """`not exists('venv')` would turn the step that made it into a skipped one."""
    runs.flow("""
    - {name: venv, type: python, action: make, args: [venv, marker], when: not exists('marker')}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["venv"], ["c"], []) == (resumed.recalled, resumed.executed, resumed.skipped)


def test_a_decision_that_a_killed_step_acted_on_is_recalled(runs: Runs) -> None:
    """The step in flight may have changed what the decision was about; it runs again, for it was
    decided to.
    """
    runs.flow(
        "- {name: venv, type: python, action: make, args: [venv, marker], when: not "
        "exists('marker')}"
    )
    runs.kill_unrecorded("venv")
    assert (runs.root / "marker").exists()

    resumed = runs.resume()

    assert (["venv"], "marker") == (resumed.executed, resumed.output)


def test_a_skipped_step_stays_skipped_whatever_became_of_the_files(runs: Runs) -> None:
    """The other way round: what was decided holds."""
    runs.flow("""
    - {name: maybe, type: python, action: do, args: [maybe], when: exists('ready')}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["maybe"], ["c"]) == (resumed.skipped, resumed.executed)


def test_a_decision_about_inputs_is_made_anew_when_they_change(runs: Runs) -> None:
    """The values that it reads from inputs, steps and item are its key."""
    runs.flow("""
    inputs: {wanted: {type: boolean, default: false}}
    steps:
      - {name: maybe, type: python, action: do, args: [maybe], when: inputs.wanted}
      - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume(inputs={"wanted": True}, change_inputs=True)

    assert ["maybe", "c"] == resumed.executed


def test_the_list_of_a_loop_over_files_is_recalled(runs: Runs) -> None:
    """A loop that makes files would otherwise find more of them each time."""
    runs.file("in/1", "")
    runs.file("in/2", "")
    runs.flow("""
    - name: each
      type: loop
      for_each: glob('in/*')
      steps:
        - {name: copy, type: python, action: make, args: ["${{ item }}", "${{ item }}-copy"]}
    - {name: stop, type: python, action: unless, args: [stop, ready]}
    """)
    runs.start()
    runs.file("ready", "")

    assert ["stop"] == runs.resume().executed


def test_the_choice_of_a_branch_is_recalled(runs: Runs) -> None:
    """Whatever became of the files it was made by."""
    runs.flow("""
    - name: choice
      type: branch
      options:
        - {when: exists('marker'), step: {name: there, type: python, action: do, args: [there]}}
      else: {name: missing, type: python, action: make, args: [missing, marker]}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["choice.missing"], ["c"]) == (resumed.recalled, resumed.executed)


def test_an_environment_that_changed_changes_no_decision_and_no_key(runs: Runs) -> None:
    """`env` and `run` are recorded with what they gave, and never part of a key."""
    runs.flow("""
    - {name: a, type: python, action: do, args: [a, "${{ env.COLOUR }} ${{ run.attempt }}"],
       when: env.COLOUR == 'red'}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.environment["COLOUR"] = "red"
    runs.start()
    runs.environment["COLOUR"] = "blue"
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["a"], ["c"], []) == (resumed.recalled, resumed.executed, resumed.skipped)
    assert "red 1" == runs.value("steps/a")


def test_an_edited_condition_that_would_leave_out_a_finished_step_is_refused(runs: Runs) -> None:
    """Its definition changed, and what it gave would be gone."""
    runs.flow(THREE.replace("args: [b]", "args: [b], when: 1 == 1"))
    runs.start()
    runs.edit("when: 1 == 1", "when: 1 == 2")

    with pytest.raises(
        StepsDiffer, match="step b has finished, and `when` of b gives something else now"
    ):
        runs.resume()


UNTIL = """
- name: rounds
  type: loop
  max_iterations: 9
  until: steps.one.output >= 2
  steps:
    - {name: one, type: python, action: do, args: ["${{ index }}", "${{ index }}"]}
- {name: stop, type: python, action: unless, args: [stop, ready]}
"""


def test_a_condition_that_asks_for_more_rounds_runs_them(runs: Runs) -> None:
    """The rounds that there were had finished, and do not run again."""
    runs.flow(UNTIL)
    runs.kill_before("stop")
    runs.edit(">= 2", ">= 4")
    runs.file("ready", "")

    assert ["rounds[3].one", "rounds[4].one", "stop"] == runs.resume().executed


@pytest.mark.parametrize(
    ("old", "new"), [(">= 2", ">= 1"), ("max_iterations: 9", "max_iterations: 2")]
)
def test_a_condition_that_would_leave_out_finished_rounds_is_refused(
    runs: Runs, old: str, new: str
) -> None:
    """What they gave would be gone."""
    runs.flow(UNTIL)
    runs.start()
    runs.edit(old, new)

    with pytest.raises(
        StepsDiffer, match=r"step rounds\[2\].one has finished, and `until` of rounds gives"
    ):
        runs.resume()


def test_an_item_added_to_a_loop_that_had_not_finished_asks_nothing(runs: Runs) -> None:
    """No finished step would run again."""
    runs.flow(LOOP.replace("for_each: inputs.names", "for_each: [a, b, c]"))
    runs.kill_before("each[2].one")
    runs.edit("[a, b, c]", "[a, b, c, d]")
    runs.file("ready", "")

    assert ["each[2].one", "each[3].one", "stop"] == runs.resume().executed


def test_an_item_taken_from_a_loop_that_had_done_it_is_refused(runs: Runs) -> None:
    """What it gave would be gone."""
    runs.flow(LOOP.replace("for_each: inputs.names", "for_each: [a, b, c]"))
    runs.start()
    runs.edit("[a, b, c]", "[a, b]")

    with pytest.raises(StepsDiffer, match=r"step each\[2\].one has finished"):
        runs.resume()
