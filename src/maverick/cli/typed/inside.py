"""What a path in a checkpoint names: `steps.phases[2].implement.output.tasks[0]`.

The first word is `inputs`, `output`, `steps`, `definition` or another folder. A step's path is the
longest one that is recorded; `output` or `status` follows it, and then the way into the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from maverick.checkpoints.trees.places import no_such_part, part_inside
from maverick.dsl.journal.tree import RunTree, StepNote, step_place
from maverick.dsl.paths import is_decision
from maverick.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from maverick.checkpoints import Checkpoint, Entry, Snapshot, Store, Value
    from maverick.dsl.journal.logs import Logged

_OUTSIDE: Final = "the checkpoint"
STREAMS: Final = ("stdout", "stderr")


class Row(NamedTuple):
    """An entry of a folder; its size is in bytes."""

    name: str
    kind: str
    size: int


class Folder(NamedTuple):
    """A path names a folder: what stands in it."""

    rows: tuple[Row, ...]


class File(NamedTuple):
    """A path names a file: what gives its bytes, a part at a time."""

    parts: Iterator[bytes]


class Held(NamedTuple):
    """A path names a value, or what is in one."""

    value: Value


Inside: TypeAlias = Folder | File | Held


def split_revision(store: Store, text: str) -> tuple[Checkpoint, str | None]:
    """Give the checkpoint and the path that `REV:PATH` names; the path is None in `REV`.

    Behind `RUN@` the last `:` before which there is a revision ends it, since labels may hold one;
    else the first.

    Raises:
        NotFound: there is no such revision.
    """
    ends = [match.start() for match in re.finditer(":", text)]
    has_label = bool(ends) and 0 < text.find("@") < ends[0]
    candidates = [len(text), *reversed(ends)] if has_label else [*ends, len(text)]
    errors: dict[int, NotFound] = {}
    for end in candidates:
        try:
            return store.resolve(text[:end]), text[end + 1 :] if end < len(text) else None
        except NotFound as error:
            errors[end] = error
    raise errors[min(errors)]


def look_up(store: Store, snapshot: Snapshot, path: str) -> Inside:
    """Give what *path* names in *snapshot*, of the newest checkpoint also what is not saved yet.

    Raises:
        NotFound: there is nothing; the message has near names.
        UsageError: it is no path.
    """
    top, _, _ = path.partition("/")
    top = re.split(r"[.\[]", top, maxsplit=1)[0]
    rest = path[len(top) :]
    if not path.strip("./"):
        return folder_of(snapshot.entries())
    if top == "steps":
        return _of_steps(store, RunTree(snapshot), rest.lstrip("./"), path)
    entry = snapshot.find((top,))
    if entry is None:
        raise no_such_part(path, top, snapshot.names(), _OUTSIDE)
    if entry.kind != "tree":
        return _descend(snapshot, (top,), rest, path)
    return _file(snapshot, top, rest[1:], path)


def _file(snapshot: Snapshot, top: str, rest: str, path: str) -> Inside:
    """What stands in a folder of files, whose names have `/` between them and hold any dots."""
    folder: tuple[str, ...] = (top,)
    while rest:
        entries = snapshot.entries(folder)
        fitting = _that_begin(entries, rest, "/")
        if not fitting:
            raise no_such_part(path, rest, entries, "/".join(folder))
        name = fitting[0]
        folder, rest = (*folder, name), rest[len(name) :].lstrip("/")
        if entries[name].kind == "tree":
            continue
        if rest:
            raise NotFound(f"{'/'.join(folder)} is no folder; {path} is not there")
        if entries[name].kind == "blob":
            return File(snapshot.stream(folder))
        if entries[name].kind == "note":
            raise NotFound(f"{'/'.join(folder)} is an empty folder")
        return Held(snapshot.value(folder))
    return folder_of(snapshot.entries(folder))


# --- steps ----------------------------------------------------------------------------------------


def _of_steps(store: Store, tree: RunTree, rest: str, path: str) -> Inside:
    entries = tree.entries
    steps = {name: entry for name, entry in entries.items() if not is_decision(name)}
    if not rest:
        return folder_of(steps)
    for name in _that_begin(entries, rest, ".["):
        named = _of_step(tree, name, entries[name], rest[len(name) :], path)
        if named is not None:
            return named
    if (unfinished := _of_unfinished(store, tree, rest, path)) is not None:
        return unfinished
    inner = (f"{rest}.", f"{rest}[")
    if below := {name: entry for name, entry in steps.items() if name.startswith(inner)}:
        return folder_of(below)
    parts = [f"{name}.{part}" for name in steps for part in ("output", "status")]
    raise no_such_part(path, rest, [*steps, *parts] if "." in rest else steps, "steps")


def _that_begin(names: Iterable[str], text: str, follow: str) -> list[str]:
    """The *names* that *text* is, or begins with where one of the characters *follow* comes next;
    the longest first.
    """
    fitting = [
        name
        for name in names
        if text == name or (text.startswith(name) and text[len(name)] in follow)
    ]
    return sorted(fitting, key=len, reverse=True)


def _of_step(tree: RunTree, name: str, entry: Entry, rest: str, path: str) -> Inside | None:
    """What *rest* names of a step; None if it can only be meant for a shorter step's path."""
    status = StepNote.of(entry).status
    if not rest:
        return Held({"status": status, "output": tree.output_of(name)})
    if rest == ".status":
        return Held(status)
    if rest == ".output" or rest.startswith((".output.", ".output[")):
        return _descend(tree.snapshot, step_place(name), rest.removeprefix(".output"), path)
    return None


