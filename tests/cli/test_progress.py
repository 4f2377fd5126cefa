"""What a person sees of a run."""

from __future__ import annotations

import io
import re

import pytest

from kit.program import Program, Quick, err_at_a_terminal
from maverick.cli.terminal.progress import EventLines, Progress, progress_line
from maverick.dsl.events import Event


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event(event="run_started", message="flow-1"), "     run  flow-1"),
        (Event(event="run_resumed", message="flow-1"), "  resume  flow-1"),
        (Event(event="step_started", step="a.b"), "   start    a.b"),
        (Event(event="step_done", step="a", seconds=0.0123), "    done  a  12 ms"),
        (
            Event(event="step_failed", step="a", seconds=2.0, message="no\nmore"),
            "  failed  a  2.0 s  no",
        ),
        (Event(event="step_recalled", step="a"), "recalled  a"),
        (Event(event="step_skipped", step="a"), " skipped  a"),
        (
            Event(
                event="step_retried",
                step="a",
                message="no",
                data={"attempt": 2, "of": 3, "wait": 0},
            ),
            "   retry  a  attempt 2 of 3 failed: no",
        ),
        (
            Event(
                event="step_retried",
                step="a",
                message="no",
                data={"attempt": 2, "of": 3, "wait": 90.0},
            ),
            "   retry  a  attempt 2 of 3 failed, again in 1 m 30 s: no",
        ),
        (Event(event="checkpoint_saved", step="a", message="phase 1"), "   saved  a  phase 1"),
        (Event(event="notice", message="flow.yaml is gone"), "    note  flow.yaml is gone"),
        (Event(event="step_output", step="a", data={"text": "x"}), None),
        (Event(event="run_finished", message="done"), None),
    ],
)
def test_each_event_is_one_line(event: Event, expected: str | None) -> None:
    assert expected == progress_line(event, colour=False)


def test_control_characters_of_a_step_do_not_reach_the_terminal() -> None:
    line = progress_line(
        Event(event="checkpoint_saved", step="a", message="\x1b[2Jlabel"), colour=False
    )

    assert "   saved  a  \\x1b[2Jlabel" == line


def test_recalled_and_skipped_steps_are_shown_as_such(quick: Quick) -> None:
    quick.program.flow(
        """
        - {name: first, type: shell, run: "echo one"}
        - {name: never, type: shell, run: "echo no", when: "false"}
        - {name: second, type: shell, run: "test -e fixed"}
        """
    )
    quick("run", "flow.yaml")
    quick.program.file("fixed", "")

    done = quick("run", "flow.yaml", "--resume")

    assert ["recalled  first", "skipped  never", "start  second"] == [
        it.strip() for it in done.err.splitlines()[1:4]
    ]
    assert done.last_line.endswith(": 1 step ran, 1 recalled, 1 skipped")


def test_colour_is_for_terminals_and_can_be_refused(program: Program) -> None:
    program.flow("- {name: only, type: shell, run: 'echo one'}")

    assert "\x1b[" not in program.run("run", "flow.yaml").err
    assert "\x1b[32m" in err_at_a_terminal(program, "run", "flow.yaml")
    assert "\x1b[" not in err_at_a_terminal(program, "run", "flow.yaml", NO_COLOR="1")
    assert "\x1b[" not in err_at_a_terminal(program, "run", "flow.yaml", TERM="dumb")
    assert "\x1b[" not in err_at_a_terminal(program, "run", "flow.yaml", "--plain")


def test_an_events_file_that_breaks_is_said_once_and_ends_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    lines = EventLines(Full())
    lines(Event(event="notice"))
    lines(Event(event="notice"))

    assert 1 == len(re.findall("no longer written", capsys.readouterr().err))


