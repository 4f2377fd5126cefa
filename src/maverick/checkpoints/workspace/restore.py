"""Makes the files of a workspace what they were in a checkpoint: first a plan, a value, then its
execution.

What is written and removed is in the plan and nothing else is: not `.git`, HEAD or the index, not
what is ignored, not what a snapshot leaves out. So a snapshot made before the execution holds all
that it undoes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.checkpoints.objects.parallel import batched
from maverick.checkpoints.workspace.capture import EXECUTABLE, LINK
from maverick.checkpoints.workspace.changes import (
    FileChange,
    change_of,
    is_empty_folder,
    mode_of,
    tree_of,
)
from maverick.checkpoints.workspace.comparison import FolderComparison
from maverick.checkpoints.workspace.finding import above
from maverick.checkpoints.workspace.reading import STREAMED_FROM_BYTES
from maverick.checkpoints.workspace.stat_cache import GONE, Row, Skipped
from maverick.checkpoints.workspace.target import Target, load_target
from maverick.checkpoints.workspace.tree_writer import Places, Tree
from maverick.errors import FilesDiffer, NotFound, UsageError, WorkspaceUnwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maverick.checkpoints.store import Store
    from maverick.checkpoints.trees.snapshot import Snapshot
    from maverick.checkpoints.trees.tree_nodes import Entry
    from maverick.checkpoints.workspace.repository import Head
    from maverick.checkpoints.workspace.scan import Workspace

_ADVICE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the disk reports an input/output error",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EILSEQ: "this file system does not take such a name",
}


@dataclass(frozen=True, slots=True)
class RestoreStep:
    """One file, link or empty folder that is written or removed; `before` is the row of what is
    there now.
    """

    path: str
    old: Entry | None
    new: Entry | None
    before: Row


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do. Making one changes nothing but the cache.

    `kept` is what differs and is left alone, with the reason. `head_then` and `head_now` say where
    the repository stood and stands; None where there is none.
    """

    root: str
    removes: tuple[RestoreStep, ...]
    writes: tuple[RestoreStep, ...]
    kept: tuple[Skipped, ...]
    unchanged: int
    head_then: Head | None
    head_now: Head | None
    store: Store = field(repr=False)
    emptied: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.removes and not self.writes

    @property
    def head_moved(self) -> bool:
        """Whether HEAD is at another commit than when the checkpoint was made."""
        return (
            self.head_then is not None
            and self.head_now is not None
            and self.head_then.commit != self.head_now.commit
        )

    @property
    def write_bytes(self) -> int:
        """The bytes of all files to be written."""
        return sum(step.new.size for step in self.writes if step.new is not None)

    @property
    def changes(self) -> list[FileChange]:
        """What becomes of each file that is written or removed, by path."""
        return sorted(
            (change_of(step.path, step.old, step.new) for step in (*self.removes, *self.writes)),
            key=lambda change: change.path,
        )

    def execute(self, *, head_may_differ: bool = False, places: Places | None = None) -> None:
        """Do it. Save a snapshot of the workspace first: restoring that one undoes this.

        Each file is the old one or the new one at any time, also if the process is killed; what is
        not synced to the disk a power failure may take. Nothing is written through a link.

        Raises:
            FilesDiffer: a file is not what it was when the plan was made, or HEAD moved; the rest
                was not done.
            WorkspaceUnwritable: a file cannot be written, such as on a full disk; the rest was not
                done.
            StoreDamaged: an object cannot be read; the rest was not done.
        """
        if self.head_moved and not head_may_differ:
            raise FilesDiffer(_moved(self.head_then, self.head_now))
        with _explained("open", self.root):
            Path(self.root).mkdir(parents=True, exist_ok=True)
            tree = Tree(self.root, places or Places())
        with closing(tree):
            for path in self.leftovers:
                with _explained("remove", path):
                    tree.remove(path)
            for step in self.removes:
                with _explained("remove", step.path):
                    _remove(tree, step)
            for path in self.emptied:
                with _explained("remove", path):
                    tree.remove_folder(path)
            small = [step for step in self.writes if _size(step) < STREAMED_FROM_BYTES]
            for step, data in batched(self._read, small, _size):
                with _explained("write", step.path):
                    _write(tree, step, [data])
            for step in self.writes:
                if step.new is not None and _size(step) >= STREAMED_FROM_BYTES:
                    with _explained("write", step.path):
                        _write(tree, step, self.store.read_chunks(step.new.id))

    def _read(self, steps: Sequence[RestoreStep]) -> list[bytes]:
        return [
            self.store.read(step.new.id) if step.new is not None and step.new.id else b""
            for step in steps
        ]


def plan_restore(
    store: Store,
    snapshot: Snapshot,
    workspace: Workspace,
    paths: Sequence[str] = (),
    *,
    remember: bool = True,
) -> RestorePlan:
    """Plan to make the files of *workspace* those of *snapshot*; only *paths* and what is below
    them, if given.

    Files that did not change by the cache are not read, others once. Not to *remember* is to leave
    the cache as it is, so that nothing at all is written.

    Raises:
        NotFound: the checkpoint holds no files, or one of *paths* is neither in it nor in the
            workspace.
        UsageError: git is needed and is not there; a path leads outside.
        WorkspaceUnwritable: names differ only in case, and this file system does not tell them
            apart.
        StoreDamaged: an object cannot be read, or is not what a snapshot writes.
    """
    target = load_target(store, snapshot)
    same = replace(
        workspace,
        globs=target.globs,
        ignored=target.ignored,
        git=workspace.git and not target.ignored,
    )
    comparison = FolderComparison(
        target, same, [_inside(path) for path in paths], remember=remember
    )
    comparison.compare()
    for path in comparison.unknown_paths():
        raise NotFound(
            f"there is no {path} in checkpoint {snapshot.checkpoint.id[:12]}, nor in "
            f"{workspace.root}"
        )
    writes = [
        RestoreStep(path, old, new, row)
        for path, (old, new, row) in sorted(comparison.writes.items())
    ]
    removes = [
        RestoreStep(path, old, None, row) for path, (old, row) in sorted(comparison.removes.items())
    ]
    return RestorePlan(
        root=workspace.root,
        removes=tuple(removes),
        writes=tuple(writes),
        kept=tuple(sorted(comparison.kept)),
        unchanged=comparison.now.report.files
        - sum(step.old is not None and bool(step.old.id) for step in writes + removes),
        head_then=target.head,
        head_now=comparison.now.scanned.head,
        store=store,
        emptied=_emptied(removes, comparison),
        leftovers=tuple(comparison.now.scanned.leftovers),
    )


