"""What the system refuses to this user, in words: whose it is, and the way out."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from maverick.errors import StoreDenied
from maverick.owners import user_text

if TYPE_CHECKING:
    from pathlib import Path


def denied(verb: str, path: Path, error: OSError) -> StoreDenied:
    """Give the error that says whose it is what this user may not *verb*, and the way out."""
    barrier = _barrier(path, verb)
    why = (
        _whose(barrier, _store_of(path))
        or f"{(error.strerror or 'permission denied').lower()}; make it writable for this user"
    )
    said = why.removeprefix(f"{barrier} ") if barrier == path else why
    return StoreDenied(
        f"cannot {verb} {path}: {'it ' if said != why else ''}{said}", why, str(path), error
    )


def _whose(path: Path, store: Path) -> str:
    """Say whose *path* is, or which mode keeps its owner out, and the way out; nothing if neither
    does.
    """
    try:
        status = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - a plain system call
    except OSError:
        return ""
    me, inside = os.geteuid(), path.is_relative_to(store)
    if status.st_uid != me:
        way = f", or `sudo chown -R {me} {store}` makes the store this user's" if inside else ""
        owner = f"{path} belongs to {user_text(status.st_uid)}, and this is {user_text(me)}"
        return f"{owner}; a store is one user's: run the command as its owner{way}"
    needed = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
    if status.st_mode & needed == needed:
        return ""
    way = f"`chmod -R u+rwX {store}`" if inside else f"`chmod u+rwx {path}`"
    return f"{path} has mode {stat.S_IMODE(status.st_mode):04o}; {way} lets its owner in"


def _barrier(path: Path, verb: str) -> Path:
    """Give what keeps this user out: a folder on the way that may not be entered, the one it is in,
    or *path*.
    """
    effective = os.access in os.supports_effective_ids
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK, effective_ids=effective):
            return folder
    if not os.path.lexists(path):
        return path.parent
    return (
        path
        if verb == "read" or os.access(path.parent, os.W_OK, effective_ids=effective)
        else path.parent
    )


def _store_of(path: Path) -> Path:
    """Give the folder that holds all of the store that *path* is in."""
    for folder in (path, *path.parents):
        if folder.name == ".maverick" or os.path.lexists(folder / "format.json"):
            return folder
    return path.parent
