"""Step paths: where a step stands in a run, as text such as `phases[2].implement` or
`issues["7"].fix`.

A path is built of step names, positions (a loop's iterations, counted from 0) and keys (the
iterations of a keyed loop, written as JSON texts). The text is the name under which the step is
stored and shown. What was decided about a step stands beside it, under `path?what`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_PART = re.compile(r'\.?[^.\[\]"?]+|\[[0-9]+\]|\["(?:[^"\\]|\\.)*"\]')
"""A name, the position of an iteration, or its key. No name of a step holds a dot, a bracket, a
quote or a question mark.
"""
_DECISION = re.compile(r"\?\w+(\[[0-9]+\])?\Z")


class StepPath(str):
    """The path of a step, of an iteration, or (empty) of the workflow itself.

    A text, too: it sorts, compares and is stored as one.
    """

    __slots__ = ()

    def child(self, name: str) -> StepPath:
        """The step *name* of the block at this path."""
        return StepPath(f"{self}.{name}" if self else name)

    def item(self, position: int | str) -> StepPath:
        """The iteration *position* (an integer), or of that key (a text), of the loop here."""
        return StepPath(
            f"{self}[{position}]"
            if isinstance(position, int)
            else f"{self}[{json.dumps(position)}]"
        )

    def ancestors(self) -> Iterator[StepPath]:
        """The steps and iterations around it, outermost first."""
        ends = [match.end() for match in _PART.finditer(self)]
        return (StepPath(self[:end]) for end in ends[:-1])

    def iterations(self) -> Iterator[tuple[StepPath, StepPath]]:
        """The loops that it stands in, outermost first, each with the iteration of it."""
        for match in _PART.finditer(self):
            if match[0].startswith("["):
                yield StepPath(self[: match.start()]), StepPath(self[: match.end()])

    def is_within(self, ancestor: str) -> bool:
        """Whether it is *ancestor* or stands below it."""
        return is_within(self, ancestor)

    @property
    def last(self) -> str:
        """The name at its end; of an iteration its position or key, in brackets."""
        parts = _PART.findall(self)
        return str(parts[-1]).removeprefix(".") if parts else ""

    @property
    def position(self) -> int | None:
        """The position of the iteration that it is; None of a keyed one, and of a step."""
        position = self.rpartition("[")[2][:-1] if self.endswith("]") else ""
        return int(position) if position.isdigit() else None

    @property
    def pattern(self) -> str:
        """The path in the definition: `phases[].implement`, whichever iteration it is."""
        return _PART.sub(lambda part: "[]" if part[0].startswith("[") else part[0], self)

    @property
    def depth(self) -> int:
        """How many steps are around it; an iteration counts as the steps in it do."""
        parts = _PART.findall(self)
        names = sum(not part.startswith("[") for part in parts)
        return max(names - 1, 0) + self.endswith("]")


ROOT = StepPath()
"""The workflow itself."""


def is_within(name: str, ancestor: str) -> bool:
    """Whether the step or decision *name* is of the step *ancestor*, or of one below it."""
    return name == ancestor or (name.startswith(ancestor) and name[len(ancestor)] in ".[?")


def is_decision(name: str) -> bool:
    """Whether *name* is `path?what`, and not the path of a step."""
    return _DECISION.search(name) is not None


def step_of(decision: str) -> StepPath:
    """The path of the step that *decision* is about."""
    return StepPath(decision.rpartition("?")[0])
