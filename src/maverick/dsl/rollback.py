"""Undoing what a failed run had done, back to its last checkpoints.

The rollbacks of finished steps run in reverse order, each as well as it can. A step is marked `undoing` before its
rollback starts; once that succeeded, the step and what follows it are forgotten in one save, so that resuming does
them again. After a crash between the two, `finish_interrupted` runs the rollback again before anything else: a
rollback runs at least once. Where it fails nothing is forgotten.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maverick.dsl import fields
from maverick.dsl.blocks import Block, Unfinished
from maverick.dsl.model import CheckpointStep, PythonStep, Step
from maverick.dsl.outcome import Result
from maverick.dsl.steps.python import call
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.blocks import Lineage
    from maverick.dsl.journal import Journal
    from maverick.dsl.model import Workflow
    from maverick.dsl.scope import Frame
    from maverick.dsl.serialization.executor import Executor
    from maverick.dsl.values import Value


@dataclass(frozen=True, slots=True)
class Finished:
    """A step that has finished, in this walk or before."""

    path: str
    step: Step
    frame: Frame
    file: str
    lineage: Lineage
    result: Result


class History:
    """The finished steps of a walk, in the order in which they finished, and which of them can still be undone."""

    def __init__(self) -> None:
        self._finished: list[Finished] = []
        self._undoable: list[Finished] = []

    def add(self, finished: Finished) -> None:
        """Note that a step finished. A checkpoint ends what stands before it in its iteration and the blocks around."""
        self._finished.append(finished)
        if isinstance(finished.step, CheckpointStep):
            self._undoable = [each for each in self._undoable if not _in_same_chain(each.lineage, finished.lineage)]
        elif finished.step.rollback is not None and finished.result.status == "done":
            self._undoable.append(finished)

    def undoable(self) -> list[Finished]:
        """What a failure undoes, last finished first."""
        return list(reversed(self._undoable))

    def undoing(self, journal: Journal) -> list[Finished]:
        """Those whose rollback had begun when the run was interrupted, last finished first."""
        marked = (each for each in self._finished if (record := journal.record(each.path)) and record.undoing)
        return list(marked)[::-1]

    def followers(self, undone: Finished) -> list[str]:
        """The steps that have to run again once *undone* has: those behind it in its chain of blocks."""
        place = self._finished.index(undone)
        return [
            each.path
            for each in self._finished[place + 1 :]
            if not each.step.pure and _follows(each.lineage, undone.lineage)
        ]


def _in_same_chain(earlier: Lineage, checkpoint: Lineage) -> bool:
    for one, other in zip(earlier, checkpoint, strict=False):
        if one != other:
            return one.scope is other.scope
    return True


def _follows(later: Lineage, earlier: Lineage) -> bool:
    for one, other in zip(later, earlier, strict=False):
        if one != other:
            return one.scope is other.scope or one.chain is other.chain
    return False


@dataclass(slots=True)
class Undone:
    """What rolling back came to."""

    steps: list[str] = field(default_factory=list)
    """Rolled back, in this order."""
    forgotten: list[str] = field(default_factory=list)
    """They run again when the run is resumed."""
    errors: list[str] = field(default_factory=list)


def roll_back(walk: Executor) -> Undone:
    """Undo what *walk* and the executions before it had done, back to the last checkpoints."""
    return _undo(walk, walk.history.undoable())


def finish_interrupted(walk: Executor, workflow: Workflow, inputs: dict[str, Value]) -> Undone:
    """Finish the rollbacks that were under way when the run was interrupted; *walk* is a checking one."""
    with suppress(Unfinished, StepFailed):  # As far as it was recorded.
        walk.run(workflow, inputs)
    return _undo(walk, walk.history.undoing(walk.journal))


def _undo(walk: Executor, finished: list[Finished]) -> Undone:
    undone = Undone()
    for each in finished:
        walk.journal.mark_undoing(each.path)
        try:
            _run(walk, each)
        except StepFailed as error:
            walk.journal.unmark(each.path)
            walk.tell(each.path, f"rolling back failed: {error}")
            undone.errors.append(f"{each.path}: {error}")
            continue
        again = [each.path, *walk.history.followers(each)]
        walk.journal.forget(again)
        walk.tell(each.path, "rolled back")
        undone.steps.append(each.path)
        undone.forgotten += [path for path in again if path not in undone.forgotten]
    return undone


def _run(walk: Executor, finished: Finished) -> None:
    step, rollback = finished.step, finished.step.rollback
    if rollback is None:
        return
    frame = finished.frame.child()
    frame.set_step(step.name, finished.result.view())
    if rollback.step is not None:
        walk.unrecorded().step(rollback.step, f"{finished.path}.rollback", Block(frame, finished.file))
        return
    action = walk.tools.catalog.action(str(rollback.action))
    args = fields.sequence(step.args, frame, "args") if isinstance(step, PythonStep) else []
    kwargs = fields.mapping(step.kwargs, frame, "kwargs") if isinstance(step, PythonStep) else {}
    if action.accepts("output"):
        kwargs = {**kwargs, "output": finished.result.output}
    kwargs = action.in_folder(args, kwargs, str(frame.project_root))
    call(action, args, kwargs, walk.tools, walk.tools.environment, path=finished.path)
