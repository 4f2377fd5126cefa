"""How a run stands and what it has cost, as its ref shows it: a listing reads nothing else.

A run is executed once or, after an interruption, several times. Its time is that of its executions
together. A killed one ended with the last checkpoint that it made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from maverick.dsl.workflow.costs import Costs
from maverick.noted import small_mapping, text_of, whole_number

FORKED_FROM: Final = "forked_from"
ERROR_BYTES: Final = 2048
"""Of an error that a ref keeps."""
NOTICE_CHARACTERS: Final = 200
MOST_NOTICES: Final = 100
"""So many notices a ref keeps, and how many more there are; the run keeps all."""
_LEFT_OUT: Final = "…"


class Standing(NamedTuple):
    """What the summary of a ref says. Times are in milliseconds.

    `execution` counts from 1; 0 is a run of which nothing is known. `began` is when the execution
    began that has not ended, else None. `spent` is how long those took that have.
    """

    execution: int = 0
    began: int | None = None
    spent: int = 0
    costs: Costs = Costs()
    error: str = ""
    failed_at: str = ""
    notices: tuple[str, ...] = ()
    waiting: Mapping[str, Any] | None = None
    forked_from: str = ""

    @classmethod
    def read(cls, summary: Mapping[str, Any]) -> Standing:
        """Read a summary; what is not what it should be counts as not there."""
        notices = summary.get("notices")
        return cls(
            execution=whole_number(summary.get("execution")) or 0,
            began=whole_number(summary.get("began")),
            spent=whole_number(summary.get("ms")) or 0,
            costs=Costs.read(summary),
            error=text_of(summary.get("error")),
            failed_at=text_of(summary.get("failed_at")),
            notices=tuple(filter(None, map(text_of, notices if isinstance(notices, list) else ()))),
            waiting=small_mapping(summary.get("waiting")),
            forked_from=text_of(summary.get(FORKED_FROM)),
        )

    def milliseconds(self, until: int) -> int:
        """Give how long the run was executed, one that has not ended *until* then."""
        return self.spent + (0 if self.began is None else max(until - self.began, 0))

    def fields(self) -> dict[str, Any]:
        """Give the summary: what is empty is left out."""
        every: dict[str, Any] = {
            "execution": self.execution,
            "began": self.began,
            "ms": self.spent,
            **self.costs.fields(),
            "error": cut_error(self.error),
            "failed_at": self.failed_at,
            "notices": self._noticed(),
            "waiting": dict(self.waiting) if self.waiting else None,
            FORKED_FROM: self.forked_from,
        }
        return {name: value for name, value in every.items() if value}

    def _noticed(self) -> list[str]:
        kept = [_cut(text, NOTICE_CHARACTERS) for text in self.notices[:MOST_NOTICES]]
        more = len(self.notices) - len(kept)
        return [*kept, f"and {more:,} more"] if more else kept

    def begun(self, now: int, before: int, number: int = 1) -> Standing:
        """Give how the run stands when its execution *number* begins, *now*.

        The execution before, if it had no end, ended when its last checkpoint was made, *before*.
        """
        return Standing(
            execution=number,
            began=now,
            spent=self.milliseconds(before),
            costs=self.costs,
            forked_from=self.forked_from,
        )

    def ended(self, now: int, *, error: str, failed_at: str, notices: Sequence[str]) -> Standing:
        """Give how the run stands when its execution ends, *now*."""
        return self._replace(
            began=None,
            spent=self.milliseconds(now),
            error=error,
            failed_at=failed_at,
            notices=tuple(notices),
        )


class Execution(NamedTuple):
    """One execution of a run: when it began and how long it took, in milliseconds, and its end.

    `milliseconds` is None and `status` is `running` until it ends. `number` counts from 1; a fork
    goes on counting where the run that it was forked from stood, whose facts it has.
    """

    started: int
    milliseconds: int | None = None
    status: str = "running"
    number: int = 1


def read_executions(note: str) -> list[Execution]:
    """Read what `executions_text` gave; what is none of it is left out."""
    try:
        rows = json.loads(note)
    except (ValueError, RecursionError):
        return []
    every = rows if isinstance(rows, list) else []
    return [Execution(*row) for row in every if isinstance(row, list) and _is_execution(row)]


def _is_execution(row: list[Any]) -> bool:
    """Whether *row* is a beginning and, as far as it goes, a duration, an end and a number."""
    match row:
        case [began] | [began, None] | [began, None, str()]:
            numbers = [began]
        case [began, None, str(), number]:
            numbers = [began, number]
        case [began, took] | [began, took, str()]:
            numbers = [began, took]
        case [began, took, str(), number]:
            numbers = [began, took, number]
        case _:
            return False
    return None not in map(whole_number, numbers)


def with_next(
    earlier: Sequence[Execution], now: int, before: int, *, is_fork: bool
) -> list[Execution]:
    """Give a run's executions with the one that begins *now*.

    *earlier* are those that its checkpoint knows; one without an end ended *before*. They are not
    the run's own where it is a fork that was not executed yet.
    """
    number = earlier[-1].number + 1 if earlier else 1
    own = [] if is_fork else list(earlier)
    if own and own[-1].milliseconds is None:
        last = own[-1]
        own[-1] = last._replace(milliseconds=max(before - last.started, 0), status="killed")
    return [*own, Execution(now, number=number)]


def executions_text(executions: Sequence[Execution]) -> str:
    """Give the executions of a run as a note."""
    return json.dumps([list(execution) for execution in executions], separators=(",", ":"))


def cut_error(text: str) -> str:
    """Give what a ref keeps of an error: its first line, and the ends of what comes below it.

    What is below a line that ends in a colon and is not indented is a stream; each keeps its end.
    """
    if len(text.encode("utf-8", "backslashreplace")) <= ERROR_BYTES:
        return text
    first, _, rest = text.partition("\n")
    parts = _streams(rest)
    first = _cut(first, ERROR_BYTES // 8)
    room = (ERROR_BYTES - 4 * len(first)) // max(len(parts), 1)
    return "\n".join([first, *(_end(part, room) for part in parts)])


def _streams(text: str) -> list[str]:
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            parts.append([])
        parts[-1].append(line)
    every = ["\n".join(lines) for lines in parts if lines]
    return every if len(every) <= 4 else [text]


def _end(part: str, room: int) -> str:
    """Give the name of a stream and as many of its last lines as *room* bytes hold."""
    head, _, body = part.partition("\n")
    if len(part.encode("utf-8", "backslashreplace")) <= room:
        return part
    head = _cut(head, 60)
    room -= 4 * len(head) + len(_LEFT_OUT.encode()) + 4
    end = body.encode("utf-8", "backslashreplace")[-max(room, 0) :].decode("utf-8", "ignore")
    _, whole, lines = end.partition("\n")
    return f"{head}\n{_LEFT_OUT}\n{lines if whole else end}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}{_LEFT_OUT}"
