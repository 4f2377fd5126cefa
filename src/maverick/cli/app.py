"""The program: its commands, and the one place where errors become messages and exit codes."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar

import typer

from maverick import __version__
from maverick.cli import commands
from maverick.cli.answer import CommandAnswer
from maverick.cli.entry import PLAIN, Group, MadeCommand, help_text, require_command, usage_message
from maverick.cli.terminal.render import plural
from maverick.cli.terminal.streams import StdoutClosed, complain, prepare_streams, read_by_github
from maverick.errors import Fault, Interrupted, MaverickError, UsageError, WorkflowInvalid

_ABOUT = """Run workflows; each run is a history that can be resumed, looked into and compared.

Examples:
  maverick run hello.yaml -i name=World
  maverick runs
"""


def _shipped(name: str) -> Any:
    """The command that runs the workflow *name*, with its inputs as options."""
    from maverick.cli.shipped import shipped  # noqa: PLC0415 - reads the workflow

    return shipped(name)


class Program(Group):
    """The commands of this program: the folder `commands`, and the workflows that ship."""

    module: ClassVar[ModuleType] = commands
    others = {  # noqa: RUF012 - never changed
        "fly": MadeCommand("Run the workflow `fly`: from a task list to a pull request.", _shipped),
        "refuel": MadeCommand(
            "Run the workflow `refuel`: fix the issues that have a label.", _shipped
        ),
        "review": MadeCommand(
            "Run the workflow `review`: judge a pull request or a branch.", _shipped
        ),
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
        answer = CommandAnswer(arguments, {"run", "resume", *self.others})
        with read_by_github() as is_job, _folder_kept(answer):
            if is_job:
                from maverick.cli.jobs.job import Job  # noqa: PLC0415 - only there

                answer.job = Job.of(sys.stderr)
            code = self._run_guarded(
                arguments, answer, {**extra, "prog_name": prog_name or "maverick"}
            )
        sys.exit(code)

    def _run_guarded(
        self, arguments: list[str], answer: CommandAnswer, settings: dict[str, Any]
    ) -> int:
        """Run a command. Whatever it raises becomes a message and an exit code."""
        try:
            _refuse_system()
            code = super().main(arguments, **{**settings, "standalone_mode": False, "obj": answer})
        except WorkflowInvalid as error:
            return _fail_invalid(error, answer)
        except StdoutClosed:  # `| head` has seen enough.
            return 0
        except KeyboardInterrupt:
            code = Interrupted.exit_code
        except Exception as error:  # noqa: BLE001 - one that nobody foresaw is told as such
            message, code = _message_and_code(error)
            return _fail(message, answer, code)
        if code == Interrupted.exit_code and not answer.given:
            # Ctrl-C; a run that it paused has answered.
            return _fail("interrupted", answer, code)
        return code if isinstance(code, int) else 0


@contextmanager
def _folder_kept(answer: CommandAnswer) -> Iterator[None]:
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


def _message_and_code(error: Exception) -> tuple[str, int]:
    """What to print of *error*, and the exit code."""
    if isinstance(error, MaverickError) and not isinstance(error, Fault):
        return str(error), error.exit_code
    usage = usage_message(error)
    if usage is not None:
        return usage, UsageError.exit_code
    from maverick.cli.here import explained  # noqa: PLC0415 - nearly never needed

    return explained(error), Fault.exit_code


def _fail(message: str, answer: CommandAnswer, code: int) -> int:
    complain(message)
    if answer.job is not None and answer.is_runner:
        answer.job.tell_error(message)
    return _told(message, answer, code)


def _told(message: str, answer: CommandAnswer, code: int) -> int:
    with suppress(StdoutClosed, MaverickError):  # There is nobody left to tell.
        answer.fail(message)
    return code


def _fail_invalid(error: WorkflowInvalid, answer: CommandAnswer) -> int:
    """Print what is wrong with a workflow; a problem that has a place stands on a line that begins
    with it. For people the line of the file follows.
    """
    problems, text = error.problems, str(error)
    has_places = any(each.line for each in problems)
    head = f"{plural(len(problems), 'problem')}:\n" if has_places else ""
    if has_places and not answer.is_json:
        from maverick.cli.terminal.excerpts import with_lines  # noqa: PLC0415 - seldom needed

        complain(head + with_lines(problems))
    else:
        complain(head + text)
    if answer.job is not None:
        from maverick.cli.here import root_if_known  # noqa: PLC0415 - only where something fails

        answer.job.tell_problems(problems, answer.project or root_if_known())
    return _told(text, answer, error.exit_code)


def _refuse_system() -> None:
    if sys.platform not in ("linux", "darwin"):
        from maverick.project import refuse_system  # noqa: PLC0415

        refuse_system(sys.platform)


app = typer.Typer(cls=Program, help=help_text(_ABOUT), **PLAIN)


@app.callback()
def _root(
    context: typer.Context,
    *,
    folder: Annotated[
        list[str] | None,
        typer.Option(
            "-C",
            metavar="DIR",
            help="Work in this folder; relative paths count from there. Goes before the command.",
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
    require_command(context)


def program() -> None:
    """Run the command line of this process."""
    typer.main.get_command(app)()
