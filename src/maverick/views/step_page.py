"""One step of a run: its attempts, what it wrote, why it ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.dsl.engine.reasons import NOT_RUN
from maverick.dsl.journal.logs import Logged, find_log, unsaved_logs
from maverick.errors import NotFound
from maverick.noted import amount, whole_number
from maverick.visible import iso_time

if TYPE_CHECKING:
    from maverick.checkpoints import Store
    from maverick.values import Value
    from maverick.views.run_page import RunPage, StepNode, StepRow

_BY_HAND: Final = "its output was set by hand"


class Try(NamedTuple):
    """One attempt at a step. `started` is in milliseconds since the epoch."""

    number: int
    started: int | None
    seconds: float | None
    status: str
    exit_code: int | None
    error: str | None

    def to_json(self) -> dict[str, Any]:
        """Give the attempt as `show RUN STEP --json` has it."""
        started = None if self.started is None else iso_time(self.started)
        return {**self._asdict(), "started": started}


def because(row: StepRow) -> str | None:
    """Say why a step ran when it last did; None where it did not."""
    if row.facts.get("by_hand"):
        return _BY_HAND
    if row.status == "skipped":
        return "its `when` does not hold"
    if row.status == "pending" and not row.facts:
        return None
    return str(row.facts.get("because", NOT_RUN))


def logs_of(store: Store, page: RunPage) -> Callable[[str], list[Logged]]:
    """Give what gives the attempts at the step at a path, those that are not saved yet included."""
    unsaved = unsaved_logs(store, page.tree.checkpoint)
    return lambda path: [*find_log(page.tree, path), *unsaved.get(path, ())]


def tries_of(row: StepRow, log: list[Logged]) -> list[Try]:
    """Give the attempts at a step that are known: those with a log, else the last."""
    tries = [_try(attempt, row, is_last=attempt is log[-1]) for attempt in log]
    known = row.facts.get("tries", 0)
    if not tries and row.started is not None and row.status != "pending":
        number = max(known, row.attempts or 1)
        exit_code = 0 if row.type == "shell" and row.status == "done" else None
        tries = [Try(number, row.started, row.seconds, row.status, exit_code, row.error)]
    elif tries and row.status == "done" and tries[-1].status != "done":
        # The attempt that succeeded wrote nothing.
        exit_code = 0 if row.type == "shell" else None
        number = max(tries[-1].number + 1, known)
        tries.append(Try(number, None, None, "done", exit_code, None))
    return tries


def _try(attempt: Logged, row: StepRow, *, is_last: bool) -> Try:
    end = attempt.end
    unended = row.status if row.status in ("running", "done") else "killed"
    status = str(end.get("status", unended if is_last else "killed"))
    started, seconds = whole_number(end.get("started")), amount(end.get("seconds"))
    if is_last and status in ("done", "running") and started is None and row.attempts in (1, None):
        started, seconds = row.started, row.seconds
    exit_code = whole_number(end.get("exit_code"))
    if status == "done" and row.type == "shell":
        exit_code = 0
    error = end.get("error")
    return Try(attempt.number, started, seconds, status, exit_code, str(error) if error else None)


def output_of(page: RunPage, row: StepRow) -> Value:
    """Give what a step recorded; None where it recorded nothing."""
    try:
        return page.tree.output_of(row.path)
    except NotFound:
        return None


def source_of(page: RunPage, row: StepRow) -> list[str]:
    """Give the lines of a step in the workflow's file, as they were recorded."""
    from maverick.runs.differences import step_lines  # noqa: PLC0415 - of one step only

    outlined = page.definition.find(row.path)
    return [] if outlined is None else step_lines(outlined.step, outlined.workflow.text)


def reasons(page: RunPage, node: StepNode) -> Iterator[dict[str, Any]]:
    """Yield what became of each step at and below *node* in the run's last execution, and why.

    Steps that are made of steps are left out, and so are those that it did not come to.
    """
    last = page.last_execution
    for row in node.rows():
        outlined = page.definition.find(row.path)
        is_composite = row.is_composite or (outlined is None and not row.facts)
        if row.status != "skipped" and is_composite:
            continue
        why = because(row)
        if why is None:
            continue
        changes = row.facts.get("changes", [])
        if row.status == "skipped":
            did = "skipped"
        elif row.reused_from:
            did, why = "reused", f"{row.reused_from} has its output"
        elif row.execution != last:
            did, why, changes = "recalled", "it had finished, and nothing of it changed", []
        else:
            did = "reran" if row.facts.get("reran") else "ran"
        yield {"path": str(row.path), "did": did, "because": why, "changes": changes}
