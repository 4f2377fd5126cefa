"""What a Python program sees of a project: its runs, and what each came to."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from maverick import project as projects
from maverick.dsl.workflow import outcome as outcomes
from maverick.encoding import inherited
from maverick.errors import NotFound
from maverick.project import open_project
from maverick.roots import Location, find_root, locate
from maverick.visible import one_line

_ERROR_CHARACTERS = 150
"""Of an error in a line."""


class Project(projects.Project):
    """A project, and the runs of its store."""

    def __repr__(self) -> str:
        return f"maverick.open({str(self.root)!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(outcomes.Outcome):
    """What a run of `project` came to: `status` is `done`, `failed`, `paused` or `killed`.

    `output` is what it gave, `error` why it is not done, `notices` what a person has to know of a
    run that is.
    """

    project: Project

    def __repr__(self) -> str:
        """Give one line, so that a failed assertion tells what is wrong."""
        why = one_line(self.error or "")
        cut = f"{why[:_ERROR_CHARACTERS]}…" if len(why) > _ERROR_CHARACTERS else why
        return f"<Outcome {self.run} {self.status}{f': {cut}' if cut else ''}>"


class Run:
    """A run of `project`, as it stands when it is asked."""

    def __init__(self, project: Project, name: str) -> None:
        self.project = project
        self.name = name


def open(path: str | PathLike[str] | None = None) -> Project:  # noqa: A001 - as the store's `open`
    """Open the project that the folder *path* is in; None: that of the current folder.

    Nothing is read yet, and nothing is made. `MAVERICK_PROJECT` counts where no path is given.

    Raises:
        NotFound: There is no such folder.
        UsageError: Files of the project belong to somebody else.
    """
    environment = inherited()
    if path is None:
        location = locate(environment)
    else:
        here = Path(path).resolve()
        if not here.is_dir():
            raise NotFound(f"there is no folder {here}, which would be a project")
        location = Location(here, find_root(here, environment))
    opened = open_project(location, environment)
    return Project(opened.root, opened.environment, opened.trust)
