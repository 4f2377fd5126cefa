"""What a snapshot of a workspace holds, what it reads, and what it leaves out and names."""

from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path

import pytest

from kit.workspaces import Project, git, later, look
from maverick.checkpoints import Store
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.workspace import Disk, Skipped, capture, open_workspace
from maverick.errors import UsageError, WorkspaceUnreadable


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    for number in range(100):
        made.put(f"src/part{number % 7}/file{number}.txt", f"text {number}")
    made.put("run.sh", "#!/bin/sh\n").chmod(0o755)
    (made.root / "link").symlink_to("src/part0")
    (made.root / "dangling").symlink_to("/nowhere/at all")
    (made.root / "empty" / "inner").mkdir(parents=True)
    return made


def test_a_snapshot_holds_files_modes_links_and_empty_folders(project: Project) -> None:
    """Everything that a checkpoint has to put back."""
    report = project.save()

    snapshot = project.store.load("run")
    assert sorted(look(project.root)) == sorted(project.saved())
    assert b"text 3" == snapshot.data("workspace/src/part3/file3.txt")
    assert "100755" == snapshot.entry("workspace/run.sh").note
    assert (b"src/part0", "120000") == (
        snapshot.data("workspace/link"),
        snapshot.entry("workspace/link").note,
    )
    assert b"/nowhere/at all" == snapshot.data("workspace/dangling")
    assert ("note", "040000") == (
        snapshot.entry("workspace/empty/inner").kind,
        snapshot.entry("workspace/empty/inner").note,
    )
    assert (103, 103, ()) == (report.files, report.read_files, report.skipped)
    assert (
        sorted(Path(path).name for path in look(project.root) if path != "empty/inner")
        == project.disk.names()
    )


def test_an_unchanged_workspace_is_not_read_again(project: Project) -> None:
    """The stat cache says that nothing changed, and the checkpoint names the same tree."""
    project.save()
    before = project.store.load("run").entry("workspace")
    project.disk.names()

    report = project.save()

    assert ([], 0, 103) == (project.disk.names(), report.read_files, report.files)
    assert before == project.store.load("run").entry("workspace")


def test_only_what_changed_is_read(project: Project) -> None:
    """One file in a hundred costs one file."""
    project.save()
    project.disk.names()
    project.put("src/part3/file3.txt", "other text")
    project.put("src/part3/new.txt", "new")
    (project.root / "src/part4/file4.txt").unlink()

    project.save()

    assert ["file3.txt", "new.txt"] == project.disk.names()
    assert sorted(look(project.root)) == sorted(project.saved())


def _stored(project: Project) -> list[ObjectKind]:
    """The kinds of the objects that are stored."""
    packs = project.store.objects.packs.listed()
    return [kind for pack in packs for _, kind, _ in pack.objects()]


def test_only_the_trees_above_a_change_are_new(project: Project) -> None:
    """An edit in one folder makes its tree, those above it, the checkpoint's root and the blob;
    facts are the same.
    """
    project.save()
    before = len(_stored(project))
    project.put("src/part3/file3.txt", "other text")

    project.save()

    # blob; trees of part3, src, the workspace and the root; the checkpoint
    assert 6 == len(_stored(project)) - before


def test_the_id_does_not_depend_on_the_way_it_was_found(project: Project) -> None:
    """After any history the tree is the one that a first snapshot of the same files gives."""
    project.save()
    project.put("src/part3/file3.txt", "other text")
    (project.root / "src/part5/file5.txt").unlink()
    (project.root / "src/part1/deeper/still").mkdir(parents=True)
    project.save()
    again = Project(project.root.parent)
    again.store = Store.create(project.root.parent / "other")
    again.save()

    assert project.store.load("run").entry("workspace") == again.store.load("run").entry(
        "workspace"
    )


def test_what_was_touched_just_now_is_read_again(project: Project) -> None:
    """A second change within the same tick of the clock would leave the same times."""
    project.options["clock"] = lambda: later() - 10_000_000_000
    project.save()
    project.disk.names()

    assert 103 == project.save().read_files


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda data: data[:-9], lambda data: b"x" + data[1:]]
)
def test_a_damaged_cache_costs_reading_and_nothing_else(project: Project, damage: object) -> None:
    """It is only a cache."""
    project.save()
    for file in (project.store.root / "cache").iterdir():
        file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]

    assert 103 == project.save().read_files
    assert sorted(look(project.root)) == sorted(project.saved())


