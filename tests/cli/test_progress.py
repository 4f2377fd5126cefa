"""What a person sees of a run."""

from __future__ import annotations

import io
import json
import re

import pytest

from kit.program import Program, Quick, err_at_a_terminal
from maverick.cli.closing import counts_text
from maverick.cli.terminal.event_lines import EventLines
from maverick.cli.terminal.progress import Lines, progress_line
from maverick.dsl.events import Event
from maverick.dsl.workflow.costs import Costs
from maverick.dsl.workflow.outcome import Counts, Outcome


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event(event="run_started", message="flow-1"), "     run  flow-1"),
        (Event(event="run_resumed", message="flow-1"), "  resume  flow-1"),
        (Event(event="step_started", step="a.b"), "   start  a.b"),
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
        (Event(event="checkpoint_saved", step="a", message="phase 1"), "   saved  a  @phase 1"),
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

    assert "   saved  a  @\\x1b[2Jlabel" == line


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

    done = quick("run", "flow.yaml", "--resume", "-v")

    assert ["recalled  first", "skipped  never  when: false", "start  second"] == [
        line[10:].strip() for line in done.err.splitlines()[1:4]
    ]
    assert done.last_line.endswith(": 1 step ran, 1 recalled, 1 skipped")


def test_colour_is_for_terminals_and_can_be_refused(program: Program) -> None:
    program.flow("- {name: only, type: shell, run: 'echo one'}")

    assert "\x1b[" not in program.run("run", "flow.yaml").err
    assert "\x1b[32m" in program.run("run", "flow.yaml", FORCE_COLOR="1").err
    assert "\x1b[" not in program.run("run", "flow.yaml", FORCE_COLOR="1", NO_COLOR="1").err
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


