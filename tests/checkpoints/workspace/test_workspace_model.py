"""Random histories of a folder: each snapshot is compared with a plain copy, each restore brings
that copy back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kit.workspaces import Project, Tree, git, look

names = st.sampled_from(["a", "b", "c", os.fsdecode(b"\xff"), "new\nline", "A"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
contents = st.sampled_from([b"", b"x", b"y", b"text\n" * 100])


def _names_by_folder(tree: Tree) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for path in tree:
        folder = path
        while folder:
            folder, _, name = folder.rpartition("/")
            names.setdefault(folder, set()).add(name)
    return names


class Histories(RuleBasedStateMachine):
    """A folder that is changed at random, with snapshots of it and the copies that they should
    be.
    """

    @initialize(use_git=st.booleans())
    def start(self, use_git: bool) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.project = Project(self.folder, git=use_git)
        self.root = self.project.root
        self.copies: list[Tree] = []
        self.settled: Tree = {}
        self.time = 1_600_000_000_000_000_000
        self.project.put(
            ".maverick/agents/own.md", "never saved, never restored, whatever git lists"
        )
        if use_git:
            git(self.root, "init", "-q")

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def _clear(self, path: str) -> Path:
        """Remove what is at *path*, and what is no folder on the way there."""
        at = self.root
        for name in path.split("/")[:-1]:
            at /= name
            if at.is_symlink() or at.is_file():
                at.unlink()
        at = self.root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        if at.is_dir() and not at.is_symlink():
            shutil.rmtree(at)
        elif os.path.lexists(at):
            at.unlink()
        return at

    @rule(path=paths, content=contents, executable=st.booleans())
    def write(self, path: str, content: bytes, executable: bool) -> None:
        at = self._clear(path)
        at.write_bytes(content)
        at.chmod(0o755 if executable else 0o644)

    @rule(path=paths, content=contents)
    def append(self, path: str, content: bytes) -> None:
        at = self.root / path
        if at.is_file() and not at.is_symlink() and self._is_inside(at):
            with at.open("ab") as file:
                file.write(content)

    @rule(path=paths, executable=st.booleans())
    def chmod(self, path: str, executable: bool) -> None:
        at = self.root / path
        if at.is_file() and not at.is_symlink() and self._is_inside(at):
            at.chmod(0o755 if executable else 0o644)

    @rule(path=paths)
    def remove(self, path: str) -> None:
        self._clear(path)

    @rule(path=paths)
    def make_folder(self, path: str) -> None:
        self._clear(path).mkdir()

    @rule(path=paths, leads_to=st.sampled_from(["a", "..", "/nowhere", "b/c", "."]))
    def link(self, path: str, leads_to: str) -> None:
        self._clear(path).symlink_to(leads_to)

    @rule(source=paths, aim=paths)
    def rename(self, source: str, aim: str) -> None:
        inside = aim == source or aim.startswith(source + "/") or source.startswith(aim + "/")
        if (
            not inside
            and os.path.lexists(self.root / source)
            and self._is_inside(self.root / source)
        ):
            new = self._clear(aim)
            if os.path.lexists(self.root / source):
                (self.root / source).rename(new)

    def _is_inside(self, at: Path) -> bool:
        """Say whether the path goes through no link."""
        return at.parent.resolve() == at.parent

    def _settle(self) -> None:
        """Give what changed times of its own: the clock of a file system may be slower than this
        test.

        A folder changes when a name comes or goes in it, and not by what happens further below.
        """
        now = look(self.root)
        changed = {
            path
            for path in now.keys() | self.settled.keys()
            if now.get(path) != self.settled.get(path)
        }
        before, after = _names_by_folder(self.settled), _names_by_folder(now)
        changed |= {
            folder
            for folder in before.keys() | after.keys()
            if before.get(folder) != after.get(folder)
        }
        for path in sorted(changed):
            if os.path.lexists(self.root / path):
                self.time += 1_000_000
                os.utime(self.root / path, ns=(self.time, self.time), follow_symlinks=False)
        self.settled = now

    def _restore(self, revision: str) -> None:
        self._settle()
        self.project.restore(revision)
        self._settle()

    @rule()
    def snapshot(self) -> None:
        self._settle()
        self.project.save()
        self.copies.append(look(self.root))

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        back = data.draw(st.integers(0, len(self.copies) - 1))
        self._restore(f"run~{back}")
        assert self.copies[-1 - back] == look(self.root)

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def restore_and_undo(self, data: st.DataObject) -> None:
        self.snapshot()
        before = look(self.root)
        self.restore(data)
        self._restore("run")
        assert before == look(self.root)

    @precondition(lambda self: self.copies)
    @rule()
    def save_again(self) -> None:
        self.snapshot()
        self.project.disk.names()
        self.snapshot()
        assert [] == self.project.disk.names()


Histories.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestHistories = Histories.TestCase
