"""Files that hold workflows, and the names by which they are looked up."""

from __future__ import annotations

import os
import re
from pathlib import Path

from maverick.owners import ownership

ENDINGS = (".yaml", ".yml")
_NAME = re.compile(r"""^name:[ \t]*["']?([A-Za-z0-9_-]+)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)


def is_path(reference: str) -> bool:
    """Whether *reference* means a file, and not the name of a workflow."""
    return "/" in reference or reference.endswith(ENDINGS)


def files_in(folder: Path) -> list[Path]:
    """The workflow files of *folder*, in no order; none if it is not there, or cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if Path(entry.name).suffix in ENDINGS and _is_file(entry)
            ]
    except OSError:
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # A link into a folder that may not be searched.
        return False


def why_unlisted(folder: Path) -> str:
    """Say why *folder*, which is there, cannot be listed; empty if it can, or is not there, for all
    that is known.
    """
    try:
        with os.scandir(folder):
            return ""
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        closed = f"; {ownership(folder)}" if isinstance(error, PermissionError) else ""
        return f"{error.strerror}{closed}"


def may_exist(path: Path) -> bool:
    """Whether something stands at *path*; what cannot be looked at is there: reading it says why
    not.
    """
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def names_in(folder: Path) -> set[str]:
    """The names of the workflows in *folder*."""
    return {name_in(path) for path in files_in(folder)}


def name_in(path: Path) -> str:
    """The name that a workflow file declares, without parsing it all; the file's own name if it
    declares none.
    """
    try:
        declared = declared_name(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):  # Loading it says what is wrong with it.
        declared = None
    return declared or path.stem


def declared_name(text: str) -> str | None:
    """The name that the workflow *text* declares, without parsing it all."""
    declared = _NAME.search(text)
    return declared[1] if declared else None


def same_name(one: str, other: str) -> bool:
    """Whether two names mean the same workflow: `-` and `_` are one letter."""
    return one.replace("-", "_") == other.replace("-", "_")
