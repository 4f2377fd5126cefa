"""The project's files as expressions see them: `glob` and `exists`, never outside the project's
root.

One walk serves any pattern: every folder is listed at most once, however many `**` stand in it.
"""

from __future__ import annotations

import os
import re
from fnmatch import translate
from typing import TYPE_CHECKING, TypeAlias

from maverick.errors import ExpressionFailed

if TYPE_CHECKING:
    from pathlib import Path

MAX_LISTED = 1_000_000
"""Entries of folders that one `glob` looks at."""

Segment: TypeAlias = re.Pattern[str] | None
"""One part of a pattern between slashes; None is `**`."""


def glob(root: Path, pattern: str) -> list[str]:
    """Paths below *root* that match *pattern*, relative to it, with `/`, sorted; files and folders.

    `*`, `?` and `[…]` match inside one name, `**` any number of folders. Names that begin with a
    dot match only a part of the pattern that does, too. `**` does not enter folders behind symbolic
    links; a folder that cannot be read holds nothing. A pattern that leads outside the project is
    an error.
    """
    parts = _inside(root, pattern, "glob")
    segments = [_segment(part) for part in parts]
    if segments and segments[-1] is None:
        segments.append(_segment("*"))  # what is below, not the folder itself
    paths: set[str] = set()
    listed = 0
    pending: list[tuple[str, frozenset[int]]] = [("", _closed({0}, segments))]
    while pending:
        folder, states = pending.pop()
        for entry in _list_folder(root / folder if folder else root):
            listed += 1
            if listed > MAX_LISTED:
                raise ExpressionFailed(
                    f"glob() looked at {MAX_LISTED:,} files: make the pattern narrower"
                )
            states_below = _after(entry, states, segments)
            path = f"{folder}/{entry.name}" if folder else entry.name
            if len(segments) in states_below:
                paths.add(path)
            if any(state < len(segments) for state in states_below) and entry.is_dir():
                pending.append((path, states_below))
    return sorted(paths)


def exists(root: Path, path: str) -> bool:
    """Whether there is a file or folder at *path*, relative to *root*; a path outside *root* is an
    error.
    """
    try:
        return root.joinpath(*_inside(root, path, "exists")).exists()
    except (OSError, ValueError):  # a name that is too long, a folder that cannot be read
        return False


def _inside(root: Path, path: str, function: str) -> list[str]:
    """The parts of *path* below *root*."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/"):
        above = root.absolute().parts[1:]
        if tuple(parts[: len(above)]) != above:
            raise ExpressionFailed(
                f"{function}() reads the project only, and {path!r} is outside {root}"
            )
        parts = parts[len(above) :]
    if ".." in parts:
        raise ExpressionFailed(
            f"{function}() reads the project only: {path!r} must not contain `..`"
        )
    return parts


def _segment(part: str) -> Segment:
    return None if part == "**" else re.compile(translate(part))


def _closed(states: set[int], segments: list[Segment]) -> frozenset[int]:
    """*states*, and those behind a `**` that matches no folder."""
    result = set(states)
    for state in states:
        following = state
        while following < len(segments) and segments[following] is None:
            following += 1
            result.add(following)
    return frozenset(result)


def _after(
    entry: os.DirEntry[str], states: frozenset[int], segments: list[Segment]
) -> frozenset[int]:
    """How much of the pattern can be matched once *entry* is."""
    reached: set[int] = set()
    for state in states:
        if state == len(segments):
            continue
        segment = segments[state]
        hidden = entry.name.startswith(".")
        if segment is None:
            if not hidden and not entry.is_symlink():
                reached.add(state)
        elif segment.match(entry.name) and (not hidden or segment.pattern.startswith(r"(?s:\.")):
            reached.add(state + 1)
    return _closed(reached, segments)


def _list_folder(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (OSError, ValueError):
        return []
