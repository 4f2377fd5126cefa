"""`Emulator`: a terminal of as many columns and rows as one likes, to see what a program shows on it.

It knows what the display of a run sends, and fails on everything else. Two kinds of terminals
differ when they are resized: most break their lines anew, some cut them off.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kit.patience import PATIENCE_SECONDS
from maverick.visible import columns

_SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


@dataclass
class Line:
    """A row: its characters, each with those that combine with it; the second half of a wide one is
    empty.
    """

    cells: list[str] = field(default_factory=list)
    goes_on: bool = False
    """Whether the next row is the rest of it."""


class Emulator:
    """A screen with all that has scrolled off it. `reflows`: see the module."""

    def __init__(self, columns: int = 80, rows: int = 24, *, reflows: bool = True) -> None:
        self.columns = columns
        self.rows = rows
        self.reflows = reflows
        self.above: list[Line] = []
        self.lines = [Line()]
        """Those of the screen that were written to, from the top."""
        self.x = self.y = 0
        self.breaks = True
        self._held = ""

    # --- what is to be seen ---

    @property
    def screen(self) -> list[str]:
        """The rows of the screen, without blanks at their ends and empty ones at the bottom."""
        return _texts(self.lines)

    @property
    def all(self) -> list[str]:
        """Those that have scrolled off, too."""
        return _texts([*self.above, *self.lines])

    @property
    def written(self) -> list[str]:
        """The lines as they were written: those that were broken are one."""
        texts, text = [], ""
        for line in [*self.above, *self.lines]:
            text += "".join(line.cells)
            if not line.goes_on:
                texts.append(text.rstrip())
                text = ""
        return texts

    # --- what is written to it ---

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        text, self._held = self._held + text, ""
        position = 0
        while position < len(text):
            char = text[position]
            if char == "\x1b":
                match = _SEQUENCE.match(text, position)
                if match is None:
                    assert len(text) - position < 20, text[position : position + 40]
                    self._held = text[position:]
                    return
                self._obey(match)
                position = match.end()
                continue
            position += 1
            if char == "\r":
                self.x = 0
            elif char == "\n":
                self._down()
            else:
                self._put(char)

    def _obey(self, match: re.Match[str]) -> None:
        private, number, what = match.groups()
        if what == "m":
            return
        if private and what in "hl":
            assert "7" == number, match[0]
            self.breaks = what == "h"
        elif what == "A":
            self.y = max(self.y - int(number or 1), 0)
        elif what == "J":
            assert not number, match[0]
            del self._line().cells[self.x :]
            self._line().goes_on = False
            del self.lines[self.y + 1 :]
        else:
            raise AssertionError(match[0])

    def _line(self) -> Line:
        while len(self.lines) <= self.y:
            self.lines.append(Line())
        return self.lines[self.y]

    def _down(self) -> None:
        self._line()
        if self.y == self.rows - 1:
            self.above.append(self.lines.pop(0))
        else:
            self.y += 1
        self._line()

    def _put(self, char: str) -> None:
        assert char.isprintable() or columns(char) == 0, char
        width = columns(char)
        cells = self._line().cells
        if width == 0:
            if cells[: self.x]:
                cells[self.x - 1] += char
            return
        if self.x + width > self.columns:
            if not self.breaks:
                self.x = max(self.columns - width, 0)
            else:
                self._line().goes_on = True
                self._down()
                self.x = 0
            cells = self._line().cells
        cells.extend(" " * (self.x + width - len(cells)))
        cells[self.x : self.x + width] = [char, *[""] * (width - 1)]
        self.x += width

    # --- its size ---

    def resize(self, columns: int, rows: int) -> None:
        """Change its size, as real ones do: the line with the cursor stays on the screen."""
        every = [*self.above, *self.lines]
        self.y += len(self.above)
        if self.reflows:
            every = self._reflowed(every, columns)
        else:
            for line in self.lines:
                del line.cells[columns:]
        self.columns, self.rows = columns, rows
        while len(every) > self.y + 1 and not every[-1].cells:
            every.pop()
        # What would stand below the screen is lost.
        top = min(max(len(every) - rows, 0), self.y)
        self.above, self.lines = every[:top], every[top : top + rows]
        self.y -= top
        self.x = min(self.x, columns - 1)

    def _reflowed(self, every: list[Line], width: int) -> list[Line]:
        result: list[Line] = []
        cursor = (self.x, self.y)
        number = 0
        while number < len(every):
            first, cells = number, list(every[number].cells)
            at = self.x if number == self.y else None
            while every[number].goes_on and number + 1 < len(every):
                number += 1
                at = len(cells) + self.x if number == self.y else at
                cells += every[number].cells
            number += 1
            pieces = list(_pieces(cells, width))
            if first <= self.y < number and at is not None:
                row, left = 0, at
                while row + 1 < len(pieces) and left >= len(pieces[row]):
                    left -= len(pieces[row])
                    row += 1
                cursor = (left, len(result) + row)
            result += [Line(piece, goes_on=True) for piece in pieces[:-1]] + [Line(pieces[-1])]
        self.x, self.y = cursor
        return result


def _pieces(cells: list[str], width: int) -> Iterator[list[str]]:
    while len(cells) > width:
        end = width if cells[width] else width - 1
        yield cells[: max(end, 1)]
        cells = cells[max(end, 1) :]
    yield cells


def _texts(lines: list[Line]) -> list[str]:
    texts = ["".join(line.cells).rstrip() for line in lines]
    while texts and not texts[-1]:
        texts.pop()
    return texts


class AtTerminal:
    """A program on a terminal of its own, which is emulated: `emulator` shows it."""

    def __init__(
        self,
        argv: list[str],
        *,
        cwd: Path,
        env: dict[str, str],
        columns: int = 80,
        rows: int = 24,
        reflows: bool = True,
        out: Path | None = None,
    ) -> None:
        """*out* is the file that standard output goes to; without it, it goes to the terminal."""
        self.emulator = Emulator(columns, rows, reflows=reflows)
        self.written = ""
        self._master, slave = pty.openpty()
        self._size(columns, rows)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        with contextlib.ExitStack() as stack:
            stdout = stack.enter_context(out.open("wb")) if out is not None else slave
            self.process = subprocess.Popen(
                [sys.executable, "-c", _OWN_TERMINAL, *argv],
                cwd=cwd,
                env={"TERM": "xterm-256color", **env},
                stdin=slave,
                stdout=stdout,
                stderr=slave,
                start_new_session=True,
            )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        """Type *text*; a control character does what it does."""
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Resize the terminal, after what the program has written so far."""
        self._read(0)
        self.emulator.resize(columns, rows)
        self._size(columns, rows)

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Read what the program writes until *holds* gives something."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            is_there = self._read(0.05)
            if holds():
                return
            late = time.monotonic() > deadline
            if late or not is_there:
                raise AssertionError("\n".join(["the screen shows", *self.emulator.all]))

    def wait_for(self, text: str) -> None:
        """Read what the program writes until the screen shows *text*."""
        self.wait_until(lambda: any(text in line for line in self.emulator.screen))

    def end(self) -> int:
        """Read until the terminal has no program any more, and give the exit code."""
        while self._read(PATIENCE_SECONDS):
            pass
        return self.process.wait(PATIENCE_SECONDS)

    def _read(self, seconds: float) -> bool:
        """Read what is there, after at most *seconds*; False if nobody will write any more."""
        while select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return False
            if not data:
                return False
            text = self._decoder.decode(data)
            self.written += text
            self.emulator.feed(text)
            seconds = 0
        return True

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


_OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes standard input the terminal that controls the process, as a shell's is."""
