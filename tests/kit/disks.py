"""What a power cut leaves of a store: a log of file operations, and every disk that some prefix of
it allows.

The model is what POSIX promises and no more. A file's bytes are on the disk once the file was
synced; before that none of the bytes written since may be there, or the first half, or zeros in
their place, or all. A name is on the disk once its folder was synced; before that the disk may have
it as it was after any of the changes since, each name by itself, so that a rename between two
folders may show in both, in one, or in none. What is synced stays. A process that is killed is the
disk on which everything has arrived.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import TypeAlias

from kit.faults import Killed
from maverick.checkpoints.disk.files import Files

FOLDER = -1
"""Stands for a folder, where else the number of a file stands."""
Image: TypeAlias = dict[str, bytes | None]
"""The files of a disk by their paths, None for a folder."""
Key: TypeAlias = frozenset[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Wrote:
    file: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    file: int


@dataclass(frozen=True, slots=True)
class Named:
    """Names that came to stand for files (or None: for nothing) in one operation."""

    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class FolderSynced:
    folder: str


Operation: TypeAlias = Wrote | Synced | Named | FolderSynced


class RecordingFiles(Files):
    """Logs every operation on the files below *root* that changes something; does it, but syncs
    nothing really.

    Ends the process, as `killed` does, ahead of operation number *kill_at*, and goes on when that
    is None again.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[Operation] = []
        self.kill_at: int | None = None
        self.start = Disk()
        self._names: dict[str, int] = {}
        self._open: dict[int, int] = {}
        self._count = 0
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            number = FOLDER if path.is_dir() else self._new_file(name)
            self.start.put(name, number, b"" if path.is_dir() else path.read_bytes())

    def create(self, path: Path) -> int:
        self._may_end()
        descriptor = super().create(path)
        self._open[descriptor] = self._new_file(self._name(path))
        self.log.append(Named(((self._name(path), self._open[descriptor]),)))
        return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        self._may_end()
        super().write(descriptor, data)
        self.log.append(Wrote(self._open[descriptor], bytes(data)))

    def sync(self, descriptor: int) -> None:
        self._may_end()
        if descriptor not in self._open:
            self._learn(descriptor)
        self.log.append(Synced(self._open[descriptor]))

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self._open.pop(descriptor, None)

    def rename(self, source: Path, target: Path) -> None:
        self._may_end()
        super().rename(source, target)
        number = self._names.pop(self._name(source))
        self._names[self._name(target)] = number
        self.log.append(Named(((self._name(target), number), (self._name(source), None))))

    def sync_folder(self, path: Path) -> None:
        self._may_end()
        self.log.append(FolderSynced(self._name(path)))

    def unlink(self, path: Path) -> None:
        self._may_end()
        super().unlink(path)
        self._names.pop(self._name(path), None)
        self.log.append(Named(((self._name(path), None),)))

    def make_folder(self, path: Path) -> None:
        self._may_end()
        new = not path.exists()
        super().make_folder(path)
        if new and path != self.root:
            self.log.append(Named(((self._name(path), FOLDER),)))

    def _may_end(self) -> None:
        if self.kill_at is not None and len(self.log) >= self.kill_at:
            raise Killed

    def _new_file(self, name: str) -> int:
        self._count += 1
        self._names[name] = self._count
        return self._count

    def _learn(self, descriptor: int) -> None:
        """Log what was written to a file that is written in place, and not through here: an owner's
        note.
        """
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        number = self._new_file(self._name(path))
        self.log.append(Named(((self._name(path), number),)))
        self.log.append(Wrote(number, path.read_bytes()))
        self._open[descriptor] = number

    def _name(self, path: Path) -> str:
        name = str(path.relative_to(self.root))
        return "" if name == "." else name