def unfinished_steps(store: Store, tree: RunTree) -> dict[str, BegunStep]:
    """Give the steps that were begun and have not finished, by path, with what is not saved yet."""
    from maverick.dsl.journal.logs import find_log, unsaved_logs  # noqa: PLC0415 - only of a step that has not finished

    recorded = tree.steps
    end = tree.end
    failed = {str(end["step"]): str(end["error"])} if end.get("step") else {}
    unsaved = unsaved_logs(store, tree.checkpoint)
    begun = (*tree.begun, *failed, *unsaved)
    names = dict.fromkeys(name for name in begun if name not in recorded and not is_decision(name))
    is_running = bool(unsaved) and store.is_owned(tree.checkpoint.run)
    return {
        name: BegunStep(
            (*find_log(tree, name), *unsaved.get(name, ())),
            failed.get(name),
            is_running=is_running and name in unsaved,
        )
        for name in names
    }


def has_written(store: Store, tree: RunTree, step: str) -> bool:
    """Say whether the last attempt at a step that failed wrote anything; of a validation, whether
    one of its stages did.
    """
    from maverick.dsl.journal.logs import find_log  # noqa: PLC0415 - of failed runs only

    unfinished = unfinished_steps(store, tree).get(step)
    if unfinished is not None and unfinished.attempts:
        return any(unfinished.attempts[-1].stream(name) for name in STREAMS)
    return any(
        log.stream(name)
        for path in tree.steps
        if path.startswith(f"{step}[")
        for log in find_log(tree, path)
        for name in STREAMS
    )


_ERRORS: Final = {
    "running": "it runs",
    "killed": "its process was killed",
    "done": "it had ended well, and is to be done again: it was rolled back, or its record was "
    "not saved",
}


class BegunStep(NamedTuple):
    """The attempts at a step that has not finished; the error of the one that failed the run."""

    attempts: tuple[Logged, ...]
    error: str | None
    is_running: bool

    def outcome(self) -> dict[str, Value] | None:
        """What the step would be in a path if it had finished; None if nothing is known of it."""
        if not self.attempts:
            if self.error is None:
                return None
            return {"status": "failed", "output": {"error": self.error}}
        last = self.attempts[-1]
        status = str(last.end.get("status", "running" if self.is_running else "killed"))
        error = str(last.end.get("error", _ERRORS.get(status)))
        output: dict[str, Value] = {"error": error, "attempt": last.number}
        for stream in STREAMS:
            output[stream] = last.stream(stream).decode("utf-8", "backslashreplace")
        if prompt := last.stream("prompt"):
            output["prompt"] = prompt.decode("utf-8", "backslashreplace")
        return {"status": status, "output": output}


def _of_unfinished(store: Store, tree: RunTree, rest: str, path: str) -> Inside | None:
    """What *rest* names of a step that has not finished: how its last attempt ended, and what that
    wrote.
    """
    steps = unfinished_steps(store, tree)
    fitting = [
        name
        for name in steps
        if rest == name or rest.startswith((f"{name}.output", f"{name}.status"))
    ]
    for name in sorted(fitting, key=len, reverse=True):
        outcome = steps[name].outcome()
        if outcome is not None:
            return Held(part_inside(outcome, rest[len(name) :], path))
    return None


# --- values ---------------------------------------------------------------------------------------


def _descend(snapshot: Snapshot, names: tuple[str, ...], rest: str, path: str) -> Inside:
    return Held(part_inside(snapshot.value(names), rest, path))


def folder_of(entries: Mapping[str, Entry]) -> Folder:
    """Give the folder that has *entries*."""
    return Folder(tuple(Row(name, entry.kind, entry.size) for name, entry in entries.items()))
