"""What the four programs are called with, and what becomes of what they say."""

from __future__ import annotations

from typing import Any

import pytest

from kit.agents import Agents
from maverick.errors import StepsDiffer

ASK = "- {name: ask, type: agent, agent: helper, context: {task: Write it}}"
PROVIDERS = ("claude", "codex", "gemini", "opencode", "copilot")
FRESH = {
    "claude": "-p --output-format stream-json --verbose --permission-mode acceptEdits",
    "codex": "exec --skip-git-repo-check -s workspace-write --json -",
    "gemini": "-o stream-json --skip-trust --approval-mode auto_edit",
    "opencode": "run --format json -m some/model",
    "copilot": "--output-format json --no-auto-update --allow-tool write --session-id",
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_program_is_called_so_that_it_edits_files_and_asks_nobody(
    agents: Agents, provider: str
) -> None:
    execution = agents.ask(provider, {"write": {"made.txt": "hello"}, "text": "Wrote it."})

    assert "Wrote it." == execution.output
    assert "hello" == (agents.runs.root / "made.txt").read_text()
    (words,) = agents.words
    assert FRESH[provider].split() == (words[:-1] if provider == "copilot" else words)
    assert [] == execution.notices


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_prompt_is_the_instructions_and_then_the_context(agents: Agents, provider: str) -> None:
    agents.runs.file(".maverick/agents/helper.md", "You help.\n")

    agents.ask(provider)

    assert ["You help.\n\n## task\n\nWrite it\n"] == agents.prompts
    assert str(agents.runs.root) == agents.calls[0]["cwd"]


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("claude", "--model big --max-turns 5"),
        ("codex", "-m big --ephemeral --json -"),
        ("gemini", "-m big --policy rules.toml"),
        ("opencode", "--variant high -m big --pure"),
        ("copilot", "--allow-tool write --allow-tool shell(git:*) --model big --add-dir"),
    ],
)
def test_model_options_and_further_arguments_reach_the_program(
    agents: Agents, provider: str, expected: str
) -> None:
    """Further arguments stand last, so that they win over those that are always given."""
    more = {
        "claude": "model: big, options: {max_turns: 5}",
        "codex": "model: big, options: {args: [--ephemeral]}",
        "gemini": "model: big, options: {args: [--policy, rules.toml]}",
        "opencode": "model: big, options: {variant: high, args: [--pure]}",
        "copilot": "model: big, options: {allowed_tools: [write, 'shell(git:*)'], args: "
        "[--add-dir, x]}",
    }[provider]

    agents.ask(provider, more=more)

    words = agents.words[0]
    assert sorted(expected.split()) == sorted(word for word in words if word in expected.split())


@pytest.mark.parametrize("given", ["'Bash(pytest:*),Read'", "['Bash(pytest:*)', Read]"])
def test_tools_may_be_given_as_a_list(agents: Agents, given: str) -> None:
    agents.ask("claude", more=f"options: {{allowed_tools: {given}}}")

    words = agents.words[0]
    assert "Bash(pytest:*),Read" == words[words.index("--allowedTools") + 1]


@pytest.mark.parametrize(
    ("provider", "begins"),
    [
        ("claude", "-p --output-format"),
        ("codex", "exec"),
        ("gemini", "-o"),
        ("opencode", "run"),
        ("copilot", "--out"),
    ],
)
def test_a_command_beside_a_provider_is_its_program(
    agents: Agents, provider: str, begins: str
) -> None:
    """A wrapper, a pinned version, a container: the provider's own arguments stand behind it."""
    path = agents.program(f"our-{provider}", f'shift\nexec "{agents.bin / provider}" "$@"')
    (agents.bin / provider).rename(agents.bin / "moved")
    path.write_text(path.read_text().replace(str(agents.bin / provider), str(agents.bin / "moved")))

    execution = agents.ask(provider, more=f"command: [our-{provider}, --wrapped]")

    assert "Done." == execution.output, execution.error
    assert " ".join(agents.words[0]).startswith(begins)


def test_another_program_of_a_provider_makes_another_key(agents: Agents) -> None:
    agents.program("ours", f'exec "{agents.bin / "claude"}" "$@"')
    agents.ask("claude", flow=f"{ASK}\n- {{name: end, type: shell, run: test -e x}}")
    agents.helper("claude", "command: ours")

    with pytest.raises(
        StepsDiffer, match="step ask has finished, and its field `agent` changed since"
    ):
        agents.runs.resume()


