"""What people see of a run: one line for each thing that ends, begins or is worth a note.

`Lines` prints them where nobody watches a terminal: each with the time of day, what steps write
below. On a terminal the same lines scroll by without it, above what runs now (see `display`).
"""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from maverick.cli.terminal.iterations import Iterations
from maverick.cli.terminal.render import is_utf8, paint
from maverick.cli.terminal.said import Said
from maverick.cli.terminal.streams import has_colour, write_to
from maverick.visible import Shown, columns, duration, fit, last_states, one_line, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maverick.dsl.events import Event, Kind


class Look(NamedTuple):
    """How an event looks: as a word in a line, as a sign on a terminal (where that is ASCII, too),
    and its colour.
    """

    word: str
    sign: str
    plain_sign: str
    tint: str


class Part(NamedTuple):
    """A part of a line. Of two the one of less *worth* is cut first where there is no room."""

    text: str
    tint: str
    worth: int
    is_path: bool = False
    is_whole: bool = False
    """It is left out rather than cut."""


_LOOKS: Final[Mapping[Kind, Look]] = {
    "run_started": Look("run", "▶", ">", "bold"),
    "run_resumed": Look("resume", "▶", ">", "bold"),
    "step_started": Look("start", "▸", ">", ""),
    "step_done": Look("done", "✓", "+", "green"),
    "step_failed": Look("failed", "✗", "x", "red"),
    "step_skipped": Look("skipped", "-", "-", "dim"),
    "step_recalled": Look("recalled", "✓", "+", "cyan"),
    "step_retried": Look("retry", "↻", "~", "yellow"),
    "checkpoint_saved": Look("saved", "●", "*", "cyan"),
    "notice": Look("note", "!", "!", "yellow"),
}
_UNSHOWN: Final = frozenset({"step_output", "run_finished", "iteration_started", "iteration_ended"})
_LONGEST_MESSAGE: Final = 300
_LEAST_PART: Final = 12
"""Columns of a part of a line that is cut."""


def progress_line(
    event: Event, *, colour: bool, where: str = "", verbose: bool = True, clock: bool = False
) -> Shown | None:
    """Give what a line says of *event*, which stands in the iteration *where*; None for one that is
    not shown.

    Without *verbose* neither a step that is made of steps nor a skipped one is.
    """
    if is_left_out(event, verbose=verbose):
        return None
    look = _look(event)
    moment = time.strftime("%H:%M:%S  ", time.localtime(event.time)) if clock else ""
    head = shown(
        paint(moment, "dim", on=colour), paint(f"{look.word:>8}", look.tint, on=colour), "  "
    )
    return Shown(shown(head, *_about(event, where, colour=colour)).rstrip())


def sign_line(
    event: Event, *, colour: bool, where: str, verbose: bool, width: int, utf8: bool = True
) -> Shown | None:
    """Give the line of *event* as it scrolls by on a terminal of *width* columns; else as
    `progress_line`.
    """
    if event.event == "step_started" or is_left_out(event, verbose=verbose):
        return None
    look = _look(event)
    sign = look.sign if utf8 else look.plain_sign
    parts = _parts(event, where, fatal_too=True)
    if event.event in {"step_recalled", "step_skipped"}:
        parts.append(Part(f"  {look.word}", "dim", 5))
    texts = [one_line(part.text) for part in parts]
    wanted = [columns(text) for text in texts]
    widths = share(
        wanted,
        [
            size if part.is_whole else min(size, _LEAST_PART)
            for size, part in zip(wanted, parts, strict=True)
        ],
        width - 2,
        sorted(range(len(parts)), key=lambda number: parts[number].worth),
    )
    pieces = [
        paint(cut_left(text, size) if part.is_path else fit(text, size), part.tint, on=colour)
        for text, size, part in zip(texts, widths, parts, strict=True)
    ]
    return Shown(shown(paint(sign, look.tint, on=colour), " ", *pieces).rstrip())


def share(
    wanted: Sequence[int], least: Sequence[int], room: int, order: Sequence[int]
) -> list[int]:
    """Give how many columns of *room* each part of a line gets: what it *wanted*, where that fits.

    Else they shrink, those most that have most to lose, down to the *least* each. If that does not
    do, they are left out in *order* but the last, which is cut.
    """
    given = list(wanted)
    loose = [max(size - smallest, 0) for size, smallest in zip(wanted, least, strict=True)]
    if (excess := sum(given) - room) > 0 and any(loose):
        shrunk = min(excess / sum(loose), 1.0)
        given = [size - math.ceil(shrunk * slack) for size, slack in zip(given, loose, strict=True)]
    for number in order:
        if sum(given) > room:
            given[number] = max(room, 0) if number == order[-1] else 0
    for number in reversed(order):  # What was left out made room for the others.
        more = min(wanted[number] - given[number], room - sum(given))
        given[number] += max(more, 0) if given[number] else 0
    return given


