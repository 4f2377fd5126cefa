"""The summary of a run in Markdown, for a job of GitHub Actions. No text of a run is more than
text in it.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

from maverick.cli.terminal.render import plural
from maverick.errors import MaverickError
from maverick.views.graphs.drawing import as_mermaid
from maverick.views.graphs.run_graph import graph_of_run
from maverick.views.signs import RUN_SIGNS, STEP_SIGNS
from maverick.visible import duration, last_states, one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.views.run_page import RunPage, StepNode, StepRow

_PLAIN: Final = re.compile(r"[\w .,:/=+()\[\]{}@#'\"-]*", re.ASCII)
_MOST_ROWS: Final = 100
_MOST_FAILURES: Final = 20
_LONGEST_CELL: Final = 200
_LONGEST_ERROR: Final = 20_000


def summaries(page: RunPage, resume: str | None) -> Iterator[str]:
    """Yield the summary of a run, and then shorter ones, for where that has no room."""
    head, table = _head(page), _table(page)
    error, end = _error(page), _end(page, resume)
    yield "\n".join(filter(None, [head, table, error, _graph(page), end]))
    yield "\n".join(filter(None, [head, table, error, end]))
    yield "\n".join(filter(None, [head, end]))
    yield head


def code(text: str) -> str:
    """Give *text* as it is, in one line, also within a table: neither Markdown nor HTML."""
    line = one_line(last_states(text))
    if len(line) > _LONGEST_CELL:
        line = line[: _LONGEST_CELL - 1] + "…"
    if line.strip() and line == line.strip() and _PLAIN.fullmatch(line):
        return f"`{line}`"
    entities = (char if char.isalnum() or char == " " else f"&#{ord(char)};" for char in line)
    return f"<code>{''.join(entities)}</code>"


def block(text: str, language: str = "text") -> str:
    """Give *text* as a block of code that nothing in it ends."""
    fences = re.findall(r"`{3,}", text)
    fence = "`" * (max(map(len, fences), default=2) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _head(page: RunPage) -> str:
    sign = RUN_SIGNS.get(page.status, "")
    # What stands before may be HTML, which only an empty line ends.
    status = f"{page.status} in {duration(page.seconds)}"
    lines = [f"\n### {sign} {code(page.workflow)} {status}"]
    costs = page.totals
    parts = [f"run {code(page.run)}"]
    if costs["calls"]:
        parts.append(plural(costs["calls"], "agent call"))
    if costs["tokens_in"] or costs["tokens_out"]:
        tokens = (costs["tokens_in"] or 0) + (costs["tokens_out"] or 0)
        parts.append(f"{tokens:,} tokens")
    if costs["usd"]:
        parts.append(f"${costs['usd']:.2f}")
    return "\n".join([*lines, "", ", ".join(parts), ""])


def _table(page: RunPage) -> str:
    rows = [_row(node) for node in page.top.inner]
    left = len(rows) - _MOST_ROWS
    rows = rows[:_MOST_ROWS] + ([f"| | and {left} more | | |"] if left > 0 else [])
    inner = (row for row in page.steps if row.status == "failed" and "." in row.path)
    rows += [_row_of(row, "") for row in islice(inner, _MOST_FAILURES)]
    return "\n".join(["| | step | time | |", "| --- | --- | ---: | --- |", *rows, ""])


def _row(node: StepNode) -> str:
    counts = Counter(inner.status for inner in node.inner if inner.is_iteration)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    if node.row is None:
        return _cells(node.status, str(node.path), node.seconds, said)
    return _row_of(node.row, said)


def _row_of(row: StepRow, said: str) -> str:
    error = (row.error or "") if row.status == "failed" else ""
    first = next((line for line in last_states(error).splitlines() if line.strip()), "")
    notes = [said, code(first) if first else ""]
    if (row.attempts or 1) > 1:
        notes.append(f"{row.attempts} attempts")
    return _cells(row.status, str(row.path), row.seconds, ", ".join(filter(None, notes)))


def _cells(status: str, path: str, seconds: float | None, said: str) -> str:
    time = "" if seconds is None else duration(seconds)
    return f"| {STEP_SIGNS.get(status, '')} {status} | {code(path)} | {time} | {said} |"


def _error(page: RunPage) -> str:
    notices = "".join(f"* {code(notice)}\n" for notice in page.notices)
    if not page.error:
        return notices
    text = visible(last_states(page.error))
    if len(text) > _LONGEST_ERROR:
        text = f"{text[: _LONGEST_ERROR // 2]}\n…\n{text[-_LONGEST_ERROR // 2 :]}"
    return notices + block(text)


def _graph(page: RunPage) -> str:
    try:
        drawn = as_mermaid(graph_of_run(page))
    except MaverickError:  # A run without a workflow, or of a version that this one cannot read.
        return ""
    return f"<details><summary>Graph</summary>\n\n{block(drawn, 'mermaid')}\n</details>\n"


def _end(page: RunPage, resume: str | None) -> str:
    return block(resume, "sh") if resume and page.status != "done" else ""
