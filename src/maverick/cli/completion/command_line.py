"""A command line that is not finished: its words, and what the last of them may be.

The commands and options stand in `commands.tsv`, which `scripts/cli_docs.py` writes, since making
the commands takes longer than a person waits for a completion.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TABLE: Final = os.path.join(os.path.dirname(__file__), "commands.tsv")  # noqa: PTH118, PTH120 - pathlib is not loaded yet
_RESUMED: Final = ("RESUMED",)
"""The kind of what goes on: a run that is not done."""
_RESUME: Final = "--resume"
"""Its value may be left out: what follows is one only if the workflow stood before."""


class Option(NamedTuple):
    """An option; `value` says what its value is, empty for one that has none."""

    names: tuple[str, ...]
    value: str
    about: str


class Command(NamedTuple):
    """A command, or a group of them; `arguments` say what each is."""

    about: str
    options: list[Option]
    arguments: list[str]


class Wanted(NamedTuple):
    """What is to be completed.

    `kinds` are those of the value, as the help calls them: `RUN`, `WORKFLOW`; `word` is what stands
    of it, `before` what stands of the same word before it (`--from=`). `options` and `commands` are
    those that may stand there. `words` are the arguments before, `given` the options with a value.
    """

    kinds: tuple[str, ...]
    word: str
    before: str
    options: list[Option]
    commands: dict[str, str]
    path: tuple[str, ...]
    words: list[str]
    given: dict[str, list[str]]


def load_commands() -> dict[tuple[str, ...], Command]:
    """Read the table: path of a command -> command."""
    commands: dict[tuple[str, ...], Command] = {}
    with open(_TABLE, encoding="utf-8") as lines:  # noqa: PTH123
        for line in lines:
            name, what, names, value, about = line.rstrip("\n").split("\t")
            path = tuple(name.split())
            if what == "command":
                commands[path] = Command(about, [], [])
            elif what == "argument":
                commands[path].arguments.append(value)
            else:
                commands[path].options.append(Option(tuple(names.split(",")), value, about))
    return commands


def look_at(words: Sequence[str], word: str) -> Wanted:
    """Say what *word*, which is not finished, may be behind *words* (without the program's
    name).
    """
    commands = load_commands()
    path: tuple[str, ...] = ()
    arguments: list[str] = []
    given: dict[str, list[str]] = {}
    valued = _valued(commands[path])
    pending: str | None = None
    only_arguments = False
    for each in words:
        if pending is not None:
            given.setdefault(pending, []).append(each)
            pending = None
        elif only_arguments or not each.startswith("-") or each == "-":
            below = (*path, each)
            if not arguments and below in commands:
                path, valued = below, _valued(commands[below])
            else:
                arguments.append(each)
        elif each == "--":
            only_arguments = True
        elif "=" in each and each.startswith("--"):
            name, _, value = each.partition("=")
            given.setdefault(name, []).append(value)
        elif each in valued and (each != _RESUME or arguments or path != ("run",)):
            pending = each
        else:
            given.setdefault(each, [])
    command = commands[path]
    found = _found(command, commands, path, arguments, valued, pending, word, only=only_arguments)
    return found._replace(path=path, words=arguments, given=given)


def _found(
    command: Command,
    commands: Mapping[tuple[str, ...], Command],
    path: tuple[str, ...],
    arguments: list[str],
    valued: Mapping[str, str],
    pending: str | None,
    word: str,
    *,
    only: bool,
) -> Wanted:
    nothing = Wanted((), word, "", [], {}, (), [], {})
    if pending is not None:
        return nothing._replace(kinds=_kinds_of_option(pending, valued))
    if not only and word.startswith("--") and "=" in word:
        name, _, value = word.partition("=")
        kinds = _kinds_of_option(name, valued)
        return nothing._replace(kinds=kinds, word=value, before=f"{name}=")
    if not only and word.startswith("-"):
        return nothing._replace(options=command.options)
    below = {
        other[-1]: inner.about
        for other, inner in commands.items()
        if len(other) == len(path) + 1 and other[: len(path)] == path
    }
    if below and not arguments:
        return nothing._replace(commands=below)
    if path == ("resume",) and not arguments:
        return nothing._replace(kinds=_RESUMED)
    return nothing._replace(kinds=_kinds_at(command.arguments, len(arguments)))


def _kinds_of_option(name: str, valued: Mapping[str, str]) -> tuple[str, ...]:
    return _RESUMED if name == _RESUME else kinds_of(valued.get(name, ""))


def _valued(command: Command) -> dict[str, str]:
    return {
        name: option.value for option in command.options if option.value for name in option.names
    }


def _kinds_at(arguments: Sequence[str], position: int) -> tuple[str, ...]:
    """The kinds of the argument at *position*; the last one may be repeated. A step may stand where
    a run does: it is one of the newest run.
    """
    words = [word for argument in arguments for word in argument.split()]
    if not position and words[1:] == ["[STEP]"]:
        return (*kinds_of(words[0]), *kinds_of(words[1]))
    if position < len(words):
        return kinds_of(words[position])
    return kinds_of(words[-1]) if words and words[-1].endswith("...") else ()


def kinds_of(value: str) -> tuple[str, ...]:
    """What a value is, as the help calls it: `[RUN|REV]` is `RUN` or `REV`."""
    bare = value.removesuffix("...").replace("[", "").replace("]", "")
    return tuple(kind for kind in bare.split("|") if kind)


class Split(NamedTuple):
    """A line of a shell, up to the cursor: the finished `words`, and what the last one is so far.

    `start` is where in it the shell begins to replace, since bash takes what follows a `=` or a
    quote for a word of its own.
    """

    words: list[str]
    word: str
    is_quoted: bool
    start: int


def split_line(line: str, breaks: str) -> Split:
    """Split *line* into its words; *breaks* are what begins a new one for the shell."""
    words: list[str] = []
    word: list[str] = []
    began = False
    quote = ""
    start = position = 0
    while position < len(line):
        char = line[position]
        position += 1
        if char == "\\" and quote != "'":
            word.append(line[position : position + 1])
            position, began = position + 1, True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in "'\"":
            quote, began, start = char, True, len(word)
        elif char in " \t\n":
            if began:
                words.append("".join(word))
            word, began, start = [], False, 0
        else:
            word.append(char)
            began = True
            if char in breaks:  # An `@` stays in the word that it begins (readline's prefixes).
                start = len(word) - (char == "@")
    return Split(words, "".join(word), bool(quote), start)
