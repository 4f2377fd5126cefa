"""The temporary files of a run: a folder that only its user can read, and that outlives no run."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from maverick.errors import StepFailed

_NAME = re.compile(r"maverick-[0-9a-f]{16}")


class Scratch:
    """Makes its folder when something is first put there. Threads may share it.

    *note* is told the folder's path before the folder is made, so that whoever resumes a killed run
    can remove it (`remove_scratch`).
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._folder: Path | None = None
        self._numbers = count(1)
        self._lock = threading.Lock()

    @contextmanager
    def file(self, data: bytes) -> Iterator[Path]:
        """Keep a file that holds *data*, mode 0600, while the block runs.

        Raises:
            StepFailed: It cannot be written.
        """
        path = self._new()
        try:
            with _failing_step(path):
                _write(path, data)
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Keep an empty folder, mode 0700, while the block runs. Raises as `file`."""
        path = self._new()
        try:
            with _failing_step(path):
                path.mkdir(0o700)
            yield path
        finally:
            # A program that still runs there may have made more.
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _new(self) -> Path:
        """Give the path of something new, in the folder."""
        with self._lock:
            if self._folder is None:
                folder = _new_folder()
                self._note(str(folder))
                self._folder = folder
            with _failing_step(self._folder):
                _ensure_folder(self._folder)
            return self._folder / str(next(self._numbers))


def remove_scratch(folder: object) -> None:
    """Remove the *folder* that a killed run had noted, if it is one, and this user's."""
    if not isinstance(folder, str) or not _NAME.fullmatch(os.path.basename(folder)):  # noqa: PTH119 - may be no path
        return
    with suppress(OSError, ValueError):
        # It has gone with the machine or the container that it was on.
        if _is_own(Path(folder)):
            shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    try:
        return Path(tempfile.gettempdir()) / f"maverick-{os.urandom(8).hex()}"
    except FileNotFoundError as error:
        raise StepFailed(
            f"{error.strerror or error}; set TMPDIR to a folder that can be written to"
        ) from None


def _ensure_folder(folder: Path) -> None:
    """Make it; it may have been removed since it was last used, as what is old in /tmp is."""
    with suppress(FileNotFoundError):
        if _is_own(folder):
            return
    folder.mkdir(0o700)


def _is_own(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
        file.write(data)


@contextmanager
def _failing_step(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StepFailed(f"cannot write the temporary file {path}: {error.strerror}") from error


def read_plain_file(path: Path, most: int | None = None) -> bytes | None:
    """Give what a program wrote to the file *path*, *most* bytes of it; None if it is not there.

    Raises:
        StepFailed: It is no plain file, or cannot be read. A pipe, a device, a link is not waited
            for or followed.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - of a descriptor
                return file.read() if most is None else file.read(most)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepFailed(
            f"{path.name} cannot be read ({error.strerror}): a plain file has to be written"
        ) from None
    raise StepFailed(f"{path.name} is no plain file: a plain file has to be written")
