"""Finds the files and folders of a workspace: by git where there is a repository, else by
`.gitignore` files.

Never `.git`, never `.maverick`; other repositories, their worktrees, submodules and what is neither
file, link nor folder are left out and named.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from array import array
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maverick.checkpoints.workspace import ignore
from maverick.checkpoints.workspace.ignore import Rules
from maverick.checkpoints.workspace.reading import TOO_LONG
from maverick.checkpoints.workspace.repository import nested_kind
from maverick.checkpoints.workspace.stat_cache import (
    STAMP,
    Selection,
    Skipped,
    kind_of,
    look_at_folders,
    stamp_file,
)
from maverick.repositories import is_top

if TYPE_CHECKING:
    import re

    from maverick.checkpoints.workspace.repository import Git, Listing

NEVER = frozenset({".git", ".maverick"})
TEMPORARY = ".maverick-restore-"
"""What a file that is being restored is called until it is whole."""

UNREADABLE = "unreadable folder"
NOT_CHECKED_OUT = "not checked out (sparse checkout)"


def folded(name: str) -> str:
    """Give *name* as a file system that does not tell cases apart sees it."""
    if name.isascii():
        return name.lower()
    visible = "".join(char for char in name if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFC", visible.casefold())


def is_reserved(name: str) -> bool:
    """Say whether *name* is `.git` or `.maverick` in any spelling; never saved, never restored."""
    return folded(name) in NEVER


class Known:
    """What an earlier selection knows of the folders that have not been touched since."""

    def __init__(self, selection: Selection, stamps: array[int]) -> None:
        self._selection = selection
        self._had_rules = frozenset(selection.depends_on)
        old = selection.stamps
        self._numbers = {
            folder: n
            for n, folder in enumerate(selection.folders)
            if stamps[STAMP * n : STAMP * (n + 1)] == old[STAMP * n : STAMP * (n + 1)]
        }
        # What was left out in a folder is looked at again: it may have become another thing.
        for path in (*(skipped.path for skipped in selection.skipped), *selection.leftovers):
            self._numbers.pop(path.rpartition("/")[0], None)
        self._below: defaultdict[str, list[str]] = defaultdict(list)
        for folder in selection.folders[1:]:
            self._below[folder.rpartition("/")[0]].append(folder)

    def files(self, folder: str) -> list[str] | None:
        """Give the paths of the files in *folder* that belonged to the workspace; None if that may
        be others now.
        """
        number = self._numbers.get(folder)
        if number is None:
            return None
        return self._selection.files[
            self._selection.first[number] : self._selection.first[number + 1]
        ]

    def folders(self, folder: str) -> list[str]:
        """Give the paths of the folders in *folder* that belonged to the workspace."""
        return self._below.get(folder, [])

    def stamp(self, folder: str) -> array[int]:
        number = self._numbers[folder]
        return self._selection.stamps[STAMP * number : STAMP * (number + 1)]

    def has_rules(self, path: str) -> bool:
        """Say whether there was a file of rules at *path* (absolute)."""
        return path in self._had_rules


@dataclass(slots=True)
class _Folder:
    """The names in one folder. `is_top` says that a working tree of its own begins there."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    is_top: bool = False


