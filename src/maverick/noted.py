"""What stands in notes that anybody may have made: runs are imported, and programs save their own.

What is not what it should be counts as not there, so that one run with nonsense in it does not keep
a person from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NUMBERS_END: Final = 1 << 53
"""What is no smaller is no count and no time; others who read JSON would round it."""
_AMOUNTS_END: Final = 1_000_000_000.0
_DEPTH: Final = 20
_PARTS: Final = 1000
_CHARACTERS: Final = 64 * 1024


def whole_number(value: object) -> int | None:
    """Give a count or a time; None for what is none."""
    return value if type(value) is int and 0 <= value < NUMBERS_END else None


def is_exact(value: object) -> bool:
    """Whether *value* is JSON without floats, neither too deep nor too long."""
    return is_small(value) and _is_exact(value)


def _is_exact(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_exact(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_exact, value))
    return value is None or isinstance(value, str | int)


def amount(value: object) -> float | None:
    """Give seconds or dollars; None for what is no number, or not a finite one of that size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < _AMOUNTS_END else None


def text_of(value: object) -> str:
    """Give a text; an empty one for what is none."""
    return value if isinstance(value, str) else ""


def small_mapping(value: object) -> Mapping[str, object] | None:
    """Give a mapping; None for what is none, or is too deep or too long to be shown."""
    return value if isinstance(value, Mapping) and is_small(value) else None


def is_small(value: object) -> bool:
    """Whether *value* is neither too deep nor too long to be shown, and written again."""
    level, parts, characters = [value], 0, 0
    for _ in range(_DEPTH):
        inner: list[object] = []
        for each in level:
            if isinstance(each, Mapping):
                inner += [*each.keys(), *each.values()]
            elif isinstance(each, list):
                inner += each
            elif isinstance(each, str):
                characters += len(each)
        parts += len(inner)
        if parts > _PARTS or characters > _CHARACTERS:
            return False
        if not inner:
            return True
        level = inner
    return False
