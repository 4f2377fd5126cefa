"""Compare two checkpoints.

It compares inputs, definition, files, and what steps gave, down to the value that changed. Text is
shown as a unified diff, other files by their sizes. A loop or branch is not shown when a step
inside it is. Files are compared if both checkpoints hold some. If nothing differs, nothing is
printed.

Examples:
  maverick diff fly@latest~3 fly@latest
  maverick diff RUN-A RUN-B --step plan
  maverick diff RUN@phase_1 RUN@phase_2 --stat
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import unified_diff
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from maverick.checkpoints.trees.diff import MISSING, Change, diff_checkpoints, diff_trees
from maverick.checkpoints.workspace import FileChange, change_of, is_binary, tree_of
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import SIGNS, json_text, plural, size
from maverick.cli.terminal.streams import print_err, print_json, print_out
from maverick.dsl.journal.tree import (
    ABOUT_FILES,
    ARTIFACTS,
    FILES,
    INPUTS,
    RunTree,
    StepNote,
    TreePath,
    step_at,
)
from maverick.dsl.paths import StepPath, is_decision, is_within
from maverick.errors import NotFound
from maverick.visible import one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Entry, ObjectId, Store

TEXT_LIMIT_BYTES: Final = 1_000_000
"""Of a longer file only the size is shown."""
_LINK, _FOLDER = "120000", "040000"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FOLDERS_OF_FILES: Final = frozenset({*ARTIFACTS, *FILES})


def command(
    old: Annotated[str, typer.Argument(metavar="A", help="A revision.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The revision to compare it with.")],
    step: Annotated[
        str, typer.Option(metavar="STEP", help="Compare this step and those in it only.")
    ] = "",
    *,
    stat: Annotated[
        bool, typer.Option("--stat", help="Print one line for each change, without values.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    store = this_project().open_store()
    before, after = store.resolve(old), store.resolve(new)
    sides = RunTree(store.snapshot(before)), RunTree(store.snapshot(after))
    if step:
        _check_step(sides, step)
    differences: Iterator[_Value | _File] = chain(
        _values_that_differ(store, before, after, step), _files_that_differ(store, *sides, step)
    )
    if as_json:
        print_json([row for difference in differences for row in difference.rows()])
        return
    counts: Counter[str] = Counter()
    for difference in differences:
        print_out(difference.short() if stat else difference.full())
        counts[difference.change] += 1
    if stat:
        print_out(_summary(counts))
    without = [name for name, side in zip((old, new), sides, strict=True) if not side.holds_files]
    if len(without) == 1 and not step:
        print_err(f"note: files are not compared: {without[0]} holds none")


def _check_step(sides: Iterable[RunTree], step: str) -> None:
    """Refuse a *step* that none of *sides* knows, recorded or begun, itself or below it."""
    steps = {name for side in sides for name in (*side.steps, *side.begun)}
    if not any(name.is_within(step) for name in steps):
        from maverick.visible import nearest  # noqa: PLC0415 - of the engine

        hint = nearest(step, steps) or f"; there are {', '.join(sorted(steps)[:8]) or 'none'}"
        raise NotFound(f"there is no step {step!r} in either checkpoint{hint}")


def _summary(counts: Counter[str]) -> str:
    """How many there are of each kind of change, in a line; nothing for none."""
    listed = ", ".join(f"{counts[kind]} {kind}" for kind in SIGNS if counts[kind])
    return f"{plural(counts.total(), 'change')}: {listed}\n" if listed else ""


def _row(path: str, change: str, old: Any, new: Any) -> dict[str, Any]:
    return {"path": path, "change": change, "old": old, "new": new}


def _head(change: str, path: str) -> str:
    return f"{SIGNS[change]} {one_line(path)}"


def _text_diff(old: str | None, new: str | None) -> str:
    """The lines that differ, indented; empty if only the newline at the end does."""
    body = unified_diff(_lines(old), _lines(new), "old", "new", lineterm="")
    return "".join(f"    {one_line(line.expandtabs())}\n" for line in list(body)[2:])


def _lines(text: str | None) -> list[str]:
    lines = (text or "").split("\n")
    return lines if lines[-1] else lines[:-1]


# --- values ---------------------------------------------------------------------------------------


class _Value(NamedTuple):
    """A value that differs, at a path such as `steps.plan.output.tasks[3].title`; a side that has
    nothing is None.
    """

    path: str
    change: str
    old: Any
    new: Any

    def rows(self) -> list[dict[str, Any]]:
        return [_row(self.path, self.change, self.old, self.new)]

    def short(self) -> str:
        """Give it without the values."""
        return _head(self.change, self.path) + "\n"

    def full(self) -> str:
        """Give it with its values; text of several lines as a unified diff."""
        head = _head(self.change, self.path)
        texts = [side for side in (self.old, self.new) if side is not None]
        if all(isinstance(side, str) for side in texts) and any("\n" in side for side in texts):
            return f"{head}\n{_text_diff(self.old, self.new)}"
        old, new = (json_text(side, indent=None) for side in (self.old, self.new))
        match self.change:
            case "added":
                return f"{head}: {new}\n"
            case "removed":
                return f"{head}: {old}\n"
            case _:
                return f"{head}: {old} -> {new}\n"


def _values_that_differ(
    store: Store, old: Checkpoint, new: Checkpoint, step: str
) -> Iterator[_Value]:
    """Give what differs but for files, in the natural order of the paths.

    Decisions are left out, and so is a step made of steps where something below it differs. *step*
    limits it to that step and those below. How files were found is compared where both checkpoints
    hold some.
    """
    changes = [
        (step_at(change.path), change)
        for change in diff_checkpoints(store, old, new, without=_FOLDERS_OF_FILES)
    ]
    around = {
        outer
        for name, _ in changes
        if name is not None and not is_decision(name)
        for outer in StepPath(name).ancestors()
    }
    for name, change in changes:
        if name is None:
            yield from () if step else _of_other(change)
        elif not is_decision(name) and (not step or is_within(name, step)):
            yield from _of_step(name, change, hidden=name in around)


def _of_step(path: str, change: Change, *, hidden: bool) -> Iterator[_Value]:
    """A record's status where it differs, and its output, unless it is *hidden*."""
    name = f"steps.{path}"
    before, after = _status(change.before), _status(change.after)
    if change.part == "note":
        if before != after:
            yield _Value(f"{name}.status", "changed", before, after)
        return
    is_whole = change.before is None or change.after is None
    if change.change != "changed" and not change.inside and is_whole:
        yield _Value(f"{name}.status", change.change, before, after)
    if not hidden:
        yield _value(f"{name}.output", change)


