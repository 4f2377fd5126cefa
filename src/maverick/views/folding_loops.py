"""What a page shows of a long run, looked up step by step: loops tell what became of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from maverick.dsl.paths import ROOT, StepPath
from maverick.dsl.workflow.items import NAMED
from maverick.dsl.workflow.model import LoopStep, SubworkflowStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.journal.tree import RunTree
    from maverick.dsl.workflow.model import Step
    from maverick.views.recorded import RecordedSteps

LONG: Final = 2_000
"""A run of fewer steps is read whole: that takes no more than some hundred objects."""
_MOST_ATTEMPTS: Final = 1_000


class _Unknown(Exception):
    """Which steps the run has cannot be told without reading all."""


class FoldedFacts:
    """The facts of the steps that a folded page shows. `facts` is by path.

    `counts` says of each folded loop how many of its iterations came to which end.
    """

    def __init__(self, tree: RunTree, definition: RecordedSteps) -> None:
        self.facts: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self._tree = tree
        self._outlined = definition.outlined
        self._below = definition.below

    @classmethod
    def read(cls, tree: RunTree, definition: RecordedSteps) -> FoldedFacts | None:
        """Look up what *tree* notes; None where a loop does not tell what became of it."""
        folded = cls(tree, definition)
        if not definition.outlined:
            return None
        try:
            folded._visit(ROOT, "")
        except _Unknown:
            return None
        return folded

    def _visit(self, block: StepPath, pattern: str) -> None:
        for inner in self._below.get(pattern, []):
            step = self._outlined[inner].step
            path = block.child(step.name)
            own = self._tree.facts_of(path)
            if own:
                self.facts[path] = own
            if step.is_composite:
                self._enter(step, path, inner, own)

    def _enter(self, step: Step, path: StepPath, pattern: str, own: Mapping[str, Any]) -> None:
        match step:
            case LoopStep() if step.has_for_each or step.until is not None:
                self._iterations(path, pattern, own)
            case SubworkflowStep() if pattern not in self._below and own.get("status") != "skipped":
                raise _Unknown
            case _ if step.kind == "validate":
                self._attempts(path, pattern)
            case _:
                self._visit(path, pattern)

    def _attempts(self, path: StepPath, pattern: str) -> None:
        for number in range(_MOST_ATTEMPTS):
            attempt = path.item(number)
            own = self._tree.facts_of(attempt)
            if not own:
                return
            self.facts[attempt] = own
            self._visit(attempt, f"{pattern}[]")

    def _iterations(self, path: StepPath, pattern: str, own: Mapping[str, Any]) -> None:
        if own.get("status") == "skipped":
            return
        told = own.get("iterations", {})
        if "counts" not in told:
            raise _Unknown
        names = told.get("names")
        if names is None or len(names) > NAMED:
            self.counts[path] = told["counts"]
            names = [*told.get("failed", []), *told.get("longest", {})]
        for name in dict.fromkeys(names):
            self._visit(StepPath(f"{path}{name}"), f"{pattern}[]")
