"""What a power cut leaves of a store: a log of file operations, and every disk that some prefix of
it allows.

The model is what POSIX promises and no more. A file's bytes and its size are on the disk once the
file was synced; before that each sector of 512 bytes is, by itself, as it was after any of the
writes since, and the size is any that the file had since, or one between: in the middle, or where a
sector begins that changed. A name is on the disk once its folder was synced; before that the disk
may have it as it was after any of the changes since, each name by itself, so that a rename between
two folders may show in both, in one, or in none; within one folder a rename is atomic. What is
synced stays. A process that is killed is the disk on which everything has arrived.

The rule about a rename within one folder is more than POSIX promises, which is that a name that is
replaced stands for the old file or the new one. What gets a name there that was free is a pack that
is sealed: without either of its names it would be lost, with both it does no harm. On ext4 with a
journal, xfs and btrfs a rename is one transaction of the log, so a power cut leaves one name,
whatever blocks of the folder both are in. ext4 without a journal promises no such thing, nor that
any folder is whole that was being changed: blocks of one reach the disk in any order, and `e2fsck`
puts a file that has lost both names into `lost+found`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import TypeAlias

from kit.faults import Killed
from maverick.checkpoints.disk.files import Files

SECTOR_BYTES = 512
FOLDER = -1
"""Stands for a folder, where else the number of a file stands."""
Image: TypeAlias = dict[str, bytes | None]
"""The files of a disk by their paths, None for a folder."""
Key: TypeAlias = frozenset[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Wrote:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    file: int
    size: int


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


Operation: TypeAlias = Wrote | Cut | Synced | Named | FolderSynced


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
        self._count = 0
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            number = FOLDER if path.is_dir() else self._new_file(name)
            self.start.put(name, number, b"" if path.is_dir() else path.read_bytes())

    def create(self, path: Path) -> int:
        self._may_end()
        descriptor = super().create(path)
        self.log.append(Named(((self._name(path), self._new_file(self._name(path))),)))
        return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        self._may_end()
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        super().write(descriptor, data)
        self._note(descriptor, lambda file: Wrote(file, offset, bytes(data)))

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> None:
        self._may_end()
        super().pwrite(descriptor, data, offset)
        self._note(descriptor, lambda file: Wrote(file, offset, bytes(data)))

    def truncate(self, descriptor: int, size: int) -> None:
        self._may_end()
        super().truncate(descriptor, size)
        self._note(descriptor, lambda file: Cut(file, size))

    def sync(self, descriptor: int) -> None:
        self._may_end()
        self._learn(descriptor)
        self._note(descriptor, Synced)

    def datasync(self, descriptor: int) -> None:
        self._may_end()
        self._note(descriptor, Synced)

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

    def _note(self, descriptor: int, operation: Callable[[int], Operation]) -> None:
        """Log an operation on an open file, unless that has no name any more."""
        number = self._names.get(self._name_of(descriptor))
        if number is not None:
            self.log.append(operation(number))

    def _learn(self, descriptor: int) -> None:
        """Log what was written to a file that is written in place, and not through here: an owner's
        note.
        """
        name = self._name_of(descriptor)
        if not name.startswith("owners/"):
            return
        if name not in self._names:
            self.log.append(Named(((name, self._new_file(name)),)))
        data = (self.root / name).read_bytes()
        number = self._names[name]
        self.log += [Wrote(number, 0, data), Cut(number, len(data))]

    def _name_of(self, descriptor: int) -> str:
        return self._name(Path(f"/proc/self/fd/{descriptor}").readlink())

    def _name(self, path: Path) -> str:
        name = str(path.relative_to(self.root))
        return "" if name == "." else name


@dataclass(slots=True)
class _Bytes:
    synced: bytes = b""
    since: list[Wrote | Cut] = field(default_factory=list)

    def sync(self) -> None:
        *_, self.synced = self.versions()
        self.since = []

    def versions(self) -> Iterator[bytes]:
        """Yield what the file held, from what is durable to what it holds now."""
        data = self.synced
        yield data
        for operation in self.since:
            if isinstance(operation, Cut):
                data = data[: operation.size].ljust(operation.size, b"\0")
            else:
                end = operation.offset + len(operation.data)
                data = data[: operation.offset].ljust(operation.offset, b"\0") + (
                    operation.data + data[end:]
                )
            yield data

    def choices(self, most: int) -> list[bytes]:
        """What may be on the disk, everything first and nothing last; not all of it where there are
        more than *most*.
        """
        versions = list(dict.fromkeys(reversed(list(self.versions()))))
        longest = max(map(len, versions))
        sectors = {
            at: list(
                dict.fromkeys(
                    data.ljust(longest, b"\0")[at : at + SECTOR_BYTES] for data in versions
                )
            )
            for at in range(0, longest, SECTOR_BYTES)
        }
        changed = [at for at, options in sectors.items() if len(options) > 1]
        shortest = min(map(len, versions))
        between = [at for at in (*changed, (shortest + longest) // 2) if shortest < at < longest]
        sizes = list(dict.fromkeys([*map(len, versions[:-1]), *between, len(versions[-1])]))
        found = [versions[0]]
        for size, *picks in choices([len(sizes), *(len(sectors[at]) for at in changed)], most):
            picked = dict(zip(changed, picks, strict=True))
            data = b"".join(options[picked.get(at, 0)] for at, options in sectors.items())
            found.append(data[: sizes[size]])
        return list(dict.fromkeys([*found, self.synced]))


@dataclass(slots=True)
class Disk:
    """What is on a disk for certain, and what has been done to it since."""

    files: dict[int, _Bytes] = field(default_factory=dict)
    names: dict[str, list[int | None]] = field(default_factory=dict)
    """For each path what it stood for, from what is durable to what is true now."""
    moves: list[tuple[str, str]] = field(default_factory=list)
    """Names within one folder, of which the second became the first."""

    def put(self, name: str, number: int, data: bytes) -> None:
        """Have a file (or folder) on the disk, durable."""
        self.names[name] = [number]
        self.files[number] = _Bytes(data)

    def apply(self, operation: Operation) -> None:
        match operation:
            case Wrote() | Cut():
                self.files.setdefault(operation.file, _Bytes()).since.append(operation)
            case Synced(number):
                self.files.setdefault(number, _Bytes()).sync()
            case Named(names):
                for name, number in names:
                    self.names.setdefault(name, [None]).append(number)
                if len(names) > 1 and len({name.rpartition("/")[0] for name, _ in names}) == 1:
                    self.moves.append((names[0][0], names[1][0]))
            case FolderSynced(folder):
                for name, history in self.names.items():
                    if name.rpartition("/")[0] == folder:
                        del history[:-1]
                self.moves = [move for move in self.moves if move[0].rpartition("/")[0] != folder]

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
        contents = {
            number: data.choices(most) if number in lasting else list(data.versions())[-1:]
            for number, data in self.files.items()
        }
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
            if self._splits_a_move(names, picked):
                continue
            image = self._image(names, contents, picked)
            if (key := frozenset(image.items())) not in seen:
                seen.add(key)
                yield image

    def _splits_a_move(
        self, names: dict[str, list[int | None]], picked: dict[str | int, int]
    ) -> bool:
        """Say whether of a name that became another one both are there, or none."""
        for new, old in self.moves:
            after = names[new][picked.get(new, 0)] is not None
            before = names[old][picked.get(old, 0)] is not None
            if (after and before) or not (after or before or self.names[old][0] is None):
                return True
        return False

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
    first or last, those that are as the first up to some place and then as the last, and others.
    """
    if prod(sizes) <= most:
        yield from product(*map(range, sizes))
        return
    first, last = tuple(0 for _ in sizes), tuple(size - 1 for size in sizes)
    for base in (first, last):
        yield base
        for place, size in enumerate(sizes):
            for other in range(size):
                if other != base[place]:
                    yield (*base[:place], other, *base[place + 1 :])
    for place in range(2, len(sizes) - 1):
        yield (*first[:place], *last[place:])
        yield (*last[:place], *first[place:])
    source = random.Random(len(sizes))
    for _ in range(most // 4):
        yield tuple(source.randrange(size) for size in sizes)


def write_image(image: Image, to: Path, pool: Path) -> Path:
    """Make the folder *to* hold *image*, and nothing else. Packs and the reserve never change; they
    are links to copies in *pool*. Folders stay: to make and remove them is what takes longest.
    """
    to.mkdir(mode=0o700, exist_ok=True)
    for folder, names, files in os.walk(to, topdown=False):
        for file in files:
            os.unlink(os.path.join(folder, file))  # noqa: PTH108, PTH118 - a thousand times
        for name in names:
            if (path := Path(folder, name)).relative_to(to).as_posix() not in image:
                path.rmdir()
    for name, data in image.items():
        path = to / name
        if data is None:
            path.mkdir(exist_ok=True)
        elif name.endswith(".pack") or name == "reserve":
            copy = pool / f"{hash(data):x}-{len(data)}"
            if not copy.exists():
                copy.write_bytes(data)
            os.link(copy, path)
        else:
            path.write_bytes(data)
    return to


def power_cuts(
    files: RecordingFiles, most: int, together: tuple[str, ...] = ("tmp",), since: int = 0
) -> Iterator[tuple[int, Image]]:
    """Yield every disk that a power cut may leave when at least *since* operations have been begun,
    with how many had been; each disk once.

    A disk that several prefixes allow comes with the longest of them: by then most had been
    promised.
    """
    disk = files.start
    found: dict[Key, tuple[int, Image]] = {}
    for begun in range(len(files.log) + 1):
        if begun:
            disk.apply(files.log[begun - 1])
        if begun >= since:
            for image in disk.images(most, together):
                found[frozenset(image.items())] = begun, image
    yield from found.values()
