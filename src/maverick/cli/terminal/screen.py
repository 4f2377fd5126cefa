"""The terminal while a display owns it: lines scroll by, and below them stands what runs now.

The cursor waits where the block below begins. So the block is cleared without knowing how a
terminal that was resized has broken its lines; and it is never hidden, so that no kill can leave it
hidden. A block is written at once, with the breaking of lines switched off.
"""

from __future__ import annotations

import os
import re
import select
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLEAR: Final = "\r\x1b[J"
_NO_BREAKS: Final = "\x1b[?7l"
_BREAKS: Final = "\x1b[?7h"
_USUAL: Final = (80, 24)
_MOST_PENDING: Final = 2000
"""Lines that wait for the next redraw."""
_MOST_UNENDED: Final = 4000
"""Bytes of a line without an end that are held back."""
_COLOURS: Final = re.compile(r"(\x1b\[[0-9;]*m)")


class Size(NamedTuple):
    """Of a terminal."""

    columns: int
    rows: int


class Terminal:
    """A terminal, by its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> None:
        """Write all of *text*."""
        data = text.encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # Whoever gave it to us does not wait for it.
                select.select([], [self._descriptor], [])

    def size(self) -> Size:
        """Give its size now; one that does not know it counts as 80 by 24."""
        try:
            size = os.get_terminal_size(self._descriptor)
        except OSError:
            return Size(*_USUAL)
        return Size(size.columns or _USUAL[0], size.lines or _USUAL[1])

    def is_ours(self) -> bool:
        """Whether this process stands in the foreground."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:  # Not the terminal of this session: nobody else draws there.
            return True


class Screen:
    """Draws on a terminal. Threads may share it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.RLock()
        self._block: tuple[str, ...] = ()
        """What stands there now."""
        self._pending: list[str] = []
        self._left_out = 0
        self._unended = b""
        self._is_still = False
        """Nothing is drawn: the process is about to stop, or the display has ended."""
        self.redraws = 0

    @property
    def size(self) -> Size:
        return self._terminal.size()

    def add(self, lines: Sequence[str]) -> None:
        """Let *lines*, without their ends, scroll by with the next redraw."""
        with self._lock:
            self._pending.extend(lines)
            if (more := len(self._pending) - _MOST_PENDING) > 0:
                del self._pending[:more]
                self._left_out += more

    def pass_on(self, data: bytes) -> None:
        """Let what somebody wrote to the terminal scroll by, line by line, in colours at most."""
        with self._lock:
            whole, end, rest = (self._unended + data).rpartition(b"\n")
            self._unended = rest
            if len(rest) > _MOST_UNENDED:
                whole, end, self._unended = whole + end + rest, b"\n", b""
            if end:
                lines = whole.decode("utf-8", "backslashreplace").split("\n")
                self._put([*self._take_pending(), *map(passed_line, lines)], ())

    def redraw(self, block: Sequence[str]) -> bool:
        """Draw what is pending, and *block* below; False if nothing was to be done."""
        with self._lock:
            if self._is_still:
                return False
            block = tuple(block) if self._terminal.is_ours() else ()
            if block == self._block and not self._pending:
                return False
            self._put(self._take_pending(), block)
            self.redraws += 1
            return True

    def clear(self) -> None:
        """Take the block away, after all that is pending has scrolled by."""
        with self._lock:
            rest, self._unended = self._unended, b""
            lines = [passed_line(rest.decode("utf-8", "backslashreplace"))] if rest else []
            self._put([*self._take_pending(), *lines], ())

    def rest(self) -> None:
        """Take the block away, and draw none until `go_on`."""
        with self._lock:
            self.clear()
            self._is_still = True

    def go_on(self) -> None:
        """Draw again."""
        with self._lock:
            self._is_still = False

    def leave(self) -> None:
        """Take the block away at once, whatever another thread is in the middle of."""
        self._terminal.write(f"{_BREAKS}{_CLEAR}")

    def _take_pending(self) -> list[str]:
        lines, self._pending = self._pending, []
        if self._left_out:
            lines.insert(0, f"({self._left_out:,} more lines)")
            self._left_out = 0
        return lines

    def _put(self, lines: Sequence[str], block: tuple[str, ...]) -> None:
        if not lines and block == self._block:
            return
        text = _CLEAR if self._block else ""
        text += "".join(f"{line}\n" for line in lines)
        if block:
            text += _NO_BREAKS + "\n".join(block) + _BREAKS + "\r"
            text += f"\x1b[{len(block) - 1}A" if len(block) > 1 else ""
        self._block = block
        if text:
            self._terminal.write(text)


def passed_line(line: str) -> str:
    r"""Give a line that somebody wrote as it may scroll by: colours stay, what would move the
    cursor is shown; of a line that was painted again (`\r`) the last state counts.
    """
    states = [state for state in line.rstrip("\r").split("\r") if state]
    parts = _COLOURS.split(states[-1] if states else "")
    text = "".join(
        part if number % 2 else one_line(part.replace("\t", "    "))
        for number, part in enumerate(parts)
    )
    return f"{text}\x1b[0m" if len(parts) > 1 else text
