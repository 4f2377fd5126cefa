"""`maverick.yaml`: what a project says of its agents, stages, actions, secrets, checkpoints and
processes.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.durations import GRACE_SECONDS, Limit
from maverick.dsl.serialization.fields import Fields, Inner
from maverick.dsl.serialization.problems import Problems, describe, with_excerpts
from maverick.dsl.serialization.source_text import read_text
from maverick.dsl.serialization.yaml_nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    compose,
    plain_value,
)
from maverick.errors import WorkflowInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.values import Value

FILE_NAME = "maverick.yaml"
_PROVIDERS = Path(__file__).parents[1] / "agents" / "providers"
_LISTED_FIRST = ("claude", "codex", "gemini", "opencode", "copilot")
"""The order in which messages list the providers; others follow by their names."""
MEANS_A_STAGE = "test"
"""A program, too, but one that fails where nothing follows it: who writes it alone means a stage of
that name.
"""
_REPO = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class AgentConfig(NamedTuple):
    """One agent. `command` is what a `command` agent runs, of another provider how its program is
    started; `timeout` is in seconds, None for ever.

    `none` is for generators that are to write their texts without an agent. `options` are those of
    the provider.
    """

    provider: str = "claude"
    command: tuple[str, ...] = ()
    model: str = ""
    timeout: float | None = None
    options: Mapping[str, Value] = MappingProxyType({})


class Stage(NamedTuple):
    """A validation stage: a named command line, run by `sh -c`, and how long it may take, None for
    ever.
    """

    name: str
    run: str
    limit: Limit | None = None


class ProcessesConfig(NamedTuple):
    """How steps' processes are stopped: `grace` is in seconds, from the first signal to SIGKILL."""

    grace: float = GRACE_SECONDS


class CheckpointsConfig(NamedTuple):
    """Which checkpoints of done runs gc keeps. `keep_within` is in seconds."""

    keep_last: int | None = None
    keep_within: float | None = None


class Config(NamedTuple):
    """What stands in `maverick.yaml`; what does not has its default."""

    agents: Mapping[str, AgentConfig] = MappingProxyType({})
    stages: Mapping[str, Stage] = MappingProxyType({})
    github_repo: str | None = None
    actions: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    logs: bool = True
    """Whether what steps write, and what agents are asked, is kept with their runs."""
    processes: ProcessesConfig = ProcessesConfig()

    def agent(self, name: str) -> AgentConfig:
        """Give the agent called *name*, else the one called `default`, else Claude."""
        return self.agents.get(name) or self.agents.get("default") or AgentConfig()


@cache
def provider_names() -> tuple[str, ...]:
    """The programs that can play an agent: each is a file of `dsl/agents/providers`."""
    names = sorted(file.stem for file in _PROVIDERS.glob("[a-z]*.py"))
    first = [name for name in _LISTED_FIRST if name in names]
    return (*first, *(name for name in names if name not in {*first, "command"}), "command")


def load_config(root: Path) -> Config:
    """Read `maverick.yaml` in the folder *root*; without one, all defaults. Raises
    WorkflowInvalid.
    """
    path = root / FILE_NAME
    if not os.path.lexists(path):
        return Config()
    return parse_config(read_text(path), str(path))


def parse_config(text: str, file: str = FILE_NAME) -> Config:
    """Read a configuration from *text*; an empty one is all defaults. Raises WorkflowInvalid with
    every problem.
    """
    if not says_anything(text):
        return Config()
    node, syntax = compose(text, file)
    problems = Problems(file, text)
    problems.errors += syntax
    config = Config()
    if isinstance(node, MappingNode):
        fields = Fields(problems, node, FILE_NAME, fixed=True)
        config = read_config(fields)
        fields.refuse_others()
    elif node is not None:
        problems.add(node, f"{FILE_NAME} must be a mapping, not {describe(node)}")
    if problems.errors:
        raise WorkflowInvalid(with_excerpts(problems.errors, {file: text}, problems.hidden))
    return config


def says_anything(text: str) -> bool:
    """Whether a configuration holds more than blanks and comments."""
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    return any(line and not line.startswith("#") for line in lines)


def read_config(fields: Fields) -> Config:
    """Read the fields of `maverick.yaml`."""
    told = {"anyOf": [{"required": ["provider"]}, {"required": ["command"]}]}
    shape = {"additionalProperties": {"allOf": [Inner(_read_agent, "agent"), told]}}
    agents = fields.optional_mapping("agents", shape=shape)
    return Config(
        agents={name: _agent(fields, node) for name, (_, node) in agents.entries.items()}
        if agents
        else {},
        stages=fields.inner("validation", _stages, {}),
        github_repo=fields.inner("github", _repo, None),
        actions=_words(
            fields, "actions", _MODULE, "names of modules, such as tools.maverick_actions"
        ),
        secrets=_words(
            fields, "secrets", _VARIABLE, "names of environment variables, never their values"
        ),
        checkpoints=_checkpoints(fields),
        logs=fields.flag("logs", default=True),
        processes=fields.inner("processes", _processes, ProcessesConfig()),
    )


def _agent(fields: Fields, node: Node) -> AgentConfig:
    if not isinstance(node, MappingNode):
        fields.problems.add(
            node,
            f"an agent must be a mapping such as {{provider: claude}}, not {describe(node)}",
        )
        return AgentConfig()
    return fields.read_inner(node, "an agent", _read_agent)


