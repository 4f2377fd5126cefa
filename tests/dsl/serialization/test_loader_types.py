"""Every type of step is read with all its fields."""

from __future__ import annotations

from maverick.dsl.expressions.expressions import Expression, SourcePlace, Template
from maverick.dsl.serialization.loader import check_workflow, parse_workflow
from maverick.dsl.steps.agent import AgentStep
from maverick.dsl.steps.checkpoint_step import CheckpointStep
from maverick.dsl.steps.generate import GenerateStep
from maverick.dsl.steps.python import PythonStep
from maverick.dsl.steps.shell import ShellStep
from maverick.dsl.workflow.model import (
    BranchStep,
    LoopStep,
    Retry,
    Rollback,
    Step,
    SubworkflowStep,
    ValidateStep,
)

HEAD = 'version: "1.0"\nname: w\nsteps:\n'


def step_of(text: str) -> Step:
    """Give the only step of a workflow whose `steps` are *text*."""
    (step,) = parse_workflow(HEAD + text, "w.yaml").steps
    return step


def test_a_python_step_is_read_with_what_every_step_has() -> None:
    step = step_of("""
  - name: plan
    type: python
    description: Make a plan
    action: tools.plan:make
    args: [1, "${{ inputs.x }}"]
    kwargs: {a: [b]}
    when: inputs.x
    requires: [git, gh]
    retry: {attempts: 3, delay: 5s, backoff: 2, on: [timeout]}
    timeout: 15m
    continue_on_error: yes
    rollback: undo
    pure: true
    always_run: off
    metadata: {progress: {stage: planning, weight: 2}}
""")

    assert isinstance(step, PythonStep)
    assert "tools.plan:make" == step.action
    assert isinstance(step.args, list)
    assert isinstance(step.args[1], Template)
    assert {"a": ["b"]} == step.kwargs
    assert isinstance(step.when, Expression)
    assert "inputs.x" == step.when.text
    assert ("git", "gh") == step.requires
    assert Retry(attempts=3, delay=5, backoff=2, on=("timeout",)) == step.retry
    assert 900 == step.timeout
    assert (True, True, False) == (step.continue_on_error, step.pure, step.always_run)
    assert Rollback(action="undo") == step.rollback
    assert {"progress": {"stage": "planning", "weight": 2}} == step.metadata
    assert SourcePlace("w.yaml", 5, 5) == step.place
    assert SourcePlace("w.yaml", 8, 13) == step.places["action"]


def test_a_shell_step_is_read() -> None:
    step = step_of(
        "  - {name: a, type: shell, run: make, shell: [sh, -e], cwd: x, env: {A: 1}, parse: "
        "lines, stdin: [1], grace: 1m}\n"
    )

    assert isinstance(step, ShellStep)
    assert ("make", ["sh", "-e"], "x", {"A": 1}, "lines", [1], 60) == (
        step.run,
        step.shell,
        step.cwd,
        step.env,
        step.parse,
        step.stdin,
        step.grace,
    )


def test_an_agent_step_is_read() -> None:
    step = step_of(
        "  - {name: a, type: agent, agent: implementer, context: {a: 1}, output_schema: {type: "
        "object}}\n"
    )

    assert isinstance(step, AgentStep)
    assert ("implementer", {"a": 1}, {"type": "object"}) == (
        step.agent,
        step.context,
        step.output_schema,
    )


def test_the_agent_may_be_an_expression() -> None:
    step = step_of("  - {name: a, type: agent, agent: '${{ inputs.fixer }}'}\n")

    assert isinstance(step, AgentStep)
    assert isinstance(step.agent, Template)


def test_a_generate_step_is_read_with_a_context_builder() -> None:
    step = step_of(
        "  - {name: a, type: generate, generator: pr_title, context: pr_title_context}\n"
    )

    assert isinstance(step, GenerateStep)
    assert ("pr_title", "pr_title_context") == (step.generator, step.context)


def test_the_retry_of_a_validate_step_is_a_number_of_its_own() -> None:
    step = step_of("""
  - name: v
    type: validate
    stages: [lint, {name: x, run: 'true', timeout: 5s}]
    retry: 2
    fail: true
    on_failure: {type: shell, run: 'true'}
""")

    assert isinstance(step, ValidateStep)
    assert ["lint", {"name": "x", "run": "true", "timeout": "5s"}] == step.stages
    assert (2, None, True) == (step.again, step.retry, step.fail)
    assert isinstance(step.on_failure, ShellStep)
    assert "on_failure" == step.on_failure.name


