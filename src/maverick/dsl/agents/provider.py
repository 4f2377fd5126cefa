"""What the programs that can play an agent have in common: how each is called, and what its
answers look like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from maverick.dsl.catalog.config import provider_names
from maverick.errors import StepFailed
from maverick.visible import nearest

if TYPE_CHECKING:
    from maverick.dsl.agents.answers import Answer, Reader
    from maverick.dsl.catalog.config import AgentConfig
    from maverick.values import Value

_TRANSPORT_STATUS = frozenset({408, 425, 429, *range(500, 600)})
_LIMIT_STATUS = frozenset({429, 529})
_TRANSPORT_WORDS = re.compile(
    r"ECONN|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|socket hang up|fetch failed|connection "
    r"(error|reset|refused|closed)|network (error|is unreachable)|overloaded|stream "
    r"disconnected|timed out",
    re.IGNORECASE,
)
_COMMON_OPTIONS = ("args", "env")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An entry of an agent's `options` that becomes a flag. Without a value the flag is left
    out.
    """

    option: str
    flag: str
    default: str = ""
    asking: str | None = None
    """Its value, whatever is configured, for one who is asked for text and must not change files;
    empty: no flag.
    """
    values: tuple[str, ...] = ()
    """What it may be; empty: any text or number."""
    listed: Literal["", "joined", "repeated"] = ""
    """Whether it may be a list, and how that is given: as one word with commas, or with the flag
    before each.
    """

    def words(self, given: Value, *, writes: bool) -> list[str]:
        """The words of the command line for what is configured (null: nothing is)."""
        if self.asking is not None and not writes:
            chosen = [self.asking]
        elif isinstance(given, list):
            chosen = (
                [",".join(map(str, given))]
                if self.listed == "joined"
                else [str(each) for each in given]
            )
        else:
            chosen = [self.default if given is None else str(given)]
        return [word for value in chosen if value for word in (self.flag, value)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One program. It is called with `command`, settings, model, the user's `args`, and `fresh` or
    `again`.

    An agent's own `command` stands in the place of the first word of `command`.
    """

    name: str
    command: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    """To begin. With `{session}` in it, the caller chooses the session's id, a UUID."""
    again: tuple[str, ...] = ()
    """To continue a session, whose id replaces `{session}`. Empty: it has no sessions."""
    model_flag: str = ""
    needs_model: str = ""
    """Why it must not be called without a model."""
    settings: tuple[Setting, ...] = ()
    reader: Reader | None = None
    """None: its standard output, as a whole, is the answer."""
    package: str = ""
    """On npm."""
    version_check: tuple[str, ...] = ()
    """A command that prints its version."""
    login_check: tuple[str, ...] = ()
    """A command that exits with something other than 0 when nobody is logged in."""
    login: str = ""
    """How to log in."""
    silent_without: str = ""
    """It waits in silence when nobody is logged in, unless this variable holds a key; so it is
    asked before.
    """
    stubborn: bool = False
    """It goes on for minutes when its key is refused, so it is ended after some times."""
    own_provider: tuple[str, str, str] | None = None
    """Where a provider of models is configured that has a key of its own: a variable with a folder,
    that folder below the home folder, and the file in it.
    """
    exit_codes: Mapping[int, str] = field(default_factory=dict)
    """What exit codes mean, beyond 0 and 1."""
    exit_is_status: bool = False
    """Exit codes from 144 are the HTTP status modulo 256."""
    running_totals: tuple[str, ...] = ()
    """The numbers of a call that are those of its whole session, where that goes on."""
    cached_apart: bool = False
    """Whether the tokens that it read from a cache are no part of its `input_tokens`."""
    noise: str = ""
    """A pattern of lines for people that say nothing of the work, and are not shown."""

    @property
    def names_sessions(self) -> bool:
        """Whether the caller chooses the id of a new session."""
        return any("{session}" in word for word in self.fresh)

    def argv(
        self, agent: AgentConfig, *, session: str = "", new: str = "", writes: bool = True
    ) -> list[str]:
        """The command line, to continue *session*, else to begin one (called *new*, where that can
        be chosen).

        Not *writes*: for one who is only asked for text.
        """
        flags: list[str] = []
        for setting in self.settings:
            flags += setting.words(agent.options.get(setting.option), writes=writes)
        if agent.model and self.model_flag:
            flags += [self.model_flag, agent.model]
        last = [
            word.replace("{session}", session or new)
            for word in (self.again if session else self.fresh)
        ]
        return [*self.program(agent), *self.command[1:], *flags, *_arguments(agent), *last]

    def program(self, agent: AgentConfig) -> tuple[str, ...]:
        """What is started: the agent's own `command`, else the program by its name."""
        return agent.command or self.command[:1]

    def has_own_login(self, agent: AgentConfig, environment: Mapping[str, str]) -> bool:
        """Whether a provider of models is configured whose key the program's own check knows
        nothing of.
        """
        if self.own_provider is None:
            return False
        if any("model_provider" in word or word == "--oss" for word in _arguments(agent)):
            return True
        variable, folder, file = self.own_provider
        home = environment.get(variable) or f"{environment.get('HOME', '')}/{folder}"
        try:
            text = Path(home, file).read_text("utf-8", "replace")
        except OSError:
            return False
        match = re.search(r"^\s*model_provider\s*=\s*[\"']([^\"']+)", text, re.MULTILINE)
        return match is not None and match[1] != "openai"

    def asks_for_login(self, agent: AgentConfig) -> list[str]:
        """The command that tells whether anybody is logged in; empty if there is none."""
        return [*self.program(agent), *self.login_check[1:]] if self.login_check else []

    def status_of(self, exit_code: int, answer: Answer) -> int | None:
        """The HTTP status that ended a call, as far as the program tells."""
        if answer.status is None and self.exit_is_status and 144 <= exit_code <= 255:
            return exit_code + 256
        return answer.status

    def is_transport(self, exit_code: int, answer: Answer, words: str) -> bool:
        """Whether a call failed on the way to the model, so that another attempt is worth it.

        The status decides where there is one; else what the program itself says of it; else its
        words.
        """
        if self.reader is None or answer.cut_short:
            return False
        status = self.status_of(exit_code, answer)
        if status is not None:
            return status in _TRANSPORT_STATUS
        return answer.retryable or bool(_TRANSPORT_WORDS.search(answer.failure or words))

    def is_limit(self, exit_code: int, answer: Answer) -> bool:
        """Whether it was asked to come back later: a limit of the account's, or an overload."""
        return answer.wait is not None or self.status_of(exit_code, answer) in _LIMIT_STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Who plays the agent *name*. Not *writes*: it is only asked for text."""

    name: str
    provider: Provider
    config: AgentConfig
    writes: bool = True


def load_provider(name: str) -> Provider:
    """The program of that name, one of `provider_names()`."""
    return cast("Provider", import_module(f"maverick.dsl.agents.providers.{name}").PROVIDER)


def provider_of(name: str, agent: AgentConfig) -> Provider:
    """The program that plays the agent *name*.

    Raises:
        StepFailed: It is configured in a way that cannot work.
    """
    if agent.provider not in provider_names():
        raise StepFailed(
            f"agent {name!r} has the provider {agent.provider!r}, which only generators can do "
            f"with; give it one of {', '.join(provider_names())} in maverick.yaml"
        )
    provider = load_provider(agent.provider)
    if provider.needs_model and not agent.model:
        raise StepFailed(
            f"agent {name!r} needs a `model` in maverick.yaml (as provider/model): "
            f"{provider.name} is never called without one, since {provider.needs_model}"
        )
    settings = {setting.option: setting for setting in provider.settings}
    for option, value in agent.options.items():
        if option not in settings and option not in _COMMON_OPTIONS:
            options = (*settings, *_COMMON_OPTIONS)
            hint = nearest(option, options) or f"; there are {', '.join(options)}"
            raise StepFailed(
                f"agent {name!r} has an unknown option {option!r} for {provider.name}{hint}"
            )
        if problem := _problem(option, value, settings.get(option)):
            raise StepFailed(f"agent {name!r}: option {option!r} has to be {problem}")
    return provider


def _problem(option: str, value: Value, setting: Setting | None) -> str:
    if setting is not None:
        if setting.values and value not in setting.values:
            return f"one of {', '.join(setting.values)}"
        if setting.listed and isinstance(value, list):
            return (
                ""
                if value and all(isinstance(each, str) for each in value)
                else "a text, or a list of texts"
            )
        fits = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        return (
            "" if fits else f"a text{', or a list of texts' if setting.listed else ' or a number'}"
        )
    if option == "args":
        return (
            ""
            if isinstance(value, list) and all(isinstance(word, str) for word in value)
            else "a list of texts"
        )
    return "" if isinstance(value, dict) else "a mapping of environment variables"


def environment_of(agent: AgentConfig) -> dict[str, str]:
    """What `options.env` adds to the program's environment."""
    given = agent.options.get("env")
    return {name: str(value) for name, value in given.items()} if isinstance(given, dict) else {}


def _arguments(agent: AgentConfig) -> list[str]:
    given = agent.options.get("args")
    return [str(word) for word in given] if isinstance(given, list) else []


def missing(provider: Provider, agent: AgentConfig) -> str:
    """Say how to get a program that is not there, or how to do without it."""
    program = provider.program(agent)[0]
    if agent.command:
        return (
            f"`{program}` is not there: correct `command` in maverick.yaml, or install the program"
        )
    return (
        f"the program `{program}` is not on PATH: install it with `npm install -g "
        f"{provider.package}`, or choose another provider in maverick.yaml, such as `agents: "
        f"{{default: {{provider: {_another(provider)}}}}}`"
    )


def _another(provider: Provider) -> str:
    return "codex" if provider.name == "claude" else "claude"
