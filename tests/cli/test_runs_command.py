"""`maverick runs` and `maverick checkpoint list`: what they say of each run, and how it fits."""

from __future__ import annotations

import json
import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.program import Program, Quick
from maverick.checkpoints import Overview, Store
from maverick.cli.looking import listed
from maverick.dsl.journal.tally import Standing
from maverick.dsl.workflow.costs import Costs
from maverick.runs.listing import RunSummary, summarise
from maverick.visible import columns, one_line

FAILS = "- {name: build, type: shell, run: 'echo noise; echo gone wrong >&2; exit 3'}"
WAITS = "- {name: waits, type: shell, run: 'touch \"$MARK\"; test -e fixed || sleep 600'}"


def table(text: str) -> list[dict[str, str]]:
    """The rows of a table by header: cells stand two blanks or more apart."""
    header, *lines = text.splitlines()
    names = header.split()
    rows = [re.split(r" {2,}", line, maxsplit=len(names) - 1) for line in lines]
    return [dict(zip(names, cells, strict=False)) for cells in rows]


# --- what is said of a run ------------------------------------------------------------------------


def test_a_failed_run_says_where_and_why(quick: Quick) -> None:
    """The morning after, in one line."""
    quick.program.flow(FAILS)
    quick("run", "flow.yaml")

    (row,) = quick("runs", "--json").json
    (line,) = table(quick("runs", COLUMNS="200").out)

    assert ("failed", "build", None) == (row["status"], row["failed_at"], row["step"])
    assert row["error"].startswith("step build: exit code 3")
    assert "gone wrong" in row["error"]
    assert 0 < row["seconds"] < 100
    assert str(quick.program.root) == row["project"]
    assert ("failed", "build") == (line["STATUS"], line["AT"])
    assert line["WHY"].startswith("exit code 3")


def test_a_done_run_has_no_reason(quick: Quick) -> None:
    """Nor is there a column of reasons where all are done."""
    quick.program.flow("- {name: works, type: shell, run: 'true'}")
    quick("run", "flow.yaml")

    (row,) = quick("runs", "--json").json

    assert "WHY" not in quick("runs").out
    assert (None, None, None, [], None) == tuple(
        row[name] for name in ("error", "failed_at", "waiting", "notices", "usd")
    )


def test_a_run_that_runs_says_at_which_step_and_in_which_process(program: Program) -> None:
    """Nothing of it is saved yet."""
    program.flow(WAITS)
    running = program.begin("run", "flow.yaml").wait_for(program.mark)

    (line,) = table(program.run("runs", COLUMNS="200").out)
    (row,) = program.run("runs", "--json").json
    running.signal(signal.SIGINT).end()

    assert ("running", "waits") == (line["STATUS"], line["AT"])
    assert line["WHY"].startswith(f"process {running.pid} on ")
    assert (None, True) == (row["step"], row["seconds"] >= 0)
    (line,) = table(program.run("runs", COLUMNS="200").out)
    assert ("paused", "waits", "interrupted by SIGINT") == (
        line["STATUS"],
        line["AT"],
        line["WHY"],
    )


@pytest.mark.parametrize("before", ["paused", "failed", "nothing"])
def test_a_run_that_was_killed_while_it_was_resumed_is_killed(
    program: Program, before: str
) -> None:
    """Though its newest checkpoint is that of the pause or failure before."""
    program.flow("- {name: waits, type: shell, run: 'touch \"$MARK\"; test ! -e fails; sleep 600'}")
    if before != "nothing":
        if before == "failed":
            program.file("fails", "")
        first = program.begin("run", "flow.yaml").wait_for(program.mark)
        if before == "paused":
            first.signal(signal.SIGINT)
        first.end()
        program.mark.unlink()
        (program.root / "fails").unlink(missing_ok=True)
        assert before == program.run("runs", "--json").json[0]["status"]
    command = ["run", "flow.yaml", *(["--resume"] if before != "nothing" else [])]

    program.begin(*command).wait_for(program.mark).signal(signal.SIGKILL).end()

    (row,) = program.run("runs", "--json").json
    (line,) = table(program.run("runs", COLUMNS="200").out)
    assert ("killed", None, None) == (row["status"], row["error"], row["failed_at"])
    assert ("killed", "waits") == (line["STATUS"], line["AT"])
    assert line["WHY"].endswith(" has ended")
    program.file("fails", "")
    assert 1 == program.run("resume").code  # What is left of the killed step is stopped.
    assert "failed" == program.run("runs", "--json").json[0]["status"]


