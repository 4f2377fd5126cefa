"""Answers that have to be JSON: how they are asked for, found, checked and corrected."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_agents import Agents
from maverick.dsl.agents.schemas import AnswerWrong, check_schema, parse
from maverick.errors import StepFailed

SCHEMA = {
    "type": "object",
    "required": ["issues"],
    "properties": {"issues": {"type": "array", "items": {"type": "object", "required": ["severity"]}}},
}
ASK = f"- {{name: ask, type: agent, agent: helper, context: {{a: b}}, output_schema: {json.dumps(SCHEMA)}}}"
RIGHT = '{"issues": [{"severity": "low"}]}'
WRONG = '{"issues": [{"severity": "low"}, {}]}'
WHERE = "it does not fit output_schema at $.issues[1]: 'severity' is a required property"


# --- in a run ---------------------------------------------------------------------------------------------------------


def test_the_prompt_ends_with_the_schema(agents: Agents) -> None:
    agents.ask("claude", {"text": RIGHT}, flow=ASK)

    (prompt,) = agents.prompts
    asked = prompt.partition("## Your answer\n\n")[2]
    assert asked.startswith("End with an answer that is JSON and nothing else: no other text, no explanation.")
    assert SCHEMA == json.loads(asked.partition("```json\n")[2].partition("\n```")[0])


@pytest.mark.parametrize("provider", ["claude", "codex", "gemini", "opencode"])
def test_a_wrong_answer_is_corrected_in_the_same_session(agents: Agents, provider: str) -> None:
    execution = agents.ask(provider, {"text": WRONG}, {"text": RIGHT}, flow=ASK)

    (session,) = (agents.folder / "sessions").read_text().split()
    assert json.loads(RIGHT) == execution.output
    assert session in agents.words[1]
    assert agents.prompts[1].startswith(f"Your answer is not what was asked for: {WHERE}.\n\nThe work itself is not")
    told = f"agent helper: its answer is not what was asked for, and it is asked once more: {WHERE}"
    assert [told] == execution.notices


def test_a_second_wrong_answer_fails_the_step_and_says_where(agents: Agents) -> None:
    error = agents.failure("claude", {"text": WRONG}, flow=ASK)

    assert f"agent helper: its answer is not what was asked for, also when asked again: {WHERE}" == error
    assert 2 == len(agents.calls)


def test_an_answer_that_is_no_json_is_shown(agents: Agents) -> None:
    error = agents.failure("claude", {"text": "I did it."}, flow=ASK)

    assert error.endswith(": it is no JSON (Expecting value: line 1 column 1 (char 0)): 'I did it.'")


def test_a_schema_that_is_none_fails_before_the_agent_is_asked(agents: Agents) -> None:
    error = agents.failure("claude", flow=ASK.replace('"array"', '"arr"'))

    assert error.startswith("output_schema is no JSON Schema, at $.properties.issues.type: 'arr' is not valid under")
    assert [] == agents.calls


# --- the JSON in a text -----------------------------------------------------------------------------------------------


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

    with pytest.raises(StepFailed, match="output_schema refers to something that is not in it: http://127"):
        parse("{}", schema)


@pytest.mark.parametrize("text", [f"```json\n{RIGHT}\n```", f"See {RIGHT}"])
def test_a_file_of_json_has_to_be_all_json(text: str) -> None:
    with pytest.raises(AnswerWrong):
        parse(text, SCHEMA, whole=True)
