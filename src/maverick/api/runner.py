"""Starts and resumes runs inside a program of somebody's: a script, a notebook, a test.

A run has a thread of its own, so that it works in a notebook whose event loop runs, in any thread
of the caller, and beside other runs. No signal handler is installed.
"""

from __future__ import annotations

import dataclasses
import select
import threading
from collections.abc import Mapping
from contextlib import closing
from contextvars import copy_context
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

from maverick.api.lease import project_of_the_process
from maverick.api.look import Outcome, Project, Run
from maverick.api.look import open as open_project
from maverick.dsl.catalog.workflow_files import is_path
from maverick.dsl.processes.stop_request import Stop
from maverick.dsl.processes.threads import Future
from maverick.dsl.steps.prints import apart_from_steps
from maverick.errors import InputInvalid, MaverickError, UsageError, ValueUnstorable
from maverick.runs.request import Request, Session
from maverick.values import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from maverick.dsl.events import Event, Observer
    from maverick.dsl.workflow.outcome import Outcome as EngineOutcome
    from maverick.values import Value

Which: TypeAlias = "str | Run | Outcome"
"""A run: its name or another revision, or what `run` and `Project.run` gave."""
Where: TypeAlias = "str | PathLike[str] | Project | None"
"""A project: a folder in it, or what `open` gave; None: the one of the current folder."""
Skip: TypeAlias = "str | Iterable[str] | Mapping[str, object]"
Workspace: TypeAlias = Literal["", "restore", "force-restore", "keep"]
OnEvent: TypeAlias = "Callable[[Event], object]"
Kind: TypeAlias = Literal["start", "resume", "auto"]
_INTERRUPTS: Final = 3
"""So many of them leave a run that does not end."""
_MOMENT_MILLISECONDS: Final = 100


def run(
    workflow: str | PathLike[str],
    inputs: Mapping[str, object] | None = None,
    *,
    project: Where = None,
    run_id: str = "",
    resume: bool | Which = False,
    change_inputs: bool = False,
    rerun: bool = False,
    as_recorded: bool = False,
    from_step: str = "",
    skip: Skip = (),
    workspace: Workspace = "",
    on_event: OnEvent | None = None,
) -> Outcome:
    """Run *workflow*, a name or a file, and give what the run came to.

    A run that fails is given as well: look at `status`. *inputs* are plain Python values.
    *on_event* is called with each event, from any thread, and must not block for long.

    The other options are those of `maverick run`. *resume* is True for the newest run of the
    workflow that is not done, `"auto"` to start one where there is none, or names a run; *skip* is
    a step's path, several, or a mapping to their outputs.

    Nothing is printed on standard output: what actions print goes to standard error, and into the
    run's logs. The current folder is the project's while the run goes on.

    Raises:
        MaverickError: There is no run: the workflow or its inputs are wrong (UsageError,
            WorkflowInvalid), there is nothing to resume (NotFound), another process executes the
            run (RunOwned), finished steps would run again (RunDiffers), the store is damaged.
        KeyboardInterrupt: The run was interrupted. It is paused, and can be resumed.
    """
    __tracebackhide__ = True
    options = _Options(change_inputs, rerun, as_recorded, from_step, _skipped(skip), workspace)
    kind, revision = _resumed(resume)
    reference = _reference(workflow)
    if not reference:
        raise UsageError("which workflow? name one or give its file")
    if run_id and kind == "resume":
        raise UsageError(
            "`run_id` names a new run, and `resume` one that is there; with resume='auto' it goes "
            "on with the run of that name, or starts it"
        )
    options.check(kind)
    request = options.request(inputs, workflow=reference, revision=revision, run=run_id)
    return perform(_opened(project, resume), request, kind=kind, on_event=on_event)


