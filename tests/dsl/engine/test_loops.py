"""Loops: their forms, what they give, and what becomes of failures inside."""

from __future__ import annotations

import pytest

from kit.runs import Runs
from maverick.values import Value


@pytest.mark.parametrize(
    "form", ["for_each: [a, b, c]", "for_each: inputs.names", 'for_each: "${{ inputs.names }}"']
)
def test_for_each_takes_a_list_or_an_expression(runs: Runs, form: str) -> None:
    """With or without `${{ }}`; `item` and `index` are those of the iteration."""
    runs.flow(f"""
    inputs: {{names: {{type: array, default: [a, b, c]}}}}
    steps:
      - name: each
        type: loop
        {form}
        steps:
          - {{name: one, type: python, action: give, args: ["${{{{ item }}}}${{{{ index }}}}"]}}
    """)

    assert ["a0", "b1", "c2"] == runs.start().output


def test_a_list_may_hold_templates(runs: Runs) -> None:
    """It is a field like others."""
    runs.flow("""
    inputs: {name: {type: string, default: x}}
    steps:
      - name: each
        type: loop
        for_each: ["${{ inputs.name }}", {deep: "${{ inputs.name }}!"}]
        steps:
          - {name: one, type: python, action: give, args: ["${{ item }}"]}
    """)

    assert ["x", {"deep": "x!"}] == runs.start().output


@pytest.mark.parametrize("form", ["", "max_concurrency: 3", "parallel: true", "key: item"])
def test_an_empty_list_gives_an_empty_list(runs: Runs, form: str) -> None:
    """And runs nothing."""
    runs.flow(f"""
    - name: each
      type: loop
      {form or "description: plain"}
      for_each: []
      steps:
        - {{name: one, type: python, action: do, args: [one]}}
    """)

    done = runs.start()

    assert ([], []) == (done.output, runs.log)


@pytest.mark.parametrize("given", ["'abc'", "3", "{'a':1}", "null"])
def test_what_is_no_list_is_refused(runs: Runs, given: str) -> None:
    """A text is not looped over by its letters, a mapping not by its keys; null is no empty
    list.
    """
    runs.flow(f"""
    - name: each
      type: loop
      for_each: ${{{{ {given} }}}}
      steps:
        - {{name: one, type: python, action: do, args: [one]}}
    """)

    failed = runs.start()

    assert ("failed", []) == (failed.status, runs.log)
    assert "flow.yaml:4:5: for_each has to be a list" in failed.error


def test_an_until_loop_checks_after_each_round(runs: Runs) -> None:
    """With the steps of the round in scope; the first round always runs."""
    runs.flow("""
    - name: rounds
      type: loop
      until: steps.turn.output >= 2
      steps:
        - {name: turn, type: python, action: give, args: ["${{ index }}"]}
    """)

    assert [0, 1, 2] == runs.start().output


@pytest.mark.parametrize(
    ("limit", "rounds"), [("max_iterations: 4", 4), ("description: the default", 30)]
)
def test_max_iterations_ends_an_until_loop(runs: Runs, limit: str, rounds: int) -> None:
    """With `on_exhausted: continue` that is no failure; it is told."""
    runs.flow(f"""
    - name: rounds
      type: loop
      on_exhausted: continue
      {limit}
      until: "false"
      steps:
        - {{name: turn, type: python, action: give, args: ["${{{{ index }}}}"]}}
    """)

    done = runs.start()

    assert list(range(rounds)) == done.output
    assert [
        f"until never held in {rounds} rounds; it goes on, as `on_exhausted` says"
    ] == done.notices


_EXHAUSTED = """
- name: wait
  type: loop
  until: steps.poll.output == 'ready'
  max_iterations: 3
  steps: [{name: poll, type: python, action: do, args: [poll]}]
- {name: deploy, type: python, action: do, args: [deploy]}
"""


