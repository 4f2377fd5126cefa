"""Runs a workflow in a scratch project where no agent is asked and no time passes."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import weakref
from collections import deque
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast

from maverick.api.look import Outcome, Project
from maverick.api.runner import perform, plain_inputs
from maverick.dsl.catalog.workflow_files import is_path
from maverick.dsl.processes.stop_request import Stop
from maverick.encoding import inherited
from maverick.errors import MaverickError, UsageError
from maverick.roots import ACTED_ON, FOLDER, MARKS, VARIABLE, find_root
from maverick.runs.request import Request
from maverick.testing.doubles import Call, Doubles, write_below
from maverick.visible import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.api.runner import OnEvent
    from maverick.dsl.standins import Asked

Copied: TypeAlias = "str | PathLike[str] | Literal[False] | None"


summaries: deque[tuple[str, str]] = deque(maxlen=20)
"""What the last runs came to: name and lines, for the report of the test at hand."""


class _NoDelays(Stop):
    """A request to stop whose waits are over at once."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else 0)


class _ScratchProject(Project):
    """A project for one test, which knows nothing of the user's own workflows."""

    @property
    def user_folder(self) -> Path | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Rehearsed(Outcome):
    """What a workflow came to in a test.

    `folder` is the scratch project, which goes with this object; `asked` has what each agent and
    generator was asked, by name and in order; `called` the calls of actions that were stood in for.
    """

    folder: Path
    asked: Mapping[str, list[Asked]] = field(default_factory=dict)
    called: Mapping[str, list[Call]] = field(default_factory=dict)

    __repr__ = Outcome.__repr__

    @property
    def summary(self) -> str:
        """What it came to, in lines: status, error, who was asked and called how often."""
        lines = [f"status: {self.status}"]
        if self.error:
            lines += ["error:", *(f"  {line}" for line in self.error.splitlines())]
        elif self.status == "done":
            lines.append(f"output: {self.output!r}")
        lines += [f"notice: {notice}" for notice in self.notices]
        for what, every in (("asked", self.asked), ("called", self.called)):
            lines += [f"{what}: {name} ({len(each)} times)" for name, each in every.items()]
        return "\n".join(lines)


class Options(TypedDict, total=False):
    """The options of `run_workflow`."""

    agents: Mapping[str, object] | None
    actions: Mapping[str, object] | None
    files: Mapping[str, str | bytes] | None
    env: Mapping[str, str] | None
    project: Copied
    folder: str | PathLike[str] | None
    on_event: OnEvent | None


def run_workflow(
    path: str | PathLike[str],
    inputs: Mapping[str, object] | None = None,
    *,
    agents: Mapping[str, object] | None = None,
    actions: Mapping[str, object] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    env: Mapping[str, str] | None = None,
    project: Copied = None,
    folder: str | PathLike[str] | None = None,
    on_event: OnEvent | None = None,
) -> Rehearsed:
    r"""Run the workflow *path* in a scratch project, and give what it came to.

    *path* is a workflow's file, its text, or the name of one of the project's. No agent is asked:
    *agents* has an answer for each that the workflow comes to, and *actions* outputs for actions
    that are not to be called. An answer is a text, a value, a `Reply` that writes files as well, an
    exception that is raised, an iterator with one answer for each question, or a function. A
    function of an agent takes what it names: `prompt`, `context`, `step`, `schema`, `folder`,
    `name`, or `asked` (all of it); that of an action takes the action's arguments.

    The scratch project is a copy of the project that the workflow's file is in, if it is in one:
    the files that are tracked, or not ignored. *project* names another one; False: only the
    workflow itself. *files* (path -> content) are written over it. *folder* is where it is made,
    an empty folder or none yet. *env* is added to the environment. Delays before retries take no
    time.

    What a function asserts is raised here, when the run has ended.

    Raises:
        MaverickError: As `maverick.run`.
        UsageError: *actions* has a name that no step calls.
    """
    __tracebackhide__ = True
    base = Path(tempfile.mkdtemp(prefix="maverick-test-")) if folder is None else None
    root = (base / "project" if base else Path(fspath(cast("str", folder)))).absolute()
    try:
        reference = _make(root, path, project)
        for name, content in (files or {}).items():
            write_below(root, name, content)
        root = root.resolve()
        environment = {**inherited(), **(env or {})}
        environment.pop(VARIABLE, None)
        scratch = _ScratchProject(root, environment)
        doubles = Doubles(agents or {}, actions or {})
        scratch.stand_ins = doubles
        _check_names(scratch, reference, doubles)
        request = Request(workflow=reference, inputs=plain_inputs(inputs))
        outcome = perform(scratch, request, kind="start", on_event=on_event, stop=_NoDelays())
        doubles.check()
    except BaseException as error:
        if base is not None:
            shutil.rmtree(base, ignore_errors=True)
        if isinstance(error, MaverickError):  # Its message says it all: what follows is our code.
            raise error.with_traceback(None) from None
        raise
    fields = {each.name: getattr(outcome, each.name) for each in dataclasses.fields(outcome)}
    rehearsed = Rehearsed(**fields, folder=root, asked=doubles.asked, called=doubles.called)
    if base is not None:
        weakref.finalize(rehearsed, shutil.rmtree, base, ignore_errors=True)
    summaries.append((rehearsed.run, rehearsed.summary))
    return rehearsed


