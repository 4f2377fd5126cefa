"""Text to expressions and templates, with everything checked that does not depend on values.

An expression knows what it reads, so that it can be checked before the run and its value be
recalled. A text that is no expression raises `ExpressionSyntaxError`, whatever it holds.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from maverick.dsl.expressions.functions import FUNCTIONS
from maverick.dsl.expressions.nodes import Access, Call, Literal, Name, Node, children
from maverick.dsl.expressions.parser import (
    MAX_NESTING,
    TOO_DEEP,
    ExpressionSyntaxError,
    Parser,
    Token,
    tokens,
)

__all__ = [
    "Expression",
    "ExpressionSyntaxError",
    "SourcePlace",
    "Template",
    "parse_expression",
    "parse_template",
]

_VOLATILE_ROOTS = ("env", "run")

NamePath: TypeAlias = tuple[str | int, ...]
"""A static access path, such as `("steps", "plan", "output", 0)`."""


class SourcePlace(NamedTuple):
    """Where a field stands in a file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Expression(NamedTuple):
    """One parsed expression. `text` is its text without `${{ }}`, `place` that of the field it
    stands in.

    `names` are all static access paths, in the order of the text, each cut at its first dynamic
    part; `reads` are those of them that start at neither env nor run; `calls` are
    the functions. `volatile`: it reads `env` or `run`, or calls `glob` or `exists`, so that `reads`
    do not tell its value.
    """

    text: str
    place: SourcePlace
    node: Node
    reads: tuple[NamePath, ...]
    names: tuple[NamePath, ...]
    calls: frozenset[str]
    volatile: bool


class Template(NamedTuple):
    """A text with expressions in it. With one part that is an `Expression` it keeps the value's
    type.
    """

    text: str
    place: SourcePlace
    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self.parts if isinstance(part, Expression))


def parse_expression(text: str, place: SourcePlace) -> Expression:
    """Parse *text*, which may stand in `${{ }}` and between blanks.

    Raises `ExpressionSyntaxError` with the offset in *text*.
    """
    start = len(text) - len(text.lstrip())
    if not text.startswith("${{", start):
        return _parse(text, place, tokens(text, start), start)
    scanned = tokens(text, start + 3, braced=True)
    end = scanned[-1].offset + 2
    if text[end:].strip():
        message = "expected nothing after `}}`: write the whole expression inside one `${{ }}`"
        raise ExpressionSyntaxError(message, end + len(text[end:]) - len(text[end:].lstrip()))
    return _parse(text, place, scanned, start + 3)


def parse_template(text: str, place: SourcePlace) -> str | Template:
    """Parse *text* with any number of `${{ … }}` in it; give it back as it is when there is none.

    Raises `ExpressionSyntaxError` with the offset in *text*.
    """
    parts: list[str | Expression] = []
    position = 0
    while (start := text.find("${{", position)) >= 0:
        if start > position:
            parts.append(text[position:start])
        scanned = tokens(text, start + 3, braced=True)
        parts.append(_parse(text, place, scanned, start + 3))
        position = scanned[-1].offset + 2
    if not parts:
        return text
    if position < len(text):
        parts.append(text[position:])
    return Template(text, place, tuple(parts))


def _parse(text: str, place: SourcePlace, scanned: list[Token], start: int) -> Expression:
    node = Parser(scanned).whole()
    inner = text[start : scanned[-1].offset].strip()
    return _examined(inner, place, node, start)


def _examined(text: str, place: SourcePlace, root: Node, offset: int) -> Expression:
    """Collect what the tree reads and calls; refuse one that is too deep to evaluate."""
    names: dict[NamePath, None] = {}
    calls: set[str] = set()
    pending: list[tuple[Node, int]] = [(root, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_NESTING:
            raise ExpressionSyntaxError(TOO_DEEP, offset)
        below = children(node)
        match node:
            case Name(name):
                names[(name,)] = None
            case Access(Name(name), keys):
                names[(name, *_static(keys))] = None
                below = keys
            case Call(function, _):
                calls.add(function.name)
            case _:
                pass
        pending.extend(
            [(child, depth + 1) for child in reversed(below) if type(child) is not Literal]
        )
    volatile = any(path[0] in _VOLATILE_ROOTS for path in names) or any(
        FUNCTIONS[name].volatile for name in calls
    )
    reads = tuple(path for path in names if path[0] not in _VOLATILE_ROOTS)
    return Expression(text, place, root, reads, tuple(names), frozenset(calls), volatile)


def _static(keys: tuple[Node, ...]) -> NamePath:
    path: list[str | int] = []
    for key in keys:
        if (
            not isinstance(key, Literal)
            or isinstance(key.value, bool)
            or not isinstance(key.value, (str, int))
        ):
            break
        path.append(key.value)
    return tuple(path)


Field: TypeAlias = bool | int | float | str | Template | list["Field"] | dict[str, "Field"] | None
"""A value whose strings may be templates, at any depth."""
