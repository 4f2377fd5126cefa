"""What work looks like while it goes on: of a run a line per event for people, a JSON line per event for programs."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Final

from maverick.cli.render import duration, has_colour, is_terminal, json_text, one_line, paint, size
from maverick.cli.streams import print_err, warn, write_err

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from maverick.dsl.events import Event, Kind

_KEY: Final = re.compile(r'\["(?:[^"\\]|\\.)*"\]')
_VERBS: Final[Mapping[Kind, tuple[str, str]]] = {
    "step_started": ("start", ""),
    "step_done": ("done", "green"),
    "step_failed": ("failed", "red"),
    "step_skipped": ("skipped", "dim"),
    "step_recalled": ("recalled", "cyan"),
    "step_retried": ("retry", "yellow"),
    "checkpoint_saved": ("saved", "cyan"),
    "notice": ("note", "yellow"),
}
_LONGEST_MESSAGE: Final = 300
_LONGEST_LINE: Final = 2000
"""Of what an agent says, in characters; the rest of a line is left out."""
_MOST_LINES: Final = 1000
"""Shown of what an agent says at once, in one event; no person reads more."""
_DRAWN_EVERY_SECONDS: Final = 0.1
_BAR_WIDTH: Final = 24
_USUAL_COLUMNS: Final = 80


def depth(path: str) -> int:
    """How deep a step stands: the number of steps around it, iterations of a loop counted with it."""
    plain = _KEY.sub("[]", path)
    return plain.count(".") + plain.endswith("]")


def progress_line(event: Event, *, colour: bool) -> str | None:
    """Give what a person sees of *event*; None for an event that is not shown."""
    match event.event:
        case "run_started" | "run_resumed":
            verb = "run" if event.event == "run_started" else "resume"
            return f"{verb:>8}  {paint(one_line(event.message), 'bold', on=colour)}"
        case "step_output" | "run_finished":
            return None
    verb, tint = _VERBS.get(event.event, (event.event, ""))
    indent = "  " * depth(event.step)
    head = f"{paint(f'{verb:>8}', tint, on=colour)}  {indent}{one_line(event.step)}"
    time = f"  {duration(event.seconds)}" if event.seconds is not None else ""
    return f"{head}{paint(time, 'dim', on=colour)}{_message(event)}".rstrip()


def _message(event: Event) -> str:
    text = event.message.strip().partition("\n")[0][:_LONGEST_MESSAGE]
    if event.event == "step_retried" and "attempt" in event.data:
        text = f"attempt {event.data['attempt']} failed: {text}"
    if not text:
        return ""
    return f"  {one_line(text)}" if event.step else one_line(text)


class Progress:
    """Prints a line per event to standard error. Threads may share it; it never fails."""

    def __init__(self, *, plain: bool) -> None:
        self._colour = has_colour(sys.stderr, plain=plain)
        self._unended: dict[tuple[str, str], str] = {}

    def __call__(self, event: Event) -> None:
        """Print *event*; of agents, also what they say, line by line."""
        if event.event == "step_output" and event.type == "agent":
            head = f"{'':>7}{paint('|', 'dim', on=self._colour)}  {'  ' * depth(event.step)}"
            if said := self._said(event):
                print_err("\n".join(head + one_line(line) for line in said))
        line = progress_line(event, colour=self._colour)
        if line is not None:
            print_err(line)

    def _said(self, event: Event) -> list[str]:
        """The lines that have come to their end, not all of a flood; the rest waits for what follows it."""
        stream = (event.step, str(event.data.get("stream", "")))
        first, *others = str(event.data.get("text", "")).split("\n")
        lines = [self._unended.pop(stream, "") + first, *others]
        if rest := lines.pop()[: _LONGEST_LINE + 1]:
            self._unended[stream] = rest
        said = [_cut(line) for line in lines if line.strip()]
        if len(said) > _MOST_LINES:
            said[_MOST_LINES:] = [f"({len(said) - _MOST_LINES:,} more lines)"]
        return said


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + "…"


class Bar:
    """Shows in one line of a terminal, which is drawn anew, how far the work *verb* is; elsewhere nothing.

    It costs next to nothing: the line is drawn ten times a second, and when all is done. Leaving the block clears
    the line, whatever ended it.
    """

    def __init__(self, verb: str, *, shown: bool = True) -> None:
        self._verb = verb
        self._shown = shown and is_terminal(sys.stderr)
        self._colour = has_colour(sys.stderr)
        self._next = 0.0
        self._drawn = 0

    def say(self, text: str) -> None:
        """Show what is done before anybody knows how much there is to do."""
        self._draw(f"{self._verb:>8}  {text}")

    def __call__(self, done: int, total: int) -> None:
        """Show that *done* of *total* bytes are done."""
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + _DRAWN_EVERY_SECONDS
            self._draw(bar_line(self._verb, done, total))

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the line."""
        if self._drawn:
            self._draw("")
            write_err("\r")

    def _draw(self, line: str) -> None:
        if self._shown:
            line = line[: _columns() - 1]  # a longer one would be two, of which only the last is drawn anew
            text = line.replace(self._verb, paint(self._verb, "cyan", on=self._colour), 1)
            write_err(f"\r{text}{' ' * (self._drawn - len(line))}")
            self._drawn = len(line)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    except (OSError, ValueError):
        return _USUAL_COLUMNS


def bar_line(verb: str, done: int, total: int) -> str:
    """Give what a person sees of a work of which *done* of *total* bytes are done."""
    share = done / total if total else 1.0
    filled = int(share * _BAR_WIDTH)
    bar = "#" * filled + "-" * (_BAR_WIDTH - filled)
    return f"{verb:>8}  [{bar}] {int(share * 100):>3} %  {size(done)} of {size(total)}"


class EventLines:
    """Writes a JSON object per event to *file*, each flushed. Threads may share it.

    When the file cannot be written any more it says so once and goes silent: a run does not end for that.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._broken = False

    def __call__(self, event: Event) -> None:
        """Write *event*."""
        line = json_text(
            {
                "event": event.event,
                "step": event.step,
                "type": event.type,
                "time": event.time,
                "seconds": event.seconds,
                "message": event.message,
                "data": event.data if isinstance(event.data, dict) else dict(event.data),
            },
            indent=None,
        )
        with self._lock:
            if self._broken:
                return
            try:
                self._file.write(line + "\n")
                self._file.flush()
            except (OSError, ValueError) as error:
                self._broken = True
                if not isinstance(error, BrokenPipeError):
                    warn(f"events are not written any more: {error}")
