"""What a function of the language is given: its context, and arguments of the kinds that it asks
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from maverick.errors import ExpressionFailed
from maverick.values import kind_of

if TYPE_CHECKING:
    from maverick.dsl.expressions.operators import Work
    from maverick.dsl.expressions.scope import Scope


class Context(NamedTuple):
    """What a call may use beside its arguments."""

    scope: Scope
    work: Work


def text_of(name: str, value: object) -> str:
    """*value* if it is text; *name* is that of the function."""
    if isinstance(value, str):
        return value
    raise ExpressionFailed(
        f"{name}() takes a string here, not {kind_of(value)}: write `str(…)` to make one"
    )


def entries_of(name: str, value: object) -> list[object]:
    """*value* if it is a list."""
    if isinstance(value, list):
        return value
    raise ExpressionFailed(f"{name}() takes a list, not {kind_of(value)}")


def mapping_of(name: str, value: object) -> Mapping[str, object]:
    """*value* if it is a mapping."""
    if isinstance(value, Mapping):
        return value
    raise ExpressionFailed(f"{name}() takes a mapping, not {kind_of(value)}")


def shown(text: str) -> str:
    """*text* in quotes, short enough for a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
