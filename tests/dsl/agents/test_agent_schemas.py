"""Answers that have to be JSON: how they are asked for, found, checked and corrected."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.agents import Agents
from kit.patience import GROWING_SECONDS
from maverick.dsl.agents import schemas
from maverick.dsl.agents.schemas import AnswerWrong, check_schema, is_quick, parse
from maverick.dsl.events import Event
from maverick.dsl.processes.programs import python_command
from maverick.errors import StepFailed
from maverick.project import Project
from maverick.runs.request import Request, Session
from maverick.runs.start import start
from maverick.values import Value

SCHEMA = {
    "type": "object",
    "required": ["issues"],
    "properties": {
        "issues": {"type": "array", "items": {"type": "object", "required": ["severity"]}}
    },
}
ASK = (
    "- {name: ask, type: agent, agent: helper, context: {a: b}, output_schema: "
    f"{json.dumps(SCHEMA)}}}"
)
RIGHT = '{"issues": [{"severity": "low"}]}'
WRONG = '{"issues": [{"severity": "low"}, {}]}'
WHERE = "it does not fit output_schema at $.issues[1]: 'severity' is a required property"


# --- in a run -------------------------------------------------------------------------------------


def test_the_prompt_ends_with_the_schema(agents: Agents) -> None:
    agents.ask("claude", {"text": RIGHT}, flow=ASK)

    (prompt,) = agents.prompts
    asked = prompt.partition("## Your answer\n\n")[2]
    assert asked.startswith(
        "End with an answer that is JSON and nothing else: no other text, no explanation."
    )
    assert SCHEMA == json.loads(asked.partition("```json\n")[2].partition("\n```")[0])


@pytest.mark.parametrize("provider", ["claude", "codex", "gemini", "opencode"])
def test_a_wrong_answer_is_corrected_in_the_same_session(agents: Agents, provider: str) -> None:
    execution = agents.ask(provider, {"text": WRONG}, {"text": RIGHT}, flow=ASK)

    (session,) = (agents.folder / "sessions").read_text().split()
    assert json.loads(RIGHT) == execution.output
    assert session in agents.words[1]
    assert agents.prompts[1].startswith(
        f"Your answer is not what was asked for: {WHERE}.\n\nThe work itself is not"
    )
    told = f"agent helper: its answer is not what was asked for, and it is asked once more: {WHERE}"
    assert [told] == execution.notices


def test_a_second_wrong_answer_fails_the_step_and_says_where(agents: Agents) -> None:
    error = agents.failure("claude", {"text": WRONG}, flow=ASK)

    assert (
        f"agent helper: its answer is not what was asked for, also when asked again: {WHERE}"
        == error
    )
    assert 2 == len(agents.calls)


def test_an_answer_that_is_no_json_is_shown(agents: Agents) -> None:
    error = agents.failure("claude", {"text": "I did it."}, flow=ASK)

    assert error.endswith(
        ": it is no JSON (Expecting value: line 1 column 1 (char 0)): 'I did it.'"
    )


def test_a_schema_that_is_none_fails_before_the_agent_is_asked(agents: Agents) -> None:
    error = agents.failure("claude", flow=ASK.replace('"array"', '"arr"'))

    assert error.startswith(
        "output_schema is no JSON Schema, at $.properties.issues.type: 'arr' is not valid under"
    )
    assert [] == agents.calls


# --- the JSON in a text ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        f"\n{RIGHT}\n",
        f"```json\n{RIGHT}\n```",
        f"Here it is:\n\n```json\n{RIGHT}\n```\nThat is all.",
        f"First a sketch:\n```json\n{{}}\n```\nand now\n```\n{RIGHT}\n```",
        f"The answer is {RIGHT} and nothing else.",
    ],
)
def test_json_is_found_in_a_fence_or_in_other_text(text: str) -> None:
    assert json.loads(RIGHT) == parse(text, SCHEMA)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["{}", "```json\n{}\n```", "Words.\n```json\n{}\n```\nMore."]),
)
def test_any_json_is_found_again(value: object, around: str) -> None:
    assert value == parse(around.replace("{}", json.dumps(value), 1), None)


@given(st.text(alphabet="{}[]\"'`json\n1, :"), st.booleans())
def test_no_text_makes_the_search_fail_in_another_way(text: str, whole: bool) -> None:
    with suppress(AnswerWrong):
        parse(text, SCHEMA, whole=whole)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{" + "[" * 50_000 + "}"])
def test_a_hostile_answer_is_wrong_and_not_a_crash(text: str) -> None:
    with pytest.raises(AnswerWrong, match="it is no JSON"):
        parse(text, None)


def test_a_reference_out_of_the_schema_is_not_followed() -> None:
    """Looking it up would be a request to wherever the schema says."""
    schema = {"$ref": "http://127.0.0.1:9/schema.json"}
    check_schema(schema)

    with pytest.raises(
        StepFailed, match="output_schema refers to something that is not in it: http://127"
    ):
        parse("{}", schema)


@pytest.mark.parametrize("text", [f"```json\n{RIGHT}\n```", f"See {RIGHT}"])
def test_a_file_of_json_has_to_be_all_json(text: str) -> None:
    with pytest.raises(AnswerWrong):
        parse(text, SCHEMA, whole=True)


# --- checks that take their time ------------------------------------------------------------------

_SLOW = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
_HOSTILE = json.dumps({"a": "a" * 64 + "!"})
_ASK_SLOWLY = (
    "- {name: ask, type: agent, agent: helper, context: {a: b}, output_schema: "
    f"{json.dumps(_SLOW)}}}"
)


def test_a_timeout_ends_the_check_of_an_answer(agents: Agents) -> None:
    """A pattern that tries 2**64 ways would hold the interpreter for ever: neither timeouts nor
    signals are heard.
    """
    for seconds in GROWING_SECONDS:
        flow = _ASK_SLOWLY.replace("context:", f"timeout: {seconds}, context:")
        error = agents.failure("claude", {"text": _HOSTILE}, flow=flow)
        if "checking" in error:
            break

    assert (
        f"checking an answer against output_schema took longer than its timeout of {seconds:g} s"
        == error
    )


def test_a_stop_ends_the_check_of_an_answer(agents: Agents) -> None:
    """As Ctrl-C does."""

    def stop(event: Event) -> None:
        if event.event == "step_output":
            session.stop.request("SIGINT")

    session = Session(observe=stop)
    agents.runs.file(
        "maverick.yaml", "agents: {helper: {provider: command, command: [sh, agent.sh]}}\n"
    )
    agents.runs.file("agent.sh", f"cat > /dev/null; printf '%s' '{_HOSTILE}'\n")
    agents.runs.flow(_ASK_SLOWLY)

    outcome = start(
        Project(agents.runs.root, agents.runs.environment), Request(workflow="flow.yaml"), session
    )

    assert "paused" == outcome.status


def test_an_answer_that_is_checked_apart_is_corrected_like_any(agents: Agents) -> None:
    execution = agents.ask(
        "claude", {"text": '{"a": "b"}'}, {"text": '{"a": "aa"}'}, flow=_ASK_SLOWLY
    )

    assert {"a": "aa"} == execution.output
    assert any(
        "it does not fit output_schema at $.a: 'b' does not match" in notice
        for notice in execution.notices
    )


def _apart(text: str, schema: Value) -> None:
    command = python_command(schemas.__name__)
    schemas.conclude(
        subprocess.run(
            command, input=schemas.request(text, schema), capture_output=True, check=True
        ).stdout
    )


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ('{"a": 1}', _SLOW),
        ('{"a": "aaa"}', _SLOW),
        ('{"a": "\u2028 \ud800 \u00e9"}', _SLOW),
        ("[1, 1]", {"uniqueItems": True}),
        ("1", {"$ref": "#/$defs/a"}),
        (
            "[[[1]]]",
            {
                "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}},
                "$ref": "#/$defs/a",
            },
        ),
        ("NaN", {"multipleOf": 0.5, "$ref": "#/$defs/a", "$defs": {"a": {}}}),
        ("9" * 400, {"multipleOf": 0.5, "uniqueItems": True}),
    ],
)
def test_a_check_in_a_process_of_its_own_says_the_same(text: str, schema: Value) -> None:
    """Right and wrong answers, and schemas that refer to nothing."""
    outcomes = []
    for check in (
        lambda: schemas.check_fits(json.loads(text), schema),
        lambda: _apart(text, schema),
    ):
        try:
            outcomes.append((None, check()))
        except (AnswerWrong, StepFailed) as error:
            outcomes.append((type(error), str(error)))

    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("schema", "quick"),
    [
        (SCHEMA, True),
        (None, True),
        ({"enum": ["pattern"], "const": {"pattern": "a"}, "default": {"$ref": 1}}, True),
        ({"properties": {"pattern": {"type": "string"}, "$ref": {"format": "date"}}}, True),
        (_SLOW, False),
        ({"properties": {"pattern": {"pattern": "a"}}}, False),
        ({"patternProperties": {"a": {}}}, False),
        ({"items": {"anyOf": [{"uniqueItems": True}]}}, False),
        ({"$defs": {"a": {}}, "$ref": "#/$defs/a"}, False),
        ({"dependentSchemas": {"a": {"unevaluatedProperties": False}}}, False),
    ],
)
def test_only_what_may_be_slow_is_checked_in_a_process_of_its_own(
    schema: Value, quick: bool
) -> None:
    """The names of properties are no keywords, and data is no schema."""
    assert quick == is_quick("{}", schema)


def test_a_large_answer_is_checked_apart_too() -> None:
    """Whatever is asked of it: looking at millions of values takes its time."""
    assert is_quick("1" * 1_000_000, SCHEMA)
    assert not is_quick("1" * 16_000_000, SCHEMA)


_OLD_FENCE = re.compile(
    r"^```[ \t]*(?:json|JSON)?[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL
)


@given(
    st.lists(
        st.sampled_from(["```", "json", " ", "\n", "\n```\n", "```json\n", "{}", "x", "\t"]),
        max_size=14,
    )
)
def test_the_last_fence_is_found_line_by_line(pieces: list[str]) -> None:
    """As the pattern found it that took the square of the text's length."""
    text = "".join(pieces)
    found = _OLD_FENCE.findall(text)

    assert (found[-1] if found else None) == schemas._last_fenced(text)


@pytest.mark.parametrize("piece", ["```json\n", "``` ", "```\n{\n", "{[", "```" + " " * 1000])
def test_fences_without_end_cost_no_more_than_their_length(piece: str) -> None:
    """Would take hours otherwise."""
    with pytest.raises(AnswerWrong):
        parse(piece * (4_000_000 // len(piece)), SCHEMA)
