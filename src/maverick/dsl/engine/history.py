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
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.dsl.expressions.scope import Frame


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

    def add(self, finished: Finished) -> None:
        """Note that a step finished, or was recalled."""
        with self._lock:
            # Another attempt of what is around it came to it again.
            self._finished.pop(finished.path, None)
            self._finished[finished.path] = finished

    def add_missing(self, other: History) -> None:
        """Note what *other* knows beside."""
        for path, each in other._finished.items():
            if path not in self._finished:
                self._finished[path] = each
                self._added.add(path)

    def undoable(self, orders: Mapping[str, int]) -> list[Finished]:
        """What a failure undoes, last finished first; *orders* as `Journal.orders` gives them.

        A checkpoint ends what stands before it in its iteration and in the blocks around. One that
        has to run again, since something before it ran after it, does not end that.
        """
        undoable: list[Finished] = []
        for each in self._finished.values():
            if each.step.is_checkpoint:
                undoable = [it for it in undoable if not _ends(each, it, orders)]
            elif each.step.rollback is not None and each.result.status == "done":
                undoable.append(each)
        return self._last_first(undoable, orders)

    def at(self, paths: Iterable[StepPath], orders: Mapping[str, int]) -> list[Finished]:
        """Those at *paths* that have a rollback, last finished first."""
        found = [self._finished[path] for path in paths if path in self._finished]
        return self._last_first([each for each in found if each.step.rollback is not None], orders)

    def followers(self, undone: Finished) -> list[StepPath]:
        """The steps that have to run again once *undone* has: those behind it in its chain of
        blocks.
        """
        if not is_chained(undone.step):
            return []
        paths = list(self._finished)
        later = paths[paths.index(undone.path) + 1 :]
        return [path for path in later if _follows(self._finished[path].lineage, undone.lineage)]

    def _last_first(self, some: list[Finished], orders: Mapping[str, int]) -> list[Finished]:
        """*some* in reverse order. What is no part of the chain counts as finished where it stands.

        So does what is to run again, since something before it did since it finished.
        """
        places: dict[StepPath, int] = {}
        latest = 0
        for path, each in self._finished.items():
            if is_chained(each.step):
                latest = orders.get(path) or latest
            places[path] = latest
            if path in self._added:
                before = (it for it, place in places.items() if place > latest)
                follows = [
                    it for it in before if _follows(each.lineage, self._finished[it].lineage)
                ]
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

    steps: list[StepPath] = field(default_factory=list)
    """Rolled back, in this order."""
    forgotten: list[StepPath] = field(default_factory=list)
    """They run again when the run is resumed; not those in others of them."""
    errors: list[str] = field(default_factory=list)

    def forget(self, paths: Iterable[StepPath]) -> None:
        """Note what was forgotten."""
        every = dict.fromkeys((*self.forgotten, *paths))
        self.forgotten = [
            path for path in every if not any(around in every for around in path.ancestors())
        ]
