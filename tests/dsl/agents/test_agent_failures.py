"""How calls fail, what is said of it, and what is tried again."""

from __future__ import annotations

import subprocess

import pytest

from kit.agents import Agents
from kit.patience import GROWING_SECONDS

PROVIDERS = ("claude", "codex", "gemini", "opencode")
OVERLOADED = {
    "claude": "exit code 1: API Error: Request rejected (429) · try later",
    "codex": "exit code 1: exceeded retry limit, last status: 429 Too Many Requests",
    "gemini": "exit code 173: API error, status 429",
    "opencode": "exit code 1: status 429",
}
LOGIN = {
    "claude": "log in with `claude` and /login, or set ANTHROPIC_API_KEY",
    "codex": "log in with `codex login`, or set CODEX_API_KEY (`codex exec` does not read "
    "OPENAI_API_KEY)",
    "gemini": "set GEMINI_API_KEY, or log in with `gemini`",
    "opencode": "log in with `opencode auth login`, and name a model as provider/model (`opencode "
    "models` lists them)",
}


# --- transport errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_transport_error_is_tried_once_more_in_the_same_session(
    agents: Agents, provider: str
) -> None:
    execution = agents.ask(provider, {"status": 429}, {"text": "Done after all."})

    assert "Done after all." == execution.output
    assert [f"agent helper: {OVERLOADED[provider]}; one more attempt"] == execution.notices
    assert [False, True] == [call["resumed"] for call in agents.facts()["agent"]["calls"]]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_second_transport_error_fails_the_step(agents: Agents, provider: str) -> None:
    agents.failure(provider, {"status": 503})

    assert 2 == len(agents.calls)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_limit_that_stays_fails_the_step_after_more_attempts(
    agents: Agents, provider: str
) -> None:
    assert f"agent helper: {OVERLOADED[provider]}" == agents.failure(provider, {"status": 429})
    assert 6 == len(agents.calls)


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("claude", "API Error: Connection error."),
        ("codex", "stream disconnected before completion"),
        ("gemini", "request to the API failed, reason: connect ECONNREFUSED"),
        ("opencode", "fetch failed"),
    ],
)
def test_a_network_that_fails_is_known_by_the_programs_words(
    agents: Agents, provider: str, message: str
) -> None:
    assert "Done." == agents.ask(provider, {"message": message}, {}).output


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refusal_is_never_tried_again(agents: Agents, provider: str) -> None:
    agents.failure(provider, {"status": 400, "message": "prompt too long"})

    assert 1 == len(agents.calls)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_is_a_transport_error(agents: Agents, status: int) -> None:
    agents.failure("claude", {"status": status})

    assert 2 == len(agents.calls)


