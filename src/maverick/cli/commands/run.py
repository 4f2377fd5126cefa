"""Run a workflow, or go on with a run.

Each step is saved as it finishes. When a run fails or is interrupted, the last line on standard
error is the command that resumes it. The output goes to standard output, progress to standard
error.

Examples:
  maverick run hello.yaml -i name=World
  maverick run release --inputs inputs.json --json
  maverick run release --resume
  maverick run release --resume --plan
  maverick run --resume=release-20261123-101502-k3x9
"""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, cast

import typer

from maverick.cli.answer import CommandAnswer
from maverick.cli.entry import BARE_RESUME
from maverick.cli.terminal.render import duration, plural, value_text
from maverick.cli.terminal.streams import (
    StdoutClosed,
    complain,
    print_err,
    print_value,
    stdout_kept_clean,
)
from maverick.errors import Interrupted, MaverickError, UsageError
from maverick.visible import last_states

if TYPE_CHECKING:
    from maverick.dsl.events import Event, Observer
    from maverick.dsl.workflow.outcome import Outcome
    from maverick.project import Project
    from maverick.runs.request import Policy, Request, Session
    from maverick.values import Value

EXIT_CODES: Final[Mapping[str, int]] = {"done": 0, "failed": 1, "paused": 130, "killed": 130}


class Order(NamedTuple):
    """What is asked for. `command` is `run`, or the name of the workflow that is a command of its
    own.

    `resume` is None for a new run, else a revision, or `@resumable`.
    """

    command: str
    workflow: str
    resume: str | None
    change_inputs: bool
    rerun: bool
    as_recorded: bool
    workspace: str
    from_step: str
    skip: tuple[str, ...]
    plan: bool
    as_json: bool
    quiet: bool
    plain: bool
    events: str
    folders: tuple[str, ...] = ()
    """What `-C` named."""

    def check(self) -> None:
        """Raise UsageError for options that do not go together."""
        if self.rerun and self.as_recorded:
            raise UsageError("--rerun and --as-recorded exclude each other")
        if self.from_step and self.as_recorded:
            raise UsageError(
                "--from and --as-recorded exclude each other: the one runs again what the other "
                "keeps"
            )
        chosen = {
            "--change-inputs": self.change_inputs,
            "--rerun": self.rerun,
            "--as-recorded": self.as_recorded,
            "--workspace": bool(self.workspace),
            "--from": bool(self.from_step),
            "--skip": bool(self.skip),
        }
        if self.workspace not in {"", "restore", "force-restore", "keep"}:
            raise UsageError(
                f"--workspace is restore, force-restore or keep, not {self.workspace!r}"
            )
        for option, given in chosen.items():
            if given and self.resume is None:
                raise UsageError(f"{option} says how to resume; it needs --resume")
        if self.resume == "":
            raise UsageError(
                "--resume= needs a run or another revision; `--resume` alone takes the newest run"
            )
        if not self.workflow and self.resume in (None, BARE_RESUME):
            raise UsageError(
                "which workflow? name one or give its file; only with --resume=RUN can it be "
                "left out"
            )

    @property
    def policy(self) -> "Policy":
        """What becomes of finished steps that would run again."""
        return "rerun" if self.rerun else "recorded" if self.as_recorded else "refuse"

    def resume_command(self, run: str) -> str:
        """The command that goes on with *run*."""
        workflow = [self.workflow] if self.command == "run" and self.workflow else []
        return self.command_line(self.command, *workflow, f"--resume={run}")

    def command_line(self, *words: str) -> str:
        """The command *words* as it is typed where this one was."""
        begin = [word for folder in self.folders for word in ("-C", folder)]
        return shlex.join(["maverick", *begin, *words])


