"""The rows of a page: the steps and iterations of a run that have room in it, each below what is
around it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.views.graphs.graph import what_of
from maverick.views.report.bounds import ERROR_BYTES, bounded, head_of
from maverick.visible import iso_time, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from maverick.views.run_page import RunPage, StepNode

MOST_ROWS: Final = 5_000
_TROUBLED: Final = frozenset({"failed", "running", "waiting"})
ITERATION: Final = "iteration"


class Placed(NamedTuple):
    """A step or an iteration, and the number of the row that it stands below (-1: none)."""

    node: StepNode
    parent: int


def placed(page: RunPage, most: int = MOST_ROWS) -> tuple[list[Placed], int]:
    """Give the rows of *page*, in order, and how many steps are left out.

    Of too many those stay that failed, run or wait, with what is around them; then those outside of
    loops; then the first.
    """
    every = list(_every(page.top))
    if len(every) <= most:
        return every, 0
    kept: set[int] = set()
    tiers = (
        [n for n, each in enumerate(every) if each.node.row and each.node.status in _TROUBLED],
        [n for n, each in enumerate(every) if "[" not in each.node.path],
        range(len(every)),
    )
    for tier in tiers:
        for number in tier:
            if len(kept) >= most:
                break
            at = number
            while at >= 0 and at not in kept:
                kept.add(at)
                at = every[at].parent
    numbers = {old: new for new, old in enumerate(sorted(kept))}
    rows = [Placed(every[old].node, numbers.get(every[old].parent, -1)) for old in sorted(kept)]
    return rows, len(every) - len(rows)


def _every(top: StepNode) -> Iterator[Placed]:
    todo, number = [Placed(node, -1) for node in reversed(top.inner)], 0
    while todo:
        each = todo.pop()
        yield each
        todo += [Placed(inner, number) for inner in reversed(each.node.inner)]
        number += 1


def row_fields(page: RunPage, each: Placed, before: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the page shows of a row; *before* is what its step came to in the run before."""
    node, row = each.node, each.node.row
    outlined = page.definition.find(node.path)
    step = outlined.step if outlined is not None and not node.is_iteration else None
    begins = [one.started for one in node.rows() if one.started is not None]
    fields: dict[str, Any] = {
        "path": one_line(node.path),
        "name": one_line(node.path.last),
        "pattern": node.path.pattern,
        "parent": each.parent,
        "type": ITERATION if row is None else row.type,
        "status": node.status,
        "label": None,
        "started": iso_time(min(begins)) if begins else None,
        "seconds": node.seconds,
        "attempts": None,
        "error": None,
        "reused_from": None,
        "assumed": False,
        "agent": None,
        "what": one_line(what_of(step)) if step is not None else "",
        "when": one_line(step.when.text) if step is not None and step.when is not None else "",
        "checkpoint": step is not None and step.is_checkpoint,
        "before": before.get(node.path),
        "counts": _counts(node),
    }
    if row is not None:
        error = row.error if row.status == "failed" or row.facts else None
        fields |= {
            "label": None if row.label is None else one_line(row.label),
            "attempts": row.attempts,
            "error": None if error is None else head_of(error, ERROR_BYTES // 16),
            "reused_from": row.reused_from,
            "assumed": row.assumed,
            "agent": None if row.agent is None else bounded(row.agent._asdict()),
        }
    return fields


def _counts(node: StepNode) -> dict[str, int]:
    """Count how the iterations of a loop stand, those that have no row here included."""
    if not node.inner or not node.inner[0].is_iteration:
        return {}
    return dict(Counter(inner.status for inner in node.inner).most_common())
