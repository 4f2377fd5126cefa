"""What an agent's program says, line by line, in bounded memory, and what that comes to."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from maverick.encoding import lines_of

_STATUS = re.compile(r"\bstatus:? (\d{3})\b|\"code\":\s*(\d{3})\b|\(HTTP (\d{3})\)")
_ACTION_CHARACTERS = 160


class JsonLine:
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

    def lines(self, *keys: str) -> list[JsonLine]:
        """The objects in the list at that path."""
        value = self.at(*keys)
        return (
            [JsonLine(item) for item in value if isinstance(item, dict)]
            if isinstance(value, list)
            else []
        )


def readable(text: str) -> str:
    """The message in an error that is JSON, or holds some; other texts as they are."""
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return text
    try:
        error = JsonLine(json.loads(text[start : end + 1]))
    except (ValueError, RecursionError, AttributeError):
        return text
    said = error.text("error", "message") or error.text("message") or error.text("error")
    return f"{text[:start]}{readable(said)}{text[end + 1 :]}".strip() if said else text


def action(name: str, line: JsonLine, *where: str) -> str:
    """`[Write] notes.txt`: a tool, and the first of its arguments that is a short text."""
    arguments = line.at(*where)
    values = arguments.values() if isinstance(arguments, dict) else ()
    shown = next((value for value in values if isinstance(value, str) and value), "")
    return first_line(f"[{name}] {shown}".strip())


def failed_action(name: str, line: JsonLine, *where: str) -> str:
    """`[Write] permission denied`: a tool, and the error that stands at *where*."""
    error = line.text(*where) or line.text(*where, "message")
    return first_line(f"[{name or 'tool'}] {error}".strip())


def own_lines(text: str) -> str:
    """A text as lines of their own; gemini alone gives its text in pieces."""
    return f"{text.strip()}\n" if text.strip() else ""


def first_line(text: str) -> str:
    """The first line of a text, cut to what is shown of an action."""
    first = lines_of(text.strip())[0] if text.strip() else ""
    return first if len(first) <= _ACTION_CHARACTERS else first[: _ACTION_CHARACTERS - 1] + "…"


def status_in(message: str) -> int | None:
    """The HTTP status that a message names; None if it names none."""
    match = _STATUS.search(message)
    return int(match[1] or match[2] or match[3]) if match else None


ANSWER_CHARACTERS = 16 * 1024 * 1024
"""The longest answer that is taken."""
LINE_BYTES = 16 * 1024 * 1024
"""The longest line of JSON that is read; a longer one is left out."""
FIRST_LINES = 4
LAST_LINES = 8
"""How many lines that are no JSON are kept for the message of a failure: of some programs the first
say the cause.
"""
WORDS_CHARACTERS = 2000
"""How much of such a line is kept."""
_TOOLS_KEPT = 200
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_TRACE = re.compile(r"\s+at\b.*[:)]\d*")
"""A line of the stack of a JavaScript program."""


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
    """The last thing it complained of without giving up; empty once it went on."""
    complaint_status: int | None = None
    """The HTTP status that it complained of."""
    refusals: int = 0
    """How often in a row it complained that the model's server refuses its key."""
    status: int | None = None
    """The HTTP status that stopped it, where it tells."""
    wait: float | None = None
    """The seconds after which it may ask again, where it tells."""
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
    _tools: dict[str, str] = field(default_factory=dict)
    _pieces: list[str] = field(default_factory=list)
    _length: int = 0
    _starts_anew: bool = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def too_long(self) -> bool:
        """Whether text was lost."""
        return self._length > ANSWER_CHARACTERS

    def set_text(self, text: str) -> None:
        """Text that is all of the answer, in place of what stood before."""
        self._pieces, self._length = [], 0
        self.add_text(text)

    def add_text(self, text: str) -> None:
        """A piece of text; the first one after `begin_turn` begins the answer anew."""
        if self._starts_anew:
            self._pieces, self._length, self._starts_anew = [], 0, False
        self._length += len(text)
        if not self.too_long:
            self._pieces.append(text)

    def begin_turn(self) -> None:
        """What was said so far is the answer only if nothing more is said."""
        self._starts_anew = True

    def note_complaint(self, text: str, status: int | None = None) -> None:
        """It complained, and goes on trying."""
        self.complaint, self.complaint_status = text, status
        self.refusals = self.refusals + 1 if status in {401, 403} else 0

    def drop_complaint(self) -> None:
        """It went on: what it complained of is over."""
        self.complaint, self.complaint_status, self.refusals = "", None, 0

    def name_tool(self, call: str, tool: str) -> None:
        """Remember the *tool* of a *call*, whose result names only the call."""
        self._tools[call] = tool
        while len(self._tools) > _TOOLS_KEPT:
            del self._tools[next(iter(self._tools))]

    def tool_of(self, call: str) -> str:
        """The tool of a call; the call itself where it was never named."""
        return self._tools.get(call, call)

    def add_usage(self, **numbers: float) -> None:
        for name, number in numbers.items():
            if number:
                self.usage[name] = self.usage.get(name, 0) + number