class _Finder:
    """Collects what one look at a workspace finds: the paths of the files by folder."""

    def __init__(self, root: str, wanted: re.Pattern[bytes] | None, before: Known | None) -> None:
        self.root = root
        self.wanted = wanted
        self.before = before if wanted is None else None
        self.files_of: dict[str, list[str]] = {}
        self.stamps: dict[str, array[int]] = {}
        self.skipped: list[Skipped] = []
        self.leftovers: list[str] = []
        self.others: dict[str, str] = {}
        """What is neither file, link nor folder, with what it is."""
        self.depends_on: set[str] = set()

    def list_folder(self, folder: str) -> _Folder:
        """Give what is in *folder*, without what never belongs to a workspace."""
        # ahead of the names, so that a later change shows
        stamp = look_at_folders(self.root, [folder])
        names = _Folder()
        try:
            with os.scandir(self.on_disk(folder)) as entries:
                for entry in entries:
                    self._sort(folder, entry, names)
        except PermissionError:
            self.skipped.append(Skipped(folder, UNREADABLE))
            return names
        except (FileNotFoundError, NotADirectoryError):
            return names
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            self.skipped.append(Skipped(folder, TOO_LONG))
            return names
        self.stamps[folder] = stamp
        return names

    def _sort(self, folder: str, entry: os.DirEntry[str], names: _Folder) -> None:
        name = entry.name
        if name.startswith(TEMPORARY):
            self.leftovers.append(join(folder, name))
        elif is_reserved(name):
            names.is_top |= name == ".git" and folder != "" and is_top(self.on_disk(folder))
            if name not in NEVER:
                self.skipped.append(Skipped(join(folder, name), "reserved name"))
        elif entry.is_dir(follow_symlinks=False):
            names.folders.append(name)
        elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
            names.files.append(name)
        else:
            names.others.append(name)
            with suppress(OSError):
                self.others[join(folder, name)] = kind_of(entry.stat(follow_symlinks=False).st_mode)

    def skip_other(self, path: str) -> None:
        """Leave out *path*, which is neither file, link nor folder."""
        self.skipped.append(Skipped(path, self.others.get(path, "no file")))

    def reuse(self, folder: str, files: list[str]) -> None:
        """Take over what is known of *folder*."""
        if self.before is not None:
            self.files_of[folder], self.stamps[folder] = files, self.before.stamp(folder)

    def skip_tree(self, path: str) -> None:
        """Leave out the folder *path*, which is a working tree of its own."""
        self.skipped.append(Skipped(path, nested_kind(self.on_disk(path)) or "nested repository"))

    def on_disk(self, path: str) -> str:
        """Give where *path* is."""
        return join(self.root, path) if path else self.root

    def has_other_rules(self, folder: str, names: _Folder) -> bool:
        """Note whether *folder* has rules; say whether it had none before, or the other way
        round.
        """
        path = self.on_disk(join(folder, ignore.FILE_NAME))
        if ignore.FILE_NAME in names.files:
            self.depends_on.add(path)
        return self.before is not None and self.before.has_rules(path) != (path in self.depends_on)

    def selection(self) -> Selection:
        """Give what was found, in order."""
        if self.wanted is not None:
            self._narrow(self.wanted)
        result = Selection(folders=sorted(self.files_of), first=array("q"))
        for folder in result.folders:
            result.first.append(len(result.files))
            result.files += self.files_of[folder]
            result.stamps.extend(self.stamps.get(folder, (0, 0, 0)))
        result.first.append(len(result.files))
        result.skipped = sorted(set(self.skipped))
        result.leftovers = sorted(self.leftovers)
        result.depends_on = {path: stamp_file(path) for path in sorted(self.depends_on)}
        return result

    def _narrow(self, wanted: re.Pattern[bytes]) -> None:
        """Keep what the globs mean, and the folders on the way there."""
        kept = {""}
        for folder, paths in self.files_of.items():
            self.files_of[folder] = [path for path in paths if ignore.matches(wanted, path)]
            if self.files_of[folder] or (folder and ignore.matches(wanted, folder)):
                kept.update(above(folder))
        # A folder whose names do not matter still has a stamp: a file that is added to it may be
        # meant.
        self.depends_on.update(
            self.on_disk(folder) for folder in self.files_of if folder not in kept
        )
        self.files_of = {folder: paths for folder, paths in self.files_of.items() if folder in kept}
        self.skipped = [skipped for skipped in self.skipped if ignore.matches(wanted, skipped.path)]


def select_by_rules(
    root: str,
    wanted: re.Pattern[bytes] | None,
    *,
    ignored: bool = False,
    before: Known | None = None,
) -> Selection:
    """Find the workspace below *root* by its `.gitignore` files, or, if *ignored*, all of it.

    *before* is of the same rules: none of these files changed.
    """
    finder = _Finder(root, wanted, before)
    todo: list[tuple[str, Rules, Known | None]] = [("", Rules(), finder.before)]
    while todo:
        folder, rules, valid = todo.pop()
        files = valid.files(folder) if valid is not None else None
        if valid is not None and files is not None:
            finder.reuse(folder, files)
            if valid.has_rules(finder.on_disk(join(folder, ignore.FILE_NAME))):
                rules = _rules_in(finder, folder, rules)
            todo += [(path, rules, valid) for path in valid.folders(folder)]
            continue
        names = finder.list_folder(folder)
        if names.is_top:
            finder.skip_tree(folder)
            continue
        if finder.has_other_rules(folder, names):
            valid = None
        if ignore.FILE_NAME in names.files and not ignored:
            rules = _rules_in(finder, folder, rules)
        kept = [
            [join(folder, path) for path in sorted(some)]
            for some in (names.files, names.others, names.folders)
        ]
        finder.files_of[folder] = [
            path for path in kept[0] if not rules.ignores(path, folder=False)
        ]
        for path in kept[1]:
            if not rules.ignores(path, folder=False):
                finder.skip_other(path)
        todo += [(path, rules, valid) for path in kept[2] if not rules.ignores(path, folder=True)]
    return finder.selection()


