"""File systems that count, stop, fill up or lose power. Each is a real one with a watch on its operations."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from maverick.checkpoints.files import Files


class Killed(BaseException):
    """The process ended here. No `except Exception` sees it, and nothing it does afterwards counts."""


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

    `look_ups` are the reads of packs' indexes, `reads` those of anything else by offset, `read_bytes` is of both.
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
    """Ends the process ahead of operation number *after* (from 0); a write may get half its bytes out."""

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
    """Has no space from operation number *after* on, or gives another error; unlinking still works."""

    def __init__(self, after: int, code: int = errno.ENOSPC) -> None:
        super().__init__()
        self._after = after
        self._code = code
        self.failed = False

    def before(self, operation: str) -> None:
        takes_space = operation in {"create", "write", "make_folder", "rename"}
        if takes_space and len(self.done) >= self._after:
            self.failed = True
            raise OSError(self._code, os.strerror(self._code))
        super().before(operation)

    def sync(self, descriptor: int) -> None:
        self.before("sync")


class PowerLossFiles(CrashingFiles):
    """Loses power ahead of operation number *after*: unsynced bytes are gone, unsynced names as it comes."""

    def __init__(self, after: int) -> None:
        super().__init__(after)
        self._names: dict[int, Path] = {}
        self._dirty: set[Path] = set()
        self._pending: list[tuple[Path, bytes | None]] = []

    @property
    def pending(self) -> int:
        """How many renames may or may not have reached the disk."""
        return len(self._pending)

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._names[descriptor] = path
        self._dirty.add(path)
        return descriptor

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        if descriptor in self._names:
            self._dirty.discard(self._names[descriptor])

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self._names.pop(descriptor, None)

    def rename(self, source: Path, target: Path) -> None:
        before = target.read_bytes() if target.exists() else None
        super().rename(source, target)
        self._pending.append((target, before))
        if source in self._dirty:
            self._dirty.add(target)

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._pending = [(target, before) for target, before in self._pending if target.parent != path]

    def lose(self, root: Path, copy: Path, kept: int) -> None:
        """Make *copy*, a copy of *root*, what the disk has; bit n of *kept* says if rename n reached it."""
        for number, (target, before) in reversed(list(enumerate(self._pending))):
            there = copy / target.relative_to(root)
            if not kept >> number & 1:
                if before is None:
                    there.unlink()
                else:
                    there.write_bytes(before)
        for path in self._dirty:
            there = copy / path.relative_to(root)
            if there.exists():
                there.write_bytes(b"")