Reader: TypeAlias = Callable[[JsonLine, Answer], str]
"""Takes one line into the answer, and gives what a person who watches should see of it, ends of
lines included.
"""


class Words:
    """Lines that a program writes for people: cleaned, without what is only noise, the first and
    the last kept.
    """

    def __init__(self, noise: str = "") -> None:
        """*noise* is a pattern of lines that say nothing of the work."""
        self._noise = re.compile(noise) if noise else None
        self._held = b""
        self._in_trace = False
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._left_out = 0

    def feed(self, piece: bytes) -> str:
        """Take a piece of output; give what to show of it, in whole lines."""
        *whole, self._held = (self._held + piece).split(b"\n")
        if len(self._held) > LINE_BYTES:
            whole.append(self._held)
            self._held = b""
        return "".join(self.add(line) for line in whole)

    def end(self) -> str:
        """Take what stands there without an end of line."""
        held, self._held = self._held, b""
        return self.add(held) if held else ""

    def add(self, data: bytes) -> str:
        """Take one line; give it as it is to be shown, with its end, or nothing."""
        line = without_escapes(
            data[: 4 * WORDS_CHARACTERS].decode("utf-8", "backslashreplace")
        ).rstrip()
        line = line[:WORDS_CHARACTERS]
        if self._is_noise(line):
            return ""
        if line.strip():
            self._keep(line)
        return f"{line}\n"

    @property
    def text(self) -> str:
        """The first lines and the last; in between, how many were left out."""
        between = [f"… ({self._left_out} lines)"] if self._left_out else []
        return "\n".join([*self._first, *between, *self._last]).strip()

    def _keep(self, line: str) -> None:
        if len(self._first) < FIRST_LINES:
            self._first.append(line)
            return
        self._left_out += len(self._last) == LAST_LINES
        self._last.append(line)

    def _is_noise(self, line: str) -> bool:
        """A stack, with the fields of the error that are printed below it, or what the pattern
        says.
        """
        if _TRACE.match(line):
            self._in_trace = True
        elif not line.startswith((" ", "}", "\t")):
            self._in_trace = False
        return self._in_trace or (self._noise is not None and self._noise.match(line) is not None)


def without_escapes(text: str) -> str:
    """Text without the sequences that colour it, or move a terminal's cursor."""
    return _ESCAPES.sub("", text)


class JsonLines:
    """Cuts a program's standard output into JSON lines for its reader, whatever the pieces it comes
    in.
    """

    def __init__(self, reader: Reader, answer: Answer, noise: str = "") -> None:
        self._reader = reader
        self._answer = answer
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.words = Words(noise)
        """The lines that were no JSON."""
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
            return self.words.add(data)
        return self._reader(JsonLine(fields), self._answer)
