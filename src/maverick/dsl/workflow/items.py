"""What people call the iterations of a loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAMING: Final = ("name", "title", "id", "number", "key", "path", "file", "label")
_LONGEST: Final = 60


def item_name(item: object) -> str:
    """Give what a person calls an iteration over *item*, on one line of at most 60 characters.

    A text or number is its own name; a mapping has that of its `name`, `title`, `id` and the like.
    Anything else has none, which is an empty text.
    """
    if isinstance(item, Mapping):
        return next(filter(None, (_text(item.get(field)) for field in _NAMING)), "")
    return _text(item)


def _text(item: object) -> str:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        return ""
    line = " ".join(str(item).strip().partition("\n")[0].split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