def test_an_until_that_never_holds_fails_the_loop(runs: Runs) -> None:
    """What comes after it counted on it."""
    runs.flow(_EXHAUSTED)

    failed = runs.start()

    assert "failed" == failed.status
    assert "step wait: until never held in 3 rounds; raise `max_iterations`" in failed.error
    assert "`on_exhausted: continue`" in failed.error
    assert ["poll", "poll", "poll"] == runs.log


@pytest.mark.parametrize("rounds", [1, 2])
def test_rounds_are_counted_in_words_that_fit(runs: Runs, rounds: int) -> None:
    runs.flow(_EXHAUSTED)
    runs.edit("max_iterations: 3", f"max_iterations: {rounds}")

    assert ("in 1 round;" if rounds == 1 else "in 2 rounds;") in runs.start().error


def test_an_exhausted_loop_fails_again_on_resuming_and_runs_nothing(runs: Runs) -> None:
    """Its rounds are recalled; another attempt at it would be the same one."""
    runs.flow(_EXHAUSTED)
    runs.start()

    again = runs.resume()

    assert "until never held in 3 rounds" in again.error
    assert [] == again.executed
    assert ["wait[0].poll", "wait[1].poll", "wait[2].poll"] == again.recalled


def test_an_exhausted_loop_goes_on_with_the_next_round_once_it_may(runs: Runs) -> None:
    runs.flow(_EXHAUSTED)
    runs.start()
    runs.edit("max_iterations: 3", "max_iterations: 5")

    again = runs.resume()

    assert "until never held in 5 rounds" in again.error
    assert ["wait[3].poll", "wait[4].poll"] == again.executed


def test_an_exhausted_loop_can_be_let_go_on_afterwards(runs: Runs) -> None:
    """Nothing of it runs again."""
    runs.flow(_EXHAUSTED)
    runs.start()
    runs.edit("max_iterations: 3", "max_iterations: 3\n    on_exhausted: continue")

    again = runs.resume()

    assert "done" == again.status
    assert ["deploy"] == again.executed


def test_an_exhausted_loop_is_not_tried_again(runs: Runs) -> None:
    """All its rounds would be recalled; nor is what stands around it."""
    runs.flow(_EXHAUSTED)
    runs.edit("type: loop", "type: loop\n    retry: {attempts: 5, delay: 1d}")

    assert "until never held" in runs.start().error


def test_continue_on_error_takes_an_exhausted_loop_as_an_outcome(runs: Runs) -> None:
    runs.flow(_EXHAUSTED)
    runs.edit("type: loop", "type: loop\n    continue_on_error: true")
    runs.edit("args: [deploy]", "args: ['${{ steps.wait.output.error }}']")

    done = runs.start()

    assert "done" == done.status
    assert str(done.output).startswith("until never held in 3 rounds")


def test_a_list_that_ends_before_until_holds_exhausts_the_loop(runs: Runs) -> None:
    """Nothing was found in it; an empty one has no round, and gives an empty list."""
    runs.flow("""
    inputs: {names: {type: array}}
    steps:
      - name: search
        type: loop
        for_each: inputs.names
        until: item == 'x'
        steps: [{name: look, type: python, action: give, args: ["${{ item }}"]}]
    """)

    assert "until never held in 2 rounds" in runs.start(names=["a", "b"]).error
    assert ["a", "x"] == runs.start(names=["a", "x", "b"]).output
    assert [] == runs.start(names=[]).output


def test_for_each_of_null_says_so_and_what_to_write(runs: Runs) -> None:
    runs.flow("""
    inputs: {names: {type: array, required: false}}
    steps:
      - {name: each, type: loop, for_each: inputs.names, steps: [{name: a, type: checkpoint}]}
    """)

    assert "for_each has to be a list, not null; `default(…, [])`" in runs.start().error


