"""The one seam to the file system: every change to the store goes through a `Files`, so that a test
can count, stop or fail each of them.

What is durable: a file's bytes after `sync`, its name after `sync_folder` of the folder it is in.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from maverick.errors import StoreDamaged, StoreDenied, StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_UNWRITABLE = {
    errno.ENOSPC: "the disk is full; `maverick gc` frees space",
    errno.EDQUOT: "the disk quota is used up; `maverick gc` frees space",
    errno.EROFS: "the file system is mounted read-only; make it writable, or use another project "
    "folder",
    errno.EACCES: "permission denied; make the folder writable for this user",
    errno.EPERM: "permission denied; make the folder writable for this user",
    errno.EEXIST: "a file stands where a folder is needed; move it away",
    errno.EISDIR: "a folder stands where a file is needed; move it away",
    errno.ELOOP: "a symbolic link stands where a file is needed; move it away",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away",
    errno.ENXIO: "what is no file stands where one is needed; move it away",
    errno.EFBIG: "a file would be larger than a limit allows; raise it (`ulimit -f`), or use "
    "another disk",
    errno.ENAMETOOLONG: "the path is too long; use another project folder",
    errno.EIO: "the disk reports an input/output error; check it before anything else",
    errno.ENOLCK: "the file system has no locks to give; keep the project on a local disk",
    errno.EOPNOTSUPP: "the file system does not support this; keep the project on a local disk",
}
_READ_BYTES = 1 << 16
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
MISPLACED = frozenset({errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENXIO})
"""Errors that say that something else stands where a file is needed, or a folder."""
UNREADABLE = MISPLACED | {errno.EIO}
"""Errors of reading that are about one file, and damage; others are about the system, or about who
may read it.
"""


class Files:
    """The operations that the store needs of a file system. Errors are plain `OSError`, or
    StoreDenied, which is one.

    What root makes in a folder of somebody else is given to that user.
    """

    def create(self, path: Path) -> int:
        """Create the file *path*, which must not exist, and give a descriptor to write to it."""
        with DenialExplained("write", path):
            return create_file(path, os.O_RDWR)

    def open_to_write(self, path: Path) -> int:
        """Open the file *path*, which is there, to read it and write into it."""
        return open_file(path, os.O_RDWR | os.O_NOFOLLOW)

    def append(self, path: Path) -> tuple[int, int]:
        """Open the file *path* to append to it, made where there is none; give its descriptor and
        its length.
        """
        flags = os.O_WRONLY | os.O_APPEND
        with DenialExplained("write", path):
            try:
                return create_file(path, flags), 0
            except FileExistsError:
                descriptor = _open(path, flags | os.O_NOFOLLOW)
        return descriptor, os.fstat(descriptor).st_size

    def write(self, descriptor: int, data: bytes) -> None:
        """Append all of *data*."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of *data* from *offset* on, over what is there."""
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to *size* bytes."""
        os.ftruncate(descriptor, size)

    def datasync(self, descriptor: int) -> None:
        """Return when the bytes written are on the disk, and with them the length of the file."""
        if sys.platform == "darwin":
            self.sync(descriptor)
        else:
            os.fdatasync(descriptor)

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
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give *source* the name *target*, atomically replacing what had it."""
        with DenialExplained("write", target), needing(target.parent):
            os.replace(source, target)  # noqa: PTH105 - one seam, the plain system calls

    def sync_folder(self, path: Path) -> None:
        """Return when the names in the folder *path* are on the disk."""
        with needing(path):
            descriptor = open_file(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def unlink(self, path: Path) -> None:
        with DenialExplained("remove", path):
            os.unlink(path)  # noqa: PTH108 - as above

    def make_folder(self, path: Path) -> None:
        """Make the folder *path*, for this user alone, unless it exists."""
        with suppress(FileExistsError), DenialExplained("make", path):
            create_folder(path, 0o700)

    def read(self, path: Path) -> bytes:
        """Give all of a small file."""
        descriptor = open_file(path, os.O_RDONLY)
        try:
            parts: list[bytes] = []
            while part := os.read(descriptor, _READ_BYTES):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def pread(self, path: Path, offset: int, length: int) -> bytes:
        """Give *length* bytes from *offset* on, fewer at the end of the file."""
        descriptor = open_file(path, os.O_RDONLY)
        try:
            return _pread(descriptor, offset, length)
        finally:
            os.close(descriptor)

    def open(self, path: Path) -> int:
        """Open the file *path* for reading by `pread_open`, and give its descriptor."""
        return open_file(path, os.O_RDONLY)

    def pread_open(self, descriptor: int, offset: int, length: int) -> bytes:
        """Give *length* bytes of an open file from *offset* on, fewer at its end."""
        return _pread(descriptor, offset, length)

    def stat(self, path: Path) -> os.stat_result:
        """Give what the system says of what the name *path* stands for."""
        with DenialExplained("read", path):
            return os.stat(path)  # noqa: PTH116 - as above

    def is_named(self, descriptor: int) -> bool:
        """Say whether an open file has a name still."""
        return os.fstat(descriptor).st_nlink > 0

    def size(self, path: Path) -> int:
        return self.stat(path).st_size

    def modified(self, path: Path) -> int:
        """Give when the file *path* was modified, in milliseconds since the epoch."""
        return self.stat(path).st_mtime_ns // 1_000_000

    def list(self, path: Path) -> list[str]:
        """Give the names in the folder *path*, in no order."""
        with DenialExplained("read", path):
            return os.listdir(path)  # noqa: PTH208 - as above


@contextmanager
def needing(folder: Path) -> Iterator[None]:
    """Raise StoreDamaged where *folder* is missing."""
    try:
        yield
    except FileNotFoundError:
        if folder.is_dir():
            raise
        raise StoreDamaged(
            f"the folder {folder} is missing; run `maverick checkpoint fsck --repair`"
        ) from None


# --- who may, and whose it is ---------------------------------------------------------------------


def open_file(path: Path, flags: int) -> int:
    """Open a file that is there, or by O_DIRECTORY a folder. Raises StoreDenied, or a plain
    OSError.
    """
    with DenialExplained("read" if flags & os.O_ACCMODE == os.O_RDONLY else "write", path):
        return _open(path, flags)


def _open(path: Path, flags: int) -> int:
    """Open a file, or a folder. What else has the name is refused: a FIFO would be waited for."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    mode = os.fstat(descriptor).st_mode
    if flags & os.O_DIRECTORY or stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    code = errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO
    raise OSError(code, "Not a file" if code == errno.ENXIO else os.strerror(code), str(path))


def create_file(path: Path, flags: int) -> int:
    """Create the file *path*, which must not exist and is no link; root gives it to the owner of
    its folder.
    """
    flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    if os.geteuid() or not _is_in_anothers_folder(path):
        return os.open(path, flags, 0o600)
    with _opened_folder(path.parent) as folder:
        descriptor = os.open(path.name, flags, 0o600, dir_fd=folder)
        _give(descriptor, folder)
        return descriptor


def open_lock(path: Path) -> int:
    """Open the file *path*, made if it is not there, to be locked and written. Raises as
    `open_file`.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW
    with DenialExplained("write", path):
        if os.geteuid() or not _is_in_anothers_folder(path):
            return _open(path, flags | os.O_CREAT)
        while True:
            with suppress(FileExistsError):
                return create_file(path, os.O_RDWR)
            with suppress(FileNotFoundError):  # gc removed it meanwhile
                return _open(path, flags)


def create_folder(path: Path, mode: int) -> None:
    """Make the folder *path*, which must not exist; root gives it to the owner of the folder that
    it is in.
    """
    if os.geteuid() or not _is_in_anothers_folder(path):
        os.mkdir(path, mode)  # noqa: PTH102 - a plain system call
        return
    with _opened_folder(path.parent) as folder:
        os.mkdir(path.name, mode, dir_fd=folder)
        with suppress(OSError), _opened_folder(path.name, folder) as made:
            # Whoever owns the folder above may have put another in its place.
            if os.fstat(made).st_uid == 0 and not os.listdir(made):  # noqa: PTH208 - of a descriptor
                _give(made, folder)


def _is_in_anothers_folder(path: Path) -> bool:
    """Say whether the folder of *path* belongs to another user than this one, which is root."""
    folder = os.path.dirname(path)  # noqa: PTH120 - a third of the cost
    owner = _owners.get(folder)
    if owner is None:
        try:
            owner = _owners[folder] = os.stat(folder or ".").st_uid  # noqa: PTH116 - a plain system call
        except OSError:  # whoever goes on there says why
            return False
    return owner != 0


_owners: dict[str, int] = {}


def _give(descriptor: int, folder: int) -> None:
    """Give an open file to the owner of the open *folder*; where the system refuses that, root
    keeps it.
    """
    status = os.fstat(folder)
    with suppress(OSError):
        os.fchown(descriptor, status.st_uid, status.st_gid)


@contextmanager
def _opened_folder(path: Path | str, folder: int | None = None) -> Iterator[int]:
    follow = 0 if folder is None else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class DenialExplained:
    """Turn a refusal of the system to *verb* *path* into StoreDenied, which names the owner."""

    __slots__ = ("_path", "_verb")

    def __init__(self, verb: str, path: Path) -> None:
        self._verb = verb
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, PermissionError) and not isinstance(error, StoreDenied):
            from maverick.checkpoints.disk.denials import denied  # noqa: PLC0415 - nearly never needed

            raise denied(self._verb, self._path, error) from error


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
    """Keeps up to *limit* files open that are read again and again. Its user sees to it that one
    thread does.
    """

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

    def close_all(self) -> None:
        """Close what is open."""
        while self._descriptors:
            with suppress(OSError):
                os.close(self._descriptors.popitem()[1])

    def __del__(self) -> None:
        self.close_all()


