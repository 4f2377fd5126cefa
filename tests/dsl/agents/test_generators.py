"""`generate` steps: texts by an agent where one is configured, else by a function that ships."""

from __future__ import annotations

import re

import pytest

from kit.agents import Agents
from maverick.errors import WorkflowInvalid
from maverick.library import generators

TEXT = (
    "- {name: text, type: generate, generator: commit_message, context: {changed_files: [a.py, "
    "b.py]}}"
)
PLAIN = "Update a.py, b.py"


def test_without_an_agent_the_text_is_written_from_the_context(agents: Agents) -> None:
    assert PLAIN == agents.ask(flow=TEXT).output
    assert [] == agents.calls


@pytest.mark.parametrize(
    "role", ["commit_message", "commit_message_generator", "generator", "default"]
)
def test_an_agent_of_its_name_or_the_general_one_writes_it(agents: Agents, role: str) -> None:
    agents.configure(f"{{{role}: {{provider: claude}}}}")

    execution = agents.ask("", {"text": "Add a and b"}, flow=TEXT)

    assert "Add a and b" == execution.output
    assert agents.prompts[0].startswith("You write the message of a git commit.")
    assert "commit_message" == agents.calls[0]["env"]["MAVERICK_AGENT"]


def test_the_nearest_name_counts(agents: Agents) -> None:
    agents.configure(
        "{default: {provider: claude}, generator: {provider: codex}, commit_message: {provider: "
        "gemini}}"
    )

    agents.ask("", flow=TEXT)
    agents.runs.start()

    assert {"gemini"} == {call["program"] for call in agents.calls}


def test_the_ending_makes_no_difference(agents: Agents) -> None:
    assert (
        PLAIN == agents.ask(flow=TEXT.replace("commit_message", "commit_message_generator")).output
    )


def test_provider_none_does_without_the_general_agent(agents: Agents) -> None:
    agents.configure("{default: {provider: claude}, generator: {provider: none}}")

    assert PLAIN == agents.ask("", flow=TEXT).output
    assert [] == agents.calls


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("claude", ["--permission-mode", "dontAsk"]),
        ("codex", ["-s", "read-only"]),
        ("gemini", ["--approval-mode", "default"]),
    ],
)
def test_whoever_writes_a_text_may_not_write_files(
    agents: Agents, provider: str, expected: list[str]
) -> None:
    """Also where the same agent may when it plays another part."""
    option = {
        "claude": "permission_mode: bypassPermissions",
        "codex": "sandbox: danger-full-access",
    }.get(provider, "")
    agents.configure(f"{{default: {{provider: {provider}, options: {{{option}}}}}}}")

    agents.ask("", {"write": {"made": ""}}, flow=TEXT)

    assert expected == [word for word in agents.words[0] if word in expected]
    assert not (agents.runs.root / "made").exists()


def test_a_fence_around_the_whole_text_is_taken_off(agents: Agents) -> None:
    agents.configure("{default: {provider: claude}}")

    assert (
        "Add a\n\nBecause."
        == agents.ask("", {"text": "```text\nAdd a\n\nBecause.\n```"}, flow=TEXT).output
    )


def test_where_the_agent_fails_the_text_is_written_without_it(agents: Agents) -> None:
    """A commit message is not worth a failed run; but it is said, and kept."""
    agents.configure("{default: {provider: claude}}")

    execution = agents.ask("", {"status": 400, "message": "no credit"}, flow=TEXT)

    why = "agent commit_message: exit code 1: no credit"
    assert PLAIN == execution.output
    assert [f"{why}; the text is written without an agent"] == execution.notices
    assert why == agents.facts("text")["without_agent"]


def test_any_agent_can_be_a_generator(agents: Agents) -> None:
    agents.configure("{poet: {provider: claude}}")
    flow = "- {name: text, type: generate, generator: poet, context: {a: b}}"

    assert "Roses." == agents.ask("", {"text": "Roses."}, flow=flow).output
    error = agents.failure("", {"status": 400, "message": "no"}, flow=flow)
    assert "step text: agent poet: exit code 1: no" == error


def test_a_generator_that_is_none_is_a_problem_of_the_file(agents: Agents) -> None:
    with pytest.raises(WorkflowInvalid) as caught:
        agents.ask(flow="- {name: text, type: generate, generator: commit_mesage}")

    assert "unknown generator `commit_mesage`; did you mean `commit_message`?" in str(caught.value)


def test_a_text_that_was_written_is_recalled(agents: Agents) -> None:
    agents.configure("{default: {provider: claude}}")
    agents.ask("", flow=f"{TEXT}\n- {{name: end, type: shell, run: test -e x}}")
    agents.runs.file("x", "")

    assert ["text"] == agents.runs.resume().recalled
    assert 1 == len(agents.calls)


# --- what is written without an agent -------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, "Update the project"),
        ({}, "Update the project"),
        ({"purpose": "Phase 1: Convert.\nMore of it"}, "Phase 1: Convert"),
        ({"changed_files": ["a"]}, "Update a"),
        ({"changed_files": list("abcd")}, "Update a, b, c and 1 more file"),
        ({"files": [{"path": "a"}]}, "Update a"),
        (
            {"purpose": "word " * 40},
            "word word word word word word word word word word word word word word…",
        ),
    ],
)
def test_commit_messages(context: object, expected: str) -> None:
    assert expected == generators.commit_message(context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, "Update the project"),
        ({"issue": {"number": 7, "title": "It is  slow"}, "purpose": "x"}, "Fix #7: It is slow"),
        ({"purpose": "Make it fast", "branch_name": "b"}, "Make it fast"),
        ({"branch_name": "feature/make-it_fast"}, "Make it fast"),
    ],
)
def test_titles(context: object, expected: str) -> None:
    assert expected == generators.pr_title(context)  # type: ignore[arg-type]


def test_a_description_says_what_is_known() -> None:
    body = generators.pr_body(
        {
            "purpose": {"Phases": ["One", {"name": "Two"}], "left out": ""},
            "commits": [{"subject": "Do it"}, "Do more"],
            "changed_files": [f"{number}.py" for number in range(51)],
            "review": {"report": "Fine.\n"},
            "validation": {
                "success": False,
                "stages": [{"name": "lint", "success": True}, {"name": "test"}],
            },
            "issue": {"number": 7, "title": "Slow"},
        }
    )

    files = "\n".join(f"- `{number}.py`" for number in range(50))
    assert [
        "- Phases: ['One', {'name': 'Two'}]",
        "## Commits\n\n- Do it\n- Do more",
        f"## Changes\n\n{files}\n- and 1 more",
        "## Validation\n\nValidation did not pass.\n\n- lint: passed\n- test: failed",
        "## Review\n\nFine.",
        "Closes #7",
    ] == re.split(r"\n\n(?=## |Closes)", body)
    assert "No description was given.\n" == generators.pr_body(None)