def test_the_retry_of_a_validate_step_may_be_an_expression() -> None:
    step = step_of("  - {name: v, type: validate, stages: all, retry: '${{ inputs.n }}'}\n")

    assert isinstance(step, ValidateStep)
    assert isinstance(step.again, Template)


def test_the_retry_of_a_validate_step_may_be_the_mapping_of_all_steps() -> None:
    step = step_of("  - {name: v, type: validate, stages: all, retry: {attempts: 2}}\n")

    assert isinstance(step, ValidateStep)
    assert (0, Retry(attempts=2)) == (step.again, step.retry)


def test_a_subworkflow_step_is_read() -> None:
    step = step_of("  - {name: s, type: subworkflow, workflow: ./other.yaml, inputs: {n: 3}}\n")

    assert isinstance(step, SubworkflowStep)
    assert ("./other.yaml", {"n": 3}) == (step.workflow, step.inputs)


def test_a_branch_is_read() -> None:
    step = step_of("""
  - name: b
    type: branch
    options:
      - {when: "${{ inputs.a }}", step: {name: x, type: shell, run: 'true'}}
      - {when: true, step: {name: x, type: shell, run: 'false'}}
    else: {name: y, type: shell, run: 'false'}
    on_no_match: fail
""")

    assert isinstance(step, BranchStep)
    assert ["inputs.a", "true"] == [option.when.text for option in step.options]
    assert ["x", "x"] == [option.step.name for option in step.options]
    assert step.otherwise is not None
    assert "y" == step.otherwise.name
    assert "fail" == step.on_no_match


def test_a_loop_is_read() -> None:
    step = step_of("""
  - name: l
    type: loop
    for_each: [1, "${{ inputs.a }}"]
    key: item
    max_concurrency: 4
    collect: steps
    steps:
      - {name: x, type: shell, run: 'true'}
""")

    assert isinstance(step, LoopStep)
    assert step.has_for_each
    assert isinstance(step.for_each, list)
    assert (4, "steps") == (step.max_concurrency, step.collect)
    assert step.key is not None
    assert "item" == step.key.text


def test_an_until_loop_is_read() -> None:
    step = step_of(
        "  - {name: l, type: loop, until: steps.x.output, max_iterations: 5, steps: [{name: x, "
        "type: shell, run: a}]}\n"
    )

    assert isinstance(step, LoopStep)
    assert step.until is not None
    assert ("steps.x.output", 5, False, 1) == (
        step.until.text,
        step.max_iterations,
        step.has_for_each,
        step.max_concurrency,
    )


def test_parallel_is_a_loop_that_runs_all_at_once() -> None:
    step = step_of("  - {name: l, type: parallel, steps: [{name: x, type: shell, run: a}]}\n")

    assert isinstance(step, LoopStep)
    assert step.max_concurrency is None


def test_a_number_limits_what_is_parallel() -> None:
    step = step_of(
        "  - {name: l, type: loop, parallel: true, max_concurrency: 2, steps: [{name: x, type: "
        "checkpoint}]}\n"
    )

    assert isinstance(step, LoopStep)
    assert 2 == step.max_concurrency


def test_a_checkpoint_is_read() -> None:
    step = step_of(
        "  - {name: c, type: checkpoint, checkpoint_id: 'phase_${{ index }}', workspace: "
        "[src/**]}\n"
    )

    assert isinstance(step, CheckpointStep)
    assert isinstance(step.checkpoint_id, Template)
    assert ("src/**",) == step.workspace


def test_a_checkpoint_says_nothing_of_the_workspace_unless_asked() -> None:
    step = step_of("  - {name: c, type: checkpoint}\n")

    assert isinstance(step, CheckpointStep)
    assert (None, None) == (step.checkpoint_id, step.workspace)


def test_a_rollback_may_be_a_step_without_a_name() -> None:
    step = step_of("  - {name: a, type: shell, run: a, rollback: {type: shell, run: b}}\n")

    assert step.rollback is not None
    assert step.rollback.step is not None
    assert "rollback" == step.rollback.step.name


def test_an_unquoted_expression_in_a_script_is_a_warning_with_its_place() -> None:
    text = (
        HEAD
        + """
  - name: a
    type: shell
    run: |
      echo ${{ quote(inputs.a) }}
      echo ${{ inputs.a }} ${{ len(inputs.a) }}
"""
    )

    checked = check_workflow(
        text.replace("steps:", "inputs: {a: {type: string}}\nsteps:"), "w.yaml"
    )

    assert () == checked.problems
    assert [(10, 16)] == [(problem.line, problem.column) for problem in checked.warnings]
