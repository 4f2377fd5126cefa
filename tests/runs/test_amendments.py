"""Resuming from a chosen step, and without a step: `--from`, `--skip`."""

from __future__ import annotations

import re

import pytest

from kit.runs import Runs
from maverick.errors import NotFound, StepsDiffer
from maverick.project import Project
from maverick.runs import preview
from maverick.runs.request import Request
from maverick.values import Value

CHAIN = """
- {name: a, type: python, action: do, args: [a]}
- {name: b, type: python, action: do, args: [b]}
- {name: c, type: python, action: do, args: [c, "${{ steps.b.output }}"]}
- {name: d, type: python, action: unless, args: [d, ready]}
"""
NESTED = """
- {name: a, type: python, action: do, args: [a]}
- name: each
  type: loop
  MARKS
  for_each: [x, y, z]
  steps:
    - {name: one, type: python, action: do, args: ["one-${{ item }}"]}
    - {name: two, type: python, action: do, args: ["two-${{ item }}"]}
- {name: last, type: python, action: unless, args: [last, ready]}
"""


def _steps(*names: str) -> list[str]:
    return [f"each[{number}].{name}" for number in range(3) for name in names]


# --- from -----------------------------------------------------------------------------------------


def test_from_runs_that_step_and_what_follows_it(runs: Runs) -> None:
    """Whatever is recorded; what stands before it is recalled."""
    runs.flow(CHAIN)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume(from_step="b")

    assert (["a"], ["b", "c", "d"], "done") == (resumed.recalled, resumed.executed, resumed.status)


def test_from_is_honoured_by_the_resumption_after_a_kill(runs: Runs) -> None:
    """At whatever point it was killed: nothing asks again, nothing recorded before is recalled."""
    runs.flow(CHAIN)
    runs.start()
    runs.resume_killed_before("b", from_step="b")
    runs.resume_killed_before("c")
    runs.file("ready", "")

    assert ["c", "d"] == runs.resume().executed