@pytest.mark.parametrize("kind", ["shell", "python", "validate", "agent"])
def test_what_a_step_writes_is_shown_line_by_line(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that comes in two pieces is one line, and says whose it is."""
    progress = Lines(plain=True, clock=False)
    for text in ("I wri", "te it.\nDone", ".\n\n"):
        progress(_said("a", text, kind))

    assert ["│ a  I write it.", "│ a  Done."] == [
        line.strip() for line in capsys.readouterr().err.splitlines()
    ]


def test_a_flood_is_shown_in_part(capsys: pytest.CaptureFixture[str]) -> None:
    """A line of any length, and any number of lines, takes as much room and time as a person can
    read.
    """
    progress = Lines(plain=True, clock=False)
    for text in (*["x" * 1000] * 100, "\n", "y\n" * 30_000):
        progress(_said("a", text))
    long, *lines, more = capsys.readouterr().err.splitlines()

    assert (1000, "│ a  (29,000 more lines)") == (len(lines), more.strip())
    assert "x" * 2000 + "…" == long.strip().removeprefix("│ a  ")


def _said(step: str, text: str, kind: str = "agent") -> Event:
    return Event(event="step_output", step=step, type=kind, data={"stream": "stdout", "text": text})


def test_steps_at_work_side_by_side_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Lines(plain=True, clock=False)
    progress(_said("work[0].fix", "first, "))
    progress(_said("work[1].fix", "second\n"))
    progress(_said("work[0].fix", "whole\n"))

    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert ["│ work[1].fix  second", "│ work[0].fix  first, whole"] == lines


def test_a_last_line_without_an_end_is_shown_when_the_step_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Lines(plain=True, clock=False)
    progress(Event(event="step_started", step="a", type="agent"))
    progress(_said("a", "one\ntwo"))
    progress(Event(event="step_done", step="a", type="agent"))

    assert ["start  a", "│ a  one", "│ a  two", "done  a"] == [
        it.strip() for it in capsys.readouterr().err.splitlines()
    ]


@pytest.mark.parametrize(
    "pieces",
    [["10 %\r20 %\r", "100 %\r\n"], ["10 %", "\r100 %\r", "\n"], ["x" * 3000 + "\r100 %\n"]],
)
def test_of_a_line_that_a_step_paints_again_the_last_state_is_shown(
    pieces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Lines(plain=True, clock=False)
    for piece in pieces:
        progress(_said("a", piece))

    assert ["│ a  100 %"] == [line.strip() for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_its_time_and_the_item_of_its_iteration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Lines(plain=True)
    about: dict[str, object] = {"number": 2, "count": 3, "name": "Phase 2: Export"}
    progress(Event(event="iteration_started", step="work[1]", type="loop", data=about))
    progress(Event(event="step_started", step="work[1].fix", type="shell", time=0))
    progress(Event(event="iteration_ended", step="work[1]", type="loop"))
    progress(Event(event="step_started", step="work[1].fix", type="shell", time=0))

    inside, outside = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d {5}start  work\[1\]\.fix  2/3 Phase 2: Export", inside)
    assert outside.endswith("start  work[1].fix")


def test_steps_made_of_steps_and_skipped_ones_are_shown_with_verbose_only(quick: Quick) -> None:
    """A small workflow printed a line at the beginning and the end of each level."""
    quick.program.flow(
        """
        - name: list
          type: loop
          for_each: [{name: one thing}]
          steps:
            - {name: inner, type: shell, run: "echo one"}
            - {name: never, type: shell, run: "echo no", when: "false"}
        - {name: mark, type: checkpoint, checkpoint_id: half}
        """
    )

    def shape(*options: str) -> list[str]:
        lines = quick("run", "flow.yaml", *options).err.splitlines()[1:-1]
        return [re.sub(r"  [0-9.]+ m?s$", "", line[10:]).strip() for line in lines]

    few = [
        "start  list[0].inner  one thing",
        "│ list[0].inner  one",
        "done  list[0].inner  one thing",
        "saved  mark  @half",
    ]
    assert few == shape()
    assert [
        "start  list",
        *few[:3],
        "skipped  list[0].never  one thing  when: false",
        "done  list",
        few[3],
    ] == shape("--verbose")


def test_progress_may_be_lines_of_json(program: Program) -> None:
    """All of standard error is: what would be a line for people is a notice."""
    program.file("acts.py", "def say():\n    print('printed')\n")
    program.flow(
        """
        - {name: say, type: python, action: 'acts:say'}
        - {name: fails, type: shell, run: "echo why >&2; exit 3"}
        """
    )

    done = program.run("run", "flow.yaml", "--progress", "json", "--events", "events.jsonl")

    events = [json.loads(line) for line in done.err.splitlines()]
    written = [
        json.loads(line) for line in (program.root / "events.jsonl").read_text().splitlines()
    ]
    assert written == events[: len(written)]
    assert {"event", "step", "type", "time", "seconds", "message", "data"} == events[0].keys()
    assert ["notice"] == list({event["event"] for event in events[len(written) :]})
    assert events[-1]["message"].startswith("maverick run flow.yaml --resume=")
    assert (
        "printed\n"
        == "".join(
            event["data"]["text"] for event in events if event["event"] == "step_output"
        ).partition("why")[0]
    )


@pytest.mark.parametrize(
    ("options", "environment", "way"),
    [
        ([], {}, "lines"),
        (["--progress", "tree"], {}, "lines"),
        ([], {"MAVERICK_PROGRESS": "json"}, "json"),
        (["--progress=lines"], {"MAVERICK_PROGRESS": "json"}, "lines"),
        (["--quiet"], {"MAVERICK_PROGRESS": "json"}, "nothing"),
    ],
)
def test_how_progress_is_shown_can_be_said(
    quick: Quick, options: list[str], environment: dict[str, str], way: str
) -> None:
    """A display needs a terminal: a setting for all runs is right in pipes, too."""
    quick.program.flow("- {name: only, type: shell, run: 'echo one'}")

    err = quick("run", "flow.yaml", *options, **environment).err

    ways = {"": "nothing", "{": "json"}
    assert way == ways.get(err[:1], "lines")


@pytest.mark.parametrize("place", ["option", "environment"])
def test_no_such_way_to_show_progress_is_wrong_usage(quick: Quick, place: str) -> None:
    quick.program.flow("- {name: only, type: shell, run: 'echo one'}")
    is_option = place == "option"

    done = quick(
        "run",
        "flow.yaml",
        *(["--progress", "tee"] if is_option else []),
        MAVERICK_PROGRESS="" if is_option else "tee",
    )

    what = "--progress" if is_option else "MAVERICK_PROGRESS"
    assert (2, f"error: {what} is auto, tree, lines or json, not 'tee'\n") == (done.code, done.err)


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

    assert 1 == sum("the reason" in line for line in done.err.splitlines() if "│" not in line)
    assert "error: step outer[0].inner: exit code 3: the reason" in done.err.splitlines()
    shapes = [
        re.sub(r"[0-9.]+ (ms|s)\b", "TIME", line[10:].strip())
        for line in done.err.splitlines()
        if "  failed  " in line
    ]
    assert ["failed  outer[0].inner  1  TIME"] == shapes
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
    failed = [line[10:].strip() for line in done.err.splitlines() if "failed  " in line]
    assert ["reason-a", "reason-b"] == [line.rpartition(" ")[2] for line in failed[:2]]
    assert failed[2].startswith("failed  other[0].c  1  ")
    assert 1 == sum("reason-b" in line for line in done.err.splitlines() if "│" not in line)


def test_a_validation_that_does_not_pass_is_told_once_an_attempt(quick: Quick) -> None:
    """By the lines of the steps: a notice that says more stands among the events."""
    quick.program.flow(
        """
        - name: check
          type: validate
          retry: 1
          stages: [{name: test, run: "echo broken; exit 1"}]
        """
    )

    done = quick("run", "flow.yaml")

    told = [line[10:].strip() for line in done.err.splitlines() if "did not pass" in line]
    assert ["done  check[0]", "done  check[1]", "done  check"] == [
        line.partition("  did")[0].rpartition("  ")[0] for line in told if line.startswith("done")
    ]
    assert "validation failed at" not in done.err


@pytest.mark.parametrize(
    ("counts", "costs", "expected"),
    [
        (Counts(ran=1), Costs(), "1 step ran"),
        (Counts(ran=0, recalled=2, failed=1), Costs(), "0 steps ran, 2 recalled, 1 failed"),
        (
            Counts(ran=3, reused=1, skipped=2),
            Costs(calls=3, tokens_in=40_000, tokens_out=1_000, usd=0.37),
            "3 steps ran, 1 reused, 2 skipped; 3 calls, 41k tokens, $0.37",
        ),
    ],
)
def test_the_end_says_what_ran_and_what_it_cost(
    counts: Counts, costs: Costs, expected: str
) -> None:
    outcome = Outcome(run="flow-1", workflow="flow", status="done", counts=counts, costs=costs)

    assert expected == counts_text(outcome)
