"""One JSON line of a program's output, and what a person sees of it."""

from __future__ import annotations

import json
import re

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
