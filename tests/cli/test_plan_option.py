"""`run --plan`: its lines, its JSON, its exit codes."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from kit.program import Ended, Quick
from kit.runs import whole

FLOW = """
    inputs: {n: {type: integer, default: 1}}
    steps:
      - {name: first, type: shell, run: "echo $N", env: {N: "${{ inputs.n }}"}}
      - {name: second, type: shell, run: "echo two"}
      - {name: third, type: shell, run: "test -e ready"}
    """


@pytest.fixture
def failed(quick: Quick) -> Quick:
    """A project with a run of `FLOW` that failed at `third`."""
    quick.program.flow(FLOW)
    assert 1 == quick("run", "flow.yaml", "--quiet").code
    return quick


def test_it_prints_a_line_for_each_step_and_the_rest_to_stderr(failed: Quick) -> None:
    failed.program.flow(FLOW.replace("echo two", "echo three"))

    done = failed("run", "flow.yaml", "--resume", "--plan")

    assert 0 == done.code
    assert [
        "recall   first  (it has finished, and nothing of it changed)",
        "rerun    second  (its field `run` changed)",
        "           @@ -1 +1 @@",
        '           -- {name: second, type: shell, run: "echo two"}',
        '           +- {name: second, type: shell, run: "echo three"}',
        "run      third  (it failed before)",
    ] == done.out.splitlines()
    refused, summary = done.err.splitlines()
    assert refused.startswith(
        "resuming would stop before anything runs (exit code 12): step second has finished, and"
    )
    assert (
        "3 steps: 1 to recall, 1 to run, 1 to run again; this is a plan, nothing was run" == summary
    )


def test_json_is_one_object_with_exactly_these_keys(failed: Quick) -> None:
    done = failed(
        "run", "flow.yaml", "--resume", "-i", "n=2", "--change-inputs", "--plan", "--json"
    )

    assert {
        "step": "first",
        "type": "shell",
        "action": "rerun",
        "why": "its field `env` changed",
        "changed": [{"part": "env"}, {"part": "inputs.n", "old": 1, "new": 2}],
    } == done.json["steps"][0]
    assert ["rerun", "rerun", "run"] == [row["action"] for row in done.json["steps"]]
    assert ["run", "workflow", "refused", "notes", "steps", "files", "missing"] == list(done.json)
    assert ("flow", None, [], None, []) == tuple(
        done.json[it] for it in list(done.json) if it not in {"run", "steps"}
    )


def test_a_new_run_and_a_workflow_of_its_own_command_are_planned(quick: Quick) -> None:
    """Without a store before and after."""
    quick.program.flow(FLOW)

    new = quick("run", "flow.yaml", "--plan", "--json")
    fly = quick("fly", "--branch-name", "x", "--plan", "--json")

    assert ["first", "second", "third"] == [row["step"] for row in new.json["steps"]]
    assert "preflight" == fly.json["steps"][0]["step"]
    assert {"run", "skip", "unknown"} == {row["action"] for row in fly.json["steps"]}
    assert not (quick.program.root / ".maverick").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--resume", "-i", "n=2"], 12, "no unfinished run of "),
        (["--resume", "--from", "forth"], 10, "there is no step forth in run"),
        (["-i", "m=2"], 2, "The inputs do not fit the workflow `flow`"),
        (["--resume=nope"], 10, "there is no run nope"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    failed: Quick, words: list[str], code: int, message: str
) -> None:
    done = failed("run", "flow.yaml", *words, "--plan")

    assert (code, True) == (done.code, done.err.startswith(f"error: {message}")), done.err


# --- files ----------------------------------------------------------------------------------------

KEEPING = """
    checkpoints: {workspace: label}
    steps:
      - {name: a, type: shell, run: "echo one > text; mkdir -p out; echo x > out/x.bin",
         artifacts: ["out/*.bin"]}
      - {name: first, type: checkpoint}
      - {name: b, type: shell, run: "echo done > b.txt"}
      - {name: c, type: shell, run: "echo half > text; echo new > made; rm gone; test -e ../ready"}
    """


@pytest.fixture
def half_way(quick: Quick) -> Quick:
    """A run that failed in the middle of its edits, with a file in each way other than it was
    kept.
    """
    quick.program.file(".gitignore", "out/\n")
    quick.program.file("gone", "was here\n")
    quick.program.flow(KEEPING)
    assert 1 == quick("run", "flow.yaml", "--quiet").code
    return quick


def _whole_tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Every file and folder with content and times, the store included."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder) / name
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (
                content,
                status.st_mode,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_ino,
            )
    return found


def _plan(quick: Quick, *words: str) -> Ended:
    return quick("run", "flow.yaml", "--resume", "--plan", *words)


@pytest.mark.parametrize("choice", [[], ["--workspace", "keep"], ["--workspace", "restore"]])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nothing_at_all_is_written(half_way: Quick, choice: list[str], form: list[str]) -> None:
    """Not even the cache of the files, although they are looked at."""
    (half_way.program.root / "out" / "x.bin").unlink()
    before = _whole_tree(half_way.program.root)

    done = _plan(half_way, *choice, *form)

    assert (0, before) == (done.code, _whole_tree(half_way.program.root))


def test_nothing_is_written_in_a_repository_either(quick: Quick) -> None:
    """Git is asked for the files, and refreshes no index meanwhile."""
    root = quick.program.root
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", "-C", str(root)]
    quick.program.file("gone", "was here\n")
    quick.program.flow(KEEPING)
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    assert 1 == quick("run", "flow.yaml", "--quiet").code
    os.utime(root / "flow.yaml")  # The index is out of date.
    before = _whole_tree(root)

    done = _plan(quick, "--workspace", "restore", "--json")

    assert (0, before) == (done.code, _whole_tree(root))
    assert {"gone", "made", "text", "b.txt"} == {it["path"] for it in done.json["files"]["changes"]}


def test_what_restoring_would_write_and_remove_is_listed(half_way: Quick) -> None:
    """Counts first, then names; and the steps are those that run after going back."""
    done = _plan(half_way, "--workspace", "restore")

    assert [
        "recall   a  (it has finished, and nothing of it changed)",
        "recall   first  (it has finished, and nothing of it changed)",
        "run      b  (it has not finished yet)",
        "run      c  (it has not finished yet)",
        "restore  4 files as in checkpoint 3 (first): 2 written (13 B), 2 removed",
        "           - b.txt",
        "           + gone",
        "           - made",
        "           ~ text",
    ] == done.out.splitlines()


def test_files_that_would_be_kept_are_listed_as_that(half_way: Quick) -> None:
    """As without a terminal and without a word; the steps are those of the newest checkpoint."""
    silent, told = _plan(half_way), _plan(half_way, "--workspace", "keep")

    assert silent.out == told.out
    assert [
        "recall   b  (it has finished, and nothing of it changed)",
        "run      c  (it failed before)",
    ] == silent.out.splitlines()[2:4]
    assert (
        "keep     4 files that differ from checkpoint 3 (first), the newest with files; "
        "--workspace restore would go back to it: 2 written (13 B), 2 removed"
    ) == silent.out.splitlines()[4]


def test_json_names_the_checkpoint_and_each_file(half_way: Quick) -> None:
    files = _plan(half_way, "--workspace", "restore", "--json").json["files"]

    log = half_way("checkpoint", "log", "--json").json
    assert [it["checkpoint"] for it in log if it["label"] == "first"] == [files.pop("checkpoint")]
    assert {
        "action": "restore",
        "sequence": 3,
        "label": "first",
        "head_moved": False,
        "changes": [
            {"path": "b.txt", "change": "removed"},
            {"path": "gone", "change": "added"},
            {"path": "made", "change": "removed"},
            {"path": "text", "change": "changed"},
        ],
        "kept": [],
    } == files


def test_a_resumption_writes_and_removes_what_the_plan_said(half_way: Quick) -> None:
    """The plan is the same comparison; afterwards nothing differs."""
    half_way.program.file("../ready", "")
    planned = _plan(half_way, "--workspace", "restore", "--json").json

    assert 0 == half_way("run", "flow.yaml", "--resume", "--workspace", "restore").code

    reasons = half_way("checkpoint", "log", "--json").json
    assert ["run", "run"] == [it["action"] for it in planned["steps"] if it["step"] in "bc"]
    assert any(it["kind"] == "final" for it in reasons)
    assert not (half_way.program.root / "gone").exists()
    over = _plan(half_way, f"--resume={planned['run']}", "--json").json
    assert (None, ["done"]) == (over["files"], [it.split()[3].rstrip(":") for it in over["notes"]])


def test_artifacts_that_would_be_brought_back_are_listed(half_way: Quick) -> None:
    """Those of steps that are recalled."""
    (half_way.program.root / "out" / "x.bin").unlink()

    lines = _plan(half_way, "--workspace", "keep").out.splitlines()
    rerun = _plan(half_way, "--from", "a", "--json").json

    assert "restore  out/x.bin  (it is missing, and a is recalled)" == lines[-1]
    assert [] == rerun["missing"]
    assert [{"step": "a", "path": "out/x.bin"}] == _plan(half_way, "--json").json["missing"]


def test_restoring_what_no_checkpoint_holds_is_refused_as_resuming_is(failed: Quick) -> None:
    done = _plan(failed, "--workspace", "restore")

    assert 10 == done.code
    assert "holds files; resume with --workspace keep" in done.err


def test_a_head_that_moved_is_said_with_what_resuming_would_answer(half_way: Quick) -> None:
    """That run began without a repository; this one has commits."""
    git = [
        "git",
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.com",
        "-C",
        str(half_way.program.root),
    ]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    half_way.program.file("gone", "")
    assert 1 == half_way("run", "flow.yaml", "--quiet").code
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "two"], check=True)

    kept, restored = (
        _plan(half_way, "--json").json,
        _plan(half_way, "--workspace", "restore", "--json").json,
    )
    forced = _plan(half_way, "--workspace", "force-restore")

    assert (None, True, "keep") == (
        kept["refused"],
        kept["files"]["head_moved"],
        kept["files"]["action"],
    )
    assert "files are not restored under another HEAD" in restored["refused"]
    assert 12 == half_way("run", "flow.yaml", "--resume", "--workspace", "restore").code
    assert "; HEAD has moved since" in next(
        line for line in forced.out.splitlines() if line.startswith("restore")
    )
    assert "exit code 12" not in forced.err


def test_on_a_terminal_it_says_what_would_be_asked(
    half_way: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks nothing."""

    def refuse(_: str) -> bool:
        raise AssertionError("asked")

    monkeypatch.setattr("maverick.cli.here.asking", lambda: refuse)

    line = _plan(half_way).out.splitlines()[4]

    assert line.startswith(
        "ask      4 files that differ from checkpoint 3 (first), the newest with files, whether to "
    )


def test_shipped_workflows_plan_their_files_too(quick: Quick) -> None:
    """By the same options."""
    quick.program.file(".maverick/workflows/fly.yaml", textwrap.dedent(whole(KEEPING, "fly")))
    quick.program.file("gone", "")
    assert 1 == quick("fly", "--quiet").code

    assert (
        "restore"
        == quick("fly", "--resume", "--workspace", "restore", "--plan", "--json").json["files"][
            "action"
        ]
    )
