"""`maverick.yaml` is read with the same care as a workflow; every key is optional."""

from __future__ import annotations

from pathlib import Path

import pytest

from maverick.dsl.catalog.config import (
    AgentConfig,
    CheckpointsConfig,
    Config,
    ProcessesConfig,
    Stage,
    load_config,
    parse_config,
)
from maverick.dsl.durations import Limit
from maverick.errors import WorkflowInvalid

WHOLE = """
agents:
  default: {provider: claude}
  implementer: {provider: command, command: [python, tools/agent.py], timeout: 30m}
  reviewer: {command: 'python "my agent.py"', model: big, options: {temperature: 0.5}}
validation:
  stages: {format: ruff format --check ., test: {run: pytest -q, timeout: 10m}}
github: {repo: owner/name}
actions: [tools.maverick_actions]
secrets: [GITHUB_TOKEN, ANTHROPIC_API_KEY]
checkpoints: {keep_last: 5, keep_within: 30d}
processes: {grace: 1m}
x-ours: anything
"""


def problems_of(text: str) -> list[str]:
    """Give `line:column: message` of each problem."""
    with pytest.raises(WorkflowInvalid) as raised:
        parse_config(text, "maverick.yaml")
    return [f"{p.line}:{p.column}: {p.message}" for p in raised.value.problems]


def test_every_key_is_read() -> None:
    config = parse_config(WHOLE)

    assert {
        "default": AgentConfig(provider="claude"),
        "implementer": AgentConfig(
            provider="command", command=("python", "tools/agent.py"), timeout=1800
        ),
        "reviewer": AgentConfig(
            provider="command",
            command=("python", "my agent.py"),
            model="big",
            options={"temperature": 0.5},
        ),
    } == config.agents
    limit = Limit.own(600, "the stage test")
    assert {
        "format": Stage("format", "ruff format --check ."),
        "test": Stage("test", "pytest -q", limit),
    } == config.stages
    assert "owner/name" == config.github_repo
    assert ("tools.maverick_actions",) == config.actions
    assert ("GITHUB_TOKEN", "ANTHROPIC_API_KEY") == config.secrets
    assert ProcessesConfig(grace=60) == config.processes
    assert CheckpointsConfig(keep_last=5, keep_within=2_592_000) == config.checkpoints


def test_an_agent_that_is_not_named_is_the_default_one() -> None:
    config = parse_config("agents: {default: {provider: codex}, a: {provider: gemini}}")

    assert ["gemini", "codex"] == [config.agent(name).provider for name in ("a", "b")]
    assert "claude" == Config().agent("b").provider


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "agents:\nsecrets:\nvalidation:\n  stages:\nprocesses:\n"]
)
def test_what_is_left_empty_has_its_default(text: str) -> None:
    assert Config() == parse_config(text)


def test_a_project_needs_no_file(tmp_path: Path) -> None:
    assert Config() == load_config(tmp_path)


def test_the_file_stands_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "maverick.yaml").write_text("actions: a.b\n")

    assert ("a.b",) == load_config(tmp_path).actions


def test_a_link_that_leads_nowhere_is_not_taken_for_no_file(tmp_path: Path) -> None:
    (tmp_path / "maverick.yaml").symlink_to(tmp_path / "gone.yaml")

    with pytest.raises(WorkflowInvalid, match="there is no such file"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", "1:1: maverick.yaml must be a mapping, not a list"),
        ("agent: {}\n", "1:1: unknown field `agent` in maverick.yaml; did you mean `agents`?"),
        (
            "agents: {a: 3}\n",
            "1:13: an agent must be a mapping such as {provider: claude}, not the number 3",
        ),
        (
            "agents: {a: {}}\n",
            (
                "1:13: missing field `provider`: an agent needs it; there are claude, codex, "
                "gemini, opencode, copilot, command, none"
            ),
        ),
        (
            "agents: {a: {provider: claud}}\n",
            (
                "1:24: `provider` must be claude, codex, gemini, opencode, copilot, command or "
                "none, not the text 'claud'; did you mean `claude`?"
            ),
        ),
        (
            "agents: {a: {provider: none, command: x}}\n",
            (
                "1:13: an agent with `provider: none` runs no program, so `command` says nothing; "
                "remove one"
            ),
        ),
        (
            "agents: {a: {provider: command}}\n",
            "1:13: an agent with `provider: command` needs a `command`",
        ),
        (
            'agents: {a: {command: "x \'y"}}\n',
            "1:23: `command` cannot be split into words: No closing quotation",
        ),
        (
            "agents: {a: {command: []}}\n",
            "1:23: `command` must be a command line, or a list of its words, not a list",
        ),
        (
            "validation: {stages: {a: {run: x, timeout: long}}}\n",
            (
                "1:44: `timeout` must be a number of seconds, or a duration such as 90s, 15m or "
                "2h, above 0, not the text 'long'"
            ),
        ),
        (
            "validation: {stages: {a: [x]}}\n",
            "1:26: a stage must be a command line, or {run, timeout}, not a list",
        ),
        (
            "github: {repo: name}\n",
            "1:16: `repo` must be a repository as owner/name, not the text 'name'",
        ),
        (
            "actions: [a-b]\n",
            "1:11: `actions` must be names of modules, such as tools.maverick_actions",
        ),
        (
            "checkpoints: {keep_last: -1}\n",
            "1:26: `keep_last` must be an integer from 0, not the number -1",
        ),
        (
            "checkpoints: {remote: s3://bucket/prefix}\n",
            (
                "1:15: `checkpoints.remote`: pushing runs to a remote is not yet possible; remove "
                "the key"
            ),
        ),
        (
            "checkpoints: {xyz: 1}\n",
            "1:15: unknown field `xyz` in `checkpoints`; there are keep_last, keep_within",
        ),
        (
            "checkpoints: {keep_last: '${{ 1 }}'}\n",
            "1:26: `keep_last` must be an integer from 0, not the text '${{ 1 }}'",
        ),
    ],
)
def test_a_problem_is_told_with_its_place(text: str, expected: str) -> None:
    assert [expected] == problems_of(text)


def test_a_secret_that_was_written_out_is_not_repeated() -> None:
    """Messages end up in logs."""
    assert [
        "1:11: `secrets` must be names of environment variables, never their values"
    ] == problems_of("secrets: [ghp-123456789]\n")


def test_all_problems_come_at_once() -> None:
    assert 3 == len(problems_of("agents: 3\nfoo: 1\nsecrets: {a: b}\n"))
