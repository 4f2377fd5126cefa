"""What a path inside a checkpoint names, such as `steps.phases[2].implement.output.tasks[0]`.

The first word is `inputs`, `output`, `steps`, `definition` or another folder. A step's path is the
longest one that is recorded; `output` or `status` follows it, and then the way into the value.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from maverick.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from maverick.checkpoints import Checkpoint, Entry, Snapshot, Store, Value
    from maverick.dsl.journal.logs import Logged

_PART: Final = re.compile(
    r'\.?(?P<name>[^.\[\]"]+)|\[(?P<index>-?[0-9]{1,18})\]|\[(?P<key>"(?:[^"\\]|\\.)*")\]'
)
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


class Found(NamedTuple):
    """A path names a value, or what is in one."""

    value: Value


Inside: TypeAlias = Folder | File | Found


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
        return _step(store, snapshot, rest.lstrip("./"), path)
    entry = snapshot.find((top,))
    if entry is None:
        raise _nothing(path, top, snapshot.names(), _OUTSIDE)
    if entry.kind != "tree":
        return _descend(snapshot, (top,), rest, path)
    return _file(snapshot, top, rest[1:], path)


def _file(snapshot: Snapshot, top: str, rest: str, path: str) -> Inside:
    """What stands in a folder of files, whose names have `/` between them and hold any dots."""
    folder: tuple[str, ...] = (top,)
    while rest:
        entries = snapshot.entries(folder)
        fitting = [name for name in entries if rest == name or rest.startswith(f"{name}/")]
        if not fitting:
            raise _nothing(path, rest, entries, "/".join(folder))
        name = max(fitting, key=len)
        folder, rest = (*folder, name), rest[len(name) :].lstrip("/")
        if entries[name].kind == "tree":
            continue
        if rest:
            raise NotFound(f"{'/'.join(folder)} is no folder; {path} is not there")
        if entries[name].kind == "blob":
            return File(snapshot.stream(folder))
        if entries[name].kind == "note":
            raise NotFound(f"{'/'.join(folder)} is an empty folder")
        return Found(snapshot.value(folder))
    return folder_of(snapshot.entries(folder))


# --- steps ----------------------------------------------------------------------------------------


def _step(store: Store, snapshot: Snapshot, rest: str, path: str) -> Inside:
    entries = recorded_steps(snapshot)
    if not rest:
        return folder_of({name: it for name, it in entries.items() if "?" not in name})
    fitting = [
        name
        for name in entries
        if rest == name or (rest.startswith(name) and rest[len(name)] in ".[")
    ]
    for name in sorted(fitting, key=len, reverse=True):
        found = _of_step(snapshot, name, entries[name], rest[len(name) :], path)
        if found is not None:
            return found
    if (unfinished := _of_unfinished(store, snapshot, rest, path)) is not None:
        return unfinished
    below = {
        name: it
        for name, it in entries.items()
        if name.startswith((f"{rest}.", f"{rest}[")) and "?" not in name
    }
    if below:
        return folder_of(below)
    names = [name for name in entries if "?" not in name]
    parts = [f"{name}.{part}" for name in names for part in ("output", "status")]
    raise _nothing(path, rest, names + parts if "." in rest else names, "steps")


def _of_step(snapshot: Snapshot, name: str, entry: Entry, rest: str, path: str) -> Inside | None:
    """What *rest* names of a step; None if it can only be meant for a shorter step's path."""
    if not rest:
        return Found({"status": status_of(entry), "output": snapshot.value(("steps", name))})
    if rest == ".status":
        return Found(status_of(entry))
    if rest == ".output" or rest.startswith((".output.", ".output[")):
        return _descend(snapshot, ("steps", name), rest.removeprefix(".output"), path)
    return None


def recorded_steps(snapshot: Snapshot) -> Mapping[str, Entry]:
    """Give what stands at the paths of the steps that are recorded; of a run that has none,
    nothing.
    """
    return snapshot.entries(("steps",)) if snapshot.find(("steps",)) is not None else {}


def begun_steps(snapshot: Snapshot) -> Iterable[str]:
    """Give the paths of the steps of which something is noted, recorded or not."""
    return snapshot.facts(("steps",)) if snapshot.find_fact(("steps",)) is not None else ()


def unfinished_steps(store: Store, snapshot: Snapshot) -> dict[str, Unfinished]:
    """Give the steps that were begun and have not finished, by path, with what is not saved yet."""
    from maverick.dsl.journal.logs import find_log, unsaved_logs  # noqa: PLC0415 - only of a step that has not finished
    from maverick.dsl.journal.tree import RunTree  # noqa: PLC0415

    recorded = recorded_steps(snapshot)
    end = snapshot.find_fact(("end",))
    told = snapshot.value_of(end) if end is not None else None
    failed = (
        {str(told["step"]): str(told["error"])}
        if isinstance(told, dict) and told.get("step")
        else {}
    )
    unsaved = unsaved_logs(store, snapshot.checkpoint)
    begun = (*begun_steps(snapshot), *failed, *unsaved)
    names = dict.fromkeys(name for name in begun if name not in recorded and "?" not in name)
    is_running = bool(unsaved) and store.is_owned(snapshot.checkpoint.run)
    return {
        name: Unfinished(
            (*find_log(RunTree(snapshot), name), *unsaved.get(name, ())),
            failed.get(name),
            is_running=is_running and name in unsaved,
        )
        for name in names
    }


