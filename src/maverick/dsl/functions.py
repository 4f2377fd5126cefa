"""The functions of the expression language: `FUNCTIONS` is the whole list, with one line of help for each.

All fail with `ExpressionFailed`; what scans or builds a large value pays for it from the evaluation's `Work`.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maverick.dsl import operators
from maverick.dsl.operators import ENTRY_BUILT, ENTRY_SEEN, Work, ordered, truth
from maverick.dsl.text import as_text, digest, plain, to_json
from maverick.dsl.values import kind_of
from maverick.errors import ExpressionFailed

if TYPE_CHECKING:
    from maverick.dsl.scope import Scope

MAX_ENTRIES = 1_000_000
"""Entries of a list that `range` or `split` may give."""
MAX_DIGITS = 4_000
"""Digits of a text that `int` takes."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a call may use beside its arguments."""

    scope: Scope
    work: Work


@dataclass(frozen=True, slots=True)
class Function:
    """One function: `most` None means any number of arguments; `volatile` ones read the project's files."""

    name: str
    call: Callable[..., object]
    least: int
    most: int | None
    help: str
    volatile: bool = False

    def refusal(self, given: int) -> str:
        """Why it cannot take *given* arguments, or an empty text."""
        if given >= self.least and (self.most is None or given <= self.most):
            return ""
        if self.most is None:
            wanted = f"at least {self.least}"
        elif self.least == self.most:
            wanted = str(self.least)
        else:
            wanted = f"{self.least} to {self.most}"
        plural = "" if wanted.endswith("1") else "s"
        return f"{self.name}() takes {wanted} argument{plural}, {given} given"


def _len(_: Context, value: object) -> int:
    if isinstance(value, (str, bytes, list, Mapping)):
        return len(value)
    hint = "; write `default(value, [])` where it may be missing" if value is None else ""
    raise ExpressionFailed(f"len() takes a string, a list or a mapping, not {kind_of(value)}{hint}")


def _str(context: Context, value: object) -> str:
    return as_text(value, context.work)


def _int(_: Context, value: object) -> int:
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
        raise ExpressionFailed(f"int() cannot convert {_shown(value)}: expected digits")
    raise ExpressionFailed(f"int() cannot convert {kind_of(value)}: expected a number or a string of digits")


def _float(_: Context, value: object) -> float:
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
        raise ExpressionFailed(f"float() cannot convert {_shown(value)}: expected a number")
    raise ExpressionFailed(f"float() cannot convert {kind_of(value)}: expected a number or a string")


def _bool(_: Context, value: object) -> bool:
    return truth(value)


def _json(context: Context, text: object) -> object:
    source = _text("json", text)
    context.work.spend(ENTRY_BUILT * (source.count(",") + source.count("[") + source.count("{")))
    try:
        return plain(json.loads(source))
    except RecursionError:
        raise ExpressionFailed("json() was given a text that is nested too deeply") from None
    except ValueError as error:
        raise ExpressionFailed(f"json() cannot read {_shown(source)}: {error}") from None


def _to_json(context: Context, value: object) -> str:
    return to_json(value, context.work)


def _join(context: Context, entries: object, separator: object) -> str:
    between = _text("join", separator)
    parts: list[str] = []
    length = 0
    for entry in _list("join", entries):
        parts.append(as_text(entry, context.work))
        length += len(parts[-1]) + len(between)
        if length > operators.MAX_TEXT + len(between):
            break
    context.work.build_text(max(length - len(between), 0))
    return between.join(parts)


def _split(context: Context, text: object, separator: object = None) -> list[str]:
    source = _text("split", text)
    between = None if separator is None else _text("split", separator)
    if between == "":
        raise ExpressionFailed("split() cannot split at an empty string")
    parts = source.split(between, MAX_ENTRIES)
    if len(parts) > MAX_ENTRIES:
        raise ExpressionFailed(f"split() would give more than {MAX_ENTRIES:,} entries")
    context.work.spend(ENTRY_BUILT * len(parts))
    return parts