def plan_copy(
    store: Store, snapshot: Snapshot, folder: Path, paths: Sequence[str] = ()
) -> RestorePlan:
    """Plan to write the files of *snapshot* into *folder*, which is empty or not there yet.

    Raises:
        NotFound: the checkpoint holds no files, or not one of *paths*.
        UsageError: *folder* holds something.
        StoreDamaged: an object cannot be read, or is not what a snapshot writes.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty; restore into a new folder, or without --to into the project"
        )
    target = load_target(store, snapshot)
    entries: dict[str, Entry] = {}
    for path in [_inside(path) for path in paths] or [""]:
        entry = target.find(path) if path else None
        if path and entry is None:
            raise NotFound(f"there is no {path} in checkpoint {snapshot.checkpoint.id[:12]}")
        if entry is not None:
            entries.update(target.files(entry, path))
        elif target.tree is not None:
            for name, inner in target.entries(target.tree, "").items():
                entries.update(target.files(inner, name))
    writes = tuple(RestoreStep(path, None, entry, GONE) for path, entry in sorted(entries.items()))
    return RestorePlan(str(folder.absolute()), (), writes, (), 0, target.head, None, store)


def plan_missing(store: Store, entry: Entry, root: Path) -> RestorePlan:
    """Plan to write those files of the folder *entry* into *root* that are not there.

    Raises:
        StoreDamaged: an object cannot be read, or is not what a snapshot writes.
    """
    target = Target(store, tree_of(entry), None, (), ignored=True, skipped={}, wanted=None)
    files = target.files(entry, "") if target.tree is not None else iter(())
    missing = [(path, entry) for path, entry in files if not os.path.lexists(root / path)]
    writes = tuple(RestoreStep(path, None, entry, GONE) for path, entry in sorted(missing))
    return RestorePlan(str(root), (), writes, (), 0, None, None, store)


def _inside(path: str) -> str:
    """Give a path that a user gave, relative and without `.`; an empty one means everything."""
    normal = os.path.normpath(path)
    if os.path.isabs(normal) or normal == ".." or normal.startswith("../"):  # noqa: PTH117 - text, no path on disk
        raise UsageError(f"{path} leads out of the workspace; give paths relative to it")
    return "" if normal == "." else normal


def _emptied(removes: Sequence[RestoreStep], comparison: FolderComparison) -> tuple[str, ...]:
    """Give the folders that may be empty when *removes* are done, and are not in the checkpoint;
    deepest first.
    """
    touched = {folder for step in removes for folder in above(step.path)[1:-1]}
    gone = [folder for folder in touched if not comparison.has_folder(folder)]
    return tuple(sorted(gone, key=lambda folder: (-folder.count("/"), folder)))


def _size(step: RestoreStep) -> int:
    return step.new.size if step.new is not None else 0


def _remove(tree: Tree, step: RestoreStep) -> None:
    if step.old is not None and is_empty_folder(step.old):
        tree.remove_folder(step.path)
        return
    _require_same(tree, step)
    tree.remove(step.path)


def _write(tree: Tree, step: RestoreStep, parts: Iterable[bytes]) -> None:
    if step.new is None or is_empty_folder(step.new):
        tree.folder(step.path, make=True)
        return
    tree.folder(step.path.rpartition("/")[0], make=True)
    _require_same(tree, step)
    mode = mode_of(step.new)
    if mode == LINK:
        tree.put_link(step.path, b"".join(parts))
    else:
        tree.put_file(step.path, parts, executable=mode == EXECUTABLE, before=step.before)


def _require_same(tree: Tree, step: RestoreStep) -> None:
    """Raise FilesDiffer unless what is at the step's path is what was there when the plan was
    made.
    """
    if tree.row(step.path) != step.before:
        raise FilesDiffer(
            f"{step.path} changed since the restore was planned, so it was left alone, and the "
            "rest was not done; plan it again, or go back with `maverick undo`"
        )


def _moved(then: Head | None, now: Head | None) -> str:
    was, is_now = (
        f"{head.commit[:12] or 'no commit'} ({head.branch or 'detached'})" if head else ""
        for head in (then, now)
    )
    return (
        f"HEAD was at {was} when the checkpoint was made and is at {is_now} now; nothing was "
        "restored; go back to that commit first, or say that the files are to be restored all "
        "the same"
    )


@contextmanager
def _explained(action: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = _ADVICE.get(error.errno or 0) or (error.strerror or str(error)).lower()
        raise WorkspaceUnwritable(
            f"cannot {action} {path}: {why}; what stands before it is restored, the rest is not; "
            "mend that and restore again, or go back with `maverick undo`"
        ) from error