def resume(
    run: Which | None = None,
    inputs: Mapping[str, object] | None = None,
    *,
    project: Where = None,
    change_inputs: bool = False,
    rerun: bool = False,
    as_recorded: bool = False,
    from_step: str = "",
    skip: Skip = (),
    workspace: Workspace = "",
    on_event: OnEvent | None = None,
) -> Outcome:
    """Go on with *run*, of whatever workflow; without one, with the newest that is not done.

    A run that is done gives what it recorded, and runs nothing. The options are those of `run`.

    Raises:
        MaverickError: As `run`.
        KeyboardInterrupt: As `run`.
    """
    __tracebackhide__ = True
    options = _Options(change_inputs, rerun, as_recorded, from_step, _skipped(skip), workspace)
    opened = _opened(project, run)
    if run is None:
        from maverick.runs.find import newest_unfinished  # noqa: PLC0415 - most name the run

        run = newest_unfinished(opened, [])
    _, revision = _resumed(run)
    options.check("resume")
    request = options.request(inputs, revision=revision)
    return perform(opened, request, kind="resume", on_event=on_event)


# --- what is asked for ----------------------------------------------------------------------------


def _opened(project: Where, run: bool | Which | None) -> Project:
    """Open *project*; where it is not given that of *run*, if this knows it."""
    if project is None and isinstance(run, Run | Outcome):
        return run.project
    return project if isinstance(project, Project) else open_project(project)


def _reference(workflow: str | PathLike[str]) -> str:
    """Give a workflow's file as it is found from the current folder; its name as it is."""
    text = fspath(workflow)
    is_file = not isinstance(workflow, str) or is_path(text)
    return str(Path(text).absolute()) if is_file else text


def _resumed(which: bool | Which) -> tuple[Kind, str]:
    """Give what is to be done, and the revision to resume from; empty: the newest that fits."""
    match which:
        case False:
            return "start", ""
        case True:
            return "resume", ""
        case "auto":
            return "auto", ""
        case Run():
            return "resume", which.name
        case Outcome():
            return "resume", which.run
        case str() if which:
            return "resume", which
    raise UsageError(
        f"{which!r} names no run: give its name or another revision, or True for the newest run of "
        "the workflow that is not done"
    )


class _Options(NamedTuple):
    """How to resume."""

    change_inputs: bool
    rerun: bool
    as_recorded: bool
    from_step: str
    skip: dict[str, Value]
    workspace: Workspace

    def check(self, kind: Kind) -> None:
        """Raise UsageError for options that do not go together."""
        if self.rerun and self.as_recorded:
            raise UsageError("`rerun` and `as_recorded` exclude each other")
        if self.from_step and self.as_recorded:
            raise UsageError("`from_step` and `as_recorded` exclude each other")
        if self.workspace not in {"", "restore", "force-restore", "keep"}:
            raise UsageError(
                f"`workspace` is restore, force-restore or keep, not {self.workspace!r}"
            )
        given = [name for name, value in self._asdict().items() if value]
        if given and kind == "start":
            raise UsageError(f"`{given[0]}` says how to resume; it needs `resume`")
        if kind == "auto" and (self.from_step or self.skip):
            raise UsageError(
                "`from_step` and `skip` change a run that is there; with resume='auto' there may "
                "be none: name the run"
            )

    def request(
        self,
        inputs: Mapping[str, object] | None,
        *,
        revision: str,
        workflow: str = "",
        run: str = "",
    ) -> Request:
        """Give what the engine is asked for."""
        return Request(
            workflow=workflow,
            inputs=plain_inputs(inputs),
            run=run,
            revision=revision,
            policy="rerun" if self.rerun else "recorded" if self.as_recorded else "refuse",
            change_inputs=self.change_inputs,
            workspace=self.workspace,
            from_step=self.from_step,
            skip=self.skip,
        )


def plain_inputs(inputs: Mapping[str, object] | None) -> dict[str, Value]:
    """Give *inputs* as values. Raises InputInvalid for what is none."""
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InputInvalid(f"inputs are a mapping of names to values, not {_article(inputs)}")
    try:
        return cast("dict[str, Value]", normalise(dict(inputs or {}), "inputs"))
    except ValueUnstorable as error:
        raise InputInvalid(str(error)) from error