def test_what_the_store_lost_is_read_again(project: Project) -> None:
    """The cache may know ids whose objects gc has collected, or that were in another store."""
    project.save()
    cache = next((project.store.root / "cache").iterdir())
    project.store = Store.create(project.root.parent / "other")
    (project.store.root / "cache" / cache.name).write_bytes(cache.read_bytes())
    project.tip = None

    project.save()

    assert [] == [
        found for found in project.store.check(read_data=True) if found.severity == "error"
    ]
    assert sorted(look(project.root)) == sorted(project.saved())


def test_a_new_run_in_the_same_store_reads_nothing(project: Project) -> None:
    """What the store holds already is looked up, not read."""
    project.save()
    project.disk.names()

    taken = capture(project.store, project.workspace)
    project.store.save("another", taken.changes, parent=None)

    assert [] == project.disk.names()


def test_equal_files_are_stored_once(tmp_path: Path) -> None:
    """Also when both are new in one snapshot."""
    project = Project(tmp_path)
    for number in range(300):
        project.put(f"copy{number}", "the same text " * 50)
    project.save()

    # the blob; the root and the workspace's trees; how it was found; the facts; the checkpoint
    assert 300 == len(project.saved())
    assert 2 == _stored(project).count(ObjectKind.BLOB)


def test_a_name_may_hold_any_byte(tmp_path: Path) -> None:
    """Newlines and bytes that are no UTF-8 are names like any other."""
    project = Project(tmp_path)
    names = [
        b"a\nb",
        b"\xff\xfe",
        b"tab\there",
        "é".encode(),
        b"back\\slash",
        b"-rf",
        b"*",
        b"\xed\xa0\x80",
    ]
    for name in names:
        (project.root / os.fsdecode(name)).write_bytes(name)
    git(project.root, "init", "-q")
    for use_git in (False, True):
        project.options["git"] = use_git

        project.save()

        assert sorted(os.fsdecode(name) for name in names) == sorted(project.saved())


def test_gitignore_rules_hold_without_git(tmp_path: Path) -> None:
    """And neither `.git` nor `.maverick` is ever stored."""
    project = Project(tmp_path)
    for path in (
        "keep.py",
        "a.pyc",
        "build/out",
        "src/build/out",
        "src/important.pyc",
        ".maverick/x",
        "src/.maverick/y",
    ):
        project.put(path, path)
    project.put(".gitignore", "*.pyc\n/build/\n")
    project.put("src/.gitignore", "!important.pyc\n")

    project.save()

    expected = [".gitignore", "keep.py", "src/.gitignore", "src/build/out", "src/important.pyc"]
    assert expected == sorted(project.saved())


def test_editing_a_gitignore_changes_what_is_stored(tmp_path: Path) -> None:
    """Though no other file changed."""
    project = Project(tmp_path)
    project.put("a.log", "a")
    project.put(".gitignore", "")
    project.save()
    project.put(".gitignore", "*.log\n")

    project.save()

    assert [".gitignore"] == project.saved()


def test_in_a_repository_git_says_what_belongs_to_it(tmp_path: Path) -> None:
    """Tracked files also where they are ignored, untracked ones only where they are not."""
    project = Project(tmp_path, git=None)
    for path in (
        "tracked.log",
        "other.log",
        "new.py",
        "gone.py",
        "sub/deep/file",
        "logs/today.log",
    ):
        project.put(path, path)
    project.put(".gitignore", "*.log\ncache/\n")
    (project.root / "cache").mkdir()
    (project.root / "kept" / "empty").mkdir(parents=True)
    git(project.root, "init", "-q", "-b", "main")
    git(project.root, "add", "-f", "tracked.log", "gone.py")
    git(project.root, "commit", "-qm", "first")
    (project.root / "gone.py").unlink()

    for _ in range(2):
        project.save()
        expected = [".gitignore", "kept/empty", "logs", "new.py", "sub/deep/file", "tracked.log"]
        assert expected == sorted(project.saved())
    about = project.store.load("run").value("workspace-about")
    assert {
        "head": git(project.root, "rev-parse", "HEAD").strip(),
        "branch": "main",
        "upstream": "",
    } == about["git"]


