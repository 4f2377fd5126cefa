"""The files that differ between two checkpoints: artifacts of steps, and the project's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.checkpoints.workspace import FileChange, diff_files_below, is_binary
from maverick.checkpoints.workspace.capture import FOLDER, LINK
from maverick.dsl.journal.tree import ARTIFACTS, FILES, TreePath
from maverick.dsl.paths import is_within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints import ObjectId, Store
    from maverick.dsl.journal.tree import RunTree

TEXT_LIMIT_BYTES: Final = 1_000_000
"""Of a longer file only the size is told."""


class FileSide(NamedTuple):
    """What one checkpoint has of a file; an empty `mode` is nothing."""

    mode: str
    id: ObjectId
    size: int


class FileDifference(NamedTuple):
    """A file, link or empty folder that differs, at a path such as `workspace/src/app.py`. Its
    contents are read when they are asked for.
    """

    path: str
    of: FileChange
    store: Store

    @property
    def change(self) -> str:
        """`added`, `removed` or `changed`; the last also where only the mode differs."""
        return "changed" if self.of.change == "mode" else self.of.change

    @property
    def has_other_mode(self) -> bool:
        """Whether both sides have it, with different modes."""
        return bool(self.of.old_mode and self.of.new_mode) and self.of.old_mode != self.of.new_mode

    @property
    def sides(self) -> tuple[FileSide, FileSide]:
        """What both checkpoints have."""
        of = self.of
        return (
            FileSide(of.old_mode, of.old_id, of.old_size),
            FileSide(of.new_mode, of.new_id, of.new_size),
        )

    def contents(self) -> tuple[Any, Any]:
        """Give what both sides hold: text as it is, else a mapping that says what it is; None for
        nothing.
        """
        old, new = (self._read(*side) for side in self.sides)
        return old, new

    def rows(self) -> list[dict[str, Any]]:
        """Give it as `diff --json` has it: of the modes, where both sides have one; of the
        contents.
        """
        rows = []
        if self.has_other_mode:
            rows.append(
                self._row("changed", {"mode": self.of.old_mode}, {"mode": self.of.new_mode})
            )
        if self.of.change != "mode":
            rows.append(self._row(self.of.change, *self.contents()))
        return rows

    def _row(self, change: str, old: Any, new: Any) -> dict[str, Any]:
        return {"path": self.path, "change": change, "old": old, "new": new}

    def _read(self, mode: str, blob: ObjectId, count: int) -> Any:
        if not mode:
            return None
        if mode == FOLDER:
            return {"mode": FOLDER}
        if mode == LINK:
            return {"link": self.store.read(blob).decode("utf-8", "surrogateescape")}
        binary = {"bytes": count, "blake3": blob}
        if count > TEXT_LIMIT_BYTES or self.of.change == "mode":
            return binary
        data = self.store.read(blob)
        try:
            return binary if is_binary(data) else data.decode("utf-8")
        except UnicodeDecodeError:
            return binary


def files_that_differ(
    store: Store, old: RunTree, new: RunTree, step: str = ""
) -> Iterator[FileDifference]:
    """Yield the artifacts of steps, then the project's files.

    These are compared where both hold some. *step* limits it to the artifacts of that step and
    those below.
    """
    for path, file in _below(store, old, new, ARTIFACTS):
        if not step or is_within(path[0], step):
            yield file
    if not step and old.holds_files and new.holds_files:
        for _, file in _below(store, old, new, FILES):
            yield file


def _below(
    store: Store, old: RunTree, new: RunTree, folder: TreePath
) -> Iterator[tuple[tuple[str, ...], FileDifference]]:
    """What differs in a folder of files, with the names that lead to it from there."""
    for names, change in diff_files_below(store, old.snapshot, new.snapshot, folder):
        yield names, FileDifference("/".join((*folder, *names)), change, store)
