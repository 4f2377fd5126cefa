"""How things look: tables, times, sizes, values as JSON, colour on terminals."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from maverick.visible import Shown, columns, duration, fit, one_line, padded, visible_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maverick.checkpoints.workspace import RestorePlan

_COLOURS: Final = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "dim": "2",
    "bold": "1",
}
NARROWEST: Final = 60
"""Lines are not made to fit fewer columns."""
_NARROWEST_COLUMN: Final = 24
"""A column of words that has less room stands below its line."""
_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_MAX_INT_BITS: Final = 14_000
"""Longer integers cannot be printed as decimals (Python limits them to 4,300 digits)."""


# --- values ---------------------------------------------------------------------------------------


def json_text(value: object, *, indent: int | None = 2) -> str:
    """Give *value* as JSON that a terminal shows and does not obey.

    What JSON cannot say becomes what `as_json` makes of it.
    """
    text = json.dumps(
        as_json(value), indent=indent, ensure_ascii=not is_utf8(sys.stdout), allow_nan=False
    )
    text = visible_json(text)
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return text
    from maverick.cli.github.job_log import disarmed_json  # noqa: PLC0415 - only there

    return disarmed_json(text)


def as_json(value: object) -> Any:
    """Give *value* in what JSON can say.

    Bytes become `{"$bytes": "<base64>"}`, integers of more than 4,200 digits `{"$int":
    "<hexadecimal>"}`; NaN and the infinities become the texts `NaN`, `Infinity` and `-Infinity`.
    """
    match value:
        case bytes():
            import base64  # noqa: PLC0415 - few values are bytes

            return {"$bytes": base64.b64encode(value).decode("ascii")}
        case float():
            return value if math.isfinite(value) else _NOT_FINITE[str(value)]
        case int() if value.bit_length() > _MAX_INT_BITS:
            return {"$int": format(value, "x")}
        case dict():
            return {str(key): as_json(item) for key, item in value.items()}
        case list():
            return [as_json(item) for item in value]
        case _:
            return value


def inline_text(value: object) -> str:
    """Give a text as it is, any other value as JSON on one line."""
    return value if isinstance(value, str) else json_text(value, indent=None)


def value_text(value: object) -> str:
    """Give *value* for people, ending in a newline: text as it is, nothing for null, else pretty
    JSON.
    """
    if value is None:
        return ""
    text = value if isinstance(value, str) else json_text(value)
    return text if text.endswith("\n") or not text else f"{text}\n"


def is_utf8(stream: Any) -> bool:
    """Whether *stream* takes any character."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "") == "utf8"


# --- times and sizes ------------------------------------------------------------------------------


def moment(milliseconds: int, *, exact: bool = False) -> str:
    """Give a time since the epoch as a person's clock shows it: `2026-11-23 10:15`; *exact* with
    seconds.
    """
    seconds = ":%S" if exact else ""
    return time.strftime(f"%Y-%m-%d %H:%M{seconds}", time.localtime(milliseconds / 1000))


def zoned_moment(milliseconds: int) -> str:
    """Give the same where it stands alone, to the second: `2026-11-23 10:15:02 CET`."""
    zone = time.strftime("%Z", time.localtime(milliseconds / 1000))
    return f"{moment(milliseconds, exact=True)} {zone}"


def day_of(milliseconds: int) -> str:
    """Give the day of that: `2026-11-23`."""
    return moment(milliseconds)[:10]


def short_moment(milliseconds: int, today: str, *, exact: bool = False) -> str:
    """Give the time alone of *today*; else the day: `11-23`, of another year `2025-11-23`."""
    day, clock = moment(milliseconds, exact=exact).split(" ")
    if day == today:
        return clock
    return day[5:] if day[:4] == today[:4] else day


def age(milliseconds: int, now: int) -> str:
    """Give how long ago a time was: `12s`, `3m`, `5h`, `4d`."""
    seconds = max(now - milliseconds, 0) // 1000
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def short_duration(seconds: float) -> str:
    """Give a duration in 6 columns or fewer, up to 99 days: `12ms`, `3.4s`, `2m05s`, `1h02m`,
    `4d03h`.
    """
    minutes = round(seconds) // 60
    if minutes >= 24 * 60:
        return f"{minutes // 1440}d{minutes % 1440 // 60:02d}h"
    return duration(seconds).replace(" ", "")


def size(count_bytes: int) -> str:
    """Give a number of bytes: `812 B`, `1.2 kB`, `34 MB`."""
    number = float(count_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return (
                f"{number:.0f} {unit}" if unit == "B" or number >= 9.95 else f"{number:.1f} {unit}"
            )
        number /= 1000
    return f"{number:.1f} TB"


def plural(count: int, noun: str) -> str:
    """Give `1 step`, `2 steps`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# --- widths --------------------------------------------------------------------------------------


def line_width(stream: object) -> int | None:
    """Give how many columns a line on *stream* may take: `COLUMNS`, else the terminal's width; 60
    or more.

    None where there is no limit: in a pipe or a file without `COLUMNS`.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given[:9]):
        return max(int(given[:9]), NARROWEST)
    try:
        width = os.get_terminal_size(stream.fileno()).columns  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):  # No terminal, or no stream with a number.
        return None
    return max(width, NARROWEST) if width else None


