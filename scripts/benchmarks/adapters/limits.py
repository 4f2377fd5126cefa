"""What no store can do without: writing and syncing, hashing, compressing; each alone, on what a
save gets.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

import blake3

try:
    from compression import zstd
except ImportError:
    from backports import zstd

from adapters.subject import NothingStored, content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapters.subject import State

_NO_READS = dict.fromkeys(("load", "diff", "gc"), "stores nothing to read")


class Limit:
    """The part of a subject that a limit does not have."""

    skips: ClassVar[Mapping[str, str]] = _NO_READS

    def open(self, folder: Path) -> None:
        """Make the folder."""
        self.folder = folder / "store"
        self.folder.mkdir(parents=True, exist_ok=True)

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Nothing was stored."""
        raise NothingStored

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Nothing was stored."""
        raise NothingStored

    def collect(self, keep: list[str]) -> None:
        """Nothing was stored."""

    def close(self) -> None:
        """Nothing is open."""


class BareWrites(Limit):
    """One file for the content and one for the name, with as many fsyncs as a save of maverick
    has.
    """

    name: ClassVar[str] = "bare writes"
    durable: ClassVar[str] = "yes"
    how: ClassVar[str] = (
        "the changed bytes into one new file, a name into another; each file and each folder synced"
    )

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Write what changed, raw."""
        for name, pieces in (("content", changed.values()), (f"ref-{run}", [run.encode()])):
            temporary = self.folder / "temporary"
            with temporary.open("wb") as file:
                for piece in pieces:
                    file.write(content(piece))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self.folder / name)
            descriptor = os.open(self.folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        return ""


class Hashing(Limit):
    """BLAKE3 on one core."""

    name: ClassVar[str] = "BLAKE3 alone"
    durable: ClassVar[str] = "-"
    how: ClassVar[str] = "each changed piece, in memory, one thread"

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Hash what changed."""
        return "".join(blake3.blake3(content(piece)).hexdigest() for piece in changed.values())[:64]


class Compressing(Limit):
    """zstd at the level that maverick uses, on one core."""

    name: ClassVar[str] = "zstd 3 alone"
    durable: ClassVar[str] = "-"
    how: ClassVar[str] = "each changed piece by itself, in memory, one thread"

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Compress what changed."""
        return str(sum(len(zstd.compress(content(piece), 3)) for piece in changed.values()))