def test_what_is_left_of_a_parallel_loop_is_named_by_what_it_stands_in(quick: Quick) -> None:
    """Which of its steps had ended, the note of a killed run does not say; one that runs does."""
    flow = "- {name: works, type: shell, run: 'true'}"
    quick.program.flow(flow)
    quick("run", "flow.yaml")
    store = Store.open(quick.program.root / ".maverick" / "checkpoints")
    tip = store.resolve("@latest")
    steps = [{"step": f"work[{n}].go", "type": "shell", "since": 1, "attempt": 1} for n in range(3)]
    begun = Standing().begun(1, 1)
    store.save("other-1", {}, parent=None, group="other", summary=begun.fields())
    with store.own("other-1") as owner:
        owner.note({"running": steps, "execution": 1, "began": 1})
        at_work = summarise(store, store.ref("other-1"), 10)
    killed = summarise(store, store.ref("other-1"), 10)

    assert tip.run != "other-1"
    assert ("running", ("work[0].go", "work[1].go", "work[2].go")) == (at_work.status, at_work.at)
    assert ("killed", ("work",)) == (killed.status, killed.at)


def test_a_listing_reads_no_object(quick: Quick) -> None:
    """All that it says stands in refs and owners' notes."""
    quick.program.flow(FAILS, "fails")
    quick("run", "fails.yaml")
    expected = quick("runs", "--json").json
    root = quick.program.root / ".maverick" / "checkpoints"
    for pack in (root / "objects").iterdir():
        pack.unlink()

    assert expected == quick("runs", "--json").json
    assert 0 == quick("runs").code


NUMBERS = st.integers(0, 10**12)
STANDINGS = st.builds(
    Standing,
    execution=st.integers(1, 5),
    began=st.none() | st.integers(1, 10**6),
    spent=NUMBERS,
    costs=st.builds(
        Costs,
        calls=NUMBERS,
        tokens_in=st.none(),
        tokens_out=st.none(),
        usd=st.none() | st.integers(0, 99).map(lambda n: n / 8),
    ),
    error=st.text(max_size=20).filter(lambda text: "\r" not in text),
    failed_at=st.text("ab.[]0", max_size=8),
    notices=st.lists(st.text(max_size=8), max_size=2).map(tuple),
    waiting=st.none(),
)


@given(STANDINGS, st.sampled_from(["auto", "pause", "failure", "final"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_listing_and_the_engine_read_a_summary_alike(
    tmp_path: Path, standing: Standing, kind: str
) -> None:
    """The listing does without the engine's module, which would take longer than itself."""
    store = Store.create(tmp_path / "store", clock=lambda: 2_000_000)
    run = f"r-{len(store.run_ids())}"
    store.save(run, {}, parent=None, kind=kind, summary=standing.fields())  # type: ignore[arg-type]
    ref = store.ref(run)

    summary = summarise(Overview(tmp_path / "store"), ref, 3_000_000)

    read = Standing.read(ref.summary)
    assert read.milliseconds(ref.updated) / 1000 == summary.seconds
    assert read.costs.usd == summary.usd
    assert read.notices == summary.notices
    assert (read.error if kind == "failure" else "") == (summary.error or "")
    assert (read.failed_at if kind == "failure" else "") == (summary.failed_at or "")


def test_a_run_without_a_summary_is_listed(quick: Quick) -> None:
    """As an earlier version left it; what is not known is null."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    store.save("old-1", {}, parent=None, kind="failure", group="old", reason="failed at x")

    (row,) = quick("runs", "--json").json
    (line,) = table(quick("runs").out)

    assert ("failed", None, None, None) == tuple(
        row[name] for name in ("status", "error", "failed_at", "seconds")
    )
    assert ("failed", "-", "-", "failed at x") == tuple(
        line[name] for name in ("STATUS", "TIME", "AT", "WHY")
    )


@pytest.mark.parametrize(
    "summary",
    [
        {"execution": "x", "ms": [], "began": {}, "error": 5, "failed_at": None, "notices": 7},
        {"micro_usd": True, "waiting": "no", "notices": [1, None]},
        {"execution": 10**30, "ms": -5, "began": -(10**20)},
    ],
)
def test_a_summary_that_holds_nonsense_is_listed(quick: Quick, summary: dict[str, object]) -> None:
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    store.save("odd-1", {}, parent=None, kind="failure", group="odd", summary=summary)

    assert (0, 1) == (quick("runs").code, len(quick("runs", "--json").json))


@pytest.mark.parametrize(
    "note", [{"running": 5}, {"running": [5, {"step": 7}]}, {"pid": None}, {"execution": "x"}]
)
def test_an_owner_note_that_holds_nonsense_is_listed(quick: Quick, note: dict[str, object]) -> None:
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    store.save("odd-1", {}, parent=None, kind="pause", group="odd")
    with store.own("odd-1") as owner:
        owner.note(note)
        assert 0 == quick("runs").code
    assert 0 == quick("runs").code


# --- which runs -----------------------------------------------------------------------------------


@pytest.fixture
def many(quick: Quick) -> Quick:
    """A project with six runs of two workflows, of three statuses."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints")
    kinds = ["final", "failure", "pause"]
    for number in range(6):
        group = "my_flow" if number % 2 else "other"
        store.save(f"{group}-{number}", {}, parent=None, kind=kinds[number % 3], group=group)  # type: ignore[arg-type]
    return quick


@pytest.mark.parametrize("command", [["runs"], ["checkpoint", "list"]], ids=" ".join)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [5, 4, 3, 2, 1, 0]),
        (["-n", "2"], [5, 4]),
        (["--limit", "9"], [5, 4, 3, 2, 1, 0]),
        (["--status", "failed"], [4, 1]),
        (["--status", "failed", "--status", "paused"], [5, 4, 2, 1]),
        (["--workflow", "other"], [4, 2, 0]),
        (["--workflow", "my-flow", "-n", "1"], [5]),
        (["--workflow", "other", "--status", "failed"], [4]),
        (["--status", "running"], []),
        (["--workflow", "nope"], []),
    ],
)
def test_runs_are_chosen_by_status_workflow_and_number(
    many: Quick, command: list[str], options: list[str], expected: list[int]
) -> None:
    """N counts those that are listed."""
    done = many(*command, *options, "--json")

    assert (0, "") == (done.code, "" if expected else done.err.strip())
    assert expected == [int(row["run"][-1]) for row in done.json]
    shown = many(*command, *options)
    assert expected == [int(line.split()[0][-1]) for line in shown.out.splitlines()[1:]]


