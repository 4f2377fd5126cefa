"""How long the steps of two runs took, and what their agents cost, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.costs import Costs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.views.run_page import RunPage, StepRow

Measure: TypeAlias = Literal["seconds", "calls", "tokens_in", "tokens_out", "usd"]
COSTS: tuple[Measure, ...] = ("calls", "tokens_in", "tokens_out", "usd")


class Expense(NamedTuple):
    """What a step, or the whole run (an empty path), took on both sides; None is not known, or a
    step that the side has not.
    """

    path: StepPath
    measure: Measure
    old: float | None
    new: float | None

    def row(self) -> dict[str, Any] | None:
        """Give it as `diff --json` has it; None where it does not differ."""
        if self.old == self.new:
            return None
        change = "added" if self.old is None else "removed" if self.new is None else "changed"
        path = f"steps.{self.path}.{self.measure}" if self.path else self.measure
        return {"path": path, "change": change, "old": self.old, "new": self.new}


def times(old: RunPage, new: RunPage) -> Iterator[Expense]:
    """Yield how long each step took, in the order of the newer run, then the run."""
    for path, before, after in _pairs(old, new):
        was, now = before.seconds if before else None, after.seconds if after else None
        if was is not None or now is not None:
            yield Expense(path, "seconds", was, now)
    yield Expense(StepPath(), "seconds", old.seconds, new.seconds)


def costs(old: RunPage, new: RunPage) -> Iterator[Expense]:
    """Yield what each step with an agent cost, in the order of the newer run, then the run."""
    for path, before, after in _pairs(old, new):
        was, now = _costs(before), _costs(after)
        if was.calls or now.calls:
            yield from _expenses(path, was, now)
    yield from _expenses(StepPath(), old.costs, new.costs)


def _costs(row: StepRow | None) -> Costs:
    return Costs.of_step(row.facts) if row is not None else Costs()


def _expenses(path: StepPath, old: Costs, new: Costs) -> Iterator[Expense]:
    for measure in COSTS:
        yield Expense(path, measure, getattr(old, measure), getattr(new, measure))


def _pairs(old: RunPage, new: RunPage) -> Iterator[tuple[StepPath, StepRow | None, StepRow | None]]:
    """Yield the steps of either run; those that only the older one has come last."""
    before = {row.path: row for row in old.steps}
    for row in new.steps:
        yield row.path, before.pop(row.path, None), row
    for path, row in before.items():
        yield path, row, None
