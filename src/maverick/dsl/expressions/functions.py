"""The functions of the expression language: `FUNCTIONS` is the whole list, with one line of help
for each.

All fail with `ExpressionFailed`; what scans or builds a large value pays for it from the
evaluation's `Budget`.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.expressions import operators
from maverick.dsl.expressions.operators import ENTRY_BUILT, ENTRY_SEEN, Budget, ordered, truth
from maverick.dsl.expressions.text import as_text, digest, to_json
from maverick.errors import ExpressionFailed
from maverick.values import kind_of

if TYPE_CHECKING:
    from maverick.dsl.expressions.operators import Budget
    from maverick.dsl.expressions.scope import Scope


class Context(NamedTuple):
    """What a call may use beside its arguments."""

    scope: Scope
    budget: Budget


def require_text(name: str, value: object) -> str:
    """*value* if it is text; *name* is that of the function."""
    if isinstance(value, str):
        return value
    raise ExpressionFailed(
        f"{name}() takes a string here, not {kind_of(value)}: write `str(…)` to make one"
    )


def require_list(name: str, value: object) -> list[object]:
    """*value* if it is a list."""
    if isinstance(value, list):
        return value
    raise ExpressionFailed(f"{name}() takes a list, not {kind_of(value)}")


def require_mapping(name: str, value: object) -> Mapping[str, object]:
    """*value* if it is a mapping."""
    if isinstance(value, Mapping):
        return value
    raise ExpressionFailed(f"{name}() takes a mapping, not {kind_of(value)}")


def quoted(text: str) -> str:
    """*text* in quotes, short enough for a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


# --- text -----------------------------------------------------------------------------------------

MAX_STRIPPED = 256
"""Different characters that `strip` may be given."""
MAX_PARTS = 1_000_000
"""Entries of a list that `split` may give."""


def str_(context: Context, value: object) -> str:
    """A value as text, as it would be inserted into text."""
    return as_text(value, context.budget)


def json_(context: Context, text: object) -> object:
    """The value that a JSON text means."""
    source = require_text("json", text)
    context.budget.spend(ENTRY_BUILT * (source.count(",") + source.count("[") + source.count("{")))
    try:
        return json.loads(source)
    except RecursionError:
        raise ExpressionFailed("json() was given a text that is nested too deeply") from None
    except ValueError as error:
        raise ExpressionFailed(f"json() cannot read {quoted(source)}: {error}") from None


def to_json_(context: Context, value: object) -> str:
    """A value as JSON text."""
    return to_json(value, context.budget)


def join_(context: Context, entries: object, separator: object) -> str:
    """The entries of a list as one text, with a separator between them."""
    between = require_text("join", separator)
    parts: list[str] = []
    length = 0
    for entry in require_list("join", entries):
        parts.append(as_text(entry, context.budget))
        length += len(parts[-1]) + len(between)
        if length > operators.MAX_TEXT + len(between):
            break
    context.budget.build_text(max(length - len(between), 0))
    return between.join(parts)


def split_(context: Context, text: object, separator: object = None) -> list[str]:
    """The parts of a text between separators (default: blanks)."""
    source = require_text("split", text)
    between = None if separator is None else require_text("split", separator)
    if between == "":
        raise ExpressionFailed("split() cannot split at an empty string")
    parts = source.split(between, MAX_PARTS)
    if len(parts) > MAX_PARTS:
        raise ExpressionFailed(f"split() would give more than {MAX_PARTS:,} entries")
    context.budget.spend(ENTRY_BUILT * len(parts))
    return parts


def lower_(_: Context, text: object) -> str:
    """A text in lower case."""
    return require_text("lower", text).lower()


def upper_(_: Context, text: object) -> str:
    """A text in upper case."""
    return require_text("upper", text).upper()


def strip_(_: Context, text: object, characters: object = None) -> str:
    """A text without blanks (or the given characters) at both ends."""
    if characters is None:
        return require_text("strip", text).strip()
    unwanted = set(require_text("strip", characters))
    if len(unwanted) > MAX_STRIPPED:  # each is compared with each end's characters
        raise ExpressionFailed(f"strip() takes at most {MAX_STRIPPED} different characters")
    return require_text("strip", text).strip("".join(unwanted))


