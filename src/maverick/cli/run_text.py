"""The page of a run, and of a step, as people read them on a terminal or in a pipe."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

from maverick.cli.terminal.render import (
    age,
    hanging,
    inline_text,
    label_text,
    now_ms,
    paint,
    plural,
    shell_word,
    value_text,
    zoned_moment,
)
from maverick.cli.terminal.streams import has_colour
from maverick.views.signs import STEP_SIGNS
from maverick.visible import (
    Shown,
    columns,
    duration,
    fit,
    last_states,
    one_line,
    padded,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from maverick.dsl.workflow.costs import Costs
    from maverick.views.run_page import RunPage, StepNode, StepRow
    from maverick.views.step_page import Try

_SIGNS: Final[Mapping[str, tuple[str, str, str]]] = {
    "done": (STEP_SIGNS["done"], "+", "green"),
    "failed": (STEP_SIGNS["failed"], "x", "red"),
    "skipped": (STEP_SIGNS["skipped"], "-", "dim"),
    "running": (STEP_SIGNS["running"], ">", "cyan"),
    "waiting": (STEP_SIGNS["waiting"], "?", "yellow"),
    "pending": (STEP_SIGNS["pending"], ".", "dim"),
    "doubtful": ("!", "!", "yellow"),
}
FOLDED: Final = 20
"""A loop of more iterations than these is folded to counts."""
_LONGEST_SHOWN: Final = 3
_ERROR_LINES: Final = 24
_OUTPUT_LINES: Final = 40
_CHANGE_LINES: Final = 6
_LEAST_NAME: Final = 16
_DIGITS: Final = 4


class RunText:
    """Gives the lines of a run's page. *width* is what a line may take; None is no limit."""

    def __init__(self, page: RunPage, *, width: int | None, plain: bool, unfold: bool) -> None:
        self._page = page
        self._width = width
        self._colour = has_colour(sys.stdout, plain=plain)
        self._unicode = _can_show("✓│")
        self._unfold = unfold
        self._names: dict[str, list[str]] = {}

    def lines(self) -> Iterator[str]:
        """Yield the lines of the whole page."""
        page = self._page
        yield from self._head()
        yield ""
        entries = list(self._tree(page.top, 0))
        name_width = self._name_width(entries)
        for entry in entries:
            yield from self._entry_lines(entry, name_width)
        yield from self._foot()

    # --- head and foot ----------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        page = self._page
        tint = {"done": "green", "failed": "red", "running": "cyan"}.get(page.status, "yellow")
        ago = f" {age(page.ended, now_ms())} ago" if page.ended is not None else ""
        time = duration(page.seconds)
        status = paint(page.status, tint, on=self._colour)
        name = paint(page.workflow or "(no workflow)", "bold", on=self._colour)
        if page.is_newest:
            if page.status == "killed":  # When, nobody has noted.
                said = f", last saved{ago}, {time} into the run"
            else:
                verb = {"done": "in", "running": "for"}.get(page.status, "after")
                said = f"{ago} {verb} {time}"
            yield shown(name, "  ", status, said)
        else:
            place = f"  {time} into the run, which is "
            yield shown(name, place, status, " now" if page.ended else "")
        place = "" if page.is_newest else ", not its newest"
        which = f"run {page.run} (checkpoint {page.tree.checkpoint.sequence}{place})"
        when = f"started {zoned_moment(page.started)}"
        if len(page.executions) > 1:
            when += f", {len(page.executions)} executions"
        if page.forked_from:
            when += f", forked from {page.forked_from}"
        if self._width is None or columns(f"{which}, {when}") <= self._width:
            yield one_line(f"{which}, {when}")
        else:
            yield from map(self._fit, (which, when))
        if page.inputs:
            given = (f"{name}={_brief(value)}" for name, value in page.inputs.items())
            yield self._fit(f"inputs {', '.join(given)}")
        if page.warning:
            yield from self._told(f"warning: {page.warning}")

    def _foot(self) -> Iterator[str]:
        page = self._page
        yield ""
        if page.error and page.error_row is None:
            yield from self._block(page.error, "")
        for notice in page.notices:
            yield from self._told(f"notice: {notice}")
        if page.status == "done" and page.output is not None:
            yield self._fit(f"output {_brief(page.output)}")
        costs = cost_text(page.costs)
        if costs:
            yield f"cost {costs}"
        if page.failed_at:
            name = f"{shell_word(page.run)} {shell_word(page.failed_at)}"
            yield f"logs: maverick logs {name}"
        if page.status == "running":
            yield f"watch it: maverick watch {shell_word(page.run)}"
        if page.resume:
            yield f"resume: {page.resume}"

    # --- steps ------------------------------------------------------------------------------------

    def _tree(self, node: StepNode, depth: int) -> Iterator[_Line]:
        """Yield a line for each step below *node*, loops of many iterations folded."""
        inner = node.inner
        iterations = [one for one in inner if one.is_iteration]
        if counts := self._page.counts.get(node.path):
            yield self._counted(counts, depth)
        elif len(iterations) > FOLDED and not self._unfold:
            yield self._counted(Counter(one.status for one in iterations), depth)
            inner = _worth_showing(iterations)
        for one in inner:
            yield self._line(one, depth)
            yield from self._tree(one, depth + 1)

    def _counted(self, counts: Mapping[str, int], depth: int) -> _Line:
        told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        text = f"{sum(counts.values()):,} iterations: {told}"
        telling = [status for status in ("failed", "running", "waiting") if status in counts]
        below = ", ".join([*telling, "longest"])
        return _Line(depth, "", f"{text} (below: the {below}; --all shows each)", "", "", None)

    def _line(self, node: StepNode, depth: int) -> _Line:
        row = node.row
        status = node.status
        is_doubtful = row is not None and row.passed is False and status == "done"
        name = node.path.last
        if node.is_iteration:
            loop = str(node.path)[: -len(name)]
            item = self._item(loop, name)
            name = f"{name} {item}" if item else name
        elif row is not None and row.type == "loop":
            count = sum(self._page.counts.get(node.path, {}).values())
            count = count or sum(one.is_iteration for one in node.inner)
            name = f"{name} ({count})" if count else name
        seconds = node.seconds if status != "pending" else None
        time = duration(seconds) if seconds is not None else ""
        return _Line(depth, "doubtful" if is_doubtful else status, name, time, _about(row), row)

    def _item(self, loop: str, bracketed: str) -> str:
        position = bracketed[1:-1]
        if not position.isdigit():
            return ""
        if loop not in self._names:
            self._names[loop] = self._page.names(loop)
        names = self._names[loop]
        return names[int(position)] if int(position) < len(names) else ""

    def _name_width(self, entries: Sequence[_Line]) -> int:
        longest = max(
            (2 * one.depth + columns(one.name) for one in entries if one.status), default=0
        )
        room = (self._width or 100) - 2 - 10 - 12
        return min(longest, max(room, _LEAST_NAME))

    def _entry_lines(self, entry: _Line, name_width: int) -> Iterator[str]:
        indent = "  " * entry.depth
        if not entry.status:
            yield from self._folded(f"{indent}  {entry.name}")
            return
        name = fit(one_line(entry.name), max(name_width - len(indent), 8))
        sign = self._sign(entry.status)
        before = shown(indent, sign, " ")
        head = f"{indent}  {padded(name, name_width - len(indent))}"
        room = (self._width or 10_000) - columns(head) - 2 - 8 - 2
        about = fit(one_line(entry.about), max(room, 0)) if entry.about else ""
        tail = padded(entry.time, 8, right=True) if entry.time or about else ""
        line = shown(before, head[len(indent) + 2 :])
        if tail:
            line = shown(line, "  ", tail)
        if about:
            line = shown(line, "  ", paint(about, "dim", on=self._colour))
        yield Shown(line.rstrip())
        row = entry.row
        if (
            row is not None
            and row.status in ("failed", "pending")
            and (not _is_around(row) or row is self._page.error_row)
        ):
            error = row.error
            if error:
                yield from self._block(error, f"{indent}  ")

    def _sign(self, status: str) -> str:
        fine, plain, tint = _SIGNS[status]
        return paint(fine if self._unicode else plain, tint, on=self._colour)

    def _block(self, text: str, indent: str) -> Iterator[str]:
        """Yield the lines of an error, each behind a bar."""
        bar = paint("│" if self._unicode else "|", "dim", on=self._colour)
        room = None if self._width is None else max(self._width - columns(indent) - 2, _LEAST_NAME)
        first, *others = (
            hanging(one_line(line), room) for line in last_states(text).rstrip().split("\n")
        )
        lines = [*first, *(part for line in others for part in line)]
        if len(lines) > _ERROR_LINES and not self._unfold:
            begin = lines[: min(len(first), _ERROR_LINES // 3)]
            end = lines[len(begin) + 1 - _ERROR_LINES :]
            left_out = len(lines) - len(begin) - len(end)
            lines = [*begin, f"({left_out:,} lines left out; --all shows them)", *end]
        for line in lines:
            yield shown(indent, bar, f" {line}")

    def _folded(self, text: str, *, most: int | None = None) -> list[str]:
        """Give *text* as one line, folded to the width."""
        return hanging(one_line(text), self._width, most=None if self._unfold else most)

    def _told(self, text: str) -> Iterator[str]:
        """Yield the lines of what a person has to know."""
        return (paint(line, "yellow", on=self._colour) for line in self._folded(text))

    def _fit(self, text: str) -> str:
        line = one_line(text)
        return line if self._width is None else fit(line, self._width)

    # --- one step ---------------------------------------------------------------------------------

    def step_lines(
        self, row: StepRow, because: str | None, tries: Sequence[Try], source: Sequence[str]
    ) -> Iterator[str]:
        """Yield the lines of the page of one step, but for its output. *source* is its lines in the
        workflow's file.
        """
        name = paint(row.path, "bold", on=self._colour)
        verb = {"done": "in", "failed": "after", "running": "for"}.get(row.status, "after")
        took = f" {verb} {duration(row.seconds)}" if row.seconds is not None else ""
        doubt = ", and did not pass" if row.passed is False else ""
        yield shown(self._sign(row.status), " ", name, f"  {row.type} {row.status}{took}{doubt}")
        yield from self._step_facts(row, because)
        if costs := _row_costs(row):
            yield f"  cost {costs}"
        yield from self._tries(tries)
        if row.error and (not tries or not tries[-1].error):
            yield from self._block(row.error, "  ")
        if source:
            yield ""
            for line in source:
                yield from self._folded(f"  {line}")

    def _step_facts(self, row: StepRow, because: str | None) -> Iterator[str]:
        if row.started is not None:
            several = len(self._page.executions) > 1
            which = f" in execution {row.execution}" if several else ""
            yield self._fit(f"  started {zoned_moment(row.started)}{which}")
        if row.label:
            yield self._fit(f"  checkpoint {self._page.run}@{label_text(row.label)}")
        if because is not None and (not row.is_composite or row.status == "skipped"):
            told = f"  it ran because {because}" if row.attempts else f"  {because}"
            yield from self._folded(told)
        for change in row.facts.get("changes", []):
            if isinstance(change, dict):
                yield from self._change(change, "    ")
        if row.agent is not None:
            agent = [row.agent.provider, row.agent.model, row.agent.session]
            yield self._fit(f"  agent {' · '.join(filter(None, agent))}")

    def _change(self, change: Mapping[str, object], indent: str) -> Iterator[str]:
        part, old, new = (change.get(field) for field in ("part", "old", "new"))
        yield from self._folded(
            f"{indent}{part}: {_brief(old)} -> {_brief(new)}", most=_CHANGE_LINES
        )

    def _tries(self, tries: Sequence[Try]) -> Iterator[str]:
        if len(tries) == 1 and tries[0].error is None:
            return
        for attempt in tries:
            took = "" if attempt.seconds is None else f" after {duration(attempt.seconds)}"
            yield f"  attempt {attempt.number}: {attempt.status}{took}"
            if attempt.error:
                yield from self._block(attempt.error, "    ")

    def reason_lines(self, reason: Mapping[str, object]) -> Iterator[str]:
        """Yield what `why` says of one step."""
        path, did, why = (str(reason[field]) for field in ("path", "did", "because"))
        tint = {"ran": "green", "reran": "yellow", "recalled": "cyan"}.get(did, "dim")
        word = paint(did, tint, on=self._colour)
        room = None if self._width is None else self._width - 10
        first, *others = hanging(one_line(f"{path}: {why}"), room)
        yield shown(" " * (8 - len(did)), word, f"  {first}")
        yield from (f"{' ' * 10}{line}" for line in others)
        changes = reason.get("changes")
        for change in changes if isinstance(changes, list) else []:
            yield from self._change(change, " " * 12)


class _Line:
    """A line of the tree; its error stands below it."""

    __slots__ = ("about", "depth", "name", "row", "status", "time")

    def __init__(
        self, depth: int, status: str, name: str, time: str, about: str, row: StepRow | None
    ) -> None:
        self.depth = depth
        self.status = status
        self.name = name
        self.time = time
        self.about = about
        self.row = row


def _worth_showing(iterations: Sequence[StepNode]) -> list[StepNode]:
    """Give the iterations of a folded loop that failed, run, or took longest, in order."""
    telling = [one for one in iterations if one.status in ("failed", "running", "waiting")]
    timed = sorted(iterations, key=lambda one: one.seconds or 0, reverse=True)[:_LONGEST_SHOWN]
    chosen = {id(one) for one in (*telling[:FOLDED], *timed)}
    return [one for one in iterations if id(one) in chosen]


def _is_around(row: StepRow) -> bool:
    return row.type in ("loop", "parallel", "branch", "subworkflow")


def _about(row: StepRow | None) -> str:
    """Say of a step what the tree has no column for."""
    if row is None:
        return ""
    parts = [
        f"@{label_text(row.label)}" if row.label else "",
        "did not pass" if row.passed is False else "",
        "assumed" if row.assumed else "",
        f"reused from {row.reused_from}" if row.reused_from else "",
        f"attempt {row.attempts}" if (row.attempts or 1) > 1 else "",
        row.agent.model or row.agent.provider or "" if row.agent is not None else "",
        _row_costs(row),
    ]
    return " · ".join(filter(None, parts))


def _row_costs(row: StepRow) -> str:
    from maverick.dsl.workflow.costs import Costs  # noqa: PLC0415 - few steps are agents

    return cost_text(Costs.of_step(row.facts)) if row.agent is not None else ""


def cost_text(costs: Costs) -> str:
    """Give what agents cost: `3 calls, 41k tokens, $0.37`; empty where none was called."""
    if not costs.calls:
        return ""
    parts = [plural(costs.calls, "call")]
    if costs.tokens_in is not None or costs.tokens_out is not None:
        parts.append(f"{_count((costs.tokens_in or 0) + (costs.tokens_out or 0))} tokens")
    if costs.usd is not None:
        parts.append(f"${costs.usd:.2f}" if costs.usd >= 0.01 else f"${costs.usd:.{_DIGITS}f}")
    return ", ".join(parts)


def _count(number: int) -> str:
    return f"{number / 1000:,.0f}k" if number >= 10_000 else f"{number:,}"


def _brief(value: object) -> str:
    """Give a value on one line: a text as it is, another one as JSON."""
    text = inline_text(value)
    return " ".join(text.split()) if len(text) < 2000 else f"{text[:2000]}…"


def output_lines(value: object, *, everything: bool) -> tuple[list[str], int]:
    """Give the lines of an output, and how many were left out of them."""
    lines = value_text(value).rstrip("\n").split("\n") if value is not None else []
    if everything or len(lines) <= _OUTPUT_LINES:
        return lines, 0
    return lines[:_OUTPUT_LINES], len(lines) - _OUTPUT_LINES


def _can_show(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
