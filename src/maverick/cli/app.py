"""The program: its commands."""

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
from maverick.cli.ending import run_guarded
from maverick.cli.entry import PLAIN, Group, MadeCommand, help_text, require_command, usage_message
from maverick.cli.terminal.streams import prepare_streams, print_err, print_out

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
        complete_var: str | None = None,  # noqa: ARG002 - `completion` answers shells
        standalone_mode: bool = True,  # noqa: ARG002
        windows_expand_args: bool = True,  # noqa: ARG002
        **extra: Any,
    ) -> Any:
        """Run the command that *args* name, and exit with its code."""
        arguments = list(sys.argv[1:] if args is None else args)
        if arguments[-1:] in (["--install-completion"], ["--show-completion"]):
            arguments.append("")  # The shell may be left out.
        prepare_streams()
        answer = CommandAnswer(arguments, {"run", "resume", *self.others})
        settings = {
            **extra,
            "prog_name": prog_name or "maverick",
            "standalone_mode": False,
            "obj": answer,
        }
        with _folder_kept(answer):
            code = run_guarded(
                lambda: super(Program, self).main(arguments, **settings), answer, usage_message
            )
        sys.exit(code)


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
    install_completion: Annotated[
        str | None,
        typer.Option(
            metavar="[SHELL]", help="Let bash, zsh or fish complete commands, from the next one on."
        ),
    ] = None,
    show_completion: Annotated[
        str | None, typer.Option(metavar="[SHELL]", help="Print what the shell loads for that.")
    ] = None,
) -> None:
    if version:
        print(f"maverick {__version__}")  # noqa: T201
        raise typer.Exit
    for shell, is_shown in ((install_completion, False), (show_completion, True)):
        if shell is not None:
            _complete(shell, is_shown=is_shown)
            raise typer.Exit
    if folder:
        from maverick.cli.here import go_to  # noqa: PLC0415 - few commands begin elsewhere

        context.obj.folders, context.obj.is_lost = tuple(folder), True
        go_to(folder)
        context.obj.is_lost = False
    require_command(context)


def _complete(name: str, *, is_shown: bool) -> None:
    from maverick.cli.completion import shells  # noqa: PLC0415 - once, when the program is new

    shell = shells.shell_of(name, os.environ)
    if is_shown:
        print_out(shells.script(shell))
        return
    for line in shells.install(shell, os.environ):
        print_err(line)


def program() -> None:
    """Run the command line of this process."""
    typer.main.get_command(app)()
