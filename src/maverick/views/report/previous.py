"""The run of the same workflow before one: how long its steps took, and what differs."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

from maverick.errors import MaverickError
from maverick.runs.listing import run_before
from maverick.views.comparing.file_comparison import FileDifference
from maverick.views.comparing.folding import Fold, More, Shown, fold
from maverick.views.comparing.run_comparison import CodeDifference, ValueDifference, compare
from maverick.views.page_loader import load_page
from maverick.views.report.bounds import DIFF_BYTES, SHORT_BYTES, bounded, head_of
from maverick.views.report.changed_files import diff_lines, file_row
from maverick.visible import one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Store
    from maverick.views.report.bounds import Budget
    from maverick.views.run_page import RunPage

MOST_CHANGES: Final = 500


class Previous(NamedTuple):
    """The run before, if there is one; `note` says why it cannot be shown."""

    page: RunPage | None
    note: str
    steps: dict[str, dict[str, Any]]
    """What each of its steps came to."""

    @classmethod
    def load(cls, project: str, store: Store, page: RunPage) -> Previous:
        """Load the run of the same workflow that was started before that of *page*."""
        ref = run_before(store, page.run, page.workflow)
        if ref is None:
            return cls(None, "", {})
        try:
            earlier = load_page(project, store, store.checkpoint(ref.checkpoint))
        except MaverickError as error:
            return cls(None, f"{ref.run} cannot be read: {one_line(str(error))}", {})
        steps = {
            str(row.path): {"status": row.status, "seconds": row.seconds} for row in earlier.steps
        }
        return cls(earlier, "", steps)

    def changes(self, store: Store, page: RunPage, budget: Budget) -> dict[str, Any]:
        """Give `{changes, note}`: what differs between it and the run of *page*."""
        if self.page is None:
            return {}
        command = f"maverick diff {self.page.run} {page.run}"
        try:
            differences = fold(compare(store, self.page.tree, page.tree))
            first = list(islice(differences, MOST_CHANGES + 1))
            rows = [_row(store, each, budget) for each in first[:MOST_CHANGES]]
        except MaverickError as error:
            return {"changes": None, "note": f"What differs cannot be told: {one_line(str(error))}"}
        more = len(first) > MOST_CHANGES
        return {"changes": rows, "note": f"And more: {command}" if more else ""}


def _row(store: Store, difference: Shown, budget: Budget) -> dict[str, Any]:
    path = one_line(difference.path)
    match difference:
        case FileDifference():
            return {**file_row(store, difference.of, budget), "path": path}
        case Fold():
            return {"path": path, "change": difference.change, "note": difference.words()}
        case More():
            note = f"and {difference.number:,} more like these"
            return {"path": path, "change": difference.change, "note": note}
        case CodeDifference():
            return {"path": path, "change": "code", "part": difference.part, **_sides(difference)}
        case ValueDifference():
            row = {"path": path, "change": difference.change}
            old, new = difference.old, difference.new
            texts = [side for side in (old, new) if side is not None]
            if all(isinstance(side, str) for side in texts) and any("\n" in side for side in texts):
                diff = diff_lines((old or "").splitlines(), (new or "").splitlines())
                return {**row, "diff": head_of("\n".join(diff), DIFF_BYTES)}
            return {**row, **_sides(difference)}
        case _:
            assert_never(difference)


def _sides(difference: ValueDifference | CodeDifference) -> dict[str, Any]:
    return {
        "old": bounded(difference.old, SHORT_BYTES),
        "new": bounded(difference.new, SHORT_BYTES),
    }
