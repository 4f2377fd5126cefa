"""File systems that count, stop or fill up. Each is a real one with a watch on its operations."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from maverick.checkpoints.disk import locks
from maverick.checkpoints.disk.files import Files


class Killed(BaseException):
    """The process ended here. No `except Exception` sees it, and nothing it does afterwards
    counts.
    """


class WatchedFiles(Files):
    """Calls `before` ahead of each operation that changes something; `done` lists them.

    A `pwrite` makes the file longer; one that does not is an `overwrite`.
    """

    def __init__(self) -> None:
        self.done: list[str] = []

    def before(self, operation: str) -> None:
        """Stop or fail the operation by raising."""
        self.done.append(operation)

    def create(self, path: Path) -> int:
        self.before("create")
        return super().create(path)

    def append(self, path: Path) -> tuple[int, int]:
        self.before("append")
        return super().append(path)

    def write(self, descriptor: int, data: bytes) -> None:
        self.before("write")
        super().write(descriptor, data)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> None:
        longer = offset + len(data) > os.fstat(descriptor).st_size
        self.before("pwrite" if longer else "overwrite")
        super().pwrite(descriptor, data, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self.before("truncate")
        super().truncate(descriptor, size)

    def datasync(self, descriptor: int) -> None:
        self.sync(descriptor)

    def sync(self, descriptor: int) -> None:
        self.before("sync")
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self.before("rename")
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self.before("unlink")
        super().unlink(path)

    def make_folder(self, path: Path) -> None:
        self.before("make_folder")
        super().make_folder(path)


class CountingFiles(WatchedFiles):
    """Knows how many operations there were; syncing is left out, so that counting them is quick.

    `look_ups` are the reads of packs' indexes, `reads` those of anything else by offset,
    `read_bytes` is of both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.read_bytes = self.look_ups = 0

    def sync(self, descriptor: int) -> None:
        self.before("sync")

    def pread(self, path: Path, offset: int, length: int) -> bytes:
        data = super().pread(path, offset, length)
        self.reads += 1
        self.read_bytes += len(data)
        return data

    def pread_open(self, descriptor: int, offset: int, length: int) -> bytes:
        data = super().pread_open(descriptor, offset, length)
        self.look_ups += 1
        self.read_bytes += len(data)
        return data


class CrashingFiles(WatchedFiles):
    """Ends the process ahead of operation number *after* (from 0); a write may get half its bytes
    out.
    """

    def __init__(self, after: int, *, torn: bool = False) -> None:
        super().__init__()
        self._after = after
        self._torn = torn
        self.crashed = False

    def before(self, operation: str) -> None:
        if self.crashed or len(self.done) == self._after:
            self.crashed = True
            raise Killed
        super().before(operation)

    def write(self, descriptor: int, data: bytes) -> None:
        if self._torn and not self.crashed and len(self.done) == self._after:
            os.write(descriptor, data[: len(data) // 2])
        super().write(descriptor, data)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> None:
        if self._torn and not self.crashed and len(self.done) == self._after:
            os.pwrite(descriptor, data[: len(data) // 2], offset)
        super().pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        self.before("sync")


class FullFiles(WatchedFiles):
    """Has no space from operation number *after* on, or gives another error; unlinking still
    works.
    """

    def __init__(self, after: int, code: int = errno.ENOSPC) -> None:
        super().__init__()
        self._after = after
        self._code = code
        self.failed = False

    def before(self, operation: str) -> None:
        takes_space = operation in {"create", "append", "write", "pwrite", "make_folder", "rename"}
        if takes_space and len(self.done) >= self._after:
            self.failed = True
            raise OSError(self._code, os.strerror(self._code))
        super().before(operation)

    def sync(self, descriptor: int) -> None:
        self.before("sync")


class FailingFiles(WatchedFiles):
    """Fails operation number *at* (from 0) with an input/output error; if it is *lasting*, all from
    there on.
    """

    def __init__(self, at: int, *, lasting: bool = False) -> None:
        super().__init__()
        self._at = at
        self._lasting = lasting

    def before(self, operation: str) -> None:
        super().before(operation)
        number = len(self.done) - 1
        if number == self._at or (self._lasting and number > self._at):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class StubbornFiles(CountingFiles):
    """Does something else ahead of its operations, as another process might, or fails them.

    `ahead` says what to do, once, ahead of the next operation of that name. A `datasync` is one of
    its own here, and a `pwrite` that wherever it writes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ahead: dict[str, Callable[[], object]] = {}

    def datasync(self, descriptor: int) -> None:
        self.before("datasync")

    def before(self, operation: str) -> None:
        operation = "pwrite" if operation == "overwrite" else operation
        super().before(operation)
        self.ahead.pop(operation, _nothing)()


def _nothing() -> None:
    pass


def fail() -> None:
    """Fail as a disk does that is broken."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def kill() -> None:
    """End the process, as far as others see it: it holds no lock any more."""
    locks._drop_in_child()
    raise Killed
