"""What differs between two checkpoints, of one run or of two: values, code, and files.

A value that differs is told down to its leaf (`steps.plan.output.tasks[3].title`). Code is told
where a step was recorded under another key: its action, its agent; and its other fields, where they
are written otherwise in the workflow. What is equal is not read.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from maverick.checkpoints.trees.diff import MISSING, Change, diff_checkpoints
from maverick.dsl.journal.tree import (
    ABOUT_FILES,
    ARTIFACTS,
    DEFINITION,
    FILES,
    INPUTS,
    OUTPUT,
    RunTree,
    StepNote,
    step_at,
)
from maverick.dsl.paths import StepPath, is_decision, is_within
from maverick.dsl.workflow.outcome import changed_parts
from maverick.views.comparing.file_comparison import FileDifference, files_that_differ
from maverick.views.comparing.written import WrittenFields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maverick.checkpoints import Entry, Store
    from maverick.values import Value

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FOLDERS_OF_FILES: Final = frozenset({*ARTIFACTS, *FILES})
_CODE: Final = frozenset({"action", "agent", "instructions", "generator", "stages"})
"""The parts of a key that stand outside the workflow's file, and so in no other difference."""
_HASH_CHARACTERS: Final = 12


class ValueDifference(NamedTuple):
    """A value that differs; a side that has nothing is None.

    `inside` is the end of the path that leads into the value, and `wholes` are both values as a
    whole where it is not empty.
    """

    path: str
    change: str
    old: Any
    new: Any
    inside: tuple[str | int, ...] = ()
    wholes: tuple[Any, Any] = (None, None)

    def rows(self) -> list[dict[str, Any]]:
        """Give it as `diff --json` has it."""
        return [{"path": self.path, "change": self.change, "old": self.old, "new": self.new}]


class CodeDifference(NamedTuple):
    """A step that was recorded under another key: its *part* differs.

    `old` and `new` are who played its agent, else the beginnings of the part's hashes.
    """

    path: str
    part: str
    old: Value
    new: Value
    change: str = "code"

    def rows(self) -> list[dict[str, Any]]:
        """Give it as `diff --json` has it."""
        about = {"path": self.path, "change": self.change, "part": self.part}
        return [{**about, "old": self.old, "new": self.new}]


Difference: TypeAlias = ValueDifference | CodeDifference | FileDifference


def compare(store: Store, old: RunTree, new: RunTree, step: str = "") -> Iterator[Difference]:
    """Yield what differs, in the natural order of the paths: what was recorded, then files.

    *step* limits it to that step and those in it. Files of the project are compared where both
    sides hold some.

    Raises:
        UsageError: there are more than a million differences.
    """
    return chain(_recorded(store, old, new, step), files_that_differ(store, old, new, step))


def _recorded(store: Store, old: RunTree, new: RunTree, step: str) -> Iterator[Difference]:
    """Yield what differs but for files.

    Decisions are left out, and so is a step made of steps where something below it differs; and the
    run's output where a step gave it. How files were found is compared where both hold some.
    """
    changes = [
        (step_at(change.path), change)
        for change in diff_checkpoints(
            store, old.checkpoint, new.checkpoint, without=_FOLDERS_OF_FILES
        )
    ]
    around = {
        outer
        for name, change in changes
        if name is not None and not is_decision(name)
        for outer in StepPath(name).ancestors()
    }
    edited = any(change.path[:1] == DEFINITION for _, change in changes)
    written = WrittenFields(old, new) if edited else None
    for name, change in changes:
        if name is None:
            if not step and not _is_of_a_step(change, changes):
                yield from _of_other(change)
        elif not is_decision(name) and (not step or is_within(name, step)):
            yield from _of_step(name, change, hidden=name in around)
            yield from _of_code(name, change, (old, new), written)


def _is_of_a_step(change: Change, changes: Sequence[tuple[str | None, Change]]) -> bool:
    """Whether *change* is of the run's output, and both sides have it from one step."""
    if change.path != OUTPUT or change.before is None or change.after is None:
        return False
    return any(
        name is not None
        and not is_decision(name)
        and _holds_same(change.before, other.before)
        and _holds_same(change.after, other.after)
        for name, other in changes
    )


def _holds_same(one: Entry | None, other: Entry | None) -> bool:
    return one is not None and other is not None and (one.kind, one.id) == (other.kind, other.id)


# --- steps ----------------------------------------------------------------------------------------


def _of_step(path: str, change: Change, *, hidden: bool) -> Iterator[Difference]:
    """A record's status where it differs, and its output, unless it is *hidden*."""
    name = f"steps.{path}"
    before, after = _note(change.before), _note(change.after)
    if change.part == "note" and before is not None and after is not None:
        if before.status != after.status:
            yield ValueDifference(f"{name}.status", "changed", before.status, after.status)
        return
    is_whole = before is None or after is None
    if change.change != "changed" and not change.inside and is_whole:
        was, now = (note.status if note else None for note in (before, after))
        yield ValueDifference(f"{name}.status", change.change, was, now)
    if not hidden:
        yield _value(f"{name}.output", change)


def _note(entry: Entry | None) -> StepNote | None:
    return None if entry is None else StepNote.of(entry)


def _of_code(
    path: str, change: Change, sides: tuple[RunTree, RunTree], written: WrittenFields | None
) -> Iterator[CodeDifference]:
    """What differs of a step's key, as far as no other difference tells it.

    *written* is None where the workflow's files are the same: fields differ by the values in them.
    """
    before, after = _note(change.before), _note(change.after)
    if change.part != "note" or before is None or after is None:
        return
    if not before.key or not after.key:  # It did not run, or is made of steps.
        return
    for part in changed_parts(before.key, after.key):
        if part in _CODE or (written is not None and written.differ(path, part)):
            old = _side_of_part(sides[0], path, before, part)
            new = _side_of_part(sides[1], path, after, part)
            yield CodeDifference(f"steps.{path}", part, old, new)


def _side_of_part(side: RunTree, path: str, note: StepNote, part: str) -> Value:
    """Give who played an agent, where that is noted; else the beginning of the hash."""
    if part == "agent":
        player: Value = side.facts_of(path).get("player")
        if player is not None:
            return player
    return note.key.get(part, "")[:_HASH_CHARACTERS] or None


# --- inputs, definition, output -------------------------------------------------------------------


def _of_other(change: Change) -> Iterator[ValueDifference]:
    name = change.path[0]
    if change.path == ABOUT_FILES and (change.before is None or change.after is None):
        return
    if change.part == "note":
        return  # It says which definition is the main one.
    if len(change.path) > 1:
        inside = "/".join(change.path[1:])
        yield _value(f"{name}{'/' if '/' in inside or inside[0] == '.' else '.'}{inside}", change)
        return
    yield from _by_key(_value(name, change))


def _by_key(value: ValueDifference) -> Iterator[ValueDifference]:
    """A whole mapping of inputs that one side lacks, input by input."""
    mapping = value.new if value.change == "added" else value.old
    if value.change == "changed" or value.path != INPUTS[0] or not isinstance(mapping, dict):
        yield value
        return
    for key, item in mapping.items():
        old, new = (None, item) if value.change == "added" else (item, None)
        yield ValueDifference(value.path + step_into(key), value.change, old, new)


def _value(name: str, change: Change) -> ValueDifference:
    return ValueDifference(
        name + "".join(map(step_into, change.inside)),
        change.change,
        _side(change.old),
        _side(change.new),
        change.inside,
        change.wholes,
    )


def step_into(part: str | int) -> str:
    """Give what leads on into a value: `.name`, `[3]`, `["a b"]`."""
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