def _check_names(project: Project, reference: str, doubles: Doubles) -> None:
    """Refuse an action that no step calls: the real one would be called in its place."""
    from maverick.dsl.engine.requirements import all_steps  # noqa: PLC0415 - with the engine

    if not doubles.actions:
        return
    catalog = project.catalog()
    workflow = catalog.check(reference).workflow
    if workflow is None:  # Its problems are told when it is started.
        return
    known: set[str] = set()
    for step in all_steps(workflow, catalog):
        known |= {str(each.name) for each in step.mentions() if each.kind == "action"}
        if step.rollback is not None and step.rollback.action:
            known.add(step.rollback.action)
    for name in doubles.actions:
        if name not in known:
            raise UsageError(
                f"no step of {workflow.name} calls the action {name!r}{nearest(name, known)}; "
                f"they call {', '.join(sorted(known)) or 'none'}"
            )


# --- the scratch project --------------------------------------------------------------------------


def _make(root: Path, path: str | PathLike[str], project: Copied) -> str:
    """Make the project at *root* with the workflow *path*; give what that is called there."""
    if root.exists() and any(root.iterdir()):
        raise UsageError(f"{root} is not empty; name an empty folder for the scratch project")
    text = fspath(path)
    is_text = isinstance(path, str) and "\n" in text
    file = None if is_text else Path(text).absolute()
    is_file = file is not None and file.is_file()
    start = None if file is None else file.parent if is_file else Path.cwd()
    origin = _origin(start, project)
    if origin is not None:
        _copy(origin, root)
    root.mkdir(parents=True, exist_ok=True)
    (root / FOLDER).mkdir(exist_ok=True)
    if is_text:
        (root / "workflow.yaml").write_text(text, "utf-8")
        return str(root.resolve() / "workflow.yaml")
    if file is None or not is_file:
        if isinstance(path, str) and not is_path(text):
            return text
        raise UsageError(f"there is no workflow file {text}")
    place = Path(file.name)
    if origin is not None and file.resolve().is_relative_to(origin):
        place = file.resolve().relative_to(origin)
    target = root / place
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return str(root.resolve() / place)


def _origin(start: Path | None, project: Copied) -> Path | None:
    """Give the project that is copied; None where there is none."""
    if project is False:
        return None
    if project is not None:
        named = Path(fspath(project)).resolve()
        if not named.is_dir():
            raise UsageError(f"there is no folder {named}, which would be a project")
        return named
    if start is None:
        return None
    found = find_root(start.resolve(), inherited())
    return found if any((found / mark).exists() for mark in MARKS) else None


def _copy(origin: Path, root: Path) -> None:
    """Copy the project at *origin* to *root*, which is empty: what is tracked or not ignored."""
    from maverick.checkpoints import Store  # noqa: PLC0415 - few tests have a project
    from maverick.checkpoints.workspace import capture, open_workspace, plan_copy  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="maverick-copy-") as folder:
        store = Store.create(Path(folder) / "checkpoints")
        taken = capture(store, open_workspace(origin))
        checkpoint = store.save("copy", taken.changes)
        plan_copy(store, store.snapshot(checkpoint), root).execute()
    for part in ACTED_ON:  # They are a project's definition, and no record of its runs.
        if (origin / FOLDER / part).is_dir():
            shutil.copytree(origin / FOLDER / part, root / FOLDER / part, dirs_exist_ok=True)