# --- tables and colour ----------------------------------------------------------------------------


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    width: int | None = None,
) -> str:
    """Give *rows* under *headers* in columns; those numbered in *right* are aligned to the right.

    With a *width* the last column is broken into lines that fit it: below each other where there is
    room enough, else below the line, indented.
    """
    blocks = table_lines(headers, rows, right=right, width=width)
    return "".join(f"{line}\n" for block in blocks for line in block)


def table_lines(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    width: int | None = None,
) -> list[list[str]]:
    """Give the lines of a `table`: those of the headers, and of each row."""
    lines = [list(headers), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(columns(line[column]) for line in lines) for column in range(len(headers))]
    room = None if width is None else width - sum(widths[:-1]) - 2 * (len(widths) - 1)
    if width is None or room is None or room >= widths[-1]:
        return [[_table_line(line, widths, right)] for line in lines]
    if room < _NARROWEST_COLUMN:
        head, *others = ([_table_line([*line[:-1], ""], widths, right)] for line in lines)
        for block, line in zip(others, lines[1:], strict=True):
            block += [f"    {part}" for part in wrapped(line[-1], width - 4) if part]
        return [head, *others]
    blank = [""] * (len(headers) - 1)
    return [
        [
            _table_line([*(blank if number else line[:-1]), part], widths, right)
            for number, part in enumerate(wrapped(line[-1], room))
        ]
        for line in lines
    ]


def _table_line(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded_cells = (
        padded(cell, width, right=n in right)
        for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded_cells).rstrip()


def wrapped(text: str, width: int) -> list[str]:
    """Give the words of *text* in lines of *width* columns or fewer; a longer word is broken."""
    lines: list[str] = []
    for word in text.split(" "):
        line = f"{lines[-1]} {word}" if lines else word
        if lines and columns(line) <= width:
            lines[-1] = line
            continue
        rest = word
        while columns(rest) > width:
            end = max(len(fit(rest, width + 1)) - 1, 1)
            lines.append(rest[:end])
            rest = rest[end:]
        lines.append(rest)
    return lines


def hanging(text: str, width: int | None, *, most: int | None = None) -> list[str]:
    """Give the line *text* in lines of *width* columns or fewer, broken at words where that can be.

    All but the first are indented by two more blanks than it. Of more than *most* lines the last
    ends in `…`.
    """
    if width is None or columns(text) <= width:
        return [text]
    bare = text.lstrip(" ")
    own = min(len(text) - len(bare), width // 2)
    parts = wrapped(bare, max(width - own - 2, 1))
    if most is not None and len(parts) > most:
        parts = [*parts[: most - 1], fit(f"{parts[most - 1]} {parts[most]}", width - own - 2)]
    indent = " " * own
    return [f"{indent}{'  ' if number else ''}{part}" for number, part in enumerate(parts)]


def shell_word(text: str) -> str:
    """Give *text* as it can be typed in a shell, on one line: quoted where that is needed."""
    import shlex  # noqa: PLC0415 - few listings need it

    if text.isprintable():
        return shlex.quote(text)
    escapes = {"\n": "\\n", "\t": "\\t", "\\": "\\\\", "'": "\\'"}
    return "$'" + "".join(escapes.get(char) or _typed(char) for char in text) + "'"


def _typed(char: str) -> str:
    """Give a character as it stands between `$'` and `'`: its bytes in octal if it cannot be
    seen.
    """
    if char.isprintable():
        return char
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))


def label_text(label: str) -> str:
    """Give a label as a person can type it behind `RUN@`.

    It has quotes where it has blanks; others where a shell needs them.
    """
    words = label.split(" ")
    is_plain = all(word and shell_word(word) == word for word in words)
    return label if is_plain else shell_word(label)


def paint(text: str, colour: str, *, on: bool) -> Shown:
    """Give *text*, made visible as one line, in *colour*, if colour is *on*."""
    line = one_line(text)
    return Shown(f"\x1b[{_COLOURS[colour]}m{line}\x1b[0m" if on and colour and line else line)


# --- files that are written or removed -----------------------------------------------------------

SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "mode": "~"}


def changes_lines(plan: RestorePlan) -> list[str]:
    """Give a line for each file that *plan* writes or removes, and for each that it leaves
    alone.
    """
    lines = []
    for file in plan.changes:
        mode = f" ({file.old_mode} -> {file.new_mode})" if file.change == "mode" else ""
        lines.append(f"{SIGNS[file.change]} {one_line(file.path)}{mode}")
    return lines + [f"left alone: {one_line(kept.path)} ({kept.reason})" for kept in plan.kept]


def changes_json(plan: RestorePlan) -> dict[str, Any]:
    """Give the same for scripts."""
    return {
        "changes": [{"path": file.path, "change": file.change} for file in plan.changes],
        "kept": [{"path": kept.path, "reason": kept.reason} for kept in plan.kept],
    }
