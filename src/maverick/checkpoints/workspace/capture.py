"""Takes a snapshot of a workspace into a save: reads what is not known, builds the trees that
changed.

A file's entry is a `blob`; its note says the mode where that is not 100644. A link is a `blob` of
where it leads, an empty folder a `note`.
"""

from __future__ import annotations

import stat
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.trees import codec, folders, tree_nodes
from maverick.checkpoints.trees.content import Content, streamed
from maverick.checkpoints.trees.tree_nodes import Entry
from maverick.checkpoints.workspace import stat_cache
from maverick.checkpoints.workspace.finding import UNREADABLE
from maverick.checkpoints.workspace.reading import TOO_LONG, FileReader
from maverick.checkpoints.workspace.scan import Scan, cache_path, scan
from maverick.checkpoints.workspace.stat_cache import GONE, ID_BYTES, NO_ID, Row, Skipped
from maverick.errors import WorkspaceUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from maverick.checkpoints.objects.new_objects import NewObjects
    from maverick.checkpoints.store import Store
    from maverick.checkpoints.workspace.scan import Workspace
    from maverick.values import Value

FILES = ("workspace",)
"""Where a checkpoint holds the files."""
ABOUT = ("workspace-about",)
"""Where it says how they were found: a value, see `docs/format.md`."""

EXECUTABLE, LINK, FOLDER = "100755", "120000", "040000"
_SHOWN = 10
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class CaptureReport:
    """What a snapshot holds and what it took. `size_bytes` is that of all files in it."""

    files: int
    folders: int
    size_bytes: int
    read_files: int
    read_bytes: int
    skipped: tuple[Skipped, ...]
    watched: tuple[str, ...] = ()
    """The files of those read that `Capture.watch_for` is true of."""


@dataclass(slots=True)
class Capture:
    """A snapshot that a save takes: give `changes` to `Store.save`. `report` is there when that has
    returned.
    """

    scanned: Scan
    cache: Path
    skip_unreadable: bool = False
    read_files: int = 0
    read_bytes: int = 0
    watch_for: Callable[[bytes], bool] | None = None
    watched: list[str] = field(default_factory=list)
    """The paths of the files of which `watch_for` was true when they were read."""
    _written: bool = field(default=False, repr=False)

    @property
    def changes(self) -> dict[folders.Path, Content | None]:
        """What to save: the files, and how they were found."""
        return {FILES: streamed(self), ABOUT: streamed(_About(self))}

    @property
    def report(self) -> CaptureReport:
        files = self.scanned.table.ids
        count = len(files) // ID_BYTES
        if files.find(NO_ID) >= 0:
            count = sum(self.scanned.table.id(n) != NO_ID for n in range(count))
        return CaptureReport(
            files=count,
            folders=len(self.scanned.table.selection.folders),
            size_bytes=self.scanned.table.sizes[0],
            read_files=self.read_files,
            read_bytes=self.read_bytes,
            skipped=tuple(self.scanned.skipped),
            watched=tuple(sorted(self.watched)),
        )

    @property
    def entry(self) -> Entry:
        """The entry of all files; right after `put` or `identify`."""
        return _folder_entry(self.scanned, 0)

    def put(self, new: NewObjects, before: Entry | None) -> Entry:
        """Read what is not known, put what is not stored into *new*, give the entry of all files.

        Raises:
            WorkspaceUnreadable: files cannot be read, or do not hold still; none if
                `skip_unreadable`.
        """
        if before is None or before.id != self.scanned.known_root.hex():
            _verify(self.scanned, new)
        self._work(new)
        return self.entry

    def identify(self, *, remember: bool = True) -> Entry:
        """Give the entry that all files would have, and store nothing; *remember*: but the cache.
        Raises as `put`.
        """
        self._work(None, remember=remember)
        return self.entry

    def _work(self, new: NewObjects | None, *, remember: bool = True) -> None:
        self._read(new)
        made = _build(self.scanned)
        if new is not None:
            new.add_all(made)
        self.scanned.known_root = self.scanned.table.tree(0)
        if remember and (self.scanned.changed or self.read_files or made):
            stat_cache.save(
                self.cache, self.scanned.workspace.key(), self.scanned.table, self.scanned.seen_ns
            )
            self.scanned.changed = False

    def _read(self, new: NewObjects | None) -> None:
        scanned = self.scanned
        reader = FileReader(
            scanned.workspace.disk,
            scanned.workspace.root,
            scanned.workspace.limit_bytes,
            new,
            self.watch_for,
        )
        files = scanned.table.selection.files
        failed: dict[int, str] = {}
        for done in reader.read([(n, files[n], scanned.table.row(n)) for n in scanned.unread]):
            scanned.table.set_row(done.number, done.row)
            if done.watched:
                self.watched.append(files[done.number])
            if done.why:
                failed[done.number] = done.why
            elif done.id:
                scanned.table.ids[done.number * ID_BYTES : (done.number + 1) * ID_BYTES] = (
                    bytes.fromhex(done.id)
                )
                self.read_files += 1
                self.read_bytes += done.row[0]
                if new is not None and done.data is not None:
                    new.add(NewObject(ObjectKind.BLOB, done.id, done.data))
            elif done.row != GONE:
                scanned.too_large.append(done.number)
        scanned.unread, scanned.unreadable = sorted(failed), failed
        reasons = {
            skipped.path or ".": skipped.reason
            for skipped in scanned.table.selection.skipped
            if skipped.reason in (UNREADABLE, TOO_LONG)
        }
        reasons |= {files[n]: why for n, why in failed.items()}
        if reasons and not self.skip_unreadable:
            raise _unreadable(reasons)