def replace(files: Files, temporary: Path, target: Path, parts: Iterable[bytes]) -> None:
    """Make *target* hold exactly *parts*, by way of *temporary*; its folder is synced too (2
    fsyncs).

    After a crash *target* holds the old bytes or the new, never a mixture.
    """
    write_new(files, temporary, parts)
    with removing_on_error(files, temporary):
        files.rename(temporary, target)
    files.sync_folder(target.parent)


def write_new(files: Files, path: Path, parts: Iterable[bytes]) -> None:
    """Create *path* with exactly *parts*, synced (its name is not). Nothing is left behind by an
    error.
    """
    with creating(files, path) as descriptor:
        for part in parts:
            files.write(descriptor, part)


@contextmanager
def creating(files: Files, path: Path) -> Iterator[int]:
    """Give a descriptor of the new file *path*, synced when the block ends, removed when it
    fails. Its folder is made again if somebody has removed that: it holds nothing for long.
    """
    try:
        descriptor = files.create(path)
    except FileNotFoundError:
        files.make_folder(path.parent)
        with needing(path.parent):
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
    """Turn the errors of a disk that takes no bytes into StoreUnwritable, saying which *action*
    failed.
    """
    try:
        yield
    except StoreDenied as error:
        raise StoreDenied(
            f"cannot {action} ({root}): {error.why}", error.why, error.filename, error
        ) from error
    except OSError as error:
        advice = _UNWRITABLE.get(error.errno or 0)
        if advice is None:
            raise
        place = (error.errno in MISPLACED and error.filename) or root
        raise StoreUnwritable(f"cannot {action} ({place}): {advice}") from error


def is_full(error: BaseException) -> bool:
    """Say whether *error*, or what it was made from, is that of a full disk or quota."""
    cause = error.__cause__ if isinstance(error, StoreUnwritable) else error
    return isinstance(cause, OSError) and cause.errno in FULL


def fits(act: Callable[[], object], *, tight: bool = True) -> bool:
    """Do *act*; says whether the disk had space for that. If it is not *tight*, a full one is an
    error as any other.
    """
    try:
        act()
    except (OSError, StoreUnwritable) as error:
        if not (tight and is_full(error)):
            raise
        return False
    return True