@dataclass(slots=True)
class _Bytes:
    synced: bytes = b""
    since: bytes = b""

    def choices(self) -> list[bytes]:
        """What may be on the disk, everything first and nothing last."""
        if not self.since:
            return [self.synced]
        half = self.since[: len(self.since) // 2]
        found = [self.synced + part for part in (self.since, bytes(len(self.since)), half, b"")]
        return list(dict.fromkeys(found))


@dataclass(slots=True)
class Disk:
    """What is on a disk for certain, and what has been done to it since."""

    files: dict[int, _Bytes] = field(default_factory=dict)
    names: dict[str, list[int | None]] = field(default_factory=dict)
    """For each path what it stood for, from what is durable to what is true now."""

    def put(self, name: str, number: int, data: bytes) -> None:
        """Have a file (or folder) on the disk, durable."""
        self.names[name] = [number]
        self.files[number] = _Bytes(data)

    def apply(self, operation: Operation) -> None:
        match operation:
            case Wrote(number, data):
                self.files.setdefault(number, _Bytes()).since += data
            case Synced(number):
                data_of = self.files.setdefault(number, _Bytes())
                data_of.synced, data_of.since = data_of.synced + data_of.since, b""
            case Named(names):
                for name, number in names:
                    self.names.setdefault(name, [None]).append(number)
            case FolderSynced(folder):
                for name, history in self.names.items():
                    if name.rpartition("/")[0] == folder:
                        del history[:-1]

    def images(self, most: int, together: tuple[str, ...]) -> Iterator[Image]:
        """Yield the disks that may be found after a power cut now, each once; first the one that
        lost nothing.

        All of them, if there are at most *most*; else those that differ from everything and from
        nothing having arrived in at most one place. What is in the folders *together* arrives as
        one thing or not at all.
        """
        names = {
            name: list(dict.fromkeys(reversed(history))) for name, history in self.names.items()
        }
        temporary = {
            name
            for name, options in names.items()
            if name.split("/")[0] in together and len(options) > 1
        }
        single = [
            name for name, options in names.items() if len(options) > 1 and name not in temporary
        ]
        lasting = {number for name in names if name not in temporary for number in names[name]}
        contents = {number: data.choices() for number, data in self.files.items()}
        dirty = [
            number for number, options in contents.items() if len(options) > 1 and number in lasting
        ]
        options = [*(names[name] for name in single), *(contents[number] for number in dirty)]
        sizes = [2 if temporary else 1, *map(len, options)]
        seen: set[Key] = set()
        for lost, *apart in choices(sizes, most):
            picked: dict[str | int, int] = dict(zip([*single, *dirty], apart, strict=True))
            if lost:
                picked.update({name: len(names[name]) - 1 for name in temporary})
            image = self._image(names, contents, picked)
            if (key := frozenset(image.items())) not in seen:
                seen.add(key)
                yield image

    def _image(
        self,
        names: dict[str, list[int | None]],
        contents: dict[int, list[bytes]],
        picked: dict[str | int, int],
    ) -> Image:
        image: Image = {}
        for name in sorted(names):
            number = names[name][picked.get(name, 0)]
            folder = name.rpartition("/")[0]
            if number is None or (folder and folder not in image):
                continue
            image[name] = (
                None if number == FOLDER else contents.get(number, [b""])[picked.get(number, 0)]
            )
        return image


def choices(sizes: Sequence[int], most: int) -> Iterator[tuple[int, ...]]:
    """Yield ways to choose one of each of *sizes*: all, or those that differ in one place from the
    first or last.
    """
    if prod(sizes) <= most:
        yield from product(*map(range, sizes))
        return
    for base in (tuple(0 for _ in sizes), tuple(size - 1 for size in sizes)):
        yield base
        for place, size in enumerate(sizes):
            for other in range(size):
                if other != base[place]:
                    yield (*base[:place], other, *base[place + 1 :])


def write_image(image: Image, to: Path, pool: Path) -> Path:
    """Make the folder *to* hold *image*. Packs and the reserve never change; they are links to
    copies in *pool*.
    """
    to.mkdir(mode=0o700)
    for name, data in image.items():
        path = to / name
        if data is None:
            path.mkdir()
        elif name.endswith(".pack") or name == "reserve":
            copy = pool / f"{hash(data):x}-{len(data)}"
            if not copy.exists():
                copy.write_bytes(data)
            os.link(copy, path)
        else:
            path.write_bytes(data)
    return to


def power_cuts(
    files: RecordingFiles, most: int, together: tuple[str, ...] = ("tmp",)
) -> Iterator[tuple[int, Image]]:
    """Yield every disk that a power cut may leave, with how many operations had been begun; each
    disk once.

    A disk that several prefixes allow comes with the longest of them: by then most had been
    promised.
    """
    disk = files.start
    found: dict[Key, tuple[int, Image]] = {}
    for begun in range(len(files.log) + 1):
        if begun:
            disk.apply(files.log[begun - 1])
        for image in disk.images(most, together):
            found[frozenset(image.items())] = begun, image
    yield from found.values()
