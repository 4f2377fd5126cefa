"""What work looks like while it goes on: of a run a line per event for people, a JSON line per
event for programs.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from maverick.cli.terminal.render import duration, json_text, paint, size
from maverick.cli.terminal.streams import can_draw, has_colour, print_err, warn, write_err
from maverick.dsl.paths import StepPath
from maverick.visible import Shown, last_states, one_line, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from maverick.dsl.events import Event, Kind

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
_START_OF_LINE: Final = Shown("\r")
_ENDS: Final = frozenset({"step_done", "step_failed", "step_retried"})


def progress_line(event: Event, *, colour: bool) -> Shown | None:
    """Give what a person sees of *event*; None for an event that is not shown."""
    match event.event:
        case "run_started" | "run_resumed":
            verb = "run" if event.event == "run_started" else "resume"
            return shown(f"{verb:>8}  ", paint(event.message, "bold", on=colour))
        case "step_output" | "run_finished":
            return None
    verb, tint = _VERBS.get(event.event, (event.event, ""))
    if event.event == "step_done" and event.message:  # Something is not as it should be.
        tint = "yellow"
    indent = "  " * StepPath(event.step).depth
    time = f"  {duration(event.seconds)}" if event.seconds is not None else ""
    head = shown(paint(f"{verb:>8}", tint, on=colour), f"  {indent}{one_line(event.step)}")
    return Shown(shown(head, paint(time, "dim", on=colour), _message(event)).rstrip())


def _message(event: Event) -> str:
    """The first line of what is said, but of a failure that is told elsewhere: by the step in it,
    or at the end.
    """
    if event.data.get("fatal") or event.data.get("failed_at"):
        return ""
    text = last_states(event.message).strip().partition("\n")[0][:_LONGEST_MESSAGE]
    match event.data:
        case {"attempt": attempt, "of": attempts, "wait": float() | int() as wait}:
            # of a step that is tried again
            again = f", again in {duration(wait)}" if wait else ""
            text = f"attempt {attempt} of {attempts} failed{again}: {text}"
    if not text:
        return ""
    return f"  {one_line(text)}" if event.step else one_line(text)


class Progress:
    """Prints a line per event to standard error. Threads may share it; it never fails.

    What an agent says is shown line by line; while several are at work, each line begins with its
    step.
    """

    def __init__(self, *, plain: bool) -> None:
        self._colour = has_colour(sys.stderr, plain=plain)
        self._unended: dict[tuple[str, str], str] = {}
        self._agents: set[str] = set()
        """The paths of the agent steps that are at work."""

    def __call__(self, event: Event) -> None:
        if event.type == "agent":
            self._follow_agent(event)
        line = progress_line(event, colour=self._colour)
        if line is not None:
            print_err(line)

    def _follow_agent(self, event: Event) -> None:
        """Show what the agent of a step says; the rest of a line, once the attempt is over."""
        if event.event == "step_started":
            self._agents.add(event.step)
        elif event.event == "step_output":
            self._print_lines(event.step, self._whole_lines(event))
        elif event.event in _ENDS:
            rests = [
                self._unended.pop(stream)
                for stream in list(self._unended)
                if stream[0] == event.step
            ]
            self._print_lines(
                event.step, [_cut(line) for line in map(last_states, rests) if line.strip()]
            )
            if event.event != "step_retried":
                self._agents.discard(event.step)

    def _print_lines(self, step: str, lines: list[str]) -> None:
        if not lines:
            return
        bar, indent = paint("|", "dim", on=self._colour), "  " * StepPath(step).depth
        who = f"{one_line(step)} | " if len(self._agents) > 1 else ""
        head = shown(f"{'':>7}", bar, f"  {indent}{who}")
        print_err(Shown("\n".join(head + one_line(line) for line in lines)))

    def _whole_lines(self, event: Event) -> list[str]:
        """The lines that have come to their end, not all of a flood; the rest waits for what
        follows it.
        """
        stream = (event.step, str(event.data.get("stream", "")))
        first, *others = str(event.data.get("text", "")).split("\n")
        lines = [self._unended.pop(stream, "") + first, *others]
        if rest := lines.pop():
            # Or the end of the line, if \n comes next.
            repainted = "\r" if rest.endswith("\r") else ""
            self._unended[stream] = last_states(rest)[: _LONGEST_LINE + 1] + repainted
        whole = [_cut(line) for line in map(last_states, lines) if line.strip()]
        if len(whole) > _MOST_LINES:
            whole[_MOST_LINES:] = [f"({len(whole) - _MOST_LINES:,} more lines)"]
        return whole


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + "…"


class Bar:
    """Shows in one line of a terminal, which is drawn anew, how far the work *verb* is; elsewhere
    nothing.

    It costs next to nothing: the line is drawn ten times a second, and when all is done. Leaving
    the block clears the line, whatever ended it.
    """

    def __init__(self, verb: str, *, shown: bool = True) -> None:
        self._verb = verb
        self._shown = shown and can_draw(sys.stderr)
        self._colour = has_colour(sys.stderr)
        self._next = 0.0
        self._drawn = 0

    def show_text(self, text: str) -> None:
        """Show what is done before anybody knows how much there is to do."""
        self._draw(f"{self._verb:>8}  {text}")

    def __call__(self, done: int, total: int) -> None:
        """Show that *done* of *total* bytes are done."""
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + _DRAWN_EVERY_SECONDS
            self._draw(bar_line(self._verb, done, total))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._draw("")
            write_err(_START_OF_LINE)

    def _draw(self, line: str) -> None:
        if self._shown:
            # a longer one would be two, of which only the last is drawn anew
            line = line[: _columns() - 1]
            before, verb, after = line.partition(self._verb)
            rest = " " * (self._drawn - len(line))
            write_err(
                shown(_START_OF_LINE, before, paint(verb, "cyan", on=self._colour), after, rest)
            )
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

    *begin* is done to the file when the first event comes: a command that does not come to run
    anything leaves it as it was. When the file cannot be written any more it says so once and goes
    silent: a run does not end for that.
    """

    def __init__(self, file: IO[str], begin: Callable[[IO[str]], None] | None = None) -> None:
        self._file = file
        self._begin = begin
        self._lock = threading.Lock()
        self._broken = False

    def __call__(self, event: Event) -> None:
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
                if self._begin is not None:
                    self._begin(self._file)
                    self._begin = None
                self._file.write(line + "\n")
                self._file.flush()
            except (OSError, ValueError) as error:
                self._break(error)

    def close(self) -> None:
        """Close the file. What could not be written is lost; it was said."""
        try:
            self._file.close()
        except (OSError, ValueError) as error:
            if not self._broken:
                self._break(error)

    def _break(self, error: Exception) -> None:
        self._broken = True
        if not isinstance(error, BrokenPipeError):
            warn(f"events are no longer written: {error}")


def empty(file: IO[str]) -> None:
    """Drop what *file* held, unless it is a pipe or a device."""
    if _is_regular(file):
        file.truncate(0)


def end_line(file: IO[str]) -> None:
    """End the last line of *file*, which is open to append, if a kill cut it off."""
    if _is_regular(file) and _is_cut_off(Path(file.name)):
        file.write("\n")


def _is_regular(file: IO[str]) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _is_cut_off(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
