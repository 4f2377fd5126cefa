"""Files of the work tree that this very program writes: its standard output and error, sent to a
file, or its events.

They are no work of the workflow: `maverick fly > log.txt` neither stops at its own log nor commits
it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from maverick.library.actions.repository import git

_DESCRIPTORS: Final = Path("/dev/fd")


def own_outputs(cwd: str) -> list[str]:
    """Give the paths, from the root of the work tree that *cwd* is in, of the files that this
    program writes.

    The store's are left out: they are in `.maverick`, which no action takes into a commit.
    """
    written = {path for path in _written() if ".maverick" not in path.parts}
    if not written:
        return []
    top = Path(git("rev-parse", "--show-toplevel", cwd=cwd)).resolve()
    return sorted(str(path.relative_to(top)) for path in written if path.is_relative_to(top))


def without_own(cwd: str) -> list[str]:
    """Give pathspecs that leave them out."""
    return [f":(top,exclude,literal){path}" for path in own_outputs(cwd)]


def _written() -> set[Path]:
    """The files that are open to be written, wherever standard output was put meanwhile."""
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208
    except OSError:  # A system without /proc does not tell.
        return set()
    found = (_file_of(int(name)) for name in names if name.isdecimal())
    return {path for path in found if path is not None}


def _file_of(descriptor: int) -> Path | None:
    """The path of the regular file that *descriptor* writes; None for any other, and for one
    without a name.
    """
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            return None
        path = _path_of(descriptor)
        return path.resolve() if os.path.samestat(path.stat(), status) else None
    except OSError:  # It was closed meanwhile, or its file was removed.
        return None


def _path_of(descriptor: int) -> Path:
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        return Path(
            os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        )
    return (_DESCRIPTORS / str(descriptor)).readlink()
