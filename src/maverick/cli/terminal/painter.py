"""Paints what runs now, by Rich: lines that are never wider, and never more, than the terminal has
room for. Only a display that has begun to work imports this.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from maverick.cli.terminal.progress import cut_left, share
from maverick.visible import one_line

if TYPE_CHECKING:
    from maverick.cli.terminal.board import Frame, Row

_LEAST: Final = (16, 20, 14, 14)
"""Columns that a step's path, attempt, iteration and last line need; with fewer one is left out."""
_ORDER: Final = (2, 3, 1, 0)
"""In which they are cut."""
_ROWS_FOR_A_GAP: Final = 8
"""Of a terminal that has room for an empty line above what runs: what somebody types lands there.
"""
_LEAST_LEFT_SECONDS: Final = 1.0


class Painter:
    """Gives the lines of a frame as a terminal takes them."""

    def __init__(self, *, colour: bool, utf8: bool) -> None:
        self._console = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system="standard" if colour else None,
            no_color=not colour,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._sign, self._bar, self._dot = ("▸", "│", "·") if utf8 else (">", "|", "-")

    def lines(self, frame: Frame, now: float, columns: int, rows: int) -> list[str]:
        """Give the lines of *frame*: the last column and, of several, one row stay empty."""
        width = max(columns - 1, 1)
        room = max(rows - 1, 1)
        head = [""] if rows >= _ROWS_FOR_A_GAP else []
        room -= len(head)
        most = min(rows // 2, room - 1)
        shown = frame.rows
        if len(shown) > most:
            shown = shown[: max(min(most, room - 2), 0)]
        texts = [self._row(row, now, width) for row in shown]
        if len(shown) < len(frame.rows) and room > 1:
            texts.append(Text(f"   and {len(frame.rows) - len(shown)} more", style="dim"))
        texts.append(Text(self._status(frame, now, width), style="dim"))
        return [*head, *(self._painted(text, width) for text in texts)]

    def _painted(self, text: Text, width: int) -> str:
        text.truncate(width, overflow="ellipsis")
        with self._console.capture() as capture:
            self._console.print(text, end="", soft_wrap=True)
        return capture.get()

    def _row(self, row: Row, now: float, width: int) -> Text:
        """A step: its path is cut from the left, where it says least."""
        elapsed = f"  {clock(max(now - row.since, 0))}"
        tries = ""
        if row.attempt > 1:
            tries = f"  attempt {row.attempt}" + (f"/{row.attempts}" if row.attempts else "")
        sign = f" {self._sign} "
        room = width - cell_len(sign + elapsed)
        path, where = one_line(row.path), one_line(row.where)
        where = f"  {where}" if where else ""
        last = f"  {self._bar} {row.last}" if row.last else ""
        wanted = [cell_len(part) for part in (path, tries, where, last)]
        least = [min(size, smallest) for size, smallest in zip(wanted, _LEAST, strict=True)]
        for_path, for_tries, for_where, for_last = share(wanted, least, room, _ORDER)
        return Text.assemble(
            (sign, "cyan"),
            cut_left(path, for_path),
            (_cut_right(where, for_where), "cyan"),
            (elapsed, "bold"),
            (_cut_right(tries, for_tries), "yellow"),
            (_cut_right(last, for_last), "dim"),
        )

    def _status(self, frame: Frame, now: float, width: int) -> str:
        """How long, how much, and how long yet: as many of these as there is room for."""
        parts = [clock(max(now - frame.began, 0))] if frame.began else []
        if frame.left is not None and frame.left >= _LEAST_LEFT_SECONDS:
            parts.append(f"about {clock(frame.left)} left")
        parts += [f"{count:,} {name}" for count, name in frame.counts]
        text = "   "
        for number, part in enumerate(parts):
            longer = f"{text}{f' {self._dot} ' if number else ''}{part}"
            if cell_len(longer) > width and number:
                break
            text = longer
        return text


def clock(seconds: float) -> str:
    """Give a time that goes on: `0:21`, `12:05`, `1:02:33`."""
    minutes, rest = divmod(math.floor(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _cut_right(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    line = Text(text)
    line.truncate(width, overflow="ellipsis")
    return line.plain