def replace_(context: Context, text: object, old: object, new: object) -> str:
    """A text with every occurrence of one part replaced by another."""
    source, before, after = (
        require_text("replace", text),
        require_text("replace", old),
        require_text("replace", new),
    )
    if not before:
        raise ExpressionFailed("replace() cannot replace an empty string")
    context.budget.build_text(
        max(len(source) + source.count(before) * (len(after) - len(before)), 0)
    )
    return source.replace(before, after)


def startswith_(_: Context, text: object, prefix: object) -> bool:
    """Whether a text begins with another."""
    return require_text("startswith", text).startswith(require_text("startswith", prefix))


def endswith_(_: Context, text: object, suffix: object) -> bool:
    """Whether a text ends with another."""
    return require_text("endswith", text).endswith(require_text("endswith", suffix))


_PLACEHOLDER = re.compile(
    r"\{\{|\}\}|\{([0-9]{0,3})(?::([<>^]?0?[0-9]{0,3}(?:\.[0-9]{1,2})?[dfeg%]?))?\}|[{}]"
)


def format_(context: Context, text: object, *values: object) -> str:
    """A text with `{}`, `{0}` or `{:.2f}` replaced by the values."""
    source = require_text("format", text)
    parts: list[str] = []
    position = count = 0
    for match in _PLACEHOLDER.finditer(source):
        parts.append(source[position : match.start()])
        position = match.end()
        context.budget.spend(4 * ENTRY_BUILT)
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
            parts.append(_formatted(values[number], match[2] or "", context.budget))
            context.budget.spend(len(parts[-1]))
    parts.append(source[position:])
    context.budget.build_text(sum(map(len, parts)))
    return "".join(parts)


def _formatted(value: object, spec: str, budget: Budget) -> str:
    if not spec:
        return as_text(value, budget)
    try:
        return format(value if operators.is_number(value) else as_text(value, budget), spec)
    except (ValueError, OverflowError):
        raise ExpressionFailed(f"format() cannot write {kind_of(value)} as `{{:{spec}}}`") from None


def quote_(context: Context, value: object) -> str:
    """A value as one word of a shell command."""
    from shlex import quote  # noqa: PLC0415 - only expressions that quote pay for it

    text = as_text(value, context.budget)
    context.budget.build_text(len(text) + 4 * text.count("'") + 2)
    return quote(text)


def basename_(_: Context, path: object) -> str:
    """The part of a path after the last slash."""
    return posixpath.basename(require_text("basename", path))


def dirname_(_: Context, path: object) -> str:
    """The part of a path before the last slash."""
    return posixpath.dirname(require_text("dirname", path))


def hash_(context: Context, value: object) -> str:
    """BLAKE3, in hex, of the value's canonical JSON."""
    return digest(value, context.budget)


# --- numbers, lists, mappings and the project's files ---------------------------------------------

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
        raise ExpressionFailed(f"int() cannot convert {quoted(value)}: expected digits")
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
        raise ExpressionFailed(f"float() cannot convert {quoted(value)}: expected a number")
    raise ExpressionFailed(
        f"float() cannot convert {kind_of(value)}: expected a number or a string"
    )


def bool_(_: Context, value: object) -> bool:
    """Whether a value counts as true."""
    return truth(value)


def contains_(context: Context, container: object, item: object) -> bool:
    """Whether a list, mapping or text holds an item: `item in container`."""
    return operators.inside(item, container, context.budget)


def keys_(_: Context, mapping: object) -> list[object]:
    """The keys of a mapping, in order."""
    return list(require_mapping("keys", mapping))


def values_(_: Context, mapping: object) -> list[object]:
    """The values of a mapping, in order."""
    return list(require_mapping("values", mapping).values())


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
    context.budget.spend(ENTRY_BUILT * len(entries))
    return list(entries)


def min_(context: Context, *values: object) -> object:
    """The smallest entry of a list, or of several arguments."""
    return _extreme("min", "<", values, context.budget)


