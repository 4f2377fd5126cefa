"""What the runner of a job obeys, and how all else is kept from being obeyed.

GitHub's runner reads what a program prints, and obeys a line that begins with `::`, blanks aside,
and one that has `##[` anywhere. What people wrote, what agents say and what steps print stands in
such lines, too; so a sign of those is shown as an escape. Commands of our own go another way.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNSEEN: Final = (
    "\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What a comparison that knows languages, as the runner's is, may pass over."""
_BEGINS: Final = re.compile(rf"((?:\A|(?<=[\r\n]))[\s{_UNSEEN}]*):(?=[{_UNSEEN}]*:)")
_ANYWHERE: Final = re.compile(rf"(#[{_UNSEEN}]*#[{_UNSEEN}]*)\[")
_MAY_BEGIN: Final = re.compile(rf"(?:\A|(?<=[\r\n]))(?:[^\S\r\n]|[{_UNSEEN}])*:?[{_UNSEEN}]*\Z")
_MAY_FOLLOW: Final = re.compile(rf"#[{_UNSEEN}]*(?:#[{_UNSEEN}]*)?\Z")
_MOST_HELD: Final = 4096
"""Characters of an unended line that are held back at most."""


def disarmed(text: str) -> str:
    r"""Give *text*, which begins a line, with `\x3a` or `\x5b` in what GitHub would obey."""
    if ":" not in text and "[" not in text:
        return text
    return _ANYWHERE.sub(r"\1\\x5b", _BEGINS.sub(r"\1\\x3a", text))


def disarmed_json(text: str) -> str:
    r"""Give the JSON *text* with what GitHub would obey as `\u005b`: the value is the same."""
    return _ANYWHERE.sub(r"\1\\u005b", text) if "[" in text else text


def is_shown(stream: Any) -> bool:
    """Whether GitHub may read what is printed on *stream*: it is no file."""
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return True


# --- commands -------------------------------------------------------------------------------------


def command_line(name: str, data: str = "", **properties: str | int | None) -> str:
    """Give the line of a command; what is None or empty among *properties* is left out."""
    given = ",".join(
        f"{key}={_escaped(str(value), properties=True)}"
        for key, value in properties.items()
        if value not in (None, "")
    )
    return f"::{name}{' ' if given else ''}{given}::{_escaped(data)}"


def _escaped(text: str, *, properties: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if properties else text


class GithubLog:
    """Standard error as GitHub reads it: a text stream whose lines are disarmed, and commands.

    Threads may share it. Of a line that has not ended, what may still become a command is held
    back.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._held = ""
        self._in_line = False
        """Whether something of the present line has been written."""
        self._lock = threading.RLock()
        self.is_read_alone = _is_read_alone(stream)
        """Whether what is printed goes to GitHub, and not to a file or another program."""

    def write(self, text: str) -> int:
        """Write *text*, disarmed."""
        with self._lock:
            self._give(self._held + text, is_whole=False)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush what is written; what is held back stays so."""
        self._stream.flush()

    def end(self) -> None:
        """Write what is held back."""
        with self._lock, suppress(OSError, ValueError):
            self._give(self._held, is_whole=True)
            self._stream.flush()

    def command(self, name: str, data: str = "", **properties: str | int | None) -> None:
        """Give GitHub a command, on a line of its own."""
        line = command_line(name, data, **properties)
        with self._lock, suppress(OSError, ValueError):
            self._give(self._held, is_whole=True)
            self._stream.write(f"\n{line}\n" if self._in_line else f"{line}\n")
            self._stream.flush()
            self._in_line = False

    def _give(self, text: str, *, is_whole: bool) -> None:
        held = 0 if is_whole else self._held_back(text)
        now, self._held = (text[:-held], text[-held:]) if held else (text, "")
        if not now:
            return
        # What goes on a line cannot begin one.
        safe = disarmed(f"x{now}")[1:] if self._in_line else disarmed(now)
        self._in_line = not now.endswith(("\n", "\r"))
        self._stream.write(safe)

    def _held_back(self, text: str) -> int:
        """Say how many characters at the end of *text* may still become a command."""
        match = _MAY_FOLLOW.search(text)
        if match is None:
            begun = _MAY_BEGIN.search(text)
            match = begun if begun and (begun.start() or not self._in_line) else None
        length = len(text) - match.start() if match is not None else 0
        return length if length <= _MOST_HELD else 0

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own."""
        return getattr(self._stream, name)


def _is_read_alone(stream: Any) -> bool:
    try:
        ours, out = os.fstat(stream.fileno()), os.fstat(1)
    except (OSError, ValueError, AttributeError):
        return False
    is_same = (ours.st_dev, ours.st_ino) == (out.st_dev, out.st_ino)
    return (stat.S_ISFIFO(ours.st_mode) or stat.S_ISSOCK(ours.st_mode)) and not is_same
