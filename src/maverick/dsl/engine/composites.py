"""The steps that are made of steps: branch, subworkflow and validate; loops stand in `loops`.

Each is walked again on every resumption; the steps inside are recalled or run like any others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.dsl.engine.blocks import Block
from maverick.dsl.engine.leaves import walk_leaf
from maverick.dsl.engine.loops import walk_loop
from maverick.dsl.expressions import evaluate, resolve
from maverick.dsl.paths import StepPath
from maverick.dsl.processes.last_words import LAST_LINES
from maverick.dsl.workflow.inputs import convert_inputs
from maverick.dsl.workflow.model import (
    BranchStep,
    LoopStep,
    Step,
    SubworkflowStep,
    ValidateStep,
)
from maverick.dsl.workflow.outcome import Result
from maverick.errors import InputInvalid, StepFailed
from maverick.visible import last_lines

if TYPE_CHECKING:
    from maverick.dsl.engine.walk import Walk
    from maverick.values import Value


_NOTHING_VALIDATED: Final = "nothing was validated: there are no stages (validation.stages)"


def walk_composite(walk: Walk, step: Step, path: StepPath, block: Block) -> Result:
    """Walk once *step*, which is made of steps."""
    match step:
        case LoopStep():
            return walk_loop(walk, step, path, block)
        case BranchStep():
            return walk_branch(walk, step, path, block)
        case SubworkflowStep():
            return walk_subworkflow(walk, step, path, block)
        case ValidateStep():
            return walk_validate(walk, step, path, block)
        case _:
            raise AssertionError(f"{step.kind} is made of no steps")


def walk_branch(walk: Walk, step: BranchStep, path: StepPath, block: Block) -> Result:
    """Walk the first option that holds. Its step is visible under its own name, too."""
    chosen = step.otherwise
    for number, option in enumerate(step.options):
        if walk.holds(path, f"options[{number}]", option.when, block):
            chosen = option.step
            break
    if chosen is None:
        if step.on_no_match == "fail":
            raise StepFailed("no option of the branch holds, and it says `on_no_match: fail`")
        return Result("done", lambda: None)
    inner = block.enter(step, path, block.frame)
    try:
        return walk.walk_step(chosen, path.child(chosen.name), inner)
    finally:
        block.leave(step, inner)


def walk_subworkflow(walk: Walk, step: SubworkflowStep, path: StepPath, block: Block) -> Result:
    """Walk another workflow, in a scope of its own."""
    workflow = walk.tools.workflow(step.workflow, block.file)
    given = resolve.mapping(step.inputs, block.frame, "inputs")
    try:
        inputs = convert_inputs(workflow, given, from_text=False)
    except InputInvalid as error:
        raise StepFailed(str(error)) from error
    frame = block.frame.within(resolve.folder(step.cwd, block.frame)).for_workflow(inputs)
    inner = block.enter(step, path, frame, file=workflow.file)
    try:
        return walk.walk_workflow(workflow, path, inner)
    finally:
        block.leave(step, inner)


def walk_validate(walk: Walk, step: ValidateStep, path: StepPath, block: Block) -> Result:
    """Run the stages; while they fail and attempts remain, walk `on_failure` and run them again.

    Attempts that came to the step's failure are recalled only where that failure is an outcome.
    """
    inner = block.enter(step, path, block.frame.child())
    planned = len(walk.plan.steps)
    try:
        result, number, ran = _validate(walk, step, path, block, inner)
        error = _failure(step, result, number, recalled=not ran)
        if error and not (ran or walk.looking or block.goes_on_after(step, error)):
            # A kill came before the failure was kept, or `fail` was added since.
            if walk.recorder is None:
                raise walk.plan.validate_again(step, path.item(0), planned)
            walk.recorder.run_again(path, failed=True)
            result, number, ran = _validate(walk, step, path, block, inner)
            error = _failure(step, result, number, recalled=False)
    finally:
        block.leave(step, inner)
    if error:
        raise error
    output = {**_fields(result.output), "attempts": number}
    remarks: tuple[str, ...] = ()
    if not output.get("stages"):
        walk.emit("notice", path, step, message=_NOTHING_VALIDATED)
        remarks = (_NOTHING_VALIDATED,)
    if not _passed(result):
        why = _describe_failure(output, number)
        walk.emit("notice", path, step, message=why, data={"repeats": "step_done"})
    walk.notices.set(path, remarks, counts=step.notices and not block.quiet)
    return Result("done", lambda: output)


class _Validated(NamedTuple):
    """What the last attempt gave, its number (from 1), and whether it ran now."""

    result: Result
    number: int
    ran: bool


def _validate(
    walk: Walk, step: ValidateStep, path: StepPath, block: Block, inner: Block
) -> _Validated:
    again = resolve.count(step.again, block.frame, "retry", minimum=0)
    walk.plan.note_iterations(path, range(again + 1))
    once = replace(step, continue_on_error=False, retry=None)
    for number in range(again + 1):
        attempt = path.item(number)
        record = walk.recall.records.get(attempt)
        result = walk_leaf(walk, once, attempt, inner)
        ran = walk.recall.records.get(attempt) is not record
        if _passed(result) or number == again:
            break
        if ran:  # An attempt that is recalled was told when it was made.
            why = _describe_failure(_fields(result.output), 1)
            walk.emit("notice", attempt, step, message=why, data={"repeats": "step_done"})
        inner.frame.set_step(step.name, result.view())
        if step.on_failure is not None:
            walk.walk_step(step.on_failure, attempt.child(step.on_failure.name), inner)
    return _Validated(result, number + 1, ran)


def _passed(result: Result) -> bool:
    return evaluate.truth(_field(result.output, "success"))


def _failure(
    step: ValidateStep, result: Result, attempts: int, *, recalled: bool
) -> StepFailed | None:
    """Give the failure of a step that says `fail`, unless its last attempt passed."""
    if not step.fail or _passed(result):
        return None
    error = StepFailed(_describe_failure(_fields(result.output), attempts))
    error.recalled = recalled
    return error


def _describe_failure(output: Mapping[str, Value], attempts: int) -> str:
    given = output.get("stages")
    stages = given if isinstance(given, list) else []
    bad = [stage for stage in stages if not _field(stage, "success")]
    names = ", ".join(str(_field(stage, "name")) for stage in bad)
    times = f" after {attempts} attempts" if attempts > 1 else ""
    ends = [end for end in map(_end, bad) if end]
    return "\n".join([f"validation failed at {names}{times}: {', '.join(map(_how, bad))}", *ends])


def _how(stage: Value) -> str:
    lines = last_lines(str(_field(stage, "output") or ""), 1)
    return ": ".join([f"exit code {_field(stage, 'exit_code')!r}", *lines])


def _end(stage: Value) -> str:
    """The end of what a stage wrote, unless `_how` has it all."""
    lines = str(_field(stage, "output") or "").split("\n")[-2 * LAST_LINES :]
    return "\n".join(f"  {line}" for line in lines).rstrip() if len(lines) > 1 else ""


def _fields(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _field(value: Value, name: str) -> Value:
    return _fields(value).get(name)
