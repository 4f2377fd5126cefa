"""A job of GitHub Actions that runs this program: groups, annotations, secrets to be masked."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maverick.cli.terminal.streams import print_err
from maverick.errors import MaverickError
from maverick.visible import last_states, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maverick.cli.github.job_log import GithubLog
    from maverick.dsl.events import Event, Observer
    from maverick.dsl.workflow.outcome import Outcome
    from maverick.errors import Problem
    from maverick.project import Project
    from maverick.views.run_page import RunPage

_MOST_ANNOTATIONS: Final = 50
"""GitHub shows ten of a step, and no more than fifty of a job."""
_LONGEST: Final = 4_000
"""Characters of what an annotation says."""
_ENDS: Final = frozenset({"step_done", "step_failed"})
_UNMASKED: Final = (
    "note: GitHub is not told what to mask, since standard error is redirected; leave it as it is "
    "(no `2>`, no `2>&1 |`), or mask the secrets in an earlier step with `::add-mask::`"
)


class Job:
    """What the job is told. Threads may share it."""

    def __init__(self, log: GithubLog) -> None:
        self._log = log
        self._group = ""
        self._failures: dict[str, str] = {}
        self._hides = False
        """Whether there are secrets of which GitHub cannot be told."""
        self._lock = threading.Lock()

    def mask_secrets(self, project: Project) -> None:
        """Let GitHub mask the project's secrets; to be called before anything else is printed.

        To a file, or to another program, the secrets themselves are not written; that is said once
        a run begins.
        """
        secrets = _secrets(project)
        self._hides = bool(secrets) and not self._log.is_read_alone
        if self._hides:
            return
        for secret in secrets:
            self._log.command("add-mask", secret)

    # --- while it runs ----------------------------------------------------------------------------

    def grouping(self, shows: Observer) -> Observer:
        """Give what lets *shows* show what happens, each step of the workflow in a group."""

        def observe(event: Event) -> None:
            step = event.step
            if step and event.event == "step_started" and not _is_inside(step):
                self._open(step)
            elif step == self._group and event.event in _ENDS:
                self.close_group()
            shows(event)

        return observe

    def _open(self, step: str) -> None:
        with self._lock:
            self._close()
            self._log.command("group", visible(step))
            self._group = step

    def close_group(self) -> None:
        """End the group of the step that runs, if there is one."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._group:
            self._log.command("endgroup")
            self._group = ""

    def note_failure(self, event: Event) -> None:
        """Observe which steps fail the run. As it begins, say if its secrets are not masked."""
        if self._hides and event.event in {"run_started", "run_resumed"}:
            self._hides = False
            print_err(_UNMASKED)
        data = event.data
        if event.event == "step_failed" and data.get("fatal") and not data.get("failed_at"):
            with self._lock:
                self._failures[event.step] = event.message

    # --- at the end -------------------------------------------------------------------------------

    def tell_problems(self, problems: Sequence[Problem], root: str | None) -> None:
        """Annotate the problems of a workflow's file, in the project at *root*."""
        for problem in problems[:_MOST_ANNOTATIONS]:
            file = _in_repository(Path(problem.file), Path(root or "."))
            line = (problem.line or None) if file is not None else None
            self._log.command("error", _cut(problem.message), file=file, line=line)

    def tell_error(self, message: str) -> None:
        """Annotate that there is no run, and why."""
        self.close_group()
        self._log.command("error", _cut(message))

    def tell_end(
        self, outcome: Outcome, project: Project, resume: str | None, *, strict: bool
    ) -> None:
        """Annotate what failed, and what a person has to know (with *strict* that is an error);
        write the job's files.
        """
        from maverick.cli.jobs.job_files import write_outputs, write_summary  # noqa: PLC0415 - at the end only

        self.close_group()
        page = _page(outcome, project)
        for notice in outcome.notices:
            self._log.command("error" if strict else "warning", _cut(notice))
        if outcome.status == "failed":
            self._tell_failures(outcome, page, project.root)
        elif outcome.status != "done":
            self._log.command("warning", _cut(outcome.error or outcome.status))
        write_outputs(outcome, os.environ)
        if page is not None:
            write_summary(page, resume, os.environ)

    def _tell_failures(self, outcome: Outcome, page: RunPage | None, root: Path) -> None:
        from maverick.dsl.paths import is_within  # noqa: PLC0415 - at the end only

        failures = {step: f"step {step}: {error}" for step, error in self._failures.items()}
        if not any(is_within(step, outcome.failed_at) for step in failures):
            failures = {outcome.failed_at: outcome.error or "failed", **failures}
        for step, message in list(failures.items())[:_MOST_ANNOTATIONS]:
            file, line = _place(page, step, root) if page is not None and step else (None, None)
            self._log.command("error", _cut(message), file=file, line=line)


def _is_inside(step: str) -> bool:
    """Whether the step at this path stands in another one."""
    return "." in step or "[" in step


def _cut(message: str) -> str:
    text = visible(last_states(message))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _secrets(project: Project) -> list[str]:
    """Give the secrets of *project* as the lines that they may stand in."""
    from maverick.dsl.processes.secrets import CREDENTIALS, parts_of  # noqa: PLC0415 - in jobs only

    names: Sequence[str] = ()
    with suppress(MaverickError):  # It is told where it is needed; the credentials are masked.
        names = project.config.secrets
    values = {project.environment.get(name, "") for name in (*CREDENTIALS, *names)}
    parts = {part for value in values for part in parts_of(value)}
    return sorted(part for part in parts if "\n" not in part and "\r" not in part)


def _page(outcome: Outcome, project: Project) -> RunPage | None:
    from maverick.views.page_loader import load_page  # noqa: PLC0415 - at the end only

    with suppress(MaverickError, OSError):  # The run has told what it came to.
        store = project.open_store()
        return load_page(str(project.root), store, store.resolve(outcome.run))
    return None


def _place(page: RunPage, step: str, root: Path) -> tuple[str | None, int | None]:
    """Give the file and line where the step, or what it stands in, is defined."""
    from maverick.dsl.paths import StepPath  # noqa: PLC0415 - as above

    path = StepPath(step)
    for each in (path, *reversed(list(path.ancestors()))):
        outlined = page.definition.find(each)
        if outlined is not None:
            place = outlined.step.place
            file = _in_repository(Path(place.file), root)
            return (file, place.line) if file is not None else (None, None)
    return None, None


def _in_repository(file: Path, root: Path) -> str | None:
    """Give *file*, as seen from the project's *root*, as it is called in the repository; None if it
    is not in there.
    """
    from maverick.repositories import work_tree_of  # noqa: PLC0415 - as above

    top = work_tree_of(root) or os.environ.get("GITHUB_WORKSPACE") or root
    path, folder = os.path.realpath(root / file), os.path.realpath(top)
    if not os.path.isfile(path) or os.path.commonpath([path, folder]) != folder:  # noqa: PTH113 - a text
        return None
    return os.path.relpath(path, folder)
