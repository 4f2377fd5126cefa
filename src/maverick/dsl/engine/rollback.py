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

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maverick.dsl.engine.blocks import Block, Unfinished
from maverick.dsl.expressions import resolve
from maverick.dsl.paths import ancestors, is_within
from maverick.dsl.workflow.model import PythonStep
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.catalog.actions import Action
    from maverick.dsl.engine.history import Finished, History
    from maverick.dsl.engine.walk import Walk
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.workflow.model import Workflow
    from maverick.values import Value


@dataclass(slots=True, eq=False)
class Undone:
    """What rolling back came to."""

    steps: list[str] = field(default_factory=list)
    """Rolled back, in this order."""
    forgotten: list[str] = field(default_factory=list)
    """They run again when the run is resumed; not those in others of them."""
    errors: list[str] = field(default_factory=list)

    def forget(self, paths: Iterable[str]) -> None:
        """Note what was forgotten."""
        every = dict.fromkeys((*self.forgotten, *paths))
        self.forgotten = [
            path for path in every if not any(around in every for around in ancestors(path))
        ]


def roll_back(walk: Walk, workflow: Workflow, inputs: dict[str, Value], undone: Undone) -> None:
    """Undo what *walk* and the executions before it had done, back to the last checkpoints.

    Raises:
        Stopped: A stop was requested. A rollback that had begun is finished by
            `finish_interrupted`.
    """
    history = walk.history
    history.add_missing(_recorded(walk, workflow, inputs))
    _undo(walk, history, history.undoable(walk.journal.records.orders()), undone)


def finish_interrupted(
    walk: Walk, workflow: Workflow, inputs: dict[str, Value], undone: Undone
) -> None:
    """Finish the rollbacks that were under way when the run was interrupted. Raises Stopped, as
    `roll_back`.

    A step that has no rollback any more, or is gone, runs again as it is.
    """
    marked = walk.journal.records.undoing()
    if not marked:
        return
    history = _recorded(walk, workflow, inputs)
    known = history.at(marked, walk.journal.records.orders())
    for path in sorted({*marked} - {each.path for each in known}):
        walk.tell(
            path,
            "its rollback was interrupted, and is no part of the workflow now; the step runs again",
        )
        walk.journal.run_again(path)
    _undo(walk, history, known, undone)


def _recorded(walk: Walk, workflow: Workflow, inputs: dict[str, Value]) -> History:
    looking = walk.look()
    with suppress(Unfinished, StepFailed):  # As far as it was recorded.
        looking.run(workflow, inputs)
    return looking.history


def _undo(walk: Walk, history: History, finished: list[Finished], undone: Undone) -> None:
    waiting = {each.path for each in finished}
    doomed: set[str] = set()
    for each in finished:
        waiting.remove(each.path)
        walk.journal.mark_undoing(each.path)
        try:
            _run(walk, each)
        except StepFailed as error:
            if each.path in doomed:
                walk.journal.forget([each.path])
            else:
                walk.journal.unmark(each.path)
            text = walk.tools.scrub.text(str(error))
            walk.tell(each.path, f"rolling back failed: {text}")
            undone.errors.append(f"{each.path}: {text}")
            continue
        again = [each.path, *history.followers(each)]
        inside = {path for path in waiting if any(is_within(path, gone) for gone in again)}
        doomed |= inside  # Its rollbacks are to run yet; it is gone whatever comes of them.
        walk.journal.forget(again, undoing=inside)
        walk.tell(each.path, "rolled back")
        undone.steps.append(each.path)
        undone.forget(again)


def _run(walk: Walk, finished: Finished) -> None:
    step, rollback, path = finished.step, finished.step.rollback, finished.path
    if rollback is None:
        return
    frame = finished.frame.child().with_run(
        idempotency_key=walk.journal.former_idempotency_key(path)
    )
    frame.set_step(step.name, finished.result.view())
    try:
        if rollback.step is not None:
            walk.unrecorded(path).step(
                rollback.step, f"{path}.rollback", Block(frame, finished.file)
            )
        else:
            _call(walk, finished, str(rollback.action), frame)
    except Unfinished as unread:
        raise StepFailed(f"it reads {unread.path}, which has not finished") from None


def _call(walk: Walk, finished: Finished, name: str, frame: Frame) -> None:
    """Call the action *name* with what it takes of the step's arguments and its output."""
    step, path = finished.step, finished.path
    action = walk.tools.catalog.action(name)
    args = resolve.sequence(step.args, frame, "args") if isinstance(step, PythonStep) else []
    kwargs = resolve.mapping(step.kwargs, frame, "kwargs") if isinstance(step, PythonStep) else {}
    args, kwargs = _taken(action, args, kwargs, finished.result.output, str(frame.project_root))
    beside = walk.journal.beside(path)
    environment = {
        **walk.tools.environment,
        "MAVERICK_RUN": beside.tip.run,
        "MAVERICK_STEP": f"{path}.rollback",
        "MAVERICK_IDEMPOTENCY_KEY": beside.idempotency_key(f"{path}.rollback"),
    }
    from maverick.dsl.steps.python import call  # noqa: PLC0415 - few runs undo anything

    call(action, args, kwargs, walk.tools, environment, path=f"{path}.rollback")


def _taken(
    action: Action, args: list[Value], kwargs: dict[str, Value], output: Value, folder: str
) -> tuple[list[Value], dict[str, Value]]:
    """The step's arguments, and its *output* if the action accepts one; where that does not fit,
    what does.

    Those of the arguments that the action has names for; else the output alone, whatever it is
    called there.
    """
    named = {
        name: value for name, value in {**kwargs, "output": output}.items() if action.accepts(name)
    }
    every = {**kwargs, "output": output} if "output" in named else kwargs
    ways: list[tuple[list[Value], dict[str, Value]]] = [(args, every), ([], named), ([output], {})]
    ways = [(some, action.in_folder(some, by_name, folder)) for some, by_name in ways]
    return next((way for way in ways if action.takes(*way)), ways[0])
