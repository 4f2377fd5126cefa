"""The runs of a store without what they hold: what a listing needs, and quick to load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.disk.locks import Locks
from maverick.checkpoints.refs.refs import Ref, Refs
from maverick.checkpoints.trees.checkpoint import Checkpoint, parse_checkpoint

if TYPE_CHECKING:
    from os import PathLike

    from maverick.checkpoints.objects.ids import CheckpointId
    from maverick.checkpoints.objects.objects import Objects
    from maverick.errors import RefDamaged


class Overview:
    """The refs of a store, who owns them, and single checkpoints."""

    def __init__(self, root: str | PathLike[str]) -> None:
        """Look at the store at *root*, which is as for `Store.open`; raises as that does."""
        files = Files()
        folder, _ = layout.find_store(files, Path(root).absolute())
        self._files, self._root = files, folder
        self._objects: Objects | None = None
        self._refs = Refs(files, folder)
        self._locks = Locks(folder)

    def refs(self, damaged: list[RefDamaged] | None = None) -> list[Ref]:
        """Give the refs of all runs, newest first; *damaged* gets an error for each that cannot be
        read.
        """
        return self._refs.list(damaged)

    def is_owned(self, run: str) -> bool:
        return self._locks.is_owned(run)

    def owner_note(self, run: str) -> dict[str, Any]:
        """Give what the owner of *run*, or its last one, noted; empty if that cannot be read."""
        return self._locks.owner_note(run)

    def checkpoint(self, checkpoint_id: CheckpointId) -> Checkpoint:
        """Read a checkpoint by its id. Raises as `Store.checkpoint`."""
        if self._objects is None:
            from maverick.checkpoints.objects.objects import Objects  # noqa: PLC0415 - of labels only

            self._objects = Objects(self._files, self._root)
        return parse_checkpoint(checkpoint_id, self._objects.read(checkpoint_id))
