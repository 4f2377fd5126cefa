"""The closing lines of a command that ran a workflow: what the run came to, and how to go on."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from maverick.cli.answer import CommandAnswer
from maverick.cli.order import Order
from maverick.cli.terminal.render import paint, plural, value_text
from maverick.cli.terminal.streams import (
    StdoutClosed,
    complain,
    has_colour,
    print_err,
    print_value,
)
from maverick.errors import MaverickError
from maverick.visible import duration, last_states, shown

if TYPE_CHECKING:
    from maverick.cli.jobs.job import Job
    from maverick.dsl.workflow.outcome import Outcome
    from maverick.project import Project


def report(outcome: "Outcome", order: Order, project: "Project", answer: CommandAnswer) -> None:
    """Print what a run came to, and how long this execution of it took; the last line on standard
    error is the command that resumes it.

    A job of GitHub Actions is told ahead of that.
    """
    is_there = outcome.run and project.store_folder.exists()  # A step may have removed it.
    resume = order.resume_command(outcome.run) if is_there and outcome.status != "done" else None
    if answer.job is not None:
        _tell_job(answer.job, outcome, order, project, resume)
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
            took = duration(outcome.execution_seconds)
            print_err(f"{outcome.run} done in {took}: {counts_text(outcome)}")
        _tell_notices(outcome, order)
        return
    complain(last_states(outcome.error or outcome.status))
    for error in outcome.rollback_errors:
        complain(f"rollback: {last_states(error)}")
    if outcome.failed_at and not order.quiet:
        _tell_what_it_wrote(outcome, order, project)
    if resume:
        print_err(
            f"{outcome.run} {outcome.status} after {duration(outcome.execution_seconds)}: "
            f"{counts_text(outcome)}; resume it with"
        )
        print_err(resume)


def _tell_job(
    job: "Job", outcome: "Outcome", order: Order, project: "Project", resume: str | None
) -> None:
    try:
        job.tell_end(outcome, project, resume, strict=order.strict)
    except Exception as error:  # noqa: BLE001 - told, and the run is what it is
        from maverick.cli.here import warn_of  # noqa: PLC0415 - nearly never needed

        warn_of("GitHub is not told what the run came to", error)


def _tell_notices(outcome: "Outcome", order: Order) -> None:
    """Print what a person has to know of a run that is done."""
    notices = outcome.notices
    if not order.quiet or order.strict:
        colour = has_colour(sys.stderr, plain=order.plain)
        for text in notices:
            print_err(shown(paint("note", "yellow", on=colour), f": {last_states(text)}"))
    if order.strict and notices:
        complain(f"done with {plural(len(notices), 'notice')}; with --strict that exits with 1")


def _tell_what_it_wrote(outcome: "Outcome", order: Order, project: "Project") -> None:
    """Print the command that shows all that the step wrote which failed the run: a message has the
    end of it.
    """
    from maverick.cli.typed.inside import has_written  # noqa: PLC0415 - of failed runs only
    from maverick.dsl.journal.tree import RunTree  # noqa: PLC0415

    with suppress(MaverickError, OSError):  # The failure itself has been told.
        store = project.open_store()
        if has_written(store, RunTree(store.load(outcome.run)), outcome.failed_at):
            command = order.command_line("logs", outcome.run, outcome.failed_at)
            print_err(f"everything it wrote: {command}")


def counts_text(outcome: "Outcome") -> str:
    """Say what became of how many steps, and what the run cost so far if agents were called."""
    counts = outcome.counts
    others = ("recalled", "reused", "skipped", "failed")
    parts = [f"{count:,} {what}" for what in others if (count := getattr(counts, what))]
    text = ", ".join([f"{plural(counts.ran, 'step')} ran", *parts])
    if not outcome.costs.calls:
        return text
    from maverick.cli.run_text import cost_text  # noqa: PLC0415 - of runs with agents only

    return f"{text}; {cost_text(outcome.costs)}"
