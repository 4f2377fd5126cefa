"""Step paths: where a step stands in a run, as text such as `phases[2].implement` or
`issues["7"].fix`.

A path is built of step names, positions (a loop's iterations, counted from 0) and keys (the
iterations of a keyed loop, written as JSON texts). The text is the name under which the step is
stored and shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator


def child(path: str, name: str) -> str:
    """The step *name* of the block at *path* (`""` is the workflow itself)."""
    return f"{path}.{name}" if path else name


def item(path: str, position: int | str) -> str:
    """The iteration *position* (an integer), or of that key (a text), of the loop at *path*."""
    return f"{path}[{position}]" if isinstance(position, int) else f"{path}[{json.dumps(position)}]"


def ancestors(path: str) -> Iterator[str]:
    """What may stand around *path*, outermost first: of a key with a dot or bracket in it, also
    what is no path.
    """
    return (path[:place] for place, letter in enumerate(path) if letter in ".[")


def is_within(path: str, ancestor: str) -> bool:
    """Whether *path* is *ancestor* or stands below it."""
    return path == ancestor or (path.startswith(ancestor) and path[len(ancestor)] in ".[?")
