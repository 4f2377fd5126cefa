"""The functions of the language on numbers, lists, mappings and the project's files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from maverick.dsl.expressions import operators
from maverick.dsl.expressions.arguments import entries_of, mapping_of, shown, text_of
from maverick.dsl.expressions.operators import ENTRY_BUILT, Work, ordered, truth
from maverick.errors import ExpressionFailed
from maverick.values import kind_of

if TYPE_CHECKING:
    from maverick.dsl.expressions.arguments import Context

MAX_ENTRIES = 1_000_000
"""Entries of a list that `range` may give."""
MAX_DIGITS = 4_000
"""Digits of a text that `int` takes."""


def len_(_: Context, value: object) -> int:
    """How many characters a text has, or entries a list or mapping."""
    if isinstance(value, (str, bytes, list, Mapping)):
        return len(value)
    hint = "; write `default(value, [])` where it may be missing" if value is None else ""
    raise ExpressionFailed(f"len() takes a string, a list or a mapping, not {kind_of(value)}{hint}")


def int_(_: Context, value: object) -> int:
    """A number without its fraction, or a text of digits as integer."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        try:
            return int(value)
        except (OverflowError, ValueError):
            raise ExpressionFailed(f"int() cannot convert {value!r}") from None
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?[0-9]+", text := value.strip()) and len(text) <= MAX_DIGITS:
            return int(text)
        raise ExpressionFailed(f"int() cannot convert {shown(value)}: expected digits")
    raise ExpressionFailed(
        f"int() cannot convert {kind_of(value)}: expected a number or a string of digits"
    )


def float_(_: Context, value: object) -> float:
    """A number or a text as float."""
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            raise ExpressionFailed("float() cannot convert an integer that large") from None
    if isinstance(value, str):
        try:
            if "_" not in value:
                return float(value)
        except ValueError:
            pass
        raise ExpressionFailed(f"float() cannot convert {shown(value)}: expected a number")
    raise ExpressionFailed(
        f"float() cannot convert {kind_of(value)}: expected a number or a string"
    )


def bool_(_: Context, value: object) -> bool:
    """Whether a value counts as true."""
    return truth(value)


def contains_(context: Context, container: object, item: object) -> bool:
    """Whether a list, mapping or text holds an item: `item in container`."""
    return operators.inside(item, container, context.work)


def keys_(_: Context, mapping: object) -> list[object]:
    """The keys of a mapping, in order."""
    return list(mapping_of("keys", mapping))


def values_(_: Context, mapping: object) -> list[object]:
    """The values of a mapping, in order."""
    return list(mapping_of("values", mapping).values())


def range_(context: Context, *bounds: object) -> list[int]:
    """The integers from 0 or a start up to before a stop, by a step."""
    numbers = []
    for bound in bounds:
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise ExpressionFailed(f"range() takes integers, not {kind_of(bound)}")
        numbers.append(bound)
    if len(numbers) == 3 and numbers[2] == 0:
        raise ExpressionFailed("range() cannot count in steps of 0")
    entries = range(*numbers)
    if entries[MAX_ENTRIES : MAX_ENTRIES + 1]:
        raise ExpressionFailed(f"range() gives at most {MAX_ENTRIES:,} entries")
    context.work.spend(ENTRY_BUILT * len(entries))
    return list(entries)


def min_(context: Context, *values: object) -> object:
    """The smallest entry of a list, or of several arguments."""
    return _extreme("min", "<", values, context.work)


def max_(context: Context, *values: object) -> object:
    """The largest entry of a list, or of several arguments."""
    return _extreme("max", ">", values, context.work)


def _extreme(name: str, sign: str, values: tuple[object, ...], work: Work) -> object:
    entries = entries_of(name, values[0]) if len(values) == 1 else list(values)
    if not entries:
        raise ExpressionFailed(f"{name}() of an empty list: there is no such entry")
    best = entries[0]
    ordered(sign, best, best, work)
    for entry in entries[1:]:
        if ordered(sign, entry, best, work):
            best = entry
    return best


def sum_(context: Context, entries: object) -> object:
    """The sum of a list of numbers."""
    total: object = 0
    for entry in entries_of("sum", entries):
        if not operators.is_number(entry):
            raise ExpressionFailed(
                f"sum() takes a list of numbers; there is a {kind_of(entry)} in it"
            )
        total = operators.calculate("+", total, entry, context.work)
    return total


def any_(_: Context, entries: object) -> bool:
    """Whether an entry of a list counts as true."""
    return any(entries_of("any", entries))


def all_(_: Context, entries: object) -> bool:
    """Whether every entry of a list counts as true."""
    return all(entries_of("all", entries))


def default_(_: Context, value: object, fallback: object) -> object:
    """The value, or the second argument when it is null."""
    return fallback if value is None else value


def glob_(context: Context, pattern: object) -> list[str]:
    """The project's paths that match a pattern, sorted; `**` crosses folders."""
    paths = context.scope.glob(text_of("glob", pattern))
    context.work.spend(ENTRY_BUILT * len(paths))
    return paths


def exists_(context: Context, path: object) -> bool:
    """Whether the project has a file or folder at a path."""
    return context.scope.exists(text_of("exists", path))
