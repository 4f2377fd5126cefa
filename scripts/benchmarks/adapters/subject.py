"""What every store under test can be asked for. A subject is used by one process, and asked for one
thing at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

Piece: TypeAlias = "bytes | Path"
"""The content of one entry: bytes, or a file that holds it (where it is large)."""
State: TypeAlias = "Mapping[str, Piece]"
"""Everything that a checkpoint holds, by name. Names are such as `step17`."""


class Subject(Protocol):
    """A store, used as its documentation recommends for checkpoints.

    `durable` is what is on the disk whatever happens when `save` returns: `yes` (content and
    names), `content` (every file was synced, the folders that name them were not), or `no`. `how`
    says how the store is used. `only` are the workloads it takes part in (empty: all); `skips` says
    for others why not.
    """

    name: ClassVar[str]
    durable: ClassVar[str]
    how: ClassVar[str]
    skips: ClassVar[Mapping[str, str]]

    def open(self, folder: Path) -> None:
        """Open the store in *folder*, making it if there is none. What is stored stands in `folder
        / "store"`.
        """

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Save a checkpoint of *run* and give its name. *whole* is what it holds, *changed* what
        the last did not.

        *last* says that the run is done.
        """

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Give what a checkpoint holds."""

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Give what two checkpoints with the same names hold otherwise."""

    def collect(self, keep: list[str]) -> None:
        """Forget all runs but *keep*, the newest ones, and free the space; what they hold becomes
        compact.
        """

    def close(self) -> None:
        """End, so that all is on its way to the disk."""


class NothingStored(Exception):
    """A subject that only measures a limit has nothing to load."""


def content(piece: Piece) -> bytes:
    """Give the bytes of *piece*."""
    return piece if isinstance(piece, bytes) else piece.read_bytes()


def contents(state: State) -> dict[str, bytes]:
    """Give the bytes of each entry."""
    return {name: content(piece) for name, piece in state.items()}


def differences(
    old: Mapping[str, bytes], new: Mapping[str, bytes]
) -> dict[str, tuple[bytes, bytes]]:
    """Compare two states that were loaded: for stores that have no diff of their own."""
    return {name: (old[name], data) for name, data in new.items() if old[name] != data}
