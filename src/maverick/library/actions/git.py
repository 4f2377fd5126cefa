"""What stands in the work tree: branch, status, differences, and staging them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maverick.errors import StepFailed
from maverick.library.actions.own_outputs import own_outputs, without_own
from maverick.library.actions.repository import (
    check_repository,
    commit_id,
    current_branch,
    git,
    is_ahead,
    run_git,
    split,
)
from maverick.library.actions.repository import decode as _decode

if TYPE_CHECKING:
    from collections.abc import Sequence

DIFF_BYTES = 1_000_000
WITHOUT_OURS = (":/", ":(top,exclude,glob)**/.maverick/**")
"""The whole work tree, except for the `.maverick` folders in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What is checked out. `name` is null where HEAD is detached, `head` (a commit id) where there
    is no commit.
    """

    name: str | None
    head: str | None
    detached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The changed files of a work tree, as paths from its root. A file may be both staged and
    modified.
    """

    clean: bool
    staged: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)
    conflicted: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """How many lines of a file changed; null for a binary one."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A unified diff (its first megabyte: `truncated`), and the files in it."""

    text: str
    files: list[FileChange]
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The files that the next commit would change."""

    files: list[str]


def git_branch(cwd: str = ".") -> Branch:
    """The branch that is checked out."""
    check_repository(cwd)
    name = current_branch(cwd)
    return Branch(name=name, head=commit_id("HEAD", cwd), detached=name is None)


def git_status(cwd: str = ".") -> Status:
    """The files that differ from HEAD, and those that git does not know (ignored ones left out).

    What this program itself writes, such as the file that its output was sent to, is left out.
    """
    check_repository(cwd)
    own = set(own_outputs(cwd))
    text = git(
        "--no-optional-locks", "status", "--porcelain=v2", "-z", "--untracked-files=all", cwd=cwd
    )
    found: dict[str, list[str]] = {"staged": [], "modified": [], "untracked": [], "conflicted": []}
    entries = iter(split(text))
    for entry in entries:
        kind, _, rest = entry.partition(" ")
        if kind == "?":
            found["untracked"].append(rest)
        elif kind == "u":
            found["conflicted"].append(rest.split(" ", 9)[-1])
        elif kind in {"1", "2"}:
            path = rest.split(" ", 7 if kind == "1" else 8)[-1]
            if kind == "2":
                next(entries)  # The name it had before.
            if rest[0] != ".":
                found["staged"].append(path)
            if rest[1] != ".":
                found["modified"].append(path)
    for where in ("modified", "untracked"):
        found[where] = [path for path in found[where] if path not in own]
    return Status(clean=not any(found.values()), **found)


def git_has_changes(cwd: str = ".") -> bool:
    """Whether anything differs from HEAD or is new, ignored files aside."""
    return not git_status(cwd).clean


def git_is_ahead(base_branch: str, cwd: str = ".") -> bool:
    """Whether HEAD has commits that *base_branch* has not, neither here nor on origin. Without such
    a branch it has.
    """
    check_repository(cwd)
    return is_ahead(base_branch, cwd)


def changed_files(cwd: str) -> list[str]:
    """What `git_stage_all` would stage, and what is staged: new files in `.maverick` are left
    out.
    """
    status = git_status(cwd)
    new = [path for path in status.untracked if ".maverick" not in path.split("/")[:-1]]
    return [*status.staged, *status.modified, *status.conflicted, *new]


def git_diff(
    base: str = "", paths: Sequence[str] = (), staged: bool = False, cwd: str = "."
) -> Diff:
    """What changed in the work tree since HEAD, or since it left the branch *base*. New files show
    once staged.

    *staged* leaves out what is not staged; *paths* limits it to files and folders.
    """
    check_repository(cwd)
    options = ["--cached"] if staged else []
    if base:
        options.append(_merge_base(base, cwd))
    elif commit_id("HEAD", cwd):
        options.append("HEAD")
    done = run_git("diff", "--no-ext-diff", *options, "--", *paths, cwd=cwd)
    if done.exit_code != 0:
        git("diff", *options, "--", *paths, cwd=cwd)
    numbers = split(
        git(
            "diff",
            "--no-ext-diff",
            "--no-renames",
            "--numstat",
            "-z",
            *options,
            "--",
            *paths,
            cwd=cwd,
        )
    )
    return Diff(
        text=_decode(done.stdout[:DIFF_BYTES]),
        files=[_file_change(line) for line in numbers],
        truncated=done.truncated or len(done.stdout) > DIFF_BYTES,
    )


def git_stage_all(cwd: str = ".") -> Staged:
    """Stage every change of the work tree: changed, new and removed files.

    Ignored ones are left out, and new ones in `.maverick`: whoever put them there may not want them
    in this commit. So is what this program itself writes.
    """
    check_repository(cwd)
    own = without_own(cwd)
    git("add", "--update", ":/", *own, cwd=cwd)
    git("add", "--all", *WITHOUT_OURS, *own, cwd=cwd)
    return Staged(files=staged_files(cwd))


def staged_files(cwd: str) -> list[str]:
    """The files that the next commit would change."""
    return split(git("diff", "--cached", "--name-only", "--no-renames", "-z", cwd=cwd))


def _merge_base(base: str, cwd: str) -> str:
    for name in (base, f"origin/{base}"):
        if commit_id(name, cwd):
            return git(
                "merge-base",
                name,
                "HEAD",
                cwd=cwd,
                advice=f"HEAD and {name} have no history in common",
            )
    raise StepFailed(
        f"there is no branch or commit `{base}` to compare with; fetch it, or name another base"
    )


def _file_change(line: str) -> FileChange:
    added, removed, path = line.split("\t", 2)
    return FileChange(path=path, added=_number(added), removed=_number(removed))


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)