def test_until_ends_a_for_each_early(runs: Runs) -> None:
    """Both may stand together."""
    runs.flow("""
    - name: rounds
      type: loop
      for_each: [a, b, c]
      until: item == 'b'
      steps:
        - {name: turn, type: python, action: give, args: ["${{ item }}"]}
    """)

    assert ["a", "b"] == runs.start().output


def test_an_iteration_gives_the_output_of_its_last_step(runs: Runs) -> None:
    """A skipped last step gives null."""
    runs.flow("""
    - name: each
      type: loop
      for_each: [1, 2]
      steps:
        - {name: one, type: python, action: give, args: [one]}
        - {name: two, type: python, action: give, args: [two], when: item == 2}
    """)

    assert [None, "two"] == runs.start().output


def test_collect_steps_gives_all_outputs_by_name(runs: Runs) -> None:
    """Of each iteration."""
    runs.flow("""
    - name: each
      type: loop
      for_each: [1, 2]
      collect: steps
      steps:
        - {name: one, type: python, action: give, args: ["${{ item }}"]}
        - {name: two, type: python, action: give, args: ["${{ steps.one.output * 10 }}"],
           when: item == 2}
    """)

    assert [{"one": 1, "two": None}, {"one": 2, "two": 20}] == runs.start().output


def test_nested_loops_reach_the_item_of_the_loop_around(runs: Runs) -> None:
    """As `parent.item`, and `parent.parent.item` beyond that."""
    runs.flow("""
    - name: outer
      type: loop
      for_each: [a, b]
      steps:
        - name: middle
          type: loop
          for_each: [1, 2]
          steps:
            - name: inner
              type: loop
              until: "true"
              steps:
                - name: x
                  type: python
                  action: give
                  args: ["${{ parent.parent.item }}${{ parent.item }}${{ index }}"]
    """)

    assert [[["a10"], ["a20"]], [["b10"], ["b20"]]] == runs.start().output


PLAIN = """
- name: both
  type: TYPE
  steps:
    - {name: one, type: python, action: do, args: [one]}
    - {name: two, type: python, action: do, args: [two]}
"""


@pytest.mark.parametrize(
    "form", ["loop", "parallel", "loop\n  parallel: true", "loop\n  max_concurrency: 1"]
)
def test_a_loop_over_nothing_runs_each_step_once(runs: Runs, form: str) -> None:
    """Its output is the list of their outputs, in the order of the file."""
    runs.flow(PLAIN.replace("TYPE", form))

    done = runs.start()

    assert ["one", "two"] == done.output
    assert {"both.one", "both.two"} == set(done.executed)


@pytest.mark.parametrize(
    ("form", "together"), [("parallel", 3), ("loop", 1), ("loop\n  max_concurrency: 2", 2)]
)
def test_as_many_steps_run_at_once_as_asked_for(runs: Runs, form: str, together: int) -> None:
    """`parallel`: all of them; `loop`: one, as in a block."""
    runs.set_actions("""
    running, most, lock, enough = 0, 0, threading.Lock(), threading.Event()

    def meet(together):
        global running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == together:
                enough.set()
        assert enough.wait(300)
        with lock:
            running -= 1
        return None

    def highest():
        return most
    """)
    runs.flow(
        f"""
    - name: several
      type: {form}
      steps:
        - {{name: a, type: python, action: meet, args: [{together}]}}
        - {{name: b, type: python, action: meet, args: [{together}]}}
        - {{name: c, type: python, action: meet, args: [{together}]}}
    - {{name: most, type: python, action: highest}}
    """.replace("\n  max", "\n      max")
    )

    assert together == runs.start().output


def test_concurrent_iterations_are_as_many_as_asked_for(runs: Runs) -> None:
    """And begin in order."""
    runs.set_actions("""
    barrier = threading.Barrier(2)

    def meet(item):
        barrier.wait(300)
        return item
    """)
    runs.flow("""
    - name: each
      type: loop
      max_concurrency: 2
      for_each: [1, 2, 3, 4]
      steps:
        - {name: a, type: python, action: meet, args: ["${{ item }}"]}
    """)

    assert [1, 2, 3, 4] == runs.start().output


