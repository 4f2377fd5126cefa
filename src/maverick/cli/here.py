"""The project that the command was given in, and files as they are found from there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from maverick.cli.streams import write_err
from maverick.errors import UsageError
from maverick.project import Project, find_root


def this_project() -> Project:
    """Give the project that the current folder is in.

    Raises:
        UsageError: the current folder was removed.
    """
    try:
        return Project(find_root(Path.cwd()), os.environ)
    except FileNotFoundError:
        raise UsageError("the current folder was removed; go to one that is there") from None


def from_here(workflow: str) -> str:
    """Give a workflow's file as it is found from the caller's folder; a workflow's name as it is."""
    is_file = "/" in workflow or workflow.endswith((".yaml", ".yml"))
    return os.path.abspath(workflow) if is_file else workflow  # noqa: PTH100 - symbolic links stay as they are


def asking() -> Callable[[str], bool] | None:
    """Give what asks a person a question, yes or no; None where standard input or error is no terminal."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: str) -> bool:
        write_err(f"{question} [y/N] ")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return ask


def has_consent(question: str, *, yes: bool) -> bool:
    """Whether a person agrees: by `--yes`, or on a terminal by the answer to *question*.

    Raises:
        UsageError: there is nobody to be asked, and `--yes` was not given.
    """
    if yes:
        return True
    ask = asking()
    if ask is None:
        raise UsageError(f"{question} Nobody can be asked here: say --yes")
    return ask(question)
