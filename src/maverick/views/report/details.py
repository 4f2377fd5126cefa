"""What a page knows of one step beyond its row: read when the step is opened."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from maverick.dsl.journal.logs import STREAMS
from maverick.dsl.journal.tree import artifacts_place
from maverick.errors import MaverickError
from maverick.views import step_page
from maverick.views.report.bounds import (
    DIFF_BYTES,
    ERROR_BYTES,
    PROMPT_BYTES,
    STREAM_BYTES,
    bounded,
    head_of,
    log_pieces,
    size_of,
)
from maverick.views.report.readings import Readings
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from maverick.checkpoints import Store
    from maverick.dsl.journal.logs import Logged
    from maverick.views.report.bounds import Budget
    from maverick.views.run_page import RunPage, StepNode, StepRow

MOST_ATTEMPTS = 10
"""Of a step whose logs are shown, the last ones."""
MOST_ARTIFACTS = 200


class Details:
    """Gathers the details of one run's steps, as long as the page has room."""

    def __init__(
        self,
        store: Store,
        page: RunPage,
        budget: Budget,
        files: Mapping[str, list[dict[str, Any]]],
    ) -> None:
        """*files* is what changed of the project's files, by the step that a checkpoint is of."""
        self._page = page
        self._budget = budget
        self._files = files
        self._log_of = step_page.logs_of(store, page)
        self._readings = Readings(page)
        self._reasons = {row["path"]: row for row in step_page.reasons(page, page.top)}

    def of(self, node: StepNode) -> dict[str, Any] | None:
        """Give the details of a step; None of one of which there is nothing more to say."""
        row = node.row
        if row is None:
            return None
        details: dict[str, Any] = {}
        try:
            details = self._read(row)
        except MaverickError as error:
            details = {"notes": [f"cannot be read: {one_line(str(error))}"]}
        if not details:
            return None
        if self._budget.take(size_of(details)):
            return details
        command = f"maverick show {self._page.run} {one_line(row.path)}"
        left_out = f"Left out, because the page is full: {command}"
        reduced: dict[str, Any] = {
            name: details[name] for name in ("did", "because") if name in details
        }
        reduced["notes"] = [left_out]
        return reduced

    def _read(self, row: StepRow) -> dict[str, Any]:
        reason = self._reasons.get(row.path, {})
        log = self._log_of(row.path)
        artifacts = list(islice(self._artifacts(row), MOST_ARTIFACTS + 1))
        fields: dict[str, Any] = {
            "did": reason.get("did"),
            "because": reason.get("because"),
            "changes": bounded(reason.get("changes") or []),
            "error": _text(row.error, ERROR_BYTES),
            "tries": [
                {**attempt.to_json(), "error": _text(attempt.error, 400)}
                for attempt in step_page.tries_of(row, log)
            ][-50:],
            "given": self._readings.of(row.path),
            "logs": list(_logs(log)),
            "prompt": _prompt(log),
            "files": self._files.get(row.path, []),
            "artifacts": artifacts[:MOST_ARTIFACTS],
            "notes": list(self._notes(row, log, artifacts)),
        }
        if row.status in ("done", "failed"):
            fields["output"] = bounded(step_page.output_of(self._page, row))
        source = step_page.source_of(self._page, row)
        if source:
            outlined = self._page.definition.find(row.path)
            fields["definition"] = head_of("\n".join(source), DIFF_BYTES)
            fields["file"] = one_line(outlined.workflow.file) if outlined else ""
        return {name: value for name, value in fields.items() if value not in (None, [], "")}

    def _artifacts(self, row: StepRow) -> Iterator[dict[str, Any]]:
        if self._page.tree.artifacts(row.path) is None:
            return
        walk = self._page.tree.snapshot.walk(artifacts_place(row.path))
        for path, entry in walk:
            if entry.kind != "tree":
                yield {"path": one_line("/".join(path)), "bytes": entry.size}

    def _notes(
        self, row: StepRow, log: list[Logged], artifacts: list[dict[str, Any]]
    ) -> Iterator[str]:
        command = f"maverick logs {self._page.run} {one_line(row.path)}"
        if len(log) > MOST_ATTEMPTS:
            yield f"Logs of the first {len(log) - MOST_ATTEMPTS} attempts are left out: {command}"
        elif any(_is_cut(attempt) for attempt in log):
            yield f"All that is kept: {command}"
        if len(artifacts) > MOST_ARTIFACTS:
            place = "/".join(map(one_line, artifacts_place(row.path)))
            command = f"maverick checkpoint show {self._page.run}:{place}"
            yield f"The first {MOST_ARTIFACTS} artifacts are shown, here are all: {command}"


def _is_cut(attempt: Logged) -> bool:
    return any(len(attempt.stream(stream)) > STREAM_BYTES for stream in STREAMS.values())


def _logs(log: list[Logged]) -> Iterator[dict[str, Any]]:
    """Yield what the last attempts wrote."""
    for attempt in log[-MOST_ATTEMPTS:]:
        wrote = [(stream, data) for stream, data in attempt.pieces if stream != "prompt"]
        pieces, left_out = log_pieces(wrote)
        if pieces:
            before = {
                stream: left_out.get(stream, 0) + attempt.left_out.get(stream, 0)
                for stream in ("stdout", "stderr")
            }
            yield {
                "attempt": attempt.number,
                "pieces": [list(piece) for piece in pieces],
                "left_out": {stream: count for stream, count in before.items() if count},
            }


def _prompt(log: list[Logged]) -> str:
    for attempt in reversed(log):
        given = attempt.stream("prompt")
        if given:
            return head_of(given.decode("utf-8", "backslashreplace"), PROMPT_BYTES)
    return ""


def _text(text: str | None, most: int) -> str | None:
    return None if text is None else head_of(text, most)