FAILING = """
- name: each
  type: loop
  MARKS
  for_each: [1, 2, 3]
  steps:
    - {name: one, type: python, action: do, args: ["one-${{ item }}"]}
    - {name: bad, type: python, action: fail, args: ["bad-${{ item }}"], when: item == 2}
- {name: after, type: python, action: do, args: [after, "${{ steps.each.output }}"]}
"""


def test_a_failing_iteration_fails_the_loop(runs: Runs) -> None:
    """Those after it do not begin."""
    runs.flow(FAILING.replace("MARKS", "description: plain"))

    failed = runs.start()

    assert "failed" == failed.status
    assert "step each[1].bad: ValueError: broken" in failed.error
    assert ["one-1", "one-2", "bad-2"] == runs.log


@pytest.mark.parametrize(
    "marks", ["continue_on_error: true", "continue_on_error: true\n  parallel: true"]
)
def test_with_continue_on_error_the_other_iterations_go_on(runs: Runs, marks: str) -> None:
    """The failed entries say why, and the loop how many there were."""
    runs.flow(FAILING.replace("MARKS", marks))

    done = runs.start()

    output: Value = done.output
    assert isinstance(output, list)
    assert [None, None] == [output[0], output[2]]
    assert isinstance(output[1], dict)
    assert ["error"] == list(output[1])
    assert "ValueError: broken" in str(output[1]["error"])
    assert "done" == done.status
    assert "1 of 3 iterations failed" in " ".join(done.notices)
    assert {"one-1", "one-2", "bad-2", "one-3", "after"} == set(runs.log)


def test_a_failure_in_a_concurrent_loop_stops_new_iterations_and_lets_running_ones_end(
    runs: Runs,
) -> None:
    """Every finished step stays recorded."""
    runs.set_actions("""
    failing, begun = threading.Event(), threading.Event()

    def work(item):
        _log(f"work-{item}")
        if item == 1:
            assert begun.wait(300)
            failing.set()
            raise ValueError("broken")
        begun.set()
        assert failing.wait(300)

    def behind(item):
        import time
        until = time.monotonic() + 300
        while sum(it.name.startswith("iteration-worker") for it in threading.enumerate()) > 1:  # It ends when it fails.
            assert time.monotonic() < until
            time.sleep(0.002)
        _log(f"then-{item}")
        return item
    """)
    runs.flow("""
    - name: each
      type: loop
      max_concurrency: 2
      for_each: [1, 2, 3, 4]
      steps:
        - {name: one, type: python, action: work, args: ["${{ item }}"]}
        - {name: then, type: python, action: behind, args: ["${{ item }}"]}
    """)

    failed = runs.start()

    assert ("failed", {"work-1", "work-2", "then-2"}) == (failed.status, set(runs.log))
    assert 2 == runs.value("steps/each[1].then")


def test_two_iterations_with_one_key_are_refused(runs: Runs) -> None:
    """They would share their records."""
    runs.flow("""
    - name: each
      type: loop
      key: item.id
      for_each: [{id: 7}, {id: "7"}]
      steps:
        - {name: one, type: python, action: do, args: [one]}
    """)

    failed = runs.start()

    assert ("failed", []) == (failed.status, runs.log)
    assert "key gives '7' for the iterations 0 and 1" in failed.error


@pytest.mark.parametrize("limit", ["0", "-1", "'many'", "1.5"])
def test_a_concurrency_that_is_no_number_of_at_least_one_is_refused(runs: Runs, limit: str) -> None:
    """When it comes from an expression, too."""
    runs.flow(f"""
    - name: each
      type: loop
      max_concurrency: ${{{{ {limit} }}}}
      for_each: [1]
      steps:
        - {{name: one, type: python, action: do, args: [one]}}
    """)

    failed = runs.start()

    assert "failed" == failed.status
    assert "max_concurrency has to be" in failed.error