def test_a_file_that_git_begins_to_track_or_ignore_is_noticed(tmp_path: Path) -> None:
    """The cache of what belongs to the workspace depends on the index and on the files with
    rules.
    """
    project = Project(tmp_path, git=None)
    git(project.root, "init", "-q")
    project.put("a.log", "a")
    project.put("b.txt", "b")
    project.save()
    (project.root / ".git/info/exclude").write_text("*.log\n")
    project.save()
    assert ["b.txt"] == project.saved()

    git(project.root, "add", "-f", "a.log")
    project.save()

    assert ["a.log", "b.txt"] == sorted(project.saved())


def test_the_upstream_and_a_detached_head_are_recorded(tmp_path: Path) -> None:
    """So that a restore can say where the files belong."""
    project = Project(tmp_path, git=None)
    git(project.root, "init", "-q", "-b", "main")
    project.put("a", "a")
    project.save()
    assert {"head": "", "branch": "main", "upstream": ""} == project.store.load("run").value(
        "workspace-about"
    )["git"]
    git(project.root, "add", "a")
    git(project.root, "commit", "-qm", "first")
    git(tmp_path, "clone", "-q", str(project.root), "clone")
    project.root = tmp_path / "clone"
    project.save()
    assert "origin/main" == project.store.load("run").value("workspace-about")["git"]["upstream"]
    git(project.root, "checkout", "-q", "--detach")

    project.save()

    assert "" == project.store.load("run").value("workspace-about")["git"]["branch"]


@pytest.mark.parametrize("use_git", [False, True])
def test_other_working_trees_are_left_alone_and_named(tmp_path: Path, use_git: bool) -> None:
    """Nested repositories, submodules and linked worktrees have a history of their own."""
    library = tmp_path / "library"
    library.mkdir()
    for root in (library, tmp_path / "project"):
        root.mkdir(exist_ok=True)
        git(root, "init", "-q")
        (root / "a").write_text("a")
        git(root, "add", "a")
        git(root, "commit", "-qm", "first")
    project = Project(tmp_path, git=use_git)
    git(project.root, "clone", "-q", str(library), "nested")
    git(project.root, "submodule", "--quiet", "add", str(library), "module")
    git(project.root, "worktree", "add", "-q", "trees/one")
    git(project.root, "commit", "-qm", "second")

    report = project.save()

    expected = [
        Skipped("module", "submodule"),
        Skipped("nested", "nested repository"),
        Skipped("trees/one", "linked worktree"),
    ]
    assert expected == list(report.skipped)
    assert [".gitmodules", "a", "trees"] == sorted(project.saved())


@pytest.mark.parametrize(
    "name", [".GIT", ".gi\u200dt", ".Maverick", ".maveric\u212a", ".maverick\ufeff"]
)
@pytest.mark.parametrize("use_git", [False, True])
def test_what_no_restore_would_write_is_not_saved(
    tmp_path: Path, name: str, *, use_git: bool
) -> None:
    """Some file systems take these names for `.git` or `.maverick`: one refused name would cost all
    of the files.
    """
    project = Project(tmp_path, git=use_git)
    project.put("sub/file", "kept")
    project.put(f"sub/{name}/config", "not kept")

    report = project.save()

    assert [Skipped(f"sub/{name}", "reserved name")] == list(report.skipped)
    (project.root / "sub/file").unlink()
    project.restore("run")
    assert "kept" == (project.root / "sub/file").read_text()
    assert "not kept" == (project.root / f"sub/{name}/config").read_text()


@pytest.mark.parametrize("tracked", [False, True])
def test_what_git_lists_of_reserved_folders_is_not_saved_at_any_look(
    tmp_path: Path, *, tracked: bool
) -> None:
    """Agents and workflows of a project are tracked in `.maverick`; a later look takes over what it
    knows.
    """
    project = Project(tmp_path, git=True)
    git(project.root, "init", "-q")
    for path in (".maverick/agents/own.md", "src/.maverick/x", "src/one"):
        project.put(path, path)
    if tracked:
        git(project.root, "add", "-A")

    for number in range(3):
        project.put(f"src/new/{number}", "new")
        project.save()
        assert ["src/new/", "src/one"] == sorted(
            {re.sub("[0-9]$", "", path) for path in project.saved()}
        )

    project.restore("run~2")
    assert not (project.root / "src/new/2").exists()
    assert (project.root / ".maverick/agents/own.md").exists()