def written_by(store: Store, snapshot: Snapshot, step: str) -> dict[str, str]:
    """Give where all is that the step at the path *step* wrote, which failed: what it is -> the
    path to look at it.

    Of a validation that is the output of the stage that failed, in its last attempt.
    """
    unfinished = unfinished_steps(store, snapshot).get(step)
    if unfinished is not None and unfinished.attempts:
        last = unfinished.attempts[-1]
        return {
            f"to {name}": f"steps.{step}.output.{name}" for name in STREAMS if last.stream(name)
        }
    recorded = recorded_steps(snapshot)
    number = next((n for n in range(len(recorded), -1, -1) if f"{step}[{n}]" in recorded), None)
    output = snapshot.value(("steps", f"{step}[{number}]")) if number is not None else None
    stages = output.get("stages") if isinstance(output, dict) else None
    for place, stage in enumerate(stages if isinstance(stages, list) else []):
        if isinstance(stage, dict) and stage.get("success") is False and stage.get("output"):
            path = f"steps.{step}[{number}].output.stages[{place}].output"
            return {f"in the stage {stage.get('name')!s}": path}
    return {}


_SAID: Final = {
    "running": "it runs",
    "killed": "its process was killed",
    "done": "it had ended well, and is to be done again: it was rolled back, or its record was "
    "not saved",
}


class Unfinished(NamedTuple):
    """The attempts at a step that has not finished; the error of the one that failed the run."""

    attempts: tuple[Logged, ...]
    error: str | None
    is_running: bool

    def outcome(self) -> dict[str, Value] | None:
        """What the step would be in a path if it had finished; None if nothing is known of it."""
        if not self.attempts:
            return (
                None
                if self.error is None
                else {"status": "failed", "output": {"error": self.error}}
            )
        last = self.attempts[-1]
        status = str(last.end.get("status", "running" if self.is_running else "killed"))
        said = _SAID.get(status)
        output: dict[str, Value] = {
            "error": str(last.end.get("error", said)),
            "attempt": last.number,
        }
        for stream in STREAMS:
            output[stream] = last.stream(stream).decode("utf-8", "backslashreplace")
        if prompt := last.stream("prompt"):
            output["prompt"] = prompt.decode("utf-8", "backslashreplace")
        return {"status": status, "output": output}


def _of_unfinished(store: Store, snapshot: Snapshot, rest: str, path: str) -> Inside | None:
    """What *rest* names of a step that has not finished: how its last attempt ended, and what that
    wrote.
    """
    steps = unfinished_steps(store, snapshot)
    fitting = [
        name
        for name in steps
        if rest == name or rest.startswith((f"{name}.output", f"{name}.status"))
    ]
    for name in sorted(fitting, key=len, reverse=True):
        outcome: Any = steps[name].outcome()
        if outcome is not None:
            for part in parse_value_path(rest[len(name) :], path):
                outcome = _part_of(outcome, part, path, f"steps.{name}")
            return Found(outcome)
    return None


def status_of(entry: Entry) -> str:
    """The status in the record of a step."""
    return str(json.loads(entry.note)["status"]) if entry.note else "done"


# --- values ---------------------------------------------------------------------------------------


def _descend(snapshot: Snapshot, names: tuple[str, ...], rest: str, path: str) -> Inside:
    value: Any = snapshot.value(names)
    at = path[: len(path) - len(rest)]
    for part in parse_value_path(rest, path):
        value = _part_of(value, part, path, at)
        at += f"[{json.dumps(part)}]" if isinstance(part, int) else f".{part}"
    return Found(value)


def parse_value_path(text: str, path: str) -> list[str | int]:
    """Give the keys and positions of a way into a value: `.tasks[0]["a.b"]`. Raises UsageError for
    no such way.
    """
    parts: list[str | int] = []
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            raise UsageError(
                f"{path!r} is no path: write names after dots, positions as [0], other keys as "
                '["a.b"]'
            )
        if match["name"] is not None:
            parts.append(match["name"])
        else:
            parts.append(
                int(match["index"]) if match["index"] is not None else str(json.loads(match["key"]))
            )
        place = match.end()
    return parts


def _part_of(value: Any, part: str | int, path: str, at: str) -> Any:
    if isinstance(value, dict):
        if (key := str(part)) in value:
            return value[key]
        raise _nothing(path, key, value, at)
    if isinstance(value, list) and isinstance(part, int):
        if -len(value) <= part < len(value):
            return value[part]
        raise NotFound(f"there is no {path}: {at} has {len(value)} items")
    kinds = {list: "a list", str: "a text", bytes: "bytes", bool: "a boolean", type(None): "null"}
    raise NotFound(f"there is no {path}: {at} is {kinds.get(type(value), 'a number')}")


def folder_of(entries: Mapping[str, Entry]) -> Folder:
    """Give the folder that has *entries*."""
    return Folder(tuple(Row(name, entry.kind, entry.size) for name, entry in entries.items()))


def _nothing(path: str, name: str, names: Iterable[str], where: str) -> NotFound:
    known = list(names)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = (
            f"{where} has {', '.join(known[:8])}{', …' if len(known) > 8 else ''}"
            if known
            else f"{where} is empty"
        )
    return NotFound(f"there is no {path}; {hint}")
