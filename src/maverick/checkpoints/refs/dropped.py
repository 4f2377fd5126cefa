"""`dropped.json`: the runs whose refs gc removed. Where no note says that a run was dropped, its
ref was lost.

A run that is dropped alone has the note in its owner's file instead (`Owner.note_dropped`); gc
takes that over when it removes the file. Both are durable before the ref goes, and stay while the
store holds a checkpoint of the run. An entry is about the checkpoints up to an instant: a later run
may have the same name.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import replace
from maverick.checkpoints.disk.layout import file_name, temporary
from maverick.checkpoints.disk.locks import DROPPED, Locks
from maverick.noted import whole_number

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.trees.checkpoint import Checkpoint

FILE = "dropped.json"


def read_dropped(files: Files, root: Path) -> dict[str, int] | None:
    """Give for each run that gc dropped up to when (milliseconds since the epoch); None if the list
    is damaged.
    """
    try:
        fields = sealed.read(files, root / FILE)
    except FileNotFoundError:
        return {}
    except sealed.Broken:
        return None
    match fields:
        case {"format": 1, "runs": dict(runs)} if all(
            type(until) is int for until in runs.values()
        ):
            return runs
    return None


def write_dropped(files: Files, root: Path, runs: Mapping[str, int]) -> None:
    """Make *runs* the list, durably (2 fsyncs)."""
    replace(files, temporary(root), root / FILE, [sealed.seal({"format": 1, "runs": dict(runs)})])


def lost_runs(
    files: Files, root: Path, runs: Container[str], checkpoints: Iterable[Checkpoint]
) -> dict[str, list[Checkpoint]]:
    """Give those of *checkpoints* whose runs have lost their refs, by run.

    *runs* are those with a ref. Another one, which has none now either, has had a ref if it has a
    second checkpoint: a single one may be that of a save which did not come to its end. It has lost
    its ref unless it is noted that it was dropped. A damaged list of dropped runs notes nothing.
    """
    by_run: dict[str, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        if checkpoint.run not in runs:
            by_run.setdefault(checkpoint.run, []).append(checkpoint)
    if not by_run:
        return {}
    dropped = read_dropped(files, root) or {}
    locks = Locks(root)
    begun: list[str] = []  # since *runs* were listed
    with suppress(OSError):  # whoever listed the runs has said so
        begun = files.list(root / "refs")
    return {
        run: left
        for run, left in sorted(by_run.items())
        if file_name(run) not in begun and _is_lost(locks.owner_note(run), dropped.get(run), left)
    }


def _is_lost(note: dict[str, Any], dropped: int | None, left: list[Checkpoint]) -> bool:
    """Say whether a run that has no ref has lost it: *left* are its checkpoints, *note* is its last
    owner's, and gc has *dropped* what there was of it up to a time.
    """
    if dropped is None or note.get("started", 0) > dropped:
        dropped = -1  # Somebody has owned it since: it was brought back, or begun anew.
    until = max(dropped, whole_number(note.get(DROPPED)) or -1)
    return any(checkpoint.sequence > 1 and checkpoint.created > until for checkpoint in left)
