"""What a Python program sees of a project: its runs, and what each came to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from maverick import project as projects
from maverick.api import html
from maverick.api.run_steps import Differences, Files, Steps, moment
from maverick.dsl.catalog.workflow_files import same_name
from maverick.dsl.workflow import outcome as outcomes
from maverick.encoding import inherited
from maverick.errors import NotFound, UsageError
from maverick.project import open_project
from maverick.roots import Location, find_root, locate
from maverick.visible import duration, one_line

if TYPE_CHECKING:
    from datetime import datetime

    from maverick.checkpoints import Checkpoint, Store
    from maverick.runs.listing import RunSummary
    from maverick.values import Value
    from maverick.views.run_page import RunPage

_ERROR_CHARACTERS: Final = 150
"""Of an error in a line."""


class Project(projects.Project):
    """A project, and the runs of its store."""

    def __repr__(self) -> str:
        return f"maverick.open({str(self.root)!r})"

    def runs(self, *, workflow: str = "", status: str = "") -> Runs:
        """Give the runs, newest first; those of *workflow* and with *status* only, if given.

        Reads no object: what a list of runs shows stands in their refs. A ref that cannot be read
        is left out.
        """
        from maverick.runs.listing import STATUSES, summarise  # noqa: PLC0415 - beside the store

        if status and status not in STATUSES:
            raise UsageError(f"no run is {status!r}; it is one of {', '.join(STATUSES)}")
        try:
            store = self.open_store()
        except NotFound:
            return Runs()
        summaries = (summarise(store, ref, store.now()) for ref in store.refs())
        return Runs(
            Run(self, store, summary.run, summary)
            for summary in summaries
            if (not workflow or same_name(workflow, summary.workflow))
            and (not status or status == summary.status)
        )

    def run(self, name: str | Outcome = "@latest") -> Run:
        """Give the run *name*: its id, the beginning or end of it, `fly@{1}`, or another revision;
        or the run of an outcome.

        Raises:
            NotFound: There is none, or there are several; the message lists them.
        """
        store = self.open_store()
        checkpoint = store.resolve(name.run if isinstance(name, Outcome) else name)
        return Run(self, store, checkpoint.run, checkpoint=checkpoint)

    def _repr_html_(self) -> str:
        return html.page(f"project {html.text(self.root)}", self.runs()._repr_html_())


class Runs(list["Run"]):
    """Runs, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        rows = (run.row() for run in self)
        return html.table(("run", "status", "started", "time", "at", "why"), rows, count=len(self))