def test_from_is_honoured_at_every_point_of_a_kill(
    runs: Runs, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Once `b` began to run again, all of `b`, `c`, `d` run again before the run is done, in
    whatever execution.
    """
    number = 0
    while True:
        one = Runs(tmp_path_factory.mktemp("killed"))
        one.flow(CHAIN)
        one.start()
        one.file("ready", "")
        before = len(one.log)
        if not one.kill_at(number, resuming=True, from_step="b").killed:
            break
        begun = "b" in one.log[before:]
        resumed = one.resume()
        assert "done" == resumed.status
        if begun:
            assert {"b", "c", "d"} <= set(one.log[before:]), number
        assert "a" not in one.log[before:]
        number += 1
    assert number > 10


def test_a_step_that_fails_when_it_runs_again_still_takes_along_what_follows(runs: Runs) -> None:
    """The wish outlives the failure."""
    runs.flow(CHAIN.replace("action: do, args: [b]", "action: unless, args: [b, there]"))
    runs.file("there", "")
    runs.start()
    (runs.root / "there").unlink()
    runs.file("ready", "")

    failed = runs.resume(from_step="b")
    runs.file("there", "")

    assert ("failed", ["b"]) == (failed.status, failed.executed)
    assert ["b", "c", "d"] == runs.resume().executed


def test_a_step_that_is_interrupted_when_it_runs_again_still_takes_along_what_follows(
    runs: Runs,
) -> None:
    runs.flow(
        CHAIN.replace(
            "{name: b, type: python, action: do, args: [b]}", "{name: b, type: shell, run: 'true'}"
        )
    )
    runs.start()
    runs.file("ready", "")

    runs.resume(from_step="b", stop_at="b")

    assert ["b", "c", "d"] == runs.resume().executed


@pytest.mark.parametrize(
    ("marks", "executed"),
    [
        ("collect: last", ["each[1].two", "each[2].one", "each[2].two", "last"]),
        ("max_concurrency: 2", ["each[1].two", "last"]),
    ],
)
def test_from_a_step_of_an_iteration_goes_by_the_chain_it_stands_in(
    runs: Runs, marks: str, executed: list[str]
) -> None:
    """The iterations of a concurrent loop are blocks of their own."""
    runs.flow(NESTED.replace("MARKS", marks))
    runs.start()
    runs.file("ready", "")

    assert executed == runs.resume(from_step="each[1].two").executed


@pytest.mark.parametrize("marks", ["collect: last", "parallel: true", "key: item"])
def test_from_a_loop_runs_all_of_it_again(runs: Runs, marks: str) -> None:
    """Also one whose iterations are judged by their keys alone."""
    runs.flow(NESTED.replace("MARKS", marks))
    runs.start()
    runs.file("ready", "")

    executed = runs.resume(from_step="each").executed

    steps = (
        [f'each["{key}"].{name}' for key in "xyz" for name in ("one", "two")]
        if "key" in marks
        else []
    )
    assert sorted([*(steps or _steps("one", "two")), "last"]) == sorted(executed)


def test_from_decides_anew_inside_a_step_and_not_whether_it_runs(runs: Runs) -> None:
    """`when` said yes before, and the step is asked for; what it says inside is as much a part of
    it as its steps.
    """
    runs.flow("""
    - name: each
      type: loop
      when: not exists('made')
      for_each: glob('*.txt')
      steps:
        - {name: one, type: python, action: make, args: ["${{ item }}", made]}
    - {name: last, type: python, action: unless, args: [last, ready]}
    """)
    runs.file("one.txt", "")
    runs.start()
    runs.file("two.txt", "")
    runs.file("ready", "")

    assert ["each[0].one", "each[1].one", "last"] == runs.resume(from_step="each").executed


def test_from_a_pure_step_runs_it_and_what_reads_it(runs: Runs) -> None:
    """It stands outside the chain."""
    runs.flow(CHAIN.replace("args: [b]", "args: [b], pure: true"))
    runs.start()
    runs.file("ready", "")

    assert ["b", "d"] == runs.resume(from_step="b").executed


def test_what_a_pure_step_gives_when_it_runs_again_is_no_reason_to_refuse(runs: Runs) -> None:
    """The step behind it changed because of what was asked for, also when a kill came between the
    two.
    """
    runs.set_actions("def counted():\n    _log('b')\n    return _times('b')\n")
    runs.flow(
        CHAIN.replace("action: do, args: [b]", f"action: '{runs.module}:counted', pure: true")
    )
    runs.start()
    runs.file("ready", "")
    runs.resume_killed_before("c", from_step="b")

    assert ["c", "d"] == runs.resume().executed


def test_a_done_run_is_forked_and_stays_as_it_is(runs: Runs) -> None:
    """What is done is history."""
    runs.flow(CHAIN)
    runs.file("ready", "")
    first = runs.start().outcome

    resumed = runs.resume(from_step="c").outcome

    assert first is not None
    assert resumed is not None
    assert first.run != resumed.run
    assert first.checkpoint == runs.store.ref(first.run).checkpoint
    assert ["a", "b", "c", "d", "c", "d"] == runs.log


def test_an_older_checkpoint_is_forked_and_goes_on_from_the_step(runs: Runs) -> None:
    runs.flow(CHAIN)
    runs.file("ready", "")
    runs.start()
    first = runs.run

    resumed = runs.resume(f"{first}~1", from_step="b")

    assert ["b", "c", "d"] == resumed.executed
    assert first != runs.run


def test_the_log_of_the_ref_says_from_where(runs: Runs) -> None:
    runs.flow(CHAIN)
    runs.start()
    runs.resume(from_step="b", skip={"a": 1})

    reasons = [position.reason for position in runs.store.ref(runs.run).positions]

    assert "skipped a by hand; to run again from b" in reasons


# --- skip -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, "given", {"a": [1, 2.5]}])
def test_a_skipped_step_has_the_output_that_is_given(runs: Runs, given: Value) -> None:
    """The run goes on as if it had given that; it is skipped for ever."""
    runs.flow(
        CHAIN
        + '- {name: e, type: python, action: give, args: ["${{ [steps.d.output, steps.d.status] '
        '}}"]}\n'
    )
    runs.start()

    resumed = runs.resume(skip={"d": given})

    assert (["d"], ["e"], "done") == (resumed.skipped, resumed.executed, resumed.status)
    assert [given, "skipped"] == resumed.output
    assert ("skipped", given) == (runs.status("d"), runs.value("steps/d"))


def test_skipping_is_honoured_by_the_resumption_after_a_kill(runs: Runs) -> None:
    runs.flow(CHAIN + "- {name: e, type: python, action: do, args: [e]}\n")
    runs.start()
    runs.resume_killed_before("e", skip={"d": None})

    resumed = runs.resume()

    assert (["d"], ["e"]) == (resumed.skipped, resumed.executed)


def test_what_follows_a_finished_step_that_is_skipped_now_runs_again(runs: Runs) -> None:
    """It has another output than they were given; nothing asks again."""
    runs.flow(CHAIN)
    runs.start()
    runs.file("ready", "")

    resumed = runs.resume(skip={"b": "other"})

    assert (["b"], ["c", "d"]) == (resumed.skipped, resumed.executed)
    assert "other" == runs.value("steps/c")


def test_a_whole_loop_and_a_step_that_was_never_reached_can_be_skipped(runs: Runs) -> None:
    runs.flow(NESTED.replace("MARKS", "collect: last").replace("[x, y, z]", "steps.a.output"))

    runs.start()
    skipped = runs.resume(skip={"each": ["mine"], "last": None})

    assert (["each", "last"], "done") == (skipped.skipped, skipped.status)
    assert ["mine"] == runs.value("steps/each")


def test_one_iteration_is_skipped_and_the_others_go_on(runs: Runs) -> None:
    runs.flow("""
    - name: each
      type: loop
      for_each: [x, y, z]
      key: item
      steps:
        - {name: one, type: python, action: unless, args: ["one-${{ item }}", "${{ item }}"]}
    """)
    runs.file("x", "")
    runs.file("z", "")
    runs.start()

    resumed = runs.resume(skip={'each["y"].one': "by hand"})

    assert ["one-x", "by hand", "one-z"] == resumed.output


def test_a_skipped_step_runs_after_all_when_the_run_goes_on_from_it(runs: Runs) -> None:
    runs.flow(CHAIN)
    runs.start()
    runs.resume(skip={"b": "other"})
    runs.file("ready", "")

    assert ["b", "c", "d"] == runs.resume(from_step="b").executed
    assert "b" == runs.value("steps/c")


def test_going_on_from_the_step_that_failed_is_going_on(runs: Runs) -> None:
    """It has recorded nothing, and runs in any case; the log says so."""
    runs.flow(CHAIN)
    runs.start()
    runs.file("ready", "")

    assert ["d"] == runs.resume(from_step="d").executed
    assert "to run again from d, which had recorded nothing" in [
        it.reason for it in runs.store.ref(runs.run).positions
    ]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"from_step": "elsewhere"},
            r"there is no step elsewhere in run flow-\S+; it has a, b, c, d",
        ),
        (
            {"from_step": "each[0].one"},
            r"there is no step each\[0\].one in run flow-\S+; it has a, b, c, d",
        ),
        ({"skip": {"b?when": 1}}, r"there is no step b\?when in run"),
        ({"skip": {"": 1}}, "there is no step  in run"),
    ],
)
def test_a_step_that_is_not_there_is_refused_with_those_that_are(
    runs: Runs, options: dict[str, Value], message: str
) -> None:
    """Nothing runs, and nothing is written: exit 10."""
    runs.flow(CHAIN)
    runs.start()
    before = (runs.log, runs.store.ref(runs.run))

    with pytest.raises(NotFound, match=message) as error:
        runs.resume(**options)

    assert 10 == error.value.exit_code
    assert before == (runs.log, runs.store.ref(runs.run))


def test_a_near_name_is_suggested(runs: Runs) -> None:
    runs.flow(CHAIN.replace("name: b", "name: build").replace("steps.b", "steps.build"))
    runs.start()

    with pytest.raises(NotFound, match="did you mean `build`"):
        runs.resume(from_step="bild")


def test_what_else_changed_is_still_refused(runs: Runs) -> None:
    """Asking for one step is not asking for another."""
    runs.flow(CHAIN)
    runs.start()
    runs.edit("args: [a]", "args: [a, changed]")

    with pytest.raises(StepsDiffer, match="step a has finished, and its field `args` changed"):
        runs.resume(from_step="b")


def test_rerun_that_failed_or_was_killed_has_asked_for_what_follows(runs: Runs) -> None:
    """The wish to run a changed step again is one for what follows it; it is not to be repeated."""
    runs.flow(CHAIN)
    runs.start()
    runs.edit("action: do, args: [b]", "action: unless, args: [b, there]")
    runs.resume(policy="rerun")
    runs.file("there", "")
    runs.file("ready", "")

    assert ["b", "c", "d"] == runs.resume().executed


# --- which iterations there are -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["from", "skip"])
@pytest.mark.parametrize(
    ("marks", "path", "said"),
    [
        ("", "each[7].one", "each has each[0], each[1], each[2]; did you mean `each["),
        ("", "each[7]", "each has each[0], each[1], each[2]; did you mean"),
        ("", 'each["x"].one', "each has each[0]"),
        ("", "each[].one", "names no iteration of run .*; name one of each\\[0\\].one"),
        ("key: item", "each[0].one", 'each has each["x"], each["y"], each["z"]; did you mean'),
        ("key: item", 'each["zz"].one', 'did you mean `each["z"].one`'),
    ],
)
def test_an_iteration_that_there_is_not_is_refused(
    runs: Runs, how: str, marks: str, path: str, said: str
) -> None:
    """Nothing would run again, and nobody would know."""
    runs.flow(NESTED.replace("MARKS", marks))
    runs.start()
    options: dict[str, object] = {"from_step": path} if how == "from" else {"skip": {path: 1}}
    pattern = said if "\\" in said else re.escape(said)

    with pytest.raises(NotFound, match=pattern):
        runs.resume(**options)
    request = Request(workflow="flow.yaml", revision="@latest", **options)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match=pattern):
        preview.plan_resume(Project(runs.root, runs.environment), request, lambda _: None)


LATER = """
- {name: a, type: python, action: unless, args: [a, ready]}
- name: each
  type: loop
  for_each: LIST
  MARKS
  steps:
    - {name: one, type: python, action: do, args: ["one-${{ item }}"]}
"""


@pytest.mark.parametrize("items", ["${{ [steps.a.output, 'y'] }}", "${{ glob('[xy]') }}"])
@pytest.mark.parametrize(
    ("marks", "path", "other"),
    [("", "each[1].one", 'each["y"].one'), ("key: item", 'each["y"].one', "each[1].one")],
)
def test_a_step_of_a_loop_that_has_not_begun_can_be_skipped(
    runs: Runs, items: str, marks: str, path: str, other: str
) -> None:
    """What its list will hold is not known; how its iterations are named is."""
    runs.flow(LATER.replace("MARKS", marks).replace("LIST", f'"{items}"'))
    runs.start()

    with pytest.raises(NotFound, match="those of each are named as in each"):
        runs.resume(skip={other: 1})
    resumed = runs.resume(skip={path: 1})
    for name in ("ready", "x", "y"):
        runs.file(name, "")
    assert "failed" == resumed.status
    assert ("done", [path]) == ((done := runs.resume()).status, done.skipped)


def test_from_an_iteration_that_is_recorded_and_gone_is_refused(runs: Runs) -> None:
    """Its list is shorter by now: nothing of it would run."""
    runs.flow(NESTED.replace("MARKS", ""))
    runs.start()
    runs.edit("for_each: [x, y, z]", "for_each: [x, y]")

    with pytest.raises(NotFound, match=r"each has each\[0\], each\[1\]"):
        runs.resume(from_step="each[2].one", policy="rerun")


def test_from_a_round_or_an_attempt_goes_by_how_many_there_may_be(runs: Runs) -> None:
    """Those of an `until` loop, and of a validation."""
    runs.flow("""
    - name: poll
      type: loop
      until: index == 1
      max_iterations: 3
      steps: [{name: look, type: python, action: do, args: [look]}]
    - {name: check, type: validate, retry: 1, stages: [{name: test, run: 'true'}]}
    - {name: last, type: python, action: unless, args: [last, ready]}
    """)
    runs.start()

    for path in ("poll[3].look", "check[2]"):
        with pytest.raises(NotFound, match="there is no iteration"):
            runs.resume(from_step=path)
    assert "poll[1].look" == runs.resume(from_step="poll[1].look").executed[0]
    assert ["check[0]", "last"] == runs.resume(from_step="check[0]").executed
