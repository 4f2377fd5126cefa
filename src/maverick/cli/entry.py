"""How a file becomes a command: loaded when it is asked for, and listed without being loaded."""

import inspect
import os
import sys
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Final, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from maverick.cli.terminal.streams import print_err
from maverick.errors import Fault
from maverick.visible import shown

PLAIN: Final[dict[str, Any]] = {
    "add_completion": False,
    "rich_markup_mode": None,  # With it typer imports rich, which takes longer than most commands.
    "pretty_exceptions_enable": False,
    "invoke_without_command": True,
    # Longer lines are hard to read, however wide the terminal is.
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 100},
}
BARE_RESUME: Final = "@resumable"
"""What `--resume` without a value stands for: the newest run that can be resumed."""
AUTO_RESUME: Final = "auto"
"""The value of `--resume` that goes on with a run if there is one to go on with, else starts
one.
"""
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WorkflowName: TypeAlias = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="Name of a workflow, or its file.")
]
Statuses: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STATUS",
        help="Only runs that are running, paused, failed, killed or done; repeatable.",
    ),
]
OfWorkflow: TypeAlias = Annotated[
    str, typer.Option(metavar="WORKFLOW", help="Only runs of this workflow.", show_default=False)
]
Most: TypeAlias = Annotated[
    int | None,
    typer.Option("-n", "--limit", metavar="N", min=1, help="Only the newest N of these."),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class MadeCommand(NamedTuple):
    """A command that is no file: its line in the help, and what makes it of its name."""

    summary: str
    make: Callable[[str], Any]


@contextmanager
def _faults_kept() -> Iterator[None]:
    """Raise as faults the two exceptions of which typer would end the program without a useful
    word.
    """
    try:
        yield
    except (BrokenPipeError, EOFError) as error:
        raise Fault.of(error) from error


class Group(TyperGroup):
    """The commands that `module` is the group of, and those of `others`."""

    module: ClassVar[ModuleType]
    others: ClassVar[Mapping[str, MadeCommand]] = {}
    commands: "Commands"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands(self.module, self.others)

    def invoke(self, ctx: Any) -> Any:
        with _faults_kept():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that *args* begin with. Where there is none, say what does what was
        asked for.
        """
        word, *rest = args
        if word not in self.commands and not word.startswith("-"):
            if word == "help":
                ctx, word, rest = _print_help(ctx, rest)
            if not word:
                ctx.fail(f"there is no command `help`: `{ctx.command_path} --help` prints this")
            from maverick.cli.typed.words import unknown_command  # noqa: PLC0415 - only of wrong usage

            root = ctx.find_root()
            group = "" if ctx is root else ctx.info_name
            members = ctx.command.commands
            ctx.fail(unknown_command(group, word, rest, root.command.commands, members))
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: Any) -> str:
        return shown(super().get_help(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List the commands without making them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands.summary(name)) for name in self.commands])


def _print_help(ctx: Any, words: list[str]) -> tuple[Any, str, list[str]]:
    """Print what `--help` behind *words* prints.

    Give the context of the command that they name, and nothing; or, printing nothing, the context
    of the group that has no such command, that word, and what stands behind it.
    """
    for number, word in enumerate(words):
        commands = getattr(ctx.command, "commands", None)
        if commands is None:
            break
        if word not in commands:
            return ctx, word, words[number + 1 :]
        ctx = commands[word].make_context(word, [], parent=ctx, resilient_parsing=True)
    print_err(ctx.command.get_help(ctx))
    return ctx, "", []


class Commands(UserDict[str, Any]):
    """Name -> command, each made when it is asked for: of the files of a group, and *others*.

    In the folder of commands `run.py` is the command `run`; `checkpoint_diff.py` is `diff` in the
    group that `checkpoint.py` is, and ALSO of the folder says which of those stand at the top, too,
    where the examples of their help are of the top. ORDER of the group says which come first; the
    others follow by name.
    """

    def __init__(self, group: ModuleType, others: Mapping[str, MadeCommand]) -> None:
        super().__init__()
        self._order: tuple[str, ...] = group.ORDER
        is_top = hasattr(group, "__path__")
        self._package = group.__name__ if is_top else group.__name__.rpartition(".")[0]
        self._folder = os.path.dirname(str(group.__file__))  # noqa: PTH120 - for speed
        self._others = others
        files = os.listdir(self._folder)  # noqa: PTH208
        stems = {file[:-3] for file in files if file.endswith(".py") and not file.startswith("_")}
        inside = {stem: stem.partition("_")[0] for stem in stems}
        members = {stem for stem, first in inside.items() if first != stem and first in stems}
        self._prefix = "" if is_top else f"{group.__name__.rpartition('.')[2]} "
        if is_top:
            self._modules = {**{stem: stem for stem in stems - members}, **group.ALSO}
        else:
            prefix = self._prefix.replace(" ", "_")
            own = (stem for stem in members if stem.startswith(prefix))
            self._modules = {stem.removeprefix(prefix): stem for stem in own}

    def __getitem__(self, name: str) -> Any:
        if name not in self.data:
            self.data[name] = self._make(name)
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._others

    def __iter__(self) -> Iterator[str]:
        names = {*self._modules, *self._others}
        first = [name for name in self._order if name in names]
        return iter([*first, *sorted(names.difference(first))])

    def __len__(self) -> int:
        return len(self._modules) + len(self._others)

    def summary(self, name: str) -> str:
        """Give the first line of the docstring of a command's file, without importing it."""
        if name in self._others:
            return self._others[name].summary
        with Path(self._folder, f"{self._modules[name]}.py").open(encoding="utf-8") as lines:
            return lines.readline().strip().strip('"')

    def _make(self, name: str) -> Any:
        if name in self._others:
            return self._others[name].make(name)
        module = import_module(f"{self._package}.{self._modules[name]}")
        about = help_text(module.__doc__)
        if not hasattr(module, "command"):
            return _group(name, module, about)
        if self._prefix and self._modules[name] in sys.modules[self._package].ALSO.values():
            about = about.replace(f"maverick {name}", f"maverick {self._prefix}{name}")
        return command(name, module.command, about)


class Command(TyperCommand):
    """A command whose `--resume`, if it has one, may stand without a value."""

    def get_help(self, ctx: Any) -> str:
        """Give the help, which may have texts of a workflow's file, as a terminal may have it."""
        return shown(super().get_help(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, after giving a bare `--resume` its value."""
        options = [param for param in self.params if isinstance(param, TyperOption)]
        if any("--resume" in option.opts for option in options):
            valued = {name for option in options if not option.is_flag for name in option.opts}
            takes_word = any(param.param_type_name == "argument" for param in self.params)
            args = with_resume_value(args, valued, named=not takes_word)
        return super().parse_args(ctx, args)


def with_resume_value(args: list[str], valued: set[str], *, named: bool) -> list[str]:
    """Give *args* with a value for each `--resume` that stands without one.

    A word after it is its value only where the workflow is known already: because it stood before,
    or because the command itself says it (*named*). *valued* are the options that take the next
    word as their value.
    """
    result: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            return [*result, arg, *rest]
        if arg == "--resume":
            takes_next = named and bool(rest) and not rest[0].startswith("-")
            result.append(f"--resume={rest.pop(0) if takes_next else BARE_RESUME}")
            continue
        result.append(arg)
        if arg in valued and rest:
            result.append(rest.pop(0))
        elif not arg.startswith("-") or arg == "-":
            named = True
    return result


def command(name: str, callback: Callable[..., None], about: str) -> Any:
    """Make the command *name* of a function with typer's annotations; *about* is its help."""
    one = typer.Typer(**{**PLAIN, "invoke_without_command": False})
    one.command(name, cls=Command, help=about)(callback)
    return typer.main.get_command(one)


def _group(name: str, module: ModuleType, about: str) -> Any:
    cls = type("Group", (Group,), {"module": module})
    one = typer.Typer(cls=cls, name=name, help=about, **PLAIN)
    one.callback()(require_command)
    return typer.main.get_command(one)


def require_command(context: typer.Context) -> None:
    """Print the help where a group was given no command, and exit as for any wrong usage."""
    if context.invoked_subcommand is None:
        print_err(context.get_help())
        raise typer.Exit(2)


def help_text(docstring: str | None) -> str:
    """Give a docstring as help; paragraphs with indented lines (examples) keep their lines."""
    paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(f"\b\n{text}" if "\n  " in text else text for text in paragraphs)


def usage_message(error: Exception) -> str | None:
    """What a usage error of typer says, and where help is; None for any other exception.

    The class of these errors is not public in all versions of typer that this program works with.
    """
    text = getattr(error, "format_message", None)
    if text is None:
        return None
    context = getattr(error, "ctx", None)
    if context is None:
        return str(text())
    option, advice = getattr(error, "option_name", None), ""
    if option is not None and hasattr(error, "possibilities"):
        from maverick.cli.typed.words import unknown_option  # noqa: PLC0415 - only of wrong usage

        command = "" if context.parent is None else context.info_name
        advice = unknown_option(
            option, command, context.obj.arguments, is_like_another=bool(error.possibilities)
        )
    return f"{text()}{advice}\nsee `{context.command_path} --help`"
