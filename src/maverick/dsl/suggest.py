"""Near names for what does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONSIDERED = 300
"""How many names are compared, those of the most similar length: each takes some microseconds."""


def nearest(name: str, names: Iterable[str], *, likeness: float = 0.6) -> str:
    """Give `; did you mean …?`, or nothing when none of *names* is near. `-` and `_` count as the
    same.

    *likeness* is how near a name has to be: 1 is the same.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for a message.

    likely = sorted(names, key=lambda other: (abs(len(other) - len(name)), other))[:_CONSIDERED]
    plain = {other.replace("-", "_").lower(): other for other in reversed(likely)}
    close = get_close_matches(name[:100].replace("-", "_").lower(), plain, n=1, cutoff=likeness)
    return f"; did you mean `{plain[close[0]]}`?" if close else ""
