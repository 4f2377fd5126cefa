"""Events as lines of JSON, for programs: `--events`, and `--progress json`."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from maverick.cli.terminal.render import json_text
from maverick.cli.terminal.streams import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.dsl.events import Event


class EventLines:
    """Writes a JSON object per event to *file*, each flushed. Threads may share it.

    *begin* is done to the file when the first event comes: a command that does not come to run
    anything leaves it as it was. When the file cannot be written any more it says so once and goes
    silent: a run does not end for that.
    """

    def __init__(self, file: IO[str], begin: Callable[[IO[str]], None] | None = None) -> None:
        self._file = file
        self._begin = begin
        self._lock = threading.Lock()
        self._broken = False

    def __call__(self, event: Event) -> None:
        line = json_text(
            {
                "event": event.event,
                "step": event.step,
                "type": event.type,
                "time": event.time,
                "seconds": event.seconds,
                "message": event.message,
                "data": event.data if isinstance(event.data, dict) else dict(event.data),
            },
            indent=None,
        )
        with self._lock:
            if self._broken:
                return
            try:
                if self._begin is not None:
                    self._begin(self._file)
                    self._begin = None
                self._file.write(line + "\n")
                self._file.flush()
            except (OSError, ValueError) as error:
                self._break(error)

    def close(self) -> None:
        """Close the file. What could not be written is lost; it was said."""
        try:
            self._file.close()
        except (OSError, ValueError) as error:
            if not self._broken:
                self._break(error)

    def _break(self, error: Exception) -> None:
        self._broken = True
        if not isinstance(error, BrokenPipeError):
            warn(f"events are no longer written: {error}")


def empty(file: IO[str]) -> None:
    """Drop what *file* held, unless it is a pipe or a device."""
    if _is_regular(file):
        file.truncate(0)


def end_line(file: IO[str]) -> None:
    """End the last line of *file*, which is open to append, if a kill cut it off."""
    if _is_regular(file) and _is_cut_off(Path(file.name)):
        file.write("\n")


def _is_regular(file: IO[str]) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _is_cut_off(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


class _AsNotices:
    """Stands for standard error: each line that is printed there becomes an event."""

    def __init__(self, stream: Any, lines: EventLines) -> None:
        self._stream = stream
        self._lines = lines
        self._unended = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            *whole, self._unended = (self._unended + text).split("\n")
        self._tell(whole)
        return len(text)

    def flush(self) -> None:
        """Do nothing: each event is flushed, and a line without an end is none yet."""

    def end(self) -> None:
        """Take what has come without an end for a line."""
        with self._lock:
            rest, self._unended = self._unended, ""
        self._tell([rest])

    def isatty(self) -> bool:
        """Give False: nobody who reads events answers a question."""
        return False

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own."""
        return getattr(self._stream, name)

    def _tell(self, lines: list[str]) -> None:
        from maverick.dsl.events import Event  # noqa: PLC0415 - the run has loaded it

        for line in filter(None, lines):
            self._lines(Event(event="notice", message=line))


@contextmanager
def err_as_events() -> Iterator[EventLines]:
    """Give what writes events to standard error; what else is printed there meanwhile is a `notice`
    among them.
    """
    before = sys.stderr
    lines = EventLines(before)
    notices = _AsNotices(before, lines)
    sys.stderr = cast("Any", notices)
    try:
        yield lines
    finally:
        notices.end()
        sys.stderr = before