def cut_left(text: str, width: int) -> str:
    """Give the end of *text* that fits in *width* columns, after `…` where it is cut."""
    if columns(text) <= width:
        return text
    if width < 1:
        return ""
    while text and columns(text) > width - 1:
        text = text[1:]
    return f"…{text}"


def _look(event: Event) -> Look:
    look = _LOOKS.get(event.event, Look(event.event, "?", "?", ""))
    if event.event == "step_done" and event.message:  # Something is not as it should be.
        return look._replace(sign="!", plain_sign="!", tint="yellow")
    return look


def is_left_out(event: Event, *, verbose: bool) -> bool:
    """Whether *event* has no line of its own."""
    if event.event in _UNSHOWN or "repeats" in event.data:
        return True
    if event.type == "checkpoint" and event.event in {"step_started", "step_done"}:
        return True  # That it was saved says it all.
    if verbose:
        return False
    if event.data.get("composite"):
        is_plain = event.event == "step_started" or (
            event.event == "step_done" and not event.message
        )
        return is_plain or "failed_at" in event.data
    return event.event == "step_skipped"


def _about(event: Event, where: str, *, colour: bool) -> list[str]:
    parts = _parts(event, where, fatal_too=False)
    return [paint(part.text, part.tint, on=colour) for part in parts]


def _parts(event: Event, where: str, *, fatal_too: bool) -> list[Part]:
    """Give what a line says behind its word or sign."""
    if event.event in {"run_started", "run_resumed"}:
        return [Part(event.message, "bold", 9)]
    attempts = event.data.get("attempts")
    has_tries = isinstance(attempts, int) and attempts > 1
    parts = [
        Part(event.step, "", 9, is_path=True),
        Part(where, "dim", 1),
        Part(duration(event.seconds) if event.seconds is not None else "", "dim", 4),
        Part(f"{attempts} attempts" if has_tries else "", "yellow", 2, is_whole=True),
        Part(_message(event, fatal_too=fatal_too), "", 3),
    ]
    told = [part for part in parts if part.text]
    return [*told[:1], *(part._replace(text=f"  {part.text}") for part in told[1:])]


def _message(event: Event, *, fatal_too: bool) -> str:
    """The first line of what is said, but of a failure that is told elsewhere: by the step in it,
    or at the end.
    """
    if event.data.get("failed_at") or (event.data.get("fatal") and not fatal_too):
        return ""
    text = last_states(event.message).strip().partition("\n")[0][:_LONGEST_MESSAGE]
    if event.event == "checkpoint_saved" and text:
        return f"@{text}"
    match event.data:
        case {"attempt": attempt, "of": attempts, "wait": float() | int() as wait}:
            # of a step that is tried again
            again = f", again in {duration(wait)}" if wait else ""
            of = f" of {attempts}" if attempts else ""
            text = f"attempt {attempt}{of} failed{again}" + (f": {text}" if text else "")
    return text


class Lines:
    """Prints a line per event to standard error, as it stands now: whoever turns it elsewhere
    later does not hear it. Threads may share it; it never fails.

    What steps write is shown line by line, each beginning with its step.
    """

    def __init__(self, *, plain: bool = False, verbose: bool = False, clock: bool = True) -> None:
        self._stream: IO[str] | Any = sys.stderr
        self._colour = has_colour(sys.stderr, plain=plain)
        self._bar = "│" if is_utf8(sys.stderr) else "|"
        self._verbose = verbose
        self._clock = clock
        self._said = Said()
        self._iterations = Iterations()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._iterations.note(event)
            said = self._said.lines(event)
            where = self._iterations.text_around(event.step)
        lines = [shown_output(event, text, self._bar, colour=self._colour) for text in said]
        if self._clock:
            lines = [shown(" " * 10, line) for line in lines]
        line = progress_line(
            event,
            colour=self._colour,
            where=where,
            verbose=self._verbose,
            clock=self._clock,
        )
        if line is not None:
            lines.append(line)
        if lines:
            write_to(self._stream, Shown("".join(f"{line}\n" for line in lines)))


def shown_output(event: Event, text: str, bar: str, *, colour: bool) -> Shown:
    """Give a line *text* that the step of *event* wrote."""
    head = f"{bar} {one_line(event.step)}"
    return shown(" " * 7, paint(head, "dim", on=colour), f"  {one_line(text)}")
