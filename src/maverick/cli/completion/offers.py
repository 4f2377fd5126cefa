"""What a shell is offered: answers to the functions of `shells`, which call the program with
`_MAVERICK_COMPLETE`.

The first line says what follows: `words`, `more` (words that go on: no blank behind them), `files`
or `folders` (which the shell finds itself). Of each word only what a shell takes as it stands, or
with quotes, is offered; nothing that a name holds is obeyed.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.cli.completion.command_line import Wanted, look_at, split_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from maverick.checkpoints import Ref
    from maverick.project import Project

_MOST: Final = 500
"""How many words are offered: nobody reads more."""
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,")
_FILES: Final = {"FILE": "files", "PATH": "files", "DIR": "folders", "FOLDER": "folders"}


class Offer(NamedTuple):
    """A word, what it is about, and whether it goes on."""

    word: str
    about: str = ""
    goes_on: bool = False


def answer(shell: str, arguments: list[str]) -> None:
    """Print what may stand at the cursor.

    bash gives its line in `COMP_LINE` and `COMP_POINT`, since it cuts words at `=`, `:` and `@`;
    zsh and fish give the words as *arguments*, the last one is the one at the cursor.
    """
    lines = _for_bash() if shell == "bash" else _for_words(shell, arguments)
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _for_bash() -> list[str]:
    line = os.environ.get("COMP_LINE", "")
    point = os.environ.get("COMP_POINT", "")
    # bash counts bytes.
    typed = line.encode()[: int(point)].decode(errors="replace") if point.isdigit() else line
    split = split_line(typed, os.environ.get("COMP_WORDBREAKS", "=:@"))
    kind, offers = offers_for(look_at(split.words[1:], split.word))
    is_end = kind == "words" and not any(offer.word.startswith(split.word) for offer in offers)
    start = 0 if is_end else split.start
    ends = (offer.word[start:] for offer in offers)
    return [kind, *(end if split.is_quoted else escaped(end) for end in ends)]


def _for_words(shell: str, arguments: list[str]) -> list[str]:
    wanted = look_at(arguments[1:-1], arguments[-1])
    kind, offers = offers_for(wanted)
    if shell == "fish":
        return [kind, *(f"{offer.word}\t{offer.about}" for offer in offers)]
    return [
        kind,
        *(f"{offer.word.replace(chr(58), chr(92) + chr(58))}:{offer.about}" for offer in offers),
    ]


def offers_for(wanted: Wanted) -> tuple[str, list[Offer]]:
    """What may stand there: how it is offered, and each word that fits what was typed."""
    if wanted.options:
        options = _options(wanted)
        fitting = [offer for offer in options if offer.word.startswith(wanted.word)]
        return "words", fitting
    if wanted.commands:
        commands = (Offer(name, about) for name, about in wanted.commands.items())
        return "words", [offer for offer in commands if offer.word.startswith(wanted.word)]
    for kind in wanted.kinds:
        if kind in _FILES:
            return _FILES[kind], []
        if kind == "WORKFLOW" and ("/" in wanted.word or wanted.word.startswith((".", "~"))):
            return "files", []
    candidates: list[Offer] = []
    for kind in wanted.kinds:
        # No project, a damaged store, a file with problems: a person who types is not told.
        with suppress(Exception):
            candidates += _offers_of(kind, wanted)
    printable = [offer for offer in candidates if offer.word.isprintable()]
    fitting = [offer for offer in printable if offer.word.startswith(wanted.word)]
    if not fitting and len(wanted.word) > 2:  # The end of a run's id names it, too.
        fitting = [offer for offer in printable if offer.word.endswith(wanted.word)]
    unique = {offer.word: offer for offer in fitting}
    taken = [
        offer._replace(word=wanted.before + offer.word, about=" ".join(offer.about.split())[:80])
        for offer in list(unique.values())[:_MOST]
    ]
    return ("more" if taken and all(offer.goes_on for offer in taken) else "words"), taken


def _options(wanted: Wanted) -> Iterator[Offer]:
    for option in wanted.options:
        for name in option.names:
            if name.startswith("--") or len(wanted.word) == 2:
                yield Offer(name, option.about)


def escaped(word: str) -> str:
    """Give *word* as a shell takes it: with a backslash before each sign that it would obey."""
    return "".join(char if char in _SAFE or not char.isascii() else f"\\{char}" for char in word)


def _offers_of(kind: str, wanted: Wanted) -> Iterable[Offer]:
    makers: dict[str, Callable[[Project, Wanted], Iterable[Offer]]] = {
        "WORKFLOW": _workflows,
        "RUN": _runs,
        "RESUMED": _resumed,
        "REV": _revisions,
        "REV:PATH": _revisions,
        "A": _revisions,
        "B": _revisions,
        "STEP": _steps,
        "STEP=JSON": _steps,
        "KEY=VALUE": _inputs,
    }
    if kind == "SHELL":
        from maverick.cli.completion.shells import SCRIPTS  # noqa: PLC0415 - few words are one

        return [Offer(shell) for shell in SCRIPTS]
    if kind == "STATUS":
        from maverick.runs.listing import STATUSES  # noqa: PLC0415 - as above

        return [Offer(status) for status in STATUSES]
    if kind == kind.lower():
        return [Offer(kind)]
    if kind not in makers:
        return ()
    from maverick.cli.here import go_to, this_project  # noqa: PLC0415 - options need no project

    go_to([os.path.expanduser(folder) for folder in wanted.given.get("-C", [])])  # noqa: PTH111
    return makers[kind](this_project(), wanted)


def _workflows(project: Project, _: Wanted) -> Iterator[Offer]:
    from maverick.cli.completion.workflow_names import WorkflowNames  # noqa: PLC0415
    from maverick.dsl.catalog.workflow_files import ENDINGS  # noqa: PLC0415

    for name in WorkflowNames(project).names():
        yield Offer(name)
    for name in sorted(os.listdir()):  # noqa: PTH208
        if name.endswith(ENDINGS) and name != "maverick.yaml":
            yield Offer(name)


def _refs(project: Project) -> list[Ref]:
    """The refs of all runs that can be read, newest first."""
    return project.open_overview().refs([])


def _runs(project: Project, _: Wanted) -> Iterator[Offer]:
    yield from map(_run, _refs(project))


def _run(ref: Ref) -> Offer:
    return Offer(ref.run, "done" if ref.done else f"not done, at {ref.step or 'its beginning'}")


def _resumed(project: Project, wanted: Wanted) -> Iterator[Offer]:
    """Runs that can go on, of the workflow that is named; those that are done where a step of one
    is to run again, or none of the others is meant.
    """
    if "@" in wanted.word:
        yield from _revisions(project, wanted)
        return
    workflow = wanted.path[0]
    if workflow in {"run", "resume"}:
        workflow = wanted.words[0] if wanted.words else ""
    if wanted.path != ("resume",) and workflow:
        yield Offer("auto", "goes on with the newest that is not done, or starts one")
    refs = [ref for ref in _refs(project) if not workflow or _is_of(ref, workflow)]
    unfinished = [ref for ref in refs if not ref.done]
    is_one = any(ref.run.startswith(wanted.word) for ref in unfinished)
    is_any = "--from" in wanted.given or (wanted.word and not is_one)
    yield from map(_run, refs if is_any else unfinished)


def _is_of(ref: Ref, workflow: str) -> bool:
    """Whether *ref* is of a run of *workflow*, a name or a file."""
    from pathlib import Path  # noqa: PLC0415 - the project has loaded it

    from maverick.dsl.catalog.workflow_files import is_path, name_in, same_name  # noqa: PLC0415

    return same_name(ref.group, name_in(Path(workflow)) if is_path(workflow) else workflow)


def _revisions(project: Project, wanted: Wanted) -> Iterator[Offer]:
    """Runs, and behind `RUN@` the labels and tags of the run."""
    name, at, _ = wanted.word.partition("@")
    if not at:
        yield from _runs(project, wanted)
        return
    ref = _ref_named(project, name)
    if ref is None:
        return
    from maverick.cli.looking.listed import labels_of  # noqa: PLC0415

    yield Offer(f"{name}@latest", "the newest checkpoint")
    for label in reversed(labels_of(project.open_overview(), ref)):
        yield Offer(f"{name}@{label}", "a label")
    for tag in ref.tags:
        yield Offer(f"{name}@{tag}", "a tag")


def _ref_named(project: Project, name: str) -> Ref | None:
    """The run of that id, else the newest of the workflow of that name; of no name, of all."""
    refs = _refs(project)
    exact = [ref for ref in refs if ref.run == name]
    return next(iter(exact or [ref for ref in refs if not name or ref.group == name]), None)


def _steps(project: Project, wanted: Wanted) -> Iterator[Offer]:
    """The steps of the run that is named, else of the workflow and its newest run, else of the
    newest run.
    """
    named = [*wanted.given.get("--resume", []), *wanted.words]
    is_run = wanted.path[:1] == ("run",) and "--resume" not in wanted.given
    if wanted.path[:1] in {("fly",), ("refuel",), ("review",)}:
        named, is_run = list(wanted.path), "--resume" not in wanted.given
    if is_run and named:
        from maverick.cli.completion.workflow_names import WorkflowNames  # noqa: PLC0415

        names = WorkflowNames(project)
        for path in names.steps(named[0]):
            if "[]" not in path:  # That is no step of a run.
                yield Offer(path)
        ref = _ref_named(project, names.name(named[0]) or named[0])
    else:
        ref = _ref_named(project, named[0].partition("@")[0] if named else "")
    if ref is None:
        return
    from maverick.dsl.journal.tree import RunTree  # noqa: PLC0415

    store = project.open_store()
    tree = RunTree(store.snapshot(store.checkpoint(ref.checkpoint)))
    for path in dict.fromkeys((*tree.steps, *tree.begun)):
        yield Offer(path)


def _inputs(project: Project, wanted: Wanted) -> Iterator[Offer]:
    """The inputs of the workflow, each with its `=`; behind that, what it may be."""
    from maverick.cli.completion.workflow_names import WorkflowNames  # noqa: PLC0415

    workflow = wanted.path[0] if wanted.path[0] not in {"run", "resume"} else ""
    if not workflow and wanted.path[0] == "run" and wanted.words:
        workflow = wanted.words[0]
    if not workflow:
        ref = _ref_named(project, wanted.words[0] if wanted.words else "")
        workflow = "" if ref is None else ref.group
    key, equals, _ = wanted.word.partition("=")
    for declared in WorkflowNames(project).inputs(workflow):
        if not equals:
            yield Offer(f"{declared['name']}=", declared.get("about", ""), goes_on=True)
        elif declared["name"] == key:
            for value in _values(project, declared):
                yield Offer(f"{key}={value}")


def _values(project: Project, declared: dict[str, object]) -> Iterable[str]:
    choices = declared.get("choices")
    if isinstance(choices, list) and choices:
        return map(str, choices)
    if declared.get("type") == "boolean":
        return ("true", "false")
    if str(declared["name"]).endswith("agent"):
        return sorted(project.catalog().agent_names())
    return ()
