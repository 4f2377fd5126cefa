"""The file that `--events` writes: what a start and a resumption do to it, and a disk that is
full.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.program import Program, Quick

FRAGILE = """
    - {name: first, type: shell, run: echo one}
    - {name: second, type: shell, run: test -e fixed}
    """


def _kinds(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_full_disk_is_said_once_and_the_run_is_done(quick: Quick) -> None:
    """Neither writing nor closing the file ends anything."""
    quick.program.flow("- {name: a, type: shell, run: pwd}\n- {name: b, type: shell, run: pwd}")

    done = quick("run", "flow.yaml", "--events", "/dev/full")

    assert 0 == done.code, done.err
    assert 1 == done.err.count(
        "warning: events are no longer written: [Errno 28] No space left on device"
    )
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("reader", "told"),
    [
        (
            "> /dev/full",
            "warning: events are no longer written: [Errno 28] No space left on device\n",
        ),
        ("| head -c 1", ""),
    ],
)
def test_standard_output_that_takes_no_events_ends_no_run(
    program: Program, reader: str, told: str
) -> None:
    """As with a file: it is said once, of a reader that left not at all, and the run is done."""
    program.flow("- {name: a, type: shell, run: pwd}\n- {name: b, type: shell, run: pwd}")

    done = program.shell(f"set -o pipefail; maverick run flow.yaml --quiet --events - {reader}")

    assert (0, told) == (done.code, done.err)


def test_a_resumption_writes_behind_what_the_run_wrote(quick: Quick) -> None:
    """One file tells of all of a run, in however many parts it was done."""
    quick.program.flow(FRAGILE)
    quick("run", "flow.yaml", "--events", "events.jsonl")
    quick.program.file("fixed", "")

    quick("run", "flow.yaml", "--resume", "--events", "events.jsonl")

    kinds = _kinds(quick.program.root / "events.jsonl")
    assert ["run_started", "run_finished", "run_resumed", "run_finished"] == [
        it for it in kinds if it[:3] == "run"
    ]


def test_a_start_writes_the_file_anew(quick: Quick) -> None:
    quick.program.flow("- {name: a, type: checkpoint}")
    quick("run", "flow.yaml", "--events", "events.jsonl")
    first = _kinds(quick.program.root / "events.jsonl")

    quick("run", "flow.yaml", "--events", "events.jsonl")

    assert first == _kinds(quick.program.root / "events.jsonl")


@pytest.mark.parametrize(
    "command",
    [
        ("run", "nothing"),
        ("run", "flow.yaml", "-i", "x=1"),
        ("run", "flow.yaml", "--plan"),
        ("run", "other", "--resume"),
    ],
    ids=" ".join,
)
def test_a_command_that_runs_nothing_leaves_the_file_as_it_is(
    quick: Quick, command: tuple[str, ...]
) -> None:
    """A typing error loses no events."""
    quick.program.flow("- {name: a, type: checkpoint}")
    quick.program.file("events.jsonl", "what was there")

    quick(*command, "--events", "events.jsonl")

    assert "what was there" == (quick.program.root / "events.jsonl").read_text()


def test_a_line_that_a_kill_cut_off_is_ended(quick: Quick) -> None:
    """The first event of the resumption stands on a line of its own."""
    quick.program.flow(FRAGILE)
    quick("run", "flow.yaml")
    quick.program.file("events.jsonl", '{"event": "step_st')
    quick.program.file("fixed", "")

    quick("run", "flow.yaml", "--resume", "--events", "events.jsonl")

    torn, first, *_ = (quick.program.root / "events.jsonl").read_text().splitlines()
    assert ('{"event": "step_st', "run_resumed") == (torn, json.loads(first)["event"])


def test_a_pipe_can_be_written_to(program: Program) -> None:
    """`--events >(consumer)`, and a reader that has gone."""
    program.flow(FRAGILE)

    done = program.shell(
        "maverick run flow.yaml --quiet --events >(cat > copy; touch ready); "
        "while ! test -e ready; do sleep 0.01; done; head -1 copy | grep -o run_started"
    )
    gone = program.shell("maverick run flow.yaml --events >(true) --json | grep -c first; true")

    assert "run_started\n" == done.out
    assert "Traceback" not in gone.err


def test_a_file_that_cannot_be_opened_is_a_wrong_usage(quick: Quick) -> None:
    quick.program.flow(FRAGILE)

    done = quick("run", "flow.yaml", "--events", "no/such/folder")

    assert (2, "error: cannot write events to no/such/folder: No such file or directory") == (
        done.code,
        done.last_line,
    )


def test_every_text_can_be_an_event(quick: Quick) -> None:
    """Bytes that are no text stand as escapes in a file of UTF-8."""
    (quick.program.root / "flow.yaml").write_bytes(
        b'version: "1.0"\nname: flow\nsteps:\n  - {name: a, type: python, action: "acts:say"}\n'
    )
    quick.program.file("acts.py", "def say():\n    raise ValueError('a\\udc80b\\x9b')\n")

    done = quick("run", "flow.yaml", "--events", "events.jsonl")

    assert 1 == done.code
    assert "events are not written" not in done.err
    assert "\\udc80" in (quick.program.root / "events.jsonl").read_text("utf-8")


def test_standard_output_stays_a_stream_of_json_lines(program: Program) -> None:
    """The object is the last of them, also where the run is stopped."""
    program.flow("- {name: wait, type: shell, run: 'touch $MARK; exec sleep 6000'}")
    with subprocess.Popen(
        [sys.executable, "-m", "maverick", "run", "flow.yaml", "--events", "-", "--json"],
        cwd=program.root,
        env=program.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [next(process.stdout)]
        while not any("step_started" in line for line in lines):
            lines.append(next(process.stdout))
        os.kill(process.pid, signal.SIGTERM)
        lines += list(process.stdout)

    assert "paused" == [json.loads(line) for line in lines][-1]["status"]
