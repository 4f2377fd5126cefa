"""`git add && git commit` in a work tree, a branch for each run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, ClassVar

from adapters.git_process import Git

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapters.subject import State


class GitCommit:
    """A file for each entry; `git add --all`, `git commit`."""

    name: ClassVar[str] = "git commit"
    durable: ClassVar[str] = "no"
    how: ClassVar[str] = (
        "changed files, `git add --all`, `git commit`; only `.git` counts as stored; `git gc`"
    )
    skips: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("large", "transcript"), "as the next row: most is zlib"
    )
    settings: ClassVar[dict[str, str]] = {"gc.auto": "0"}

    def open(self, folder: Path) -> None:
        """Open or make the repository."""
        self.git = Git(folder, self.settings)
        self.run = ""

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Write the files that changed, add and commit."""
        if run != self.run:
            self.git.run("switch", "--quiet", "--orphan", run)
            self.run = run
        for name, piece in changed.items():
            if isinstance(piece, bytes):
                (self.git.work / name).write_bytes(piece)
            else:
                shutil.copyfile(piece, self.git.work / name)
        self.git.run("add", "--all")
        self.git.run("commit", "--quiet", "--allow-empty", "--message=checkpoint")
        return (self.git.folder / "refs" / "heads" / run).read_text("ascii").strip()

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Read a commit."""
        return self.git.load(checkpoint)

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Compare two commits."""
        return self.git.diff(old, new)

    def collect(self, keep: list[str]) -> None:
        """Collect garbage."""
        self.git.collect(keep)

    def close(self) -> None:
        """No process stays."""


class GitCommitSynced(GitCommit):
    """The same, with everything synced that an acknowledged commit leads to."""

    name: ClassVar[str] = "git commit, fsync"
    durable: ClassVar[str] = "content"
    how: ClassVar[str] = "the same with `core.fsync = committed,reference`"
    skips: ClassVar[Mapping[str, str]] = dict.fromkeys(("load", "diff", "gc"), "as the row before")
    settings: ClassVar[dict[str, str]] = {"gc.auto": "0", "core.fsync": "committed,reference"}