def command(
    context: typer.Context,
    workflow: Annotated[
        str,
        typer.Argument(
            metavar="[WORKFLOW]", help="Name of a workflow, or its file.", show_default=False
        ),
    ] = "",
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i",
            "--input",
            metavar="KEY=VALUE",
            help="Give an input; repeatable, the last one counts.",
        ),
    ] = None,
    inputs_file: Annotated[
        str,
        typer.Option(
            "--inputs",
            metavar="FILE",
            help="Read inputs from a YAML or JSON file; - is standard input.",
        ),
    ] = "",
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="[REV]",
            help="Resume the workflow's newest run that is not done, or the run REV.",
        ),
    ] = None,
    *,
    change_inputs: Annotated[
        bool,
        typer.Option("--change-inputs", help="Resume with inputs other than the recorded ones."),
    ] = False,
    rerun: Annotated[
        bool,
        typer.Option(
            "--rerun",
            help="On resuming, run again the finished steps that changed, and what follows.",
        ),
    ] = False,
    as_recorded: Annotated[
        bool,
        typer.Option(
            "--as-recorded",
            help="On resuming, keep what finished steps recorded, whatever changed.",
        ),
    ] = False,
    workspace: Annotated[
        str,
        typer.Option(
            metavar="restore|keep",
            help="On resuming, go back to the newest checkpoint with files, or keep the files as "
            "they are. Where HEAD has moved since, only force-restore goes back.",
        ),
    ] = "",
    from_step: Annotated[
        str,
        typer.Option(
            "--from", metavar="STEP", help="On resuming, run this step again, and what follows it."
        ),
    ] = "",
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            metavar="STEP[=JSON]",
            help="On resuming, skip this step; its output is null, or JSON. Repeatable.",
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Print what would run, and why; run no step and write nothing. Modules of "
            "actions are imported.",
        ),
    ] = False,
    events: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Write each event as a line of JSON; - is standard output. A start "
            "overwrites the file, a resumption appends to it.",
        ),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with what the run came to.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print errors and the result only.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print progress without colour.")] = False,
) -> None:
    order = Order(
        command=context.info_name or "run",
        workflow=workflow,
        resume=resume,
        change_inputs=change_inputs,
        rerun=rerun,
        as_recorded=as_recorded,
        workspace=workspace,
        from_step=from_step,
        skip=tuple(skip or ()),
        plan=plan,
        as_json=as_json,
        quiet=quiet,
        plain=plain,
        events=events,
        folders=context.obj.folders,
    )
    execute(order, inputs_file, inputs or [], context.obj)


def execute(order: Order, inputs_file: str, pairs: list[str], answer: CommandAnswer) -> None:
    """Do what *order* says, and exit."""
    answer.workflow = order.workflow or None
    order.check()
    inputs = _given_inputs(inputs_file, pairs)
    with ExitStack() as stack:
        answer.one_line = order.events == "-"
        answer.out = stack.enter_context(stdout_kept_clean())
        stack.callback(setattr, answer, "out", None)
        observe = stack.enter_context(_observing(order, answer))
        code = _run(order, inputs, observe, answer)
    raise typer.Exit(code)


def _given_inputs(file: str, pairs: list[str]) -> "dict[str, Value]":
    if not file and not pairs:
        return {}
    from maverick.cli.given import given_inputs  # noqa: PLC0415 - few runs are given any

    return given_inputs(file, pairs)


def _given_outputs(pairs: "Sequence[str]") -> "dict[str, Value]":
    if not pairs:
        return {}
    from maverick.cli.given import given_outputs  # noqa: PLC0415 - as above

    return given_outputs(pairs)


