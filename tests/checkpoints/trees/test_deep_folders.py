"""Folders in folders, as deep as a file system takes them: saved and restored, or refused by
name.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kit.stores import take_in
from kit.workspaces import Project, git
from maverick.checkpoints import Store, blob, exports
from maverick.checkpoints.objects.ids import TreeId
from maverick.checkpoints.trees.folders import count_paths, walk
from maverick.checkpoints.workspace import diff_files, plan_copy, plan_restore
from maverick.errors import UsageError, WorkspaceUnreadable

LEVELS = 1400
"""As long a path as Linux takes in one call has room for 2,000 of them."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield Project(tmp_path)
    subprocess.run(["rm", "-rf", tmp_path / "project", tmp_path / "copy"], check=True)


def _dig(root: Path, levels: int, text: str) -> None:
    """Put a file of *text* under so many folders."""
    folder = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        with suppress(FileExistsError):
            os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    with os.fdopen(os.open("f", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, dir_fd=folder), "w") as file:
        file.write(text)
    os.close(folder)


def _found(root: Path) -> dict[int, str]:
    """The texts of the files by how deep they are."""
    found: dict[int, str] = {}
    folder, level = os.open(root, os.O_RDONLY), 0
    while True:
        names = os.listdir(folder)  # noqa: PTH208 - of a descriptor
        if "f" in names:
            with os.fdopen(os.open("f", os.O_RDONLY, dir_fd=folder)) as file:
                found[level] = file.read()
        if "d" not in names:
            os.close(folder)
            return found
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder, level = inner, level + 1


@pytest.mark.parametrize("with_git", [False, True])
def test_deep_folders_are_saved_compared_restored_and_go_elsewhere(
    project: Project, tmp_path: Path, with_git: bool
) -> None:
    """By each way that walks through them; a process has fewer files open than there are
    folders.
    """
    if with_git:
        git(project.root, "init", "-q")
        project.options["git"] = True
    _dig(project.root, LEVELS, "one")
    _dig(project.root, 3, "near")
    project.save()
    store, first = project.store, project.tip
    assert first is not None
    store.tag("run", "first", first)
    _dig(project.root, LEVELS, "another")
    project.save()

    (change,) = diff_files(store, store.load("run@first"), store.load("run"))
    assert ("d/" * LEVELS + "f", "changed") == (change.path, change.change)
    subprocess.run(["rm", "-rf", project.root / "d"], check=True)
    project.restore("run@first")
    assert {3: "near", LEVELS: "one"} == _found(project.root)

    exports.export(store, first, tmp_path / "file")
    there = Store.create(tmp_path / "there")
    take_in(there, tmp_path / "file")
    assert [] == list(there.check(read_data=True))
    plan_copy(there, there.load("run"), tmp_path / "copy").execute()
    assert {3: "near", LEVELS: "one"} == _found(tmp_path / "copy")
    tree = TreeId(there.load("run").entry("workspace").id)
    assert LEVELS + 2 == count_paths(there, tree) == sum(1 for _ in walk(there, tree))
    assert there.plan_gc().removed_objects == 0


def test_one_folder_in_the_place_of_deep_ones(project: Project) -> None:
    """What is removed is as deep as what is written."""
    project.put("d", "a file")
    project.save()
    (project.root / "d").unlink()
    _dig(project.root, LEVELS, "deep")
    project.save()

    project.restore("run~1")
    assert ["d"] == [path.name for path in project.root.iterdir()]
    project.restore("run")
    assert {LEVELS: "deep"} == _found(project.root)


def test_paths_that_the_system_does_not_take_are_refused_by_name(project: Project) -> None:
    """A file that deep can be made step by step; a checkpoint that left it out in silence would
    lose it.
    """
    project.put("near", "kept")
    _dig(project.root, 5000, "deep")

    with pytest.raises(WorkspaceUnreadable) as caught:
        project.save()
    assert "1 file or folder of the workspace cannot be read:\n  d/d/" in str(caught.value)
    assert "its path is longer than the system takes (4,095 bytes" in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 400
    assert [] == project.store.refs()

    report = project.save(skip_unreadable=True)
    assert "near" in project.saved()
    assert 1 == len(report.skipped)
    (project.root / "near").unlink()
    project.restore("run")
    assert "kept" == (project.root / "near").read_text()
    assert {5000: "deep"} == _found(project.root)


def test_a_file_that_nobody_may_look_at_is_not_left_out_in_silence(project: Project) -> None:
    """As in a folder that may be listed, but not entered."""
    project.put("shut/a", "x")
    project.put("b", "y")
    real = os.lstat

    def lstat(path: str, **options: object) -> os.stat_result:
        if str(path).startswith(f"{project.root}/shut/"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "lstat", lstat)
        with pytest.raises(WorkspaceUnreadable, match="shut/a: permission denied"):
            project.save()
        report = project.save(skip_unreadable=True)

    assert [("shut/a", "permission denied")] == [(it.path, it.reason) for it in report.skipped]
    assert ["b", "shut"] == sorted(project.saved())
    plan_restore(project.store, project.store.load("run"), project.workspace).execute()
    assert "x" == (project.root / "shut/a").read_text()


def test_a_change_of_more_names_than_can_be_nested_is_refused(tmp_path: Path) -> None:
    """Before anything is written. Files are set as a whole, as deep as they are."""
    store = Store.create(tmp_path / "store")
    with pytest.raises(UsageError, match="a change may be 200 names deep, this one has 201"):
        store.save("r", {("d",) * 201: blob(b"")}, parent=None)
    store.save("r", {("d",) * 200: blob(b"")}, parent=None)
    assert [] == list(store.check())
