"""What an agent's program says, line by line, in bounded memory, and what that comes to."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

ANSWER_CHARACTERS = 16 * 1024 * 1024
"""The longest answer that is taken."""
LINE_BYTES = 16 * 1024 * 1024
"""The longest line of JSON that is read; a longer one is left out."""
WORDS_LINES = 12
"""How many lines that are no JSON are kept, for the message of a failure."""


@dataclass(slots=True)
class Answer:
    """What a program has said so far. Its reader fills it while the program runs."""

    begun: bool = False
    """It took the prompt up: what comes after is no mistake in how it was called."""
    finished: bool = False
    """It said that it had ended its turn, well or not."""
    failure: str = ""
    """Why it could not, in its words."""
    complaint: str = ""
    """The last thing it complained of without giving up."""
    status: int | None = None
    """The HTTP status that stopped it, where it tells."""
    retryable: bool = False
    """It said itself that another attempt is worth it."""
    cut_short: bool = False
    """A limit of turns, money or time ended it before it was done."""
    is_json: bool = False
    """The text was given as JSON, all of it."""
    session: str = ""
    model: str = ""
    refused: list[str] = field(default_factory=list)
    """Actions that were not permitted, or that failed, as `Write notes.txt`."""
    usage: dict[str, int | float] = field(default_factory=dict)
    _pieces: list[str] = field(default_factory=list)
    _length: int = 0
    _starts_anew: bool = False

    @property
    def text(self) -> str:
        """The final text."""
        return "".join(self._pieces)

    @property
    def too_long(self) -> bool:
        """Whether text was lost."""
        return self._length > ANSWER_CHARACTERS

    def say(self, text: str) -> None:
        """Text that is all of the answer, in place of what stood before."""
        self._pieces, self._length = [], 0
        self.add(text)

    def add(self, text: str) -> None:
        """A piece of text; the first one after `turn` begins the answer anew."""
        if self._starts_anew:
            self._pieces, self._length, self._starts_anew = [], 0, False
        self._length += len(text)
        if not self.too_long:
            self._pieces.append(text)

    def turn(self) -> None:
        """What was said so far is the answer only if nothing more is said."""
        self._starts_anew = True

    def count(self, **numbers: float) -> None:
        """Add to the usage."""
        for name, number in numbers.items():
            if number:
                self.usage[name] = self.usage.get(name, 0) + number


class Line:
    """One JSON object of a program's output. What is missing, or of another type, is empty."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, object]) -> None:
        self._fields = fields

    def at(self, *keys: str) -> object:
        """The value at that path, or None."""
        value: object = self._fields
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def text(self, *keys: str) -> str:
        """The text at that path, or an empty one."""
        value = self.at(*keys)
        return value if isinstance(value, str) else ""

    def number(self, *keys: str) -> int | float:
        """The number at that path, or 0."""
        value = self.at(*keys)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0

    def status(self, *keys: str) -> int | None:
        """The HTTP status at that path; None where there is none."""
        return int(self.number(*keys)) or None

    def lines(self, *keys: str) -> list[Line]:
        """The objects in the list at that path."""
        value = self.at(*keys)
        return [Line(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []


Reader: TypeAlias = Callable[[Line, Answer], str]
"""Takes one line into the answer, and gives what a person who watches should see of it, ends of lines included."""


class JsonLines:
    """Cuts a program's standard output into JSON lines for its reader, whatever the pieces it comes in."""

    def __init__(self, reader: Reader, answer: Answer) -> None:
        self._reader = reader
        self._answer = answer
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.words: deque[str] = deque(maxlen=WORDS_LINES)
        """The last lines that were no JSON."""
        self.left_out = 0
        """Lines that were longer than `LINE_BYTES`."""

    def feed(self, piece: bytes) -> str:
        """Take a piece of output; give what to show of it."""
        *whole, rest = piece.split(b"\n")
        shown = []
        for end in whole:
            self._hold(end)
            shown.append(self._line())
        self._hold(rest)
        return "".join(shown)

    def end(self) -> str:
        """Take what stands there without an end of line."""
        return self._line()

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes <= LINE_BYTES:
            self._held.append(piece)
        else:
            self._held.clear()

    def _line(self) -> str:
        data, size = b"".join(self._held).strip(), self._held_bytes
        self._held, self._held_bytes = [], 0
        if size > LINE_BYTES:
            self.left_out += 1
            return ""
        if not data:
            return ""
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            self.words.append(data[:500].decode("utf-8", "backslashreplace"))
            return f"{self.words[-1]}\n"
        return self._reader(Line(fields), self._answer)
