"""What a step's attempts wrote: kept beside the step's facts, and in a file while an attempt runs.

A log is the attempts at one step, one after the other, as frames: of each a frame that begins it,
what it wrote in the order in which it was written (the last `STREAM_BYTES` of each stream), and a
frame that says how it ended. The attempt of a process that was killed has no such end. The frames
are those by which Docker multiplexes the streams of a container: eight bytes (stream, three zeros,
length), then the payload.

The file of a running step is never synced. It survives the process, so that who resumes the run
takes it in; an attempt that stands in the store already is recognised by its number. A log that
cannot be written costs the log, and that is said; it never fails a step.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from maverick.checkpoints import Content, Entry, blob, existing, note
from maverick.checkpoints.trees.tree_nodes import MAX_NOTE_BYTES
from maverick.dsl.journal.tree import RunTree
from maverick.errors import NotFound, StoreDamaged
from maverick.noted import is_small, whole_number

if TYPE_CHECKING:
    from pathlib import Path

    from maverick.checkpoints import Checkpoint, Files, Store

LogStream: TypeAlias = Literal["stdout", "stderr", "prompt"]
STREAM_BYTES: Final = 1 << 20
"""Of each stream of an attempt that are kept, the last ones."""
ERROR_CHARACTERS: Final = 64 * 1024
TRIES: Final = "tries"
"""The fact that says how many attempts a step's log begins."""

HEADER: Final = struct.Struct(">B3xI")
ABOUT: Final = 0
_NUMBERS: Final[Mapping[LogStream, int]] = {"stdout": 1, "stderr": 2, "prompt": 3}
STREAMS: Final = {number: name for name, number in _NUMBERS.items()}
_COMPACT_BYTES: Final = 8 * STREAM_BYTES
"""How long the file of one attempt may become before what nobody will keep is taken out of it."""


@dataclass(slots=True)
class Logged:
    """One attempt. `left_out` is how many bytes of each stream were let go.

    `end` says how it ended: `status`, and unless it was done at the first attempt `started`,
    `seconds`, `error` and `exit_code`. It is empty for an attempt that runs, or was killed.
    """

    number: int
    step: str = ""
    pieces: list[tuple[LogStream, bytes]] = field(default_factory=list)
    end: Mapping[str, object] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def stream(self, name: LogStream) -> bytes:
        """Give what is kept of the stream *name*."""
        return b"".join(data for stream, data in self.pieces if stream == name)


def read_log(data: bytes) -> list[Logged]:
    """Give the attempts of a log, in order, up to what is no frame.

    A kill, a full disk or a power cut may end a log anywhere.
    """
    attempts: list[Logged] = []
    for number, payload in frames(data):
        if number != ABOUT:
            attempts[-1].pieces.append((STREAMS[number], payload))
        elif "attempt" in (about := json.loads(payload)):
            attempts.append(
                Logged(about["attempt"], about["step"], left_out=about.get("left_out", {}))
            )
        else:
            attempts[-1].end = about
    return attempts


def write_log(attempts: Iterable[Logged]) -> bytes:
    """Give the log of *attempts*: the same bytes in however many pieces they were written."""
    return b"".join(_encoded(attempt) for attempt in attempts)


def find_log(tree: RunTree, path: str) -> list[Logged]:
    """Give the attempts that *tree* holds of the step at *path*."""
    entry = tree.facts_entry(path)
    return (
        read_log(tree.snapshot.data_of(entry)) if entry is not None and entry.kind == "blob" else []
    )


def unsaved_logs(store: Store, checkpoint: Checkpoint) -> dict[str, list[Logged]]:
    """Give what steps of a run have written since *checkpoint*, by path, if that is its newest.

    These are steps that run now, or ran when their process was killed.
    """
    ref = store.find_ref(checkpoint.run)
    if ref is None or ref.checkpoint != checkpoint.id:
        return {}
    tree, logs = RunTree(store.snapshot(checkpoint)), dict[str, list[Logged]]()
    for file in store.log_files(checkpoint.run):
        with suppress(FileNotFoundError):  # The run goes on meanwhile.
            for attempt in read_log(store.files.read(file)):
                logs.setdefault(attempt.step, []).append(attempt)
    stored = {path: len(find_log(tree, path)) for path in logs}
    newer = {
        path: [attempt for attempt in attempts if attempt.number > stored[path]]
        for path, attempts in logs.items()
    }
    return {path: attempts for path, attempts in newer.items() if attempts}


