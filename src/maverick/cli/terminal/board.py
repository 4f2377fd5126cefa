"""What a run is doing now, as its events tell it. It keeps the steps that run, and no text of them
but the end of what each wrote last.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.cli.terminal.iterations import Iterations
from maverick.visible import last_lines, one_line

if TYPE_CHECKING:
    from maverick.dsl.events import Event
    from maverick.runs.past import Past

KEPT_CHARACTERS: Final = 1000
"""Of what a step wrote last."""


class Row(NamedTuple):
    """A step that runs: where it stands, since when (in seconds since the epoch), at which of how
    many attempts (0: nobody knows), and the last line that it wrote.
    """

    path: str
    where: str
    since: float
    attempt: int
    attempts: int
    last: str


class Frame(NamedTuple):
    """What is to be seen now: the steps that run, in the order in which they began, and counts."""

    rows: tuple[Row, ...]
    began: float
    """When the run was begun or resumed, in seconds since the epoch; 0: nobody knows."""
    counts: tuple[tuple[int, str], ...]
    left: float | None
    """About how many seconds are left."""


class _Running:
    """A step that runs."""

    __slots__ = ("attempt", "attempts", "since", "stream", "tail")

    def __init__(self, since: float) -> None:
        self.since = since
        self.attempt = 1
        self.attempts = 0
        self.tail = ""
        self.stream = ""

    def write(self, stream: str, text: str) -> None:
        """Take what it wrote; only the end is kept."""
        if stream != self.stream:
            self.stream, self.tail = stream, f"{self.tail}\n" if self.tail else ""
        self.tail = (self.tail + text)[-KEPT_CHARACTERS:]

    @property
    def last(self) -> str:
        """Give the last line that it wrote."""
        lines = last_lines(self.tail, 1)
        return one_line(lines[0].strip()) if lines else ""


class Board:
    """Takes events, and gives what is to be seen of them. One thread at a time."""

    def __init__(self) -> None:
        self.iterations = Iterations()
        self.began = 0.0
        self._running: dict[str, _Running] = {}
        self._counts = dict.fromkeys(("done", "recalled", "skipped", "failed"), 0)
        self._past: Past | None = None
        self._over = 0.0
        """How long what is over took in the past."""

    def take(self, event: Event) -> None:
        """Take the next event."""
        match event.event:
            case "step_output":
                if event.step in self._running:
                    stream = str(event.data.get("stream", ""))
                    self._running[event.step].write(stream, str(event.data.get("text", "")))
            case "iteration_started" | "iteration_ended":
                self.iterations.note(event)
            case "run_started" | "run_resumed":
                self.began = event.time
            case "step_started" if not event.data.get("composite"):
                self._running[event.step] = _Running(event.time)
            case "step_retried" if event.step in self._running:
                self._retry(event)
            case "step_done" | "step_failed" | "step_recalled" | "step_skipped":
                self._end(event)

    def _retry(self, event: Event) -> None:
        running = self._running[event.step]
        match event.data:
            case {"attempt": int() as attempt, "of": int() as attempts}:
                running.attempt, running.attempts = attempt + 1, attempts
        running.tail = f"{event.message.partition(chr(10))[0][:KEPT_CHARACTERS]}\n"

    def _end(self, event: Event) -> None:
        self._running.pop(event.step, None)
        if not event.data.get("composite") and event.type != "checkpoint":
            self._counts[event.event.removeprefix("step_")] += 1
        if self._past is not None:
            self._over += self._past.steps.get(event.step, 0.0)

    def look_back(self, past: Past, over: float = 0.0) -> None:
        """Take what an earlier run took; *over* is how long what is over by now took there."""
        self._past, self._over = past, over

    def frame(self, now: float) -> Frame:
        """Give what is to be seen *now*, in seconds since the epoch."""
        rows = tuple(
            Row(
                path,
                self.iterations.text_around(path),
                running.since,
                running.attempt,
                running.attempts,
                running.last,
            )
            for path, running in self._running.items()
        )
        counts = tuple((count, name) for name, count in self._counts.items() if count)
        return Frame(rows, self.began, counts, self._left(now))

    def _left(self, now: float) -> float | None:
        """Give about how many seconds are left: what took its time in the past and is not over, as
        many at once as then.
        """
        if self._past is None:
            return None
        steps, work = self._past.steps, math.fsum(self._past.steps.values())
        if work <= 0:
            return None
        over = self._over + sum(
            min(now - running.since, steps.get(path, 0.0))
            for path, running in self._running.items()
        )
        return self._past.seconds * max(work - over, 0.0) / work
