"""What differs between the files of two checkpoints, or of a checkpoint and a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from maverick.checkpoints.objects.ids import ObjectId, TreeId
from maverick.checkpoints.trees.diff import diff_trees
from maverick.checkpoints.workspace.capture import FILES, FOLDER
from maverick.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints.store import Store
    from maverick.checkpoints.trees.snapshot import Snapshot
    from maverick.checkpoints.trees.tree_nodes import Entry

FileChangeKind: TypeAlias = Literal["added", "removed", "changed", "mode"]

REGULAR = "100644"
_LOOKED_AT_BYTES = 8000


@dataclass(frozen=True, slots=True)
class FileChange:
    """What became of the file, link or empty folder at `path`.

    A mode is `100644`, `100755`, `120000` (a link) or `040000` (an empty folder); mode, id and size
    are empty and 0 on the side that has nothing. `mode` as change: the content is the same.
    """

    path: str
    change: FileChangeKind
    old_mode: str
    new_mode: str
    old_id: ObjectId
    new_id: ObjectId
    old_size: int
    new_size: int


def mode_of(entry: Entry | None) -> str:
    """Give the mode that *entry* stands for; empty without an entry."""
    if entry is None:
        return ""
    return entry.note or REGULAR


def change_of(path: str, old: Entry | None, new: Entry | None) -> FileChange:
    """Give the change from *old* to *new* at *path*."""
    change: FileChangeKind = "changed"
    if old is None or new is None:
        change = "added" if old is None else "removed"
    elif old.id == new.id:
        change = "mode"
    nothing = ObjectId("")
    return FileChange(
        path,
        change,
        mode_of(old),
        mode_of(new),
        old.id if old else nothing,
        new.id if new else nothing,
        old.size if old else 0,
        new.size if new else 0,
    )


def files_of(snapshot: Snapshot) -> Entry:
    """Give the entry of the files in *snapshot*.

    Raises:
        NotFound: the checkpoint holds none.
    """
    entry = snapshot.find(FILES)
    if entry is None:
        checkpoint = snapshot.checkpoint
        raise NotFound(
            f"checkpoint {checkpoint.id[:12]} (run {checkpoint.run}, {checkpoint.sequence}) "
            "holds no files"
        )
    return entry


def tree_of(entry: Entry | None) -> TreeId | None:
    """Give the folder that *entry* leads to; None for anything but a folder with something in
    it.
    """
    return TreeId(entry.id) if entry is not None and entry.kind == "tree" else None


def diff_files(store: Store, old: Snapshot, new: Snapshot) -> Iterator[FileChange]:
    """Yield what differs between the files of two checkpoints, by path in natural order, folders by
    what is in them.

    Equal folders are skipped unread. A checkpoint without files counts as one with an empty folder.
    """
    return (change for _, change in diff_files_below(store, old, new, FILES))


def diff_files_below(
    store: Store, old: Snapshot, new: Snapshot, folder: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], FileChange]]:
    """Yield what differs between the files in *folder*, each with the names that lead to it from
    there; otherwise as `diff_files`.
    """
    before, after = tree_of(old.find(folder)), tree_of(new.find(folder))
    for change in diff_trees(store, before, after):
        was, now = (
            entry if entry is None or entry.kind != "tree" else None
            for entry in (change.old, change.new)
        )
        yield change.path, change_of("/".join(change.path), was, now)


def is_binary(data: bytes) -> bool:
    """Say whether *data* is to be shown as a size rather than as text, by the rule of git: a NUL
    near its start.
    """
    return b"\0" in data[:_LOOKED_AT_BYTES]


def is_empty_folder(entry: Entry) -> bool:
    """Say whether *entry* stands for a folder with nothing in it."""
    return entry.kind == "note" and entry.note == FOLDER
