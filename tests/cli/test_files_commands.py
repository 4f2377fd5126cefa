"""`checkpoint create` and `checkpoint restore`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kit.program import Quick
from maverick.checkpoints.workspace import Disk


@pytest.fixture
def kept(quick: Quick) -> Quick:
    """A project whose files are in a checkpoint, and were changed since in each way."""
    root = quick.program.root
    for name in ("changed", "removed", "src/same"):
        quick.program.file(name, f"{name}\n")
    assert 0 == quick("checkpoint", "create").code
    (root / "changed").write_text("other\n")
    (root / "removed").unlink()
    (root / "added").write_text("new\n")
    return quick


def _run(quick: Quick) -> str:
    return str(quick("runs", "--json").json[-1]["run"])


def _texts(root: Path) -> dict[str, str]:
    files = (
        path
        for path in root.rglob("*")
        if path.is_file() and ".maverick" not in path.parts and path.name != "maverick.yaml"
    )
    return {str(path.relative_to(root)): path.read_text() for path in files}


THEN = {"changed": "changed\n", "removed": "removed\n", "src/same": "src/same\n"}


def test_created_files_say_how_many_and_where(quick: Quick) -> None:
    """The run's name is what restores them."""
    quick.program.file("one", "1")

    made = quick("checkpoint", "create", "--json").json

    assert ["run", "checkpoint", "files", "bytes", "skipped"] == list(made)
    assert (2, 1, []) == (made["files"], made["bytes"], made["skipped"])  # maverick.yaml is empty


