"""Branches, sub-workflows, validation, conditions, and what a workflow requires."""

from __future__ import annotations

import pytest

from kit.runs import Runs
from maverick.errors import StepFailed, WorkflowInvalid
from maverick.values import Value


def _validation(runs: Runs, fields: str) -> dict[str, Value]:
    runs.flow(f"- {{name: check, type: validate, {fields}}}")
    done = runs.start()
    assert "done" == done.status, done.error
    assert isinstance(done.output, dict)
    return done.output


# --- when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition", ["null", "0", "''", "[]", "{}", "false", "${{ 1 > 2 }}", "${{ 0.0 }}"]
)
def test_a_false_condition_skips_the_step(runs: Runs, condition: str) -> None:
    """Truth is as in Python; the output is null, the status `skipped`."""
    runs.flow(f"""
    - {{name: a, type: python, action: do, args: [a], when: "{condition}"}}
    - {{name: b, type: python, action: give, args: ["${{{{ [steps.a.output, steps.a.status] }}}}"]}}
    """)

    done = runs.start()

    assert ([None, "skipped"], ["a"], []) == (done.output, done.skipped, runs.log)


@pytest.mark.parametrize("condition", ["1", "'x'", "[0]", "true", "not steps.z"])
def test_a_true_condition_runs_it(runs: Runs, condition: str) -> None:
    """With or without `${{ }}`."""
    runs.flow(f"""
    - {{name: z, type: python, action: give}}
    - {{name: a, type: python, action: do, args: [a], when: "{
        condition.replace("steps.z", "steps.z.output")
    }"}}
    """)

    assert "a" == runs.start().output


# --- branch ---------------------------------------------------------------------------------------

BRANCH = """
inputs: {number: {type: integer}}
steps:
  - name: choice
    type: branch
    ON_NO_MATCH
    options:
      - {when: inputs.number > 10, step: {name: large, type: python, action: do, args: [large]}}
      - {when: inputs.number > 5, step: {name: middle, type: python, action: do, args: [middle]}}
  - name: seen
    type: python
    action: give
    args: ["${{ [steps.choice.output, steps.large.output, steps.middle.output, steps.middle.status] }}"]
"""


@pytest.mark.parametrize(
    ("number", "seen"),
    [
        (20, ["large", "large", None, None]),
        (7, ["middle", None, "middle", "done"]),
        (1, [None, None, None, None]),
    ],
)
def test_the_first_option_that_holds_is_taken(runs: Runs, number: int, seen: Value) -> None:
    """Its step is also visible under its own name; none holds: null."""
    runs.flow(BRANCH.replace("ON_NO_MATCH", "description: plain"))

    assert seen == runs.start(number=number).output


def test_no_option_may_be_a_failure(runs: Runs) -> None:
    """`on_no_match: fail`."""
    runs.flow(BRANCH.replace("ON_NO_MATCH", "on_no_match: fail"))

    assert "no option of the branch holds" in runs.start(number=1).error


def test_else_is_taken_when_no_option_holds(runs: Runs) -> None:
    """And is visible under its own name, too."""
    runs.flow(
        BRANCH.replace(
            "ON_NO_MATCH", "else: {name: small, type: python, action: do, args: [small]}"
        )
    )

    assert ["small", None, None, None] == runs.start(number=1).output


def test_an_option_behind_the_first_that_holds_is_not_looked_at(runs: Runs) -> None:
    """It may not even be possible to evaluate it."""
    runs.flow("""
    - name: choice
      type: branch
      options:
        - {when: "true", step: {name: a, type: python, action: do, args: [a]}}
        - {when: "1 < 'x'", step: {name: b, type: python, action: do, args: [b]}}
    """)

    assert "a" == runs.start().output


# --- subworkflow ----------------------------------------------------------------------------------

INNER = """
version: "1.0"
name: inner
inputs: {x: {type: integer}, y: {type: string, default: why}}
steps:
  - {name: a, type: python, action: do, args: [a, "${{ inputs.x }}${{ inputs.y }}"]}
"""