def frames(data: bytes, *, begun: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield the frames of *data* up to what is none; unless an attempt has *begun*, the first has
    to begin one.
    """
    offset = 0
    while len(data) - offset >= HEADER.size:
        number, length = HEADER.unpack_from(data, offset)
        payload = data[offset + HEADER.size : offset + HEADER.size + length]
        begins = number == ABOUT and _is_begin(payload)
        if len(payload) < length or not (
            begins or (begun and (number in STREAMS or _is_end(number, payload)))
        ):
            return
        begun = True
        yield number, payload
        offset += HEADER.size + length


def whole_length(data: bytes) -> int:
    """Give how many bytes of a log are whole frames."""
    return sum(HEADER.size + len(payload) for _, payload in frames(data))


def _is_begin(payload: bytes) -> bool:
    match _parsed(payload):
        case {"attempt": number, "step": str(), **others}:
            left_out = others.get("left_out", {})
            counts = [number, *(left_out.values() if isinstance(left_out, dict) else [None])]
            return None not in map(whole_number, counts)
    return False


def _is_end(number: int, payload: bytes) -> bool:
    about = _parsed(payload) if number == ABOUT else None
    return (
        isinstance(about, dict)
        and "attempt" not in about
        and all(isinstance(own, str) or is_small(own) for own in about.values())
    )


def _parsed(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _frame(number: int, payload: bytes) -> bytes:
    return HEADER.pack(number, len(payload)) + payload


def _about(fields: Mapping[str, object]) -> bytes:
    return _frame(ABOUT, json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())


def _encoded(attempt: Logged) -> bytes:
    kept = _tail(attempt)
    begin: dict[str, object] = {"attempt": kept.number, "step": kept.step}
    if kept.left_out:
        begin["left_out"] = kept.left_out
    parts = [_about(begin), *(_frame(_NUMBERS[stream], data) for stream, data in kept.pieces)]
    return b"".join([*parts, *([_about(kept.end)] if kept.end else [])])


def _tail(attempt: Logged) -> Logged:
    """Give *attempt* with the ends of its streams only, in as few pieces as there can be."""
    room = dict.fromkeys(_NUMBERS, STREAM_BYTES)
    left_out = dict(attempt.left_out)
    pieces: list[tuple[LogStream, list[bytes]]] = []
    for stream, data in reversed(attempt.pieces):
        fits = data[max(len(data) - room[stream], 0) :] if room[stream] else b""
        room[stream] -= len(fits)
        if len(fits) < len(data):
            left_out[stream] = left_out.get(stream, 0) + len(data) - len(fits)
        if fits and pieces and pieces[-1][0] == stream:
            pieces[-1][1].append(fits)
        elif fits:
            pieces.append((stream, [fits]))
    joined = [(stream, b"".join(reversed(parts))) for stream, parts in reversed(pieces)]
    return Logged(attempt.number, attempt.step, joined, attempt.end, left_out)


class AttemptLog:
    """What one attempt writes. Its first byte makes the file; threads may share it.

    Where *keep* is false only a bad end is kept, and nothing that the attempt wrote.
    """

    def __init__(self, logs: Logs, path: str, number: int, *, keep: bool) -> None:
        self._logs = logs
        self._path = path
        self._keep = keep
        self._attempt = Logged(number, path)
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._size = 0
        self._begin = 0
        self._closed = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept of the attempt so far."""
        return self._descriptor is None and not self._size

    def write(self, stream: LogStream, data: bytes) -> None:
        """Append what the attempt wrote to *stream*; what comes after the end is let go."""
        if self._keep and data:
            with self._lock:
                self._append(_frame(_NUMBERS[stream], data))
                if self._size > _COMPACT_BYTES:
                    self._compact()

    def end(self, status: str, **how: object) -> None:
        """Take no more. *how* says more of how it ended: see `Logged`."""
        with self._lock:
            if how or not self.is_empty:
                self._append(_about({"status": status, **how}))
            self._close()
            self._closed = True

    def _append(self, frame: bytes) -> None:
        if self._closed:
            return
        try:
            if self._descriptor is None:
                self._descriptor, self._begin = self._logs.open(self._path)
                frame = _about({"attempt": self._attempt.number, "step": self._path}) + frame
            self._logs.files.write(self._descriptor, frame)
            self._size += len(frame)
        except OSError as error:
            self._give_up(error)

    def _compact(self) -> None:
        """Take out of the file what is beyond the ends of its streams."""
        try:
            data = self._logs.files.read(self._logs.file_of(self._path))
            former, own = data[: self._begin], read_log(data[self._begin :])
            self._close()
            self._logs.replace(self._path, former + write_log(own))
            self._descriptor, end = self._logs.open(self._path)
            self._size = end - self._begin
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._closed = True
        self._close()
        self._logs.tell(
            f"what step {self._path} writes is not kept any more: {error.strerror or error}"
        )

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            self._logs.files.close(descriptor)


class Logs:
    """The logs of one run's steps: this execution's files, and what the newest checkpoint holds.

    *tree* gives that checkpoint. One thread at a time works on a step.
    """

    def __init__(
        self, store: Store, run: str, tree: Callable[[], RunTree], tell: Callable[[str], None]
    ) -> None:
        self.tell = tell
        self._store = store
        self._run = run
        self._tree = tree
        self._begun: dict[str, int] = {}
        """How many attempts each step of this execution has begun, those before it counted."""
        self._filed: set[str] = set()
        """The steps that have a file."""
        self._unlogged: set[str] = set()
        """Those of them that have begun, and have no log in the store."""

    @property
    def files(self) -> Files:
        return self._store.files

    def begin_attempt(self, path: str, stored: Mapping[str, object], *, keep: bool) -> AttemptLog:
        """Begin the next attempt at the step at *path*, of which the facts *stored* are noted."""
        number = max(self._begun.get(path, 0), _tries(stored)) + 1
        if path not in self._begun and not _tries(stored):
            self._unlogged.add(path)
        self._begun[path] = number
        return AttemptLog(self, path, number, keep=keep)

    def content_of(self, path: str, facts: Mapping[str, object]) -> Content:
        """Give what is to stand at the facts of the step at *path*: *facts*, and any log."""
        if path in self._unlogged and path not in self._filed:
            return note(facts_text(facts))
        self._unlogged.discard(path)
        entry = self._tree().facts_entry(path)
        stored = entry if entry is not None and entry.kind == "blob" else None
        count = _tries(self._tree().facts_of(path)) if stored is not None else 0
        new = [attempt for attempt in self._read(path) if attempt.number > count]
        if not new:
            if stored is None:
                return note(facts_text(facts))
            return existing(stored._replace(note=facts_text({**facts, TRIES: count})))
        old = self._stored(stored) if stored is not None else []
        return blob(write_log([*old, *new]), note=facts_text({**facts, TRIES: new[-1].number}))

    def recover_paths(self) -> list[str]:
        """Give the paths of the steps whose files are there; their attempts count as begun."""
        paths: set[str] = set()
        for file in self._store.log_files(self._run):
            for attempt in read_log(self._bytes(file)):
                paths.add(attempt.step)
                self._filed.add(attempt.step)
                self._begun[attempt.step] = max(self._begun.get(attempt.step, 0), attempt.number)
        return sorted(paths)

    def remove(self, path: str) -> None:
        """Remove the file of the step at *path*, whose log is in the store now."""
        if path in self._filed:
            self._filed.discard(path)
            with suppress(OSError):  # Whoever resumes the run knows it by its numbers.
                self.files.unlink(self.file_of(path))

    def remove_all(self) -> None:
        """Remove all files of the run: its last checkpoint holds what they held."""
        self._store.remove_logs(self._run)

    def file_of(self, path: str) -> Path:
        """Give where the step at *path* writes while it runs."""
        return self._store.log_file(self._run, path)

    def open(self, path: str) -> tuple[int, int]:
        """Open the file of the step at *path* to append to it; give its descriptor and its length.

        Half a frame that an earlier attempt left goes: what is written after it could not be read.
        """
        file = self.file_of(path)
        self._filed.add(path)
        try:
            descriptor, length = self.files.append(file)
        except FileNotFoundError:
            self.files.make_folder(file.parent)
            descriptor, length = self.files.append(file)
        if length and (whole := whole_length(data := self.files.read(file))) < length:
            self.files.close(descriptor)
            self.replace(path, data[:whole])
            descriptor, length = self.files.append(file)
        return descriptor, length

    def replace(self, path: str, data: bytes) -> None:
        """Make the file of the step at *path* hold *data*, by way of another one."""
        other = self.file_of(path).with_name(f"{self.file_of(path).name}.new")
        with suppress(FileNotFoundError):
            self.files.unlink(other)
        descriptor = self.files.create(other)
        try:
            self.files.write(descriptor, data)
        finally:
            self.files.close(descriptor)
        self.files.rename(other, self.file_of(path))

    def _read(self, path: str) -> list[Logged]:
        return read_log(self._bytes(self.file_of(path)))

    def _bytes(self, file: Path) -> bytes:
        try:
            return self.files.read(file)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as error:
            self.tell(
                f"what a step wrote is lost: {file} cannot be read: {error.strerror or error}"
            )
            return b""

    def _stored(self, entry: Entry) -> list[Logged]:
        try:
            return read_log(self._tree().snapshot.data_of(entry))
        except (StoreDamaged, NotFound) as error:
            self.tell(f"the log of earlier attempts is lost: {error}")
            return []


def _tries(facts: Mapping[str, object]) -> int:
    tries = facts.get(TRIES, 0)
    return tries if isinstance(tries, int) else 0


def facts_text(facts: Mapping[str, object]) -> str:
    """Give *facts* as they stand in the note of a step, which holds 4,096 bytes.

    Where that is too long the values of what changed go first, then the names of iterations, what
    is said of agents, and the label: facts never fail a run.
    """
    kept = dict(facts)
    text = _facts_json(kept)
    for name in ("changes", "iterations", "agent", "player", "label", "because"):
        if len(text) <= MAX_NOTE_BYTES:
            break
        if (long := kept.pop(name, None)) is not None:
            if name == "iterations" and isinstance(long, Mapping):
                kept[name] = {"counts": long.get("counts", {}), "longest": {}}
            text = _facts_json(kept)
    return text


def _facts_json(facts: Mapping[str, object]) -> str:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))
