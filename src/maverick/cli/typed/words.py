"""What people type that is called otherwise here: each word is answered with the command that does
it.

Loaded where there is no command of that name. A command that changes something is never the answer
to a word that does not, so that a slip of the finger does not act.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from maverick.errors import MaverickError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

LOOKING: Final[Mapping[str, str]] = {
    "status state stat st info inspect describe view get summary details open steps result": (
        "`maverick show` shows the newest run, `maverick show RUN` another one, `maverick runs` all"
    ),
    "list ls ll all": (
        "`maverick runs` lists the runs, `maverick workflow list` the workflows, and `maverick "
        "checkpoint list` the labels of runs"
    ),
    "ps jobs top running active": (
        "`maverick runs --status running` lists the runs that are at work, and `maverick runs` all"
    ),
    "history reflog": (
        "`maverick runs` lists the runs, and `maverick log RUN` the checkpoints of one"
    ),
    "validate lint verify check parse vet": (
        "`maverick workflow check FILE` finds all problems of a workflow, and `maverick checkpoint "
        "fsck` those of the store"
    ),
    "test tests": (
        "it is not part of this version; `maverick workflow check FILE` finds all problems of a "
        "workflow, and `maverick run FILE --plan` shows what would run"
    ),
    "mcp": (
        "it is not part of this version; `maverick show --json` prints what a program reads, and "
        "so do most commands"
    ),
    "plan dry-run dryrun preview": (
        "`maverick run WORKFLOW --plan` shows what a start would do, and `maverick resume RUN "
        "--plan` what a resumption would"
    ),
    "output outputs cat print": (
        "`maverick checkpoint show RUN:output` prints what a run gave, and "
        "`maverick checkpoint cat RUN:steps.NAME.output` the bytes of what a step gave"
    ),
    "compare cmp changes": "`maverick diff A B` compares two runs",
    "explain reason reasons": "`maverick why RUN STEP` says why a step ran, or did not",
    "tail follow stdout stderr": (
        "`maverick logs RUN STEP` prints what a step wrote, and `maverick logs -f` follows a run"
    ),
    "attach monitor live": "`maverick watch RUN` shows a run that another process is at",
    "timeline dashboard ui html": "`maverick report RUN -o FILE.html` makes a page of a run",
    "dag draw plot visualize mermaid dot": "`maverick graph WORKFLOW` draws a workflow or a run",
    "workflows flows": "`maverick workflow list` lists the workflows",
    "agents actions contexts": (
        "`maverick workflow list --agents` lists the agents, and `--actions` and `--contexts` the "
        "rest of what a workflow can name"
    ),
    "checkpoints labels": "`maverick checkpoint list` lists the runs with their labels",
    "fsck": "`maverick checkpoint fsck` checks the store",
    "diagnose health env": "`maverick doctor` says what is missing here",
    "completion completions": "`maverick --show-completion` prints what a shell has to load",
    "help man docs usage commands": "`maverick --help` lists the commands",
    "version ver about": "`maverick --version` prints the version",
}
"""Words that change nothing -> what does it."""

CHANGING: Final[Mapping[str, str]] = {
    "start exec execute launch go trigger submit apply up": (
        "`maverick run WORKFLOW` runs a workflow"
    ),
    "continue retry restart recover unpause proceed again": (
        "`maverick resume RUN` goes on with a run, and without RUN with the newest that is not done"
    ),
    "answer ask": (
        "it is not part of this version, in which no step asks a person; `maverick run WORKFLOW -i "
        "NAME=VALUE` gives what a workflow needs to know"
    ),
    "rerun redo": (
        "`maverick resume RUN --from STEP` runs a step of a run again and what follows it, and "
        "`maverick run WORKFLOW` begins a new run"
    ),
    "init create generate scaffold template": (
        "`maverick new NAME` writes a workflow, and `maverick checkpoint create` saves the "
        "project's files"
    ),
    "restore checkout reset revert rollback back": (
        "`maverick checkpoint restore REV` makes files what they were at a checkpoint, and "
        "`maverick undo` takes back the last change made by hand"
    ),
    "rm remove delete del drop forget destroy": (
        "`maverick checkpoint drop RUN` forgets a run, and `maverick gc` removes what no run needs"
    ),
    "clean cleanup prune purge tidy vacuum clear": (
        "`maverick gc` removes what no run needs any more, and `maverick gc --dry-run` says what "
        "that is"
    ),
    "cancel kill stop abort pause interrupt terminate halt suspend": (
        "Ctrl-C where it runs, or `kill -INT PID`, saves a run and stops it; `maverick resume RUN` "
        "goes on with it"
    ),
    "save commit snapshot": "`maverick checkpoint create` saves the project's files",
    "tag label mark": "`maverick checkpoint tag REV NAME` gives a checkpoint a name that stays",
    "fork branch clone copy": "`maverick checkpoint fork REV` begins a new run at a checkpoint",
    "edit set patch amend": "`maverick checkpoint edit REV PATH` corrects what a run recorded",
    "export backup dump pack push share upload": (
        "`maverick checkpoint export RUN FILE` writes a run into a file"
    ),
    "import load unpack pull fetch download": (
        "`maverick checkpoint import FILE` takes in a run from a file"
    ),
    "repair fix": "`maverick checkpoint fsck --repair` mends the store",
}
"""Words that change something -> what does it."""

ACTING: Final = frozenset({"run", "resume", "fly", "refuel", "review", "undo", "gc", "new",
     "create", "restore", "tag", "drop", "fork", "edit", "export", "import"})  # fmt: skip
"""Commands that change something."""
_SHIPPED: Final = ("fly", "refuel", "review")
_RUNNERS: Final = frozenset({"run", "resume", *_SHIPPED})
_OF_THE_PROGRAM: Final = {
    "-V": "; `maverick --version` prints the version",
    "-v": "; `maverick --version` prints the version",
    "-?": "; `maverick --help` lists the commands",
}
_OUTPUTS: Final = frozenset({"-o", "--output", "--out", "--file", "-f"})
_SHORT: Final = 5
"""From this length on two slips of the finger are forgiven, where nothing is changed."""
_LONGEST: Final = 30


def unknown_command(
    group: str, word: str, rest: Sequence[str], tops: Collection[str], members: Collection[str]
) -> str:
    """Say what does what *word* asks for, which is no command of *group* (empty: of the program).

    *rest* is what stands behind it, *tops* are the commands of the program, *members* those of the
    group.
    """
    plain = word.lower().replace("_", "-")
    where = f" of `maverick {group}`" if group else ""
    head = f"there is no command `{word}`{where}"
    if group and plain in tops:
        return f"{head}: `{shlex.join(['maverick', plain, *rest])}` is one of the program"
    answer = _answers().get(plain, "")
    if not answer and len(plain) <= _LONGEST:
        answer = _nearest(plain, group, members)
    return f"{head}: {answer}" if answer else head


def _answers() -> dict[str, str]:
    return {word: answer for table in (LOOKING, CHANGING) for word, answer in _words(table)}


def _words(table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for words, answer in table.items():
        for word in words.split():
            yield word, answer


def _nearest(plain: str, group: str, members: Collection[str]) -> str:
    """Give the answer for the command or word that is nearest to *plain*, if one is near enough."""
    prefix = f"maverick {group}".rstrip()
    answers = {**_answers(), **{name: f"did you mean `{prefix} {name}`?" for name in members}}
    acting = ACTING | {word for word, _ in _words(CHANGING)}
    near = []
    for name, answer in answers.items():
        slips = _slips(plain, name)
        if slips <= (2 if len(plain) >= _SHORT and name not in acting else 1):
            # Of two that are as near, the one that changes nothing, and a command before a word.
            near.append((slips, name in acting, name not in members, answer))
    return min(near)[-1] if near else ""


def _slips(typed: str, name: str) -> int:
    """Give how many slips of the finger make *typed* of *name*: a letter more, less, another, or
    two that changed places (the distance by optimal string alignment).
    """
    before, row = [0] * (len(name) + 1), list(range(len(name) + 1))
    for i, a in enumerate(typed):
        older, before, row = before, row, [i + 1]
        for j, b in enumerate(name):
            row.append(min(before[j] + (a != b), before[j + 1] + 1, row[j] + 1))
            if i and j and (a, b) == (name[j - 1], typed[i - 1]):
                row[-1] = min(row[-1], older[j - 1] + 1)
    return row[-1]


def unknown_option(
    option: str, command: str, arguments: Sequence[str], *, is_like_another: bool
) -> str:
    """Say what does what *option* of *command* asks for; empty where nobody thought of it.

    *command* is empty for the program's own options, *arguments* are all that it was given. An
    option that *is_like_another* is a slip of the finger, unless it is an input.
    """
    if not command:
        return _OF_THE_PROGRAM.get(option, "")
    if command == "export" and option in _OUTPUTS:
        return "; FILE stands without it: `maverick checkpoint export REV FILE`"
    if command not in _RUNNERS or not option.startswith("--"):
        return ""
    name = option.removeprefix("--").replace("-", "_")
    workflow = _workflow(command, arguments)
    if name not in _inputs(workflow):
        return "" if is_like_another else "; inputs are given as -i NAME=VALUE"
    pair = shlex.quote(f"{name}={_value(option, arguments) or 'VALUE'}")
    as_option = f"`maverick {workflow}`, or " if workflow in _SHIPPED and command == "run" else ""
    return f"; use {as_option}-i {pair}"


def _value(option: str, arguments: Sequence[str]) -> str:
    """Give the value that stands behind *option*; empty where there is none."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option:
            return "" if following.startswith("-") else following
    return ""


def _workflow(command: str, arguments: Sequence[str]) -> str:
    """Give the workflow that is to be run, as it was typed; empty where that is not clear."""
    if command in _SHIPPED:
        return command
    behind = list(arguments)[list(arguments).index(command) + 1 :]
    return next((word for word in behind if not word.startswith("-") and "=" not in word), "")


def _inputs(workflow: str) -> Iterable[str]:
    from maverick.cli.here import from_here, this_project  # noqa: PLC0415 - reads the workflow

    if not workflow:
        return ()
    try:
        return this_project().catalog().workflow(from_here(workflow)).inputs
    except (MaverickError, OSError):  # What is said about it is said when it is run.
        return ()
