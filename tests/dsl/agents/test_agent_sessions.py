"""Sessions that were open when a step was interrupted, and what is kept of calls that came to
nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.agents import Agents
from maverick.dsl.journal.sessions import KEPT, Sessions

PROVIDERS = ("claude", "codex", "gemini", "opencode", "copilot")
PROMPT = "## task\n\nWrite it\n"
AGAIN = {
    "claude": "-p --output-format stream-json --verbose --permission-mode acceptEdits --resume {}",
    "codex": "exec --skip-git-repo-check -s workspace-write resume --json {} -",
    "gemini": "-o stream-json --skip-trust --approval-mode auto_edit -r {}",
    "opencode": "run --format json -m some/model -s {}",
    "copilot": "--output-format json --no-auto-update --allow-tool write --resume={}",
}


def known(agents: Agents) -> list[str]:
    return (agents.folder / "sessions").read_text().split()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_agent_that_was_paused_goes_on_in_its_session(agents: Agents, provider: str) -> None:
    """It is told that it was interrupted, and its task once more: the session may have been cut off
    anywhere.
    """
    agents.helper(provider)
    agents.play({"hang": True})
    paused = agents.interrupt()
    agents.play({"text": "Went on."})

    resumed = agents.runs.resume()

    assert "paused" == paused.status
    assert "Went on." == resumed.output
    (session,) = known(agents)
    assert [AGAIN[provider].format(session).split()] == agents.words
    (prompt,) = agents.prompts
    assert prompt.startswith(
        "You were interrupted while you worked on the task below, and part of it may be done."
    )
    assert prompt.endswith(f"\n\n{PROMPT}")


def test_an_agent_whose_run_was_killed_goes_on_in_its_session(agents: Agents) -> None:
    """A step that was killed has no record: the session stands in what the run's owner noted."""
    agents.helper("claude")
    agents.runs.flow("- {name: ask, type: agent, agent: helper, context: {task: Write it}}")
    agents.runs.kill_unrecorded("ask")

    resumed = agents.runs.resume()

    (session,) = known(agents)
    assert "Done." == resumed.output
    assert ["--resume", session] == agents.words[1][-2:]


def test_a_session_that_the_program_forgot_is_begun_anew(agents: Agents) -> None:
    agents.helper("claude")
    agents.play({"hang": True})
    agents.interrupt()
    (session,) = known(agents)
    (agents.folder / "sessions").write_text("")
    agents.play({})

    resumed = agents.runs.resume()

    assert "Done." == resumed.output
    assert PROMPT == agents.prompts[-1]
    assert "--resume" not in agents.words[-1]
    told = (
        f"agent helper: session {session} cannot be continued (exit code 1: No conversation found "
        "with session ID: "
    )
    assert [f"{told}{session}); a new one is begun"] == resumed.notices


def test_a_task_that_was_changed_is_begun_anew(agents: Agents) -> None:
    agents.helper("claude")
    agents.play({"hang": True})
    agents.interrupt("- {name: ask, type: agent, agent: helper, context: {task: Write it}}")
    agents.play({})
    agents.runs.edit("Write it", "Write something else")

    agents.runs.resume()

    assert ["## task\n\nWrite something else\n"] == agents.prompts


def test_a_session_that_ended_in_an_error_is_not_continued(agents: Agents) -> None:
    """A session whose context is too long would fail the same way for ever."""
    agents.failure("claude", {"status": 400, "message": "prompt too long"})
    agents.play({})

    agents.runs.resume()

    assert [PROMPT] == agents.prompts


@pytest.mark.parametrize("scenario", [{"limit": True}, {"status": 503}, {"cut_short": True}])
def test_a_session_that_was_cut_short_is_continued(
    agents: Agents, scenario: dict[str, Any]
) -> None:
    agents.failure("claude", scenario)
    agents.play({})

    agents.runs.resume()

    assert "--resume" in agents.words[0]


@pytest.mark.parametrize("name", ["KILL", "TERM", "HUP"])
def test_a_session_whose_program_was_killed_is_continued(agents: Agents, name: str) -> None:
    """Memory ran out, or a person ended it: the session itself is sound."""
    played = agents.bin / "claude"
    script = played.read_text()
    line = '{"type": "system", "subtype": "init", "session_id": "s-1"}'
    agents.program("claude", f"echo '{line}'\nkill -{name} $$")
    agents.failure("claude")
    (agents.folder / "sessions").write_text("s-1\n")
    played.write_text(script)

    resumed = agents.runs.resume()

    assert "Done." == resumed.output
    assert ["--resume", "s-1"] == agents.words[0][-2:]


def test_another_run_of_the_same_workflow_begins_anew(agents: Agents) -> None:
    agents.failure("claude", {"limit": True})
    agents.play({})

    agents.runs.start()

    assert "--resume" not in agents.words[0]


def test_a_failed_step_keeps_what_its_calls_cost(agents: Agents) -> None:
    agents.failure("claude", {"limit": True})

    facts = agents.facts()
    assert 1 == facts["failed_attempts"]
    assert [0.01] == [call["cost_usd"] for call in facts["agent"]["calls"]]


def test_a_paused_step_keeps_its_session(agents: Agents) -> None:
    agents.helper("claude")
    agents.play({"hang": True})
    agents.interrupt()

    assert known(agents) == [agents.facts()["agent"]["session"]]


def test_all_attempts_at_a_step_are_counted(agents: Agents) -> None:
    agents.ask(
        "codex",
        {"message": "no such model"},
        {"text": "Done."},
        flow="- {name: ask, type: agent, agent: helper, context: {a: b}, retry: {attempts: 2}}",
    )

    assert [None, 21] == [call.get("input_tokens") for call in agents.facts()["agent"]["calls"]]


def test_facts_of_many_calls_stay_small(agents: Agents) -> None:
    """A step's facts stand in the run's tree, where there is room for 4 kB."""
    execution = agents.ask(
        "claude",
        {"message": "prompt too long"},
        flow="- {name: ask, type: agent, agent: helper, context: {a: b}, retry: {attempts: 25}}",
    )

    assert "failed" == execution.status
    assert 8 == len(agents.facts()["agent"]["calls"])
    assert 25 == agents.facts()["agent"]["called"]


# --- the store of sessions ------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"])), max_size=20))
def test_what_was_noted_last_is_what_the_next_execution_finds(
    changes: list[tuple[str, str]],
) -> None:
    noted: list[dict[str, str]] = [{}]
    sessions = Sessions(None, lambda ids: noted.append(dict(ids)))
    expected: dict[str, str] = {}
    for asked, session in changes:
        if session:
            sessions.keep(asked, session)
            expected[asked] = session
        else:
            sessions.drop(asked)
            expected.pop(asked, None)

    again = Sessions(noted[-1])

    assert [expected.get(asked, "") for asked in "abc"] == [again.find(asked) for asked in "abc"]


def test_only_the_newest_sessions_are_kept() -> None:
    sessions = Sessions()
    for number in range(KEPT + 1):
        sessions.keep(str(number), "s")

    assert ["", "s"] == [sessions.find("0"), sessions.find("1")]


@pytest.mark.parametrize("torn", [None, [], "x", {"a": 1, "b": None}])
def test_a_note_that_is_none_is_no_session(torn: object) -> None:
    assert "" == Sessions(torn).find("a")
