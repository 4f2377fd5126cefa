"""Files that hold workflows, and the names by which they are looked up."""

from __future__ import annotations

import re
from pathlib import Path

ENDINGS = (".yaml", ".yml")
_NAME = re.compile(r"""^name:[ \t]*["']?([A-Za-z0-9_-]+)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)


def is_path(reference: str) -> bool:
    """Whether *reference* means a file, and not the name of a workflow."""
    return "/" in reference or reference.endswith(ENDINGS)


def files_in(folder: Path) -> list[Path]:
    """The workflow files of *folder*, in no order; none if it is not there."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix in ENDINGS and path.is_file()]


def names_in(folder: Path) -> set[str]:
    """The names of the workflows in *folder*."""
    return {name_in(path) for path in files_in(folder)}


def name_in(path: Path) -> str:
    """The name that a workflow file declares, without parsing it all; the file's own name if it declares none."""
    try:
        declared = _NAME.search(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):  # Loading it says what is wrong with it.
        declared = None
    return declared[1] if declared else path.stem


def same_name(one: str, other: str) -> bool:
    """Whether two names mean the same workflow: `-` and `_` are one letter."""
    return one.replace("-", "_") == other.replace("-", "_")