def _skipped(skip: Skip) -> dict[str, Value]:
    if isinstance(skip, str):
        return {skip: None} if skip else {}
    outputs = dict(skip) if isinstance(skip, Mapping) else dict.fromkeys(skip)
    if not all(isinstance(path, str) for path in outputs):
        raise UsageError(
            f"`skip` is a step's path, several, or a mapping of paths to outputs, not {skip!r:.100}"
        )
    try:
        return cast("dict[str, Value]", normalise(outputs, "skip"))
    except ValueUnstorable as error:
        raise UsageError(str(error)) from error


def _article(given: object) -> str:
    kind = type(given).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


# --- the run --------------------------------------------------------------------------------------


def perform(
    project: Project,
    request: Request,
    *,
    kind: Kind,
    on_event: OnEvent | None = None,
    stop: Stop | None = None,
) -> Outcome:
    """Do what *request* asks for in a thread of its own, and wait for its end."""
    __tracebackhide__ = True
    stop = stop or Stop()
    session = Session(_observer(on_event), stop, is_guest=True)
    do = _performer(kind)
    try:
        with project_of_the_process(project.root):
            outcome = _attended(lambda: do(project, request, session), stop)
    except MaverickError as error:  # Its message says it all: what follows is our code.
        raise error.with_traceback(None) from error.__cause__
    return outcome_in(project, outcome)


def _performer(kind: Kind) -> Callable[[Project, Request, Session], EngineOutcome]:
    if kind == "start":
        from maverick.runs.start import start  # noqa: PLC0415 - each with what it alone needs

        return start
    if kind == "auto":
        from maverick.runs.auto import start_or_resume  # noqa: PLC0415

        return start_or_resume
    from maverick.runs.resume import resume  # noqa: PLC0415

    return resume


def outcome_in(project: Project, outcome: EngineOutcome) -> Outcome:
    """Give *outcome*, of a run of *project*, as it is shown."""
    fields = {each.name: getattr(outcome, each.name) for each in dataclasses.fields(outcome)}
    return Outcome(**fields, project=project)


def _observer(on_event: OnEvent | None) -> Observer:
    def observe(event: Event) -> None:
        if on_event is not None:
            on_event(event)

    return apart_from_steps(observe)


def _attended(work: Callable[[], EngineOutcome], stop: Stop) -> EngineOutcome:
    """Do *work* in a thread; what is raised here meanwhile requests *stop*, and is raised when the
    work has ended.

    That is KeyboardInterrupt, or what a signal handler of the caller raises. The second one stops
    at once, the third one does not wait.
    """
    future: Future[EngineOutcome] = Future()
    interrupt: BaseException | None = None
    count = 0
    thread = threading.Thread(
        target=copy_context().run, args=(future.do, work), name="maverick run", daemon=True
    )
    with closing(future):
        while True:
            try:
                if thread.ident is None:
                    thread.start()
                while not future.has_ended:
                    _wait(future)
                break
            except BaseException as error:
                if thread.ident is None:
                    raise
                interrupt, count = error, count + 1
                stop.request("SIGINT" if isinstance(error, KeyboardInterrupt) else repr(error))
                if count == _INTERRUPTS:
                    interrupt.add_note("the run has not ended; it is still being stopped")
                    raise
        if interrupt is None:
            return future.result()
    raise _noted(interrupt, future)


def _noted(interrupt: BaseException, future: Future[EngineOutcome]) -> BaseException:
    """Give *interrupt* with what became of the run."""
    if future.error is not None:
        interrupt.add_note(f"no run: {future.error}")
        return interrupt
    outcome = future.result()
    how = "" if outcome.status == "done" else f"; go on with it: maverick.resume({outcome.run!r})"
    interrupt.add_note(f"{outcome.run} {outcome.status}{how}")
    return interrupt


def _wait(future: Future[EngineOutcome]) -> None:
    """Wait for a moment: a KeyboardInterrupt that is no signal ends no wait of the system's."""
    poll = select.poll()
    poll.register(future, select.POLLIN)
    poll.poll(_MOMENT_MILLISECONDS)
