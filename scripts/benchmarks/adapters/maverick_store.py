"""maverick's own store. As in a real run, a process owns a run while it saves into it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from maverick.checkpoints import Store, blob, blob_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.subject import Piece, State
    from maverick.checkpoints import Checkpoint, Content


class Maverick:
    """Each entry is a blob under `steps/`."""

    name: ClassVar[str] = "maverick"
    durable: ClassVar[str] = "yes"
    how: ClassVar[str] = (
        "`Store.save` of what changed, as blobs (a file: `blob_from`), in a run that is owned "
        "until it is done; `plan_gc().execute()`"
    )
    skips: ClassVar[Mapping[str, str]] = {}

    def open(self, folder: Path) -> None:
        """Open or make the store."""
        self.store = Store.create(folder / "store")
        self.tips: dict[str, Checkpoint] = {}
        self.owned: dict[str, ExitStack] = {}

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Save what changed on top of the run's last checkpoint; the first save begins to own the
        run, the last ends it.
        """
        if run not in self.owned:
            self.owned[run] = ExitStack()
            self.owned[run].enter_context(self.store.own(run))
        tip = self.store.save(
            run,
            {("steps", name): _content(piece) for name, piece in changed.items()},
            parent=self.tips.get(run),
            kind="final" if last else "auto",
            group="bench",
        )
        self.tips[run] = tip
        if last:
            self.owned.pop(run).close()
        return tip.id

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Read every blob; each is verified."""
        snapshot = self.store.load(checkpoint)
        return {name: snapshot.data_of(entry) for name, entry in snapshot.entries("steps").items()}

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Let the store compare."""
        return {
            change.path[-1]: (_bytes(change.old), _bytes(change.new))
            for change in self.store.diff(old, new)
        }

    def collect(self, keep: list[str]) -> None:
        """Let retention drop what is done and not among the newest."""
        self.store.plan_gc(keep_last=len(keep)).execute()

    def close(self) -> None:
        """Own no run any more, and close the files."""
        while self.owned:
            self.owned.popitem()[1].close()
        self.store.close()


def _content(piece: Piece) -> Content:
    return blob_from(piece) if isinstance(piece, Path) else blob(piece)


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} is no content of a blob")
    return value
