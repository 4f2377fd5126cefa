"""What a notebook shows: pieces of HTML that need nothing else, on a light or dark page.

Every text is escaped, and shows its control characters. There are no colours of a background.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Final

from maverick.views.signs import RUN_SIGNS
from maverick.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SIGNS: Final[Mapping[str, str]] = {
    **RUN_SIGNS,
    "added": "+",
    "removed": "-",
    "changed": "~",
    "code": "~",
}
_COLOURS: Final[Mapping[str, str]] = {
    "done": "#2da44e",
    "added": "#2da44e",
    "failed": "#e5484d",
    "killed": "#e5484d",
    "removed": "#e5484d",
    "running": "#3b82f6",
    "waiting": "#d29922",
    "paused": "#d29922",
    "changed": "#d29922",
    "code": "#d29922",
}
"""Readable on white and on black."""
MOST_ROWS: Final = 200
_MOST_CHARACTERS: Final = 20_000
_LINE: Final = "border: 1px solid rgba(128, 128, 128, 0.35)"


def text(given: object, *, most: int = 300) -> str:
    """Give *given* on one line, escaped; of more than *most* characters the beginning."""
    line = one_line(str(given))
    return escape(f"{line[:most]}…" if len(line) > most else line)


def status(name: str) -> str:
    """Give a status with its sign and colour."""
    colour = _COLOURS.get(name, "inherit")
    return f'<span style="color: {colour}">{SIGNS.get(name, "")} {text(name)}</span>'


def block(given: str) -> str:
    """Give lines as they are; of very many characters the end."""
    cut = f"…{given[-_MOST_CHARACTERS:]}" if len(given) > _MOST_CHARACTERS else given
    style = "margin: 0.3em 0; white-space: pre-wrap; text-align: left; background: none"
    return f'<pre style="{style}">{escape(visible(cut))}</pre>'


def value(given: object) -> str:
    """Give a value: text as it is, else as JSON."""
    shown = given if isinstance(given, str) else json_text(given)
    cut = f"{shown[:_MOST_CHARACTERS]}…" if len(shown) > _MOST_CHARACTERS else shown
    return block(cut) if "\n" in cut else f"<code>{text(cut, most=_MOST_CHARACTERS)}</code>"


def json_text(given: object) -> str:
    """Give *given* as indented JSON; what JSON cannot say, as Python shows it."""
    return json.dumps(given, indent=2, ensure_ascii=False, default=repr)


def folded(title: str, inner: str) -> str:
    """Give *inner* (HTML) behind a title that opens it."""
    return f"<details><summary>{text(title)}</summary>{inner}</details>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, count: int) -> str:
    """Give a table; cells are HTML. Of *count* rows the first are shown."""
    style = f"{_LINE}; padding: 0.2em 0.6em; text-align: left; vertical-align: top"
    head = "".join(f'<th style="{style}">{text(name)}</th>' for name in heads)
    lines = [
        "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for cell in row) + "</tr>"
        for row, _ in zip(rows, range(MOST_ROWS), strict=False)
    ]
    more = f"<div>and {count - MOST_ROWS:,} more</div>" if count > MOST_ROWS else ""
    return (
        '<table style="border-collapse: collapse; background: none">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{more}"
    )


def page(title: str, *parts: str) -> str:
    """Give a title (HTML) and what stands below it."""
    return f"<div><div><b>{title}</b></div>{''.join(parts)}</div>"
