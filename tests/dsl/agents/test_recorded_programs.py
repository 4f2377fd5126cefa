"""What the real programs wrote, word for word (`tests/standins/recorded`), and what maverick makes
of it.
"""

from __future__ import annotations

import pytest

from kit.agents import STANDINS, Agents
from maverick.dsl.agents.provider import load_provider

PROGRAMS = sorted(path.name for path in (STANDINS / "recorded").iterdir())


def provider_of(program: str) -> str:
    return program.partition("-")[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_session_that_is_lost_is_told_and_a_new_one_is_begun(
    agents: Agents, program: str
) -> None:
    """After the program's own clean-up, on another machine, in a fresh container: the step is not
    failed by it.
    """
    agents.helper(provider_of(program))
    agents.play({"hang": True})
    agents.interrupt()
    agents.play({"recorded": f"{program}/lost_session"}, {"text": "Begun anew."})

    resumed = agents.runs.resume()

    assert "Begun anew." == resumed.output, resumed.error
    (notice,) = resumed.notices
    assert " cannot be continued (exit code " in notice
    assert notice.endswith("; a new one is begun")
    assert "You were interrupted" not in agents.prompts[-1]


@pytest.mark.parametrize("case", ["answer", "503_once"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_answer_is_read(agents: Agents, program: str, case: str) -> None:
    """Also after a failure that the program itself got over."""
    agents.helper(provider_of(program))

    execution = agents.ask("", {"recorded": f"{program}/{case}"})

    assert ("Done.", []) == (execution.output, execution.notices), execution.error


@pytest.mark.parametrize("program", PROGRAMS)
def test_tools_are_shown_as_they_are_used(agents: Agents, program: str) -> None:
    agents.helper(provider_of(program))

    execution = agents.ask("", {"recorded": f"{program}/tools"})

    spoken = agents.spoken(execution)
    assert "I tried." == execution.output
    assert [True, True] == [word in spoken for word in ("made.txt", "exit 3")], spoken
    assert "{" not in spoken
    assert "Ripgrep" not in spoken


@pytest.mark.parametrize("program", [name for name in PROGRAMS if provider_of(name) != "codex"])
def test_an_edit_that_was_refused_is_told(agents: Agents, program: str) -> None:
    """Codex leaves no trace of it."""
    agents.helper(provider_of(program))

    execution = agents.ask("", {"recorded": f"{program}/refused_edit"})

    told = execution.notices[0]
    tool = {
        "claude": "[Write] ",
        "gemini": "[write_file] ",
        "opencode": "[write] ",
        "copilot": "[create] ",
    }
    assert f"was not permitted to do, or failed at: {tool[provider_of(program)]}" in told
    assert ("failed" if provider_of(program) == "opencode" else "done") == execution.status


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_key_that_is_refused_is_told_with_how_to_log_in(agents: Agents, program: str) -> None:
    error = agents.failure(provider_of(program), {"recorded": f"{program}/401"})

    assert error.endswith(f"\n{load_provider(provider_of(program)).login}")
    assert 1 == len(agents.calls)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_limit_is_asked_again(agents: Agents, program: str) -> None:
    execution = agents.ask(
        provider_of(program), {"recorded": f"{program}/429"}, {"text": "After all."}
    )

    assert "After all." == execution.output, execution.error
    assert execution.notices[0].endswith("; one more attempt")


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_the_model_refuses_is_told_in_words(agents: Agents, program: str) -> None:
    error = agents.failure(provider_of(program), {"recorded": f"{program}/400"})

    assert "this model does not take images" in error
    assert "{" not in error
    assert load_provider(provider_of(program)).login not in error
    assert 1 == len(agents.calls)


def test_gemini_names_the_models_that_it_asked(agents: Agents) -> None:
    """`init` says `auto`."""
    agents.ask("gemini", {"recorded": "gemini-0.61.0/503_once"})

    assert "standin-model" == agents.facts()["agent"]["model"]
