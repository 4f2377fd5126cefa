"""Lines of a workflow file under the problems that stand in them, with a caret."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from maverick.cli.terminal.render import hanging, line_width
from maverick.cli.terminal.streams import is_terminal
from maverick.visible import columns, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maverick.errors import Excerpt, Problem

_WIDTH: Final = 100
"""How many columns a line takes where there is no terminal."""
_TAB: Final = "    "
_WORD: Final = re.compile(r"[\w.-]+|\$\{\{|.")
"""What the caret underlines: a word, or one character."""


def with_lines(problems: Sequence[Problem], *, lead: int = 0) -> str:
    """Give *problems* in lines that begin with their places, each followed by its line of the file.

    Of several at one place the line stands under the last. On a terminal a message is folded to its
    width, of which *lead* columns are taken already.
    """
    limit = line_width(sys.stderr)
    room = limit - lead if limit is not None and is_terminal(sys.stderr) else None
    width = limit or _WIDTH
    lines: list[str] = []
    for number, problem in enumerate(problems):
        for line in str(problem).split("\n"):
            lines += hanging(line, room)
        following = problems[number + 1] if number + 1 < len(problems) else None
        if problem.excerpt.text and (following is None or problem[:3] != following[:3]):
            lines += excerpt_lines(problem.line, problem.excerpt, width)
    return "\n".join(lines)


def excerpt_lines(line: int, excerpt: Excerpt, width: int) -> list[str]:
    """Give the line of a file, numbered, and below it the caret; both are at most *width* columns.

    A longer one is cut around the caret. What a terminal would obey is shown as an escape.
    """
    number = str(line)
    gutter = len(number) + 4
    position = excerpt.column - 1
    match = _WORD.match(excerpt.text, position)
    end = match.end() if match else position + 1
    cells = [_TAB if char == "\t" else one_line(char) for char in excerpt.text]
    start, stop = _window(cells, position, width - gutter, excerpt)
    before = "…" if start or excerpt.has_before else ""
    after = "…" if stop < len(cells) or excerpt.has_after else ""
    blanks = columns(before + "".join(cells[start:position]))
    marked = columns("".join(cells[position : min(end, stop)])) or 1
    return [
        f" {number} | {before}{''.join(cells[start:stop])}{after}",
        f" {' ' * len(number)} | {' ' * blanks}{'^' * marked}",
    ]


def _window(cells: list[str], position: int, room: int, excerpt: Excerpt) -> tuple[int, int]:
    """Give the part of *cells* that fits into *room* columns, with what stands at *position* in it.

    Room for the `…` at both ends is left where something is cut.
    """
    widths = [columns(cell) for cell in cells]
    if sum(widths) <= room and not (excerpt.has_before or excerpt.has_after):
        return 0, len(cells)
    room -= 2
    start, taken = position, 0
    while start > 0 and taken + widths[start - 1] <= room * 2 // 3:
        start -= 1
        taken += widths[start]
    stop = position
    while stop < len(cells) and taken + widths[stop] <= room:
        taken += widths[stop]
        stop += 1
    while start > 0 and taken + widths[start - 1] <= room:  # Little stands behind it.
        start -= 1
        taken += widths[start]
    return start, stop