def test_a_choice_that_leaves_nothing_says_so(many: Quick) -> None:
    """On standard error: the list itself is empty."""
    assert "no run is running" == many("runs", "--status", "running").last_line
    assert (
        "no run of other is running or killed"
        == many(
            "runs", "--workflow", "other", "--status", "running", "--status", "killed"
        ).last_line
    )
    assert (
        "there is no run of my_flwo; did you mean `my_flow`?"
        == many("runs", "--workflow", "my_flwo").last_line
    )
    done = many("runs", "--status", "faild")
    assert (2, "") == (done.code, done.out)
    assert "one of running, paused, failed, killed, done; did you mean `failed`?" in done.err
    assert 2 == many("runs", "-n", "0").code


# --- how it fits ----------------------------------------------------------------------------------

NAMES = st.text(st.sampled_from("abc-日é"), min_size=1, max_size=45)
TEXTS = st.text(st.sampled_from("ab 日x\n"), max_size=60)
PLACES = st.lists(st.text(st.sampled_from("ab.[0]日"), min_size=1, max_size=40), max_size=2)
RUNS = st.builds(
    RunSummary,
    run=NAMES,
    workflow=st.just("flow"),
    status=st.sampled_from(["running", "paused", "failed", "killed", "done"]),
    started=st.integers(0, 2 * 10**12),
    updated=st.just(0),
    step=st.none(),
    checkpoints=st.just(1),
    bytes=st.just(0),
    seconds=st.none() | st.floats(0, 10**7),
    usd=st.none(),
    error=st.none(),
    failed_at=st.none(),
    waiting=st.none(),
    notices=st.just(()),
    at=PLACES.map(tuple),
    reason=TEXTS,
)


def laid(runs: list[RunSummary], width: int | None, *, colour: bool = False) -> list[str]:
    reasons = [one_line(run.reason) for run in runs]
    return listed._table(runs, reasons, "WHY", width=width, colour=colour).splitlines()


@given(st.lists(RUNS, min_size=1, max_size=5), st.integers(60, 200))
@settings(max_examples=300)
def test_no_line_is_wider_than_the_terminal_but_for_a_run_that_is(
    runs: list[RunSummary], width: int
) -> None:
    """And a run is never cut, nor its status left out."""
    lines = laid(runs, width)

    longest = max(columns(run.run) for run in runs)
    assert all(columns(line) <= max(width, longest + 1 + len("running")) for line in lines)
    assert [run.run for run in runs] == [
        line[: len(run.run)] for line, run in zip(lines[1:], runs, strict=True)
    ]
    for line, run in zip(lines[1:], runs, strict=True):
        assert line.removeprefix(run.run).split()[0] == run.status


@given(st.lists(RUNS, min_size=1, max_size=5), st.integers(60, 200))
@settings(max_examples=200)
def test_what_fits_is_as_in_a_pipe_and_colour_changes_nothing_else(
    runs: list[RunSummary], width: int
) -> None:
    whole = laid(runs, None)
    if max(map(columns, whole)) <= width:
        assert whole == laid(runs, width)
    painted = "\n".join(laid(runs, width, colour=True))
    assert "\n".join(laid(runs, width)) == _plain(painted)


