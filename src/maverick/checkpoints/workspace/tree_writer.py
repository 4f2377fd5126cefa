"""The one seam through which a restore changes files: operations on names in open folders.

Folders are opened from the top down, each by its name in the one above, and no link is followed, so
that nothing outside is reached, whatever becomes a link meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from maverick.checkpoints.workspace.finding import TEMPORARY
from maverick.checkpoints.workspace.stat_cache import GONE, Row, row_of
from maverick.errors import FilesDiffer

if TYPE_CHECKING:
    from collections.abc import Iterable

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 64
"""How many folders are open at a time; a process may have 1,024 files open, often 256."""
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Places:
    """What a restore does to names in folders. A folder is an open descriptor. Errors are plain
    OSErrors.
    """

    def make_folder(self, folder: int, name: str) -> None:
        os.mkdir(name, dir_fd=folder)

    def create(self, folder: int, name: str, mode: int) -> int:
        """Create the file *name*, which must not exist, and give a descriptor to write to it."""
        return os.open(name, _OPEN_NEW, mode, dir_fd=folder)

    def write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def link(self, folder: int, name: str, target: bytes) -> None:
        os.symlink(target, os.fsencode(name), dir_fd=folder)

    def rename(self, folder: int, source: str, target: str) -> None:
        os.rename(source, target, src_dir_fd=folder, dst_dir_fd=folder)

    def unlink(self, folder: int, name: str) -> None:
        os.unlink(name, dir_fd=folder)

    def remove_folder(self, folder: int, name: str) -> None:
        os.rmdir(name, dir_fd=folder)


class Tree:
    """The folders below *root*, opened as they are needed; consecutive uses of near folders are
    cheap.
    """

    def __init__(self, root: str, places: Places) -> None:
        self.places = places
        self._open = [("", os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))]

    def close(self) -> None:
        self._leave(0)

    def folder(self, path: str, *, make: bool = False) -> int:
        """Give the open folder *path*, making it and those above it if asked to.

        Raises:
            FilesDiffer: something on the way is no folder, such as a link.
            FileNotFoundError: it is not there.
        """
        names = path.split("/") if path else []
        depth = 0
        while (
            depth < len(names)
            and depth + 1 < len(self._open)
            and self._open[depth + 1][0] == names[depth]
        ):
            depth += 1
        while self._open[depth][1] < 0:  # it was closed again, since many are open below it
            depth -= 1
        self._leave(depth + 1)
        for number in range(depth, len(names)):
            self._open.append(
                (names[number], self._enter(names[number], names[: number + 1], make=make))
            )
            if len(self._open) > _MOST_OPEN:
                self._close(len(self._open) - _MOST_OPEN)
        return self._open[-1][1]

    def _close(self, number: int) -> None:
        """Close an open folder, though not those in it."""
        name, descriptor = self._open[number]
        if number and descriptor >= 0:
            os.close(descriptor)
            self._open[number] = name, -1

    def row(self, path: str) -> Row:
        """Give the row of what is at *path* now; GONE if nothing is."""
        parent, _, name = path.rpartition("/")
        try:
            return row_of(os.stat(name, dir_fd=self.folder(parent), follow_symlinks=False))
        except FileNotFoundError:
            return GONE

    def put_file(self, path: str, parts: Iterable[bytes], *, executable: bool, before: Row) -> None:
        """Make the file *path* hold *parts*, by way of a temporary one. *before* is the row of what
        it replaces.

        An error of *parts* leaves it as it was.
        """
        folder = self.folder(path.rpartition("/")[0], make=True)
        replaced = stat.S_ISREG(before[-1])
        temporary = TEMPORARY + os.urandom(8).hex()
        descriptor = self.places.create(
            folder, temporary, 0o600 if replaced else 0o777 if executable else 0o666
        )
        try:
            try:
                for part in parts:
                    self.places.write(descriptor, part)
                if replaced:
                    os.fchmod(descriptor, _permissions(before[-1], executable=executable))
            finally:
                os.close(descriptor)
            self.places.rename(folder, temporary, path.rpartition("/")[2])
        except Exception:
            with suppress(OSError):
                self.places.unlink(folder, temporary)
            raise

    def put_link(self, path: str, target: bytes) -> None:
        """Make *path* a link that leads to *target*, whatever that is."""
        folder = self.folder(path.rpartition("/")[0], make=True)
        temporary = TEMPORARY + os.urandom(8).hex()
        self.places.link(folder, temporary, target)
        try:
            self.places.rename(folder, temporary, path.rpartition("/")[2])
        except Exception:
            with suppress(OSError):
                self.places.unlink(folder, temporary)
            raise

    def remove(self, path: str) -> None:
        """Remove the file or link *path*; nothing happens if it is gone."""
        parent, _, name = path.rpartition("/")
        with suppress(FileNotFoundError):
            self.places.unlink(self.folder(parent), name)

    def remove_folder(self, path: str) -> bool:
        """Remove the folder *path* if it is empty; say whether it is gone."""
        parent, _, name = path.rpartition("/")
        try:
            self.places.remove_folder(self.folder(parent), name)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
                return False
            raise
        return True

    def _enter(self, name: str, names: list[str], *, make: bool) -> int:
        above = self._open[-1][1]
        try:
            if make:
                with suppress(FileExistsError):
                    return self._made(above, name)
            return os.open(name, _OPEN_FOLDER, dir_fd=above)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                path = "/".join(names)
                raise FilesDiffer(
                    f"{path} is no folder any more, so nothing was written through it; look at "
                    "it, then try again"
                ) from error
            raise

    def _made(self, above: int, name: str) -> int:
        try:
            return os.open(name, _OPEN_FOLDER, dir_fd=above)
        except FileNotFoundError:
            self.places.make_folder(above, name)
            return os.open(name, _OPEN_FOLDER, dir_fd=above)

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            descriptor = self._open.pop()[1]
            if descriptor >= 0:
                os.close(descriptor)


def _permissions(mode: int, *, executable: bool) -> int:
    """Give the permissions of a file that replaces one of *mode*: the same, but for the executable
    bits.
    """
    kept = mode & 0o666
    return kept | (kept & 0o444) >> 2 if executable else kept
