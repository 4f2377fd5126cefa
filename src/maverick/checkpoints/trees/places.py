"""What a text names in a tree: an entry, and perhaps a part of the value that it holds.

There are two ways to write it, tried in this order. The first is the names with `/` between them:
`models/best`. The second is that of workflows and of the command line, which goes on into values:
`inputs.rate`, `steps.work[0].implement.output.tasks[0]`. There the value of an entry in a folder is
its `output`, and of several entries that fit, the one with the longest name is meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from maverick.checkpoints.objects.ids import TreeId
from maverick.checkpoints.trees import folders
from maverick.checkpoints.trees.folders import Located
from maverick.errors import NotFound, UsageError

_PART: Final = re.compile(
    r'\.?(?P<name>[^.\[\]"]+)|\[(?P<index>-?[0-9]{1,18})\]|\[(?P<key>"(?:[^"\\]|\\.)*")\]'
)
_SEPARATORS: Final = "./["
_OUTPUT: Final = ".output"


def locate_part(nodes: folders.Nodes, root: TreeId, text: str) -> Located | None:
    """Give what *text* names below *root* in the second way; None if that is nothing."""
    return next(_places(nodes, root, (), text), None)


def _places(
    nodes: folders.Nodes, folder: TreeId, above: tuple[str, ...], text: str
) -> Iterator[Located]:
    """Yield what *text* can mean in the *folder* with the names *above*; longer names first."""
    ends = [end for end, letter in enumerate(text) if letter in _SEPARATORS and end]
    for end in [len(text), *reversed(ends)]:
        name, rest = text[:end], text[end:]
        entry = folders.lookup(nodes, folder, (name,))
        if entry is None:
            continue
        names = (*above, name)
        if not rest:
            yield Located(names, entry)
        elif entry.kind == "tree":
            if rest[0] != "[":
                yield from _places(nodes, TreeId(entry.id), names, rest[1:])
        elif entry.kind in ("value", "bundle"):
            if not above:
                yield Located(names, entry, rest)
            elif rest == _OUTPUT or rest.startswith((f"{_OUTPUT}.", f"{_OUTPUT}[")):
                yield Located(names, entry, rest.removeprefix(_OUTPUT))


# --- parts of values ------------------------------------------------------------------------------


def parse_value_path(text: str, path: str) -> list[str | int]:
    """Give the keys and positions of a way into a value: `.tasks[0]["a.b"]`; *path* is the whole.

    Raises:
        UsageError: it is no such way.
    """
    parts: list[str | int] = []
    end = 0
    while end < len(text):
        match = _PART.match(text, end)
        if match is None:
            raise UsageError(
                f"{path!r} is no path: write names after dots, positions as [0], other keys as "
                '["a.b"]'
            )
        if match["name"] is not None:
            parts.append(match["name"])
        elif match["index"] is not None:
            parts.append(int(match["index"]))
        else:
            parts.append(str(json.loads(match["key"])))
        end = match.end()
    return parts


def part_inside(value: Any, inside: str, path: str) -> Any:
    """Give the part of *value* that *inside*, the end of *path*, leads to.

    Raises:
        NotFound: there is nothing; the message has near names.
        UsageError: it is no path.
    """
    holder = path[: len(path) - len(inside)]
    for part in parse_value_path(inside, path):
        value = _part_of(value, part, path, holder)
        holder += f"[{part}]" if isinstance(part, int) else f".{part}"
    return value


def _part_of(value: Any, part: str | int, path: str, holder: str) -> Any:
    """Give what stands at *part* of *value*; *path* and *holder* are for the message of NotFound.

    A number asks a mapping for that text.
    """
    if isinstance(value, dict):
        if (key := str(part)) in value:
            return value[key]
        raise no_such_part(path, key, value, holder)
    if isinstance(value, list) and isinstance(part, int):
        if -len(value) <= part < len(value):
            return value[part]
        raise NotFound(f"there is no {path}: {holder} has {len(value)} items")
    kinds = {list: "a list", str: "a text", bytes: "bytes", bool: "a boolean", type(None): "null"}
    raise NotFound(f"there is no {path}: {holder} is {kinds.get(type(value), 'a number')}")


def no_such_part(path: str, name: str, names: Iterable[str], holder: str) -> NotFound:
    """Give the error that says what *holder*, which has no *name*, has instead."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a message

    present = list(names)
    near = get_close_matches(name, present, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif present:
        hint = f"{holder} has {', '.join(present[:8])}{', …' if len(present) > 8 else ''}"
    else:
        hint = f"{holder} is empty"
    return NotFound(f"there is no {path}; {hint}")
