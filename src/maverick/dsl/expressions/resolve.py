"""What the fields of a step come to, where a value of one kind is asked for."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from maverick.dsl.durations import Limit, parse_duration
from maverick.dsl.expressions import evaluate
from maverick.dsl.expressions.expressions import Expression, Template
from maverick.encoding import file_name
from maverick.errors import ExpressionFailed
from maverick.values import Value, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Frame, Scope


def number(field: Field, scope: Scope, what: str, *, minimum: int) -> int | float:
    """The number that *field* comes to; *what* names it in the message when it is none, or too
    small.
    """
    value = evaluate.render(field, scope)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not minimum <= value < inf:
        raise ExpressionFailed(
            f"{what} has to be a number of at least {minimum}, not {describe_value(value)}"
        )
    return value


def count(field: Field, scope: Scope, what: str, *, minimum: int) -> int:
    """The whole number that *field* comes to."""
    value = number(field, scope, what, minimum=minimum)
    if isinstance(value, float):
        raise ExpressionFailed(f"{what} has to be a whole number, not {describe_value(value)}")
    return value


def seconds(field: Field, scope: Scope, what: str) -> float | None:
    """The duration that *field* comes to; None stays None."""
    return duration(evaluate.render(field, scope), what)


def duration(value: Value, what: str) -> float | None:
    """The seconds that *value* stands for; *what* names it in the message when it is no duration.
    None stays None.
    """
    if value is None:
        return None
    if not isinstance(value, (str, int, float)):
        raise ExpressionFailed(
            f"{what} has to be a duration such as 90s or 15m, not {describe_value(value)}"
        )
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ExpressionFailed(f"{what}: {error}") from None


def limit(field: Field, scope: Scope) -> Limit | None:
    """The limit that a step's own `timeout` is; None is for ever."""
    return own_limit(evaluate.render(field, scope))


def own_limit(value: Value, whose: str = "") -> Limit | None:
    """The limit that a `timeout` of *value* is; None is for ever."""
    length = duration(value, "timeout")
    if length == 0:
        raise ExpressionFailed(f"timeout has to be above 0, not {describe_value(value)}")
    return None if length is None else Limit.own(length, whose)


def text(field: Field, scope: Scope, what: str) -> str:
    """The text that *field* comes to."""
    value = evaluate.render(field, scope)
    if not isinstance(value, str):
        raise ExpressionFailed(f"{what} has to be a text, not {describe_value(value)}")
    return value


def folder(field: Field, frame: Frame) -> Path:
    """The folder that a `cwd` comes to, from where the steps around it run; null is that place
    itself.
    """
    value = evaluate.render(field, frame)
    if value is None:
        return frame.project_root
    if not isinstance(value, str):
        raise ExpressionFailed(f"cwd has to be a folder, not {describe_value(value)}")
    return frame.project_root / file_name(value)


def mapping(field: Field, scope: Scope, what: str) -> dict[str, Value]:
    """The mapping that *field* comes to; null is an empty one."""
    value = evaluate.render(field, scope)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ExpressionFailed(f"{what} has to be a mapping, not {describe_value(value)}")
    return value


def sequence(field: Field, scope: Scope, what: str) -> list[Value]:
    """The list that *field* comes to; null is an empty one."""
    value = evaluate.render(field, scope)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ExpressionFailed(f"{what} has to be a list, not {describe_value(value)}")
    return value


def describe_value(value: Value) -> str:
    """Give `string 'abc'`, `boolean true` or `null` for messages; long values are cut."""
    if value is None:
        return "null"
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{kind_of(value)} {shown if len(shown) <= 60 else shown[:57] + '…'}"


def is_volatile(field: Field | Expression) -> bool:
    """Whether *field* reads anything that may differ next time with nothing recorded having
    changed.
    """
    match field:
        case Expression():
            return field.volatile
        case Template():
            return any(isinstance(part, Expression) and part.volatile for part in field.parts)
        case list():
            return any(map(is_volatile, field))
        case dict():
            return any(map(is_volatile, field.values()))
        case _:
            return False
