"""Which folder is the project, and whose files are taken there.

The root is the nearest of the current folder and those above it that is marked as a project or as a
git repository. What is found without having been named is code that will run: where somebody else
may have put it there, its owner decides whether it is taken.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from maverick import repositories
from maverick.errors import UsageError
from maverick.owners import config_folder, home_folder, owners_of, ownership, user_text

FOLDER = ".maverick"
CONFIG = "maverick.yaml"
MARKS = (CONFIG, FOLDER, ".git")
"""One of them shows that a folder is a project."""
VARIABLE = "MAVERICK_PROJECT"
OwnersOf: TypeAlias = Callable[[str], tuple[int, ...]]
"""Gives the uids of those who decide what is read at a path, as `owners.owners_of`."""
ACTED_ON = ("workflows", "agents", "issues")
"""The folders in `.maverick` whose files are read and acted on."""
_ROOT_USER = 0


class Location(NamedTuple):
    """The current folder and the root of its project, as absolute paths without links."""

    here: Path
    root: Path
    named: bool = False
    """Whether the root was named, not found."""


# --- which folder ---------------------------------------------------------------------------------


def find_root(start: Path, environment: Mapping[str, str]) -> Path:
    """Give the root of the project that *start* is in.

    It is the nearest of *start* and the folders above it that has `maverick.yaml`, `.maverick` or a
    `.git` that git accepts. The search ends at the top of a git repository. The home, `/` and a
    folder that everybody may write to count only as *start* itself, which is also the root where
    there is no other.
    """
    for folder in (start, *start.parents):
        is_top = repositories.is_top(folder)
        if is_top or any(os.path.lexists(folder / mark) for mark in (CONFIG, FOLDER)):
            if folder == start or not _is_shared(folder, environment):
                return folder
            if is_top:
                break
    return start


def _is_shared(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether *folder* is no single project's: the home, `/`, or open to all."""
    if folder.parent == folder or is_open_to_all(folder):
        return True
    home = home_folder(environment)
    try:
        return home is not None and folder.samefile(home)
    except OSError:
        return False