def test_no_further_attempt_is_made_when_the_time_is_up(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maverick.dsl.agents.conversation.TRANSPORT_PAUSE_SECONDS", 100.0)

    error = agents.failure("claude", {"status": 503}, more="timeout: 90s")

    assert error.endswith(
        "; the timeout of 90 s of the agent helper left no time for one more attempt"
    )
    assert 1 == len(agents.calls)


# --- login ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["claude", "codex", "opencode"])
def test_a_key_that_is_not_accepted_comes_with_how_to_log_in(agents: Agents, provider: str) -> None:
    error = agents.failure(
        provider, {"status": 401, "message": "unexpected status 401 Unauthorized: no"}
    )

    assert (
        f"agent helper: exit code 1: unexpected status 401 Unauthorized: no\n{LOGIN[provider]}"
        == error
    )
    assert 1 == len(agents.calls)


def test_a_program_that_says_nobody_is_logged_in_is_asked_about_it(agents: Agents) -> None:
    """Claude says it in its answer, with no status; its own check knows by its exit code."""
    agents.runs.environment["STANDIN_LOGGED_OUT"] = "1"

    error = agents.failure("claude", {"logged_out": True})

    assert (
        f"agent helper: exit code 1: Not logged in · Please run /login\n{LOGIN['claude']}" == error
    )


def test_gemini_tells_by_its_exit_code_that_nobody_is_logged_in(agents: Agents) -> None:
    error = agents.failure("gemini", {"logged_out": True})

    assert error.startswith(
        "agent helper: exit code 41: it is not logged in: Please set an Auth method in"
    )
    assert error.endswith(f"\n{LOGIN['gemini']}")


def test_codex_is_asked_before_whether_anybody_is_logged_in(agents: Agents) -> None:
    """Without a login and a network it waits, and says nothing; but it may know a provider that
    needs no login.
    """
    agents.runs.environment["STANDIN_LOGGED_OUT"] = "1"

    execution = agents.ask("codex")

    assert "Done." == execution.output
    told = "agent helper: nobody seems to be logged in, and codex may wait in silence: "
    assert [f"{told}{LOGIN['codex']}"] == execution.notices


def test_codex_with_a_key_is_not_asked(agents: Agents) -> None:
    agents.runs.environment |= {"STANDIN_LOGGED_OUT": "1", "CODEX_API_KEY": "key-for-a-test"}

    assert [] == agents.ask("codex").notices


@pytest.mark.parametrize("variable", ["CODEX_API_KEY", ""])
def test_who_has_a_key_is_not_told_to_log_in(agents: Agents, variable: str) -> None:
    """`codex login status` knows nothing of CODEX_API_KEY, nor of a provider of models that has a
    key of its own.
    """
    agents.runs.environment |= {"STANDIN_LOGGED_OUT": "1", "CODEX_HOME": str(agents.folder)}
    agents.runs.environment |= {variable: "key-for-a-test"} if variable else {}
    (agents.folder / "config.toml").write_text(
        "" if variable else 'model = "big"\nmodel_provider = "ours"\n'
    )

    execution = agents.ask("codex", {"message": "Your API key has no access to this model"})

    assert [] == execution.notices
    assert (
        "step ask: agent helper: exit code 1: Your API key has no access to this model"
        == execution.error
    )


def test_a_failure_that_is_not_about_the_login_is_not_told_to_log_in(agents: Agents) -> None:
    agents.runs.environment["STANDIN_LOGGED_OUT"] = "1"

    error = agents.failure(
        "claude", {"message": "Your input exceeds the context window of this model"}
    )

    assert "agent helper: exit code 1: Your input exceeds the context window of this model" == error


def test_who_is_logged_in_is_not_told_how_to(agents: Agents) -> None:
    error = agents.failure("codex", {"message": "the model does not exist"})

    assert "agent helper: exit code 1: the model does not exist" == error


# --- cut short ------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_run_that_ends_in_the_middle_of_its_turn_is_no_answer(
    agents: Agents, provider: str
) -> None:
    """Its exit code is 0 all the same."""
    error = agents.failure(provider, {"cut_short": True})

    assert "agent helper: it was cut short before it was done" == error


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_agent_that_prints_nothing_has_failed(agents: Agents, provider: str) -> None:
    assert "agent helper: it printed nothing" == agents.failure(provider, {"text": None})


def test_claude_that_reaches_its_limit_of_turns_was_cut_short(agents: Agents) -> None:
    error = agents.failure("claude", {"limit": True}, more="options: {max_turns: 1}")

    assert (
        "agent helper: it was cut short before it was done: exit code 1: Reached maximum number "
        "of turns (1)" == error
    )


def test_gemini_that_reaches_its_limit_of_turns_says_so_by_its_exit_code(agents: Agents) -> None:
    error = agents.failure("gemini", {"limit": True})

    assert (
        "agent helper: exit code 53: its limit of turns was reached: Reached max session turns "
        "for this session." == error
    )


# --- programs that misbehave ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("claude", "exit code 1: error: unknown option '--bogus'"),
        (
            "codex",
            """exit code 2: it does not know one of its options: error: unexpected argument '--bogus' found
Usage: codex exec [OPTIONS] [PROMPT]""",
        ),
        ("gemini", "exit code 1: Unknown argument: bogus"),
        ("opencode", "exit code 1: opencode run [message..]\nrun opencode with a message"),
    ],
)
def test_an_argument_that_the_program_does_not_know_fails_with_its_words(
    agents: Agents, provider: str, expected: str
) -> None:
    error = agents.failure(provider, more="options: {args: [--bogus]}")

    assert f"agent helper: {expected}" == error