def test_large_files_and_those_that_are_none_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is the caller's; a socket has no bytes to store."""
    project = Project(tmp_path, limit_bytes=1000)
    project.put("small", "x" * 1000)
    project.put("large", "x" * 1001)
    os.mkfifo(project.root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(project.root)  # A socket's path is short.
        server.bind("socket")
        report = project.save()

    assert ["small"] == project.saved()
    expected = [("fifo", "a FIFO"), ("large", "larger than 1,000 bytes"), ("socket", "a socket")]
    assert expected == [(it.path, it.reason) for it in report.skipped]
    project.put("large", "small now")
    project.put("small", "x" * 2000)
    project.save()
    assert ["large"] == project.saved()
    assert ["large", "large", "small"] != project.disk.names()


class RefusingDisk(Disk):
    """Denies one file; permissions do not stop root, who runs tests."""

    def read(self, path: str, size: int) -> tuple[bytes, os.stat_result]:
        if path.endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return super().read(path, size)


def test_an_unreadable_file_fails_the_snapshot_by_name(tmp_path: Path) -> None:
    """A checkpoint that silently lacks a file is worse than none; whoever wants one says so."""
    project = Project(tmp_path, disk=RefusingDisk())
    project.put("a", "a")
    project.put("sub/secret", "s")
    with pytest.raises(WorkspaceUnreadable, match="sub/secret: permission denied"):
        project.save()
    assert [] == project.store.refs()

    report = project.save(skip_unreadable=True)

    assert ["a", "sub"] == project.saved()
    assert [Skipped("sub/secret", "permission denied")] == list(report.skipped)
    assert [["sub/secret", "permission denied"]] == project.store.load("run").value(
        "workspace-about"
    )["skipped"]


@pytest.mark.parametrize("use_git", [False, True])
def test_so_does_an_unreadable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_git: bool
) -> None:
    """What is in it would be missing without a word."""
    project = Project(tmp_path, git=use_git)
    git(project.root, "init", "-q")
    project.put("a", "a")
    project.put("closed/in", "in")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("/closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        WorkspaceUnreadable, match=r"1 file or folder .*\n  closed: unreadable folder"
    ):
        project.save()

    report = project.save(skip_unreadable=True)

    assert (["a", "closed"], [Skipped("closed", "unreadable folder")]) == (
        project.saved(),
        list(report.skipped),
    )


