"""Checkpoints that keep the project's files, and resumptions that go back to them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from textwrap import indent

import pytest

from kit.faults import Killed
from kit.runs import Runs
from maverick.checkpoints import Store, byhand
from maverick.checkpoints.workspace import Disk, RestorePlan
from maverick.errors import FilesDiffer, NotFound, StepFailed, StepsDiffer, UsageError
from maverick.project import Project
from maverick.runs import amend, preview, workspace_choice
from maverick.runs.request import Request, Session
from maverick.runs.resume import resume

HALF_WAY = """
- {name: a, type: shell, run: "echo one > text; echo a >> log.txt"}
- {name: first, type: checkpoint}
- {name: b, type: shell, run: "echo two >> text; echo new > made; test -e ../ready"}
- {name: second, type: checkpoint}
"""


def _keeping(which: str) -> str:
    return f"checkpoints: {{workspace: {which}}}\nsteps:\n{indent(HALF_WAY, '  ')}"


def _texts(folder: Path) -> dict[str, str]:
    return {
        path.name: path.read_text()
        for path in folder.iterdir()
        if path.suffix in {"", ".txt"} and path.is_file()
    }


def _store(runs: Runs) -> Store:
    return Store.open(runs.root / ".maverick" / "checkpoints")


def _holding(runs: Runs) -> list[str]:
    """What stands in the log with files, oldest first."""
    store = _store(runs)
    found = [
        it for it in store.history("@latest") if store.snapshot(it).find("workspace") is not None
    ]
    return [it.label or it.kind for it in reversed(found)]


@pytest.fixture
def half_way(runs: Runs) -> Runs:
    """A run that failed in the middle of its edits."""
    (runs.root.parent / "ready").unlink(missing_ok=True)
    runs.flow(_keeping("label"))
    assert "failed" == runs.start().status
    return runs


def test_the_beginning_and_labelled_checkpoints_hold_the_files_and_no_others_do(
    half_way: Runs,
) -> None:
    """Files and records of one checkpoint belong together, so one that kept none shows none."""
    assert ["auto", "first"] == _holding(half_way)


def test_what_is_half_done_before_the_first_label_can_be_taken_back(runs: Runs) -> None:
    """A run that has come to no label yet goes back to where it began."""
    (runs.root.parent / "ready").touch()
    runs.flow(
        'checkpoints: {workspace: label}\nsteps:\n  - {name: a, type: shell, run: "echo a >> '
        'log.txt"}\n'
    )
    runs.kill_unrecorded("a")

    resumed = runs.resume(workspace="restore")

    assert ("done", "a\n") == (resumed.status, (runs.root / "log.txt").read_text())


def test_files_that_cannot_be_kept_keep_a_run_from_beginning(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than from its first label on. Permissions do not stop root, who runs tests."""
    read = Disk.read

    def refuse(disk: Disk, path: str, size: int) -> tuple[bytes, os.stat_result]:
        if path.endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return read(disk, path, size)

    runs.flow(_keeping("label"))
    runs.file("secret", "")
    monkeypatch.setattr(Disk, "read", refuse)

    with pytest.raises(
        StepFailed,
        match=r"the run cannot keep the files: 1 file or folder of the workspace cannot be "
        r"read:\n  sec",
    ):
        runs.start()

    assert [] == _store(runs).refs()


def test_a_home_folder_whose_files_are_to_be_kept_is_refused(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a store is made, which would make a project of it and of all below."""
    runs.flow(_keeping("label"))
    monkeypatch.setenv("HOME", str(runs.root))

    with pytest.raises(UsageError, match="cannot be a workspace"):
        runs.start()

    assert not (runs.root / ".maverick").exists()


def test_restoring_goes_back_to_files_and_records_of_one_checkpoint(half_way: Runs) -> None:
    """What a step had half done is gone when it begins again: the result is that of an
    uninterrupted run.
    """
    (half_way.root.parent / "ready").touch()

    resumed = half_way.resume(workspace="restore")

    assert ["b", "second"] == resumed.executed
    assert {"text": "one\ntwo\n", "made": "new\n", "log.txt": "a\n"}.items() <= _texts(
        half_way.root
    ).items()


def test_files_are_kept_where_nobody_says_and_that_is_told(half_way: Runs) -> None:
    """Restoring unasked would delete somebody's work."""
    (half_way.root.parent / "ready").touch()

    resumed = half_way.resume()

    assert "one\ntwo\ntwo\n" == (half_way.root / "text").read_text()
    assert any(
        "differ from checkpoint" in text and "made, text; kept as they are" in text
        for text in resumed.notices
    )


def test_nothing_is_told_where_nothing_differs(half_way: Runs) -> None:
    """A workspace that is as the run last saw it needs no words."""
    (half_way.root / "text").write_text("one\n")
    (half_way.root / "made").unlink()
    (half_way.root.parent / "ready").touch()

    assert [] == half_way.resume().notices


def test_what_was_there_before_a_restoration_is_saved(half_way: Runs) -> None:
    """So that it can be undone."""
    (half_way.root / "precious").write_text("mine\n")
    half_way.resume(workspace="restore")
    store = _store(half_way)

    reasons = {it.checkpoint: it.reason for it in store.refs()[0].positions}
    [safety] = [it for it, reason in reasons.items() if reason == "before restoring files"]

    assert b"mine\n" == store.snapshot(store.checkpoint(safety)).data(("workspace", "precious"))


def test_restoring_without_any_files_is_refused(runs: Runs) -> None:
    """There is nothing to go back to."""
    runs.flow(HALF_WAY)
    runs.start()

    with pytest.raises(
        NotFound, match=r"no checkpoint of .* holds files; resume with --workspace keep"
    ):
        runs.resume(workspace="restore")


def test_files_are_not_restored_under_another_head(runs: Runs) -> None:
    """A commit that was made since would come out as its own reversal."""
    _moved_head(runs)

    with pytest.raises(
        FilesDiffer, match="HEAD has moved since, too; files are not restored under another HEAD"
    ):
        runs.resume(workspace="restore")

    assert "one\ntwo\n" == (runs.root / "text").read_text()


def _moved_head(runs: Runs) -> None:
    """Run in a repository, and commit since."""
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", "-C", str(runs.root)]
    runs.flow(_keeping("label"))
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    runs.start()
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "two"], check=True)
    (runs.root.parent / "ready").touch()