def _run(
    order: Order, inputs: "dict[str, Value]", observe: "Observer", answer: CommandAnswer
) -> int:
    """Start or resume, report what came of it, and give the exit code."""
    from maverick.cli.here import asking, current_folder, this_project  # noqa: PLC0415
    from maverick.cli.terminal.interrupt import (  # noqa: PLC0415
        GaveUp,
        attend,
        catching,
        leave_at_once,
        threads_left,
    )
    from maverick.dsl.processes.stop_request import Stop  # noqa: PLC0415
    from maverick.dsl.workflow.outcome import Outcome  # noqa: PLC0415
    from maverick.repositories import bound_as_in  # noqa: PLC0415
    from maverick.runs.request import Session  # noqa: PLC0415

    project = this_project()
    answer.project = str(project.root)
    if not order.quiet and project.root != Path.cwd():
        print_err(f" project  {project.root}")
    request = _request(order, inputs)
    if order.plan:
        return _plan(order, project, request, observe, answer)
    stop = Stop()
    perform = _performer(order)
    clock = time.monotonic()
    with (
        catching(stop) as signals,
        current_folder(project.root),
        bound_as_in(project.root, os.environ),
    ):
        try:
            outcome = attend(
                lambda: perform(project, request, Session(observe, stop, asking())),
                signals,
                _teller(order.quiet),
            )
        except GaveUp:
            if answer.run is None:
                raise Interrupted(f"interrupted by {stop.reason} before a run began") from None
            error = (
                f"interrupted by {stop.reason}; a step did not end, so the run stands at its last "
                "finished step"
            )
            outcome = Outcome(
                run=answer.run, workflow=answer.workflow or "", status="killed", error=error
            )
        _report(outcome, order, project, answer, time.monotonic() - clock)
        if outcome.status == "done":
            from maverick.cli.here import collect_in_background  # noqa: PLC0415

            collect_in_background(project, _teller(order.quiet))
        if outcome.status in ("paused", "killed") and threads_left():
            leave_at_once(EXIT_CODES[outcome.status])
    return EXIT_CODES[outcome.status]


def _request(order: Order, inputs: "dict[str, Value]") -> "Request":
    """Give what *order* asks the engine for."""
    from maverick.cli.here import from_here  # noqa: PLC0415
    from maverick.runs.request import Request  # noqa: PLC0415

    return Request(
        workflow=from_here(order.workflow),
        inputs=inputs,
        revision="" if order.resume in (None, BARE_RESUME) else order.resume,
        policy=order.policy,
        change_inputs=order.change_inputs,
        workspace=cast("Literal['', 'restore', 'force-restore', 'keep']", order.workspace),
        from_step=order.from_step,
        skip=_given_outputs(order.skip),
    )


def _performer(order: Order) -> "Callable[[Project, Request, Session], Outcome]":
    """Give what starts a run, or resumes one; loads the engine."""
    if order.resume is None:
        from maverick.runs.start import start  # noqa: PLC0415

        return start
    from maverick.runs.resume import resume  # noqa: PLC0415

    return resume


def _plan(
    order: Order, project: "Project", request: "Request", observe: "Observer", answer: CommandAnswer
) -> int:
    """Print what would be done."""
    from maverick.cli.here import asking, current_folder  # noqa: PLC0415
    from maverick.cli.planned import print_plan  # noqa: PLC0415
    from maverick.runs import preview  # noqa: PLC0415

    with current_folder(project.root):
        if order.resume is None:
            plan = preview.plan_start(project, request)
        else:
            plan = preview.plan_resume(project, request, observe, can_ask=asking() is not None)
    print_plan(plan, as_json=order.as_json, plain=order.plain, out=answer.out)
    return 0


def _teller(quiet: bool) -> Callable[[str], None]:
    return (lambda _text: None) if quiet else print_err


# --- watching -------------------------------------------------------------------------------------


@contextmanager
def _observing(order: Order, answer: CommandAnswer) -> "Iterator[Observer]":
    """Give who watches the run: the command itself, the progress display, the file of events.

    One that fails is told of, and left out from then on.
    """
    from maverick.cli.terminal.progress import Progress  # noqa: PLC0415

    observers: dict[str, Observer] = {"the run's name is not known": _remembering(answer)}
    if not order.quiet:
        observers["progress is no longer shown"] = Progress(plain=order.plain)
    with ExitStack() as stack:
        if order.events:
            observers["events are no longer written"] = _event_lines(order, answer, stack)

        def observe(event: "Event") -> None:
            for what, observer in list(observers.items()):
                try:
                    observer(event)
                except Exception as error:  # noqa: BLE001 - told, and the run goes on
                    if observers.pop(what, None) is not None:
                        from maverick.cli.here import warn_of  # noqa: PLC0415

                        warn_of(what, error)

        yield observe


