"""The finished steps that a walk came to, and in which order a failure undoes them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.engine.blocks import is_chained
from maverick.dsl.paths import StepPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from maverick.dsl.engine.blocks import Lineage
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.workflow.model import Step
    from maverick.dsl.workflow.outcome import Result


class Finished(NamedTuple):
    """A step that has finished, in this walk or before."""

    path: StepPath
    step: Step
    frame: Frame
    file: str
    lineage: Lineage
    result: Result


class History:
    """The finished steps that walks came to. Threads may share it."""

    def __init__(self) -> None:
        self._finished: dict[StepPath, Finished] = {}
        self._added: set[StepPath] = set()
        self._lock = threading.Lock()

    def add(
        self,
        path: StepPath,
        step: Step,
        frame: Frame,
        file: str,
        lineage: Lineage,
        result: Result,
    ) -> None:
        """Note that a step finished, or was recalled."""
        with self._lock:
            # Another attempt of what is around it may have come to it before.
            self._finished.pop(path, None)
            self._finished[path] = Finished(path, step, frame, file, lineage, result)

    def add_missing(self, other: History) -> None:
        """Note the steps of *other* that are not here."""
        for path, finished in other._finished.items():
            if path not in self._finished:
                self._finished[path] = finished
                self._added.add(path)

    def undoable(self, orders: Mapping[str, int]) -> list[Finished]:
        """Give what a failure undoes, last finished first; *orders* as `Records.orders` gives them.

        A checkpoint ends what stands before it in its iteration and in the blocks around. It does
        not if it has to run again, because something before it ran since.
        """
        undoable: list[Finished] = []
        for finished in self._finished.values():
            if finished.step.is_checkpoint:
                undoable = [earlier for earlier in undoable if not _ends(finished, earlier, orders)]
            elif finished.step.rollback is not None and finished.result.status == "done":
                undoable.append(finished)
        return self._last_first(undoable, orders)

    def undoable_among(
        self, paths: Iterable[StepPath], orders: Mapping[str, int]
    ) -> list[Finished]:
        """Give the steps at *paths* that have a rollback, last finished first."""
        every = (self._finished[path] for path in paths if path in self._finished)
        return self._last_first([one for one in every if one.step.rollback is not None], orders)

    def followers(self, undone: Finished) -> list[StepPath]:
        """Give the steps that run again once *undone* does: those after it in its chain."""
        if not is_chained(undone.step):
            return []
        paths = list(self._finished)
        later = paths[paths.index(undone.path) + 1 :]
        return [path for path in later if _follows(self._finished[path].lineage, undone.lineage)]

    def _last_first(self, steps: list[Finished], orders: Mapping[str, int]) -> list[Finished]:
        """Give *steps*, last finished first.

        A step outside the chain counts as finished where it stands in the workflow. So does one
        that is to run again, because something before it ran since it finished.
        """
        ranks: dict[StepPath, int] = {}
        latest = 0
        for path, finished in self._finished.items():
            if is_chained(finished.step):
                latest = orders.get(path) or latest
            ranks[path] = latest
            if path in self._added:
                later = (other for other, rank in ranks.items() if rank > latest)
                followed = [
                    other
                    for other in later
                    if _follows(finished.lineage, self._finished[other].lineage)
                ]
                ranks[path] = max([latest, *(ranks[other] for other in followed)])
        numbers = {path: number for number, path in enumerate(self._finished)}
        return sorted(steps, key=lambda step: (ranks[step.path], numbers[step.path]), reverse=True)


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
