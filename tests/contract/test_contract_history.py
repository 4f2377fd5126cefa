"""What is done with a run's history, and what a run does with what it did: seen from outside."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.program import Program, Quick

TOOLS = """
def plan():
    return {"tasks": [{"title": "one"}, {"title": "two"}]}

def make(name):
    return {"made": name}

def undo(name, output):
    open("undone", "a").write(f"{name} {output['made']}\\n")

def undo_by_output(output):
    open("undone", "a").write(f"output {output['made']}\\n")

def undo_badly(name):
    raise OSError(f"{name} stays")
"""
FLOW = """
- {name: plan, type: python, action: "tools:plan"}
- {name: planned, type: checkpoint, workspace: true}
- name: each
  type: loop
  for_each: ${{ steps.plan.output.tasks }}
  steps:
    - {name: work, type: shell, run: "echo ${{ quote(item.title) }} | tee -a log"}
- {name: last, type: shell, run: "echo last >> log; test -e ready; echo ${{ quote(to_json(steps.each.output)) }}"}
"""


def _log(program: Program) -> list[str]:
    path = program.root / "log"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


@pytest.fixture
def failed(program: Program) -> Program:
    """A project with a run that failed at its last step, and would succeed now."""
    program.file(".gitignore", "log\nready\n__pycache__\n")
    program.file("tools.py", TOOLS)
    program.flow(FLOW)
    assert 1 == program.run("run", "flow.yaml").code
    assert ["one", "two", "last"] == _log(program)
    program.file("ready", "")
    return program


@pytest.fixture
def quick(failed: Program, monkeypatch: pytest.MonkeyPatch) -> Quick:
    """The same project, and the program in this process."""
    monkeypatch.chdir(failed.root)
    return Quick(failed)


def _resumed(quick: Quick, *args: str) -> tuple[list[str], dict[str, int]]:
    done = quick("run", "flow.yaml", "--resume", "--json", *args)
    assert 0 == done.code, done.err
    return _log(quick.program), done.json["steps"]


def test_from_a_step_on_everything_runs_again(quick: Quick) -> None:
    """Whatever is recorded, also from one iteration, and from the step that failed."""
    assert (
        ["two", "last"],
        {"ran": 2, "recalled": 3, "skipped": 0, "failed": 0, "reused": 0},
    ) == _resumed(quick, "--from", "each[1].work")


@pytest.mark.parametrize(("step", "ran"), [("each", ["one", "two", "last"]), ("last", ["last"])])
def test_from_takes_steps_made_of_steps_and_the_one_that_failed(
    quick: Quick, step: str, ran: list[str]
) -> None:
    assert ran == _resumed(quick, "--from", step)[0]


def test_a_skipped_step_gives_null_or_what_is_said(quick: Quick) -> None:
    """It is recorded as skipped, and the log tells that it was by hand."""
    ran, steps = _resumed(quick, "--skip", "last")

    assert ([], {"ran": 0, "recalled": 4, "skipped": 1, "failed": 0, "reused": 0}) == (ran, steps)
    assert "skipped" == quick("checkpoint", "show", "@latest:steps.last.status", "--json").json
    assert quick("checkpoint", "show", "@latest:steps.last.output", "--json").json is None


def test_a_step_that_is_not_there_cannot_be_skipped(quick: Quick) -> None:
    done = quick("run", "flow.yaml", "--resume", "--skip", "lst")

    assert (10, []) == (done.code, _log(quick.program))
    assert "last" in done.err


def test_a_plan_says_what_would_run_and_writes_nothing(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a new run as for one that goes on; of an edit it names what changed. Nor do the modules
    that it imports leave bytecode.
    """
    os.utime(quick.program.root / "tools.py", (0, 10**9))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def everything() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in quick.program.root.rglob("*") if path.is_file()}

    before = everything()
    fresh = quick("run", "flow.yaml", "--plan")
    resumed = quick("run", "flow.yaml", "--resume", "--plan").out
    assert (0, before) == (fresh.code, everything())
    assert ["recall", "run"] == [
        line.split()[0] for line in resumed.splitlines() if line.split()[1] in ("plan", "last")
    ]

    quick.program.flow(FLOW.replace("| tee -a log", "| tee -a log # new"))
    before = everything()
    edited = quick("run", "flow.yaml", "--resume", "--plan").out
    assert before == everything()
    assert "+" in edited
    assert "# new" in edited