def test_a_file_that_cannot_be_read_is_left_out_only_if_asked(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that silently lacks a file is worse than none."""
    quick.program.file("secret", "s")
    read = Disk.read

    def refuse(self: Disk, path: str, size: int) -> tuple[bytes, os.stat_result]:
        if path.endswith("secret"):  # Permissions do not stop root, who runs tests.
            raise PermissionError(13, "Permission denied")
        return read(self, path, size)

    monkeypatch.setattr(Disk, "read", refuse)

    refused = quick("checkpoint", "create")
    made = quick("checkpoint", "create", "--skip-unreadable")

    assert (1, True) == (refused.code, "--skip-unreadable leaves them out" in refused.err)
    assert 0 == made.code
    assert "warning: not in the checkpoint: secret (permission denied)" in made.err


def test_restoring_lists_what_it_would_do_and_needs_a_yes(kept: Quick) -> None:
    """Nothing is written or removed on the strength of a misremembered revision."""
    refused = kept("checkpoint", "restore", _run(kept))

    assert 2 == refused.code
    assert ["- added", "~ changed", "+ removed"] == refused.err.splitlines()[:3]
    assert "give --yes" in refused.err
    assert "other\n" == _texts(kept.program.root)["changed"]


def test_restored_files_are_those_of_the_checkpoint(kept: Quick) -> None:
    """Also those that were not there then are gone."""
    done = kept("checkpoint", "restore", _run(kept), "--yes")

    assert (0, THEN) == (done.code, _texts(kept.program.root))
    assert "restored 3 files; `maverick undo` takes it back" == done.last_line


def test_a_restoration_can_be_undone(kept: Quick) -> None:
    """What was there is saved before anything is written."""
    before = _texts(kept.program.root)
    kept("checkpoint", "restore", _run(kept), "--yes")

    undone = kept("checkpoint", "undo", "--yes")

    assert (0, before) == (undone.code, _texts(kept.program.root))
    assert "3 files are as before" in undone.err
    assert 10 == kept("checkpoint", "undo", "--yes").code


def test_only_the_paths_that_are_given_are_restored(kept: Quick) -> None:
    """One file from then, the rest as now."""
    kept("checkpoint", "restore", _run(kept), "removed", "--yes")

    assert {**THEN, "changed": "other\n", "added": "new\n"} == _texts(kept.program.root)


def test_files_can_be_written_into_another_folder(kept: Quick, tmp_path: Path) -> None:
    """To look at them beside those of now."""
    before = _texts(kept.program.root)

    done = kept("checkpoint", "restore", _run(kept), "--to", str(tmp_path / "then"))

    assert (0, THEN, before) == (done.code, _texts(tmp_path / "then"), _texts(kept.program.root))


def test_nothing_is_done_where_nothing_differs(kept: Quick) -> None:
    """And no safety checkpoint is made for it."""
    run = _run(kept)
    kept("checkpoint", "restore", run, "--yes")
    count = len(kept("runs", "--json").json)

    again = kept("checkpoint", "restore", run, "--yes")

    assert (0, "there is nothing to restore; nothing was changed", count) == (
        again.code,
        again.last_line,
        len(kept("runs", "--json").json),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "../outside", "--yes"], "leads out of the workspace"),
        (["RUN", "nowhere", "--yes"], "there is no nowhere in checkpoint"),
        (["RUN", "--to", "."], "is not empty"),
        (["nothing", "--yes"], "there is no run nothing"),
    ],
)
def test_what_cannot_be_restored_says_why(kept: Quick, arguments: list[str], message: str) -> None:
    """And leaves everything as it is."""
    before = _texts(kept.program.root)

    refused = kept(
        "checkpoint", "restore", *[_run(kept) if it == "RUN" else it for it in arguments]
    )

    assert refused.code in {2, 10}
    assert message in refused.err
    assert before == _texts(kept.program.root)


@pytest.fixture
def with_other_trees(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> Quick:
    """A repository with another one in it, a submodule, and work trees as `refuel` makes them; with
    a checkpoint.
    """
    root = quick.program.root
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(quick.program.file("../gitconfig", _GIT)))
    for folder in (root.parent / "library", root, root / "nested"):
        folder.mkdir(exist_ok=True)
        _git(folder, "init", "-q")
        (folder / "file").write_text("then\n")
        _git(folder, "add", "file")
        _git(folder, "commit", "-q", "-m", "one")
    _git(root, "submodule", "add", "-q", str(root.parent / "library"), "sub")
    _git(root, "commit", "-q", "-m", "two")
    for place in (".maverick/worktrees/issue-1", "beside"):
        _git(root, "worktree", "add", "-q", place, "-b", place.rpartition("/")[2])
    assert 0 == quick("checkpoint", "create").code
    for name in ("file", *(f"{it}/file" for it in OTHER_TREES)):
        (root / name).write_text("now\n")
    return quick


OTHER_TREES = {
    ".maverick/worktrees/issue-1": "linked worktree",
    "beside": "linked worktree",
    "nested": "nested repository",
    "sub": "submodule",
}
_GIT = """\
    [user]
    name = T
    email = t@example.com
    [protocol "file"]
    allow = always
"""


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def test_other_work_trees_are_named_when_files_are_kept(with_other_trees: Quick) -> None:
    """They are somebody's work, which no checkpoint holds."""
    made = with_other_trees("checkpoint", "create", "--json")

    assert OTHER_TREES == {it["path"]: it["reason"] for it in made.json["skipped"]}
    assert [
        f"warning: not in the checkpoint: {path} ({why})" for path, why in OTHER_TREES.items()
    ] == [line for line in made.err.splitlines() if "not in the checkpoint" in line]


def test_other_work_trees_are_left_alone_by_a_restoration_and_its_undoing(
    with_other_trees: Quick,
) -> None:
    """Neither their files nor what git knows of them."""
    quick, root = with_other_trees, with_other_trees.program.root
    before = _git(root, "worktree", "list"), _git(root, "submodule", "status")

    def texts() -> list[str]:
        return [(root / it / "file").read_text() for it in ("", *OTHER_TREES)]

    restored = quick("checkpoint", "restore", _run(quick), "--yes")
    then = texts()
    undone = quick("checkpoint", "undo", "--yes")

    assert (0, ["then\n", *["now\n"] * 4]) == (restored.code, then)
    assert (0, ["now\n"] * 5) == (undone.code, texts())
    assert before == (_git(root, "worktree", "list"), _git(root, "submodule", "status"))


def test_a_file_of_which_only_the_mode_differs_is_listed(kept: Quick) -> None:
    (kept.program.root / "changed").write_text("changed\n")
    (kept.program.root / "changed").chmod(0o755)

    listed = kept("checkpoint", "restore", _run(kept), "changed", "--yes")

    assert (0, "~ changed (100755 -> 100644)") == (listed.code, listed.err.splitlines()[0])
    assert 0o644 == (kept.program.root / "changed").stat().st_mode & 0o777


@pytest.mark.parametrize("place", ["home", "/"])
def test_where_no_files_can_be_kept_no_store_is_made(
    quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A store would make a project of the home folder, and of all below it."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setitem(quick.program.environment, "HOME", str(home))
    folder = home if place == "home" else Path("/")
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())

    done = quick("checkpoint", "create")

    assert (2, True) == (done.code, "cannot be a workspace" in done.err)
    assert before == set(folder.iterdir())


@pytest.mark.parametrize("place", [".git/then", ".maverick/then", ".maverick"])
def test_files_are_not_written_into_what_belongs_to_others(kept: Quick, place: str) -> None:
    done = kept("checkpoint", "restore", _run(kept), "--to", place)

    assert (2, f"error: {place} belongs to {place.partition('/')[0]}; give another folder") == (
        done.code,
        done.last_line,
    )
    assert not (kept.program.root / ".git").exists()


def test_what_is_left_alone_is_named_though_nothing_is_restored(kept: Quick) -> None:
    """It differs, and stays."""
    kept("checkpoint", "restore", _run(kept), "--yes")
    kept.program.file(".gitignore", "ignored\n")
    kept.program.file("ignored", "mine")
    assert 0 == kept("checkpoint", "create").code
    (kept.program.root / ".gitignore").unlink()
    run = str(kept("runs", "--json").json[0]["run"])

    done = kept("checkpoint", "restore", run, "ignored", "--yes")

    assert (0, "left alone: ignored (ignored when the checkpoint was made)") == (
        done.code,
        done.err.splitlines()[0],
    )


def test_a_checkpoint_without_files_says_which_one_has_some(quick: Quick) -> None:
    """Which of them that is the log does not show."""
    quick.program.flow(
        "steps:\n  - {name: a, type: checkpoint, workspace: true}\n  - {name: b, type: shell, "
        "run: 'true'}",
        name="some",
    )
    quick.program.flow("- {name: a, type: shell, run: 'true'}", name="none")
    for name in ("some", "none"):
        assert 0 == quick("run", f"{name}.yaml", "--quiet").code
    run = next(it["run"] for it in quick("runs", "--json").json if it["workflow"] == "some")

    some, none = (
        quick("checkpoint", "restore", f"{name}@latest", "--yes") for name in ("some", "none")
    )

    assert (10, True) == (some.code, f"the newest before it that does is {run}@a" in some.err)
    assert (10, True) == (none.code, "neither does one before it" in none.err)


def test_paths_are_those_of_the_current_folder(
    kept: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with --to."""
    run = _run(kept)
    monkeypatch.chdir(kept.program.root / "src")

    assert (
        0
        == kept(
            "checkpoint", "restore", run, "same", "../changed", "--to", str(tmp_path / "then")
        ).code
    )

    assert {"src/same": "src/same\n", "changed": "changed\n"} == _texts(tmp_path / "then")


def test_files_that_hold_a_secret_are_named_when_they_are_kept(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a step keeps them."""
    monkeypatch.setenv("TOKEN", "s3cr3t-value-of-a-token")
    quick.program.file("maverick.yaml", "secrets: [TOKEN]\n")
    quick.program.file(".env", "TOKEN=s3cr3t-value-of-a-token\n")
    quick.program.file("other", "nothing\n")

    done = quick("checkpoint", "create", "--json")

    assert (0, "warning: the checkpoint keeps a file that holds a secret: .env\n") == (
        done.code,
        done.err,
    )
    assert 3 == done.json["files"]


@pytest.mark.parametrize("text", ["secrets: 5\n", "secrets: [TOKEN]\n"])
def test_files_are_kept_where_nobody_knows_the_secrets(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A configuration with a mistake is no reason to lose them."""
    monkeypatch.setenv("TOKEN", "short")
    quick.program.file("maverick.yaml", text)

    done = quick("checkpoint", "create")

    assert 0 == done.code
    assert done.err.startswith("warning: files are not looked at for secrets: ")


@pytest.mark.parametrize("name", ["flow", "nosuch", "gone.yaml"])
def test_checkpoints_of_files_alone_are_no_runs_to_resume(kept: Quick, name: str) -> None:
    """They have no workflow: a run is found by its name past them, and a name of none is told as
    that.
    """
    kept.program.flow("- {name: a, type: shell, run: exit 3}")
    assert 1 == kept("run", "flow.yaml").code
    assert 0 == kept("checkpoint", "create").code

    resumed = kept("run", name, "--resume")

    if name == "flow":
        assert (1, True) == (resumed.code, "exit code 3" in resumed.err)
    else:
        assert (10, True) == (resumed.code, "nothing to resume: there is no run of" in resumed.err)