def test_under_another_head_they_are_restored_by_an_explicit_choice(runs: Runs) -> None:
    """Whoever says so knows that it moved."""
    _moved_head(runs)

    resumed = runs.resume(workspace="force-restore")

    assert ("done", ["b", "second"], "one\ntwo\n") == (
        resumed.status,
        resumed.executed,
        (runs.root / "text").read_text(),
    )


@pytest.mark.parametrize(
    ("choice", "answer"), [("", True), ("restore", True), ("", False), ("restore", False)]
)
def test_a_person_is_told_that_head_moved_and_asked(runs: Runs, choice: str, answer: bool) -> None:
    """An answer to that question is an explicit choice; no answer changes nothing."""
    _moved_head(runs)
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return answer

    request = Request(workflow="flow.yaml", workspace=choice)  # type: ignore[arg-type]
    session = Session(ask=ask)
    if choice and not answer:
        with pytest.raises(FilesDiffer):
            resume(Project(runs.root, runs.environment), request, session)
    else:
        resume(Project(runs.root, runs.environment), request, session)

    texts = {
        ("", True): "one\ntwo\n",
        ("restore", True): "one\ntwo\n",
        ("", False): "one\ntwo\ntwo\n",
    }
    assert texts.get((choice, answer), "one\ntwo\n") == (runs.root / "text").read_text()
    assert (1, True) == (len(asked), "HEAD has moved since" in asked[0])


def test_what_is_refused_changes_no_file(half_way: Runs) -> None:
    """A resumption that stops because a finished step changed has not gone back before it says
    so.
    """
    half_way.edit("echo one > text", "echo 1 > text")
    tip = half_way.store.ref(half_way.run).checkpoint

    with pytest.raises(StepsDiffer):
        half_way.resume(workspace="restore")

    assert "one\ntwo\n" == (half_way.root / "text").read_text()
    assert tip == half_way.store.ref(half_way.run).checkpoint


def test_going_back_is_going_back_though_no_file_differs(half_way: Runs) -> None:
    """Files and records come from one checkpoint: what was recorded since may have changed files
    that are as then.
    """
    half_way.flow(
        _keeping("label").replace(
            'test -e ../ready"}', 'true"}\n  - {name: c, type: shell, run: "test -e ../ready"}'
        )
    )
    half_way.start()
    (half_way.root / "text").write_text("one\n")
    (half_way.root.parent / "ready").touch()

    resumed = half_way.resume(workspace="restore")

    assert ["b", "c", "second"] == resumed.executed
    assert any("from which no file differs" in text for text in resumed.notices)


def test_what_was_set_by_hand_is_kept_when_going_back(half_way: Runs) -> None:
    """It was changed for the run to go on with; what reads it runs again with it."""
    half_way.flow(
        _keeping("label").replace(
            '"echo two >> text; ', '"echo ${{ steps.a.output.stdout }} >> text; '
        )
    )
    half_way.start()
    store = half_way.store
    tip = store.load(half_way.run).checkpoint
    project = Project(half_way.root, half_way.environment)
    edited = {"stdout": "edited", "stderr": "", "exit_code": 0, "value": "edited"}
    amend.edit_output(project, store, tip, "a", lambda _: edited, "steps.a.output")
    (half_way.root.parent / "ready").touch()

    resumed = half_way.resume(workspace="restore")

    assert ("done", ["first", "b", "second"]) == (resumed.status, resumed.executed)
    assert "one\nedited\n" == (half_way.root / "text").read_text()