def test_a_program_that_just_dies_shows_its_first_and_last_words(agents: Agents) -> None:
    """Some say the cause first, and then the statement or the stack that it happened in."""
    words = "\n".join(f"line {number}" for number in range(40))
    error = agents.failure("codex", {"exit": 134, "words": words})

    first = [f"line {number}" for number in range(4)]
    last = [f"line {number}" for number in range(32, 40)]
    shown = "\n".join([*first, "… (28 lines)", *last])
    assert f"agent helper: exit code 134: {shown}" == error


@pytest.mark.parametrize(
    ("limit", "whose"),
    [("agent", "the timeout of {} s of the agent helper"), ("step", "its timeout of {} s")],
)
def test_an_agent_that_hangs_is_stopped_with_all_it_started(
    agents: Agents, limit: str, whose: str
) -> None:
    agents.program("claude", f"echo working >&2; sleep 6000 & exec {agents.bin}/waits")
    agents.program("waits", "sleep 6000")
    flow = "- {name: ask, type: agent, agent: helper, context: {a: b}"

    for seconds in GROWING_SECONDS:
        error = agents.failure(
            "claude",
            more=f"timeout: {seconds}" if limit == "agent" else "",
            flow=f"{flow}, timeout: {seconds}}}" if limit == "step" else f"{flow}}}",
        )
        if "working" in error:
            break

    assert (
        "agent helper: `claude -p --output-format stream-json --verbose --permission-mode "
        f"acceptEdits` took longer than {whose.format(f'{seconds:g}')} and was stopped; the last "
        "it said: working" == error
    )
    assert [] == _running(str(agents.folder))


