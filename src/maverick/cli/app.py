"""The program's commands, and the one place where errors become messages and exit codes.

Each command's module is imported when the command is asked for: what a command does not need costs
it nothing.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from maverick import __version__
from maverick.cli import entry
from maverick.cli.answer import Answer
from maverick.cli.entry import Entry, function
from maverick.cli.terminal.render import plural
from maverick.cli.terminal.streams import StdoutClosed, complain, prepare_streams
from maverick.errors import Fault, Interrupted, MaverickError, UsageError, WorkflowInvalid


def _shipped(name: str) -> Any:
    """The command that runs the workflow *name*, with its inputs as options."""
    from maverick.cli.commands.shipped import shipped  # noqa: PLC0415 - reads the workflow

    return shipped(name)


class Checkpoint(entry.Group):
    """Look at what runs recorded, compare it, and tidy it.

    A revision names a checkpoint: RUN (its newest), RUN~2 (two before it), RUN@LABEL, @latest (of
    all runs), fly@latest (of a workflow's runs), or four or more digits of an id. REV:PATH names
    what is in it, such as steps.plan.output. The first @ ends the run's name; a label may hold more
    of them, and goes before a ~2.

    Examples:
      maverick checkpoint log @latest
      maverick checkpoint show @latest:steps.plan.output
    """

    entries = {  # noqa: RUF012 - never changed
        "list": Entry("List the runs with their labels.", function("runs:list_checkpoints")),
        "log": Entry("List the checkpoints of a run.", function("runs:log")),
        "show": Entry("Show a checkpoint, or a value in it.", function("show:show")),
        "cat": Entry("Write a value's bytes.", function("show:cat")),
        "diff": Entry("Compare two checkpoints.", function("show:diff")),
        "create": Entry("Save the project's files as they are now.", function("files:create")),
        "restore": Entry("Make files what they were in a checkpoint.", function("files:restore")),
        "tag": Entry("Give a checkpoint a name that stays.", function("amend:tag")),
        "drop": Entry("Forget runs.", function("amend:drop")),
        "fork": Entry("Begin a new run at a checkpoint.", function("amend:fork")),
        "edit": Entry("Correct what a step gave, or a run's inputs.", function("edit:edit")),
        "undo": Entry("Take back the last change made by hand.", function("amend:undo")),
        "export": Entry("Write a run into one file.", function("transfer:export")),
        "import": Entry("Take in a run from a file.", function("transfer:import_run")),
        "gc": Entry("Remove what no run needs any more.", function("maintain:gc")),
        "fsck": Entry("Check the store for damage.", function("maintain:fsck")),
    }


class WorkflowGroup(entry.Group):
    """Look at workflows.

    Examples:
      maverick workflow list
      maverick workflow check deploy.yaml
    """

    entries = {  # noqa: RUF012
        "list": Entry(
            "List the workflows that can be run here.", function("workflows:list_workflows")
        ),
        "show": Entry(
            "Show a workflow's description, inputs and steps.", function("workflows:show")
        ),
        "check": Entry("Report every problem of a workflow file.", function("workflows:check")),
    }


class Program(entry.Group):
    """Run workflows; each run is a history that can be resumed, looked into and compared.

    Examples:
      maverick run hello.yaml -i name=World
      maverick runs
    """

    entries = {  # noqa: RUF012
        "run": Entry("Run a workflow, or go on with a run.", function("run:run")),
        "fly": Entry("Run the workflow `fly`: from a task list to a pull request.", _shipped),
        "refuel": Entry("Run the workflow `refuel`: fix the issues that have a label.", _shipped),
        "review": Entry("Run the workflow `review`: judge a pull request or a branch.", _shipped),
        "runs": Entry("List the runs of this project.", function("runs:runs")),
        "workflow": Entry("Look at workflows.", entry.group(WorkflowGroup)),
        "checkpoint": Entry("Look at what runs recorded, and tidy it.", entry.group(Checkpoint)),
    }

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,  # noqa: ARG002 - there is no shell completion
        standalone_mode: bool = True,  # noqa: ARG002
        windows_expand_args: bool = True,  # noqa: ARG002
        **extra: Any,
    ) -> Any:
        """Run the command that *args* name, and exit with its code."""
        arguments = list(sys.argv[1:] if args is None else args)
        prepare_streams()
        answer = Answer(arguments)
        with _coming_back(answer):
            code = self._guarded(arguments, answer, {**extra, "prog_name": prog_name or "maverick"})
        sys.exit(code)

    def _guarded(self, arguments: list[str], answer: Answer, settings: dict[str, Any]) -> int:
        """Run a command. Whatever it raises becomes a message and an exit code."""
        try:
            _refuse_system()
            code = super().main(arguments, **{**settings, "standalone_mode": False, "obj": answer})
        except WorkflowInvalid as error:
            return _invalid(error, answer)
        except StdoutClosed:  # `| head` has seen enough.
            return 0
        except KeyboardInterrupt:
            code = Interrupted.exit_code
        except Exception as error:  # noqa: BLE001 - one that nobody foresaw is told as such
            message, code = _told(error)
            return _fail(message, answer, code)
        if code == Interrupted.exit_code and not answer.given:
            # Ctrl-C; a run that it paused has answered.
            return _fail("interrupted", answer, code)
        return code if isinstance(code, int) else 0


@contextmanager
def _coming_back(answer: Answer) -> Iterator[None]:
    """Undo `-C` in the end, for a program that runs this one in its own process."""
    before = None
    with suppress(OSError):  # It was removed.
        before = Path.cwd()
    try:
        yield
    finally:
        if answer.folders and before is not None:
            with suppress(OSError):  # It is closed to this user.
                os.chdir(before)


def _told(error: Exception) -> tuple[str, int]:
    """What is said of *error*, and the exit code."""
    if isinstance(error, MaverickError) and not isinstance(error, Fault):
        return str(error), error.exit_code
    usage = entry.usage_message(error)
    if usage is not None:
        return usage, UsageError.exit_code
    from maverick.cli.here import explained  # noqa: PLC0415 - nearly never needed

    return explained(error), Fault.exit_code


def _fail(message: str, answer: Answer, code: int, *, head: str = "") -> int:
    complain(head + message)
    with suppress(StdoutClosed, MaverickError):  # There is nobody left to tell.
        answer.fail(message)
    return code


def _invalid(error: WorkflowInvalid, answer: Answer) -> int:
    """Say what is wrong with a workflow; a problem that has a place stands on a line that begins
    with it.
    """
    lines = [str(it) if it.line else f"{it.file}: {it.message}" for it in error.problems]
    head = f"{plural(len(lines), 'problem')}:\n" if any(it.line for it in error.problems) else ""
    return _fail("\n".join(lines), answer, error.exit_code, head=head)


def _refuse_system() -> None:
    if sys.platform not in ("linux", "darwin"):
        from maverick.project import refuse_system  # noqa: PLC0415

        refuse_system(sys.platform)


app = typer.Typer(cls=Program, help=entry.help_text(Program), **entry.PLAIN)


@app.callback()
def _root(
    context: typer.Context,
    *,
    folder: Annotated[
        list[str] | None,
        typer.Option(
            "-C",
            metavar="DIR",
            help="Begin in this folder; relative files are meant from there. Before the command.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"maverick {__version__}")  # noqa: T201
        raise typer.Exit
    if folder:
        from maverick.cli.here import go_to  # noqa: PLC0415 - few commands begin elsewhere

        context.obj.folders, context.obj.is_lost = tuple(folder), True
        go_to(folder)
        context.obj.is_lost = False
    entry.require_command(context)


def program() -> None:
    """Run the command line of this process."""
    typer.main.get_command(app)()
