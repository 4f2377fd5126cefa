"""Whose a file is, in words, and where the user's folders are. Nothing here fails or writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def owners_of(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Give the uids of those who decide what is read at *path*: owners of a link and its target.

    Empty where there is nothing, or nothing that this user can see.
    """
    try:
        own = os.lstat(path)
    except (OSError, ValueError):
        return ()
    if not stat.S_ISLNK(own.st_mode):
        return (own.st_uid,)
    try:
        return (own.st_uid, os.stat(path).st_uid)  # noqa: PTH116 - a text
    except OSError:
        return (own.st_uid,)


def user_text(uid: int) -> str:
    """Give `alice (uid 1000)`, or `uid 1000` where the system has no name for it."""
    import pwd  # noqa: PLC0415 - only for messages

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def ownership(path: str | os.PathLike[str]) -> str:
    """Give `it belongs to root (uid 0) and has mode 0600`; empty where nobody can tell.

    If the path's folder may not be searched, the folder is named.
    """
    target = Path(path)
    named = {target: "it", **{folder: str(folder) for folder in target.absolute().parents}}
    for part, name in named.items():
        try:
            status = part.stat()
        except OSError:
            continue
        return (
            f"{name} belongs to {user_text(status.st_uid)} and has mode "
            f"{stat.S_IMODE(status.st_mode):04o}"
        )
    return ""


def home_folder(environment: Mapping[str, str]) -> str | None:
    """Give the user's home: $HOME if that is absolute, else what the system noted; None without."""
    if os.path.isabs(given := environment.get("HOME", "")):  # noqa: PTH117 - a text
        return given
    import pwd  # noqa: PLC0415 - as above

    try:
        return pwd.getpwuid(os.getuid()).pw_dir or None
    except KeyError:
        return None


def config_folder(environment: Mapping[str, str]) -> Path | None:
    """Give where the user's configuration and workflows are; None for a user without a home."""
    base = environment.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - as the specification says, a relative one does not count
        return Path(base) / "maverick"
    home = home_folder(environment)
    return Path(home) / ".config" / "maverick" if home else None
