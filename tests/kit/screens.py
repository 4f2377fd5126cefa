"""`Screen`: what a terminal shows after it was given some bytes. And `Session`, a shell on one.

It knows what programs of this project and Rich use: colours, moves of the cursor, erasing, lines
that scroll. What it does not know it refuses, so that a test never sees less than a person would.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import tempfile
import termios
import time
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kit.patience import PATIENCE_SECONDS

_NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]
_CONTROL = re.compile(
    r"\x1b\[(?P<params>[0-9;:?>=]*)(?P<final>[@-~])"
    r"|\x1b\](?P<title>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b(?P<escape>[()][0-9A-B]|[=>78cDEHM])"
    r"|(?P<plain>[\x00-\x1a\x1c-\x1f\x7f])"
)
_BEGUN = re.compile(r"\x1b(?:\[[0-9;:?>=]*|\][^\x07\x1b]*\x1b?|[()])?$")


@dataclass(frozen=True, slots=True)
class Style:
    """How a cell is painted. A colour is a name, such as `bright red`, or `#rrggbb`."""

    color: str | None = None
    background: str | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Cell:
    """A place on the screen. The second place of a wide character holds no text."""

    text: str = " "
    style: Style = PLAIN


Row = tuple[Cell, ...]


class Screen:
    """A terminal of that size; `above` holds the lines that have scrolled out of it.

    A line that was too long for it stands in several rows; `text` gives it as one.
    """

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.columns = columns
        self.rows = rows
        self.above: list[Row] = []
        self.row = self.column = 0
        self._style = PLAIN
        self._wraps = False
        self._lines = [self._blank() for _ in range(rows)]
        self._continued: set[int] = set()
        """The rows, counted from the first of all, that go on in the next one."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    def feed(self, data: bytes) -> None:
        """Take what a program has written."""
        text = self._begun + self._decoder.decode(data)
        begun = _BEGUN.search(text)
        self._begun = begun[0] if begun else ""
        text = text.removesuffix(self._begun) if begun else text
        place = 0
        for control in _CONTROL.finditer(text):
            self._write(text[place : control.start()])
            self._obey(control)
            place = control.end()
        self._write(text[place:])

    def shown(self) -> tuple[Row, ...]:
        """The rows on the screen."""
        return tuple(tuple(line) for line in self._lines)

    def place(self) -> int:
        """The row that the cursor is on, counted from the first of all."""
        return len(self.above) + self.row

    def text(self, first: int = 0) -> str:
        """All lines from that row on, also those that have scrolled away, without blanks at their
        ends.
        """
        lines = [""]
        for number, row in enumerate((*self.above, *self.shown())):
            if number < first:
                continue
            lines[-1] += "".join(cell.text for cell in row)
            if number not in self._continued:
                lines[-1] = lines[-1].rstrip()
                lines.append("")
        while lines and not lines[-1]:
            lines.pop()
        return "\n".join(lines)

    def _blank(self) -> list[Cell]:
        return [Cell()] * self.columns

    def _write(self, text: str) -> None:
        for character in text:
            width = _width(character)
            if not width:
                self._combine(character)
                continue
            if self._wraps or self.column + width > self.columns:
                self._continued.add(self.place())
                self.column = 0
                self._feed_line()
            line = self._lines[self.row]
            line[self.column] = Cell(character, self._style)
            if width == 2:
                line[self.column + 1] = Cell("", self._style)
            self.column += width
            self._wraps = self.column >= self.columns
            self.column = min(self.column, self.columns - 1)

    def _combine(self, character: str) -> None:
        line = self._lines[self.row]
        place = self.column if self._wraps else self.column - 1
        while place > 0 and not line[place].text:
            place -= 1
        if place >= 0:
            line[place] = replace(line[place], text=line[place].text + character)

    def _feed_line(self) -> None:
        self._wraps = False
        if self.row < self.rows - 1:
            self.row += 1
            return
        self.above.append(tuple(self._lines.pop(0)))
        self._lines.append(self._blank())

    def _obey(self, control: re.Match[str]) -> None:
        if plain := control["plain"]:
            self._move_by(plain)
        elif final := control["final"]:
            self._command(final, control["params"])
        elif control["escape"] in {"7", "8", "c", "D", "E", "H", "M"}:
            raise AssertionError(f"this screen does not know {control[0]!r}")

    def _move_by(self, plain: str) -> None:
        match plain:
            case "\n" | "\v" | "\f":
                self._feed_line()
            case "\r":
                self.column = 0
            case "\b":
                self.column = max(0, self.column - 1)
            case "\t":
                self.column = min(self.columns - 1, (self.column // 8 + 1) * 8)
            case "\a" | "\0":
                return
            case _:
                raise AssertionError(f"this screen does not know {plain!r}")
        self._wraps = False

    def _command(self, final: str, params: str) -> None:
        if params in {"?25", "?2004", "?2026", "?7"}:
            return  # The cursor, pasting, frames at once, wrapping.
        if re.fullmatch(r"[0-9;]*", params) and final in "mABCDGHJKP":
            numbers = [int(number or 0) for number in params.split(";")]
            if final == "m":
                self._style = _styled(self._style, iter(numbers))
            elif final in "JKP":
                self._erase(final, numbers[0])
            else:
                self._move(final, [max(1, number) for number in numbers])
        else:
            raise AssertionError(f"this screen does not know {params}{final}")

    def _move(self, final: str, numbers: list[int]) -> None:
        count, *others = numbers
        rows = {"A": -count, "B": count}
        columns = {"C": count, "D": -count}
        row, column = self.row + rows.get(final, 0), self.column + columns.get(final, 0)
        if final == "G":
            column = count - 1
        elif final == "H":
            row, column = count - 1, (others or [1])[0] - 1
        self.row = min(max(0, row), self.rows - 1)
        self.column = min(max(0, column), self.columns - 1)
        self._wraps = False

    def _erase(self, final: str, what: int) -> None:
        self._wraps = False
        if final == "P":
            line = self._lines[self.row]
            del line[self.column : self.column + max(1, what)]
            line += [Cell()] * (self.columns - len(line))
            return
        self._erase_line(what)
        if final == "J":
            below, above = range(self.row + 1, self.rows), range(self.row)
            for row in {0: below, 1: above}.get(what, range(self.rows)):
                self._lines[row] = self._blank()
                self._continued.discard(len(self.above) + row)

    def _erase_line(self, what: int) -> None:
        self._continued.discard(self.place())
        line = self._lines[self.row]
        start = 0 if what else self.column
        end = self.column + 1 if what == 1 else self.columns
        line[start:end] = [Cell()] * (end - start)


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Me", "Mn"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _styled(style: Style, numbers: Iterator[int]) -> Style:
    """The style after a command of colours."""
    flags = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse"}
    ends = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",)}
    for number in numbers:
        if number == 0:
            style = PLAIN
        elif number in flags:
            style = replace(style, **{flags[number]: True})
        elif number in ends:
            style = replace(style, **dict.fromkeys(ends[number], False))
        elif number in {38, 48}:
            field = "color" if number == 38 else "background"
            style = replace(style, **{field: _color(numbers)})
        elif number in {39, 49}:
            style = replace(style, **{"color" if number == 39 else "background": None})
        elif 30 <= number <= 37 or 90 <= number <= 97:
            style = replace(style, color="bright " * (number >= 90) + _NAMES[number % 10])
        elif 40 <= number <= 47 or 100 <= number <= 107:
            style = replace(style, background="bright " * (number >= 100) + _NAMES[number % 10])
        else:
            raise AssertionError(f"this screen does not know the colour {number}")
    return style


def _color(numbers: Iterator[int]) -> str:
    """A colour of 256, or of all."""
    if next(numbers) == 2:
        return "#" + "".join(f"{next(numbers):02x}" for _ in range(3))
    number = next(numbers)
    if number < 16:
        return "bright " * (number >= 8) + _NAMES[number % 8]
    if number >= 232:
        return "#" + f"{(number - 232) * 10 + 8:02x}" * 3
    levels = (0, 95, 135, 175, 215, 255)
    number -= 16
    return "#" + "".join(
        f"{levels[part]:02x}" for part in (number // 36, number // 6 % 6, number % 6)
    )


@dataclass(frozen=True, slots=True)
class Shot:
    """What a screen showed, from `seconds` after the beginning on."""

    seconds: float
    rows: tuple[Row, ...]


class Session:
    """A shell in *folder* on a terminal of its own; what it shows is kept, shot by shot.

    `code` is the exit code of the last command, `folder` the one that the shell is in.
    """

    PROMPT = "$ "

    def __init__(
        self, folder: Path, environment: Mapping[str, str], columns: int = 80, rows: int = 24
    ) -> None:
        self.screen = Screen(columns, rows)
        self.shots: list[Shot] = []
        self.folder = folder
        self.code = 0
        place, self._state = tempfile.mkstemp(prefix="maverick-session-")
        os.close(place)
        told = {"PROMPT_COMMAND": 'printf "%s %s" $? "$PWD" > "$SHELL_STATE"', "PS1": self.PROMPT}
        told |= {"SHELL_STATE": self._state, "TERM": "xterm-256color"}
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            os.chdir(folder)
            shell = ["bash", "--noprofile", "--norc", "-i"]
            os.execvpe("bash", shell, {**environment, **told})
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._began = time.monotonic()
        self._wait(-1)

    def type(self, line: str, *, pause_seconds: float = 0) -> str:
        """Type *line*, and Enter, with a pause after each key; give the lines that the screen shows
        below it once the shell asks again.
        """
        before = self.screen.place()
        for key in f"{line}\n":
            os.write(self._terminal, key.encode())
            if pause_seconds:
                self._look(pause_seconds)
        self._wait(before)
        code, _, place = Path(self._state).read_text().partition(" ")
        self.code, self.folder = int(code), Path(place)
        shown = self.screen.text(before).splitlines()[1:-1]
        return "".join(f"{line}\n" for line in shown)

    def end(self) -> None:
        """End the shell."""
        os.write(self._terminal, b"exit\n")
        os.waitpid(self._pid, 0)
        os.close(self._terminal)
        Path(self._state).unlink()

    def _line(self) -> str:
        return "".join(cell.text for cell in self.screen.shown()[self.screen.row]).rstrip()

    def _wait(self, before: int) -> None:
        """Wait for the prompt, alone on a line behind the one of that number."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (
            self._look(0.05) or self.screen.place() <= before or self._line() != self.PROMPT.strip()
        ):
            assert time.monotonic() < deadline, self.screen.text()

    def _look(self, seconds: float) -> bool:
        """Wait so long for what the screen is given; say whether there was any."""
        end = time.monotonic() + seconds
        seen = False
        while select.select([self._terminal], [], [], max(0, end - time.monotonic()))[0]:
            self.screen.feed(os.read(self._terminal, 65536))
            self.shots.append(Shot(time.monotonic() - self._began, self.screen.shown()))
            seen = True
        return seen
