"""Undoing what a failed run had done, back to its last checkpoints.

The rollbacks of finished steps run in reverse order, each as well as it can. A step is marked
`undoing` before its rollback starts; once that succeeded, the step and what follows it are
forgotten in one save, so that resuming does them again. After a crash between the two,
`finish_interrupted` runs the rollback again before anything else: a rollback runs at least once.
Where it fails nothing is forgotten.

A step that was recorded by an earlier execution counts, whether or not this walk came to it: a
second walk, which looks only, finds what is left.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from maverick.dsl.engine.blocks import Block, Unfinished
from maverick.dsl.engine.history import History
from maverick.dsl.expressions import resolve
from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.outcome import Undone
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.catalog.actions import Action
    from maverick.dsl.engine.history import Finished
    from maverick.dsl.engine.walk import Walk
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.journal.recorder import Recorder
    from maverick.dsl.workflow.model import Workflow
    from maverick.values import Value


def roll_back(
    walk: Walk,
    recorder: Recorder,
    history: History,
    workflow: Workflow,
    inputs: dict[str, Value],
    undone: Undone,
) -> None:
    """Undo what *walk*, whose *history* is given, and the executions before it had done, back to
    the last checkpoints.

    Raises:
        Stopped: A stop was requested. A rollback that had begun is finished by
            `finish_interrupted`.
    """
    history.add_missing(_recorded_steps(walk, workflow, inputs))
    _undo(walk, recorder, history, history.undoable(walk.recall.records.orders()), undone)


def finish_interrupted(
    walk: Walk,
    recorder: Recorder,
    workflow: Workflow,
    inputs: dict[str, Value],
    undone: Undone,
) -> None:
    """Finish the rollbacks that were under way when the run was interrupted.

    A step that has no rollback any more, or is gone, runs again as it is. Raises as `roll_back`.
    """
    marked = walk.recall.records.undoing()
    history = _recorded_steps(walk, workflow, inputs)
    steps = history.undoable_among(marked, walk.recall.records.orders())
    for path in sorted({*marked} - {finished.path for finished in steps}):
        walk.tell(
            path,
            "its rollback was interrupted, and is no part of the workflow now; the step runs again",
        )
        recorder.run_again(path)
    _undo(walk, recorder, history, steps, undone)


def _recorded_steps(walk: Walk, workflow: Workflow, inputs: dict[str, Value]) -> History:
    history = History()
    with suppress(Unfinished, StepFailed):  # As far as it was recorded.
        walk.look(history).run(workflow, inputs)
    return history


def _undo(
    walk: Walk, recorder: Recorder, history: History, finished: list[Finished], undone: Undone
) -> None:
    waiting = {step.path for step in finished}
    doomed: set[StepPath] = set()
    for step in finished:
        waiting.remove(step.path)
        recorder.mark_undoing(step.path)
        try:
            _run_rollback(walk, recorder, step)
        except StepFailed as error:
            if step.path in doomed:
                recorder.forget([step.path])
            else:
                recorder.unmark(step.path)
            text = walk.tools.scrub.text(str(error))
            walk.tell(step.path, f"rolling back failed: {text}")
            undone.errors.append(f"{step.path}: {text}")
            continue
        again = [step.path, *history.followers(step)]
        inside = {path for path in waiting if any(path.is_within(gone) for gone in again)}
        doomed |= inside  # Its rollbacks are to run yet; it is gone whatever comes of them.
        recorder.forget(again, undoing=inside)
        walk.tell(step.path, "rolled back")
        undone.steps.append(step.path)
        undone.note_forgotten(again)


def _run_rollback(walk: Walk, recorder: Recorder, finished: Finished) -> None:
    step, rollback, path = finished.step, finished.step.rollback, finished.path
    if rollback is None:
        return
    frame = finished.frame.child().with_run(
        idempotency_key=walk.recall.former_idempotency_key(path)
    )
    frame.set_step(step.name, finished.result.view())
    beside = recorder.beside(path)
    try:
        if rollback.step is not None:
            walk.beside(beside).walk_step(
                rollback.step, path.child("rollback"), Block(frame, finished.file)
            )
        else:
            _call_action(walk, beside, finished, str(rollback.action), frame)
    except Unfinished as unread:
        raise StepFailed(f"it reads {unread.path}, which has not finished") from None
    finally:
        recorder.add_costs(beside.standing.costs)


def _call_action(walk: Walk, beside: Recorder, finished: Finished, name: str, frame: Frame) -> None:
    """Call the action *name* with what it takes of the step's arguments and its output."""
    step, path = finished.step, finished.path.child("rollback")
    action = walk.tools.catalog.action(name)
    by_position, by_name = step.arguments() or (None, None)
    args = resolve.sequence(by_position, frame, "args")
    kwargs = resolve.mapping(by_name, frame, "kwargs")
    args, kwargs = _fitting(action, args, kwargs, finished.result.output, str(frame.project_root))
    environment = {
        **walk.tools.environment,
        "MAVERICK_RUN": beside.run,
        "MAVERICK_STEP": path,
        "MAVERICK_IDEMPOTENCY_KEY": beside.idempotency_key(path),
    }
    from maverick.dsl.steps.calls import call_action  # noqa: PLC0415 - few runs undo anything

    call_action(action, args, kwargs, walk.tools, environment, path=path)


def _fitting(
    action: Action, args: list[Value], kwargs: dict[str, Value], output: Value, folder: str
) -> tuple[list[Value], dict[str, Value]]:
    """Give the step's arguments, and its *output* if the action accepts one.

    Where they do not fit: those that the action has names for; else the output alone, whatever it
    is called there.
    """
    named = {
        name: value for name, value in {**kwargs, "output": output}.items() if action.accepts(name)
    }
    every = {**kwargs, "output": output} if "output" in named else kwargs
    ways: list[tuple[list[Value], dict[str, Value]]] = [(args, every), ([], named), ([output], {})]
    ways = [
        (positional, action.in_folder(positional, named_args, folder))
        for positional, named_args in ways
    ]
    return next((way for way in ways if action.takes(*way)), ways[0])
