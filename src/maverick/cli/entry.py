"""How commands are made: loaded when asked for, with examples in their help and options that may
stand bare.
"""

import inspect
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, ClassVar, Final, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from maverick.cli.terminal.streams import print_err
from maverick.errors import Fault
from maverick.visible import shown

Maker: TypeAlias = Callable[[str], Any]
"""Makes the command of that name."""

PLAIN: Final[dict[str, Any]] = {
    "add_completion": False,
    "rich_markup_mode": None,  # With it typer imports rich, which takes longer than most commands.
    "pretty_exceptions_enable": False,
    "invoke_without_command": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
BARE_RESUME: Final = "@resumable"
"""What `--resume` without a value stands for: the newest run that can be resumed."""
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Entry(NamedTuple):
    """One line of a group's help, and how the command is made."""

    summary: str
    make: Maker


@contextmanager
def _told() -> Iterator[None]:
    """Have these two exceptions told as faults: typer would end the program without a word of
    use.
    """
    try:
        yield
    except (BrokenPipeError, EOFError) as error:
        raise Fault.of(error) from error


class Group(TyperGroup):
    """A group whose commands are made when they are asked for; `entries` has them in the order of
    the help.
    """

    entries: ClassVar[Mapping[str, Entry]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Made(self.entries)

    def invoke(self, ctx: Any) -> Any:
        """Make and run a command."""
        with _told():
            return super().invoke(ctx)

    def get_help(self, ctx: Any) -> str:
        """Give the help as a terminal may have it."""
        return shown(super().get_help(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List the commands without making them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])


class _Made(UserDict[str, Any]):
    """Name -> command, made on access."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        super().__init__()
        self._entries = entries

    def __getitem__(self, name: str) -> Any:
        if name not in self.data:
            self.data[name] = self._entries[name].make(name)
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class Command(TyperCommand):
    """A command whose `--resume`, if it has one, may stand without a value."""

    def get_help(self, ctx: Any) -> str:
        """Give the help, which may have texts of a workflow's file, as a terminal may have it."""
        return shown(super().get_help(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, after giving a bare `--resume` its value."""
        options = [it for it in self.params if isinstance(it, TyperOption)]
        if any("--resume" in it.opts for it in options):
            valued = {name for it in options if not it.is_flag for name in it.opts}
            takes_word = any(it.param_type_name == "argument" for it in self.params)
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


def command(name: str, callback: Callable[..., None]) -> Any:
    """Make the command *name* of a function with typer's annotations. Its docstring is the help."""
    one = typer.Typer(**{**PLAIN, "invoke_without_command": False})
    one.command(name, cls=Command, help=help_text(callback))(callback)
    return typer.main.get_command(one)


def function(target: str) -> Maker:
    """Make a command of the function at *target*, `module:function` in `maverick.cli.commands`."""

    def make(name: str) -> Any:
        module, _, attribute = target.partition(":")
        return command(name, getattr(import_module(f"maverick.cli.commands.{module}"), attribute))

    return make


def group(cls: type[Group]) -> Maker:
    """Make a group of commands. The class's docstring is its help."""

    def callback(context: typer.Context) -> None:
        require_command(context)

    def make(name: str) -> Any:
        inner = typer.Typer(cls=cls, name=name, help=help_text(cls), **PLAIN)
        inner.callback()(callback)
        return typer.main.get_command(inner)

    return make


def require_command(context: typer.Context) -> None:
    """Print the help where a group was given no command, and exit as for any wrong usage."""
    if context.invoked_subcommand is None:
        print_err(context.get_help())
        raise typer.Exit(2)


def help_text(of: object) -> str:
    """The docstring of *of*; paragraphs with indented lines (examples) keep their line breaks."""
    paragraphs = inspect.cleandoc(of.__doc__ or "").split("\n\n")
    return "\n\n".join(f"\b\n{text}" if "\n  " in text else text for text in paragraphs)


def usage_message(error: Exception) -> str | None:
    """What a usage error of typer says, and where help is; None for any other exception.

    The class of these errors is not public in all versions of typer that this program works with.
    """
    text = getattr(error, "format_message", None)
    if text is None:
        return None
    context = getattr(error, "ctx", None)
    hint = f"\nsee `{context.command_path} --help`" if context is not None else ""
    return f"{text()}{hint}"
