"""`dropped.json`: the runs whose refs gc removed. Where no note says that a run was dropped, its
ref was lost.

A run that is dropped alone has the note in its owner's file instead (`Owner.note_dropped`); gc
takes that over when it removes the file. Both are durable before the ref goes, and stay while the
store holds a checkpoint of the run. An entry is about the checkpoints up to an instant: a later run
may have the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import UNREADABLE, replace
from maverick.checkpoints.disk.layout import temporary
from maverick.checkpoints.disk.locks import DROPPED, Locks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.trees.checkpoint import Checkpoint

FILE = "dropped.json"


def read_dropped(files: Files, root: Path) -> dict[str, int] | None:
    """Give for each run that gc dropped up to when (milliseconds since the epoch); None if the list
    is damaged.
    """
    try:
        data = files.read(root / FILE)
    except FileNotFoundError:
        return {}
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        return None
    match sealed.unseal(data):
        case {"format": 1, "runs": dict(runs)} if all(type(it) is int for it in runs.values()):
            return runs
    return None


def write_dropped(files: Files, root: Path, runs: Mapping[str, int]) -> None:
    """Make *runs* the list, durably (2 fsyncs)."""
    replace(files, temporary(root), root / FILE, [sealed.seal({"format": 1, "runs": dict(runs)})])


class Dropped:
    """What the store at *root* says now of runs that were dropped. A damaged list says nothing."""

    def __init__(self, files: Files, root: Path) -> None:
        self._until = read_dropped(files, root) or {}
        self._locks = Locks(root)

    def is_lost(self, run: str, checkpoints: Iterable[Checkpoint]) -> bool:
        """Say whether *run*, which has no ref, has lost it: *checkpoints* of it are there, a second
        one among them.

        One that has a single checkpoint may be that of a save which did not come to its end.
        """
        note = self._locks.owner_note(run)
        if note.get(DROPPED):
            return False
        until = self._until.get(run, -1)
        if note.get("started", 0) > until:
            # somebody has owned it since: it was brought back, or begun anew
            until = -1
        return any(it.sequence > 1 and it.created > until for it in checkpoints)