def _remembering(answer: CommandAnswer) -> "Observer":
    def remember(event: "Event") -> None:
        if event.event in ("run_started", "run_resumed"):
            answer.run = event.message
            answer.workflow = str(event.data.get("workflow", answer.workflow))

    return remember


def _event_lines(order: Order, answer: CommandAnswer, stack: ExitStack) -> "Observer":
    """What writes the events: a start overwrites the file, a resumption appends to it."""
    from maverick.cli.terminal.progress import EventLines, empty, end_line  # noqa: PLC0415

    name = order.events
    if name == "-" and answer.out is not None:
        return EventLines(answer.out)
    try:
        file = Path(os.devnull if name == "-" else name).open("a", encoding="utf-8")  # noqa: SIM115 - as below
    except OSError as error:
        raise UsageError(f"cannot write events to {name}: {error.strerror}") from error
    lines = EventLines(file, empty if order.resume is None else end_line)
    stack.callback(lines.close)
    return lines


# --- reporting ------------------------------------------------------------------------------------


def _report(
    outcome: "Outcome", order: Order, project: "Project", answer: CommandAnswer, seconds: float
) -> None:
    """Print what a run came to; the last line on standard error is the command that resumes it."""
    is_there = outcome.run and project.store_folder.exists()  # A step may have removed it.
    resume = order.resume_command(outcome.run) if is_there and outcome.status != "done" else None
    with suppress(StdoutClosed):  # The exit code says what became of the run, whoever listens.
        answer.given = True
        if order.as_json:
            answer.succeed(outcome, resume)
        elif outcome.status == "done" and order.events != "-":
            print_value(value_text(outcome.output), answer.out)
    if outcome.status == "done":
        if outcome.resumed_from is not None and outcome.checkpoint == outcome.resumed_from:
            print_err(f"run {outcome.run} is done; nothing was run")
        elif not order.quiet:
            print_err(f"{outcome.run} done in {duration(seconds)}: {_counts(outcome)}")
        return
    complain(last_states(outcome.error or outcome.status))
    for error in outcome.rollback_errors:
        complain(f"rollback: {last_states(error)}")
    if outcome.failed_at and not order.quiet:
        _tell_what_it_wrote(outcome, order, project)
    if resume:
        print_err(
            f"{outcome.run} {outcome.status} after {duration(seconds)}: {_counts(outcome)}; "
            "resume it with"
        )
        print_err(resume)


def _tell_what_it_wrote(outcome: "Outcome", order: Order, project: "Project") -> None:
    """Print the commands that show all that the step wrote which failed the run: a message has the
    end of it.
    """
    from maverick.cli.inside import paths_written_by  # noqa: PLC0415 - of failed runs only
    from maverick.dsl.journal.tree import RunTree  # noqa: PLC0415

    with suppress(MaverickError, OSError):  # The failure itself has been told.
        store = project.open_store()
        tree = RunTree(store.load(outcome.run))
        for what, path in paths_written_by(store, tree, outcome.failed_at).items():
            command = order.command_line("checkpoint", "show", f"{outcome.run}:{path}")
            print_err(f"everything it wrote {what}: {command}")


def _counts(outcome: "Outcome") -> str:
    counts = outcome.counts
    parts = {"recalled": counts.recalled, "skipped": counts.skipped, "failed": counts.failed}
    return ", ".join(
        [
            f"{plural(counts.ran, 'step')} ran",
            *(f"{count} {what}" for what, count in parts.items() if count),
        ]
    )
