"""Getting the work tree onto the branch that a workflow works on.

A branch that exists is never reset, and nothing is ever thrown away. It is *ours* if every commit
that it has beyond the base branch carries the trailer `Maverick-Step`; other commits are foreign.
"""

from __future__ import annotations

from dataclasses import dataclass

from maverick.errors import StepFailed
from maverick.library.actions.commits import LOG_FORMAT
from maverick.library.actions.git import (
    ask_git,
    check_repository,
    commit_id,
    count_commits,
    current_branch,
    find_base,
    git,
    split,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkBranch:
    """The branch that is checked out now, or in a dry run would be; `created`: it is new."""

    branch: str
    base_branch: str
    created: bool
    head: str
    foreign_commits: int
    dry_run: bool = False


def create_git_branch(
    branch: str,
    base_branch: str = "main",
    allow_foreign: bool = False,
    remote: str = "origin",
    cwd: str = ".",
) -> WorkBranch:
    """Check out *branch*; make it from *base_branch* if it is neither here nor on *remote*.

    *remote* counts as last fetched. A branch with foreign commits is refused unless
    *allow_foreign*. One that is behind its counterpart on the remote is brought forward; one that
    has parted from it is refused, because its push would be rejected.
    """
    return _prepare_branch(
        branch, base_branch, allow_foreign=allow_foreign, remote=remote, cwd=cwd, dry_run=False
    )


def init_workspace(
    branch_name: str, base_branch: str = "main", dry_run: bool = False, cwd: str = "."
) -> WorkBranch:
    """Check out the branch that a person named, or make it. Their own commits on it are welcome.

    A dry run looks at everything and changes nothing.
    """
    return _prepare_branch(
        branch_name, base_branch, allow_foreign=True, remote="origin", cwd=cwd, dry_run=dry_run
    )


def _prepare_branch(
    branch: str, base_branch: str, *, allow_foreign: bool, remote: str, cwd: str, dry_run: bool
) -> WorkBranch:
    check_repository(cwd)
    if ask_git("check-ref-format", "--branch", branch, cwd=cwd) is None:
        raise StepFailed(
            f"`{branch}` cannot be the name of a branch; use letters, digits, `-`, `_` and `/`"
        )
    local = commit_id(f"refs/heads/{branch}", cwd)
    theirs = commit_id(f"refs/remotes/{remote}/{branch}", cwd)
    base = find_base(base_branch, cwd, remote)
    start = local or theirs or base
    if start is None or (base is None and not allow_foreign):
        raise StepFailed(_no_base(base_branch, cwd))
    foreign = _foreign_commits(start, base, cwd)
    if foreign and not allow_foreign:
        raise StepFailed(
            f"branch `{branch}` exists with {foreign} commit{'s' * (foreign > 1)} that no step "
            f"made; rename it (`git branch -m {branch} NEW`) or delete it, then resume"
        )
    if local and theirs:
        _check_not_parted(branch, remote, cwd)
    if not dry_run:
        _check_out(branch, local=local, theirs=theirs, start=start, remote=remote, cwd=cwd)
    return WorkBranch(
        branch=branch,
        base_branch=base_branch,
        created=local is None and theirs is None,
        head=(None if dry_run else commit_id("HEAD", cwd)) or start,
        foreign_commits=foreign,
        dry_run=dry_run,
    )


def _no_base(base_branch: str, cwd: str) -> str:
    branches = git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=cwd).split()
    if not branches:
        return (
            "the repository has no commit to start a branch from; make one with `git commit`, "
            "then resume"
        )
    return (
        f"there is no base branch `{base_branch}` (there are: {', '.join(branches)}); name another "
        "one as `base_branch`"
    )


def _foreign_commits(branch: str, base: str | None, cwd: str) -> int:
    since = [f"^{base}"] if base else []
    log = split(git("log", "-z", "--no-merges", LOG_FORMAT, branch, *since, cwd=cwd))
    return sum(len(entry.split()) == 1 for entry in log)


def _check_not_parted(branch: str, remote: str, cwd: str) -> None:
    here, there = f"refs/heads/{branch}", f"refs/remotes/{remote}/{branch}"
    ahead, behind = count_commits(f"{there}..{here}", cwd), count_commits(f"{here}..{there}", cwd)
    if ahead and behind:
        raise StepFailed(
            f"`{branch}` and `{remote}/{branch}` have parted ({ahead} only here, {behind} only "
            f"there), so a push would be rejected; bring them together (`git switch {branch}`, "
            "`git pull --rebase`), then resume"
        )


def _check_out(
    branch: str, *, local: str | None, theirs: str | None, start: str, remote: str, cwd: str
) -> None:
    advice = "Commit or stash the changes that are in the way, then resume"
    if local is None and theirs is None:
        git("switch", "--no-track", "--create", branch, start, cwd=cwd, advice=advice)
    elif local is None:
        git("switch", "--create", branch, "--track", f"{remote}/{branch}", cwd=cwd, advice=advice)
    elif current_branch(cwd) != branch:
        git("switch", branch, cwd=cwd, advice=advice)
    if theirs and count_commits(f"HEAD..{theirs}", cwd):
        git("merge", "--quiet", "--ff-only", theirs, cwd=cwd, advice=advice)
