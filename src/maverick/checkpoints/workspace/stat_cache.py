"""What a workspace was when it was looked at: its files and folders in columns, and the cache that
keeps them.

50,000 files are compared with what they were by comparing one array; nothing is made per file that
did not change. The cache may be deleted or damaged at any time: then the files are read again.
"""

from __future__ import annotations

import json
import os
import stat
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from maverick.checkpoints.disk.files import Files, removing_on_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

WIDTH = 5
"""The numbers of a file's row: size, mtime_ns, inode, ctime_ns, mode."""
STAMP = 3
"""The numbers of a folder's stamp: inode, mtime_ns, ctime_ns."""
ID_BYTES = 32
NO_ID = bytes(ID_BYTES)
GONE = (-1, 0, 0, 0, 0)
UNSEEN = (-2, 0, 0, 0, 0)
"""The row of a file that is there, but cannot be looked at; whoever reads it learns why."""
RACY_NS = 2_000_000_000
"""What was touched so shortly before it was looked at may have changed once more within the same
tick.
"""

Row = tuple[int, int, int, int, int]

_MAGIC = b"MVRKSTAT1\n"
_row = attrgetter("st_size", "st_mtime_ns", "st_ino", "st_ctime_ns", "st_mode")
_stamp = attrgetter("st_ino", "st_mtime_ns", "st_ctime_ns")


@dataclass(frozen=True, slots=True, order=True)
class Skipped:
    """A path that a snapshot leaves out although it is not ignored, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Selection:
    """Which files and folders belong to a workspace. Paths are relative, `folders` begin with the
    top, "".

    `folders` are sorted, so that a folder comes before those in it; `first[n]` is the number of the
    first file of folder n in `files`, with one more number at the end. `stamps` are those of the
    folders. `depends_on` are the stamps of the files elsewhere that decide what belongs to it.
    """

    folders: list[str] = field(default_factory=lambda: [""])
    stamps: array[int] = field(default_factory=lambda: array("q"))
    first: array[int] = field(default_factory=lambda: array("q", [0, 0]))
    files: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    depends_on: dict[str, list[int]] = field(default_factory=dict)

    def also_depending_on(self, paths: Iterable[str]) -> Selection:
        """Give this selection; it is out of date also when one of the files *paths* changes."""
        self.depends_on.update({path: stamp_file(path) for path in sorted(paths)})
        return self


@dataclass(slots=True)
class Table:
    """A selection with what is known of its files and folders.

    `rows` holds 5 numbers per file, `ids` its 32-byte blob id, or NO_ID where that is not known or
    the file is left out. `trees` holds the 32-byte tree id of each folder (NO_ID: not known, or
    nothing is in it), `sizes` the bytes below it.
    """

    selection: Selection
    rows: array[int]
    ids: bytearray
    trees: bytearray
    sizes: array[int]

    def row(self, number: int) -> Row:
        start = number * WIDTH
        size, mtime, inode, ctime, mode = self.rows[start : start + WIDTH]
        return size, mtime, inode, ctime, mode

    def set_row(self, number: int, row: Row) -> None:
        start = number * WIDTH
        self.rows[start : start + WIDTH] = array("q", row)

    def id(self, number: int) -> bytes:
        return bytes(self.ids[number * ID_BYTES : (number + 1) * ID_BYTES])

    def tree(self, folder: int) -> bytes:
        return bytes(self.trees[folder * ID_BYTES : (folder + 1) * ID_BYTES])


def kind_of(mode: int) -> str:
    """Say what is neither file, link nor folder, by its mode."""
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "no file"


def row_of(status: os.stat_result) -> Row:
    """Give the row of a file from its status."""
    row: Row = _row(status)
    return row


def look(root: str, paths: Iterable[str]) -> array[int]:
    """Give the rows of the files *paths* below *root*; GONE where there is none, UNSEEN where
    nobody may look.
    """
    full = [f"{root}/{path}" for path in paths]
    try:
        return array("q", chain.from_iterable(map(_row, map(os.lstat, full))))
    except OSError:
        return array("q", chain.from_iterable(map(_look_at, full)))


def look_at_folders(root: str, folders: Iterable[str]) -> array[int]:
    """Give the stamps of *folders* below *root*; one that is no folder any more has zeros."""
    return array(
        "q",
        chain.from_iterable(
            _stamp_of(f"{root}/{folder}" if folder else root) for folder in folders
        ),
    )


def stamp_file(path: str) -> list[int]:
    """Give what tells that the file *path* was changed; zeros if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a plain system call
    except OSError:
        return [0, 0, 0, 0]
    return [status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size]


