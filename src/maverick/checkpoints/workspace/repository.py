"""What git says of a workspace: which files are its own, and where HEAD stands. Nothing here
changes anything.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.encoding import lines_of
from maverick.errors import UsageError
from maverick.repositories import NO_REPOSITORY, git_folder, is_top, safe_settings, work_tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_ABOUT = ["rev-parse", "HEAD", "--symbolic-full-name", "HEAD", "@{upstream}"]
_LIST = ["ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard"]
_CONFIGS = ("/etc/gitconfig", "~/.gitconfig")


@dataclass(frozen=True, slots=True)
class Head:
    """Where the repository stands. `commit` is empty before the first commit, `branch` when HEAD is
    detached.
    """

    commit: str = ""
    branch: str = ""
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What git lists below a folder, as relative paths.

    `files` are tracked or untracked and not ignored (some may be gone, or stand for a submodule);
    `nested` are the folders of other repositories; `absent` are those of the files that a sparse
    checkout keeps off the disk. `depends_on` are the files outside the workspace's own that decide
    this.
    """

    files: list[str]
    nested: frozenset[str]
    depends_on: tuple[str, ...]
    absent: frozenset[str] = frozenset()


def is_inside(root: Path) -> bool:
    """Say whether *root* is in the working tree of a git repository, as far as files tell; git may
    say otherwise.
    """
    return work_tree_of(root) is not None


class Git:
    """Runs git in the folder *root*. Commands that are started run beside what this process
    does.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._environment = {
            name: text for name, text in os.environ.items() if not name.startswith("GIT_")
        }
        self._git = ["git", *safe_settings()]
        self._environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a git command that writes to a pipe. Raises UsageError if there is no git."""
        try:
            return subprocess.Popen(
                [*self._git, *arguments],
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise UsageError(
                f"{self._root} is in a git repository, but there is no git to ask for its files; "
                "install it"
            ) from None

    def start_head(self) -> subprocess.Popen[bytes]:
        """Start asking for HEAD; `head` takes the answer."""
        return self.start(*_ABOUT)

    def head(self, started: subprocess.Popen[bytes]) -> Head | None:
        """Give what the command of `start_head` says; None where git says that there is no
        repository.

        Raises:
            UsageError: git refuses the repository; the message has its words.
        """
        lines = lines_of(started.communicate()[0].decode("utf-8", "surrogateescape"))
        if len(lines) < 2:  # before the first commit
            asked = self.start("symbolic-ref", "-q", "HEAD")
            output, words = asked.communicate()
            if asked.returncode not in (0, 1):  # 1: HEAD is detached
                self._require_no_repository("say where HEAD is in", words)
                return None
            return Head(branch=_short(output.decode("utf-8", "surrogateescape").strip()))
        branch = "" if lines[1] == "HEAD" else _short(lines[1])
        return Head(lines[0], branch, _short(lines[2]) if branch and len(lines) > 2 else "")

    def _require_no_repository(self, task: str, words: bytes) -> None:
        """Raise UsageError with git's words, unless they say that there is no repository."""
        text = words.decode("utf-8", "replace").strip()
        if NO_REPOSITORY not in text:
            raise UsageError(f"git cannot {task} {self._root}: {text}")

    def list(self, started: subprocess.Popen[bytes]) -> Listing | None:
        """Give what the command of `start_list` says; None where git says that there is no
        repository.

        Raises:
            UsageError: git does not list the files; the message has its words.
        """
        places = self.start(
            "rev-parse", "--git-path", "index", "--git-path", "info/exclude", "--git-path", "config"
        )
        excludes = self.start("config", "--type=path", "--get", "core.excludesFile")
        output, words = started.communicate()
        own = lines_of(places.communicate()[0].decode("utf-8", "surrogateescape"))
        other = lines_of(excludes.communicate()[0].decode("utf-8", "surrogateescape"))
        if started.returncode:
            self._require_no_repository("list the files of", words)
            return None
        rows = output.decode("utf-8", "surrogateescape").split("\0")[:-1]
        names = dict.fromkeys(row[2:] for row in rows)  # in front of each stands a tag and a blank
        absent = frozenset(row[2:] for row in rows if row.startswith("S "))
        nested = [name for name in names if name.endswith("/")]
        for name in nested:
            del names[name]
        depends = [
            *(str(self._root / line) for line in own),
            *map(os.path.expanduser, (*_CONFIGS, *other)),
            *_xdg(),
        ]
        return Listing(
            list(names), frozenset(name.rstrip("/") for name in nested), tuple(depends), absent
        )

    def markers(self) -> set[str]:
        """Give the files by which there seems to be a repository, for the case that git says there
        is none.
        """
        top = work_tree_of(self._root)
        return {str(top / ".git"), str(git_folder(top) / "HEAD")} if top else set()

    def start_list(self) -> subprocess.Popen[bytes]:
        """Start listing the files; `list` takes the answer."""
        return self.start(*_LIST)

    def ignored(self, paths: Iterable[str]) -> set[str]:
        """Give those of *paths* that git ignores."""
        asked = list(paths)
        if not asked:
            return set()
        done = subprocess.run(
            [*self._git, "check-ignore", "-z", "--stdin"],
            cwd=self._root,
            env=self._environment,
            input="\0".join(asked).encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
        return set(done.stdout.decode("utf-8", "surrogateescape").split("\0")) - {""}


def nested_kind(folder: str) -> str | None:
    """Say what kind of working tree the folder *folder* is the top of; None if of none that git
    accepts.
    """
    marker = os.path.join(folder, ".git")  # noqa: PTH118 - called for many folders
    try:
        with open(marker, "rb") as file:  # noqa: PTH123 - as above
            text = file.read(4096)
    except PermissionError:
        return "nested repository"  # Nobody can say; what is in it is not ours to take.
    except OSError:
        return "nested repository" if is_top(folder) else None
    if b"/worktrees/" in text:
        return "linked worktree"
    return "submodule" if b"/modules/" in text else "nested repository"


def _short(ref: str) -> str:
    for prefix in ("refs/heads/", "refs/remotes/"):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix)
    return ref


def _xdg() -> list[str]:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - fails in no home
    return [f"{base}/git/config", f"{base}/git/ignore"]
