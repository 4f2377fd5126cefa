"""Notes with nonsense in them, which an import or a program may bring: they count as not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit.program import Ended, Program, Quick
from maverick.checkpoints import Checkpoint, Entry, Store, blob, note, value
from maverick.checkpoints.objects.ids import ObjectId
from maverick.dsl.journal.logs import HEADER
from maverick.dsl.journal.tally import Execution, read_executions
from maverick.dsl.journal.tree import (
    ASKED,
    END,
    EXECUTIONS,
    NOTICES,
    RUN,
    StepNote,
    read_facts,
    step_place,
)
from maverick.errors import StoreDamaged
from maverick.visible import iso_time

FLOW = """
- {name: a, type: shell, run: "echo a"}
- {name: each, type: loop, for_each: "[1, 2]", steps: [{name: one, type: shell, run: "true"}]}
- {name: fails, type: shell, run: "test -e ready"}
"""
DEEP = "[" * 4000
TEXTS = ["5", "null", "[]", '"s"', "", '{"torn', DEEP, "NaN", "{}"]
HUGE = 10**400
BAD: dict[str, list[Any]] = {
    **{
        name: ["x", None, [], -1, 2**60, 1.5, True, HUGE]
        for name in (
            *("order", "generation", "failed_attempts", "again"),
            *("execution", "attempts", "tries"),
        )
    },
    "started": ["x", 10**30, -(10**30), HUGE, 1.5, []],
    "seconds": ["x", float("inf"), float("nan"), 1e308, HUGE, -1, True, []],
    "changes": [5, "x", {}, [5], ["x"], [None], [[]], [{}, 5]],
    **{
        name: [5, None, [], {}]
        for name in ("type", "label", "status", "because", "reused_from")
    },
    "agent": [5, [], "x"],
    "spent": [5, [], "x"],
    "iterations": [5, [], {"counts": 5}, {"counts": {"done": "x"}}, {"longest": 5}, {"names": {}},
                   {"counts": {"done": HUGE}}, {"failed": [5]}],
    "unknown": [json.loads("[" * 300 + "]" * 300)],
}  # fmt: skip
ODD: list[dict[str, Any]] = [
    {"agent": {"usd": float("nan"), "called": HUGE}, "passed": [], "player": [[[[]]]]},
    {"agent": {"usd": float("inf"), "tokens_in": "x"}, "spent": {"micro_usd": HUGE}},
    {"agent": {"usd": HUGE, "model": 5}, "spent": {"calls": "x"}, "by_hand": 5, "reran": "x"},
    {"changes": [{}, {"part": 5, "old": [float("nan")]}], "assumed": 1, "asked": 0},
]
NOTES = [
    *({name: bad[number % len(bad)] for name, bad in BAD.items()} for number in range(8)),
    *ODD,
]
"""In each of the first every field is wrong, in each in another way."""
COMMANDS = [
    ("show",), ("show", "--json"), ("show", "a"), ("why",), ("why", "--json"), ("why", "a"),
    ("logs",), ("logs", "a"), ("graph",), ("report",), ("diff",), ("resume", "--plan"), ("runs",),
    ("log",), ("runs", "--json"),
]  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Two runs, of which the newer one failed."""
    program = Program(tmp_path_factory.mktemp("original") / "project")
    program.flow(FLOW)
    for _ in range(2):
        assert 1 == program.run("run", "flow.yaml").code
    return program


@pytest.fixture
def failed(original: Program, quick: Quick) -> Quick:
    quick.program.copy_of(original)
    return quick


def store_of(failed: Quick) -> Store:
    return Store.open(failed.program.root / ".maverick" / "checkpoints")


def spoil(failed: Quick, facts: dict[tuple[str, ...], Any], **more: Any) -> Checkpoint:
    """Save *facts* on top of the newest run, which stays one that failed."""
    store = store_of(failed)
    tip = store.load("@latest").checkpoint
    return store.save(tip.run, {}, parent=tip, kind="failure", facts=facts, **more)


def is_told(ended: Ended) -> bool:
    """Whether a command did its work, or ended with an error that says what is wrong."""
    return "fault of maverick" not in ended.err and ended.code in {0, 1, 12, 20}


