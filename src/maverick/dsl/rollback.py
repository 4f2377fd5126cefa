"""Undoing what a failed run had done, back to its last checkpoints.

The rollbacks of finished steps run in reverse order, each as well as it can. A step is marked `undoing` before its
rollback starts; once that succeeded, the step and what follows it are forgotten in one save, so that resuming does
them again. After a crash between the two, `finish_interrupted` runs the rollback again before anything else: a
rollback runs at least once. Where it fails nothing is forgotten.

A step that was recorded by an earlier execution counts, whether or not this walk came to it: a second walk, which
looks only, finds what is left.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl import fields
from maverick.dsl.blocks import Block, Unfinished, is_chained
from maverick.dsl.model import CheckpointStep, PythonStep, Step
from maverick.dsl.outcome import Result
from maverick.dsl.paths import ancestors, is_within
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.actions import Action
    from maverick.dsl.blocks import Lineage
    from maverick.dsl.model import Workflow
    from maverick.dsl.scope import Frame
    from maverick.dsl.serialization.executor import Executor
    from maverick.dsl.values import Value


class Finished(NamedTuple):
    """A step that has finished, in this walk or before."""

    path: str
    step: Step
    frame: Frame
    file: str
    lineage: Lineage
    result: Result


class History:
    """The finished steps that walks came to. Threads may share it."""

    def __init__(self) -> None:
        self._finished: dict[str, Finished] = {}
        self._added: set[str] = set()
        self._lock = threading.Lock()

    def add(self, finished: Finished) -> None:
        """Note that a step finished, or was recalled."""
        with self._lock:
            self._finished.pop(finished.path, None)  # Another attempt of what is around it came to it again.
            self._finished[finished.path] = finished

    def add_missing(self, other: History) -> None:
        """Note what *other* knows beside."""
        for path, each in other._finished.items():
            if path not in self._finished:
                self._finished[path] = each
                self._added.add(path)

    def undoable(self, orders: Mapping[str, int]) -> list[Finished]:
        """What a failure undoes, last finished first; *orders* as `Journal.orders` gives them.

        A checkpoint ends what stands before it in its iteration and in the blocks around. One that has to run again,
        since something before it ran after it, does not end that.
        """
        undoable: list[Finished] = []
        for each in self._finished.values():
            if isinstance(each.step, CheckpointStep):
                undoable = [it for it in undoable if not _ends(each, it, orders)]
            elif each.step.rollback is not None and each.result.status == "done":
                undoable.append(each)
        return self._last_first(undoable, orders)

    def at(self, paths: Iterable[str], orders: Mapping[str, int]) -> list[Finished]:
        """Those at *paths* that have a rollback, last finished first."""
        found = [self._finished[path] for path in paths if path in self._finished]
        return self._last_first([each for each in found if each.step.rollback is not None], orders)

    def followers(self, undone: Finished) -> list[str]:
        """The steps that have to run again once *undone* has: those behind it in its chain of blocks."""
        if not is_chained(undone.step):
            return []
        paths = list(self._finished)
        later = paths[paths.index(undone.path) + 1 :]
        return [path for path in later if _follows(self._finished[path].lineage, undone.lineage)]

    def _last_first(self, some: list[Finished], orders: Mapping[str, int]) -> list[Finished]:
        """*some* in reverse order. What is no part of the chain counts as finished where it stands.

        So does what is to run again, since something before it did since it finished.
        """
        places: dict[str, int] = {}
        latest = 0
        for path, each in self._finished.items():
            if is_chained(each.step):
                latest = orders.get(path) or latest
            places[path] = latest
            if path in self._added:
                before = (it for it, place in places.items() if place > latest)
                follows = [it for it in before if _follows(each.lineage, self._finished[it].lineage)]
                places[path] = max([latest, *(places[it] for it in follows)])
        stand = {path: number for number, path in enumerate(self._finished)}
        return sorted(some, key=lambda each: (places[each.path], stand[each.path]), reverse=True)


def _ends(checkpoint: Finished, earlier: Finished, orders: Mapping[str, int]) -> bool:
    if is_chained(earlier.step) and orders.get(earlier.path, 0) > orders.get(checkpoint.path, 0):
        return False
    for one, other in zip(earlier.lineage, checkpoint.lineage, strict=False):
        if one != other:
            return one.shares_block(other)
    return True


def _follows(later: Lineage, earlier: Lineage) -> bool:
    for one, other in zip(later, earlier, strict=False):
        if one != other:
            return one.chain == other.chain and one.follows
    return False


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
        self.forgotten = [path for path in every if not any(around in every for around in ancestors(path))]


def roll_back(walk: Executor, workflow: Workflow, inputs: dict[str, Value], undone: Undone) -> None:
    """Undo what *walk* and the executions before it had done, back to the last checkpoints.

    Raises:
        Stopped: A stop was requested. A rollback that had begun is finished by `finish_interrupted`.
    """
    history = walk.history
    history.add_missing(_recorded(walk, workflow, inputs))
    _undo(walk, history, history.undoable(walk.journal.records.orders()), undone)


def finish_interrupted(walk: Executor, workflow: Workflow, inputs: dict[str, Value], undone: Undone) -> None:
    """Finish the rollbacks that were under way when the run was interrupted. Raises Stopped, as `roll_back`.

    A step that has no rollback any more, or is gone, runs again as it is.
    """
    marked = walk.journal.records.undoing()
    if not marked:
        return
    history = _recorded(walk, workflow, inputs)
    known = history.at(marked, walk.journal.records.orders())
    for path in sorted({*marked} - {each.path for each in known}):
        walk.tell(path, "its rollback was interrupted, and is no part of the workflow now; the step runs again")
        walk.journal.run_again(path)
    _undo(walk, history, known, undone)


def _recorded(walk: Executor, workflow: Workflow, inputs: dict[str, Value]) -> History:
    looking = walk.look()
    with suppress(Unfinished, StepFailed):  # As far as it was recorded.
        looking.run(workflow, inputs)
    return looking.history


def _undo(walk: Executor, history: History, finished: list[Finished], undone: Undone) -> None:
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


def _run(walk: Executor, finished: Finished) -> None:
    step, rollback, path = finished.step, finished.step.rollback, finished.path
    if rollback is None:
        return
    frame = finished.frame.child().with_run(idempotency_key=walk.journal.former_idempotency_key(path))
    frame.set_step(step.name, finished.result.view())
    try:
        if rollback.step is not None:
            walk.unrecorded(path).step(rollback.step, f"{path}.rollback", Block(frame, finished.file))
        else:
            _call(walk, finished, str(rollback.action), frame)
    except Unfinished as unread:
        raise StepFailed(f"it reads {unread.path}, which has not finished") from None


def _call(walk: Executor, finished: Finished, name: str, frame: Frame) -> None:
    """Call the action *name* with what it takes of the step's arguments and its output."""
    step, path = finished.step, finished.path
    action = walk.tools.catalog.action(name)
    args = fields.sequence(step.args, frame, "args") if isinstance(step, PythonStep) else []
    kwargs = fields.mapping(step.kwargs, frame, "kwargs") if isinstance(step, PythonStep) else {}
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
    """The step's arguments, and its *output* if the action accepts one; where that does not fit, what does.

    Those of the arguments that the action has names for; else the output alone, whatever it is called there.
    """
    named = {name: value for name, value in {**kwargs, "output": output}.items() if action.accepts(name)}
    every = {**kwargs, "output": output} if "output" in named else kwargs
    ways: list[tuple[list[Value], dict[str, Value]]] = [(args, every), ([], named), ([output], {})]
    ways = [(some, action.in_folder(some, by_name, folder)) for some, by_name in ways]
    return next((way for way in ways if action.takes(*way)), ways[0])
