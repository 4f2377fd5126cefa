"""What a checkpoint says of a workspace's files: the tree, how they were found, what it left out or
ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maverick.checkpoints.objects.ids import TreeId
from maverick.checkpoints.trees import folders
from maverick.checkpoints.workspace import ignore
from maverick.checkpoints.workspace.capture import ABOUT, FOLDER, LINK
from maverick.checkpoints.workspace.changes import files_of, tree_of
from maverick.checkpoints.workspace.finding import above, is_reserved, join
from maverick.checkpoints.workspace.ignore import Rules
from maverick.checkpoints.workspace.repository import Head
from maverick.checkpoints.workspace.stat_cache import Skipped
from maverick.errors import StoreDamaged, UsageError

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from maverick.checkpoints.store import Store
    from maverick.checkpoints.trees.snapshot import Snapshot
    from maverick.checkpoints.trees.tree_nodes import Entry

_NOTES = frozenset({"", "100755", LINK})


@dataclass(slots=True)
class Target:
    """The files of one checkpoint, as `load_target` finds them."""

    store: Store
    tree: TreeId | None
    head: Head | None
    globs: tuple[str, ...]
    ignored: bool
    skipped: dict[str, str]
    wanted: re.Pattern[bytes] | None
    _rules: dict[str, Rules] = field(default_factory=dict)
    _count: int = 0

    def entries(self, tree: TreeId, folder: str) -> dict[str, Entry]:
        """Give the entries of the folder *tree*, which stands at *folder*.

        Raises:
            StoreDamaged: a name or an entry is none that a snapshot writes, such as `..`.
            UsageError: there are more files than anybody could restore.
        """
        entries = folders.entries(self.store, tree)
        before, self._count = self._count, self._count + len(entries)
        if before < folders.COUNTED_FROM <= self._count:
            self._require_countable()
        for name, entry in entries.items():
            if not is_restorable(name, entry):
                raise StoreDamaged(
                    f"the checkpoint has {join(folder, name)!r}, which no workspace holds; "
                    "refusing it"
                )
        return entries

    def find(self, path: str) -> Entry | None:
        """Give the entry at *path* (not empty), or None."""
        return (
            folders.lookup(self.store, self.tree, tuple(path.split("/")))
            if self.tree is not None
            else None
        )

    def files(self, entry: Entry, path: str) -> Iterator[tuple[str, Entry]]:
        """Yield *entry*, which stands at *path*, or, if it is a folder, all files, links and empty
        folders in it.
        """
        todo = [(path, entry)]
        while todo:
            path, entry = todo.pop()
            tree = tree_of(entry)
            if tree is None:
                yield path, entry
            else:
                todo += [
                    (join(path, name), inner) for name, inner in self.entries(tree, path).items()
                ]

    def _require_countable(self) -> None:
        count = folders.count_paths(self.store, self.tree) if self.tree is not None else 0
        if count > folders.MOST_PATHS:
            raise UsageError(
                f"the checkpoint holds {count:,} files and folders, more than can be restored "
                f"({folders.MOST_PATHS:,}); name a part of it: `maverick checkpoint restore REV "
                "PATH`"
            )

    def reason_left_out(self, path: str) -> str:
        """Say why the checkpoint would not hold *path* even if it was there; empty if it would."""
        for folder in above(path)[:-1]:
            if folder in self.skipped:
                return f"not in the checkpoint: {self.skipped[folder]}"
        if self.wanted is not None and not ignore.matches(self.wanted, path):
            return "not one of the files that the checkpoint is of"
        return (
            "ignored when the checkpoint was made"
            if not self.ignored and self._ignores(path)
            else ""
        )

    def _ignores(self, path: str) -> bool:
        chain = above(path)[::-1][1:]  # from the top down
        last = len(chain) - 1
        return any(
            self._rules_in(path.rpartition("/")[0]).ignores(path, folder=number < last)
            for number, path in enumerate(chain)
        )

    def _rules_in(self, folder: str) -> Rules:
        for path in reversed(above(folder)) if folder not in self._rules else ():
            if path not in self._rules:
                rules = self._rules[path.rpartition("/")[0]] if path else Rules()
                entry = self.find(join(path, ignore.FILE_NAME))
                if entry is not None and entry.kind == "blob" and entry.note != LINK:
                    rules = rules.below(path, self.store.read(entry.id))
                self._rules[path] = rules
        return self._rules[folder]


def load_target(store: Store, snapshot: Snapshot) -> Target:
    """Give the files of the checkpoint of *snapshot*. Raises NotFound if it holds none, and
    StoreDamaged.
    """
    entry = files_of(snapshot)
    about = snapshot.value(ABOUT) if snapshot.find(ABOUT) is not None else {}
    match about:
        case dict():
            git, globs, skipped = about.get("git"), about.get("globs"), about.get("skipped")
        case _:
            raise StoreDamaged(
                "the checkpoint does not say how its files were found; run `maverick checkpoint "
                "fsck`"
            )
    names = tuple(str(glob) for glob in globs) if isinstance(globs, list) else ()
    return Target(
        store,
        tree_of(entry),
        _head(git) if isinstance(git, dict) else None,
        names,
        about.get("ignored") is True,
        {skip.path: skip.reason for skip in _skipped(skipped)},
        ignore.matcher(names) if names else None,
    )


def _head(git: Mapping[str, object]) -> Head:
    return Head(*(str(git.get(name, "")) for name in ("head", "branch", "upstream")))


def _skipped(rows: object) -> Iterator[Skipped]:
    for row in rows if isinstance(rows, list) else ():
        match row:
            case [str(path), str(reason)]:
                yield Skipped(path, reason)


def is_restorable(name: str, entry: Entry) -> bool:
    """Say whether *entry* may stand under *name* in a workspace: a file, link or folder of a safe
    name.
    """
    return is_safe(name) and _is_file_or_folder(entry)


def is_safe(name: str) -> bool:
    """Say whether a file of this name may be restored: it stays in its folder, and is not `.git` in
    any spelling.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    return not is_reserved(name)


def _is_file_or_folder(entry: Entry) -> bool:
    match entry.kind:
        case "blob":
            return entry.note in _NOTES
        case "note":
            return entry.note == FOLDER
        case "tree":
            return True
        case _:
            return False
