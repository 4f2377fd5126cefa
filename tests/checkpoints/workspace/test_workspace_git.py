"""What git refuses to say of a workspace: only that there is no repository means the rules without
git.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kit.repositories import Repository
from maverick import repositories
from maverick.checkpoints.workspace import open_workspace
from maverick.checkpoints.workspace.scan import Scan, scan
from maverick.errors import UsageError

MOUNT = (
    "fatal: not a git repository (or any parent up to mount point /)\nStopping at filesystem "
    "boundary"
)
DUBIOUS = (
    "fatal: detected dubious ownership in repository at '/x'\nTo add an exception …, call:\n\n"
    "\tgit config …"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace, in what seems to be a repository."""
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "in/kept").touch()
    (root / "in/left").touch()
    (root / "in/.gitignore").write_text("left\n")
    (root / ".git").mkdir()
    (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    return root / "in"


def answering(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make *text* all that git says; give the file of its arguments."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "said").write_text(text)
    (programs / "git").write_text(
        f'#!/bin/sh\necho "$@" >> {programs}/asked\ncat {programs}/said >&2\nexit 128\n'
    )
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs / "asked"


def look(folder: Path, tmp_path: Path) -> Scan:
    cache = tmp_path / "cache"
    cache.mkdir(exist_ok=True)
    return scan(open_workspace(folder), cache)


@pytest.mark.parametrize(
    "said", [MOUNT, "fatal: not a git repository: /gone", None], ids=["mount", "gone", "real"]
)
def test_no_repository_means_the_rules_without_git(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    """A folder with HEAD alone is none for the real git; so is one above a mount point."""
    if said is not None:
        answering(said, tmp_path, monkeypatch)

    found = look(folder, tmp_path)

    assert (None, [".gitignore", "kept"]) == (found.head, found.table.selection.files)


@pytest.mark.parametrize(
    "said", [DUBIOUS, "fatal: bad config line 1 in file .git/config", "fatal: not allowed"]
)
def test_any_other_refusal_is_an_error_with_gits_words(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    answering(said, tmp_path, monkeypatch)

    with pytest.raises(UsageError) as refused:
        look(folder, tmp_path)

    assert str(refused.value) == f"git cannot list the files of {folder}: {said}"


def test_a_repository_that_is_repaired_counts_at_the_next_look(tmp_path: Path) -> None:
    """What was found without git is not taken for what git would list."""
    repository = Repository(tmp_path / "root")
    repository.folder.mkdir()
    repository.git("init", "-q")
    repository.write(".git/info/exclude", "left\n")
    repository.write("kept")
    repository.write("left")
    shutil.move(repository.folder / ".git/objects", tmp_path / "objects")
    before = look(repository.folder, tmp_path).table.selection.files

    shutil.move(tmp_path / "objects", repository.folder / ".git/objects")

    after = look(repository.folder, tmp_path)
    assert (["kept", "left"], ["kept"]) == (before, after.table.selection.files)
    assert after.head is not None


@pytest.mark.parametrize("mark", ["empty folder", "dangling link"])
def test_a_mark_that_git_does_not_accept_is_none(tmp_path: Path, mark: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "kept").touch()
    (root / ".git").mkdir() if mark == "empty folder" else (root / ".git").symlink_to("nowhere")

    assert not open_workspace(root).git
    assert ["kept"] == look(root, tmp_path).table.selection.files


def test_git_is_told_which_repository_is_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(MOUNT, tmp_path, monkeypatch)
    monkeypatch.setattr(repositories, "_safe", {"/top": None})

    look(folder, tmp_path)

    assert all(
        line.startswith("-c safe.directory=/top ") for line in asked.read_text().splitlines()
    )


def test_a_user_without_a_home_has_workspaces(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docker --user 12345`, and nothing set."""

    def nobody(_uid: int) -> object:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    assert [".gitignore", "kept"] == look(folder, tmp_path).table.selection.files
    assert "HOME" not in os.environ
