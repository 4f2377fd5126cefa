"""What a restore writes and removes, what it leaves alone, and what holds when it is stopped."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from kit.faults import Killed
from kit.workspaces import CrashingPlaces, FullPlaces, Project, WatchedPlaces, git, later, look
from maverick.checkpoints import blob, note
from maverick.checkpoints.workspace import (
    Skipped,
    diff_files,
    open_workspace,
    plan_copy,
    plan_restore,
)
from maverick.checkpoints.workspace.comparison import FolderComparison
from maverick.errors import FilesDiffer, NotFound, StoreDamaged, UsageError, WorkspaceUnwritable


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.put("same", "same")
    made.put("changed", "old")
    made.put("removed/deep/file", "old")
    made.put("mode", "#!/bin/sh\n")
    made.put("becomes/folder", "file in a folder")
    made.put("file", "becomes a folder")
    (made.root / "link").symlink_to("same")
    (made.root / "empty").mkdir()
    made.save()
    return made


def _work(project: Project) -> None:
    """Change everything there is to change."""
    root = project.root
    project.put("changed", "new")
    shutil.rmtree(root / "removed")
    (root / "mode").chmod(0o755)
    shutil.rmtree(root / "becomes")
    project.put("becomes", "a file now")
    (root / "file").unlink()
    project.put("file/inside", "new")
    project.put("added/deep/file", "new")
    (root / "link").unlink()
    (root / "link").symlink_to("/etc")
    (root / "empty").rmdir()
    (root / "other").mkdir()


def test_a_restore_puts_everything_back_and_can_be_undone(project: Project) -> None:
    """Files, modes, links, empty folders, files in the place of folders and the other way round."""
    before = look(project.root)
    _work(project)
    after = look(project.root)
    project.save()

    project.restore("run~1")
    assert before == look(project.root)
    project.restore("run")

    assert after == look(project.root)


def test_the_plan_says_what_becomes_of_each_file(project: Project) -> None:
    """And making it changes nothing."""
    _work(project)
    before = look(project.root)

    plan = plan_restore(project.store, project.store.load("run"), project.workspace)

    assert before == look(project.root)
    assert {
        "added/deep/file": ("removed", "100644", ""),
        "becomes": ("removed", "100644", ""),
        "becomes/folder": ("added", "", "100644"),
        "changed": ("changed", "100644", "100644"),
        "empty": ("added", "", "040000"),
        "file": ("added", "", "100644"),
        "file/inside": ("removed", "100644", ""),
        "link": ("changed", "120000", "120000"),
        "mode": ("mode", "100755", "100644"),
        "other": ("removed", "040000", ""),
        "removed/deep/file": ("added", "", "100644"),
    } == {it.path: (it.change, it.old_mode, it.new_mode) for it in plan.changes}
    assert (1, (), False) == (plan.unchanged, plan.kept, plan.is_empty)


def test_the_difference_of_two_checkpoints_is_that_of_the_plan(project: Project) -> None:
    """One kind of change for both."""
    _work(project)
    plan = plan_restore(project.store, project.store.load("run"), project.workspace)
    project.save()

    found = diff_files(project.store, project.store.load("run"), project.store.load("run~1"))

    assert plan.changes == sorted(found, key=lambda change: change.path)


def test_a_plan_reads_only_what_changed_and_an_empty_one_does_nothing(project: Project) -> None:
    """Equal folders are neither read from the disk nor from the store."""
    project.disk.names()
    assert plan_restore(project.store, project.store.load("run"), project.workspace).is_empty
    assert [] == project.disk.names()
    project.put("changed", "new")

    plan_restore(project.store, project.store.load("run"), project.workspace)

    assert ["changed"] == project.disk.names()


def test_paths_restrict_a_restore(project: Project) -> None:
    """A file, or a folder with all that is in it."""
    before = look(project.root)
    _work(project)
    now = look(project.root)

    project.restore("run", paths=("removed", "./changed", "added/"))

    restored = {
        **now,
        "changed": before["changed"],
        "removed/deep/file": before["removed/deep/file"],
    }
    del restored["added/deep/file"]
    assert restored == look(project.root)
    with pytest.raises(NotFound, match="there is no nowhere"):
        project.restore("run", paths=("nowhere",))
    with pytest.raises(UsageError, match="leads out"):
        project.restore("run", paths=("../x",))


def test_a_checkpoint_without_files_cannot_be_restored(project: Project) -> None:
    """Nothing is removed because of it."""
    project.store.save("other", {("steps", "a"): note("done")}, parent=None)

    with pytest.raises(NotFound, match="holds no files"):
        project.restore("other")


def test_ignored_files_stay_as_they_are(tmp_path: Path) -> None:
    """Whether they are ignored now, or were when the checkpoint was made: no snapshot holds
    them.
    """
    project = Project(tmp_path)
    project.put(".gitignore", "*.old\n")
    project.put("a.old", "ignored then")
    project.put("a.new", "in the checkpoint")
    project.put("out/a", "a")
    project.save()
    project.put(".gitignore", "*.new\nkept/\n")
    project.put("a.new", "changed, and ignored now")
    project.put("b.old", "not ignored now, but then")
    project.put("out/x.new", "ignored in a folder that goes")
    project.put("kept/x", "ignored")
    before = look(project.root)
    project.save()

    plan = plan_restore(project.store, project.store.load("run~1"), project.workspace)
    plan.execute()

    ignored_then = "ignored when the checkpoint was made"
    expected = [
        Skipped("a.new", "ignored now"),
        Skipped("a.old", ignored_then),
        Skipped("b.old", ignored_then),
    ]
    assert expected == list(plan.kept)[:3]
    assert {**before, ".gitignore": ("file", b"*.old\n")} == {
        **look(project.root),
        "kept/x": ("file", b"ignored"),
    }


def test_undoing_a_restore_that_changes_the_rules_removes_nothing_of_what_they_hid(
    tmp_path: Path,
) -> None:
    """What was ignored before and is not any more is in no snapshot; its absence there means
    nothing.
    """
    project = Project(tmp_path)
    project.put("a", "a")
    project.save()
    project.put(".gitignore", "*.local\n")
    project.put("my.local", "precious")
    before = look(project.root)
    project.save()
    project.restore("run~1")
    assert (project.root / "my.local").exists()

    project.restore("run")

    assert before == look(project.root)


def test_what_a_snapshot_leaves_out_stays(tmp_path: Path) -> None:
    """Too large then or now, nested repositories, and all that is in them."""
    project = Project(tmp_path, limit_bytes=100)
    project.put("large", "x" * 101)
    project.put("grows", "small")
    project.put("tree/file", "in the checkpoint")
    project.save()
    project.put("large", "small now")
    project.put("grows", "x" * 101)
    shutil.rmtree(project.root / "tree")
    project.put("tree/own", "of another repository")
    git(project.root / "tree", "init", "-q")
    before = look(project.root)
    project.save()

    plan = plan_restore(project.store, project.store.load("run~1"), project.workspace)
    plan.execute()

    assert before == look(project.root)
    reasons = {it.path: it.reason for it in plan.kept}
    assert "not in the checkpoint: larger than 100 bytes" == reasons["large"]
    assert "larger than 100 bytes" == reasons["grows"]
    assert "nested repository" == reasons["tree/file"]


def test_a_folder_with_ignored_files_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """They are in no snapshot, so nothing could bring them back."""
    project = Project(tmp_path)
    project.put(".gitignore", "*.log\n")
    project.put("place", "a file")
    project.save()
    (project.root / "place").unlink()
    project.put("place/a.log", "precious")
    project.put("place/b", "b")
    project.save()

    plan = plan_restore(project.store, project.store.load("run~1"), project.workspace)
    plan.execute()

    assert [Skipped("place", "a folder with place/a.log is in its way")] == list(plan.kept)
    assert [".gitignore", "place/a.log"] == sorted(look(project.root))


def test_git_itself_is_never_touched(tmp_path: Path) -> None:
    """Neither `.git` with HEAD and the index, nor anything that only looks like it."""
    project = Project(tmp_path, git=None)
    git(project.root, "init", "-q")
    project.put("a", "a")
    git(project.root, "add", "a")
    git(project.root, "commit", "-qm", "first")
    project.save()
    project.put("a", "staged")
    git(project.root, "add", "a")
    project.put("b", "untracked")
    before = {
        path: path.read_bytes()
        for path in sorted((project.root / ".git").rglob("*"))
        if path.is_file()
    }

    project.restore("run")

    assert {"a": ("file", b"a")} == look(project.root)
    assert before == {
        path: path.read_bytes()
        for path in sorted((project.root / ".git").rglob("*"))
        if path.is_file()
    }


def test_a_head_that_moved_needs_an_explicit_choice(tmp_path: Path) -> None:
    """Files of one commit in the working tree of another look like edits nobody made."""
    project = Project(tmp_path, git=None)
    git(project.root, "init", "-q", "-b", "main")
    project.put("a", "a")
    git(project.root, "add", "a")
    git(project.root, "commit", "-qm", "first")
    project.save()
    project.put("a", "b")
    git(project.root, "commit", "-qam", "second")

    plan = plan_restore(project.store, project.store.load("run"), project.workspace)
    assert plan.head_moved
    with pytest.raises(FilesDiffer, match="HEAD was at"):
        plan.execute()
    assert {"a": ("file", b"b")} == look(project.root)
    plan.execute(head_may_differ=True)

    assert {"a": ("file", b"a")} == look(project.root)


class SwappingPlaces(WatchedPlaces):
    """Replaces a folder by a link to another one ahead of an operation."""

    def __init__(self, folder: Path, outside: Path, after: int) -> None:
        super().__init__()
        self.folder, self.outside, self.after = folder, outside, after

    def before(self, operation: str) -> None:
        if len(self.done) == self.after and not self.folder.is_symlink() and self.folder.exists():
            self.folder.rename(self.folder.with_name("moved"))
            self.folder.symlink_to(self.outside)
        super().before(operation)


def test_a_link_swapped_for_a_folder_leads_nowhere(tmp_path: Path) -> None:
    """At whichever operation it happens, nothing outside is written or removed."""
    project = Project(tmp_path)
    for number in range(3):
        project.put(f"sub/{number}", "old")
        project.put(f"sub/gone{number}", "old")
    project.save()
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(3):
        (outside / str(number)).write_text("precious")
        (outside / f"more{number}").write_text("precious")
    before = look(outside)
    pristine = tmp_path / "pristine"
    shutil.copytree(project.root, pristine)
    for after in range(20):
        shutil.rmtree(project.root)
        shutil.copytree(pristine, project.root)
        for number in range(3):
            project.put(f"sub/{number}", "new")
            (project.root / f"sub/gone{number}").unlink()
            project.put(f"sub/more{number}", "new")
        with suppress(FilesDiffer):
            project.restore("run", SwappingPlaces(project.root / "sub", outside, after))

        assert before == look(outside)


def test_a_folder_that_is_a_link_is_not_written_through(project: Project, tmp_path: Path) -> None:
    """A link to a folder outside stands where the checkpoint has a folder: the link goes, the
    folder comes.
    """
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "deep").mkdir()
    (outside / "deep" / "file").write_text("precious")
    before = look(project.root)
    shutil.rmtree(project.root / "removed")
    (project.root / "removed").symlink_to(outside)

    project.restore("run")

    assert before == look(project.root)
    assert {"deep/file": ("file", b"precious")} == look(outside)


def test_what_changed_since_the_plan_is_not_overwritten(project: Project) -> None:
    """Somebody else works in the folder too, and no snapshot holds that."""
    _work(project)
    plan = plan_restore(project.store, project.store.load("run"), project.workspace)
    project.put("changed", "precious")

    with pytest.raises(FilesDiffer, match="changed changed since"):
        plan.execute()

    assert "precious" == (project.root / "changed").read_text()


def test_a_new_file_in_the_place_of_a_restored_one_is_not_overwritten(project: Project) -> None:
    """Also when nothing was there."""
    shutil.rmtree(project.root / "removed")
    plan = plan_restore(project.store, project.store.load("run"), project.workspace)
    project.put("removed/deep/file", "precious")

    with pytest.raises(FilesDiffer, match="removed/deep/file changed since"):
        plan.execute()


def test_a_restore_killed_anywhere_leaves_each_file_old_or_new_and_can_be_undone(
    project: Project,
) -> None:
    """Ahead of each operation, a write half done; then the snapshot made before puts everything
    back.
    """
    before = look(project.root)
    _work(project)
    after = look(project.root)
    project.save()
    pristine = project.root.with_name("pristine")
    shutil.copytree(project.root, pristine, symlinks=True)
    project.restore("run~1", counted := WatchedPlaces())
    assert 20 < len(counted.done)
    for number in range(len(counted.done)):
        shutil.rmtree(project.root)
        shutil.copytree(pristine, project.root, symlinks=True)
        with pytest.raises(Killed):
            project.restore("run~1", CrashingPlaces(number))
        for path, found in look(project.root).items():
            whole = (before.get(path), after.get(path), ("folder", b""))
            assert ".maverick-restore-" in path or found in whole

        project.restore("run")
        assert after == look(project.root)
        if number % 5 == 0:
            project.restore("run~1")
            assert before == look(project.root)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_fills_up_leaves_each_file_whole_and_no_other_behind(
    project: Project, code: int
) -> None:
    """The error says what to do; when there is space again, both ways are open."""
    before = look(project.root)
    _work(project)
    after = look(project.root)
    project.save()
    failed = 0
    for number in range(30):
        places = FullPlaces(number, code)
        with suppress(WorkspaceUnwritable):
            project.restore("run~1", places)
        failed += places.failed
        assert places.failed == (before != look(project.root))
        for path, found in look(project.root).items():
            assert found in (before.get(path), after.get(path), ("folder", b""))
        project.restore("run")
        assert after == look(project.root)
    assert 10 < failed


def test_restored_files_keep_what_else_their_permissions_say(project: Project) -> None:
    """A private file stays private, a new one is as the umask has it, and other names of a file
    keep theirs.
    """
    (project.root / "changed").write_text("new")
    (project.root / "changed").chmod(0o600)
    other = project.root.parent / "other name"
    os.link(project.root / "mode", other)
    (project.root / "mode").chmod(0o755)
    shutil.rmtree(project.root / "removed")

    project.restore("run")

    mask = os.umask(0)
    os.umask(mask)
    assert 0o600 == (project.root / "changed").stat().st_mode & 0o777
    assert 0o666 & ~mask == (project.root / "removed/deep/file").stat().st_mode & 0o777
    assert (0o644, 0o755) == (
        (project.root / "mode").stat().st_mode & 0o777,
        other.stat().st_mode & 0o777,
    )


def test_a_checkpoint_can_be_restored_into_another_folder(project: Project, tmp_path: Path) -> None:
    """Which must not hold anything."""
    target = tmp_path / "elsewhere" / "copy"

    plan_copy(project.store, project.store.load("run"), target).execute()

    assert look(project.root) == look(target)
    with pytest.raises(UsageError, match="is not empty"):
        plan_copy(project.store, project.store.load("run"), target)
    plan_copy(
        project.store, project.store.load("run"), tmp_path / "part", ["removed", "link"]
    ).execute()
    assert ["link", "removed/deep/file"] == sorted(look(tmp_path / "part"))


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", ".git", ".GIT", ".Maverick", "nul\0", ".gi\u200dt"]
)
def test_a_name_that_leads_outside_or_into_git_is_refused(project: Project, name: str) -> None:
    """Somebody may have made the checkpoint by other means."""
    project.store.save("evil", {("workspace", name): blob(b"x")}, parent=None)
    before = look(project.root)

    with pytest.raises(StoreDamaged, match="refusing"):
        project.restore("evil")

    assert before == look(project.root)
    with pytest.raises(StoreDamaged, match="refusing"):
        plan_copy(project.store, project.store.load("evil"), project.root.parent / "copy")


def test_names_that_differ_only_in_case_are_refused_where_they_are_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the two files would be lost."""
    project.put("sub/Readme", "1")
    project.put("sub/README", "2")
    project.save()
    shutil.rmtree(project.root / "sub")
    project.restore("run")
    assert {"sub/Readme", "sub/README"} < look(project.root).keys()
    shutil.rmtree(project.root / "sub")
    monkeypatch.setattr(FolderComparison, "folds_case", lambda _: True)

    with pytest.raises(WorkspaceUnwritable, match="differ only in case"):
        project.restore("run")


def test_restoring_globs_touches_nothing_else(tmp_path: Path) -> None:
    """What the checkpoint was not asked to hold is not missing from it."""
    project = Project(tmp_path, globs=("src/**/*.py",))
    project.put("src/a.py", "old")
    project.put("src/a.txt", "old")
    project.save()
    for path in ("src/a.py", "src/b.py", "src/a.txt", "other"):
        project.put(path, "new")

    project.restore("run")

    assert {"src/a.py": b"old", "src/a.txt": b"new", "other": b"new"} == {
        path: data for path, (_, data) in look(project.root).items()
    }


def test_a_workspace_with_git_that_was_saved_without_is_restored_by_its_own_rules(
    tmp_path: Path,
) -> None:
    """An ignored file in the checkpoint's folder is no reason to stop."""
    project = Project(tmp_path)
    project.put("a", "a")
    project.save()
    git(project.root, "init", "-q")
    project.put("b", "b")
    workspace = open_workspace(project.root, clock=later)

    plan_restore(project.store, project.store.load("run"), workspace).execute()

    assert ["a"] == sorted(look(project.root))