def max_(context: Context, *values: object) -> object:
    """The largest entry of a list, or of several arguments."""
    return _extreme("max", ">", values, context.budget)


def _extreme(name: str, sign: str, values: tuple[object, ...], budget: Budget) -> object:
    entries = require_list(name, values[0]) if len(values) == 1 else list(values)
    if not entries:
        raise ExpressionFailed(f"{name}() of an empty list: there is no such entry")
    best = entries[0]
    ordered(sign, best, best, budget)
    for entry in entries[1:]:
        if ordered(sign, entry, best, budget):
            best = entry
    return best


def sum_(context: Context, entries: object) -> object:
    """The sum of a list of numbers."""
    total: object = 0
    for entry in require_list("sum", entries):
        if not operators.is_number(entry):
            raise ExpressionFailed(
                f"sum() takes a list of numbers; there is a {kind_of(entry)} in it"
            )
        total = operators.calculate("+", total, entry, context.budget)
    return total


def any_(_: Context, entries: object) -> bool:
    """Whether an entry of a list counts as true."""
    return any(require_list("any", entries))


def all_(_: Context, entries: object) -> bool:
    """Whether every entry of a list counts as true."""
    return all(require_list("all", entries))


def default_(_: Context, value: object, fallback: object) -> object:
    """The value, or the second argument when it is null."""
    return fallback if value is None else value


def glob_(context: Context, pattern: object) -> list[str]:
    """The project's paths that match a pattern, sorted; `**` crosses folders."""
    paths = context.scope.glob(require_text("glob", pattern))
    context.budget.spend(ENTRY_BUILT * len(paths))
    return paths


def exists_(context: Context, path: object) -> bool:
    """Whether the project has a file or folder at a path."""
    return context.scope.exists(require_text("exists", path))


# --- the list -------------------------------------------------------------------------------------


class Function(NamedTuple):
    """One function: `most` None means any number of arguments; `volatile` ones read the project's
    files.
    """

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


# The function, how many arguments it takes at least, and at most (None: any number).
_ROWS: tuple[tuple[Callable[..., object], int, int | None], ...] = (
    (len_, 1, 1),
    (str_, 1, 1),
    (int_, 1, 1),
    (float_, 1, 1),
    (bool_, 1, 1),
    (json_, 1, 1),
    (to_json_, 1, 1),
    (join_, 2, 2),
    (split_, 1, 2),
    (lower_, 1, 1),
    (upper_, 1, 1),
    (strip_, 1, 2),
    (replace_, 3, 3),
    (startswith_, 2, 2),
    (endswith_, 2, 2),
    (contains_, 2, 2),
    (keys_, 1, 1),
    (values_, 1, 1),
    (range_, 1, 3),
    (min_, 1, None),
    (max_, 1, None),
    (sum_, 1, 1),
    (any_, 1, 1),
    (all_, 1, 1),
    (default_, 2, 2),
    (format_, 1, None),
    (quote_, 1, 1),
    (basename_, 1, 1),
    (dirname_, 1, 1),
    (glob_, 1, 1),
    (exists_, 1, 1),
    (hash_, 1, 1),
)
_VOLATILE = frozenset({"glob", "exists"})
_FREE = frozenset({"len", "default"})


def _function(call: Callable[..., object], least: int, most: int | None) -> Function:
    name = call.__name__.removesuffix("_")
    return Function(name, call, least, most, call.__doc__ or "", volatile=name in _VOLATILE)


FUNCTIONS: Mapping[str, Function] = {
    function.name: function for function in (_function(*row) for row in _ROWS)
}
"""Every function that an expression can call, by its name. The help of each is its docstring."""


def call_function(function: Function, arguments: list[object], context: Context) -> object:
    """Call *function*, paying for a look at each argument."""
    if function.name not in _FREE:
        for argument in arguments:
            if isinstance(argument, (str, bytes)):
                context.budget.spend(len(argument))
            elif isinstance(argument, (list, Mapping)):
                context.budget.spend(ENTRY_SEEN * len(argument))
    return function.call(context, *arguments)
