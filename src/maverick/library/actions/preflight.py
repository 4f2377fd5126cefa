"""Checks before a workflow changes anything, lest it fail in an hour for what is known now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maverick.dsl.processes.commands import find_program
from maverick.errors import StepFailed
from maverick.library.actions.gh import find_repository, is_logged_out
from maverick.library.actions.git import (
    check_repository,
    commit_id,
    current_branch,
    git,
    git_status,
    own_outputs,
    remotes,
)
from maverick.visible import list_names, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOGGER = logging.getLogger("maverick.workflow")
_NAMED_FILES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightCheck:
    """One thing that was checked; `message` says what is wrong and what to do, or was left out."""

    name: str
    passed: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """All checks passed, or there would be an error instead."""

    passed: bool
    checks: list[PreflightCheck]


def run_preflight_checks(
    programs: Sequence[str] = (),
    remote: str | None = None,
    clean: bool = True,
    github: bool = False,
    cwd: str = ".",
) -> Preflight:
    """Check that git is ready. Everything that is wrong is said at once.

    There has to be a repository with a commit, no commit that only a detached HEAD holds, no change
    that is not committed (unless *clean* is false), and the *remote*, if one is given and there are
    any. *programs* must be on PATH. With *github*, `gh` has to be logged in where it would be used.
    """
    checks = [_program(name) for name in ("git", *programs)]
    if checks[0].passed:
        checks.append(_repository(cwd))
    if checks[-1].passed and checks[-1].name == "repository":
        checks += [_commit(cwd), _branch(cwd)]
        if clean:
            checks.append(_clean(cwd))
        if remote and remotes(cwd):
            checks.append(_remote(remote, cwd))
        if github:
            checks.append(_github(cwd))
    failed = [check.message for check in checks if not check.passed]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        others = "".join(f"\n- {message}" for message in failed[1:])
        raise StepFailed(f"not ready: {failed[0]}{more}{others}")
    return Preflight(passed=True, checks=checks)


def _program(name: str) -> PreflightCheck:
    is_there = find_program(name) is not None
    return PreflightCheck(
        name=name,
        passed=is_there,
        message="" if is_there else f"the program `{name}` is not on PATH; install it",
    )


def _repository(cwd: str) -> PreflightCheck:
    try:
        check_repository(cwd)
    except StepFailed as error:
        return PreflightCheck(name="repository", passed=False, message=str(error))
    return PreflightCheck(name="repository", passed=True)


def _commit(cwd: str) -> PreflightCheck:
    is_there = commit_id("HEAD", cwd) is not None
    message = "the repository has no commit yet; make a first one with `git add` and `git commit`"
    return PreflightCheck(name="commit", passed=is_there, message="" if is_there else message)


def _branch(cwd: str) -> PreflightCheck:
    """Check that HEAD, if detached, is on some branch: its commit would be hard to find again."""
    head = commit_id("HEAD", cwd)
    if current_branch(cwd) or head is None:
        return PreflightCheck(name="branch", passed=True)
    if git("for-each-ref", "--count=1", f"--contains={head}", cwd=cwd):
        return PreflightCheck(name="branch", passed=True)
    message = (
        f"HEAD is detached at {head[:10]}, and no branch or tag holds that commit; keep it with "
        "`git switch -c BRANCH`, or leave it with `git switch BRANCH`"
    )
    return PreflightCheck(name="branch", passed=False, message=message)


def _clean(cwd: str) -> PreflightCheck:
    status = git_status(cwd)
    untracked = [path for path in status.untracked if not path.startswith(".maverick/")]
    files = sorted({*status.staged, *status.modified, *status.conflicted, *untracked})
    if not files:
        return PreflightCheck(name="clean", passed=True, message=_left_out(own_outputs(cwd)))
    names = list_names(files, _NAMED_FILES)
    message = (
        f"there are changes that are not committed ({names}), and they would become part of "
        "the workflow's commits; commit or stash them, or list new files in .gitignore. If they "
        "are those of an interrupted run, resume it with --resume"
    )
    return PreflightCheck(name="clean", passed=False, message=message)


def _left_out(own: list[str]) -> str:
    """Say, also to whoever watches, which files were not looked at."""
    if not own:
        return ""
    message = f"left out, since this program writes it: {', '.join(own)}"
    _LOGGER.warning("preflight: %s", visible(message))
    return message


def _remote(remote: str, cwd: str) -> PreflightCheck:
    is_there = remote in remotes(cwd)
    message = f"there is no remote `{remote}` to push to; add it with `git remote add {remote} URL`"
    return PreflightCheck(name="remote", passed=is_there, message="" if is_there else message)


def _github(cwd: str) -> PreflightCheck:
    repository = find_repository(cwd)
    if repository is None or not is_logged_out(cwd):
        return PreflightCheck(name="github", passed=True)
    message = (
        f"`gh` is not logged in, and {repository} is on GitHub; run `gh auth login`, or set "
        "GH_TOKEN"
    )
    return PreflightCheck(name="github", passed=False, message=message)
