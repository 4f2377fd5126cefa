r"""Text that a terminal shows and does not obey.

Whatever is printed for people passes here. What would move the cursor, colour the text, set the
title or the clipboard, or turn the direction of writing is shown as an escape (`\x1b`, `\u202e`).
All other text stays as it is: letters of any script, emoji, combining marks, the joiners that they
need, tabs.

Texts are measured, and cut, by the columns that they take there. Names are listed, and the nearest
one is named, for messages.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_EARLIEST: Final = -30_610_224_000_000
_LATEST: Final = 253_402_300_799_999
_CONSIDERED = 300
"""How many names are compared, those of the most similar length: each takes some microseconds."""


def nearest(name: str, names: Iterable[str], *, likeness: float = 0.6) -> str:
    """Give `; did you mean …?`, or nothing when none of *names* is near. `-` and `_` count as the
    same.

    *likeness* is how near a name has to be: 1 is the same.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for a message.

    likely = sorted(names, key=lambda other: (abs(len(other) - len(name)), other))[:_CONSIDERED]
    plain = {other.replace("-", "_").lower(): other for other in reversed(likely)}
    close = get_close_matches(name[:100].replace("-", "_").lower(), plain, n=1, cutoff=likeness)
    return f"; did you mean `{plain[close[0]]}`?" if close else ""


_HIDDEN: Final = (
    "\x7f-\x9f"  # DEL and C1, of which U+009B begins a sequence as ESC [ does
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # the direction of writing
    "\u2028\u2029"  # the ends of lines and paragraphs
    "\ufff9-\ufffb"  # what is hidden between them is another text
    "\ud800-\udfff"  # bytes that are no text
)
_IN_TEXT: Final = "\x00-\x08\x0b-\x1f"
_IN_LINE: Final = "\x00-\x1f"
_IN_JSON: Final = ""


@cache
def _hidden_or(others: str) -> re.Pattern[str]:
    """Make what finds a hidden character or one of *others*. Few texts need it; it takes 1 ms."""
    return re.compile(f"[{others}{_HIDDEN}]")


class Shown(str):
    """Text in which nothing is hidden any more; colours in it are ours. `shown` makes it."""

    __slots__ = ()


def shown(*parts: str) -> Shown:
    """Join *parts*, each made visible unless it is already."""
    return Shown("".join(part if isinstance(part, Shown) else visible(part) for part in parts))


def visible(text: str) -> str:
    r"""Give *text* with what a terminal would obey as escapes; line feeds stay, `\r\n` is one."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return _hidden_or(_IN_TEXT).sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    r"""Give *text* as one line: as `visible`, with line feeds and tabs as `\n` and `\t`."""
    if text.isascii() and text.isprintable():
        return text
    return _hidden_or(_IN_LINE).sub(_escape, text)


def visible_json(text: str) -> str:
    r"""Give the JSON *text* with what a terminal would obey as `\uXXXX`: the value is the same."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _hidden_or(_IN_JSON).sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def last_states(text: str) -> str:
    r"""Give *text* as it stands in the end: of a line repainted after `\r`, the last state.

    So a progress bar is one line, whatever it went through.
    """
    if "\r" not in text:
        return text
    return "\n".join(map(_last_state, text.split("\n")))


def last_lines(text: str, count: int) -> list[str]:
    """Give the last *count* lines of what a program wrote, as they stand in the end."""
    stripped = last_states(text.strip())
    return stripped.split("\n")[-count:] if stripped else []


def list_names(names: Sequence[str], most: int) -> str:
    """Give `a, b and 3 more`: the first *most* of *names*, and how many others there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _last_state(line: str) -> str:
    states = (state for state in reversed(line.split("\r")) if state and not state.isspace())
    return next(states, "")


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "backslashreplace").decode()


def columns(text: str) -> int:
    """Give how many columns of a terminal *text* takes: a wide character 2, a combining one none.

    *text* is one line without colours, as `one_line` gives it.
    """
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    import unicodedata  # noqa: PLC0415 - of texts that are not plain ASCII only

    if unicodedata.category(char) in {"Mn", "Me", "Cf"} or "\u1160" <= char <= "\u11ff":
        return 0  # Accents, joiners; vowels and ends of Hangul, which stand in the first letter.
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def fit(text: str, width: int) -> str:
    """Give *text* in *width* columns or fewer: what is longer is cut, and ends in `…`."""
    if columns(text) <= width:
        return text
    if width < 1:
        return ""
    taken, end = 0, 0
    for char in text:
        taken += _columns_of(char)
        if taken > width - 1:
            break
        end += 1
    return f"{text[:end].rstrip()}…"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Give *text* with blanks behind it, or before it (*right*), to *width* columns."""
    blanks = " " * (width - columns(text))
    return blanks + text if right else text + blanks


def duration(seconds: float) -> str:
    """Give a duration: `12 ms`, `3.4 s`, `2 m 05 s`, `1 h 02 m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def iso_time(milliseconds: int) -> str:
    """Give a time since the epoch as ISO 8601 in UTC: `2026-11-23T10:15:02.120Z`.

    Of a time beyond the years 1000 to 9999 the nearest in them.
    """
    seconds, rest = divmod(min(max(milliseconds, _EARLIEST), _LATEST), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
