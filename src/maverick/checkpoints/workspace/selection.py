"""Finds the files and folders of a workspace: by git where there is a repository, else by `.gitignore` files.

Never `.git`, never `.maverick`; other repositories, their worktrees, submodules and what is neither file, link nor
folder are left out and named.
"""

from __future__ import annotations

import os
from array import array
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maverick.checkpoints.workspace import ignore
from maverick.checkpoints.workspace.ignore import Rules
from maverick.checkpoints.workspace.repository import nested_kind
from maverick.checkpoints.workspace.table import Selection, Skipped, look_at_folders, stamp_file

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable

    from maverick.checkpoints.workspace.repository import Git, Listing

NEVER = frozenset({".git", ".maverick"})
TEMPORARY = ".maverick-restore-"
"""What a file that is being restored is called until it is whole."""


@dataclass(slots=True)
class _Folder:
    """The names in one folder."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


class _Finder:
    """Collects what one look at a workspace finds."""

    def __init__(self, root: str, wanted: re.Pattern[bytes] | None) -> None:
        self.root = root
        self.wanted = wanted
        self.found: dict[str, list[str]] = {}
        self.stamps: dict[str, array[int]] = {}
        self.skipped: list[Skipped] = []
        self.leftovers: list[str] = []
        self.depends_on: set[str] = set()

    def list(self, folder: str) -> _Folder:
        """Give what is in *folder*, without what never belongs to a workspace."""
        stamp = look_at_folders(self.root, [folder])  # ahead of the names, so that a later change shows
        names = _Folder()
        try:
            with os.scandir(f"{self.root}/{folder}" if folder else self.root) as found:
                for it in found:
                    self._sort(folder, it, names)
        except PermissionError:
            self.skipped.append(Skipped(folder, "unreadable"))
            return names
        except (FileNotFoundError, NotADirectoryError):
            return names
        self.stamps[folder] = stamp
        return names

    def _sort(self, folder: str, it: os.DirEntry[str], names: _Folder) -> None:
        name = it.name
        if name.startswith(TEMPORARY):
            self.leftovers.append(join(folder, name))
        elif name.lower() in NEVER:
            if name not in NEVER:
                self.skipped.append(Skipped(join(folder, name), "reserved name"))
        elif it.is_dir(follow_symlinks=False):
            names.folders.append(name)
        elif it.is_symlink() or it.is_file(follow_symlinks=False):
            names.files.append(name)
        else:
            names.others.append(name)

    def is_other_tree(self, path: str) -> bool:
        """Say whether the folder *path* is a working tree of its own; then it is left out."""
        kind = nested_kind(f"{self.root}/{path}")
        if kind is not None:
            self.skipped.append(Skipped(path, kind))
        return kind is not None

    def selection(self) -> Selection:
        """Give what was found, in order."""
        if self.wanted is not None:
            self._narrow(self.wanted)
        result = Selection(folders=sorted(self.found), first=array("q"))
        for folder in result.folders:
            result.first.append(len(result.files))
            result.files += [join(folder, name) for name in sorted(self.found[folder])]
            result.stamps.extend(self.stamps.get(folder, (0, 0, 0)))
        result.first.append(len(result.files))
        result.skipped = sorted(set(self.skipped))
        result.leftovers = sorted(self.leftovers)
        result.depends_on = {path: stamp_file(path) for path in sorted(self.depends_on)}
        return result

    def _narrow(self, wanted: re.Pattern[bytes]) -> None:
        """Keep what the globs mean, and the folders on the way there."""
        kept = {""}
        for folder, names in self.found.items():
            self.found[folder] = [name for name in names if ignore.matches(wanted, join(folder, name))]
            if self.found[folder] or (folder and ignore.matches(wanted, folder)):
                kept.update(above(folder))
        # A folder whose names do not matter still has a stamp: a file that is added to it may be meant.
        self.depends_on.update(f"{self.root}/{folder}" for folder in self.found if folder not in kept)
        self.found = {folder: names for folder, names in self.found.items() if folder in kept}
        self.skipped = [it for it in self.skipped if ignore.matches(wanted, it.path)]


def select_by_rules(root: str, wanted: re.Pattern[bytes] | None, *, ignored: bool = False) -> Selection:
    """Find the workspace below *root* by its `.gitignore` files, or, if *ignored*, all of it."""
    finder = _Finder(root, wanted)
    todo: list[tuple[str, Rules]] = [("", Rules())]
    while todo:
        folder, rules = todo.pop()
        names = finder.list(folder)
        if ignore.FILE_NAME in names.files and not ignored:
            rules = rules.below(folder, _read(f"{root}/{join(folder, ignore.FILE_NAME)}"))
            finder.depends_on.add(f"{root}/{join(folder, ignore.FILE_NAME)}")
        keep = _keeper(folder, rules)
        finder.found[folder] = keep(names.files, folder=False)
        finder.skipped += [Skipped(join(folder, it), "no file") for it in keep(names.others, folder=False)]
        for name in keep(names.folders, folder=True):
            path = join(folder, name)
            if not finder.is_other_tree(path):
                todo.append((path, rules))
    return finder.selection()


def _keeper(folder: str, rules: Rules) -> Callable[..., list[str]]:
    def keep(names: Iterable[str], *, folder: bool, above: str = folder) -> list[str]:
        return [name for name in names if not rules.ignores(join(above, name), folder=folder)]

    return keep


def select_by_git(root: str, wanted: re.Pattern[bytes] | None, git: Git, listing: Listing) -> Selection:
    """Find the workspace below *root* as *listing* has it, and its empty folders."""
    finder = _Finder(root, wanted)
    finder.depends_on.update(listing.depends_on)
    listed: defaultdict[str, set[str]] = defaultdict(set)
    for path in listing.files:
        folder, _, name = path.rpartition("/")
        listed[folder].add(name)
    known = {above_it for folder in listed for above_it in above(folder)} | {""}
    todo = [""]
    while todo:
        unknown: list[str] = []
        others: list[str] = []
        while todo:
            folder = todo.pop()
            names = finder.list(folder)
            mine = listed.get(folder, set())
            finder.found[folder] = [name for name in names.files if name in mine]
            if ignore.FILE_NAME in names.files:
                finder.depends_on.add(f"{root}/{join(folder, ignore.FILE_NAME)}")
            others += [join(folder, name) for name in names.others]
            for name in names.folders:
                path = join(folder, name)
                if name in mine:
                    finder.skipped.append(Skipped(path, "submodule"))
                elif path in listing.nested:
                    finder.skipped.append(Skipped(path, nested_kind(f"{root}/{path}") or "nested repository"))
                elif path in known:
                    todo.append(path)
                else:
                    unknown.append(path)
        hidden = git.ignored(unknown + others)
        finder.skipped += [Skipped(path, "no file") for path in others if path not in hidden]
        todo = [path for path in unknown if path not in hidden and not finder.is_other_tree(path)]
    return finder.selection()


def join(folder: str, name: str) -> str:
    """Give the path of *name* in *folder*, which is empty for the top."""
    return f"{folder}/{name}" if folder else name


def above(folder: str) -> list[str]:
    """Give *folder* and the folders above it, up to the top."""
    found = [folder]
    while folder:
        folder = folder.rpartition("/")[0]
        found.append(folder)
    return found


def _read(path: str) -> bytes:
    """Give the rules in a `.gitignore` file; git does not follow one that is a link either."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            return file.read()
    return b""
