"""Worktrees of git: a folder of its own for work beside other work, and no trace of it afterwards.

They stand in `.maverick/worktrees`. Whatever is left of a kill, adding and removing once more ends
in the same state, and no change is ever lost: what was not committed is set aside in `git stash`
before a worktree goes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from maverick.encoding import lines_of
from maverick.errors import StepFailed
from maverick.library.actions.git import (
    WITHOUT_OURS,
    ask_git,
    check_repository,
    current_branch,
    find_base,
    git,
    git_status,
    main_work_tree,
    prefix,
    run_git,
    settings_locked,
    split,
    without_own,
)

FOLDER = ".maverick/worktrees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worktree:
    """A worktree. `cwd` is the folder in it that stands for the one that was given.

    `present` is false once it was removed; `set_aside` names the stash that holds what was not
    committed.
    """

    name: str
    path: str
    cwd: str
    present: bool
    set_aside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The worktrees that a prune removed."""

    removed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """`stash` is the message in `git stash list` of what was set aside; null if nothing was."""

    stash: str | None


def git_worktree(
    operation: Literal["add", "remove", "prune"],
    name: str = "",
    base_branch: str = "main",
    idempotency_key: str | None = None,
    cwd: str = ".",
) -> Worktree | Pruned:
    """Add the worktree *name*, remove it, or remove all (`prune`).

    One that was added stands at *base_branch*, on no branch, and is clean, whatever was there
    before. Removing one that is not there is fine. With an *idempotency_key*, a step that is run
    again says what it had set aside before.
    """
    check_repository(cwd)
    with settings_locked(cwd):
        if operation == "prune":
            return _prune(cwd)
        if not name or name.startswith(".") or "/" in name:
            raise StepFailed(
                f"`{name}` cannot be the name of a worktree; use letters, digits, `-` and `_`"
            )
        if operation == "add":
            return _add(name, base_branch, idempotency_key, cwd)
        if operation == "remove":
            return _remove(name, idempotency_key, cwd)
    raise StepFailed(f"there is no operation {operation!r}; there are add, remove, prune")


def git_set_aside(message: str, idempotency_key: str | None = None, cwd: str = ".") -> SetAside:
    """Put what is not committed into `git stash` under *message*, so that other work can begin.

    New files in `.maverick` stay where they are. With an *idempotency_key*, a step that is run
    again says what it had set aside before.
    """
    check_repository(cwd)
    with settings_locked(cwd):
        return SetAside(stash=_set_aside(message, idempotency_key, cwd))


def _add(name: str, base_branch: str, key: str | None, cwd: str) -> Worktree:
    base = find_base(base_branch, cwd)
    if base is None:
        raise StepFailed(f"there is no base branch `{base_branch}` to start a worktree from")
    path = _path(name, cwd)
    kept = _save_changes(path, name, key, cwd)
    _clear(path, cwd)
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n", "utf-8")
    git("worktree", "add", "--detach", str(path), base, cwd=cwd)
    return Worktree(
        name=name, path=str(path), cwd=str(path / prefix(cwd)), present=True, set_aside=kept
    )


def _remove(name: str, key: str | None, cwd: str) -> Worktree:
    path = _path(name, cwd)
    kept = _save_changes(path, name, key, cwd)
    _clear(path, cwd)
    return Worktree(
        name=name, path=str(path), cwd=str(path / prefix(cwd)), present=False, set_aside=kept
    )


def _save_changes(path: Path, name: str, key: str | None, cwd: str) -> str | None:
    if not _is_whole(path, cwd):
        return _find_stash(key, cwd)
    return _set_aside(f"maverick: what was not committed in the worktree {name}", key, str(path))


def _prune(cwd: str) -> Pruned:
    folder = main_work_tree(cwd) / FOLDER
    names = (
        sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    )
    for name in names:
        _remove(name, None, cwd)
    git("worktree", "prune", cwd=cwd)
    if folder.is_dir():
        shutil.rmtree(folder)
    return Pruned(removed=names)


def _path(name: str, cwd: str) -> Path:
    return main_work_tree(cwd) / FOLDER / name


def _is_whole(path: Path, cwd: str) -> bool:
    """Whether git knows the worktree and had finished making it (it holds a lock until then)."""
    entries = git("worktree", "list", "--porcelain", "-z", cwd=cwd).split("\0\0")
    for entry in entries:
        lines = split(entry)
        if lines and lines[0] == f"worktree {path.resolve()}":
            making = any(line.startswith("locked initializing") for line in lines)
            return (
                not making
                and ask_git("rev-parse", "--is-inside-work-tree", cwd=str(path)) == "true"
            )
    return False


def _clear(path: Path, cwd: str) -> None:
    """Remove the worktree and what a kill left of it."""
    if (
        path.exists()
        and run_git("worktree", "remove", "--force", "--force", str(path), cwd=cwd).exit_code != 0
    ):
        run_git("worktree", "unlock", str(path), cwd=cwd)
        shutil.rmtree(path)
    elif not path.exists():
        run_git("worktree", "unlock", str(path), cwd=cwd)
    git("worktree", "prune", cwd=cwd)


def _set_aside(message: str, key: str | None, cwd: str) -> str | None:
    """Set changes aside; give the message that `git stash list` shows, None if there are none.

    What an earlier attempt set aside counts.
    """
    status = git_status(cwd)
    new = [path for path in status.untracked if ".maverick" not in Path(path).parts]
    if not (status.staged or status.modified or status.conflicted or new):
        return _find_stash(key, cwd)
    branch = current_branch(cwd)
    text = " ".join(message.split()) + (f" (on {branch})" if branch else "")
    named = f"{text} {_mark(key)}" if key else text
    git(
        "stash",
        "push",
        "--include-untracked",
        "--quiet",
        f"--message={named}",
        "--",
        *WITHOUT_OURS,
        *without_own(cwd),
        cwd=cwd,
    )
    return text


def _find_stash(key: str | None, cwd: str) -> str | None:
    for entry in lines_of(git("stash", "list", "--format=%gs", cwd=cwd)) if key else []:
        if key and entry.endswith(_mark(key)):
            return entry.partition(": ")[2].removesuffix(_mark(key)).rstrip()
    return None


def _mark(key: str) -> str:
    return f"[{key[:12]}]"
