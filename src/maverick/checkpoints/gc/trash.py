"""What gc takes out of the way: packs, which wait in `trash/` if locks cannot be trusted, and old
temporary files.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.layout import GRACE_MS, writer_lives
from maverick.checkpoints.objects import packs
from maverick.errors import PackDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder


class Trash:
    """The trash of a store. `freed` are the bytes that the disk has gained by it, `waiting` those
    it will gain.
    """

    def __init__(self, store: StoreFolder, *, trusted: bool) -> None:
        self._store = store
        self._files = store.files
        self._trusted = trusted
        self.freed = self.waiting = 0

    def names(self) -> list[str]:
        """Give the names of the packs in it."""
        names = self._files.list(self._store.root / "trash")
        return sorted(name.removesuffix(".pack") for name in names if name.endswith(".pack"))

    def put(self, name: str) -> None:
        """Move a pack there. Raises FileNotFoundError if it is gone already."""
        if not self._trusted:
            self._files.touch(self._path("objects", name))
        self._files.rename(self._path("objects", name), self._path("trash", name))

    def bring_back(self, missing: set[bytes]) -> bool:
        """Bring back the packs that hold some of the objects *missing*; says whether there were
        any.
        """
        found = False
        for name in self.names():
            path = self._path("trash", name)
            with suppress(PackDamaged, FileNotFoundError):
                index = packs.read_index(
                    name, self._files.size(path), partial(self._files.pread, path)
                )
                if any(raw_id in missing for raw_id, _ in index.rows()):
                    self._files.rename(path, self._path("objects", name))
                    found = True
        self._files.sync_folder(self._store.root / "objects")
        return found

    def purgeable(self) -> list[str]:
        """Give the packs that may go once a mark that is yet to come has not brought them back.

        Where locks cannot be trusted, a save that found an object in one of them may still be under
        way. It began before the pack was moved; after an hour it has ended, and that mark sees its
        ref.
        """
        now = self._now()
        found: list[str] = []
        for name in self.names():
            with suppress(FileNotFoundError):  # another gc, where locks hold off nobody
                if (
                    self._trusted
                    or now - self._files.modified(self._path("trash", name)) >= GRACE_MS
                ):
                    found.append(name)
        return found

    def purge(self, before: Iterable[str], condemned: Iterable[str]) -> None:
        """Remove the packs *before*, and, where locks can be trusted, those just *condemned*."""
        for name in condemned if not self._trusted else ():
            with suppress(FileNotFoundError):
                self.waiting += self._files.size(self._path("trash", name))
        going = {*before, *condemned} if self._trusted else set(before) - set(condemned)
        if going and not self._trusted:
            # What the mark found instead may be a pack that a save is about to make durable.
            self._files.sync_folder(self._store.root / "objects")
        for name in going:
            self._remove(self._path("trash", name))

    def remove_stale(self) -> None:
        """Remove what is left in `tmp/` by writers that are gone."""
        now = self._now()
        for name in self._files.list(self._store.root / "tmp"):
            path = self._store.root / "tmp" / name
            with suppress(FileNotFoundError):
                if now - self._files.modified(path) >= GRACE_MS or (
                    self._trusted and not writer_lives(name)
                ):
                    self._remove(path)

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):  # brought back
            size = self._files.size(path)
            self._files.unlink(path)
            self.freed += size

    def _path(self, folder: str, name: str) -> Path:
        return self._store.root / folder / f"{name}.pack"

    def _now(self) -> int:
        """Give the time by the clock that stamps this store's files, which may be another
        host's.
        """
        lock = self._store.root / "gc.lock"
        self._files.touch(lock)
        return self._files.modified(lock)