def _look_at(path: str) -> Row:
    try:
        return row_of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except OSError:
        return UNSEEN


def _stamp_of(path: str) -> Iterable[int]:
    try:
        status = os.lstat(path)
    except OSError:
        return (0, 0, 0)
    if not stat.S_ISDIR(status.st_mode):
        return (0, 0, 0)
    stamp: tuple[int, int, int] = _stamp(status)
    return stamp


def save(path: Path, key: dict[str, Any], table: Table, seen_ns: int) -> None:
    """Write *table* to the cache file *path*; *seen_ns* is when the first of its files was looked
    at.

    What was touched less than two seconds before that is not taken for known. A cache that cannot
    be written is none: the next snapshot reads more.
    """
    selection = table.selection
    rows, stamps = _trusted(table.rows, WIDTH, seen_ns), _trusted(selection.stamps, STAMP, seen_ns)
    texts = [
        "\0".join(names).encode("utf-8", "surrogateescape")
        for names in (selection.folders, selection.files)
    ]
    columns = [
        *texts,
        stamps.tobytes(),
        selection.first.tobytes(),
        rows.tobytes(),
        bytes(table.ids),
    ]
    columns += [bytes(table.trees), table.sizes.tobytes()]
    head = {
        "key": key,
        "folders": len(selection.folders),
        "files": len(selection.files),
        "lengths": [len(column) for column in columns],
        "skipped": [[skipped.path, skipped.reason] for skipped in selection.skipped],
        "leftovers": selection.leftovers,
        "depends_on": {
            name: [0] if _is_racy(stamp[1:3], seen_ns) else stamp
            for name, stamp in selection.depends_on.items()
        },
    }
    data = b"".join([_MAGIC, json.dumps(head).encode(), b"\n", *columns])
    temporary, files = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(8).hex()}"), Files()
    with suppress(OSError):
        descriptor = files.create(temporary)
        with removing_on_error(files, temporary):
            try:
                files.write(descriptor, data + blake3(data).digest())
            finally:
                files.close(descriptor)
            files.rename(temporary, path)


def load(path: Path, key: dict[str, Any]) -> Table | None:
    """Give the table in the cache file *path*, or None if there is none for *key*, or it is
    damaged.
    """
    try:
        data = Files().read(path)
    except OSError:
        return None
    body = memoryview(data)[:-ID_BYTES]
    if not data.startswith(_MAGIC) or blake3(body).digest() != data[-ID_BYTES:]:
        return None
    end = data.index(b"\n", len(_MAGIC))
    head = json.loads(data[len(_MAGIC) : end])
    if head["key"] != key:
        return None
    columns = _columns(body, end + 1, head["lengths"])
    folders, files = (
        bytes(next(columns)).decode("utf-8", "surrogateescape").split("\0") for _ in range(2)
    )
    stamps, first, rows = (_numbers(next(columns)) for _ in range(3))
    selection = Selection(
        folders=folders,
        stamps=stamps,
        first=first,
        files=files if head["files"] else [],
        skipped=[Skipped(*pair) for pair in head["skipped"]],
        leftovers=head["leftovers"],
        depends_on=head["depends_on"],
    )
    return Table(
        selection, rows, bytearray(next(columns)), bytearray(next(columns)), _numbers(next(columns))
    )


def _columns(body: memoryview, start: int, lengths: list[int]) -> Iterator[memoryview]:
    for length in lengths:
        yield body[start : start + length]
        start += length


def _numbers(column: memoryview) -> array[int]:
    numbers = array("q")
    numbers.frombytes(column)
    return numbers


def _trusted(numbers: array[int], width: int, seen_ns: int) -> array[int]:
    """Give *numbers* with those rows made different from any file's that were touched too late to
    be trusted.
    """
    limit = seen_ns - RACY_NS
    mtimes, ctimes = numbers[1::width], numbers[width - 2 if width == WIDTH else 2 :: width]
    late = [n for n, pair in enumerate(zip(mtimes, ctimes, strict=True)) if max(pair) >= limit]
    trusted = array("q", numbers)
    for number in late:
        trusted[number * width + 1] = -1
    return trusted


def _is_racy(times: Iterable[int], seen_ns: int) -> bool:
    return any(time >= seen_ns - RACY_NS for time in times)