def _read_agent(fields: Fields) -> AgentConfig:
    problems, node = fields.problems, fields.node
    command = _command(fields)
    given = fields.has("provider")
    words = (*provider_names(), "none")
    default = "command" if command else "claude"
    provider = fields.word("provider", words, default)
    if provider == "command" and not fields.has("command"):
        problems.add(node, "an agent with `provider: command` needs a `command`")
    if provider == "none" and fields.has("command"):
        problems.add(
            node,
            "an agent with `provider: none` runs no program, so `command` says nothing; remove one",
        )
    if not given and not fields.has("command"):
        problems.add(
            node, f"missing field `provider`: an agent needs it; there are {', '.join(words)}"
        )
    return AgentConfig(
        provider=provider,
        command=command,
        model=fields.free_text("model"),
        timeout=_seconds(fields, "timeout", positive=True),
        options=_options(fields),
    )


def _options(fields: Fields) -> dict[str, Value]:
    """Give the options of an agent. What stands in `env` is a text, as it is written; null is an
    empty one.
    """
    options = fields.free_mapping("options")
    given = fields.node.entries.get("options")
    node = given[1].entries.get("env") if given and isinstance(given[1], MappingNode) else None
    if node is not None and isinstance(node[1], MappingNode):
        entries = node[1].entries
        options["env"] = {name: _text(item) for name, (_, item) in entries.items()}
    return options


def _text(node: Node) -> Value:
    if not isinstance(node, ScalarNode):
        return plain_value(node)
    return "" if node.value is None else node.text


def _command(fields: Fields) -> tuple[str, ...]:
    """Give the words of a command: a list of them, or one text that is split as a shell does."""
    word = {"type": ["string", "number", "boolean"]}
    listed = {"type": "array", "minItems": 1, "items": word}
    node = fields.node_of("command", shape={"anyOf": [{"type": "string", "minLength": 1}, listed]})
    if node is None:
        return ()
    words: list[str] = []
    if isinstance(node, SequenceNode):
        words = [
            item.text
            for item in node.items
            if isinstance(item, ScalarNode) and item.value is not None
        ]
        if len(words) < len(node.items):
            words = []
    elif isinstance(node, ScalarNode) and isinstance(node.value, str):
        try:
            words = shlex.split(node.value)
        except ValueError as error:
            fields.problems.add(node, f"`command` cannot be split into words: {error}")
            return ("",)
    if not words or not words[0]:
        fields.wrong("command", node, "a command line, or a list of its words")
        return ("",)
    return tuple(words)


def _stages(fields: Fields) -> dict[str, Stage]:
    shape = {"anyOf": [{"type": "string", "minLength": 1}, Inner(_read_stage, "configured_stage")]}
    stages = fields.optional_mapping("stages", shape={"additionalProperties": shape})
    entries = stages.entries.items() if stages else ()
    return {name: _stage(fields, name, node) for name, (_, node) in entries}


def _stage(fields: Fields, name: str, node: Node) -> Stage:
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value.strip():
        return Stage(name, node.value)
    if not isinstance(node, MappingNode):
        fields.problems.add(
            node, f"a stage must be a command line, or {{run, timeout}}, not {describe(node)}"
        )
        return Stage(name, "")
    run, seconds = fields.read_inner(node, "a stage", _read_stage)
    return Stage(name, run, None if seconds is None else Limit.own(seconds, f"the stage {name}"))


def _read_stage(fields: Fields) -> tuple[str, float | None]:
    return fields.text("run", required=True), _seconds(fields, "timeout", positive=True)


def _repo(fields: Fields) -> str | None:
    repo = fields.text("repo", pattern=_REPO.pattern)
    if repo and not _REPO.fullmatch(repo):
        fields.wrong("repo", fields.node.entries["repo"][1], "a repository as owner/name")
    return repo or None


def _checkpoints(fields: Fields) -> CheckpointsConfig:
    shape = Inner(_read_checkpoints, "kept_checkpoints")
    mapping = fields.optional_mapping("checkpoints", shape=shape)
    if mapping is None:
        return CheckpointsConfig()
    entries = dict(mapping.entries)
    if (remote := entries.pop("remote", None)) is not None:
        fields.problems.add(
            remote[0],
            "`checkpoints.remote`: pushing runs to a remote is not yet possible; remove the key",
        )
    mapping = replace(mapping, entries=entries)
    return fields.read_inner(mapping, "`checkpoints`", _read_checkpoints)


def _read_checkpoints(fields: Fields) -> CheckpointsConfig:
    keep_last = fields.count("keep_last", None, least=0)
    return CheckpointsConfig(
        keep_last=keep_last if isinstance(keep_last, int) else None,
        keep_within=_seconds(fields, "keep_within"),
    )


def _processes(fields: Fields) -> ProcessesConfig:
    grace = _seconds(fields, "grace")
    return ProcessesConfig() if grace is None else ProcessesConfig(grace)


def _seconds(fields: Fields, name: str, *, positive: bool = False) -> float | None:
    value = fields.seconds(name, positive=positive)
    return value if isinstance(value, int | float) else None


def _words(fields: Fields, name: str, pattern: re.Pattern[str], wanted: str) -> tuple[str, ...]:
    word = {"type": "string", "pattern": f"^{pattern.pattern}$"}
    node = fields.optional(name, shape={"anyOf": [word, {"type": "array", "items": word}]})
    if node is None:
        return ()
    items = node.items if isinstance(node, SequenceNode) else (node,)
    words: list[str] = []
    for item in items:
        if (
            isinstance(item, ScalarNode)
            and isinstance(item.value, str)
            and pattern.fullmatch(item.value)
        ):
            words.append(item.value)
        else:  # What stands there is not repeated: it may be a secret itself.
            fields.problems.hidden.add(item.line)
            fields.problems.add(item, f"`{name}` must be {wanted}")
    return tuple(words)