def test_variables_under_env_reach_the_program(agents: Agents) -> None:
    agents.ask("claude", more="options: {env: {EXTRA: 1}}")

    assert "1" == agents.calls[0]["env"]["EXTRA"]


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (
            "claude",
            {"model": "claude-standin", "call": {"input_tokens": 11, "output_tokens": 7, "cached_tokens": 3}
             | {"cost_usd": 0.0123, "turns": 2}},
        ),
        ("codex", {"model": None, "call": {"input_tokens": 21, "output_tokens": 8, "cached_tokens": 5}}),
        ("gemini", {"model": "gemini-standin", "call": {"input_tokens": 31, "output_tokens": 9, "cached_tokens": 2}}),
        (
            "opencode",
            {"model": "some/model", "call": {"input_tokens": 41, "output_tokens": 10, "cached_tokens": 4}
             | {"cost_usd": 0.002, "turns": 1}},
        ),
    ],
)  # fmt: skip
def test_tokens_cost_session_and_model_are_kept_beside_the_output(
    agents: Agents, provider: str, expected: dict[str, Any]
) -> None:
    """They differ each time, so that they must be part of neither output nor key."""
    agents.ask(provider)

    facts = agents.facts()["agent"]
    (call,) = facts["calls"]
    assert provider == facts["provider"]
    assert expected["model"] == facts.get("model")
    assert facts["session"]
    assert not call.pop("resumed")
    assert call.pop("seconds") > 0
    assert expected["call"] == call


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_agent_that_answered_is_not_asked_again(agents: Agents, provider: str) -> None:
    agents.ask(provider, flow=f"{ASK}\n- {{name: end, type: shell, run: test -e x}}")
    agents.runs.file("x", "")

    resumed = agents.runs.resume()

    assert ["ask"] == resumed.recalled
    assert 1 == len(agents.calls)


@pytest.mark.parametrize("provider", ["gemini", "opencode"])
def test_what_was_said_before_the_last_tool_is_no_part_of_the_answer(
    agents: Agents, provider: str
) -> None:
    execution = agents.ask(
        provider, {"before": "First I write.", "write": {"a": ""}, "text": "Done."}
    )

    assert "Done." == execution.output


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_the_agent_says_is_shown_while_it_works_and_not_as_json(
    agents: Agents, provider: str
) -> None:
    execution = agents.ask(provider, {"text": "All is well."})

    assert "".join(agents.spoken(execution).split("\n")) == "All is well."


@pytest.mark.parametrize(
    ("provider", "more", "expected"),
    [
        ("claude", "options: {permission_mode: dontAsk}", "[Write] made.txt"),
        (
            "gemini",
            "options: {approval_mode: default}",
            '[write_file] Tool "write_file" not found in registry.',
        ),
    ],
)
def test_a_refused_edit_is_told_though_the_program_ends_well(
    agents: Agents, provider: str, more: str, expected: str
) -> None:
    """Exit code 0 does not mean that the work was done."""
    execution = agents.ask(provider, {"write": {"made.txt": ""}}, more=more)

    assert "done" == execution.status
    assert [
        (
            f"agent helper: was not permitted to do, or failed at: {expected}; see what is missing of "
            "its work"
        )
    ] == execution.notices


def test_opencode_that_was_refused_ends_without_a_word_and_that_is_a_failure(
    agents: Agents,
) -> None:
    """It ends with exit code 0 and no text when it wants to leave its folder."""
    error = agents.failure("opencode", {"write": {"../outside": ""}})

    assert (
        "agent helper: it was cut short before it was done; the last it said: ! permission "
        "requested: external_directory (../outside); auto-rejecting" == error
    )


def test_claude_as_root_may_not_bypass_permissions_unless_it_is_told_to_be_in_a_sandbox(
    agents: Agents,
) -> None:
    agents.runs.environment["STANDIN_AS_ROOT"] = "1"
    mode = "permission_mode: bypassPermissions"
    error = agents.failure("claude", more=f"options: {{{mode}}}")

    assert (
        "agent helper: exit code 1: --dangerously-skip-permissions cannot be used with root/sudo "
        "privileges for security reasons" == error
    )
    assert (
        "Done." == agents.ask("claude", more=f"options: {{{mode}, env: {{IS_SANDBOX: 1}}}}").output
    )


def test_an_agent_that_is_asked_nothing_is_not_called(agents: Agents) -> None:
    error = agents.failure("claude", flow="- {name: ask, type: agent, agent: helper}")

    assert (
        "agent helper is asked nothing: it has no instructions (.maverick/agents/helper.md), no "
        "context" == error
    )
    assert [] == agents.calls
