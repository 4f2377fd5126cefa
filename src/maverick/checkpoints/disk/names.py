"""The names of files that stand for runs."""

from __future__ import annotations

import re
from functools import lru_cache

from maverick.errors import UsageError

_MAX_FILE_NAME_BYTES = 200
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")


@lru_cache(maxsize=64)
def file_name(run: str) -> str:
    """Give the file name that stands for *run*: `a-z0-9-_` and `.` (not first) as they are, else
    `%xx`.

    Raises:
        UsageError: the run's id is empty, longer than a file name can be, or not printable.
    """
    if not run or not run.isprintable():
        raise UsageError(f"{run!r} cannot be the id of a run: it must be printable text")
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in run.encode("utf-8"))
    if name.startswith("."):
        name = f"%2e{name[1:]}"
    if len(name) > _MAX_FILE_NAME_BYTES:
        raise UsageError(
            f"the run id {run[:40]!r}… is too long: escaped it may have {_MAX_FILE_NAME_BYTES} "
            "bytes"
        )
    return name


def run_name(name: str) -> str | None:
    """Give the run that the file *name* stands for; None if it stands for none."""
    try:
        raw = re.sub(
            rb"%([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), name.encode("utf-8")
        )
        run = raw.decode("utf-8")
        return run if file_name(run) == name else None
    except (UnicodeError, UsageError):
        return None
