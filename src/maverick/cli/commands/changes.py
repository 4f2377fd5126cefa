"""The differences between two checkpoints, as people and scripts read them."""

from __future__ import annotations

import json
import re
from collections import Counter
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.checkpoints.trees.diff import MISSING, Change, diff_checkpoints
from maverick.cli.inside import begun_steps, recorded_steps, status_of
from maverick.cli.terminal.render import json_text, plural
from maverick.dsl.paths import is_within
from maverick.errors import NotFound
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints import Checkpoint, Entry, Snapshot, Store

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FILES: Final = frozenset({"artifacts", "workspace"})
_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}


class Line(NamedTuple):
    """One change: `path` such as `steps.plan.output.tasks[3].title`; a side that has nothing is
    None.
    """

    path: str
    change: str
    old: Any
    new: Any

    def as_json(self) -> dict[str, Any]:
        """Give it as a mapping."""
        return {"path": self.path, "change": self.change, "old": self.old, "new": self.new}


def check_step(sides: Iterable[Snapshot], step: str) -> None:
    """Refuse a *step* that none of *sides* knows, recorded or begun, itself or below it. Raises
    NotFound.
    """
    names = {name for side in sides for name in (*recorded_steps(side), *begun_steps(side))}
    known = [name for name in names if "?" not in name]
    if not any(is_within(name, step) for name in known):
        from maverick.dsl.suggest import nearest  # noqa: PLC0415 - of the engine

        hint = nearest(step, known) or f"; there are {', '.join(sorted(known)[:8]) or 'none'}"
        raise NotFound(f"there is no step {step!r} in either checkpoint{hint}")


def changes_between(store: Store, old: Checkpoint, new: Checkpoint, step: str = "") -> list[Line]:
    """Give what differs between *old* and *new* but for files, in the natural order of the paths.

    Decisions are left out, and so is a step made of steps where something below it differs. *step*
    limits it to that step and those below. How files were found is compared where both checkpoints
    hold some.
    """
    found = [it for it in diff_checkpoints(store, old, new, without=_FILES) if not _is_decision(it)]
    changed = {it.path[1] for it in found if it.path[0] == "steps"}
    around = {name for path in changed for name in _around(path)}
    lines: list[Line] = []
    for it in found:
        if it.path[0] == "steps":
            name = it.path[1]
            if not step or is_within(name, step):
                lines += _step_lines(it, hidden=name in around)
        elif not step:
            lines += _other_lines(it)
    return lines


def _is_decision(it: Change) -> bool:
    return it.path[0] == "steps" and "?" in it.path[1]


def _around(path: str) -> Iterator[str]:
    """The paths of the steps around the one at *path*."""
    for match in re.finditer(r'\["(?:[^"\\]|\\.)*"\]|[.\[]', path):
        yield path[: match.start()]
        if match[0].startswith('["'):
            yield path[: match.end()]


def _step_lines(it: Change, *, hidden: bool) -> Iterator[Line]:
    """A record's status where it differs, and its output, unless it is *hidden*."""
    name = f"steps.{it.path[1]}"
    before, after = _status(it.before), _status(it.after)
    if it.part == "note":
        if before != after:
            yield Line(f"{name}.status", "changed", before, after)
        return
    if it.change != "changed" and not it.inside and (it.before is None or it.after is None):
        yield Line(f"{name}.status", it.change, before, after)
    if not hidden:
        yield _line(f"{name}.output", it)


def _status(entry: Entry | None) -> str | None:
    return None if entry is None else status_of(entry)


def _other_lines(it: Change) -> Iterator[Line]:
    name = it.path[0]
    if name == "workspace-about" and (it.before is None or it.after is None):
        return
    if it.part == "note":
        return  # It says which definition is the main one.
    if len(it.path) > 1:
        yield _line(f"{name}.{'/'.join(it.path[1:])}", it)
        return
    yield from _by_key(_line(name, it))


def _by_key(line: Line) -> Iterator[Line]:
    """A whole mapping of inputs that one side lacks, input by input."""
    mapping = line.new if line.change == "added" else line.old
    if line.change == "changed" or line.path != "inputs" or not isinstance(mapping, dict):
        yield line
        return
    for key, value in mapping.items():
        old, new = (None, value) if line.change == "added" else (value, None)
        yield Line(line.path + _step_into(key), line.change, old, new)


def _line(name: str, it: Change) -> Line:
    return Line(name + "".join(map(_step_into, it.inside)), it.change, _side(it.old), _side(it.new))


def _step_into(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _NAME.fullmatch(part) else f"[{json.dumps(part, ensure_ascii=False)}]"


def _side(value: Any) -> Any:
    if value is MISSING:
        return None
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    return value


# --- for people -----------------------------------------------------------------------------------


def stat_line(it: Line) -> str:
    """Give a change without its values."""
    return f"{_SIGNS[it.change]} {one_line(it.path)}\n"


def summary(changes: Iterable[str]) -> str:
    """Give how many there are of each kind of change, in a line; nothing for none."""
    counts = Counter(changes)
    listed = ", ".join(f"{counts[kind]} {kind}" for kind in _SIGNS if counts[kind])
    return f"{plural(counts.total(), 'change')}: {listed}\n" if listed else ""


def full_text(it: Line) -> str:
    """Give a change with its values; text of several lines as a unified diff."""
    head = f"{_SIGNS[it.change]} {one_line(it.path)}"
    texts = [side for side in (it.old, it.new) if side is not None]
    if all(isinstance(side, str) for side in texts) and any("\n" in side for side in texts):
        body = unified_diff(_lines(it.old), _lines(it.new), "old", "new", lineterm="")
        return (
            head + "\n" + "".join(f"    {one_line(line.expandtabs())}\n" for line in list(body)[2:])
        )
    old, new = (json_text(side, indent=None) for side in (it.old, it.new))
    match it.change:
        case "added":
            return f"{head}: {new}\n"
        case "removed":
            return f"{head}: {old}\n"
        case _:
            return f"{head}: {old} -> {new}\n"


def _lines(text: str | None) -> list[str]:
    lines = (text or "").split("\n")
    return lines if lines[-1] else lines[:-1]
