"""`watch`, and `logs -f`: a run that another process executes."""

from __future__ import annotations

import json
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from kit.emulator import AtTerminal
from kit.patience import PATIENCE_SECONDS
from kit.program import Program, Quick

WAIT = "while [ ! -e {0} ]; do sleep 0.02; done"


def _files(program: Program) -> dict[Path, bytes]:
    store = program.root / ".maverick" / "checkpoints"
    return {path: path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


@pytest.fixture
def waiting(program: Program) -> Program:
    """A project with a run that waits in its loop's second iteration for a file `go`."""
    program.flow(f"""
    - {{name: first, type: shell, run: "echo quick"}}
    - name: work
      type: loop
      for_each: [{{name: "Phase 1: Model"}}, {{name: "Phase 2: Export"}}]
      steps:
        - {{name: fix, type: shell, run: "echo begun ${{{{ index }}}}; {WAIT.format("go")}; echo over"}}
    - {{name: mark, type: checkpoint, checkpoint_id: half}}
    - {{name: last, type: shell, run: "test ! -e fail"}}
    """)
    return program


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, 1)])
def test_watch_shows_what_happens_and_ends_with_the_run(
    waiting: Program, fails: bool, code: int
) -> None:
    """In a pipe as lines; its exit code is the run's."""
    if fails:
        waiting.file("fail", "")
    run = waiting.begin("run", "flow.yaml", "--events", "events.jsonl")
    run.wait_for_line("│ work[0].fix  begun 0")
    watch = waiting.begin("watch")
    watch.wait_for_line("│ work[0].fix  begun 0")
    waiting.file("go", "")
    watched, ran = watch.end(), run.end()

    assert (code, code, "") == (ran.code, watched.code, watched.out)
    lines = [" ".join(line[8:].split()) for line in watched.err.splitlines()]
    assert "│ work[0].fix over" in lines
    for shown in ("done work[0].fix 1/2 Phase 1: Model", "done work[1].fix 2/2 Phase 2: Export"):
        assert any(line.startswith(shown) for line in lines), watched.err
    assert "saved mark @half" in lines
    assert not any(line.startswith("done first") for line in lines)  # It had ended before.
    assert ("failed last" in watched.err.replace("  ", " ")) == fails
    last = watched.err.splitlines()[-1]
    assert last.startswith("maverick resume flow-") if fails else " done in " in last


def test_watch_shows_the_same_display_on_a_terminal(waiting: Program) -> None:
    run = waiting.begin("run", "flow.yaml")
    run.wait_for_line("│ work[0].fix  begun 0")
    command = [sys.executable, "-m", "maverick", "watch"]

    with AtTerminal(command, cwd=waiting.root, env=waiting.environment, columns=100) as terminal:
        terminal.wait_for(" ▸ work[0].fix")
        terminal.wait_for("│ begun 0")
        terminal.wait_for("1 done")  # `first`, which had ended before.
        waiting.file("go", "")
        code = terminal.end()
    run.end()

    assert 0 == code
    shown = terminal.emulator.all
    assert not any("▸" in line for line in shown)
    assert shown[0].startswith("▶ flow-")
    assert any(line.startswith("✓ work[1].fix  2/2 Phase 2: Export") for line in shown)
    assert " done in " in shown[-1]


def test_ctrl_c_ends_the_watching_and_the_run_goes_on(waiting: Program) -> None:
    """And nothing of the store was touched."""
    run = waiting.begin("run", "flow.yaml")
    run.wait_for_line("│ work[0].fix  begun 0")
    before = _files(waiting)
    watch = waiting.begin("watch", "--progress", "lines")
    watch.wait_for_line("begun 0")
    ended = watch.signal(signal.SIGINT).end()
    after = _files(waiting)
    waiting.file("go", "")

    assert 130 == ended.code
    assert " goes on; watch it again with" in ended.err
    assert ended.last_line.startswith("maverick watch flow-")
    assert before == after
    assert 0 == run.end().code


def test_a_run_that_is_killed_ends_the_watching(waiting: Program) -> None:
    run = waiting.begin("run", "flow.yaml")
    run.wait_for_line("│ work[0].fix  begun 0")
    watch = waiting.begin("watch")
    watch.wait_for_line("begun 0")
    run.signal(signal.SIGKILL).end()
    ended = watch.end()
    waiting.file("go", "")

    assert 130 == ended.code
    assert " killed after " in ended.err
    assert ended.last_line.startswith("maverick resume flow-")