def check(failed: Quick) -> None:
    """Ask every command about the newest run."""
    told = {command: failed(*command) for command in COMMANDS}
    assert {} == {command: ended.err for command, ended in told.items() if not is_told(ended)}
    shown = ("show", "--json"), ("runs", "--json"), ("why", "--json")
    assert {0} == {told[command].code for command in shown}
    for command in shown:
        json.loads(told[command].out, parse_constant=pytest.fail)


def check_resumed(failed: Quick) -> None:
    """Resume the newest run, and let it come to its end."""
    (failed.program.root / "ready").touch()
    ended = failed("resume")
    assert (0, False) == (ended.code, "fault of maverick" in ended.err), ended.err


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_note_that_is_no_mapping_says_nothing(failed: Quick, text: str) -> None:
    """What a step did is known all the same; the run can be looked at, and goes on."""
    places = [step_place(name) for name in ("a", "each", "each[0].one", "fails", "each?for_each")]
    spoil(failed, dict.fromkeys([*places, RUN, EXECUTIONS, ASKED, END, NOTICES], note(text)))

    check(failed)
    check_resumed(failed)


def test_a_field_is_kept_or_left_out() -> None:
    """What is read of a note has the types that everybody counts on."""
    good = {"order": 1, "seconds": 1.5, "type": "x", "changes": [{"part": "run"}], "own": [1]}

    assert good == read_facts(json.dumps(good))
    for name, every in BAD.items():
        for bad in every:
            rest = {field: own for field, own in good.items() if field != name}
            assert rest == read_facts(json.dumps({**good, name: bad})), (name, bad)
    assert [{}] * len(TEXTS) == [read_facts(text) for text in TEXTS]


def test_a_time_that_no_calendar_has_is_the_nearest_that_can_be_said() -> None:
    """A time is shown wherever a run is; none of them may end a command."""
    assert "1970-01-01T00:00:00.001Z" == iso_time(1)
    assert {"9999-12-31T23:59:59.999Z"} == {iso_time(time) for time in (2**53, 10**30, HUGE)}
    assert {"1000-01-01T00:00:00.000Z"} == {iso_time(-time) for time in (2**53, 10**30, HUGE)}


@pytest.mark.parametrize("fields", NOTES, ids=range(len(NOTES)))
def test_a_field_that_is_not_what_it_should_be_says_nothing(
    failed: Quick, fields: dict[str, Any]
) -> None:
    """The others of its note do."""
    text = json.dumps({"type": "shell", "started": 1_000_000, "seconds": 1, **fields})
    places = [step_place(name) for name in ("a", "each", "each[1].one", "fails")]
    spoil(failed, dict.fromkeys(places, note(text)))

    check(failed)
    check_resumed(failed)


def test_an_execution_that_is_none_is_left_out(failed: Quick) -> None:
    """A run that it is noted of can be looked at, and goes on."""
    rows = [
        5, [], ["x"], [1, "x"], [HUGE], [1, HUGE], [1.5], [1, None, 5], [1, 2, "done", "x"],
        [1, 2, "done", 1, 1], [float("nan")], [None], [True], {"a": 1},
    ]  # fmt: skip
    good = [[1], [1, 2], [1, None, "running"], [1, 2, "done", 3]]

    assert [Execution(*row) for row in good] == read_executions(json.dumps([*rows, *good]))  # type: ignore[arg-type]
    assert [[]] * len(TEXTS) == [read_executions(text) for text in TEXTS]
    spoil(failed, {EXECUTIONS: note(json.dumps([*rows, *good]))})
    check(failed)
    check_resumed(failed)


@pytest.mark.parametrize(
    "end", [5, [], "x", {"step": 5}, {"step": "a", "error": [1]}, {"step": "fails", "error": {}}]
)
def test_an_end_that_is_none_says_nothing(failed: Quick, end: object) -> None:
    """Nor do notices that are no texts."""
    spoil(failed, {END: value(end), NOTICES: value([5, None, [], "x"])})  # type: ignore[arg-type]

    check(failed)
    check_resumed(failed)


STEP_NOTES = [*TEXTS[:4], *TEXTS[5:], '{"status":5,"key":{}}', '{"status":"done","key":{"a":5}}',
              '{"status":"done","key":{},"x":1}', '{"status":[],"key":[]}']  # fmt: skip


def test_a_record_that_is_none_is_damage() -> None:
    """What ran cannot be told from it."""
    for text in STEP_NOTES:
        with pytest.raises(StoreDamaged, match="the note of a recorded step"):
            StepNote.of(Entry("value", ObjectId("0" * 64), 1, text))


