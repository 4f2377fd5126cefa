"""The functions of the language that take or give text."""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING

from maverick.dsl.expressions import operators
from maverick.dsl.expressions.arguments import entries_of, shown, text_of
from maverick.dsl.expressions.operators import ENTRY_BUILT, Work
from maverick.dsl.expressions.text import as_text, digest, to_json
from maverick.errors import ExpressionFailed
from maverick.values import kind_of

if TYPE_CHECKING:
    from maverick.dsl.expressions.arguments import Context

MAX_STRIPPED = 256
"""Different characters that `strip` may be given."""
MAX_PARTS = 1_000_000
"""Entries of a list that `split` may give."""


def str_(context: Context, value: object) -> str:
    """A value as text, as it would be inserted into text."""
    return as_text(value, context.work)


def json_(context: Context, text: object) -> object:
    """The value that a JSON text means."""
    source = text_of("json", text)
    context.work.spend(ENTRY_BUILT * (source.count(",") + source.count("[") + source.count("{")))
    try:
        return json.loads(source)
    except RecursionError:
        raise ExpressionFailed("json() was given a text that is nested too deeply") from None
    except ValueError as error:
        raise ExpressionFailed(f"json() cannot read {shown(source)}: {error}") from None


def to_json_(context: Context, value: object) -> str:
    """A value as JSON text."""
    return to_json(value, context.work)


def join_(context: Context, entries: object, separator: object) -> str:
    """The entries of a list as one text, with a separator between them."""
    between = text_of("join", separator)
    parts: list[str] = []
    length = 0
    for entry in entries_of("join", entries):
        parts.append(as_text(entry, context.work))
        length += len(parts[-1]) + len(between)
        if length > operators.MAX_TEXT + len(between):
            break
    context.work.build_text(max(length - len(between), 0))
    return between.join(parts)


def split_(context: Context, text: object, separator: object = None) -> list[str]:
    """The parts of a text between separators (default: blanks)."""
    source = text_of("split", text)
    between = None if separator is None else text_of("split", separator)
    if between == "":
        raise ExpressionFailed("split() cannot split at an empty string")
    parts = source.split(between, MAX_PARTS)
    if len(parts) > MAX_PARTS:
        raise ExpressionFailed(f"split() would give more than {MAX_PARTS:,} entries")
    context.work.spend(ENTRY_BUILT * len(parts))
    return parts


def lower_(_: Context, text: object) -> str:
    """A text in lower case."""
    return text_of("lower", text).lower()


def upper_(_: Context, text: object) -> str:
    """A text in upper case."""
    return text_of("upper", text).upper()


def strip_(_: Context, text: object, characters: object = None) -> str:
    """A text without blanks (or the given characters) at both ends."""
    if characters is None:
        return text_of("strip", text).strip()
    unwanted = set(text_of("strip", characters))
    if len(unwanted) > MAX_STRIPPED:  # each is compared with each end's characters
        raise ExpressionFailed(f"strip() takes at most {MAX_STRIPPED} different characters")
    return text_of("strip", text).strip("".join(unwanted))


def replace_(context: Context, text: object, old: object, new: object) -> str:
    """A text with every occurrence of one part replaced by another."""
    source, before, after = (
        text_of("replace", text),
        text_of("replace", old),
        text_of("replace", new),
    )
    if not before:
        raise ExpressionFailed("replace() cannot replace an empty string")
    context.work.build_text(max(len(source) + source.count(before) * (len(after) - len(before)), 0))
    return source.replace(before, after)


def startswith_(_: Context, text: object, prefix: object) -> bool:
    """Whether a text begins with another."""
    return text_of("startswith", text).startswith(text_of("startswith", prefix))


def endswith_(_: Context, text: object, suffix: object) -> bool:
    """Whether a text ends with another."""
    return text_of("endswith", text).endswith(text_of("endswith", suffix))


_PLACEHOLDER = re.compile(
    r"\{\{|\}\}|\{([0-9]{0,3})(?::([<>^]?0?[0-9]{0,3}(?:\.[0-9]{1,2})?[dfeg%]?))?\}|[{}]"
)


def format_(context: Context, text: object, *values: object) -> str:
    """A text with `{}`, `{0}` or `{:.2f}` replaced by the values."""
    source = text_of("format", text)
    parts: list[str] = []
    position = count = 0
    for match in _PLACEHOLDER.finditer(source):
        parts.append(source[position : match.start()])
        position = match.end()
        context.work.spend(4 * ENTRY_BUILT)
        if match[0] in ("{{", "}}"):
            parts.append(match[0][0])
        elif match[0] in ("{", "}"):
            raise ExpressionFailed(
                f"format() found a lone `{match[0]}`: write `{match[0] * 2}` for the character"
            )
        else:
            number = int(match[1]) if match[1] else count
            count += 1
            if number >= len(values):
                raise ExpressionFailed(
                    f"format() has no value number {number}: {len(values)} given"
                )
            parts.append(_formatted(values[number], match[2] or "", context.work))
            context.work.spend(len(parts[-1]))
    parts.append(source[position:])
    context.work.build_text(sum(map(len, parts)))
    return "".join(parts)


def _formatted(value: object, spec: str, work: Work) -> str:
    if not spec:
        return as_text(value, work)
    try:
        return format(value if operators.is_number(value) else as_text(value, work), spec)
    except (ValueError, OverflowError):
        raise ExpressionFailed(f"format() cannot write {kind_of(value)} as `{{:{spec}}}`") from None


def quote_(context: Context, value: object) -> str:
    """A value as one word of a shell command."""
    from shlex import quote  # noqa: PLC0415 - only expressions that quote pay for it

    text = as_text(value, context.work)
    context.work.build_text(len(text) + 4 * text.count("'") + 2)
    return quote(text)


def basename_(_: Context, path: object) -> str:
    """The part of a path after the last slash."""
    return posixpath.basename(text_of("basename", path))


def dirname_(_: Context, path: object) -> str:
    """The part of a path before the last slash."""
    return posixpath.dirname(text_of("dirname", path))


def hash_(context: Context, value: object) -> str:
    """BLAKE3, in hex, of the value's canonical JSON."""
    return digest(value, context.work)