def test_a_label_is_data(runs: Runs) -> None:
    """A checkpoint's may hold anything, and expressions; its output says that it was saved."""
    runs.flow("""
    - name: each
      type: loop
      for_each: ["../../etc", "a b/c"]
      steps:
        - {name: one, type: python, action: do, args: [one]}
        - {name: mark, type: checkpoint, checkpoint_id: "at ${{ item }}"}
      collect: steps
    """)

    output = runs.start().output

    assert [{"saved": True, "label": f"at {name}"} for name in ("../../etc", "a b/c")] == [
        entry["mark"]
        for entry in output  # type: ignore[union-attr, call-overload, index]
    ]
    assert "at a b/c" == runs.store.resolve(f"{runs.run}@at a b/c").label


def test_a_checkpoint_s_label_is_its_name_by_default(runs: Runs) -> None:
    """So that `RUN@name` finds it."""
    runs.flow("- {name: halfway, type: checkpoint}")

    runs.start()

    assert "halfway" == runs.store.resolve(f"{runs.run}@halfway").step


_SUMS = """
- name: sums
  type: loop
  {form}
  steps:
    - {{name: add, type: python, action: give,
       args: ["${{{{ (previous.add.output or 0) + item }}}}"]}}
    - {{name: seen, type: python, action: give,
       args: [["${{{{ previous.seen.status }}}}", "${{{{ steps.add.output }}}}"]]}}
"""


@pytest.mark.parametrize("form", ["for_each: [1, 2, 3]", 'for_each: [1, 2, 3]\n  until: "false"'])
def test_a_round_sees_the_one_before(runs: Runs, form: str) -> None:
    """Under `previous`, as the steps of its own under `steps`; there is none before the first."""
    runs.flow(_SUMS.format(form=f"{form}\n  on_exhausted: continue"))

    assert [[None, 1], ["done", 3], ["done", 6]] == runs.start().output


@pytest.mark.parametrize("step", ["sums[1].add", "sums[1].seen", "sums[2].add"])
def test_a_round_sees_the_one_before_also_where_that_is_recalled(runs: Runs, step: str) -> None:
    runs.flow(_SUMS.format(form="for_each: [1, 2, 3]"))
    runs.kill_before(step)

    resumed = runs.resume()

    assert step == resumed.executed[0]
    assert [[None, 1], ["done", 3], ["done", 6]] == resumed.output


def test_what_changed_in_a_round_changes_the_key_of_the_next(runs: Runs) -> None:
    """What a step reads of the round before is an input of it like others."""
    runs.flow(_SUMS.format(form="for_each: [1, 2, 3]"))
    runs.kill_before("sums[2].seen")
    runs.edit("[1, 2, 3]", "[1, 5, 3]")

    rerun = runs.resume(policy="rerun")

    assert [[None, 1], ["done", 6], ["done", 9]] == rerun.output
    assert "sums[0].add" not in rerun.executed


def test_no_round_before_is_seen_beside_or_outside(runs: Runs) -> None:
    """The steps of a block, the iterations that are independent, and a loop inside another."""
    runs.flow("""
    - name: outer
      type: loop
      for_each: [1, 2]
      steps:
        - name: block
          type: loop
          steps:
            - {name: a, type: python, action: give, args: ["${{ previous.z.output }}"]}
        - {name: z, type: python, action: give, args: ["${{ item }}"]}
        - name: inner
          type: loop
          for_each: [x, y]
          steps:
            - {name: b, type: python, action: give,
               args: [["${{ previous.b.status }}", "${{ parent.previous.z.output }}"]]}
      collect: steps
    """)

    assert [
        {"block": [None], "z": 1, "inner": [[None, None], ["done", None]]},
        {"block": [1], "z": 2, "inner": [[None, 1], ["done", 1]]},
    ] == runs.start().output