def is_open_to_all(folder: Path) -> bool:
    """Whether everybody may write to *folder*."""
    try:
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def locate(environment: Mapping[str, str]) -> Location:
    """Say where this process is, and which project it is in; MAVERICK_PROJECT names one.

    Raises:
        UsageError: The current folder is gone or closed to this user; or what MAVERICK_PROJECT
            names is no folder.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder was removed; go to one that is there") from None
    except OSError as error:
        raise UsageError(
            f"the current folder cannot be told ({error.strerror}); go to another one"
        ) from None
    named = environment.get(VARIABLE, "")
    if not named:
        _require_open(here, "go to another folder")  # What stands in it would be overlooked.
        return Location(here, find_root(here, environment))
    try:
        status = os.stat(named)  # noqa: PTH116 - a text of whatever kind
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        closed = f"; {ownership(named)}" if isinstance(error, PermissionError) else ""
        raise UsageError(
            f"{VARIABLE} names {named!r}, which cannot be the project: {why}{closed}"
        ) from None
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(
            f"{VARIABLE} names {named!r}, which is no folder; name the project's folder, or unset "
            "it"
        )
    root = Path(os.path.realpath(named))
    _require_open(root, f"set {VARIABLE} to another one")
    return Location(here, root, named=True)


@contextmanager
def current_folder(folder: Path) -> Iterator[None]:
    """Be in *folder* for a while. The folder before may be gone, or closed to this user."""
    with ExitStack() as stack:
        before: int | str
        try:
            # Also where it has no name any more.
            before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, before)
        except PermissionError:
            before = os.getcwd()  # noqa: PTH109 - given back as it is
        os.chdir(folder)
        try:
            yield
        finally:
            with suppress(OSError):
                os.chdir(before)


def _require_open(root: Path, advice: str) -> None:
    if not os.access(root, os.X_OK):
        raise UsageError(f"{root} may not be entered: {ownership(root)}; {advice}")


# --- whose files ----------------------------------------------------------------------------------


class Trust(NamedTuple):
    """Whose files are taken: those of `users` (uids), and `paths` (without links), whoever's.

    `config` is the file that says so, empty for a user without a home; `unread` says why it was not
    read.
    """

    users: frozenset[int]
    paths: tuple[str, ...] = ()
    config: str = ""
    unread: str = ""
    owners_of: OwnersOf = owners_of

    def stranger(self, path: str) -> int | None:
        """Give the uid of a stranger who decides what is read at *path*; None if it is taken."""
        foreign = next((uid for uid in self.owners_of(path) if uid not in self.users), None)
        return None if foreign is None or self.covers(path) else foreign

    def is_ours(self, path: str) -> bool:
        """Whether *path* is to be taken."""
        return self.stranger(path) is None

    def covers(self, path: str) -> bool:
        """Whether *path*, behind all links, is at or below one of `paths`."""
        real = os.path.realpath(path)
        return any(f"{real}/".startswith(f"{trusted.rstrip('/')}/") for trusted in self.paths)

    def require(self, path: str, *, advised: str = "") -> None:
        """Refuse what belongs to somebody else; *advised* is the path to trust (default: *path*).

        Raises:
            UsageError: Names the file, its owner, and the way out.
        """
        uid = self.stranger(path)
        if uid is not None:
            raise UsageError(
                f"{path} belongs to {user_text(uid)}, who is neither you nor root nor the owner "
                f"of the current folder, so it is not taken; {self._way_out(advised or path)}"
            )

    def require_inside(self, path: str, root: str) -> None:
        """Refuse a link at *path* that leads out of the project at *root*, or nowhere.

        Raises:
            UsageError: Names the link, where it leads, and the way out.
        """
        if not os.path.islink(path):  # noqa: PTH114 - a text
            return
        target, top = os.path.realpath(path), os.path.realpath(root)
        if not target.startswith(f"{top.rstrip('/')}/") and not self.covers(path):
            raise UsageError(
                f"{path} is a link that leads out of the project, to {target}; remove it, or "
                f"{self._way_out(target)}"
            )
        if not os.path.exists(path):  # noqa: PTH110 - as above
            raise UsageError(
                f"{path} is a link to {target}, which is not there; make that folder, or remove "
                "the link"
            )

    def _way_out(self, path: str) -> str:
        if not self.config:
            return "if you trust it, set HOME, so that a config.yaml there can say `trust`"
        note = f" ({self.unread})" if self.unread else ""
        return f"if you trust it, write `trust: [{path}]` into {self.config}{note}"


def load_trust(
    location: Location, environment: Mapping[str, str], owners: OwnersOf = owners_of
) -> Trust:
    """Give whose files are taken at *location*: the user's, root's, the current folder's owner's.

    Under sudo the one who called it is the user, too. A root that was named and is not above the
    current folder stands for it: naming it is going there.

    Raises:
        WorkflowInvalid: The user's configuration has problems.
    """
    users = _users(environment)
    here = location.here if location.here.is_relative_to(location.root) else location.root
    accepted = users | frozenset(owners(str(here))[-1:])
    folder = config_folder(environment)
    if folder is None:
        return Trust(users=accepted, owners_of=owners)
    path = str(folder / "config.yaml")
    paths, unread = _trusted_paths(path, users, environment, owners)
    return Trust(users=accepted, paths=paths, config=path, unread=unread, owners_of=owners)


def _users(environment: Mapping[str, str]) -> frozenset[int]:
    user = os.geteuid()
    caller = environment.get("SUDO_UID", "")
    if user == _ROOT_USER and caller.isascii() and caller.isdigit():
        return frozenset({user, int(caller)})
    return frozenset({user, _ROOT_USER})


def _trusted_paths(
    path: str, users: frozenset[int], environment: Mapping[str, str], owners: OwnersOf
) -> tuple[tuple[str, ...], str]:
    """Give what the user's configuration trusts, without links, and why it was not read."""
    if not owners(path):
        return (), ""
    foreign = next((uid for uid in owners(path) if uid not in users), None)
    if foreign is not None:
        return (), f"which belongs to {user_text(foreign)}, so that it is not read"
    if not os.access(path, os.R_OK):
        return (), f"which may not be read: {ownership(path)}"
    from maverick.dsl.catalog.user_config import parse_user_config  # noqa: PLC0415
    from maverick.dsl.serialization.source_text import read_text  # noqa: PLC0415 - most users have no such file

    config = parse_user_config(read_text(Path(path)), path, home_folder(environment))
    return tuple(os.path.realpath(trusted) for trusted in config.trust), ""


def check_trust(location: Location, trust: Trust) -> bool:
    """Refuse a project whose files are not to be taken; say whether their owners count there.

    They count where the root is above the current folder, or is a folder that everybody may write
    to. Links that lead the store out of the project count everywhere.

    Raises:
        UsageError: Names file, owner, and the way out.
    """
    root = location.root
    for link in (root / FOLDER, root / FOLDER / "checkpoints"):
        trust.require_inside(str(link), str(root))
    is_open = is_open_to_all(root)
    counts = is_open or (location.here != root and location.here.is_relative_to(root))
    if counts:
        for path in _acted_on(root):
            trust.require(path, advised="" if is_open else str(root))
    return counts


def _acted_on(root: Path) -> Iterator[str]:
    """Yield the paths of what is read and acted on in a project, its modules apart."""
    folder = root / FOLDER
    yield from map(str, (root, root / CONFIG, folder, folder / "checkpoints"))
    for name in ACTED_ON:
        yield str(folder / name)
        try:
            with os.scandir(folder / name) as entries:
                yield from sorted(entry.path for entry in entries)
        except OSError:  # What cannot be listed is not read either.
            continue
