"""Compares the files of a checkpoint with those of a workspace, and finds what a restore may touch
of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.checkpoints.workspace.capture import Capture, capture, children, folder_content
from maverick.checkpoints.workspace.changes import is_empty_folder, tree_of
from maverick.checkpoints.workspace.finding import NEVER, folded, join
from maverick.checkpoints.workspace.stat_cache import GONE, Row, Skipped
from maverick.checkpoints.workspace.target import Target
from maverick.errors import WorkspaceUnwritable

if TYPE_CHECKING:
    from maverick.checkpoints.objects.ids import TreeId
    from maverick.checkpoints.trees.tree_nodes import Entry
    from maverick.checkpoints.workspace.scan import Workspace


class FolderComparison:
    """What differs between *target* and *workspace*: `writes` and `removes` by path, and what is
    `kept`.

    Only *paths* and what is below them count, if there are any. Folders that are equal are not
    read. Nothing is written but the cache, and that only to *remember*.
    """

    def __init__(
        self, target: Target, workspace: Workspace, paths: Sequence[str], *, remember: bool = True
    ) -> None:
        self.target = target
        self.paths = [path for path in paths if path] if "" not in paths else []
        self.now: Capture = capture(target.store, workspace, skip_unreadable=True)
        self.now.identify(remember=remember)
        self.writes: dict[str, tuple[Entry | None, Entry, Row]] = {}
        self.removes: dict[str, tuple[Entry, Row]] = {}
        self.kept: set[Skipped] = set()
        self._root = workspace.root
        self._skipped = {skipped.path: skipped.reason for skipped in self.now.scanned.skipped}
        self._files = {path: n for n, path in enumerate(self.now.scanned.table.selection.files)}
        self._folders = {path: n for n, path in enumerate(self.now.scanned.table.selection.folders)}
        self._below = children(self.now.scanned)
        self._ways: dict[str, str] = {}
        self._there = {"": True}
        self._folds: bool | None = None
        self._todo: list[tuple[str, TreeId | None, int | None]] = []

    def compare(self) -> None:
        """Find what differs.

        Raises:
            WorkspaceUnwritable: names differ only in case, and this file system does not tell them
                apart.
            StoreDamaged: an object cannot be read, or is not what a snapshot writes.
        """
        self._todo.append(("", self.target.tree, 0))
        while self._todo:
            self._folder(*self._todo.pop())
        for path in list(self.removes):
            reason = self.target.reason_left_out(path)
            if reason:
                del self.removes[path]
                self.kept.add(Skipped(path, reason))
        for path in list(self.writes):
            reason = self._in_the_way(path)
            if reason:
                del self.writes[path]
                self.kept.add(Skipped(path, reason))

    def has_folder(self, path: str) -> bool:
        entry = self.target.find(path)
        return entry is not None and (entry.kind == "tree" or is_empty_folder(entry))

    def unknown_paths(self) -> Iterator[str]:
        """Yield those of the paths asked for that are neither in the checkpoint nor in the
        workspace.
        """
        for path in self.paths:
            if (
                self.target.find(path) is None
                and path not in self._files
                and path not in self._folders
            ):
                yield path

    def _folder(self, path: str, tree: TreeId | None, folder: int | None) -> None:
        """Compare the folder *path*: *tree* in the checkpoint, *folder* by its number in the
        workspace.
        """
        if (
            folder is not None
            and tree is not None
            and self.now.scanned.table.tree(folder).hex() == tree
        ):
            return
        there = self.target.entries(tree, path) if tree is not None else {}
        here = (
            folder_content(self.now.scanned, folder, self._below[folder])
            if folder is not None
            else {}
        )
        self._check_case(path, there)
        for name in there.keys() | here.keys():
            old, new = here.get(name), there.get(name)
            if old != new and self._is_asked_for(join(path, name)):
                self._entry(join(path, name), old, new)

    def _entry(self, path: str, old: Entry | None, new: Entry | None) -> None:
        if _is_folder(old) and _is_folder(new):
            self._todo.append((path, tree_of(new), self._folders[path]))
            return
        if old is not None:
            if tree_of(old) is not None:
                self._todo.append((path, None, self._folders[path]))
            elif (
                new is None
                or tree_of(new) is not None
                or is_empty_folder(old)
                or is_empty_folder(new)
            ):
                self._remove(path, old)
        if new is not None:
            if tree_of(new) is not None:
                self._todo.append((path, tree_of(new), None))
            else:
                self._write(path, old if old is not None and tree_of(old) is None else None, new)

    def _remove(self, path: str, old: Entry) -> None:
        if self._is_meant(path):
            self.removes[path] = (old, self._row(path))

    def _write(self, path: str, old: Entry | None, new: Entry) -> None:
        if self._is_meant(path):
            gone = path in self.removes
            self.writes[path] = (None if gone else old, new, GONE if gone else self._row(path))

    def _row(self, path: str) -> Row:
        number = self._files.get(path)
        return self.now.scanned.table.row(number) if number is not None else GONE

    def _is_asked_for(self, path: str) -> bool:
        """Say whether *path*, or something below it, is asked for."""
        return (
            not self.paths
            or any(asked == path or asked.startswith(path + "/") for asked in self.paths)
            or self._is_meant(path)
        )

    def _is_meant(self, path: str) -> bool:
        return not self.paths or any(
            path == asked or path.startswith(asked + "/") for asked in self.paths
        )

    def _in_the_way(self, path: str) -> str:
        """Say what there is at *path*, or on the way there, that no snapshot holds; empty if
        nothing is.
        """
        reason = self._in_the_way_to(path.rpartition("/")[0])
        if reason or path in self._skipped:
            return reason or self._skipped[path]
        if path in self._files:
            blocked = path not in self.removes and is_empty_folder(self.writes[path][1])
            return "a file is in its way" if blocked else ""
        if not self._exists(path):
            return ""
        if _is_real_folder(self._at(path)):
            return "" if is_empty_folder(self.writes[path][1]) else self._left_in(path)
        return "ignored now"

    def _in_the_way_to(self, folder: str) -> str:
        """Say what keeps files from being written into *folder*; empty if nothing does."""
        for path in _unknown(folder, self._ways):
            reason = self._ways.get(path.rpartition("/")[0], "") or self._skipped.get(path, "")
            if (
                not reason
                and path not in self._folders
                and path not in self.removes
                and self._exists(path)
            ):
                # A file may go into an ignored folder, but not in the place of an ignored file.
                reason = "" if _is_real_folder(self._at(path)) else f"{path} is in its way"
            self._ways[path] = reason
        return self._ways[folder]

    def _exists(self, path: str) -> bool:
        """Say whether there is anything at *path* itself, not by way of a link, when the removals
        are done.
        """
        parent = path.rpartition("/")[0]
        for folder in _unknown(parent, self._there):
            there = folder not in self.removes and self._there[folder.rpartition("/")[0]]
            self._there[folder] = there and _is_real_folder(self._at(folder))
        return self._there[parent] and os.path.lexists(self._at(path))

    def _left_in(self, folder: str) -> str:
        """Say what would be left in *folder* after the removals; empty if nothing would."""
        todo = [folder]
        while todo:
            inside = todo.pop()
            try:
                names = sorted(os.listdir(self._at(inside)))  # noqa: PTH208 - texts, not paths
            except OSError:
                return f"a folder with {inside}, which cannot be read, is in its way"
            for name in names:
                path = join(inside, name)
                if name not in NEVER and _is_real_folder(self._at(path)):
                    todo.append(path)
                elif path not in self.removes and path not in self.now.scanned.leftovers:
                    return f"a folder with {path} is in its way"
        return ""

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _check_case(self, folder: str, there: dict[str, Entry]) -> None:
        """Raise WorkspaceUnwritable if the names of *there* are not told apart by this file
        system.
        """
        names: dict[str, str] = {}
        for name in there:
            other = names.setdefault(folded(name), name)
            if other != name and self.folds_case():
                raise WorkspaceUnwritable(
                    f"{join(folder, other)} and {join(folder, name)} differ only in case, and "
                    "this file system does not tell them apart; nothing was restored; restore to "
                    "a file system that does, with --to"
                )

    def folds_case(self) -> bool:
        """Say whether the file system of the workspace takes names that differ only in case for the
        same.
        """
        if self._folds is None:
            self._folds = _folds_case(Path(self._root))
        return self._folds


def _unknown(folder: str, known: Container[str]) -> list[str]:
    """Give *folder* and those above it that are not *known*, from the top down."""
    unknown: list[str] = []
    while folder not in known:
        unknown.append(folder)
        if not folder:
            break
        folder = folder.rpartition("/")[0]
    return unknown[::-1]


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and (entry.kind == "tree" or is_empty_folder(entry))


def _is_real_folder(path: str) -> bool:
    """Say whether *path* is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _folds_case(root: Path) -> bool:
    """Find out by a name with letters, in *root* or its own, and the same with the cases
    swapped.
    """
    for path in (*root.iterdir(), root):
        other = path.with_name(path.name.swapcase())
        if other != path:
            try:
                return path.samefile(other)
            except OSError:
                return False
    return False