def test_what_an_agent_says_is_shown_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that comes in two pieces is one line; what other steps print is not shown."""
    progress = Progress(plain=True)
    for kind, text in (
        ("agent", "I wri"),
        ("shell", "noise\n"),
        ("agent", "te it.\nDone"),
        ("agent", ".\n\n"),
    ):
        progress(
            Event(event="step_output", step="a", type=kind, data={"stream": "stdout", "text": text})
        )

    assert ["|  I write it.", "|  Done."] == [
        line.strip() for line in capsys.readouterr().err.splitlines()
    ]


def test_a_flood_of_an_agent_is_shown_in_part(capsys: pytest.CaptureFixture[str]) -> None:
    """A line of any length, and any number of lines, takes as much room and time as a person can
    read.
    """
    progress = Progress(plain=True)
    for text in (*["x" * 1000] * 100, "\n", "y\n" * 30_000):
        progress(
            Event(
                event="step_output", step="a", type="agent", data={"stream": "stdout", "text": text}
            )
        )
    long, *lines, more = capsys.readouterr().err.splitlines()

    assert (1000, "|  (29,000 more lines)") == (len(lines), more.strip())
    assert "x" * 2000 + "…" == long.strip().removeprefix("|  ")


def _said(step: str, text: str) -> Event:
    return Event(
        event="step_output", step=step, type="agent", data={"stream": "stdout", "text": text}
    )


def test_agents_at_work_side_by_side_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line says whose it is while there are several, and not any longer."""
    progress = Progress(plain=True)
    progress(Event(event="step_started", step="work[0].fix", type="agent"))
    progress(_said("work[0].fix", "alone\n"))
    progress(Event(event="step_started", step="work[1].fix", type="agent"))
    progress(_said("work[0].fix", "first\n"))
    progress(_said("work[1].fix", "second\n"))
    progress(Event(event="step_done", step="work[1].fix", type="agent"))
    progress(_said("work[0].fix", "alone again\n"))

    lines = [line.strip() for line in capsys.readouterr().err.splitlines() if "|" in line]
    assert [
        "|    alone",
        "|    work[0].fix | first",
        "|    work[1].fix | second",
        "|    alone again",
    ] == lines


def test_a_last_line_without_an_end_is_shown_when_the_agent_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(plain=True)
    progress(Event(event="step_started", step="a", type="agent"))
    progress(_said("a", "one\ntwo"))
    progress(Event(event="step_done", step="a", type="agent"))

    assert ["start  a", "|  one", "|  two", "done  a"] == [
        it.strip() for it in capsys.readouterr().err.splitlines()
    ]


@pytest.mark.parametrize(
    "pieces",
    [["10 %\r20 %\r", "100 %\r\n"], ["10 %", "\r100 %\r", "\n"], ["x" * 3000 + "\r100 %\n"]],
)
def test_of_a_line_that_an_agent_paints_again_the_last_state_is_shown(
    pieces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(plain=True)
    for piece in pieces:
        progress(_said("a", piece))

    assert ["|  100 %"] == [line.strip() for line in capsys.readouterr().err.splitlines()]


def test_a_failure_is_told_once(quick: Quick) -> None:
    """Its step is named where it fails, its reason stands in the line that begins with `error:`."""
    quick.program.flow(
        """
        - name: outer
          type: loop
          for_each: [1]
          steps: [{name: inner, type: shell, run: "echo the reason >&2; exit 3"}]
        """
    )

    done = quick("run", "flow.yaml")

    assert 1 == done.err.count("the reason")
    assert "error: step outer[0].inner: exit code 3: the reason" in done.err.splitlines()
    shapes = [
        re.sub(r"[0-9.]+ (ms|s)\b", "TIME", line.strip())
        for line in done.err.splitlines()
        if "fail" in line
    ]
    assert ["failed    outer[0].inner  TIME", "failed  outer  TIME"] == shapes[:2]
    assert re.search(
        r"^flow-\S+ failed after [0-9.]+ m?s: 0 steps ran, 1 failed; resume it with$",
        done.err,
        re.MULTILINE,
    )


def test_a_failure_that_ends_nothing_tells_its_reason_where_it_happens(quick: Quick) -> None:
    """No `error:` line will."""
    quick.program.flow(
        """
        - {name: a, type: shell, run: "echo reason-a >&2; exit 3", continue_on_error: true}
        - name: list
          type: loop
          for_each: [1]
          continue_on_error: true
          steps: [{name: b, type: shell, run: "echo reason-b >&2; exit 3"}]
        - name: other
          type: loop
          for_each: [1]
          continue_on_error: true
          steps: [{name: c, type: shell, run: "exit 0", when: "1 < 'a'"}]
        """
    )

    done = quick("run", "flow.yaml")

    assert 0 == done.code
    failed = [line.strip() for line in done.err.splitlines() if "failed  " in line]
    assert ["reason-a", "reason-b"] == [line.rpartition(" ")[2] for line in failed[:2]]
    assert failed[2].startswith("failed    other[0].c  ")
    assert 1 == done.err.count("reason-b")
