"""How far a work is whose size is known, in one line of a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from maverick.cli.terminal.render import paint, size
from maverick.cli.terminal.streams import can_draw, has_colour, write_err
from maverick.visible import Shown, shown

if TYPE_CHECKING:
    from typing import Self

_DRAWN_EVERY_SECONDS: Final = 0.1
_BAR_WIDTH: Final = 24
_USUAL_COLUMNS: Final = 80
_START_OF_LINE: Final = Shown("\r")


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