def test_a_corrected_output_is_recalled_and_what_follows_runs_again(quick: Quick) -> None:
    """A new checkpoint; history stays; undo takes it back."""
    run = quick("runs", "--json").json[0]["run"]
    title = f"{run}:steps.plan.output.tasks[0].title"
    edited = quick(
        "checkpoint", "edit", run, "steps.plan.output", "--set", "tasks[0].title=New", "--json"
    )
    assert (0, "New") == (edited.code, quick("checkpoint", "show", title, "--json").json)
    assert (
        "one"
        == quick("checkpoint", "show", f"{run}~1:steps.plan.output.tasks[0].title", "--json").json
    )
    assert 0 == quick("checkpoint", "undo", "--yes").code
    assert "one" == quick("checkpoint", "show", title, "--json").json
    quick(
        "checkpoint",
        "edit",
        run,
        "steps.plan.output",
        "--set",
        "steps.plan.output.tasks[0].title=New",
    )

    assert ["New", "two", "last"] == _resumed(quick)[0]


def test_a_fork_a_tag_and_a_drop_can_be_taken_back(failed: Program) -> None:
    """Each is a movement of refs; nothing is copied, and the old run stays."""
    run = failed.run("runs", "--json").json[0]["run"]
    fork = failed.run("checkpoint", "fork", f"{run}@planned", "--as", "other", "--json").json
    assert "other" == fork["run"]
    assert ["other", run] == [row["run"] for row in failed.run("runs", "--json").json]
    assert ["one", "two", "last"] == _forked(failed, "other")

    assert 0 == failed.run("checkpoint", "tag", f"{run}@planned", "good").code
    assert "planned" == failed.run("checkpoint", "show", f"{run}@good", "--json").json["label"]
    assert 0 == failed.run("checkpoint", "undo", "--yes").code
    assert 10 == failed.run("checkpoint", "show", f"{run}@good").code

    assert 2 == failed.run("checkpoint", "drop", run).code
    assert 0 == failed.run("checkpoint", "drop", run, "--yes").code
    assert ["other"] == [row["run"] for row in failed.run("runs", "--json").json]
    assert 0 == failed.run("checkpoint", "undo", "--yes").code
    assert {"other", run} == {row["run"] for row in failed.run("runs", "--json").json}


def _forked(program: Program, run: str) -> list[str]:
    assert 0 == program.run("run", f"--resume={run}").code
    return _log(program)


def test_files_go_back_with_consent_and_come_again(failed: Program) -> None:
    """What is there is saved first; without a terminal `--yes` is needed."""
    failed.file("made.txt", "by hand\n")
    failed.file("tools.py", TOOLS + "# edited\n")
    asked = failed.run("checkpoint", "restore", "flow@planned")
    assert (2, True) == (asked.code, "--yes" in asked.err)
    restored = failed.run("checkpoint", "restore", "flow@planned", "--yes")
    assert 0 == restored.code, restored.err
    assert (False, TOOLS) == (
        (failed.root / "made.txt").exists(),
        (failed.root / "tools.py").read_text(),
    )
    assert 0 == failed.run("checkpoint", "undo", "--yes").code
    assert "by hand\n" == (failed.root / "made.txt").read_text()
    assert (failed.root / "ready").exists()


def test_a_run_moves_to_another_project_in_one_file(failed: Program, tmp_path: Path) -> None:
    """Verified on import; a file that was altered or cut off is refused, and nothing of it is taken
    in.
    """
    run = failed.run("runs", "--json").json[0]["run"]
    bundle = tmp_path / "run.bundle"
    assert 0 == failed.run("checkpoint", "export", run, str(bundle)).code
    other = Program(tmp_path / "other")
    for name, damaged in (
        ("cut", bundle.read_bytes()[:-20]),
        ("altered", _altered(bundle.read_bytes())),
    ):
        (other.root / name).write_bytes(damaged)
        assert 20 == other.run("checkpoint", "import", name).code, name
        assert [] == other.run("runs", "--json").json
    assert 0 == other.run("checkpoint", "import", str(bundle)).code
    other.file("ready", "")
    other.file("tools.py", TOOLS)

    done = other.run("run", f"--resume={run}", "--json")
    assert (0, ["last"]) == (done.code, _log(other)), done.err