def _lower(_: Context, text: object) -> str:
    return _text("lower", text).lower()


def _upper(_: Context, text: object) -> str:
    return _text("upper", text).upper()


def _strip(_: Context, text: object, characters: object = None) -> str:
    return _text("strip", text).strip(None if characters is None else _text("strip", characters))


def _replace(context: Context, text: object, old: object, new: object) -> str:
    source, before, after = _text("replace", text), _text("replace", old), _text("replace", new)
    if not before:
        raise ExpressionFailed("replace() cannot replace an empty string")
    context.work.build_text(max(len(source) + source.count(before) * (len(after) - len(before)), 0))
    return source.replace(before, after)


def _startswith(_: Context, text: object, prefix: object) -> bool:
    return _text("startswith", text).startswith(_text("startswith", prefix))


def _endswith(_: Context, text: object, suffix: object) -> bool:
    return _text("endswith", text).endswith(_text("endswith", suffix))


def _contains(context: Context, container: object, item: object) -> bool:
    return operators.inside(item, container, context.work)


def _keys(_: Context, mapping: object) -> list[object]:
    return list(_mapping("keys", mapping))


def _values(_: Context, mapping: object) -> list[object]:
    return list(_mapping("values", mapping).values())


def _range(context: Context, *bounds: object) -> list[int]:
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


def _min(context: Context, *values: object) -> object:
    return _extreme("min", "<", values, context.work)


def _max(context: Context, *values: object) -> object:
    return _extreme("max", ">", values, context.work)


def _extreme(name: str, sign: str, values: tuple[object, ...], work: Work) -> object:
    entries = _list(name, values[0]) if len(values) == 1 else list(values)
    if not entries:
        raise ExpressionFailed(f"{name}() of an empty list: there is no such entry")
    best = entries[0]
    ordered(sign, best, best, work)
    for entry in entries[1:]:
        if ordered(sign, entry, best, work):
            best = entry
    return best


def _sum(context: Context, entries: object) -> object:
    total: object = 0
    for entry in _list("sum", entries):
        if not operators.is_number(entry):
            raise ExpressionFailed(f"sum() takes a list of numbers; there is a {kind_of(entry)} in it")
        total = operators.calculate("+", total, entry, context.work)
    return total


def _any(_: Context, entries: object) -> bool:
    return any(map(truth, _list("any", entries)))


def _all(_: Context, entries: object) -> bool:
    return all(map(truth, _list("all", entries)))


def _default(_: Context, value: object, fallback: object) -> object:
    return fallback if value is None else value


_PLACEHOLDER = re.compile(
    r"\{\{|\}\}|\{([0-9]{0,3})(?::([<>^]?0?[0-9]{0,3}(?:\.[0-9]{1,2})?[dfeg%]?))?\}|[{}]"
)


def _format(context: Context, text: object, *values: object) -> str:
    source = _text("format", text)
    parts: list[str] = []
    position = count = 0
    for match in _PLACEHOLDER.finditer(source):
        parts.append(source[position : match.start()])
        position = match.end()
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
                raise ExpressionFailed(f"format() has no value number {number}: {len(values)} given")
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


def _quote(context: Context, value: object) -> str:
    from shlex import quote  # noqa: PLC0415 - only expressions that quote pay for it

    text = as_text(value, context.work)
    context.work.build_text(len(text) + 4 * text.count("'") + 2)
    return quote(text)


def _basename(_: Context, path: object) -> str:
    return posixpath.basename(_text("basename", path))


def _dirname(_: Context, path: object) -> str:
    return posixpath.dirname(_text("dirname", path))


def _glob(context: Context, pattern: object) -> list[str]:
    paths = context.scope.glob(_text("glob", pattern))
    context.work.spend(ENTRY_BUILT * len(paths))
    return paths