def test_a_sub_workflow_gives_the_output_of_its_last_step_or_its_outputs(runs: Runs) -> None:
    """It sees its own inputs and steps alone."""
    runs.file("inner.yaml", INNER)
    runs.file(
        "outer.yaml",
        INNER.replace("inner", "outer") + 'outputs: {both: ["${{ steps.a.output }}", 2]}\n',
    )
    runs.flow("""
    - {name: a, type: python, action: give, args: [7]}
    - {name: one, type: subworkflow, workflow: inner.yaml, inputs: {x: "${{ steps.a.output }}"}}
    - {name: two, type: subworkflow, workflow: outer.yaml, inputs: {x: 1, y: z}}
    - {name: both, type: python, action: give,
       args: ["${{ [steps.one.output, steps.two.output, steps.a.output] }}"]}
    """)

    assert ["7why", {"both": ["1z", 2]}, 7] == runs.start().output


def test_a_relative_path_starts_at_the_calling_file_s_folder(runs: Runs) -> None:
    """However deep the calls go; a name is looked up in `.maverick/workflows`."""
    one_step = 'version: "1.0"\nname: {}\nsteps: [{{name: i, {}}}]\n'
    runs.file(
        "parts/middle.yaml",
        one_step.format("middle", "type: subworkflow, workflow: ./deep/in.yaml"),
    )
    runs.file("parts/deep/in.yaml", one_step.format("in", "type: subworkflow, workflow: by-name"))
    runs.file(
        ".maverick/workflows/x.yaml",
        one_step.format("by_name", "type: python, action: give, args: [found]"),
    )
    runs.flow("- {name: a, type: subworkflow, workflow: parts/middle.yaml}")

    assert "found" == runs.start().output


def test_inputs_that_do_not_fit_fail_the_step(runs: Runs) -> None:
    """When they come from expressions; others are found before the run."""
    runs.file("inner.yaml", INNER)
    runs.flow(
        "- {name: a, type: subworkflow, workflow: inner.yaml, inputs: {x: \"${{ 'text' }}\"}}"
    )

    assert "x (integer): an integer is expected, not 'text'" in runs.start().error


def test_a_sub_workflow_s_steps_stand_below_the_step_that_calls_it(runs: Runs) -> None:
    """Two calls of one workflow do not share records."""
    runs.file("inner.yaml", INNER)
    runs.flow("""
    - {name: one, type: subworkflow, workflow: inner.yaml, inputs: {x: 1}}
    - {name: two, type: subworkflow, workflow: inner.yaml, inputs: {x: 2}}
    """)

    assert ["one.a", "two.a"] == runs.start().executed


# --- validate -------------------------------------------------------------------------------------


def test_stages_run_in_order_up_to_the_first_that_fails(runs: Runs) -> None:
    """A stage that fails does not fail the step: callers look at `success`."""
    assert {
        "success": False,
        "passed": False,
        "stages": [
            {"name": "one", "success": True, "exit_code": 0, "output": "fine"},
            {"name": "two", "success": False, "exit_code": 3, "output": "out\nerr"},
        ],
        "attempts": 1,
    } == _validation(
        runs,
        "stages: [{name: one, run: echo fine}, {name: two, run: 'echo out; echo err >&2; exit "
        "3'}, {name: x, run: ls}]",
    )


@pytest.mark.parametrize("stages", ["fine", "[fine]", "\"${{ ['fine'] }}\""])
def test_stages_are_named_listed_or_an_expression(runs: Runs, stages: str) -> None:
    """Names are those of maverick.yaml."""
    runs.file(
        "maverick.yaml",
        f"actions: [{runs.module}]\nvalidation: {{stages: {{fine: 'true', broken: 'false'}}}}\n",
    )

    output = _validation(runs, f"stages: {stages}")

    assert [{"name": "fine", "success": True, "exit_code": 0, "output": ""}] == output["stages"]


def test_without_stages_all_of_the_configuration_run(runs: Runs) -> None:
    """In its order."""
    runs.file(
        "maverick.yaml",
        f"actions: [{runs.module}]\nvalidation: {{stages: {{z: 'true', a: 'true'}}}}\n",
    )

    stages = _validation(runs, "description: all")["stages"]

    assert ["z", "a"] == [stage["name"] for stage in stages]  # type: ignore[union-attr, call-overload, index]