def _status(entry: Entry | None) -> str | None:
    return None if entry is None else StepNote.of(entry).status


def _of_other(change: Change) -> Iterator[_Value]:
    name = change.path[0]
    if change.path == ABOUT_FILES and (change.before is None or change.after is None):
        return
    if change.part == "note":
        return  # It says which definition is the main one.
    if len(change.path) > 1:
        yield _value(f"{name}.{'/'.join(change.path[1:])}", change)
        return
    yield from _by_key(_value(name, change))


def _by_key(value: _Value) -> Iterator[_Value]:
    """A whole mapping of inputs that one side lacks, input by input."""
    mapping = value.new if value.change == "added" else value.old
    if value.change == "changed" or value.path != INPUTS[0] or not isinstance(mapping, dict):
        yield value
        return
    for key, item in mapping.items():
        old, new = (None, item) if value.change == "added" else (item, None)
        yield _Value(value.path + _step_into(key), value.change, old, new)


def _value(name: str, change: Change) -> _Value:
    path = name + "".join(map(_step_into, change.inside))
    return _Value(path, change.change, _side(change.old), _side(change.new))


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


# --- files ----------------------------------------------------------------------------------------


class _File(NamedTuple):
    """A file, link or empty folder that differs, at a path such as `workspace/src/app.py`. Its
    contents are read when they are asked for.
    """

    path: str
    of: FileChange
    store: Store

    @property
    def change(self) -> str:
        """`added`, `removed` or `changed`; the last also where only the mode differs."""
        return "changed" if self.of.change == "mode" else self.of.change

    def rows(self) -> list[dict[str, Any]]:
        """Give what differs: of the modes, where both sides have one; of the contents."""
        rows = []
        if self._has_other_mode():
            old_mode, new_mode = {"mode": self.of.old_mode}, {"mode": self.of.new_mode}
            rows.append(_row(self.path, "changed", old_mode, new_mode))
        if self.of.change != "mode":
            old, new = (self._read(*side) for side in self._sides())
            rows.append(_row(self.path, self.of.change, old, new))
        return rows

    def short(self) -> str:
        """Give it without contents."""
        old, new = (_kind(mode, count) for mode, _, count in self._sides())
        what = {"added": new, "removed": old, "mode": ""}.get(self.of.change, f"{old} -> {new}")
        return f"{self._head()}{f': {what}' if what else ''}\n"

    def full(self) -> str:
        """Give it with its contents: text as a unified diff, links by where they lead, the rest by
        its size.
        """
        old, new = (self._read(*side) for side in self._sides())
        is_text = isinstance(old, str | None) and isinstance(new, str | None)
        if self.of.change == "mode" or not is_text:
            return self._with_links(old, new)
        body = _text_diff(old, new)
        if not body and old and new:  # Only one ends in a newline.
            return self.short()
        return f"{self._head()}\n{body}"

    def _with_links(self, old: Any, new: Any) -> str:
        ends = [
            f"link to {one_line(side['link'])}" if isinstance(side, dict) and "link" in side else ""
            for side in (old, new)
        ]
        if not any(ends):
            return self.short()
        told = [
            end or _kind(mode, count)
            for end, (mode, _, count) in zip(ends, self._sides(), strict=True)
        ]
        return f"{_head(self.of.change, self.path)}: {' -> '.join(filter(None, told))}\n"

    def _head(self) -> str:
        mode = f" ({self.of.old_mode} -> {self.of.new_mode})" if self._has_other_mode() else ""
        return _head(self.of.change, self.path) + mode

    def _has_other_mode(self) -> bool:
        return bool(self.of.old_mode and self.of.new_mode) and self.of.old_mode != self.of.new_mode

    def _sides(self) -> tuple[tuple[str, ObjectId, int], tuple[str, ObjectId, int]]:
        of = self.of
        return (of.old_mode, of.old_id, of.old_size), (of.new_mode, of.new_id, of.new_size)

    def _read(self, mode: str, blob: ObjectId, count: int) -> Any:
        """Give what a side holds: text as it is, else a mapping that says what it is; None for
        nothing.
        """
        if not mode:
            return None
        if mode == _FOLDER:
            return {"mode": _FOLDER}
        if mode == _LINK:
            return {"link": self.store.read(blob).decode("utf-8", "surrogateescape")}
        binary = {"bytes": count, "blake3": blob}
        if count > TEXT_LIMIT_BYTES or self.of.change == "mode":
            return binary
        data = self.store.read(blob)
        try:
            return binary if is_binary(data) else data.decode("utf-8")
        except UnicodeDecodeError:
            return binary


def _kind(mode: str, count: int) -> str:
    match mode:
        case "":
            return ""
        case "040000":
            return "empty folder"
        case "120000":
            return "link"
        case _:
            return size(count)


def _files_that_differ(store: Store, old: RunTree, new: RunTree, step: str) -> Iterator[_File]:
    """Give the artifacts of steps, then the project's files.

    These are compared where both hold some. *step* limits it to the artifacts of that step and
    those below.
    """
    for path, file in _below(store, old, new, ARTIFACTS):
        if not step or is_within(path[0], step):
            yield file
    if not step and old.holds_files and new.holds_files:
        for _, file in _below(store, old, new, FILES):
            yield file


def _below(
    store: Store, old: RunTree, new: RunTree, folder: TreePath
) -> Iterator[tuple[tuple[str, ...], _File]]:
    """What differs in a folder of files, with the names that lead to it from there."""
    before, after = (tree_of(side.snapshot.find(folder)) for side in (old, new))
    for difference in diff_trees(store, before, after):
        was, now = (
            entry if entry is None or entry.kind != "tree" else None
            for entry in (difference.old, difference.new)
        )
        path = "/".join((*folder, *difference.path))
        yield difference.path, _File(path, change_of(path, was, now), store)
