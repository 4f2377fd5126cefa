"""The health of the programs that runs use: git, gh, and those that play the agents."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from maverick.dsl.agents.provider import environment_of, load_provider, missing, provider_of
from maverick.dsl.catalog.config import AgentConfig
from maverick.dsl.processes.programs import is_there
from maverick.errors import MaverickError, StepFailed, StepTimeout
from maverick.repositories import without_repository
from maverick.views.health.checks import CALL_SECONDS, PROBE_SECONDS, Check
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from maverick.dsl.agents.provider import Provider
    from maverick.dsl.processes.processes import Completed
    from maverick.views.health.checks import Health, Patient, Probe

_VERSION: Final = re.compile(r"\b\d+\.\d+(?:\.\d+)*(?:[-+][\w.]{1,20})?")
_OLDEST_GH: Final = (2, 23)
_QUIET: Final = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
_ASKED: Final = "This is a test of the connection. Answer with the word ready, and do nothing else."


def probes(patient: Patient) -> list[Probe]:
    """Give what looks at each program that this project may start."""
    players, problems = _players(patient)
    agents: list[Probe] = [
        ("agents", partial(_agent, names=names, config=config, configured=configured))
        for names, config, configured in players
    ]
    broken: list[Probe] = [("agents", lambda _: problems)] if problems else []
    return [("git", _git), ("gh", _gh), *broken, *agents]


# --- git and gh -----------------------------------------------------------------------------------


def _git(patient: Patient) -> Iterator[Check]:
    if not is_there("git", patient.folder, patient.environment):
        advice = "install it; `fly` and `refuel` need it, and checkpoints with files ask it"
        yield Check("git", "warning", "the program `git` is not on PATH", advice)
        return
    done = _run(patient, ["git", "--version"])
    yield Check("git", "ok", _version_of(done) or "its version is not known")
    lacking = [
        name
        for name in ("user.name", "user.email")
        if not _text(_run(patient, ["git", "config", name])) and not _named(patient, name)
    ]
    if lacking:
        yield Check(
            "git",
            "warning",
            f"{' and '.join(lacking)} not set, so nothing can be committed",
            f"`git config --global {lacking[0]} …`",
        )


def _named(patient: Patient, setting: str) -> bool:
    """Whether a variable says what *setting* would."""
    field = setting.partition(".")[2].upper()
    names = (f"GIT_AUTHOR_{field}", f"GIT_COMMITTER_{field}")
    return all(patient.environment.get(name) for name in names)


def _gh(patient: Patient) -> Iterator[Check]:
    """Look at `gh`; without a repository on GitHub it is not needed."""
    wanted = _github_of(patient)
    grave: Health = "warning" if wanted else "ok"
    if not is_there("gh", patient.folder, patient.environment):
        without = "issues and pull requests are files without it"
        if wanted:
            yield Check(
                "gh", "warning", f"not on PATH, and {wanted} is on GitHub", f"install it; {without}"
            )
        else:
            yield Check("gh", "ok", f"not on PATH; {without}")
        return
    version = _version_of(_run(patient, ["gh", "--version"]))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if version and numbers < _OLDEST_GH:
        oldest = ".".join(map(str, _OLDEST_GH))
        yield Check("gh", grave, f"{version} is too old", f"install {oldest} or newer")
        return
    known = version or "its version is not known"
    done = _run(patient, ["gh", "auth", "status"])
    if done is None or done.exit_code == 0:
        said = (
            "somebody is logged in"
            if done is not None
            else "whether somebody is logged in it did not say in time"
        )
        yield Check("gh", "ok", f"{known}; {said}")
    else:
        needed = f", and {wanted} is on GitHub" if wanted else ""
        grave = "wrong" if wanted else "ok"
        yield Check(
            "gh",
            grave,
            f"{known}; nobody is logged in{needed}",
            "`gh auth login`, or set GH_TOKEN",
        )


def _github_of(patient: Patient) -> str:
    """Give the repository on GitHub that this project belongs to; empty without one."""
    from maverick.library.actions.gh import repository_of  # noqa: PLC0415

    configured = _config_repo(patient)
    if configured:
        return configured
    done = _run(patient, ["git", "config", "--get-regexp", r"^remote\..*\.url$"])
    urls = [line.partition(" ")[2] for line in _text(done).splitlines()]
    return next((str(found) for url in urls if (found := repository_of(url))), "")


def _config_repo(patient: Patient) -> str:
    try:
        return (patient.project.config.github_repo if patient.project else "") or ""
    except MaverickError:  # What is wrong with maverick.yaml is said elsewhere.
        return ""


# --- agents ---------------------------------------------------------------------------------------


def _players(patient: Patient) -> tuple[list[tuple[str, AgentConfig, bool]], list[Check]]:
    """Give who plays agents: their names, how, and whether somebody configured it; and problems.

    Agents that the same program plays in the same way are one.
    """
    agents: Mapping[str, AgentConfig] = {}
    if patient.project is not None:
        try:
            agents = patient.project.config.agents
        except MaverickError:  # As above.
            return [], []
    if not agents:
        return [("any agent", AgentConfig(), False)], []
    problems: list[Check] = []
    together: dict[str, tuple[list[str], AgentConfig]] = {}
    for name, config in agents.items():
        if config.provider == "none":
            continue
        try:
            provider_of(name, config)
        except StepFailed as error:
            problems.append(Check("agents", "wrong", one_line(str(error)), "correct maverick.yaml"))
            continue
        same = repr((config.provider, config.command, config.model, config.options))
        together.setdefault(same, ([], config))[0].append(name)
    return [(", ".join(names), config, True) for names, config in together.values()], problems


def _agent(patient: Patient, names: str, config: AgentConfig, configured: bool) -> Iterator[Check]:
    """Look at one program: whether it is there, its version, its login; with `deep`, its answer."""
    provider = load_provider(config.provider)
    who = f"{names}: {provider.name}"
    grave: Health = "wrong" if configured else "warning"
    if not is_there(provider.program(config)[0], patient.folder, patient.environment):
        yield Check("agents", grave, f"{who} is not there", one_line(missing(provider, config)))
        return
    version = ""
    if provider.version_check:
        argv = [*provider.program(config), *provider.version_check[1:]]
        done = _run(patient, argv, environment_of(config))
        if done is None:
            yield Check(
                "agents",
                "warning",
                f"{who} did not say its version within {PROBE_SECONDS:.0f} s",
                f"try `{' '.join(argv)}`",
            )
            return
        version = f" {_version_of(done)}" if _version_of(done) else ""
    login = _login(patient, provider, config)
    if login == "out":
        yield Check(
            "agents", grave, f"{who}{version}: nobody is logged in", one_line(provider.login)
        )
        return
    if patient.deep:
        yield _answer(patient, provider, config, f"{who}{version}", grave)
        return
    known = {"in": "somebody is logged in", "": "found; `--deep` asks it for a word"}[login]
    yield Check("agents", "ok", f"{who}{version}: {known}")


def _login(patient: Patient, provider: Provider, config: AgentConfig) -> str:
    """Whether somebody is logged in: `in`, `out`, or empty where that cannot be told."""
    environment = {**patient.environment, **environment_of(config)}
    check = provider.asks_for_login(config)
    if environment.get(provider.silent_without) or provider.has_own_login(config, environment):
        return "in"
    if not check:
        return ""
    done = _run(patient, check, environment_of(config))
    return "" if done is None else "in" if done.exit_code == 0 else "out"


def _answer(
    patient: Patient, provider: Provider, config: AgentConfig, who: str, grave: Health
) -> Check:
    """Ask for a word, and say whether one came."""
    from pathlib import Path  # noqa: PLC0415 - as below
    from time import monotonic  # noqa: PLC0415

    from maverick.dsl.agents.conversation import Conversation  # noqa: PLC0415 - only where one asks
    from maverick.dsl.agents.provider import Player  # noqa: PLC0415
    from maverick.dsl.durations import Limit  # noqa: PLC0415
    from maverick.dsl.expressions.scope import Frame  # noqa: PLC0415
    from maverick.dsl.work import Attempt, Tools  # noqa: PLC0415
    from maverick.project import Project  # noqa: PLC0415

    root = Path(patient.folder)
    project = patient.project or Project(root, patient.environment)
    tools = Tools(
        root=root,
        catalog=project.catalog(),
        stop=patient.stop,
        processes=patient.processes,
        environment=patient.environment,
    )
    attempt = Attempt(
        path="doctor",
        frame=Frame({}, patient.environment, {}, root),
        limit=Limit.own(CALL_SECONDS, "the doctor"),
        environment={},
        say=lambda _stream, _data: None,
    )
    player = Player(name="doctor", provider=provider, config=config, writes=False)
    began = monotonic()
    try:
        Conversation(player, {}, _ASKED, attempt, tools).ask(_ASKED)
    except StepFailed as error:
        lines = str(error).splitlines()
        return Check(
            "agents", grave, f"{who}: {one_line(lines[0])}", one_line("; ".join(lines[1:]))
        )
    return Check("agents", "ok", f"{who}: answered in {monotonic() - began:.1f} s")


# --- programs -------------------------------------------------------------------------------------


def _run(
    patient: Patient, argv: Sequence[str], more: Mapping[str, str] | None = None
) -> Completed | None:
    """Run a program to its end; None where it did not end in time."""
    environment = {**without_repository(patient.environment), **_QUIET, **(more or {})}
    try:
        return patient.processes.run(
            argv, cwd=patient.folder, env=environment, timeout=PROBE_SECONDS, step="doctor"
        )
    except StepTimeout:
        return None


def _text(done: Completed | None) -> str:
    if done is None or done.exit_code != 0:
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def _version_of(done: Completed | None) -> str:
    """Give the version that a program printed: a number, and nothing else of what it said."""
    match = _VERSION.search(_text(done)[:1000])
    return match[0] if match else ""
