"""Run a workflow, or go on with a run.

Each step is saved as it finishes. When a run fails or is interrupted, the last line on standard
error is the command that resumes it. The output goes to standard output, progress to standard
error.

Examples:
  maverick run hello.yaml -i name=World
  maverick run release --inputs inputs.json --json
  maverick run release --resume
  maverick run release --resume --plan
  maverick run release --resume=auto --run-id=release-1.4
  maverick run --resume=release-20261123-101502-k3x9
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from maverick.cli.answer import CommandAnswer
from maverick.cli.closing import report
from maverick.cli.entry import AUTO_RESUME, BARE_RESUME
from maverick.cli.observing import Observers, observing
from maverick.cli.order import EXIT_CODES, Order
from maverick.cli.terminal.streams import print_err, stdout_kept_clean
from maverick.errors import Interrupted

if TYPE_CHECKING:
    from maverick.cli.terminal.interrupt import Signals
    from maverick.dsl.events import Observer
    from maverick.dsl.processes.stop_request import Stop
    from maverick.dsl.workflow.outcome import Outcome
    from maverick.project import Project
    from maverick.runs.request import Request, Session
    from maverick.values import Value


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
            help="Resume the workflow's newest run that is not done, or the run REV; auto starts "
            "one where there is none.",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run-id",
            metavar="ID",
            help="Call the new run ID. With --resume=auto, go on with that run alone.",
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
    progress: Annotated[
        str,
        typer.Option(
            metavar="auto|tree|lines|json",
            help="How to show what runs: as a display on a terminal, as lines, or as JSON on "
            "standard error. The default is MAVERICK_PROGRESS, else auto.",
        ),
    ] = "",
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Also show skipped steps, and those that are made of steps."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print errors and the result only; show no progress.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print progress as lines without colour.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 also if a run that is done has notices.")
    ] = False,
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
        run_id=run_id,
        strict=strict,
        progress=progress,
        verbose=verbose,
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
        observers = stack.enter_context(observing(order, answer))
        code = _run(order, inputs, observers, answer)
    raise typer.Exit(code)


def _given_inputs(file: str, pairs: list[str]) -> "dict[str, Value]":
    if not file and not pairs:
        return {}
    from maverick.cli.typed.given import given_inputs  # noqa: PLC0415 - few runs are given any

    return given_inputs(file, pairs)


def _given_outputs(pairs: "Sequence[str]") -> "dict[str, Value]":
    if not pairs:
        return {}
    from maverick.cli.typed.given import given_outputs  # noqa: PLC0415 - as above

    return given_outputs(pairs)


def _run(
    order: Order, inputs: "dict[str, Value]", observe: Observers, answer: CommandAnswer
) -> int:
    """Start or resume, report what came of it, and give the exit code."""
    from maverick.cli.here import asking, this_project  # noqa: PLC0415
    from maverick.cli.terminal.interrupt import catching, leave_at_once, threads_left  # noqa: PLC0415
    from maverick.dsl.processes.stop_request import Stop  # noqa: PLC0415
    from maverick.repositories import bound_as_in  # noqa: PLC0415
    from maverick.roots import current_folder  # noqa: PLC0415
    from maverick.runs.request import Session  # noqa: PLC0415

    project = this_project()
    answer.project = str(project.root)
    if answer.job is not None:
        answer.job.mask_secrets(project)
    if not order.quiet and project.root != Path.cwd():
        print_err(f" project  {project.root}")
    request = _request(order, inputs)
    if order.plan:
        return _plan(order, project, request, observe, answer)
    stop = Stop()
    session = Session(observe, stop, asking(), shows_prints=observe.shows_prints)
    perform = _performer(order)
    with (
        catching(stop, observe.leave) as signals,
        current_folder(project.root),
        bound_as_in(project.root, os.environ),
    ):
        outcome = _attended(
            lambda: perform(project, request, session), signals, stop, answer, quiet=order.quiet
        )
        observe.close()
        report(outcome, order, project, answer)
        if outcome.status == "done":
            from maverick.cli.here import collect_in_background  # noqa: PLC0415

            collect_in_background(project, _teller(order.quiet))
        if outcome.status in ("paused", "killed") and threads_left():
            leave_at_once(EXIT_CODES[outcome.status])
    return 1 if order.strict and outcome.notices else EXIT_CODES[outcome.status]


def _attended(
    perform: "Callable[[], Outcome]",
    signals: "Signals",
    stop: "Stop",
    answer: CommandAnswer,
    *,
    quiet: bool,
) -> "Outcome":
    """Give what *perform* comes to, or what there is to say of a run whose step did not end."""
    from maverick.cli.terminal.interrupt import GaveUp, attend  # noqa: PLC0415
    from maverick.dsl.workflow.outcome import Outcome  # noqa: PLC0415

    clock = time.monotonic()
    try:
        return attend(perform, signals, _teller(quiet))
    except GaveUp:
        if answer.run is None:
            raise Interrupted(f"interrupted by {stop.reason} before a run began") from None
        seconds = time.monotonic() - clock
        return Outcome(
            run=answer.run,
            workflow=answer.workflow or "",
            status="killed",
            error=f"interrupted by {stop.reason}; a step did not end, so the run stands at its "
            "last finished step",
            seconds=seconds,
            execution_seconds=seconds,
        )


def _request(order: Order, inputs: "dict[str, Value]") -> "Request":
    """Give what *order* asks the engine for."""
    from maverick.cli.here import from_here  # noqa: PLC0415
    from maverick.runs.request import Request  # noqa: PLC0415

    return Request(
        workflow=from_here(order.workflow),
        inputs=inputs,
        run=order.run_id or "",
        revision="" if order.resume in (None, BARE_RESUME, AUTO_RESUME) else order.resume,
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
    if order.resume == AUTO_RESUME:
        from maverick.runs.auto import start_or_resume  # noqa: PLC0415

        return start_or_resume
    from maverick.runs.resume import resume  # noqa: PLC0415

    return resume


def _plan(
    order: Order, project: "Project", request: "Request", observe: "Observer", answer: CommandAnswer
) -> int:
    """Print what would be done."""
    from maverick.cli.here import asking  # noqa: PLC0415
    from maverick.cli.planned import print_plan  # noqa: PLC0415
    from maverick.roots import current_folder  # noqa: PLC0415
    from maverick.runs import preview  # noqa: PLC0415

    with current_folder(project.root):
        starts = order.resume is None
        if order.resume == AUTO_RESUME:
            from maverick.runs.auto import choose  # noqa: PLC0415

            choice = choose(project, request)
            choice.tell(observe)
            starts = not choice.run
            request = request if starts else replace(request, run="", revision=choice.run)
        if starts:
            plan = preview.plan_start(project, request)
        else:
            plan = preview.plan_resume(project, request, observe, can_ask=asking() is not None)
    print_plan(plan, as_json=order.as_json, plain=order.plain, out=answer.out)
    return 0


def _teller(quiet: bool) -> Callable[[str], None]:
    return (lambda _text: None) if quiet else print_err