def _altered(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# --- what a run does with what it did -------------------------------------------------------------


def test_a_failed_run_undoes_what_it_did_back_to_the_last_checkpoint(program: Program) -> None:
    """In reverse; all errors are reported; what was undone runs again, and what follows it."""
    program.file("tools.py", TOOLS)
    program.flow(
        """
        - {name: old, type: python, action: "tools:make", args: [old], rollback: "tools:undo"}
        - {name: safe, type: checkpoint}
        - {name: a, type: python, action: "tools:make", kwargs: {name: a},
           rollback: "tools:undo_by_output"}
        - name: l
          type: loop
          for_each: [x, y]
          steps: [{name: i, type: python, action: "tools:make", args: ["${{ item }}"], rollback: "tools:undo"}]
        - {name: b, type: python, action: "tools:make", args: [b], rollback: "tools:undo_badly"}
        - name: c
          type: shell
          run: echo sea
          rollback: {type: shell, run: "echo ${{ quote(steps.c.output.value) }} >> undone"}
        - {name: last, type: shell, run: test -e ready}
        """
    )
    failed = program.run("run", "flow.yaml", "--json")
    undone = (program.root / "undone").read_text().splitlines()
    program.file("ready", "")
    resumed = program.run("run", "flow.yaml", "--resume", "--json")

    assert ["sea", "y y", "x x", "output a"] == undone
    assert 1 == len(failed.json["rollback_errors"])
    assert "b stays" in failed.json["rollback_errors"][0]
    assert (0, 6, 2) == (
        resumed.code,
        resumed.json["steps"]["ran"],
        resumed.json["steps"]["recalled"],
    )


def test_what_is_kept_on_failure_is_not_undone(program: Program) -> None:
    """`on_failure: keep`."""
    program.file("tools.py", TOOLS)
    program.flow(
        """
        on_failure: keep
        steps:
          - {name: a, type: python, action: "tools:make", args: [a], rollback: "tools:undo"}
          - {name: last, type: shell, run: exit 1}
        """
    )
    assert (1, False) == (program.run("run", "flow.yaml").code, (program.root / "undone").exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_pauses_the_run_and_stops_what_runs(
    program: Program, number: signal.Signals
) -> None:
    """In a loop, a branch and a sub-workflow; what had finished is not done again."""
    program.file(
        "inner.yaml",
        """
        version: "1.0"
        name: inner
        steps:
          - name: choose
            type: branch
            options: [{when: "true", step: {name: wait, type: shell, run: "touch $MARK; test -e ready || sleep 600"}}]
        """,
    )
    program.flow(
        """
        - {name: a, type: shell, run: echo a >> log}
        - {name: l, type: loop, for_each: [1], steps: [{name: s, type: subworkflow,
           workflow: ./inner.yaml}]}
        - {name: z, type: shell, run: echo z >> log}
        """
    )
    paused = program.begin("run", "flow.yaml", "--json").wait_for(program.mark).signal(number).end()
    kinds = [row["kind"] for row in program.run("checkpoint", "log", "--json").json]
    program.file("ready", "")
    resumed = program.run("run", "flow.yaml", "--resume", "--json")

    answer = paused.json
    assert (130, "paused", "pause") == (paused.code, answer["status"], kinds[0])
    assert (1, None, True) == (
        answer["steps"]["ran"],
        answer["output"],
        number.name in answer["error"],
    )
    assert f"maverick run flow.yaml --resume={answer['run']}" == paused.last_line
    assert (0, 1, ["a", "z"]) == (resumed.code, resumed.json["steps"]["recalled"], _log(program))


SECRET = "s3cr3t/pässwörd+&x"


def _strings(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def test_a_secret_reaches_no_output_event_or_file_of_the_store(program: Program) -> None:
    """However a step writes it; a short one and one in an input are refused before anything
    runs.
    """
    program.file("maverick.yaml", "secrets: [TOKEN, NOT_SET]\n")
    program.file("tools.py", "def echo(x):\n    print(x)\n    return {x: [x, x.encode()]}\n")
    program.flow(
        """
        - {name: a, type: shell, run: 'echo "$TOKEN"; echo "$TOKEN" >&2; printf %s "$TOKEN" | base64'}
        - {name: b, type: python, action: "tools:echo", args: ["${{ env.TOKEN }}"]}
        - {name: c, type: checkpoint, checkpoint_id: "with ${{ env.TOKEN }}"}
        - {name: d, type: shell, run: 'echo "$TOKEN" >&2; exit 3', continue_on_error: true}
        """
    )
    done = program.run("run", "flow.yaml", "--json", "--events", "events.jsonl", TOKEN=SECRET)
    written = "".join(
        path.read_bytes().decode("latin-1")
        for path in (program.root / ".maverick").rglob("*")
        if path.is_file()
    )
    shown = program.run("checkpoint", "show", "@latest:steps.a.output", "--json").json
    short = program.run("run", "flow.yaml", TOKEN="short")

    assert 0 == done.code, done.err
    for text in (
        done.out,
        done.err,
        (program.root / "events.jsonl").read_text(),
        written,
        _strings(shown),
    ):
        assert "s3cr3t" not in text
    assert "***\n" == shown["stderr"]
    assert (2, True) == (short.code, "TOKEN" in short.err)
