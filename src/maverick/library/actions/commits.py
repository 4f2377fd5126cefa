"""Making commits that are recognised when a step is repeated, and pushing them."""

from __future__ import annotations

from dataclasses import dataclass

from maverick.dsl.processes.commands import notice
from maverick.encoding import lines_of
from maverick.errors import StepFailed
from maverick.library.actions.git import (
    check_repository,
    commit_id,
    current_branch,
    decode,
    git,
    remotes,
    run_git,
    settings_locked,
    split,
    staged_files,
    words,
)

TRAILER = "Maverick-Step"
"""The trailer of a commit that a step made; its value is the step's idempotency key."""
LOG_FORMAT = f"--format=%H %(trailers:key={TRAILER},valueonly,separator=%x20)"
"""Of `git log`: a commit and the keys of the steps that made it."""
_SEARCHED_COMMITS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What came of committing.

    `commit` is the id of the commit that was made; where nothing was staged, that of HEAD (null
    before any commit). `repeated` says that an earlier attempt at the step had made it.
    """

    committed: bool
    commit: str | None
    message: str
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """`commit` is what the branch is at on the remote now; `updated`: it was not there before.

    Without any remote, where none is required, `pushed` is false and `commit` is the local one.
    """

    pushed: bool
    remote: str
    branch: str
    commit: str
    updated: bool


def git_commit(
    message: str | None = None,
    idempotency_key: str | None = None,
    branch: str | None = None,
    cwd: str = ".",
) -> Commit:
    """Commit what is staged; without anything staged, make no commit. Hooks run.

    With an *idempotency_key*, a commit among the last 200 of the branch that carries it is taken
    for the one to be made: a step that is run again after a kill makes no second one. Without a
    *message*, the files are named. Where another branch than *branch* is checked out, nothing is
    committed and that is said.
    """
    check_repository(cwd)
    if branch and (here := current_branch(cwd)) != branch:
        raise StepFailed(
            f"the work tree is on {f'`{here}`' if here else 'a detached HEAD'}, but the commit "
            f"belongs on `{branch}`; `git switch {branch}` (it takes changes that are not "
            "committed along), then resume"
        )
    if idempotency_key and (made := _find_commit(idempotency_key, cwd)):
        return Commit(
            committed=True,
            commit=made,
            message=git("log", "-1", "--format=%s", made, cwd=cwd),
            repeated=True,
        )
    files = staged_files(cwd)
    if not files:
        return Commit(committed=False, commit=commit_id("HEAD", cwd), message="")
    text = (message or "").strip() or _message_for(files)
    trailers = ["--trailer", f"{TRAILER}: {_one_line(idempotency_key)}"] if idempotency_key else []
    full = git("interpret-trailers", *trailers, cwd=cwd, stdin=f"{text}\n".encode())
    done = run_git("commit", "--quiet", "--file=-", cwd=cwd, stdin=f"{full}\n".encode())
    if done.exit_code != 0:
        raise StepFailed(
            f"`git commit` refused: {words(done)}\nCorrect what git or the project's commit hook "
            "says, then resume"
        )
    return Commit(committed=True, commit=commit_id("HEAD", cwd), message=lines_of(text)[0])


def git_push(
    branch: str | None = None, remote: str = "origin", required: bool = True, cwd: str = "."
) -> Push:
    """Push a branch (default: the one checked out) to its namesake and make that its upstream.

    Never by force. Unless it is *required*, a repository without any remote is left as it is.
    """
    check_repository(cwd)
    name = branch or current_branch(cwd)
    if name is None:
        raise StepFailed(
            "HEAD is detached, so there is no branch to push; check out one with `git switch "
            "BRANCH`"
        )
    commit = commit_id(f"refs/heads/{name}", cwd)
    if commit is None:
        raise StepFailed(f"there is no branch `{name}` with a commit to push")
    names = remotes(cwd)
    if not names and not required:
        notice(
            f"{name} was not pushed: the repository has no remote (`git remote add origin URL` "
            "adds one)"
        )
        return Push(pushed=False, remote=remote, branch=name, commit=commit, updated=False)
    if remote not in names:
        there = f"only {', '.join(names)}" if names else "none at all"
        raise StepFailed(
            f"there is no remote `{remote}` ({there}); add it with `git remote add {remote} URL`, "
            "then resume"
        )
    ref = f"refs/heads/{name}"
    done = run_git("push", "--porcelain", remote, f"{ref}:{ref}", cwd=cwd)
    outcomes = [line for line in lines_of(decode(done.stdout)) if "\t" in line]
    if refused := [line.split("\t")[-1] for line in outcomes if line.startswith("!")]:
        raise StepFailed(
            f"{remote} rejected the push of {name}: {', '.join(refused)}\n"
            f"{words(done)}\n"
            f"If somebody else pushed to it, bring both together (`git pull --rebase {remote} "
            f"{name}`), then resume"
        )
    if done.exit_code != 0:
        raise StepFailed(
            f"cannot push {name} to {remote}: {words(done)}\n"
            f"Make sure that `git push {remote} {name}` works without asking anything, then resume"
        )
    with settings_locked(cwd):
        git("branch", "--quiet", f"--set-upstream-to={remote}/{name}", name, cwd=cwd)
    updated = not all(line.startswith("=") for line in outcomes)
    return Push(pushed=True, remote=remote, branch=name, commit=commit, updated=updated)


def _find_commit(key: str, cwd: str) -> str | None:
    if commit_id("HEAD", cwd) is None:
        return None
    log = git("log", "-z", f"--max-count={_SEARCHED_COMMITS}", LOG_FORMAT, cwd=cwd)
    for entry in split(log):
        commit, *keys = entry.split()
        if _one_line(key) in keys:
            return commit
    return None


def _one_line(key: str) -> str:
    """Give a key as one word, so that it can be a trailer's value."""
    return "-".join(key.split())


def _message_for(files: list[str]) -> str:
    shown = ", ".join(files[:3])
    return (
        f"Update {shown}" if len(files) <= 3 else f"Update {shown} and {len(files) - 3} more files"
    )
