"""What stands in the work tree: branch, status, differences, and staging them.

`own_outputs` are files of the work tree that this very program writes: its standard output and
error, sent to a file, or its events; also what a program writes that reads them through a pipe.
They are no work of the workflow: neither `maverick fly > log.txt` nor `maverick fly | tee log.txt`
stops at its own log, or commits it.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maverick.dsl.processes.commands import run_command
from maverick.dsl.processes.last_words import ends_of, named
from maverick.errors import StepFailed
from maverick.repositories import NO_REPOSITORY, safe_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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


def ask_git(*args: str, cwd: str) -> str | None:
    """Give what git answers; None where it has no answer (an exit code other than 0).

    Raises:
        StepFailed: Git refuses the repository, which belongs to somebody else.
    """
    done = run_git(*args, cwd=cwd)
    if done.exit_code != 0 and _REFUSAL in done.stderr:
        raise StepFailed(f"git refuses the repository of {cwd!r}: {words(done)}")
    return decode(done.stdout).strip() if done.exit_code == 0 else None


def words(done: Completed) -> str:
    """Give the ends of what a command said, without credentials of URLs.

    Each stream is named where both have something.
    """
    ends = ends_of(done.stdout, done.stderr)
    if not ends:
        return f"exit code {done.exit_code}"
    text = "\n".join(["", *named(ends)] if len(ends) > 1 else next(iter(ends.values())))
    return _CREDENTIALS.sub(r"\1", text)


def decode(data: bytes) -> str:
    """Give git's output as text; bytes that are no UTF-8 (as in file names) become U+FFFD."""
    return data.decode("utf-8", "replace")


def split(text: str) -> list[str]:
    """Give the entries of a NUL-separated list."""
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
    """Give the branch that is checked out (maybe without a commit); None for a detached HEAD."""
    return ask_git("symbolic-ref", "--quiet", "--short", "HEAD", cwd=cwd)


def commit_id(revision: str, cwd: str) -> str | None:
    """Give the full id of the commit that *revision* names; None if there is none."""
    return ask_git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", cwd=cwd)


def find_base(base_branch: str, cwd: str, remote: str = "origin") -> str | None:
    """Give the commit of *base_branch*, here or else on *remote* (as last fetched), or None."""
    here = commit_id(f"refs/heads/{base_branch}", cwd)
    return here or commit_id(f"refs/remotes/{remote}/{base_branch}", cwd)


def count_commits(revisions: str, cwd: str) -> int:
    """Give how many commits a range such as `main..HEAD` holds."""
    return int(git("rev-list", "--count", revisions, cwd=cwd))


def is_ahead(base_branch: str, cwd: str, branch: str | None = None) -> bool:
    """Whether *branch* (default: HEAD) has commits that *base_branch* lacks, here and on origin.

    Where there is no such base, or no commit, it has.
    """
    name = branch or current_branch(cwd)
    bases = [
        f"refs/remotes/origin/{base_branch}",
        *([] if name == base_branch else [f"refs/heads/{base_branch}"]),
    ]
    head = f"refs/heads/{branch}" if branch else "HEAD"
    existing = [base for base in bases if commit_id(base, cwd)]
    return commit_id(head, cwd) is None or all(
        count_commits(f"{base}..{head}", cwd) > 0 for base in existing
    )


def remotes(cwd: str) -> list[str]:
    """Give the names of the remotes."""
    return git("remote", cwd=cwd).split()


def prefix(cwd: str) -> str:
    """Give the path of *cwd* from the root of its work tree, such as `app/`; empty at the root."""
    return git("rev-parse", "--show-prefix", cwd=cwd)


def main_work_tree(cwd: str) -> Path:
    """Give the root of the repository's first work tree, whichever of its worktrees *cwd* is in."""
    first = git("worktree", "list", "--porcelain", "-z", cwd=cwd).partition("\0")[0]
    return Path(first.removeprefix("worktree "))


def main_folder(cwd: str) -> Path:
    """Give the folder of the main work tree that *cwd* is, or is the counterpart of."""
    return main_work_tree(cwd) / prefix(cwd)


@contextmanager
def settings_locked(cwd: str) -> Iterator[None]:
    """Keep all other actions from changing the repository's settings while the block runs.

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


_DESCRIPTORS: Final = Path("/dev/fd")
_PROCESSES: Final = Path("/proc")
_OWN: Final = _PROCESSES / "self" / "fd"


def own_outputs(cwd: str) -> list[str]:
    """Give the files that this program writes in the work tree of *cwd*, by paths from its root;
    also those of the programs that it is piped to.

    The store's are left out: they are in `.maverick`, which no action takes into a commit.
    """
    written = {path for path in {*_written(), *_written_behind()} if ".maverick" not in path.parts}
    if not written:
        return []
    top = Path(git("rev-parse", "--show-toplevel", cwd=cwd)).resolve()
    return sorted(str(path.relative_to(top)) for path in written if path.is_relative_to(top))


def without_own(cwd: str) -> list[str]:
    """Give pathspecs that leave out `own_outputs`."""
    return [f":(top,exclude,literal){path}" for path in own_outputs(cwd)]


def _written() -> set[Path]:
    """Give the files that are open to be written, wherever standard output was put meanwhile."""
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208
    except OSError:  # A system without /proc does not tell.
        return set()
    paths = (_file_of(int(name)) for name in names if name.isdecimal())
    return {path for path in paths if path is not None}


def _written_behind() -> set[Path]:
    """Give the files that the readers of this program's pipes write: `… | tee log.txt`.

    They are of its process group, as the parts of a pipeline are, and no step's processes are.
    """
    ours = {_link(_OWN / name) for name in _names_in(_OWN) if _is_pipe_out(int(name))} - {""}
    written: set[Path] = set()
    if not ours:
        return written
    for process in filter(str.isdecimal, _names_in(_PROCESSES)):
        folder = _PROCESSES / process / "fd"
        if int(process) == os.getpid() or not _is_beside(int(process)):
            continue
        links = {name: _link(folder / name) for name in _names_in(folder)}
        if ours.isdisjoint(links.values()):
            continue
        written |= {Path(link) for name, link in links.items() if _is_written(folder / name, link)}
    return written


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:  # There is none here; or the process has ended, or is another user's.
        return []


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # It was closed meanwhile.
        return ""


def _is_pipe_out(descriptor: int) -> bool:
    """Whether *descriptor* is the end of a pipe that this process writes to."""
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        return is_pipe and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
    except OSError:
        return False


def _is_beside(process: int) -> bool:
    try:
        return os.getpgid(process) == os.getpgrp()
    except OSError:
        return False


def _is_written(descriptor: Path, link: str) -> bool:
    """Whether another process's *descriptor*, which leads to *link*, writes a regular file."""
    try:
        mode = descriptor.stat().st_mode
        return (
            stat.S_ISREG(mode)
            and bool(descriptor.lstat().st_mode & stat.S_IWUSR)
            and link[:1] == "/"
        )
    except OSError:
        return False