def _plain(text: str) -> str:
    for code in ("31", "32", "33", "36", "0"):
        text = text.replace(f"\x1b[{code}m", "")
    return text


def test_the_reason_is_cut_first_then_the_start_then_the_place() -> None:
    """The order in which a line gives way, from a wide terminal to the narrowest."""
    run = RunSummary(
        "train-20261201-010101-4jvx", "train", "failed", 0, 0, None, 1, 0, 125.0, None, None, None,
        None, (), ("work[12].implement_the_phase",), "agent implementer: exit code 1: 429 limit",
    )  # fmt: skip
    seen = []
    for width in range(140, 59, -1):
        header, line = laid([run], width)
        assert columns(line) <= width
        seen.append(
            (
                "whole" if "429 limit" in line else "cut" if "WHY" in header else "gone",
                "date" if "1970-01-01 00:00" in line else "day" if "1970-01-01" in line else "gone",
                "whole" if "implement_the_phase" in line else "cut",
                "2 m 05 s" if "2 m 05 s" in line else "2m05s" if "2m05s" in line else "gone",
            )
        )

    order = [
        seen[0],
        *(after for before, after in pairwise(seen) if before != after),
    ]
    assert [
        ("whole", "date", "whole", "2 m 05 s"),
        ("cut", "date", "whole", "2 m 05 s"),
        ("cut", "day", "whole", "2 m 05 s"),
        ("cut", "day", "cut", "2 m 05 s"),
        ("cut", "day", "cut", "2m05s"),
        ("cut", "day", "cut", "gone"),
        ("cut", "gone", "cut", "2m05s"),
    ] == order
    assert all("work[12…" in laid([run], width)[1] for width in (60, 61, 62))


@given(RUNS, st.integers(60, 200))
@settings(max_examples=200)
def test_a_reason_is_left_out_only_where_the_place_alone_leaves_no_room(
    run: RunSummary, width: int
) -> None:
    """It is what the morning after is about."""
    name = columns(one_line(run.run))
    header = laid([run], width)[0].split()
    if one_line(run.reason) and name + 1 + 7 + 1 + 8 + 1 + 8 <= width:
        assert {"RUN", "STATUS", "AT", "WHY"} <= set(header)


@given(RUNS, st.integers(60, 200))
@settings(max_examples=200)
def test_labels_outlast_all_but_the_run_and_its_status(run: RunSummary, width: int) -> None:
    """A list of labels without labels is none."""
    lines = listed._table([run], ["a-long-label"], "LABELS", width=width, colour=False).splitlines()

    if columns(one_line(run.run)) + 1 + 7 + 1 + 8 <= width:
        assert "LABELS" in lines[0]
        assert "a-long-" in lines[1]


def test_a_list_fits_a_terminal_of_sixty_columns(quick: Quick) -> None:
    """In a pipe it is whole, unless COLUMNS says how wide it may be."""
    quick.program.flow(FAILS, "a_workflow_with_a_name")
    quick("run", "a_workflow_with_a_name.yaml")

    for command in (["runs"], ["checkpoint", "list"], ["log"]):
        narrow = quick(*command, COLUMNS="60").out.splitlines()
        assert max(map(columns, narrow)) <= 60
        assert narrow == quick(*command, COLUMNS="20").out.splitlines()
    assert "gone wrong" in quick("runs", COLUMNS="").out
    assert "…" not in quick("runs", COLUMNS="").out


def test_labels_are_cut_as_reasons_are(quick: Quick) -> None:
    quick.program.flow(
        "\n".join(
            f"- {{name: c{n}, type: checkpoint, checkpoint_id: a_long_label_{n}}}" for n in range(9)
        )
    )
    quick("run", "flow.yaml")

    _, line = quick("checkpoint", "list", COLUMNS="100").out.splitlines()
    whole = quick("checkpoint", "list", COLUMNS="").out.splitlines()[1]

    assert line.endswith("…")
    assert line[:-1].rstrip() == whole[: len(line) - 1].rstrip()
    assert whole.endswith("a_long_label_8")


def test_a_started_time_is_that_of_the_persons_clock(quick: Quick) -> None:
    """The name of a run is in UTC, and says so in the help."""
    store = Store.create(quick.program.root / ".maverick" / "checkpoints", clock=lambda: 0)
    store.save("old-1", {}, parent=None, kind="final", group="old")

    assert "1970-01-01 05:45" in quick.program.run("runs", TZ="NPT-5:45").out
    assert "1970-01-01T00:00:00.000Z" == quick("runs", "--json").json[0]["started"]


def test_rows_of_a_listing_are_whole_json(many: Quick) -> None:
    assert 6 == len(json.loads(many("runs", "--json").out))
