"""Which steps of a run are at work, noted beside its lock for whoever looks at it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from maverick.noted import whole_number

MOST_NOTED = 50
"""Steps that are noted at once; of a wider loop the first of those that run."""


class RunningStep(NamedTuple):
    """A step that is at work: since when, in milliseconds since the epoch, at which attempt."""

    step: str
    type: str
    since: int
    attempt: int = 1

    @classmethod
    def read(cls, note: Mapping[str, Any]) -> list[RunningStep]:
        """Give the steps that an owner's *note* names; what is no such step is left out."""
        every = note.get("running", [])
        return [
            cls(fields["step"], fields["type"], fields["since"], fields["attempt"])
            for fields in (every if isinstance(every, list) else [])
            if isinstance(fields, dict)
            and all(isinstance(fields.get(name), str) for name in ("step", "type"))
            and all(whole_number(fields.get(name)) is not None for name in ("since", "attempt"))
        ]


def _to_nobody(_steps: list[dict[str, Any]]) -> None:
    """Tell nobody."""


class Running:
    """The steps that are at work. Threads may share it; *tell* hears of each change."""

    def __init__(self, tell: Callable[[list[dict[str, Any]]], None] = _to_nobody) -> None:
        self._tell = tell
        self._steps: dict[str, RunningStep] = {}
        self._lock = threading.Lock()

    def begin(self, path: str, kind: str, started: float) -> None:
        """Note that the step at *path* is at work, since *started* (seconds since the epoch)."""
        with self._lock:
            self._steps[path] = RunningStep(path, kind, int(started * 1000))
            self._note()

    def retry(self, path: str, attempt: int) -> None:
        """Note that the step at *path* is tried again."""
        with self._lock:
            if path in self._steps:
                self._steps[path] = self._steps[path]._replace(attempt=attempt)
                self._note()

    def end(self, path: str) -> None:
        """Note that the step at *path* is over; the next change tells it."""
        with self._lock:
            self._steps.pop(path, None)

    def _note(self) -> None:
        first = list(self._steps.values())[:MOST_NOTED]
        self._tell([step._asdict() for step in first])