def test_where_nothing_runs_watch_says_what_there_is(quick: Quick) -> None:
    nothing = quick("watch")
    assert (10, True) == (nothing.code, "`maverick run WORKFLOW`" in nothing.err)

    quick.program.flow("- {name: only, type: shell, run: 'true'}")
    run = quick("run", "flow.yaml", "--json").json["run"]
    ended = quick("watch")

    assert 10 == ended.code
    assert f"the newest run, {run}, is done: `maverick show {run}`" in ended.err

    named = quick("watch", run)
    assert 0 == named.code
    assert " done in " in named.last_line
    unheard = quick.program.shell(f"maverick watch {run} --progress json 2>&-")
    assert (0, "") == (unheard.code, unheard.out)


def test_watch_as_json_gives_events(waiting: Program) -> None:
    run = waiting.begin("run", "flow.yaml")
    run.wait_for_line("│ work[0].fix  begun 0")
    watch = waiting.begin("watch", "--progress", "json")
    watch.wait_for_line("step_output")
    waiting.file("go", "")
    err = watch.end().err
    run.end()

    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert ["work[0].fix", "work[1].fix", "mark", "last"] == [
        event["step"]
        for event in events
        if event["event"] == "step_done" and not event["data"].get("composite")
    ]


# --- logs -f --------------------------------------------------------------------------------------


def _wait_for(file: Path, data: bytes) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while data not in file.read_bytes():
        assert time.monotonic() < deadline, f"{data!r} never came"
        select.select([], [], [], 0.01)


def test_logs_follow_one_step_to_its_end(program: Program) -> None:
    """To the byte, also of an attempt that failed, and of what was there before anybody looked."""
    program.flow(f"""
    - name: work
      type: shell
      retry: {{attempts: 2}}
      run: |
        printf 'a\\0b\\377'; echo begun
        touch begun
        {WAIT.format("go")}
        echo over >&2; printf 'no end'
        test -e again || {{ touch again; exit 1; }}
    - {{name: later, type: shell, run: "{WAIT.format("end")}"}}
    """)
    run = program.begin("run", "flow.yaml", "--quiet").wait_for(program.root / "begun")
    with (program.root / "out").open("wb") as out:
        logs = program.begin("logs", "-f", "work", "--stream", "stdout", out=out)
        _wait_for(program.root / "out", b"begun")
        program.file("go", "")
        ended = logs.end()
    program.file("end", "")

    once = b"a\0b\377begun\nno end"
    assert (0, once * 2) == (ended.code, (program.root / "out").read_bytes())
    assert 0 == run.end().code


def test_logs_follow_a_run_with_each_line_saying_whose_it_is(waiting: Program) -> None:
    run = waiting.begin("run", "flow.yaml")
    run.wait_for_line("│ work[0].fix  begun 0")
    logs = waiting.begin("logs", "-f")
    waiting.file("go", "")
    ended = logs.end()
    run.end()

    assert 0 == ended.code
    assert [
        "first | quick",
        "work[0].fix | begun 0",
        "work[0].fix | over",
        "work[1].fix | begun 1",
        "work[1].fix | over",
    ] == ended.out.splitlines()


def test_logs_wait_for_a_step_that_is_to_come(waiting: Program) -> None:
    run = waiting.begin("run", "flow.yaml")
    run.wait_for_line("│ work[0].fix  begun 0")
    logs = waiting.begin("logs", "-f", "work[1].fix")
    waiting.file("go", "")
    ended = logs.end()
    run.end()

    assert (0, "begun 1\nover\n") == (ended.code, ended.out)


def test_logs_of_a_run_that_does_not_run_end_at_once(quick: Quick) -> None:
    quick.program.flow("- {name: only, type: shell, run: 'echo one'}")
    quick("run", "flow.yaml")

    assert (0, "one\n") == (quick("logs", "-f").code, quick("logs", "-f").out)
    assert 10 == quick("logs", "--follow", "@latest", "onyl").code
    assert 2 == quick("logs", "-f", "--json").code


def test_logs_of_a_step_that_cannot_come_are_refused(waiting: Program) -> None:
    run = waiting.begin("run", "flow.yaml")
    run.wait_for_line("│ work[0].fix  begun 0")

    refused = waiting.run("logs", "-f", "@latest", "wrok")
    waiting.file("go", "")
    run.end()

    assert 10 == refused.code
    assert "has no step wrok" in refused.err
