"""Reads the files of a workspace, each once, and hashes them on all cores.

What changes while it is read is noticed by its status before and after, and read again. Large files
are read in parts, and never in memory as a whole.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectId
from maverick.checkpoints.objects.parallel import batched
from maverick.checkpoints.workspace.stat_cache import GONE, UNSEEN, Row, kind_of, row_of

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAMED_FROM_BYTES = 16 << 20
"""Files of this size and above are read in parts."""
TOO_LONG = "its path is longer than the system takes (4,095 bytes on Linux, 1,023 on macOS)"
_NO_OBJECT = ObjectId("")
_ATTEMPTS = 4
_PART_BYTES = 1 << 20
_OVERLAP_BYTES = 64 << 10
"""What is watched for is shorter: parts are looked at with so much of what came before them."""

Wanted: TypeAlias = "tuple[int, str, Row]"
"""A file to read: its number, its path and its row."""


class Disk:
    """How files are read; a test counts, alters or refuses it here. Errors are plain OSErrors."""

    def read(self, path: str, size: int) -> tuple[bytes, os.stat_result]:
        """Give the bytes of the file *path*, of about *size* bytes, and its status after they were
        read.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, size + 1)
            if len(data) != size:  # it changed, or it is longer than one read gives
                parts = [data]
                while part := os.read(descriptor, 1 << 20):
                    parts.append(part)
                data = b"".join(parts)
            return data, os.fstat(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def parts(
        self, path: str
    ) -> Iterator[tuple[Callable[[int], bytes], Callable[[], os.stat_result]]]:
        """Open the file *path*; give what reads at most so many bytes on, and what gives its
        status.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            yield partial(os.read, descriptor), partial(os.fstat, descriptor)
        finally:
            os.close(descriptor)

    def read_link(self, path: str) -> tuple[bytes, os.stat_result]:
        """Give where the link *path* leads, and its status afterwards."""
        return os.fsencode(os.readlink(path)), os.lstat(path)  # noqa: PTH115 - plain system calls


class FileRead(NamedTuple):
    """What reading one file gave.

    `row` is its status as it was read, GONE if there is no such file any more; `why` says why it
    could not be read. `data` holds its bytes if they are to be stored.
    """

    number: int
    row: Row
    id: ObjectId
    data: bytes | None
    why: str = ""
    watched: bool = False
    """Whether `FileReader.watch_for` is true of its bytes."""


class BlobSink(Protocol):
    """Where the objects go."""

    def wants(self, object_id: ObjectId) -> bool:
        """Say whether the object is to be stored. True for one thread only, when several ask at
        once.
        """

    def add_stream(self, read: Callable[[int], bytes]) -> tuple[ObjectId, int]:
        """Store the blob that *read* gives; gives its id and size."""


@dataclass(slots=True)
class FileReader:
    """Reads files below the folder `root`. `target` None: only their ids are wanted."""

    disk: Disk
    root: str
    limit_bytes: int
    target: BlobSink | None
    watch_for: Callable[[bytes], bool] | None = None

    def read(self, wanted: Sequence[Wanted]) -> Iterator[FileRead]:
        """Read the files *wanted*; yields the outcomes as they are there, those of large files at
        the end.

        What these hold is in the target already; that of the others the caller puts there.
        """
        large = [file for file in wanted if _is_large(file[2])]
        yield from self._read_small(
            [file for file in wanted if not _is_large(file[2])] if large else wanted
        )
        for file in large:
            yield self._large(*file)

    def _read_small(self, wanted: Sequence[Wanted]) -> Iterator[FileRead]:
        def work(batch: list[Wanted]) -> list[FileRead]:
            return [self._one(*file) for file in batch]

        for _, outcome in batched(work, wanted, lambda file: file[2][0]):
            yield outcome

    def _one(self, number: int, path: str, row: Row) -> FileRead:
        try:
            data, row = self._settled(f"{self.root}/{path}", row)
        except (FileNotFoundError, NotADirectoryError):
            return FileRead(number, GONE, _NO_OBJECT, None)
        except OSError as error:
            return FileRead(number, row, _NO_OBJECT, None, _why(error))
        except _UnsettledError as error:
            return FileRead(number, row, _NO_OBJECT, None, str(error))
        if data is None:
            return FileRead(number, row, _NO_OBJECT, None)
        object_id = ids.blob_id(data)
        watched = self.watch_for is not None and self.watch_for(data)
        wanted = self.target is not None and self.target.wants(object_id)
        return FileRead(number, row, object_id, data if wanted else None, watched=watched)

    def _large(self, number: int, path: str, row: Row) -> FileRead:
        try:
            for _ in range(_ATTEMPTS):
                if not _is_large(row) or row[0] > self.limit_bytes:
                    return self._one(number, path, row)
                streamed, after = self._streamed(f"{self.root}/{path}", row[0])
                if after == row and streamed.size == row[0]:
                    return FileRead(number, row, streamed.id, None, watched=streamed.watched)
                row = row_of(os.lstat(f"{self.root}/{path}"))
        except (FileNotFoundError, NotADirectoryError):
            return FileRead(number, GONE, _NO_OBJECT, None)
        except OSError as error:
            if error.errno != errno.ELOOP:
                return FileRead(number, row, _NO_OBJECT, None, _why(error))
        return FileRead(number, row, _NO_OBJECT, None, "it changes while it is read")

    def _streamed(self, path: str, size: int) -> tuple[_Streamed, Row]:
        """Read the file *path* of *size* bytes; of one that has grown since, a byte more."""
        with self.disk.parts(path) as (read, status):
            watching = _Watching(read, size + 1, self.watch_for)
            if self.target is not None:
                object_id, count = self.target.add_stream(watching.read)
            else:
                hashed, count = ids.Hasher(), 0
                while part := watching.read(_PART_BYTES):
                    hashed.update(part)
                    count += len(part)
                object_id = hashed.blob_id()
            return _Streamed(object_id, count, watching.seen), row_of(status())

    def _settled(self, path: str, before: Row) -> tuple[bytes | None, Row]:
        """Give the bytes of *path* as they are between two looks at it, and its row; None if it is
        too large.
        """
        if before == UNSEEN:
            before = row_of(os.lstat(path))
        for _ in range(_ATTEMPTS):
            if stat.S_ISREG(before[-1]) and before[0] > self.limit_bytes:
                return None, before
            if not stat.S_ISREG(before[-1]) and not stat.S_ISLNK(before[-1]):
                what = "a folder" if stat.S_ISDIR(before[-1]) else kind_of(before[-1])
                raise _UnsettledError(f"it was replaced by {what}")
            data, after = self._attempt(path, before)
            if after == before and len(data) == after[0]:
                return data, after
            before = row_of(os.lstat(path))
        raise _UnsettledError("it changes while it is read")

    def _attempt(self, path: str, before: Row) -> tuple[bytes, Row]:
        """Read what *before* says is at *path*; gives its row afterwards, GONE if it is something
        else now.
        """
        try:
            if stat.S_ISLNK(before[-1]):
                data, status = self.disk.read_link(path)
            else:
                data, status = self.disk.read(path, before[0])
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EINVAL):  # a link became a file, or a file a link
                return b"", GONE
            raise
        return data, row_of(status)


class _Streamed(NamedTuple):
    id: ObjectId
    size: int
    watched: bool


class _Watching:
    """Reads on to *most_bytes*, and looks for what `watch_for` is true of."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        most_bytes: int,
        watch_for: Callable[[bytes], bool] | None,
    ) -> None:
        self._read = read
        self._left = most_bytes
        self._watch_for = watch_for
        self._before = b""
        self.seen = False

    def read(self, count: int) -> bytes:
        """Give at most *count* bytes; none at the end."""
        part = self._read(min(count, self._left))
        self._left -= len(part)
        if self._watch_for is not None and not self.seen:
            looked_at = self._before + part
            self.seen = self._watch_for(looked_at)
            self._before = looked_at[-_OVERLAP_BYTES:]
        return part


class _UnsettledError(Exception):
    """A file does not hold still. The text says how."""


def _is_large(row: Row) -> bool:
    return stat.S_ISREG(row[-1]) and row[0] >= STREAMED_FROM_BYTES


def _why(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied"
    if error.errno == errno.ENAMETOOLONG:
        return TOO_LONG
    return (error.strerror or str(error)).lower()