FIXING = (
    "on_failure: {name: fix, type: python, action: make, args: [fix, marker]}, stages: [{name: s, "
    "run: test -e marker}]"
)


def test_retry_counts_how_often_again_and_on_failure_runs_before_each(runs: Runs) -> None:
    """`attempts` tells how many validations there were."""
    output = _validation(runs, f"retry: 3, {FIXING}")

    assert (True, 2, ["fix"]) == (output["success"], output["attempts"], runs.log)


def test_without_retry_on_failure_does_not_run(runs: Runs) -> None:
    """There is no attempt that it could help."""
    output = _validation(runs, FIXING)

    assert (False, 1, []) == (output["success"], output["attempts"], runs.log)


def test_on_failure_sees_what_failed(runs: Runs) -> None:
    """As `steps.NAME`."""
    runs.flow("""
    - name: check
      type: validate
      retry: 1
      stages: [{name: s, run: 'echo oh no; exit 1'}]
      on_failure: {name: fix, type: python, action: do, args: ["${{ steps.check.output.stages[-1].output }}"]}
    """)
    runs.start()

    assert ["oh no"] == runs.log


def test_a_stage_that_fails_may_fail_the_step(runs: Runs) -> None:
    """`fail: true`."""
    runs.flow(
        "- {name: check, type: validate, retry: 1, fail: true, stages: [{name: bad, run: 'false'}]}"
    )

    assert "validation failed at bad after 2 attempts: exit code 1" in runs.start().error


def test_a_validation_that_fails_is_told_with_its_reason(runs: Runs) -> None:
    """The step is done, whoever called it decides; a person who watches sees that it did not pass,
    and why.
    """
    runs.flow(
        "- {name: check, type: validate, stages: [{name: test, run: 'echo 41 is not 42; exit 3'}]}"
    )

    done = runs.start()

    assert "done" == done.status
    assert ["validation failed at test: exit code 3: 41 is not 42"] == done.notices


def test_an_attempt_that_was_validated_is_recalled(runs: Runs) -> None:
    """What failed before is not validated again."""
    runs.flow(f"""
    - {{name: check, type: validate, retry: 2, {FIXING}}}
    - {{name: c, type: python, action: unless, args: [c, ready]}}
    """)
    began = runs.start()
    runs.file("ready", "")

    resumed = runs.resume()

    assert (["check[0]", "check[0].fix", "check[1]"], ["c"]) == (resumed.recalled, resumed.executed)
    # A failed attempt is told when it was made.
    assert (1, []) == (len(began.notices), resumed.notices)


# --- requires -------------------------------------------------------------------------------------


def test_programs_that_are_not_there_are_all_named_before_the_run_starts(runs: Runs) -> None:
    """Those of steps inside loops and sub-workflows, too."""
    step = "{name: i, type: python, action: give, requires: [no_such_a]}"
    runs.file("inner.yaml", f'version: "1.0"\nname: inner\nsteps: [{step}]\n')
    runs.flow("""
    - {name: a, type: python, action: do, args: [a], requires: [sh, no_such_b]}
    - {name: inner, type: subworkflow, workflow: inner.yaml}
    """)

    with pytest.raises(StepFailed, match=r"no_such_b \(for a\)") as error:
        runs.start()

    assert "no_such_a (for i)" in str(error.value)
    assert "sh " not in str(error.value).replace("PATH", "")
    assert [] == runs.log
    assert not (runs.root / ".maverick" / "checkpoints").exists()


def test_no_stages_are_no_quiet_success(runs: Runs) -> None:
    """What was not validated passed nothing: that is said."""
    runs.flow("- {name: check, type: validate}")

    assert [
        "nothing was validated: there are no stages (validation.stages)"
    ] == runs.start().notices


def test_test_alone_is_the_name_of_a_stage(runs: Runs) -> None:
    """The program of that name fails where nothing follows it."""
    runs.flow("- {name: check, type: validate, stages: [test]}")

    with pytest.raises(WorkflowInvalid, match="unknown validation stage `test`"):
        runs.start()