def _file_of(descriptor: int) -> Path | None:
    """Give the path of the regular file that *descriptor* writes; else None."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            return None
        path = _path_of(descriptor)
        return path.resolve() if os.path.samestat(path.stat(), status) else None
    except OSError:  # It was closed meanwhile, or its file was removed.
        return None


def _path_of(descriptor: int) -> Path:
    if hasattr(fcntl, "F_GETPATH"):  # macOS
        return Path(
            os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        )
    return (_DESCRIPTORS / str(descriptor)).readlink()


DIFF_BYTES = 1_000_000
WITHOUT_OURS = (":/", ":(top,exclude,glob)**/.maverick/**")
"""The whole work tree, except for the `.maverick` folders in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What is checked out: `name` is null for a detached HEAD, `head` (an id) before any commit."""

    name: str | None
    head: str | None
    detached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The changed files of a work tree, by paths from its root; one may be staged and modified."""

    clean: bool
    staged: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)
    conflicted: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """How many lines of a file changed; null for a binary one."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A unified diff (its first megabyte: `truncated`), and the files in it."""

    text: str
    files: list[ChangedFile]
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The files that the next commit would change."""

    files: list[str]


def git_branch(cwd: str = ".") -> Branch:
    """Give the branch that is checked out."""
    check_repository(cwd)
    name = current_branch(cwd)
    return Branch(name=name, head=commit_id("HEAD", cwd), detached=name is None)


def git_status(cwd: str = ".") -> Status:
    """Give the files that differ from HEAD, and those that git neither knows nor ignores.

    What this program itself writes, such as the file that its output was sent to, is left out.
    """
    check_repository(cwd)
    own = set(own_outputs(cwd))
    text = git(
        "--no-optional-locks", "status", "--porcelain=v2", "-z", "--untracked-files=all", cwd=cwd
    )
    files: dict[str, list[str]] = {"staged": [], "modified": [], "untracked": [], "conflicted": []}
    entries = iter(split(text))
    for entry in entries:
        kind, _, rest = entry.partition(" ")
        if kind == "?":
            files["untracked"].append(rest)
        elif kind == "u":
            files["conflicted"].append(rest.split(" ", 9)[-1])
        elif kind in {"1", "2"}:
            path = rest.split(" ", 7 if kind == "1" else 8)[-1]
            if kind == "2":
                next(entries)  # The name it had before.
            if rest[0] != ".":
                files["staged"].append(path)
            if rest[1] != ".":
                files["modified"].append(path)
    for where in ("modified", "untracked"):
        files[where] = [path for path in files[where] if path not in own]
    return Status(clean=not any(files.values()), **files)


def git_has_changes(cwd: str = ".") -> bool:
    """Whether anything differs from HEAD or is new, ignored files aside."""
    return not git_status(cwd).clean


def git_is_ahead(base_branch: str, cwd: str = ".") -> bool:
    """Whether HEAD has commits that *base_branch* lacks, here and on origin; so without a base."""
    check_repository(cwd)
    return is_ahead(base_branch, cwd)


def changed_files(cwd: str) -> list[str]:
    """Give what is staged and what `git_stage_all` would stage: no new files in `.maverick`."""
    status = git_status(cwd)
    new = [path for path in status.untracked if ".maverick" not in path.split("/")[:-1]]
    return [*status.staged, *status.modified, *status.conflicted, *new]


def git_diff(
    base: str = "", paths: Sequence[str] = (), staged: bool = False, cwd: str = "."
) -> Diff:
    """Give what changed in the work tree since HEAD, or since it left the branch *base*.

    New files show once staged. *staged* leaves out what is not staged; *paths* limits it to files
    and folders.
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
    counting = ("--no-ext-diff", "--no-renames", "--numstat", "-z")
    numbers = split(git("diff", *counting, *options, "--", *paths, cwd=cwd))
    return Diff(
        text=decode(done.stdout[:DIFF_BYTES]),
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
    """Give the files that the next commit would change."""
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


def _file_change(line: str) -> ChangedFile:
    added, removed, path = line.split("\t", 2)
    return ChangedFile(path=path, added=_number(added), removed=_number(removed))


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)
