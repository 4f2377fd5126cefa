"""Runs `gh`, finds the repository that it is about, and says in plain words what GitHub refused."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from maverick.dsl.processes.commands import environment, find_program, run_command
from maverick.encoding import lines_of
from maverick.errors import StepFailed
from maverick.library.actions.git import ask_git, decode, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maverick.dsl.processes.processes import Completed

TIMEOUT_SECONDS = 120
_ENVIRONMENT: Final = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
_URL = re.compile(
    r"(?:\w+://(?:[^@/]+@)?|(?:[^@/:]+@)?)(?P<host>[\w.-]+)(?::\d+/|[:/])(?P<path>.+?)(?:\.git)?/?"
)
_OWNER_AND_NAME = re.compile(r"(?:(?P<host>[\w.-]+)/)?(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)")
# The order in which gh itself takes them.
_REMOTES_FIRST = ("upstream", "github", "origin")
_NEEDS_LOGIN = 4


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on GitHub, as `gh --repo` takes it."""

    owner: str
    name: str
    host: str = "github.com"

    def __str__(self) -> str:
        """`owner/name`, after the host where that is not github.com."""
        full = f"{self.owner}/{self.name}"
        return full if self.host == "github.com" else f"{self.host}/{full}"


def find_repository(cwd: str) -> Repository | None:
    """Find the repository on GitHub that the folder *cwd* belongs to, if `gh` is there to use it.

    GH_REPO (`github.repo` of maverick.yaml) names it, else a remote of git, in the order in which
    `gh` takes them. None without `gh`, and without such a remote.
    """
    variables = environment()
    if find_program("gh") is None:
        return None
    if given := variables.get("GH_REPO"):
        return _parse(given, variables.get("GH_HOST") or "github.com")
    repositories = {
        name: repository
        for name, url in _remotes(cwd).items()
        if (repository := repository_of(url))
    }
    chosen = next(
        (
            name
            for name in repositories
            if ask_git("config", f"remote.{name}.gh-resolved", cwd=cwd) == "base"
        ),
        None,
    )
    names = [name for name in (chosen, *_REMOTES_FIRST, *repositories) if name in repositories]
    return repositories[names[0]] if names else None


def owner_of(remote: str, cwd: str) -> str | None:
    """Give the owner of the repository on GitHub that the remote leads to; None if to none."""
    repository = repository_of(_remotes(cwd).get(remote, ""))
    return repository.owner if repository else None


def gh(*args: str, repository: Repository, cwd: str) -> str:
    """Run `gh` for a repository and give its standard output.

    Raises:
        StepFailed: It failed; says why, and what to do.
    """
    output, problem = ask_gh(*args, repository=repository, cwd=cwd)
    if problem:
        raise StepFailed(explain_problem(problem, repository, cwd))
    return output


def gh_json(*args: str, fields: str, repository: Repository, cwd: str) -> Any:
    """Run `gh … --json` and give what it answers."""
    return _parse_json(gh(*args, "--json", fields, repository=repository, cwd=cwd), args)


def gh_view(
    kind: Literal["issue", "pr"], number: int, *, fields: str, repository: Repository, cwd: str
) -> Any:
    """Give what `gh issue view` or `gh pr view` answers.

    Raises:
        StepFailed: There is no such thing, or as `gh`.
    """
    args = (kind, "view", str(number), "--json", fields)
    text, problem = ask_gh(*args, repository=repository, cwd=cwd)
    if "Could not resolve to" in problem and "a Repository" not in problem:
        name = "pull request" if kind == "pr" else "issue"
        raise StepFailed(f"there is no {name} #{number} in {repository} ({problem})")
    if problem:
        raise StepFailed(explain_problem(problem, repository, cwd))
    return _parse_json(text, args)


def _parse_json(text: str, args: Sequence[str]) -> Any:
    """Give the value of an answer of `gh`; *args* name the question."""
    try:
        return json.loads(text)
    except ValueError:
        raise StepFailed(f"`gh {' '.join(args[:2])}` gave no JSON: {text[:200]!r}") from None


def ask_gh(*args: str, repository: Repository, cwd: str) -> tuple[str, str]:
    """Run `gh`: give its standard output, and what it said if it failed (else empty)."""
    return _answer([*args, "-R", str(repository)], cwd)


def ask_rest(
    method: str, path: str, *fields: str, repository: Repository, cwd: str
) -> tuple[str, str]:
    """Ask GitHub's REST interface for *path* of a repository (`pulls/7`), as `ask_gh`; *fields* as
    `gh api` takes them.

    It takes what old versions of `gh` can no longer do by their own commands: those ask for classic
    projects beside, which github.com answers with an error.
    """
    where = f"repos/{repository.owner}/{repository.name}/{path}"
    return _answer(["api", "--hostname", repository.host, "--method", method, where, *fields], cwd)


