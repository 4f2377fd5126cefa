"""dulwich, git in Python: objects made and added as its object store tutorial does, a branch for
each run.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, ClassVar

from dulwich import porcelain
from dulwich.diff_tree import tree_changes
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from adapters.subject import content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapters.subject import State

# git stores fewer objects than this as files, more as a pack (`transfer.unpackLimit`).
_PACK_FROM = 100


class Dulwich:
    """Loose objects, or a pack where one save has many."""

    name: ClassVar[str] = "dulwich"
    durable: ClassVar[str] = "no"
    how: ClassVar[str] = (
        "`object_store.add_object` of blobs, tree and commit (100 and more: `add_objects`), a "
        "branch"
    )
    skips: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("large", "transcript"), "as the next row: most is zlib"
    )
    fsync: ClassVar[bool] = False

    def open(self, folder: Path) -> None:
        """Open or make a bare repository."""
        path = folder / "store"
        if not path.exists():
            path.mkdir(parents=True)
            repo = Repo.init_bare(str(path))
            config = repo.get_config()
            config.set((b"core",), b"fsyncObjectFiles", self.fsync)
            config.write_to_path()
            repo.close()
        self.repo = Repo(str(path))
        self.trees: dict[str, Tree] = {}

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Add blobs, then the tree, then the commit, then move the branch."""
        tree = self.trees.setdefault(run, Tree())
        blobs = []
        for name, piece in changed.items():
            blob = Blob.from_string(content(piece))
            tree.add(name.encode(), stat.S_IFREG | 0o644, blob.id)
            blobs.append(blob)
        ref = f"refs/heads/{run}".encode()
        parent = self.repo.refs[ref] if ref in self.repo.refs else None  # noqa: SIM401 - it has no get
        commit = Commit()
        commit.tree = tree.id
        commit.author = commit.committer = b"bench <bench@example.com>"
        commit.commit_time = commit.author_time = 1_700_000_000
        commit.commit_timezone = commit.author_timezone = 0
        commit.message = b"checkpoint"
        commit.parents = [parent] if parent else []
        store = self.repo.object_store
        if len(blobs) < _PACK_FROM:
            for added in (*blobs, tree, commit):
                store.add_object(added)
        else:
            store.add_objects([(added, None) for added in (*blobs, tree, commit)])
        self.repo.refs.set_if_equals(ref, parent, commit.id)
        return commit.id.decode()

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Read the tree and every blob of it."""
        tree = self.repo[self.repo[checkpoint.encode()].tree]
        return {entry.path.decode(): self.repo[entry.sha].data for entry in tree.iteritems()}

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Compare the trees, read the blobs that differ."""
        before, after = (self.repo[key.encode()].tree for key in (old, new))
        return {
            change.new.path.decode(): (
                self.repo[change.old.sha].data,
                self.repo[change.new.sha].data,
            )
            for change in tree_changes(self.repo.object_store, before, after)
        }

    def collect(self, keep: list[str]) -> None:
        """Remove the other branches, then collect without a grace period."""
        kept = {f"refs/heads/{run}".encode() for run in keep}
        for ref in self.repo.refs.keys(b"refs/heads/"):
            full = b"refs/heads/" + ref
            if full not in kept:
                self.repo.refs.remove_if_equals(full, None)
        porcelain.gc(self.repo, prune=True, grace_period=0)

    def close(self) -> None:
        """Close the packs."""
        self.repo.close()


class DulwichSynced(Dulwich):
    """The same with `core.fsyncObjectFiles`."""

    name: ClassVar[str] = "dulwich, fsync"
    durable: ClassVar[str] = "content"
    how: ClassVar[str] = "the same with `core.fsyncObjectFiles = true`"
    skips: ClassVar[Mapping[str, str]] = dict.fromkeys(("load", "diff", "gc"), "as the row before")
    fsync: ClassVar[bool] = True
