"""The files that differ between two checkpoints of a run, as diffs that have room in a page."""

from __future__ import annotations

from difflib import unified_diff
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.checkpoints.workspace import FileChange, diff_files, is_binary
from maverick.checkpoints.workspace.capture import FOLDER, LINK
from maverick.dsl.journal.tree import FILES
from maverick.errors import MaverickError
from maverick.views.report.bounds import DIFF_BYTES, head_of
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints import Checkpoint, Snapshot, Store
    from maverick.views.report.bounds import Budget

MOST_CHECKPOINTS: Final = 2_000
"""How far back the files of a run are looked for."""
MOST_FILES: Final = 500
"""Of one comparison that are shown."""
TEXT_BYTES: Final = 256 * 1024
"""Of a longer file only the sizes are shown."""


class Kept(NamedTuple):
    """A checkpoint that keeps the project's files."""

    checkpoint: Checkpoint
    snapshot: Snapshot
    files: str
    """The id of their folder: equal ids are equal files."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        checkpoint = self.checkpoint
        return one_line(checkpoint.label or checkpoint.step or f"checkpoint {checkpoint.sequence}")


def kept_files(store: Store, checkpoint: Checkpoint) -> list[Kept]:
    """Give the checkpoints up to *checkpoint* that keep files, oldest first; of those that follow
    each other with the same files, the first.
    """
    kept: list[Kept] = []
    try:
        for earlier in islice(store.history(checkpoint.id), MOST_CHECKPOINTS):
            snapshot = store.snapshot(earlier)
            entry = snapshot.find(FILES)
            if entry is None:
                continue
            one = Kept(earlier, snapshot, entry.id)
            if kept and kept[-1].files == one.files:
                kept.pop()
            kept.append(one)
    except MaverickError:
        # What stands before is damaged, or was removed: the run is shown from here on.
        pass
    return kept[::-1]


def changes_between(store: Store, old: Kept, new: Kept, budget: Budget) -> list[dict[str, Any]]:
    """Give what differs, file by file, as the page shows it."""
    changes = list(islice(diff_files(store, old.snapshot, new.snapshot), MOST_FILES + 1))
    shown = [file_row(store, change, budget) for change in changes[:MOST_FILES]]
    if len(changes) > MOST_FILES:
        more = f"and more: maverick diff {old.checkpoint.id[:12]} {new.checkpoint.id[:12]}"
        shown.append({"path": "…", "change": "changed", "note": more})
    return shown


def file_row(store: Store, change: FileChange, budget: Budget) -> dict[str, Any]:
    """Give one file as the page shows it: text as a diff, anything else by its size."""
    row: dict[str, Any] = {"path": one_line(change.path), "change": change.change}
    if change.old_mode and change.new_mode and change.old_mode != change.new_mode:
        row["note"] = f"mode {change.old_mode} -> {change.new_mode}"
    if change.change == "mode":
        return row
    old, new = (
        _lines(store, mode, blob, size)
        for mode, blob, size in (
            (change.old_mode, change.old_id, change.old_size),
            (change.new_mode, change.new_id, change.new_size),
        )
    )
    if old is None or new is None:
        row["note"] = f"{change.old_size:,} -> {change.new_size:,} bytes"
        return row
    diff = head_of("\n".join(diff_lines(old, new)), DIFF_BYTES)
    if budget.take(len(diff)):
        row["diff"] = diff
    else:
        row["note"] = "left out: the page is full"
    return row


def diff_lines(old: list[str], new: list[str]) -> Iterator[str]:
    """Give the unified diff of two texts, without its head."""
    return islice(unified_diff(old, new, lineterm=""), 2, None)


def _lines(store: Store, mode: str, blob: Any, size: int) -> list[str] | None:
    """Give the lines of one side; None of what is no text, or too long."""
    if not mode:
        return []
    if size > TEXT_BYTES or mode == FOLDER:
        return None
    data = store.read(blob)
    if mode == LINK:
        return [f"link to {data.decode('utf-8', 'backslashreplace')}"]
    try:
        return None if is_binary(data) else data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return None
