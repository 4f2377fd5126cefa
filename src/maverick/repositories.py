"""Git repositories as files tell of them, and the variables that bind git to one.

Git sets such variables for its hooks (`GIT_DIR`, `GIT_INDEX_FILE`, …). Whatever is run in another
folder with them still works on the hook's repository, whichever folder it is in.
`without_repository` and `environment_in` say who gets them.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

LOCAL_VARIABLES: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""What `git rev-parse --local-env-vars` prints, in all versions; a test asks the installed git."""

NO_REPOSITORY: Final = "not a git repository"
"""What git says where there is none (with LC_ALL=C)."""

_safe: dict[str, None] = {}


# --- variables ------------------------------------------------------------------------------------


def without_repository(environment: Mapping[str, str]) -> dict[str, str]:
    """Give *environment* without the variables that bind git to a repository."""
    return {name: text for name, text in environment.items() if name not in LOCAL_VARIABLES}


def environment_in(
    environment: Mapping[str, str], folder: str | Path, root: str | Path
) -> Mapping[str, str]:
    """Give what a process in *folder* gets of *environment*, for the project at *root*.

    The variables that bind git to a repository stay where *folder* is in the work tree that the
    project is in, so that a hook's steps see the hook's index. Those that only say what git finds
    there by itself do not: a script that goes on to another repository would take them along.
    """
    given = LOCAL_VARIABLES & environment.keys()
    if not given:
        return environment
    top = _repository_of(folder)
    own = top if top == _repository_of(root) else None
    dropped = _redundant(environment, own, Path(root)) if own is not None else given
    return {name: text for name, text in environment.items() if name not in dropped}


@contextmanager
def bound_as_in(root: str | Path, environment: MutableMapping[str, str]) -> Iterator[None]:
    """Keep in this process's *environment* what a process in *root* would get, while a block runs.

    For the functions of a project, which run in this process and may start git.
    """
    kept = environment_in(environment, root, root)
    dropped = {
        name: environment[name] for name in LOCAL_VARIABLES & environment.keys() if name not in kept
    }
    for name in dropped:
        del environment[name]
    try:
        yield
    finally:
        environment.update(dropped)


def _redundant(environment: Mapping[str, str], top: Path, root: Path) -> frozenset[str]:
    """Give the variables that say what git finds in the work tree *top* by itself."""
    folder = git_folder(top)
    named = environment.get("GIT_DIR")
    if named is not None and _real(root / named) != folder:
        return frozenset()
    dropped = {"GIT_DIR"}
    if "GIT_WORK_TREE" in environment and _real(root / environment["GIT_WORK_TREE"]) == top:
        dropped.add("GIT_WORK_TREE")
    index = environment.get("GIT_INDEX_FILE", "")
    if os.path.isabs(index) and _real(index) == folder / "index":  # noqa: PTH117 - a relative one leads nowhere else
        dropped.add("GIT_INDEX_FILE")
    return frozenset(dropped)


# --- folders --------------------------------------------------------------------------------------


def is_top(folder: str | Path) -> bool:
    """Whether a `.git` that git accepts stands in *folder*: a file, or a folder that has `HEAD`."""
    marker = f"{folder}/.git"
    try:
        mode = os.stat(marker).st_mode  # noqa: PTH116 - asked of many folders
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and os.path.lexists(f"{marker}/HEAD"))


def work_tree_of(folder: Path) -> Path | None:
    """Give *folder* or the nearest one above it with a `.git` that git accepts, else None."""
    return next((parent for parent in (folder, *folder.parents) if is_top(parent)), None)


def git_folder(top: Path) -> Path:
    """Give where the repository of the work tree *top* is: its `.git`, or what that file names."""
    marker = top / ".git"
    try:
        with marker.open("rb") as file:
            named = os.fsdecode(file.read(4096).removeprefix(b"gitdir:").strip())
    except OSError:  # A folder; or none, in a repository without a work tree.
        return _real(marker) if os.path.isdir(marker) else _real(top)  # noqa: PTH112 - what is closed is none
    return _real(top / named)


def _repository_of(folder: str | Path) -> Path | None:
    """Give the top of the work tree that *folder* is in, or the repository that it is inside."""
    start = _real(folder)
    for parent in (start, *start.parents):
        if is_top(parent) or _is_repository(parent):
            return parent
    return None


def _is_repository(folder: Path) -> bool:
    return all(os.path.lexists(folder / name) for name in ("HEAD", "objects", "refs"))


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))


# --- whose repository git may work in -------------------------------------------------------------


def trust_repository(root: Path, is_ours: Callable[[str], bool]) -> None:
    """Let this process's git work in the repository of the trusted project at *root*, whoever's.

    That is, if the folder at its top and its `.git` are ours; else git itself judges.
    """
    top = work_tree_of(_real(root))
    if top is not None and all(map(is_ours, map(str, (top, top / ".git", git_folder(top))))):
        _safe[str(top)] = None


def trusted_repositories() -> list[str]:
    """Give the tops of the work trees where this process's git may work, for one that it starts."""
    return list(_safe)


def trust_repositories(tops: list[str]) -> None:
    """Take over what the process that started this one trusts."""
    _safe.update(dict.fromkeys(tops))


def safe_settings() -> list[str]:
    """Give the options by which git works in those repositories (from git 2.38 on)."""
    return [word for top in _safe for word in ("-c", f"safe.directory={top}")]
