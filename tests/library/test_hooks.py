"""Workflows that git's hooks run: what they do elsewhere happens there, and the user's repository
stays whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.program import SOURCES
from kit.repositories import Repository
from kit.runs import whole


class Hooked:
    """A repository `ours` with a linked worktree, in each of which a commit runs a workflow; beside
    it `site`.
    """

    def __init__(self, folder: Path, hook: str, steps: str) -> None:
        self.folder = folder
        self.site = self._made("site", "pages")
        self.ours = self._made("ours", "main")
        self.ours.write(".maverick/workflows/hooked.yaml", whole(steps, "hooked"))
        self.ours.git("add", "-A")
        self.ours.git("commit", "-qm", "workflow")
        self.ours.git("worktree", "add", "-q", "../linked", "-b", "linked")
        self.linked = Repository(folder / "linked")
        script = (
            f"[ -n \"$IN_HOOK\" ] && exit 0\nIN_HOOK=1 exec '{sys.executable}' -m maverick run "
            "hooked"
        )
        path = self.ours.folder / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _made(self, name: str, branch: str) -> Repository:
        repository = Repository(self.folder / name)
        repository.folder.mkdir()
        repository.git("init", "-q", "-b", branch)
        repository.commit("file", "v0\n", "v0")
        return repository

    def commit(self, repository: Repository, *options: str) -> str:
        """Commit a change there, with the hook; give what was printed."""
        repository.write("mine", "mine\n")
        repository.git("add", "mine")
        done = subprocess.run(
            ["git", "commit", "-m", "mine", *options],
            cwd=repository.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(SOURCES),
                "HOME": str(self.folder / "home"),
                "LANG": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


SITE = """
- {name: write, type: shell, cwd: ../site, run: "echo v1 > file"}
- {name: stage, type: python, action: git_stage_all, kwargs: {cwd: ../site}}
- {name: keep, type: python, action: git_commit, kwargs: {cwd: ../site, message: site v1}}
"""


@pytest.mark.parametrize("where", ["ours", "linked"])
def test_a_commit_for_another_repository_lands_there(tmp_path: Path, where: str) -> None:
    """From a linked worktree git gives its hooks GIT_DIR and GIT_INDEX_FILE, absolute."""
    hooked = Hooked(tmp_path, "post-commit", SITE)
    mine: Repository = getattr(hooked, where)

    said = hooked.commit(mine)

    assert (["mine"], ["site v1", "v0"]) == (mine.subjects()[:1], hooked.site.subjects()), said
    assert "" == mine.git("status", "--porcelain", "--untracked-files=no")


@pytest.mark.parametrize("where", ["ours", "linked"])
def test_a_worktree_is_made_whole_before_a_commit(tmp_path: Path, where: str) -> None:
    step = (
        "- {name: add, type: python, action: git_worktree, kwargs: {operation: add, name: one}}\n"
    )
    hooked = Hooked(tmp_path, "pre-commit", step)

    hooked.commit(getattr(hooked, where))

    added = hooked.ours.folder / ".maverick/worktrees/one"
    assert "v0\n" == (added / "file").read_text()
    assert "" == Repository(added).git("status", "--porcelain")


ELSEWHERE = """
- name: other
  type: shell
  run: |
    cd "$(mktemp -d -p ..)"
    git init -q -b temporary .
    echo x > x
    git add x
    git -c user.name=n -c user.email=n@n commit -qm temporary
"""
IN_PYTHON = """
- {name: other, type: python, action: "act:act"}
"""
ACTION = """
import subprocess, tempfile


def act():
    folder = tempfile.mkdtemp(dir="..")
    subprocess.run(["git", "init", "-q", folder], check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
"""


@pytest.mark.parametrize(
    "steps", [ELSEWHERE, IN_PYTHON, IN_PYTHON.replace('"}', '", timeout: 300}')]
)
def test_a_repository_that_a_step_makes_elsewhere_is_its_own(tmp_path: Path, steps: str) -> None:
    """It had set core.bare in the user's."""
    hooked = Hooked(tmp_path, "post-commit", steps)
    (hooked.linked.folder / "act.py").write_text(ACTION)

    said = hooked.commit(hooked.linked)

    assert "false" == hooked.ours.git("config", "core.bare"), said
    assert ["mine", "workflow", "v0"] == hooked.linked.subjects(), said
    assert "" == hooked.linked.git("status", "--porcelain", "--untracked-files=no")


@pytest.mark.parametrize("where", ["ours", "linked"])
@pytest.mark.parametrize("options", [(), ("-a",), ("file",)], ids=str)
def test_a_check_before_a_commit_sees_what_is_to_be_committed(
    tmp_path: Path, where: str, options: tuple[str, ...]
) -> None:
    """With `-a`, or files named, that stands in an index of its own."""
    hooked = Hooked(
        tmp_path,
        "pre-commit",
        "- {name: look, type: shell, run: git diff --cached --name-only > ../seen}",
    )
    mine: Repository = getattr(hooked, where)
    mine.write("file", "v1\n")

    hooked.commit(mine, *options)

    expected = {(): ["mine"], ("-a",): ["file", "mine"], ("file",): ["file"]}[options]
    assert expected == (tmp_path / "seen").read_text().split()
