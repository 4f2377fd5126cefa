"""From what was gathered to HTML: one file that fetches nothing, and runs nothing but its own
script.

All data stands in blocks of JSON, in which no character can end the block. The policy in the head
allows the one script and the one style sheet by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from maverick import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PAGES: Final = Path(__file__).with_name("pages")
_PARTS: Final = ("base", "values", "steps", "detail", "timeline", "graph", "page")
_UNSAFE: Final = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
"""What could end a block or begin a comment, end a line of a script, or is no character."""


class Block(NamedTuple):
    """JSON that the page's script finds by its id."""

    id: str
    text: Markup


def json_block(name: str, value: object) -> Block:
    """Make the block *name* of *value*, which JSON can say."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Text in JSON that HTML cannot read otherwise: the only markup in it is none.
    return Block(name, Markup(_UNSAFE.sub(_escaped, text)))  # noqa: S704


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def page(
    heads: Sequence[Mapping[str, Any]], blocks: Iterable[Block], *, title: str, made: str
) -> str:
    """Give the page of runs, of which *heads* say what stands on top of each."""
    style, script = _style(), _script()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            runs=heads,
            blocks=blocks,
            title=title,
            made=made,
            version=__version__,
            style=style,
            script=script,
            policy=_policy(style, script),
        )
    )


def index(rows: Sequence[Mapping[str, Any]], *, project: str, made: str) -> str:
    """Give the page that lists pages of runs."""
    style = _style()
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            runs=rows,
            project=project,
            made=made,
            version=__version__,
            style=style,
            policy=_policy(style, None),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["urlencode"] = _quoted
    return environment


def _quoted(text: str) -> str:
    """Give *text* as a part of an address, also where it is none that UTF-8 can say."""
    return quote(text.encode("utf-8", "surrogatepass"))


@cache
def _style() -> Markup:
    return Markup((_PAGES / "report.css").read_text("utf-8"))  # noqa: S704 - our own


@cache
def _script() -> Markup:
    parts = [(_PAGES / f"{name}.js").read_text("utf-8") for name in _PARTS]
    return Markup('(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n")  # noqa: S704 - our own


def _policy(style: str, script: str | None) -> str:
    """Give what a browser may do for this page: nothing but show it and run its own script."""
    scripts = "'none'" if script is None else _hash(script)
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