def _exists(context: Context, path: object) -> bool:
    return context.scope.exists(_text("exists", path))


def _hash(context: Context, value: object) -> str:
    return digest(value, context.work)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise ExpressionFailed(f"{name}() takes a string here, not {kind_of(value)}: write `str(…)` to make one")


def _list(name: str, value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise ExpressionFailed(f"{name}() takes a list, not {kind_of(value)}")


def _mapping(name: str, value: object) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return value
    raise ExpressionFailed(f"{name}() takes a mapping, not {kind_of(value)}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


_ROWS: tuple[tuple[str, Callable[..., object], int, int | None, str], ...] = (
    ("len", _len, 1, 1, "how many characters a text has, or entries a list or mapping"),
    ("str", _str, 1, 1, "a value as text, as it would be inserted into text"),
    ("int", _int, 1, 1, "a number without its fraction, or a text of digits as integer"),
    ("float", _float, 1, 1, "a number or a text as float"),
    ("bool", _bool, 1, 1, "whether a value counts as true"),
    ("json", _json, 1, 1, "the value that a JSON text means"),
    ("to_json", _to_json, 1, 1, "a value as JSON text"),
    ("join", _join, 2, 2, "the entries of a list as one text, with a separator between them"),
    ("split", _split, 1, 2, "the parts of a text between separators (default: blanks)"),
    ("lower", _lower, 1, 1, "a text in lower case"),
    ("upper", _upper, 1, 1, "a text in upper case"),
    ("strip", _strip, 1, 2, "a text without blanks (or the given characters) at both ends"),
    ("replace", _replace, 3, 3, "a text with every occurrence of one part replaced by another"),
    ("startswith", _startswith, 2, 2, "whether a text begins with another"),
    ("endswith", _endswith, 2, 2, "whether a text ends with another"),
    ("contains", _contains, 2, 2, "whether a list, mapping or text holds an item: `item in container`"),
    ("keys", _keys, 1, 1, "the keys of a mapping, in order"),
    ("values", _values, 1, 1, "the values of a mapping, in order"),
    ("range", _range, 1, 3, "the integers from 0 or a start up to before a stop, by a step"),
    ("min", _min, 1, None, "the smallest entry of a list, or of several arguments"),
    ("max", _max, 1, None, "the largest entry of a list, or of several arguments"),
    ("sum", _sum, 1, 1, "the sum of a list of numbers"),
    ("any", _any, 1, 1, "whether an entry of a list counts as true"),
    ("all", _all, 1, 1, "whether every entry of a list counts as true"),
    ("default", _default, 2, 2, "the value, or the second argument when it is null"),
    ("format", _format, 1, None, "a text with `{}`, `{0}` or `{:.2f}` replaced by the values"),
    ("quote", _quote, 1, 1, "a value as one word of a shell command"),
    ("basename", _basename, 1, 1, "the part of a path after the last slash"),
    ("dirname", _dirname, 1, 1, "the part of a path before the last slash"),
    ("glob", _glob, 1, 1, "the project's paths that match a pattern, sorted; `**` crosses folders"),
    ("exists", _exists, 1, 1, "whether the project has a file or folder at a path"),
    ("hash", _hash, 1, 1, "BLAKE3, in hex, of the value's canonical JSON"),
)

FUNCTIONS: Mapping[str, Function] = {
    row[0]: Function(*row, volatile=row[0] in ("glob", "exists")) for row in _ROWS
}
"""Every function that an expression can call."""

_FREE = frozenset({"len", "default"})


def call(function: Function, arguments: list[object], context: Context) -> object:
    """Call *function*, paying for a look at each argument."""
    if function.name not in _FREE:
        for argument in arguments:
            if isinstance(argument, (str, bytes)):
                context.work.spend(len(argument))
            elif isinstance(argument, (list, Mapping)):
                context.work.spend(ENTRY_SEEN * len(argument))
    return function.call(context, *arguments)
