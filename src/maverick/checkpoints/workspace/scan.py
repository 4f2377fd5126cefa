"""Looks at a workspace: which files there are, and which of them are not what the cache knows."""

from __future__ import annotations

import os
import stat
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blake3 import blake3

from maverick.checkpoints.workspace import ignore, repository, stat_cache
from maverick.checkpoints.workspace.finding import (
    Known,
    above,
    join,
    select_by_git,
    select_by_rules,
)
from maverick.checkpoints.workspace.reading import Disk
from maverick.checkpoints.workspace.repository import Git, Head
from maverick.checkpoints.workspace.stat_cache import (
    GONE,
    ID_BYTES,
    NO_ID,
    WIDTH,
    Row,
    Selection,
    Skipped,
    Table,
)
from maverick.errors import UsageError
from maverick.owners import home_folder

SIZE_LIMIT_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder whose files go into checkpoints; make one by `open_workspace`.

    `git`: whether git is asked which files are meant. `globs`: only what they match (empty:
    everything). `ignored`: also what is ignored. Files of more than `limit_bytes` are left out.
    `clock` gives nanoseconds since the epoch.
    """

    root: str
    git: bool
    globs: tuple[str, ...] = ()
    ignored: bool = False
    limit_bytes: int = SIZE_LIMIT_BYTES
    disk: Disk = field(default_factory=Disk)
    clock: Callable[[], int] = time.time_ns

    def key(self) -> dict[str, Any]:
        """Give what a cache of this workspace is for."""
        return {
            "root": os.fsencode(self.root).hex(),
            "git": self.git,
            "globs": [os.fsencode(glob).hex() for glob in self.globs],
            "ignored": self.ignored,
            "limit": self.limit_bytes,
        }


def open_workspace(
    root: Path,
    *,
    git: bool | None = None,
    globs: tuple[str, ...] = (),
    ignored: bool = False,
    limit_bytes: int = SIZE_LIMIT_BYTES,
    disk: Disk | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Workspace:
    """Give the workspace in the folder *root*. Without *git* it is asked where there is a
    repository.

    Raises:
        UsageError: *root* is no folder, or is `/`, the home folder or a folder above it.
    """
    real = Path(os.path.realpath(root))
    given = home_folder(os.environ)
    home = Path(os.path.realpath(given)) if given else None
    if not real.is_dir():
        raise UsageError(f"{root} is no folder; a workspace is the folder of a project")
    if real.parent == real or (home is not None and (real == home or real in home.parents)):
        raise UsageError(
            f"{real} cannot be a workspace: restoring it would write all over it; use a project's "
            "folder"
        )
    use_git = not ignored and (repository.is_inside(real) if git is None else git)
    return Workspace(str(real), use_git, globs, ignored, limit_bytes, disk or Disk(), clock)


@dataclass(slots=True)
class Scan:
    """What a look at a workspace found.

    `unread` are the numbers of the files whose content is not known, `dirty` those of the folders
    whose tree is not. `known_root` is the id of the tree that the cache is of: whatever leads to
    that tree leads to every id in `table`. `read_only` files count nowhere.
    """

    workspace: Workspace
    table: Table
    head: Head | None
    seen_ns: int
    unread: list[int]
    dirty: set[int]
    known_root: bytes = NO_ID
    too_large: list[int] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)
    own_trees: list[Skipped] = field(default_factory=list)
    changed: bool = True

    @property
    def skipped(self) -> list[Skipped]:
        """What is left out although it is not ignored, sorted by path."""
        files = self.table.selection.files
        limit = f"larger than {self.workspace.limit_bytes:,} bytes"
        large = [Skipped(files[n], limit) for n in self.too_large]
        failed = [Skipped(files[n], why) for n, why in self.unreadable.items()]
        return sorted(self.table.selection.skipped + large + failed + self.own_trees)

    @property
    def leftovers(self) -> list[str]:
        """The temporary files of a restore that was killed."""
        return self.table.selection.leftovers


def cache_path(folder: Path, workspace: Workspace) -> Path:
    """Give the cache file of *workspace* in the folder *folder*."""
    name = blake3(repr(workspace.key()).encode()).hexdigest()[:16]
    return folder / f"workspace-{name}"


def scan(workspace: Workspace, cache_folder: Path) -> Scan:
    """Look at *workspace*. Reads no file but those that say what is ignored.

    Raises:
        UsageError: git is needed and is not there, or does not list the files.
    """
    git = Git(Path(workspace.root)) if workspace.git else None
    with git.start_head() if git else nullcontext() as asked:
        scanned = _scan(workspace, cache_folder, git)
        if git is not None and asked is not None:
            scanned.head = git.head(asked)
            scanned.own_trees = [] if workspace.globs else _own_trees(workspace.root)
    return scanned


def _scan(workspace: Workspace, cache_folder: Path, git: Git | None) -> Scan:
    seen = workspace.clock()
    cached = stat_cache.load(cache_path(cache_folder, workspace), workspace.key())
    moved = _moved(cached) if cached is not None else []
    stamps = (
        stat_cache.look_at_folders(workspace.root, cached.selection.folders)
        if cached is not None
        else None
    )
    rows = None
    if cached is not None and not moved and stamps == cached.selection.stamps:
        rows = _rows_if_files(workspace.root, cached.selection)
    if cached is not None and rows is not None:
        scanned = _compare_rows(workspace, cached, rows, seen)
    else:
        before = None
        # The index says what is tracked, not what is ignored.
        if (
            cached is not None
            and stamps is not None
            and all(path.endswith("/index") for path in moved)
        ):
            before = Known(cached.selection, stamps)
        selection = _select(workspace, git, before)
        rows = stat_cache.look(workspace.root, selection.files)
        scanned = _compare(workspace, cached, selection, rows, seen)
    return scanned


def _own_trees(root: str) -> list[Skipped]:
    """Find the work trees that stand in `.maverick`: its files belong to no snapshot, but these are
    somebody's work.
    """
    markers = sorted(Path(root).glob(".maverick/*/*/.git"))
    folders = [str(marker.parent.relative_to(root)) for marker in markers]
    return [
        Skipped(folder, repository.nested_kind(join(root, folder)) or "nested repository")
        for folder in folders
    ]


def _moved(cached: Table) -> list[str]:
    """Give the files that decided which files belong to the workspace and have changed since."""
    return [
        path
        for path, stamp in cached.selection.depends_on.items()
        if stat_cache.stamp_file(path) != stamp
    ]


def _rows_if_files(root: str, selection: Selection) -> array[int] | None:
    """Give the rows of the files of *selection*; None if one is no file any more."""
    rows = stat_cache.look(root, selection.files)
    return rows if all(map(_is_file, set(rows[WIDTH - 1 :: WIDTH]))) else None


def _is_file(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _select(workspace: Workspace, git: Git | None, before: Known | None) -> Selection:
    wanted = ignore.matcher(workspace.globs) if workspace.globs else None
    if git is not None:
        listing = git.list(git.start_list())
        # A repository that ignores the whole folder says nothing about what is in it.
        if listing is not None and (listing.files or listing.nested or not git.ignored(["."])):
            return select_by_git(workspace.root, wanted, git, listing, before=before)
        if listing is None:  # What seems to be a repository is none for git.
            selection = select_by_rules(
                workspace.root, wanted, ignored=workspace.ignored, before=before
            )
            return selection.also_depending_on(git.markers())
    return select_by_rules(workspace.root, wanted, ignored=workspace.ignored, before=before)


def _compare_rows(workspace: Workspace, cached: Table, rows: array[int], seen: int) -> Scan:
    """Give the scan of a workspace with the same files as *cached*."""
    known_root, old = cached.tree(0), cached.rows
    changed: list[int] = []
    if rows != old:
        width = WIDTH
        starts = range(0, len(rows), width)
        changed = [
            start // width
            for start in starts
            if rows[start : start + width] != old[start : start + width]
        ]
    cached.rows = rows
    for number in changed:
        cached.ids[number * ID_BYTES : (number + 1) * ID_BYTES] = NO_ID
    scanned = Scan(workspace, cached, None, seen, [], set(), known_root, changed=bool(changed))
    _sort_out(scanned)
    folders = cached.selection.folders
    numbers = {path: n for n, path in enumerate(folders)} if changed or scanned.unread else {}
    for number in {*changed, *scanned.unread}:
        _mark(scanned.dirty, numbers, cached.selection.files[number].rpartition("/")[0])
    return scanned


def _compare(
    workspace: Workspace, cached: Table | None, selection: Selection, rows: array[int], seen: int
) -> Scan:
    """Give the scan of a workspace with the files of *selection*; *cached* is what was known
    before.
    """
    count, folders = len(selection.files), selection.folders
    now = Table(
        selection, rows, bytearray(ID_BYTES * count), bytearray(ID_BYTES * len(folders)), array("q")
    )
    now.sizes.frombytes(bytes(8 * len(folders)))
    scanned = Scan(workspace, now, None, seen, [], set(range(len(folders))))
    if cached is not None:
        scanned.known_root = cached.tree(0)
        _take_over(cached, now, scanned.dirty)
    _sort_out(scanned)
    numbers = {path: n for n, path in enumerate(folders)}
    for number in scanned.unread:
        _mark(scanned.dirty, numbers, selection.files[number].rpartition("/")[0])
    return scanned


def _take_over(cached: Table, now: Table, dirty: set[int]) -> None:
    """Take the ids from *cached* of what did not change, and take the folders that did not out of
    *dirty*.
    """
    old, new = cached.selection, now.selection
    numbers, old_numbers = _numbers(new.folders), _numbers(old.folders)
    moved = {path.rpartition("/")[0] for path in numbers.keys() ^ old_numbers.keys() if path}
    ids: list[bytes | bytearray] = []
    dirty.clear()
    for path, number in numbers.items():
        before = old_numbers.get(path)
        first, end = new.first[number], new.first[number + 1]
        start, stop = (old.first[before], old.first[before + 1]) if before is not None else (0, 0)
        same = old.files[start:stop] == new.files[first:end]
        if (
            same
            and cached.rows[start * WIDTH : stop * WIDTH] == now.rows[first * WIDTH : end * WIDTH]
        ):
            ids.append(cached.ids[start * ID_BYTES : stop * ID_BYTES])
        else:
            same = False
            positions = {old.files[n]: n for n in range(start, stop)}
            ids += [
                _id_if_same(cached, positions.get(new.files[n]), now.row(n))
                for n in range(first, end)
            ]
        if before is None or not same or path in moved:
            _mark(dirty, numbers, path)
        else:
            now.trees[number * ID_BYTES : (number + 1) * ID_BYTES] = cached.tree(before)
            now.sizes[number] = cached.sizes[before]
    now.ids = bytearray(b"".join(ids))


def _id_if_same(cached: Table, number: int | None, row: Row) -> bytes:
    return cached.id(number) if number is not None and cached.row(number) == row else NO_ID


def _numbers(names: list[str]) -> dict[str, int]:
    return {name: n for n, name in enumerate(names)}


def _mark(dirty: set[int], numbers: dict[str, int], folder: str) -> None:
    """Put *folder* and those above it into *dirty*, which holds those above any in it."""
    for path in above(folder):
        number = numbers.get(path)
        if number in dirty:
            break
        if number is not None:
            dirty.add(number)


def _sort_out(scanned: Scan) -> None:
    """Find the files that are too large, and those whose content is not known."""
    rows, limit = scanned.table.rows, scanned.workspace.limit_bytes
    sizes = rows[::WIDTH]
    if sizes and max(sizes) > limit:
        scanned.too_large = [
            n
            for n, size in enumerate(sizes)
            if size > limit and stat.S_ISREG(rows[n * WIDTH + WIDTH - 1])
        ]
    large = set(scanned.too_large)
    scanned.unread = [
        n for n in _unknown(scanned.table.ids) if n not in large and scanned.table.row(n) != GONE
    ]


def _unknown(ids: bytearray) -> Iterator[int]:
    """Yield the numbers of the files whose id is NO_ID."""
    position = ids.find(NO_ID)
    while position >= 0:
        number = -(-position // ID_BYTES)  # zeros may begin at the end of the id before
        start = number * ID_BYTES
        if ids[start : start + ID_BYTES] == NO_ID:
            yield number
            start += ID_BYTES
        position = ids.find(NO_ID, start)