def _running(folder: str) -> list[str]:
    """The processes whose command line names *folder*."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "stat=,command="], capture_output=True, text=True, check=True
    ).stdout
    return [line for line in listed.splitlines() if folder in line and not line.startswith("Z")]


def test_megabytes_of_noise_do_not_hide_the_answer(agents: Agents) -> None:
    execution = agents.ask("claude", {"flood": 50_000_000})

    assert "Done." == execution.output


def test_a_program_that_is_killed_says_by_what(agents: Agents) -> None:
    agents.program("claude", "kill -KILL $$")

    assert "agent helper: killed by SIGKILL" == agents.failure("claude")


def test_colours_are_no_part_of_what_a_program_said(agents: Agents) -> None:
    words = "\x1b[91m\x1b[1mError: \x1b[0mSession not found\x1b]0;title\x07"

    assert "agent helper: exit code 1: Error: Session not found" == agents.failure(
        "codex", {"exit": 1, "words": words}
    )


def test_programs_are_asked_for_no_colours(agents: Agents) -> None:
    agents.ask("claude")

    assert "1" == agents.calls[0]["env"]["NO_COLOR"]


def test_a_stack_is_no_part_of_what_a_program_said(agents: Agents) -> None:
    """Gemini prints one for each attempt; what it says of the attempt stands above."""
    lines = [
        "Ripgrep is not available. Falling back to GrepTool.",
        "Attempt 1 failed with status 503. Retrying with backoff... _ApiError: sorry",
        "    at throwErrorIfNotOK (file:///gemini-cli/chunk.js:267833:24)",
        "    at async Models.generate (file:///gemini-cli/chunk.js:268692:16) {",
        "  status: 503",
        "}",
        "Giving up.",
    ]
    words = "\n".join(lines)

    execution = agents.ask("gemini", {"exit": 1, "words": words})

    said = "Attempt 1 failed with status 503. Retrying with backoff... _ApiError: sorry\nGiving up."
    assert f"step ask: agent helper: exit code 1: {said}" == execution.error
    assert f"{said}\n" == agents.spoken(execution)


# --- what is known before the run begins ----------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "package", "other"),
    [
        ("claude", "@anthropic-ai/claude-code", "codex"),
        ("codex", "@openai/codex", "claude"),
        ("gemini", "@google/gemini-cli", "claude"),
        ("opencode", "opencode-ai", "claude"),
        ("copilot", "@github/copilot", "claude"),
    ],
)
def test_a_program_that_is_not_installed_is_told_before_the_run_begins(
    agents: Agents, provider: str, package: str, other: str
) -> None:
    (agents.bin / provider).unlink()

    assert (
        f"the program `{provider}` is not on PATH: install it with `npm install -g {package}`, or "
        "choose another provider in maverick.yaml, such as `agents: {default: {provider: "
        f"{other}}}}}` (needed by step ask)" == agents.refusal(provider)
    )


def test_an_agent_of_a_called_workflow_or_of_a_loop_is_looked_for_too(agents: Agents) -> None:
    (agents.bin / "claude").unlink()
    (agents.bin / "codex").unlink()
    agents.configure("{helper: {provider: claude}, generator: {provider: codex}}")
    agents.runs.file(
        "inner.yaml",
        'version: "1.0"\nname: inner\nsteps: [{name: text, type: generate, generator: pr_title}]\n',
    )

    text = agents.refusal(
        flow="""
        - name: each
          type: loop
          for_each: [1]
          steps: [{name: ask, type: agent, agent: helper, context: {}}]
        - {name: call, type: subworkflow, workflow: ./inner.yaml}
        """
    )

    assert ["`claude`", "`codex`"] == [line.split()[2] for line in text.splitlines()]
    assert ["(needed by step ask)", "(needed by step text)"] == [
        line[line.rindex("(") :] for line in text.splitlines()
    ]


def test_the_program_of_a_command_agent_is_looked_for_in_the_project(agents: Agents) -> None:
    agents.configure("{helper: {provider: command, command: [tools/agent.sh]}}")

    assert (
        "`tools/agent.sh` is not there: correct `command` in maverick.yaml, or install the "
        "program (needed by step ask)" == agents.refusal()
    )


def test_the_command_beside_a_provider_is_looked_for(agents: Agents) -> None:
    """Though `claude` itself is there."""
    agents.configure("{helper: {provider: claude, command: [/nowhere/claude]}}")

    assert (
        "`/nowhere/claude` is not there: correct `command` in maverick.yaml, or install the "
        "program (needed by step ask)" == agents.refusal()
    )


def test_an_agent_that_an_expression_names_is_looked_for_when_its_step_begins(
    agents: Agents,
) -> None:
    (agents.bin / "claude").unlink()
    error = agents.failure(
        "claude",
        flow="- {name: ask, type: agent, agent: \"${{ 'help' + 'er' }}\", context: {a: b}}",
    )

    assert error.startswith(
        "agent helper: the program `claude` is not on PATH: install it with `npm install -g"
    )


def test_opencode_is_not_called_without_a_model(agents: Agents) -> None:
    """It would pick a free hosted one, and send it the project's code."""
    agents.configure("{helper: {provider: opencode}}")

    assert (
        "agent 'helper' needs a `model` in maverick.yaml (as provider/model): opencode is never "
        "called without one, since without one it may send the project's code to a free hosted "
        "model" == agents.refusal()
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            "permision_mode: plan",
            "agent 'helper' has an unknown option 'permision_mode' for claude; did you mean",
        ),
        ("sandbox: x", "agent 'helper' has an unknown option 'sandbox' for claude"),
        (
            "permission_mode: yolo",
            (
                "agent 'helper': option 'permission_mode' has to be one of acceptEdits, auto, "
                "bypassPermissions, default,"
            ),
        ),
        ("max_turns: [1]", "agent 'helper': option 'max_turns' has to be a text or a number"),
        ("args: --x", "agent 'helper': option 'args' has to be a list of texts"),
        (
            "allowed_tools: [1]",
            "agent 'helper': option 'allowed_tools' has to be a text, or a list of texts",
        ),
        ("env: [A]", "agent 'helper': option 'env' has to be a mapping of environment variables"),
    ],
)
def test_options_that_are_wrong_are_told_before_the_run_begins(
    agents: Agents, options: str, expected: str
) -> None:
    assert agents.refusal("claude", more=f"options: {{{options}}}").startswith(expected)


def test_an_agent_cannot_do_without_a_program(agents: Agents) -> None:
    agents.configure("{helper: {provider: none}}")

    assert (
        "agent 'helper' has the provider 'none', which only generators can do with; give it one "
        "of claude, codex, gemini, opencode, copilot, command in maverick.yaml" == agents.refusal()
    )
