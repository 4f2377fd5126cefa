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
"""What `git rev-parse --local-env-vars` prints, of all versions; a test asks the git that is there.
"""

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
    """Keep in *environment* (this process's) only what a process in *root* would get, until the
    block ends.

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
    """The variables that say what git finds in the work tree *top* by itself."""
    folder = git_folder(top)
    said = environment.get("GIT_DIR")
    if said is not None and _real(root / said) != folder:
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
    """Give the nearest folder, *folder* or one above it, that has a `.git` which git accepts; None
    if none has.
    """
    return next((place for place in (folder, *folder.parents) if is_top(place)), None)


def git_folder(top: Path) -> Path:
    """Give the folder that holds the repository of the work tree *top*: its `.git`, or what that
    file names.
    """
    marker = top / ".git"
    try:
        with marker.open("rb") as file:
            named = os.fsdecode(file.read(4096).removeprefix(b"gitdir:").strip())
    except OSError:  # A folder; or none, in a repository without a work tree.
        return _real(marker) if os.path.isdir(marker) else _real(top)  # noqa: PTH112 - what is closed is none
    return _real(top / named)


def _repository_of(folder: str | Path) -> Path | None:
    """The top of the work tree that *folder* is in, or the repository itself where it is in one."""
    place = _real(folder)
    for it in (place, *place.parents):
        if is_top(it) or all(os.path.lexists(it / name) for name in ("HEAD", "objects", "refs")):
            return it
    return None


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))


# --- whose repository git may work in -------------------------------------------------------------


def trust_repository(root: Path, is_ours: Callable[[str], bool]) -> None:
    """Let this process's git work in the repository that the trusted project at *root* is in,
    whoever owns it.

    That is, if the folder at its top and its `.git` are ours; else git itself judges.
    """
    top = work_tree_of(_real(root))
    if top is not None and all(map(is_ours, map(str, (top, top / ".git", git_folder(top))))):
        _safe[str(top)] = None


def trusted_repositories() -> list[str]:
    """Give the tops of the work trees that this process's git may work in; for a process that it
    starts.
    """
    return list(_safe)


def trust_repositories(tops: list[str]) -> None:
    """Take over what the process that started this one trusts."""
    _safe.update(dict.fromkeys(tops))


def safe_settings() -> list[str]:
    """Give the options by which git works in those repositories. Git before 2.38 does not honour
    them there.
    """
    return [word for top in _safe for word in ("-c", f"safe.directory={top}")]
