"""Runs git, and says in plain words what is wrong with a repository."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.dsl.processes.commands import run_command
from maverick.dsl.processes.last_words import ends_of, named
from maverick.errors import StepFailed
from maverick.repositories import NO_REPOSITORY, safe_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from maverick.dsl.processes.processes import Completed

_SETTINGS = (
    *("-c", "core.quotePath=false"),
    *("-c", "color.ui=false"),
    # Nothing that goes on in the background when the command is over.
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "core.fsmonitor=false"),
)
_CREDENTIALS = re.compile(r"(\w://)[^/\s@]+@")
_REFUSAL = b"safe.directory"
"""In what git says, in every language, of a repository that belongs to somebody else."""


def run_git(
    *args: str, cwd: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> Completed:
    """Run git in the repository that *cwd* is in, whatever comes of it.

    Not in the one that a hook's variables name. In the project's own it works whoever owns it, for
    that was decided when the project was opened.
    """
    return run_command(
        ["git", *_SETTINGS, *safe_settings(), *args], cwd=cwd, stdin=stdin, env=env, bound=False
    )


def git(*args: str, cwd: str, stdin: bytes = b"", advice: str = "") -> str:
    """Run git and give its standard output without the last line's end.

    Raises:
        StepFailed: It failed; the message is git's own words, then *advice*.
    """
    done = run_git(*args, cwd=cwd, stdin=stdin)
    if done.exit_code != 0:
        raise StepFailed(f"`git {args[0]}` failed: {words(done)}{advice and f'. {advice}'}")
    if done.truncated:
        raise StepFailed(f"`git {args[0]}` gives more output than can be kept")
    return decode(done.stdout).removesuffix("\n")


def ask(*args: str, cwd: str) -> str | None:
    """What git answers; None where it has no answer (it ends with an exit code other than 0).

    Raises:
        StepFailed: Git refuses the repository, which belongs to somebody else.
    """
    done = run_git(*args, cwd=cwd)
    if done.exit_code != 0 and _REFUSAL in done.stderr:
        raise StepFailed(f"git refuses the repository of {cwd!r}: {words(done)}")
    return decode(done.stdout).strip() if done.exit_code == 0 else None


def words(done: Completed) -> str:
    """The ends of what a command said, each stream named where both have something; no credentials
    of URLs.
    """
    ends = ends_of(done.stdout, done.stderr)
    if not ends:
        return f"exit code {done.exit_code}"
    text = "\n".join(["", *named(ends)] if len(ends) > 1 else next(iter(ends.values())))
    return _CREDENTIALS.sub(r"\1", text)


def decode(data: bytes) -> str:
    """Text of git's output; bytes that are no UTF-8 (file names may be anything) become U+FFFD."""
    return data.decode("utf-8", "replace")


def split(text: str) -> list[str]:
    """The entries of a NUL-separated list."""
    return [entry for entry in text.split("\0") if entry]


def check_repository(cwd: str) -> None:
    """Make sure that *cwd* is in the work tree of a git repository.

    Raises:
        StepFailed: It is not.
    """
    done = run_git("rev-parse", "--is-inside-work-tree", cwd=cwd, env={"LC_ALL": "C"})
    if done.exit_code != 0 and NO_REPOSITORY in decode(done.stderr):
        raise StepFailed(
            f"{cwd!r} is in no git repository ({words(done)}); run `git init`, or start in the "
            "project"
        )
    if done.exit_code != 0:
        raise StepFailed(f"git refuses the repository of {cwd!r}: {words(done)}")
    if decode(done.stdout).strip() != "true":
        raise StepFailed(
            f"{cwd!r} is inside the git folder of a repository, not in its work tree; start there"
        )


def current_branch(cwd: str) -> str | None:
    """The branch that is checked out (it may have no commit yet); None where HEAD is detached."""
    return ask("symbolic-ref", "--quiet", "--short", "HEAD", cwd=cwd)


def commit_id(revision: str, cwd: str) -> str | None:
    """The full id of the commit that *revision* names; None if there is none."""
    return ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", cwd=cwd)


def count(revisions: str, cwd: str) -> int:
    """How many commits a range such as `main..HEAD` holds."""
    return int(git("rev-list", "--count", revisions, cwd=cwd))


def is_ahead(base_branch: str, cwd: str, branch: str | None = None) -> bool:
    """Whether *branch* (default: HEAD) has commits that *base_branch* has not, neither here nor on
    origin.

    Where there is no such base, or no commit, it has.
    """
    name = branch or current_branch(cwd)
    bases = [
        f"refs/remotes/origin/{base_branch}",
        *([] if name == base_branch else [f"refs/heads/{base_branch}"]),
    ]
    head = f"refs/heads/{branch}" if branch else "HEAD"
    known = [base for base in bases if commit_id(base, cwd)]
    return commit_id(head, cwd) is None or all(count(f"{base}..{head}", cwd) > 0 for base in known)


def remotes(cwd: str) -> list[str]:
    """The names of the remotes."""
    return git("remote", cwd=cwd).split()


def prefix(cwd: str) -> str:
    """The path of *cwd* from the root of its work tree, such as `app/`; empty at the root."""
    return git("rev-parse", "--show-prefix", cwd=cwd)


def main_work_tree(cwd: str) -> Path:
    """The root of the repository's first work tree, whichever of its worktrees *cwd* is in."""
    first = git("worktree", "list", "--porcelain", "-z", cwd=cwd).partition("\0")[0]
    return Path(first.removeprefix("worktree "))


def main_folder(cwd: str) -> Path:
    """The folder of the main work tree that *cwd* is in, or is the counterpart of."""
    return main_work_tree(cwd) / prefix(cwd)


@contextmanager
def alone(cwd: str) -> Iterator[None]:
    """Keep other actions, of this process or another, from changing the repository's settings
    meanwhile.

    Git itself refuses where two commands write its configuration or its list of worktrees at once.
    The lock is the kernel's, on the folder that all worktrees share: it ends with the process.
    """
    shared = git("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=cwd)
    descriptor = os.open(shared, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