class MovingDisk(Disk):
    """Changes a file while it is read, so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def read(self, path: str, size: int) -> tuple[bytes, os.stat_result]:
        data, _ = super().read(path, size)
        if self.left and path.endswith("busy"):
            self.left -= 1
            Path(path).write_bytes(data + b"more ")
        return data, Path(path).stat()


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    """What is stored was there at one instant, between two equal looks at the file."""
    project = Project(tmp_path, disk=MovingDisk(2))
    project.put("busy", "")

    project.save()

    assert b"more more " == project.store.load("run").data("workspace/busy")


def test_a_file_that_never_holds_still_is_named(tmp_path: Path) -> None:
    """After some attempts."""
    project = Project(tmp_path, disk=MovingDisk(1000))
    project.put("busy", "")

    with pytest.raises(WorkspaceUnreadable, match="busy: it changes while it is read"):
        project.save()


def test_globs_choose_files(tmp_path: Path) -> None:
    """They begin at the top; `**` crosses folders, and a folder means all that is in it."""
    project = Project(tmp_path, globs=("src/**/*.py", "docs", "*.md"))
    for path in (
        "a.md",
        "b.py",
        "src/c.py",
        "src/x/y/d.py",
        "src/x/e.txt",
        "docs/f/g.txt",
        "sub/h.md",
    ):
        project.put(path, path)

    project.save()
    assert ["a.md", "docs/f/g.txt", "src/c.py", "src/x/y/d.py"] == sorted(project.saved())
    project.put("src/new/i.py", "i")
    project.save()

    assert "src/new/i.py" in project.saved()


def test_globs_may_ask_for_what_is_ignored(tmp_path: Path) -> None:
    """An artifact mostly is."""
    project = Project(tmp_path, globs=("dist/*.whl",), ignored=True)
    project.put(".gitignore", "dist/\n")
    project.put("dist/a.whl", "a")

    project.save()

    assert ["dist/a.whl"] == project.saved()


def test_an_empty_workspace_is_an_empty_folder(tmp_path: Path) -> None:
    """It can be saved, and is told apart from a checkpoint without files."""
    project = Project(tmp_path)

    assert 0 == project.save().files
    assert "040000" == project.store.load("run").entry("workspace").note


@pytest.mark.parametrize("place", ["/", "~", "~/.."])
def test_the_home_folder_and_what_is_above_are_no_workspace(place: str) -> None:
    """Restoring one would write all over it."""
    with pytest.raises(UsageError, match="cannot be a workspace"):
        open_workspace(Path(place).expanduser())


def test_a_snapshot_of_many_files_uses_threads_and_loses_none(tmp_path: Path) -> None:
    """Batches on all cores give what one thread gives."""
    project = Project(tmp_path)
    for number in range(1500):
        project.put(f"{number % 20}/{number}", f"{number} " * (number % 50))
    project.put("big", os.urandom(17 << 20))
    project.save()

    assert 1501 == len(project.saved())
    snapshot = project.store.load("run")
    assert all(
        data == snapshot.data(("workspace", *path.split("/")))
        for path, (_, data) in look(project.root).items()
    )
    assert [] == [
        found for found in project.store.check(read_data=True) if found.severity == "error"
    ]


def test_the_cache_is_for_this_user_alone(project: Project) -> None:
    """It names every file of the project; whatever the umask says."""
    project.put("a", "x")
    before = os.umask(0)
    try:
        project.save()
    finally:
        os.umask(before)

    (cache,) = [
        path
        for path in (project.store.root / "cache").iterdir()
        if path.name.startswith("workspace-")
    ]
    assert 0o600 == stat.S_IMODE(cache.stat().st_mode)


@pytest.fixture
def sparse(tmp_path: Path) -> Project:
    """A repository of which `out/` and one file of `part/` are not checked out, with a checkpoint
    in full before.
    """
    project = Project(tmp_path, git=True)
    git(project.root, "init", "-q")
    for path in ("in/a", "out/b", "out/deep/c", "part/d", "part/e"):
        project.put(path, path)
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "one")
    project.save()
    git(project.root, "sparse-checkout", "set", "--no-cone", "/*", "!/out/", "!/part/e")
    return project


def test_what_a_sparse_checkout_leaves_out_is_not_stored_as_deleted(sparse: Project) -> None:
    """It is named instead: a folder where all of it is away, else each file. So it is with the
    next, from the cache.
    """
    for _ in range(2):
        report = sparse.save()
        reason = "not checked out (sparse checkout)"
        assert [("out", reason), ("part/e", reason)] == [
            (it.path, it.reason) for it in report.skipped
        ]
        assert ["in/a", "part/d"] == sorted(sparse.saved())


def test_a_checkpoint_of_a_sparse_checkout_removes_nothing_that_it_could_not_see(
    sparse: Project,
) -> None:
    """Restored where all is checked out."""
    sparse.save()
    git(sparse.root, "sparse-checkout", "disable")
    sparse.put("in/a", "changed")
    full = look(sparse.root)

    sparse.restore("@latest")

    assert "in/a" == (sparse.root / "in/a").read_text()
    assert {**full, "in/a": look(sparse.root)["in/a"]} == look(sparse.root)


def test_what_is_not_checked_out_is_left_alone(sparse: Project) -> None:
    """The safety checkpoint could not hold it, so that restoring it could not be undone."""
    before = look(sparse.root)
    first = [it.id for it in sparse.store.history("@latest")][-1]
    sparse.put("in/a", "changed")

    sparse.restore(first)

    assert before == look(sparse.root)