def _rules_in(finder: _Finder, folder: str, above_it: Rules) -> Rules:
    path = finder.on_disk(join(folder, ignore.FILE_NAME))
    finder.depends_on.add(path)
    return above_it.below(folder, _read(path))


def select_by_git(
    root: str,
    wanted: re.Pattern[bytes] | None,
    git: Git,
    listing: Listing,
    *,
    before: Known | None = None,
) -> Selection:
    """Find the workspace below *root* as *listing* has it, and its empty folders.

    *before* is of the same rules: no file that decides what is ignored changed.
    """
    finder = _Finder(root, wanted, before)
    finder.depends_on.update(listing.depends_on)
    listed = _Listed(listing)
    todo: list[tuple[str, Known | None]] = [("", finder.before)]
    while todo:
        unknown: list[tuple[str, Known | None]] = []
        others: list[str] = []
        while todo:
            folder, valid = todo.pop()
            below, valid = listed.reuse(finder, folder, valid) or listed.look(
                finder, folder, valid, others
            )
            ours = listed.folders[folder]
            todo += [(path, valid) for path in below & ours]
            unknown += [(path, valid) for path in below - ours]
        hidden = git.ignored([*(path for path, _ in unknown), *others])
        for path in others:
            if path not in hidden:
                finder.skip_other(path)
        todo = [item for item in unknown if item[0] not in hidden]
    _skip_absent(finder, listing.absent)
    return finder.selection()


def _skip_absent(finder: _Finder, absent: frozenset[str]) -> None:
    """Leave out what a sparse checkout keeps off the disk: a checkpoint cannot know it, and it was
    not removed.

    Where all of a folder is, and that was not looked for by globs, it stands for what is in it.
    """
    paths = {
        path for path in absent if path not in finder.files_of.get(path.rpartition("/")[0], ())
    }
    if finder.wanted is None:
        paths = {
            next((folder for folder in above(path)[-2:0:-1] if folder not in finder.files_of), path)
            for path in paths
        }
    finder.skipped += [Skipped(path, NOT_CHECKED_OUT) for path in paths]


class _Listed:
    """What git lists, by folder. Both methods give the folders to look into, and what is known of
    them.
    """

    def __init__(self, listing: Listing) -> None:
        self._nested = listing.nested
        self._files: defaultdict[str, set[str]] = defaultdict(set)
        self.folders: defaultdict[str, set[str]] = defaultdict(set)
        for path in listing.files:
            self._files[path.rpartition("/")[0]].add(path)
        for path in {folder for folder in self._files for folder in above(folder)[:-1]}:
            parent, _, name = path.rpartition("/")
            if not is_reserved(name):  # git may track what is in `.maverick`
                self.folders[parent].add(path)

    def reuse(
        self, finder: _Finder, folder: str, valid: Known | None
    ) -> tuple[set[str], Known | None] | None:
        """Take over what is known of *folder*, if git still lists the same files there."""
        files = valid.files(folder) if valid is not None else None
        if valid is None or files is None or self._files.get(folder, set()) != set(files):
            return None
        finder.reuse(folder, files)
        rules = finder.on_disk(join(folder, ignore.FILE_NAME))
        if valid.has_rules(rules):
            finder.depends_on.add(rules)
        return self.folders[folder].union(valid.folders(folder)), valid

    def look(
        self, finder: _Finder, folder: str, valid: Known | None, others: list[str]
    ) -> tuple[set[str], Known | None]:
        """Look into *folder*; *others* gets what is neither file, link nor folder."""
        names = finder.list_folder(folder)
        if names.is_top:
            finder.skip_tree(folder)
            return set(), valid
        if finder.has_other_rules(folder, names):
            valid = None
        mine = self._files.get(folder, set())
        finder.files_of[folder] = [
            path for name in sorted(names.files) if (path := join(folder, name)) in mine
        ]
        others += [join(folder, name) for name in names.others]
        below = {join(folder, name) for name in names.folders}
        finder.skipped += [Skipped(path, "submodule") for path in below & mine]
        for path in below & self._nested - mine:
            finder.skip_tree(path)
        return below - mine - self._nested, valid


def join(folder: str, name: str) -> str:
    """Give the path of *name* in *folder*, which is empty for the top."""
    return f"{folder}/{name}" if folder else name


def above(folder: str) -> list[str]:
    """Give *folder* and the folders above it, up to the top."""
    folders = [folder]
    while folder:
        folder = folder.rpartition("/")[0]
        folders.append(folder)
    return folders


def _read(path: str) -> bytes:
    """Give the rules in a `.gitignore` file; git does not follow one that is a link either."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            return file.read()
    return b""
