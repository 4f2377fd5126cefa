"""The iterations of a loop, in few words: what people call them, and what became of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

_NAMING: Final = ("name", "title", "id", "number", "key", "path", "file", "label")
_LONGEST: Final = 60
NAMED: Final = 20
"""The most iterations that a tally names; of more, those that failed and that took longest."""
_SLOWEST: Final = 3


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


class IterationTally:
    """Counts the iterations of the loop at *path*. Threads may share it."""

    def __init__(self, path: str, before: Mapping[str, Any]) -> None:
        """*before* are the loop's facts as they are stored: what is recalled took as long then."""
        self._path = path
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._failed: list[str] = []
        self._names: list[str] = []
        self._longest: dict[str, int] = {}
        self._earlier: Mapping[str, int] = before.get("iterations", {}).get("longest", {})

    def note(self, iteration: str, status: str, seconds: float | None) -> None:
        """Note an iteration that has ended; *seconds* is None where nothing in it ran."""
        name = iteration[len(self._path) :]
        with self._lock:
            self._counts[status] = self._counts.get(status, 0) + 1
            if len(self._names) <= NAMED:
                self._names.append(name)
            if status == "failed" and len(self._failed) < NAMED:
                self._failed.append(name)
            spent = self._earlier.get(name) if seconds is None else round(seconds * 1000)
            if spent is not None:
                self._longest[name] = spent
                if len(self._longest) > _SLOWEST:
                    del self._longest[min(self._longest, key=self._longest.__getitem__)]

    def facts(self) -> dict[str, Any]:
        """Give `{iterations: …}`: counts by status, and by name which failed and took longest.

        Times are in milliseconds. Of a loop of few iterations all are named.
        """
        with self._lock:
            told: dict[str, Any] = {"counts": dict(self._counts), "longest": dict(self._longest)}
            if self._failed:
                told["failed"] = list(self._failed)
            if len(self._names) <= NAMED:
                told["names"] = list(self._names)
            return {"iterations": told}