def _answer(args: Sequence[str], cwd: str) -> tuple[str, str]:
    done = _run(*args, cwd=cwd)
    if done.exit_code == _NEEDS_LOGIN:
        return "", _NOT_LOGGED_IN
    return decode(done.stdout), "" if done.exit_code == 0 else words(done)


def _run(*args: str, cwd: str) -> Completed:
    """Run `gh`, which asks git, in the repository that *cwd* is in."""
    return run_command(
        ["gh", *args], cwd=cwd, env=_ENVIRONMENT, timeout=TIMEOUT_SECONDS, bound=False
    )


def is_logged_out(cwd: str) -> bool:
    """Whether `gh` knows of no login at all: not where a token does not work, or the network."""
    done = _run("auth", "status", cwd=cwd)
    return done.exit_code != 0 and "not logged into any" in decode(done.stderr + done.stdout)


# --- what went wrong ------------------------------------------------------------------------------

_NOT_LOGGED_IN = "To get started with GitHub CLI, please run:  gh auth login"
_RATE_LIMITED = "rate limit exceeded"
_EXPLANATIONS: Final = {
    _NOT_LOGGED_IN: "`gh` is not logged in; run `gh auth login`, or set GH_TOKEN, then resume",
    "HTTP 401": "GitHub refuses the token of `gh`; renew it (`gh auth login`) or correct "
    "GH_TOKEN, then resume",
    "secondary rate limit": "GitHub asks to slow down (its secondary rate limit); wait a few "
    "minutes, then resume",
    "HTTP 429": "GitHub asks to slow down (HTTP 429); wait a few minutes, then resume",
    "Could not resolve to a Repository": (
        "GitHub has no repository `{repository}`, or the login of `gh` may not see it; correct "
        "`github.repo` in maverick.yaml (or the remote of git), then resume"
    ),
    "Unknown JSON field": "this version of `gh` does not know a field that is needed; install a "
    "newer one, then resume",
    "error connecting to": "GitHub cannot be reached; look at the network, then resume",
    "HTTP 404": "GitHub has no such thing in `{repository}`, or the login of `gh` may not change "
    "it; look, then resume",
    "HTTP 403": "the login of `gh` may not do this in `{repository}`; use one that may, then "
    "resume",
}


def explain_problem(problem: str, repository: Repository, cwd: str) -> str:
    """Explain what `gh` said: what it means and what to do."""
    if _RATE_LIMITED in problem:
        return f"GitHub's rate limit is used up; wait{_until_reset(cwd)}, then resume ({problem})"
    for sign, meaning in _EXPLANATIONS.items():
        if sign in problem:
            text = meaning.format(repository=repository)
            return text if problem == sign else f"{text} ({problem})"
    return f"`gh` failed: {problem}"


def _until_reset(cwd: str) -> str:
    """Give ` until 14:03`, where GitHub tells. Asking does not count against the limit."""
    done = _run("api", "rate_limit", cwd=cwd)
    try:
        resources = json.loads(done.stdout)["resources"].values()
        resets = [limit["reset"] for limit in resources if not limit["remaining"]]
        return f" until {time.strftime('%H:%M', time.localtime(max(resets)))}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return " up to an hour"


# --- which repository -----------------------------------------------------------------------------


def _remotes(cwd: str) -> dict[str, str]:
    """Give the remotes' URLs as they are configured."""
    listed = ask_git("config", "--get-regexp", r"^remote\..*\.url$", cwd=cwd) or ""
    pairs = (line.partition(" ") for line in lines_of(listed))
    return {
        key.removeprefix("remote.").removesuffix(".url"): url
        for key, _, url in reversed(list(pairs))
    }


def repository_of(url: str) -> Repository | None:
    """Give the repository on GitHub that the *url* of a remote leads to; None if to none."""
    match = _URL.fullmatch(url)
    if match is None or not _is_github(match["host"].lower()):
        return None
    return _parse(
        match["path"].lstrip("/"), match["host"].lower().removeprefix("www.").removeprefix("ssh.")
    )


def _is_github(host: str) -> bool:
    hosts = {
        "github.com",
        "www.github.com",
        "ssh.github.com",
        (environment().get("GH_HOST") or "").lower(),
    }
    return host in hosts or host.endswith(".ghe.com") or host.startswith("github.")


def _parse(text: str, host: str) -> Repository | None:
    match = _OWNER_AND_NAME.fullmatch(text.removesuffix(".git"))
    return Repository(match["owner"], match["name"], match["host"] or host) if match else None
