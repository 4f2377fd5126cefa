"""File systems that count, stop or fill up. Each is a real one with a watch on its operations."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from maverick.checkpoints.disk.files import Files


class Killed(BaseException):
    """The process ended here. No `except Exception` sees it, and nothing it does afterwards
    counts.
    """


class WatchedFiles(Files):
    """Calls `before` ahead of each operation that changes something; `done` lists them."""

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
        takes_space = operation in {"create", "append", "write", "make_folder", "rename"}
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