def test_a_definition_that_is_no_text_is_damage(failed: Quick) -> None:
    """A command that needs it says so; the others do without."""
    store = store_of(failed)
    tip = store.load("@latest").checkpoint
    definition = {("definition", "flow.yaml"): blob(b"\xff\xfe", note="main")}
    store.save(tip.run, definition, parent=tip, kind="failure")

    told = [failed(*command) for command in COMMANDS]

    assert all(map(is_told, told)), [ended.err for ended in told]


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ({"attempt": 1, "step": "fails", "left_out": [5]}, {"status": "failed"}),
        ({"attempt": 1, "step": "fails", "left_out": {"stdout": "x"}}, {"status": "failed"}),
        ({"attempt": HUGE, "step": "fails"}, {"status": "failed"}),
        ({"attempt": -1, "step": 5}, {}),
        ({"attempt": 1, "step": "fails"}, {"status": [], "seconds": HUGE, "started": 10**30}),
        ({"attempt": 1, "step": "fails"}, {"error": [1], "seconds": float("nan"), "started": "x"}),
        ({"attempt": 1, "step": "fails"}, {"error": json.loads("[" * 300 + "]" * 300)}),
    ],
    ids=range(7),
)
def test_a_log_that_is_none_ends_where_it_is_no_log(
    failed: Quick, begin: dict[str, Any], end: dict[str, Any]
) -> None:
    """What a step wrote is no reason for a run not to be looked at, or not to go on."""
    frames = [json.dumps(about).encode() for about in (begin, end)]
    log = b"".join(HEADER.pack(0, len(frame)) + frame for frame in frames)
    spoil(failed, {step_place("fails"): blob(log, note='{"type":"shell","status":"failed"}')})

    check(failed)
    check_resumed(failed)


SUMMARIES: list[dict[str, Any]] = [
    {"execution": 1, "ms": HUGE},
    {"execution": HUGE, "began": HUGE},
    {"execution": 1, "micro_usd": 10**310, "calls": -(10**310)},
    {"tokens_in": 10**310, "tokens_out": "x"},
    {"waiting": json.loads('{"a":' + "[" * 900 + "]" * 900 + "}")},
    {"waiting": {"question": "x" * 1_000_000}},
    {"notices": ["\x1b[31mred\x07", "\u202eabc", 5, ["x"], {}]},
    {"notices": json.loads("[" * 900 + "]" * 900), "error": ["x"], "failed_at": 5},
    {"error": "\x1b]0;title\x07", "failed_at": "\x1b[2J"},
]


@pytest.mark.parametrize("kind", ["failure", "pause", "auto", "final"])
def test_one_run_does_not_keep_the_others_from_being_listed(failed: Quick, kind: str) -> None:
    """`runs` is how a person finds out which run to remove."""
    store = store_of(failed)
    for summary in SUMMARIES:
        tip = store.load("@latest").checkpoint
        tip = store.save(tip.run, {}, parent=tip, kind=kind)  # type: ignore[arg-type]
        # No save takes such a summary; another program may have written it.
        store.ref_files.put(store.ref(tip.run)._replace(summary=summary))
        listed = [
            failed("runs"),
            failed("runs", "--json"),
            failed("show"),
            failed("show", "--json"),
        ]

        assert [0, 0, 0, 0] == [ended.code for ended in listed], [ended.err for ended in listed]
        assert 2 == len(listed[1].json)
        assert "\x1b" not in "".join(ended.out for ended in listed)


@pytest.mark.parametrize(
    "running",
    [
        5,
        [5],
        [{"step": "a", "type": "shell", "since": 10**30, "attempt": 1}],
        [{"step": ["a"], "type": {}, "since": 1, "attempt": 1}],
        [{"step": "a", "type": "shell", "since": 1, "attempt": HUGE}],
    ],
    ids=range(5),
)
def test_what_runs_may_be_noted_wrongly(failed: Quick, running: object) -> None:
    """Another program may have written what stands beside the lock."""
    store = store_of(failed)
    tip = spoil(failed, {})
    with store.own(tip.run) as owner:
        owner.note({"running": running, "execution": 7, "began": HUGE})
        looked = [failed(*command) for command in COMMANDS if command != ("resume", "--plan")]
    check(failed)

    assert all(map(is_told, looked)), [ended.err for ended in looked]
