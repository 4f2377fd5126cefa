"""The one seam to the file system: every change to the store goes through a `Files`, so that a test can
count, stop or fail each of them.

What is durable: a file's bytes after `sync`, its name after `sync_folder` of the folder it is in.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from maverick.errors import StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_UNWRITABLE = {
    errno.ENOSPC: "the disk is full; `maverick checkpoint gc` frees space",
    errno.EDQUOT: "the disk quota is used up; `maverick checkpoint gc` frees space",
    errno.EROFS: "the file system is mounted read-only; make it writable, or use another project folder",
    errno.EACCES: "permission denied; make the folder writable for this user",
    errno.EPERM: "permission denied; make the folder writable for this user",
    errno.EEXIST: "a file stands where a folder is needed; move it away",
    errno.EISDIR: "a folder stands where a file is needed; move it away",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away",
    errno.EFBIG: "a file would be larger than a limit allows; raise it (`ulimit -f`), or use another disk",
    errno.ENAMETOOLONG: "the path is too long; use another project folder",
    errno.EIO: "the disk reports an input/output error; check it before anything else",
    errno.ENOLCK: "the file system has no locks to give; keep the project on a local disk",
    errno.EOPNOTSUPP: "the file system does not support this; keep the project on a local disk",
}
_READ_BYTES = 1 << 16
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
UNREADABLE = frozenset({errno.EIO, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP})
"""Errors of reading that are about one file; others are about the system."""


class Files:
    """The operations that the store needs of a file system. Errors are plain `OSError`."""

    def create(self, path: Path) -> int:
        """Create the file *path*, which must not exist, and give a descriptor to write to it."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def append(self, path: Path) -> tuple[int, int]:
        """Open the file *path* to append to it, made where there is none; give its descriptor and its length."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        return descriptor, os.fstat(descriptor).st_size

    def write(self, descriptor: int, data: bytes) -> None:
        """Append all of *data*."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        """Return when the bytes written are on the disk, and not in a cache of its own either."""
        if sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 - on macOS fsync leaves the bytes in the drive's cache

            try:
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            except OSError:  # a file system without it
                os.fsync(descriptor)
        else:
            os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close *descriptor*."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give *source* the name *target*, atomically replacing what had it."""
        os.replace(source, target)  # noqa: PTH105 - one seam, the plain system calls

    def sync_folder(self, path: Path) -> None:
        """Return when the names in the folder *path* are on the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def unlink(self, path: Path) -> None:
        """Remove the file *path*."""
        os.unlink(path)  # noqa: PTH108 - as above

    def make_folder(self, path: Path) -> None:
        """Make the folder *path*, for this user alone, unless it exists."""
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)  # noqa: PTH102 - as above

    def read(self, path: Path) -> bytes:
        """Give all of a small file."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts: list[bytes] = []
            while part := os.read(descriptor, _READ_BYTES):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def pread(self, path: Path, offset: int, length: int) -> bytes:
        """Give *length* bytes from *offset* on, fewer at the end of the file."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _pread(descriptor, offset, length)
        finally:
            os.close(descriptor)

    def open(self, path: Path) -> int:
        """Open the file *path* for reading by `pread_open`, and give its descriptor."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def pread_open(self, descriptor: int, offset: int, length: int) -> bytes:
        """Give *length* bytes of an open file from *offset* on, fewer at its end."""
        return _pread(descriptor, offset, length)

    def size(self, path: Path) -> int:
        """Give the number of bytes in the file *path*."""
        return os.stat(path).st_size  # noqa: PTH116 - as above

    def touch(self, path: Path) -> None:
        """Make the file *path* modified now, by the clock of its file system."""
        os.utime(path)

    def modified(self, path: Path) -> int:
        """Give when the file *path* was modified, in milliseconds since the epoch."""
        return os.stat(path).st_mtime_ns // 1_000_000  # noqa: PTH116 - as above

    def list(self, path: Path) -> list[str]:
        """Give the names in the folder *path*, in no order."""
        return os.listdir(path)  # noqa: PTH208 - as above


def _pread(descriptor: int, offset: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length:
        part = os.pread(descriptor, min(length, 1 << 30), offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class OpenFiles:
    """Keeps up to *limit* files open that are read again and again. Its user sees to it that one thread does."""

    def __init__(self, files: Files, limit: int = 32) -> None:
        self._files = files
        self._limit = limit
        self._descriptors: dict[Path, int] = {}

    def pread(self, path: Path, offset: int, length: int) -> bytes:
        """Give *length* bytes of *path* from *offset* on, fewer at the end of the file."""
        descriptor = self._descriptors.pop(path, None)
        if descriptor is None:
            descriptor = self._files.open(path)
            if len(self._descriptors) >= self._limit:
                self.close(next(iter(self._descriptors)))
        self._descriptors[path] = descriptor  # the newest last
        return self._files.pread_open(descriptor, offset, length)

    def close(self, path: Path) -> None:
        """Close *path* if it is open, so that its bytes are free when it is removed."""
        descriptor = self._descriptors.pop(path, None)
        if descriptor is not None:
            self._files.close(descriptor)

    def __del__(self) -> None:
        for descriptor in self._descriptors.values():
            with suppress(OSError):
                os.close(descriptor)


def replace(files: Files, temporary: Path, target: Path, parts: Iterable[bytes]) -> None:
    """Make *target* hold exactly *parts*, by way of *temporary*; its folder is synced too (2 fsyncs).

    After a crash *target* holds the old bytes or the new, never a mixture.
    """
    write_new(files, temporary, parts)
    with removing_on_error(files, temporary):
        files.rename(temporary, target)
    files.sync_folder(target.parent)


def write_new(files: Files, path: Path, parts: Iterable[bytes]) -> None:
    """Create *path* with exactly *parts*, synced (its name is not). Nothing is left behind by an error."""
    with creating(files, path) as descriptor:
        for part in parts:
            files.write(descriptor, part)


@contextmanager
def creating(files: Files, path: Path) -> Iterator[int]:
    """Give a descriptor of the new file *path*, synced when the block ends, removed when it fails."""
    descriptor = files.create(path)
    with removing_on_error(files, path):
        try:
            yield descriptor
            files.sync(descriptor)
        finally:
            files.close(descriptor)


@contextmanager
def removing_on_error(files: Files, path: Path) -> Iterator[None]:
    """Remove the temporary file *path* if the block fails: on a full disk its bytes are needed."""
    try:
        yield
    except Exception:
        with suppress(OSError):
            files.unlink(path)
        raise


@contextmanager
def writing(action: str, root: Path) -> Iterator[None]:
    """Turn the errors of a disk that takes no bytes into StoreUnwritable, saying which *action* failed."""
    try:
        yield
    except OSError as error:
        advice = _UNWRITABLE.get(error.errno or 0)
        if advice is None:
            raise
        raise StoreUnwritable(f"cannot {action} ({root}): {advice}") from error


def is_full(error: BaseException) -> bool:
    """Say whether *error*, or what it was made from, is that of a full disk or quota."""
    cause = error.__cause__ if isinstance(error, StoreUnwritable) else error
    return isinstance(cause, OSError) and cause.errno in FULL