def capture(
    store: Store,
    workspace: Workspace,
    *,
    skip_unreadable: bool = False,
    watch_for: Callable[[bytes], bool] | None = None,
) -> Capture:
    """Look at *workspace* for a snapshot into *store*; nothing is read before that is saved.

    Unchanged files, by the cache in the store, are not read at all, others once; `Capture.watched`
    says of which of those *watch_for* is true.

    Raises:
        UsageError: git is needed and is not there, or does not list the files.
    """
    cache = store.root / "cache"
    return Capture(
        scan(workspace, cache), cache_path(cache, workspace), skip_unreadable, watch_for=watch_for
    )


@dataclass(frozen=True, slots=True)
class _About:
    """How the files were found; known when they have been read."""

    of: Capture

    def put(self, new: NewObjects, before: Entry | None) -> Entry:
        del before
        encoded = codec.encode(_about(self.of.scanned), path="workspace")
        blob = ids.blob_id(encoded.data)
        new.add_all([NewObject(ObjectKind.BLOB, blob, encoded.data)])
        return Entry("value", blob, len(encoded.data))


def _about(scanned: Scan) -> Value:
    head = scanned.head
    return {
        "git": {"head": head.commit, "branch": head.branch, "upstream": head.upstream}
        if head
        else None,
        "globs": list(scanned.workspace.globs),
        "ignored": scanned.workspace.ignored,
        "limit_bytes": scanned.workspace.limit_bytes,
        "skipped": [[skipped.path, skipped.reason] for skipped in scanned.skipped],
    }


def _verify(scanned: Scan, new: NewObjects) -> None:
    """Take what the store does not hold (any more) for unknown: nothing says that it is there."""
    table = scanned.table
    large, unread = set(scanned.too_large), set(scanned.unread)
    below = children(scanned)
    for folder in range(len(table.selection.folders)):
        files = range(table.selection.first[folder], table.selection.first[folder + 1])
        missing = [
            n
            for n in files
            if n not in large and n not in unread and not new.is_stored(ObjectId(table.id(n).hex()))
        ]
        scanned.unread += missing
        wide = len(files) + len(below[folder]) > folders.WIDTH
        tree = table.tree(folder)
        if wide or tree == NO_ID or not new.is_stored(ObjectId(tree.hex())):
            scanned.dirty.add(folder)


def children(scanned: Scan) -> defaultdict[int, list[int]]:
    """Give the numbers of the folders in each folder."""
    paths = scanned.table.selection.folders
    numbers = {path: n for n, path in enumerate(paths)}
    below: defaultdict[int, list[int]] = defaultdict(list)
    for number, path in enumerate(paths):
        if path:
            below[numbers[path.rpartition("/")[0]]].append(number)
    return below


def _build(scanned: Scan) -> list[NewObject]:
    """Build the trees of the dirty folders, those in a folder before it; gives the nodes, children
    first.
    """
    made: list[NewObject] = []
    if not scanned.dirty:
        return made
    table, below = scanned.table, children(scanned)
    for folder in sorted(scanned.dirty, reverse=True):
        content = folder_content(scanned, folder, below[folder])
        if not content:
            table.trees[folder * ID_BYTES : (folder + 1) * ID_BYTES], table.sizes[folder] = NO_ID, 0
            continue
        built = folders.make(content)
        made += [NewObject(ObjectKind.TREE, node.id, node.data) for node in built.nodes]
        table.trees[folder * ID_BYTES : (folder + 1) * ID_BYTES] = bytes.fromhex(built.root)
        table.sizes[folder] = built.size
    scanned.dirty.clear()
    return made


def folder_content(scanned: Scan, folder: int, below: Iterable[int]) -> dict[str, Entry]:
    """Give the entries of a folder, *below* being the folders in it, whose trees are known."""
    table = scanned.table
    content: dict[str, Entry] = {}
    start = len(table.selection.folders[folder]) + 1 if folder else 0
    for number in range(table.selection.first[folder], table.selection.first[folder + 1]):
        raw = table.id(number)
        if raw != NO_ID:
            content[table.selection.files[number][start:]] = file_entry(raw, table.row(number))
    for number in below:
        content[table.selection.folders[number][start:]] = _folder_entry(scanned, number)
    return content


def file_entry(raw_id: bytes, row: Row) -> Entry:
    """Give the entry of a file."""
    mode = row[-1]
    note = LINK if stat.S_ISLNK(mode) else EXECUTABLE if mode & 0o100 else ""
    return Entry("blob", ObjectId(raw_id.hex()), row[0], note)


def _folder_entry(scanned: Scan, folder: int) -> Entry:
    tree = scanned.table.tree(folder)
    if tree == NO_ID:
        return Entry("note", tree_nodes.NO_OBJECT, 0, FOLDER)
    return Entry("tree", ObjectId(tree.hex()), scanned.table.sizes[folder])


def _short(path: str) -> str:
    return (
        path
        if len(path) <= _MOST_SHOWN
        else f"{path[: _MOST_SHOWN // 2]}…{path[-_MOST_SHOWN // 2 :]}"
    )


def _unreadable(reasons: dict[str, str]) -> WorkspaceUnreadable:
    shown = [f"{_short(path)}: {why}" for path, why in sorted(reasons.items())[:_SHOWN]]
    more = f"\n  and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    count = f"{len(reasons)} files or folders" if len(reasons) != 1 else "1 file or folder"
    return WorkspaceUnreadable(
        f"{count} of the workspace cannot be read:\n  " + "\n  ".join(shown) + more + "\n"
        "nothing was saved; make them readable, or have them ignored",
        reasons,
    )