def test_what_was_set_by_hand_survives_a_kill_in_the_middle_of_going_back(
    half_way: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the checkpoint that the files are restored for."""
    store = half_way.store
    project = Project(half_way.root, half_way.environment)
    edited = {"stdout": "edited", "stderr": "", "exit_code": 0, "value": "edited"}
    tip = store.load(half_way.run).checkpoint
    amend.edit_output(project, store, tip, "a", lambda _: edited, "steps.a.output")
    (half_way.root.parent / "ready").touch()

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(RestorePlan, "execute", die)
        with pytest.raises(Killed):
            half_way.resume(workspace="restore", skip={"b": 1})
    half_way.resume(workspace="restore")

    end = half_way.store.load(half_way.run)
    assert (edited, 1) == (end.value(("steps", "a")), end.value(("steps", "b")))


def test_what_was_set_by_hand_of_a_step_that_runs_again_is_said_to_be_lost(half_way: Runs) -> None:
    """Nobody finds out later that it is gone."""
    half_way.flow(
        _keeping("label").replace(
            'test -e ../ready"}', 'true"}\n  - {name: c, type: shell, run: "test -e ../ready"}'
        )
    )
    half_way.start()
    store = half_way.store
    project = Project(half_way.root, half_way.environment)
    tip = store.load(half_way.run).checkpoint
    amend.edit_output(project, store, tip, "b", lambda _: "edited", "steps.b.output")
    (half_way.root.parent / "ready").touch()
    request = Request(workflow="flow.yaml", workspace="restore")

    planned = preview.plan_resume(project, request, lambda _: None)
    resumed = half_way.resume(workspace="restore")

    assert ("the output of b that was set by hand would be lost",) == planned.notes
    assert any("the output of b that was set by hand is lost" in text for text in resumed.notices)
    assert ["b", "c", "second"] == resumed.executed


def test_going_back_is_taken_back_with_its_records(half_way: Runs) -> None:
    """As long as the run has not gone on: what was recorded does not run again upon what it has
    done.
    """
    half_way.flow(
        _keeping("label").replace(
            'test -e ../ready"}', 'true"}\n  - {name: c, type: shell, run: "test -e ../ready"}'
        )
    )
    half_way.start()
    (half_way.root.parent / "ready").touch()
    half_way.resume_killed_before("b", workspace="restore")
    store = half_way.store
    assert "one\n" == (half_way.root / "text").read_text()

    said = workspace_choice.undo_restore(store, half_way.root, byhand.newest(store, half_way.run))
    resumed = half_way.resume()

    assert "the records and 1 file are as before" == said
    assert ("done", ["c", "second"]) == (resumed.status, resumed.executed)
    assert "one\ntwo\n" == (half_way.root / "text").read_text()


def test_a_run_that_has_gone_on_keeps_its_records(half_way: Runs) -> None:
    """What steps saved is never taken back."""
    half_way.resume(workspace="restore")
    (half_way.root / "text").write_text("later\n")
    store = half_way.store

    said = workspace_choice.undo_restore(store, half_way.root, byhand.newest(store, half_way.run))

    assert "1 file is as before" == said
    assert "one\ntwo\n" == (half_way.root / "text").read_text()


def test_a_fork_goes_back_with_its_files_too(half_way: Runs) -> None:
    """Of a revision that is not the newest a new run begins, with the files of then."""
    (half_way.root.parent / "ready").touch()
    half_way.resume()
    first = half_way.run

    forked = half_way.resume(f"{first}@first", workspace="restore")

    assert ("done", ["b", "second"]) == (forked.status, forked.executed)
    assert first != forked.outcome.run
    assert "one\ntwo\n" == (half_way.root / "text").read_text()


def test_a_checkpoint_step_says_for_itself_what_it_keeps(runs: Runs) -> None:
    """Its own `workspace` goes before the workflow's."""
    runs.flow(
        """
- {name: make, type: shell, run: "echo 1 > one.txt; echo 2 > two.md"}
- {name: globs, type: checkpoint, workspace: ["*.txt"]}
- {name: none, type: checkpoint, workspace: false}
- {name: all, type: checkpoint, workspace: true}
"""
    )
    runs.start()
    store = _store(runs)

    assert ["globs", "all"] == _holding(runs)
    assert "two.md" not in store.load("@latest~3").names("workspace")
    assert {"one.txt", "two.md"} <= set(store.load("@latest~1").names("workspace"))


def test_every_finished_step_keeps_the_files_where_that_is_asked(runs: Runs) -> None:
    """`workspace: step` costs a look at the files for each step."""
    runs.flow(_keeping("step"))
    runs.start()

    assert ["auto", "auto", "first", "failure"] == _holding(runs)


def test_files_that_are_left_out_are_named_once(runs: Runs) -> None:
    """A checkpoint that silently lacks a file is worse than none."""
    runs.flow(
        """
- {name: make, type: shell, run: "mkfifo pipe; git init -q inner"}
- {name: one, type: checkpoint, workspace: true}
- {name: two, type: checkpoint, workspace: true}
"""
    )

    notices = runs.start().notices

    assert 1 == len([text for text in notices if text.startswith("not in the checkpoint: ")])
    assert any("inner" in text and "pipe" in text for text in notices)
