"""A disk that remembers what of it would survive a power cut at this instant."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from faults import CrashingFiles

Image = dict[Path, bytes]
_NEVER = 1 << 30


class DurableFiles(CrashingFiles):
    """Ends the process ahead of operation *after*, and knows what the disk may hold then.

    The bytes of a file are there from `sync` on (before that it is empty), the names in a folder, and that
    they are gone, from `sync_folder` on. Until then each change of a name reached the disk or did not, the
    two names of a rename one by one.
    """

    def __init__(self, root: Path, after: int = _NEVER) -> None:
        super().__init__(after)
        self.ignore_folder_syncs = False
        self._durable: Image = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        self._pending: list[tuple[Path, bytes | None]] = []
        self._open: dict[int, Path] = {}
        self._unsynced: set[Path] = set()

    def end_after(self, operations: int) -> None:
        """End the process after so many operations from now on."""
        self.done.clear()
        self._after = operations

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._open[descriptor] = path
        self._unsynced.add(path)
        self._pending.append((path, b""))
        return descriptor

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        if descriptor in self._open:
            self._unsynced.discard(self._open[descriptor])

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self._open.pop(descriptor, None)

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        data = b"" if source in self._unsynced else target.read_bytes()
        self._pending += [(source, None), (target, data)]

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._pending.append((path, None))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        if self.ignore_folder_syncs:
            return
        for changed, data in self._pending:
            if changed.parent == path:
                _apply(self._durable, changed, data)
        self._pending = [(changed, data) for changed, data in self._pending if changed.parent != path]

    def images(self) -> Iterator[Image]:
        """Yield what the disk may hold: nothing of what is pending, each of it alone, and all of it."""
        yield dict(self._durable)
        for path, data in self._pending:
            image = dict(self._durable)
            _apply(image, path, data)
            yield image
        image = dict(self._durable)
        for path, data in self._pending:
            _apply(image, path, data)
        yield image


def restore(image: Image, root: Path, target: Path) -> Path:
    """Write *image*, of a store at *root*, to *target*, with the owners' notes as they are (nobody watches them)."""
    for folder in root.iterdir():
        if folder.is_dir():
            (target / folder.name).mkdir(parents=True)
    for path, data in image.items():
        (target / path.relative_to(root)).write_bytes(data)
    for path in (root / "owners").iterdir():
        shutil.copy(path, target / "owners")
    return target


def _apply(image: Image, path: Path, data: bytes | None) -> None:
    if data is None:
        image.pop(path, None)
    else:
        image[path] = data