class Run:
    """A run, as it stood when it was first asked."""

    def __init__(
        self,
        project: Project,
        store: Store,
        name: str,
        summary: RunSummary | None = None,
        *,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """*name* is its id; *summary* what its ref says; *checkpoint* where it is looked at."""
        self.project = project
        self.name = name
        self._store = store
        self._summary = summary
        self._checkpoint = checkpoint

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.status}>"

    @cached_property
    def page(self) -> RunPage:
        """All that is known of it, as `maverick show` has it."""
        from maverick.views.page_loader import load_page  # noqa: PLC0415 - of one run

        checkpoint = self._checkpoint or self._store.resolve(self.name)
        return load_page(str(self.project.root), self._store, checkpoint)

    @property
    def workflow(self) -> str:
        return self._summary.workflow if self._summary else self.page.workflow

    @property
    def status(self) -> str:
        """`running`, `paused`, `failed`, `killed` or `done`."""
        return self._summary.status if self._summary else self.page.status

    @property
    def started(self) -> datetime:
        """When it was started, in UTC."""
        return moment(self._summary.started if self._summary else self.page.started)

    @property
    def ended(self) -> datetime | None:
        """When it ended, in UTC; None if it goes on."""
        return None if self.page.ended is None else moment(self.page.ended)

    @property
    def seconds(self) -> float | None:
        """How long its executions took together."""
        return self._summary.seconds if self._summary else self.page.seconds

    @property
    def inputs(self) -> dict[str, Value]:
        return self.page.inputs

    @property
    def output(self) -> Value:
        """What it gave; None if it is not done."""
        return self.page.output

    @property
    def error(self) -> str | None:
        """Why it is not done."""
        return self.page.error

    @property
    def failed_at(self) -> str | None:
        """The path of the step that failed it."""
        return self.page.failed_at

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person has to know of it."""
        return self.page.notices

    @property
    def totals(self) -> dict[str, Any]:
        """Seconds, calls of agents, tokens and dollars; None is what no program told."""
        return self.page.totals

    @cached_property
    def steps(self) -> Steps:
        """Its steps by path, in the order of the workflow."""
        return Steps(self._store, self.page)

    @cached_property
    def files(self) -> Files:
        """The project's files as the run kept them last, by path; none if it kept none."""
        from maverick.dsl.journal.tree import RunTree  # noqa: PLC0415 - of one run
        from maverick.runs.workspace_choice import newest_with_files  # noqa: PLC0415 - as above

        kept = newest_with_files(self._store, self.page.tree.checkpoint)
        return Files(None if kept is None else RunTree(self._store.snapshot(kept)))

    def diff(self, other: Run | Outcome | str | None = None) -> Differences:
        """Give what differs from this run to *other*; without one, from the run before to this one.

        Raises:
            NotFound: There is no such run, or none before.
            UsageError: *other* is of another project, whose store is not looked into.
        """
        from maverick.views.comparing.run_comparison import compare  # noqa: PLC0415 - of one run

        if other is None:
            before = self._before()
            sides = (before, self)
        elif isinstance(other, Run | Outcome) and other.project.root != self.project.root:
            raise UsageError(
                f"{other!r} is a run of {other.project.root}, and only runs of one project can be "
                "compared; `maverick checkpoint export` and `import` bring it here"
            )
        else:
            sides = (self, other if isinstance(other, Run) else self.project.run(other))
        old, new = sides[0].page.tree, sides[1].page.tree
        return Differences(sides[0].name, sides[1].name, compare(self._store, old, new))

    def _before(self) -> Run:
        from maverick.runs.listing import run_before  # noqa: PLC0415 - beside the store

        before = run_before(self._store, self.name, self.workflow)
        if before is None:
            raise NotFound(
                f"there is no run of {self.workflow} before {self.name}; name one to compare with"
            )
        return self.project.run(before.run)

    def to_json(self) -> dict[str, Any]:
        """Give what `maverick show --json` prints."""
        return self.page.to_json()

    def row(self) -> tuple[str, ...]:
        """Give its line in a table, as HTML."""
        summary = self._summary
        seconds = "" if self.seconds is None else duration(self.seconds)
        at = ", ".join(summary.at) if summary else self.failed_at or ""
        why = summary.reason if summary else self.error or ""
        started = f"{self.started:%Y-%m-%d %H:%M:%S}"
        cells = map(html.text, (started, seconds, at, why))
        return (html.text(self.name), html.status(self.status), *cells)

    def _repr_html_(self) -> str:
        page = self.page
        cost = "" if page.costs.usd is None else f", ${page.costs.usd:.2f}"
        title = (
            f"{html.text(page.workflow)} · {html.status(page.status)} · "
            f"{html.text(duration(page.seconds))}{cost} · {html.text(page.run)}"
        )
        parts = [html.block(page.error)] if page.error else []
        parts += [f"<div>{html.text(notice)}</div>" for notice in page.notices]
        if page.resume:
            parts.append(f"<div>maverick.resume({html.text(repr(page.run))})</div>")
        parts.append(self.steps._repr_html_())
        parts.append(html.folded("inputs", html.value(page.inputs)))
        if page.status == "done":
            parts.append(html.folded("output", html.value(page.output)))
        return html.page(title, *parts)


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

    @property
    def steps(self) -> Steps:
        """The run's steps by path, as they stand now."""
        return self.project.run(self.run).steps

    def _repr_html_(self) -> str:
        return self.project.run(self.run)._repr_html_()


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
