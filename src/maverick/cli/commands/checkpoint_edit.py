"""Correct what a step gave, or a run's inputs.

PATH is such as steps.plan.output, steps.plan.output.tasks[0] or inputs.limit. The PATH of --set
begins there and may be empty, or it is the whole path. Without --set and --file an editor opens
($VISUAL, else $EDITOR).

It writes a new checkpoint; the history stays. If the revision is not the newest of its run, it
forks a new run. When the run is resumed, the step is recalled with the new output, and what follows
it runs again, unasked.

Examples:
  maverick checkpoint edit @latest steps.plan.output --set tasks[0].title=Refactor
  maverick checkpoint edit @latest inputs.limit --set =5
  maverick checkpoint edit @latest steps.summary.output --file summary.txt
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from maverick.checkpoints.trees.places import parse_value_path
from maverick.cli.answer import reply_run
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.streams import bytes_in, print_err
from maverick.cli.typed.inside import look_up, split_revision, unfinished_steps
from maverick.dsl.journal.tree import RunTree
from maverick.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from maverick.checkpoints import Store


class EditTarget(NamedTuple):
    """What is edited: a step's output (`step` is its path) or the inputs (empty), and the way into
    it.
    """

    step: str
    inside: list[str | int]


def command(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A run or another revision.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="What to edit.")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[PATH]=VALUE",
            help="Set a value; JSON, or a text as it is. Repeatable.",
        ),
    ] = None,
    file: Annotated[
        str,
        typer.Option(metavar="FILE", help="Take the new value from a file; - is standard input."),
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    from maverick.runs import amend  # noqa: PLC0415 - loads the engine's records

    project = this_project()
    store = project.open_store()
    tip, inner = (store.resolve(revision), path) if path else split_revision(store, revision)
    inner = inner or _named_by(settings or [])
    if not inner:
        raise UsageError(
            f"edit what? name it, such as `maverick checkpoint edit {revision} steps.NAME.output`"
        )
    if settings and file:
        raise UsageError("--set and --file exclude each other")
    target = target_of(store, RunTree(store.snapshot(tip)), inner)
    added: list[str] = []
    change = _change(
        target, [_inside(inner, setting) for setting in settings or []], file, added.append
    )
    if target.step:
        edited = amend.edit_output(project, store, tip, target.step, change, inner)
    else:
        edited = amend.edit_inputs(project, store, tip, change, inner)
    if not as_json:
        how = f"forked from {tip.run}, and edited" if edited.forked else "edited"
        print_err(f"{how} {inner}; what follows runs again when the run is resumed")
        for key in dict.fromkeys(added):
            print_err(f"note: there was no {key}; it was added")
    reply_run(edited.checkpoint.run, edited.checkpoint.id, as_json=as_json)


def target_of(store: Store, tree: RunTree, path: str) -> EditTarget:
    """Give what *path* names, which is there or can be put there.

    Raises:
        NotFound: there is nothing.
        UsageError: it is nothing that can be edited.
    """
    if path == "inputs" or path.startswith(("inputs.", "inputs[")):
        return EditTarget("", parse_value_path(path.removeprefix("inputs"), path))
    if path.startswith("steps."):
        rest = path.removeprefix("steps.")
        for name in sorted(tree.steps, key=len, reverse=True):
            begin = f"{name}.output"
            if rest == begin or rest.startswith((f"{begin}.", f"{begin}[")):
                return EditTarget(name, parse_value_path(rest.removeprefix(begin), path))
            if rest == name:
                return EditTarget(name, [])
    look_up(store, tree.snapshot, path)  # Raises NotFound with near names.
    for unfinished in unfinished_steps(store, tree):
        if path == f"steps.{unfinished}" or path.startswith(f"steps.{unfinished}.output"):
            raise NotFound(
                f"step {unfinished} has not finished; `--resume --skip '{unfinished}=…'` gives it "
                "an output"
            )
    raise UsageError(
        f"{path} cannot be edited; inputs and the outputs of steps can: inputs.NAME, "
        "steps.NAME.output"
    )


def _change(
    target: EditTarget, settings: list[str], file: str, add: Callable[[str], None]
) -> Callable[[Any], Any]:
    """Give what makes the new value of the old one; *add* hears of the keys that were not there."""

    def change(old: Any) -> Any:
        new = deepcopy(old)
        for setting in settings:
            path, equals, text = _split(setting)
            if not equals:
                raise UsageError(
                    f"--set takes PATH=VALUE, or =VALUE for the whole, not {setting!r}"
                )
            inside = [*target.inside, *parse_value_path(path, setting)]
            is_input = not target.step and len(inside) == 1
            if (
                inside
                and isinstance(holder := _value_at(new, inside[:-1]), dict)
                and str(inside[-1]) not in holder
            ):
                add(path.lstrip("."))
            new = put(new, inside, text if is_input else _parsed(text))
        if settings:
            return new
        before = _value_at(new, target.inside)
        after = _from_file(file, before) if file else _from_editor(before)
        return put(new, target.inside, after)

    return change


def _named_by(settings: list[str]) -> str:
    """The output, or the inputs, that the first of *settings* is about, where its path is a whole
    one.
    """
    where = _split(settings[0])[0] if settings else ""
    if where.startswith("inputs."):
        return "inputs"
    step, output, _ = where.partition(".output")
    return step + output if step.startswith("steps.") else ""


def _inside(path: str, setting: str) -> str:
    """*setting*, whose path may be a whole one, with the path from *path* on."""
    rest = setting.removeprefix(path)
    return rest if rest != setting and rest[:1] in (".", "[", "=") else setting


def _split(setting: str) -> tuple[str, str, str]:
    """Split at the first `=` outside of brackets."""
    depth = 0
    for position, letter in enumerate(setting):
        depth += (letter == "[") - (letter == "]")
        if letter == "=" and depth <= 0:
            return setting[:position], "=", setting[position + 1 :]
    return setting, "", ""


def put(value: Any, inside: list[str | int], new: Any) -> Any:
    """Give *value* with *new* at the place *inside*: a key that is there or not, a position, or the
    next one.

    Raises:
        NotFound: there is no such place.
    """
    if not inside:
        return new
    holder = _value_at(value, inside[:-1])
    last = inside[-1]
    if isinstance(holder, dict):
        holder[str(last)] = new
    elif isinstance(holder, list) and isinstance(last, int) and -len(holder) <= last < len(holder):
        holder[last] = new
    elif isinstance(holder, list) and last == len(holder):
        holder.append(new)
    else:
        raise NotFound(_no_place(holder, last))
    return value


def _value_at(value: Any, inside: list[str | int]) -> Any:
    for part in inside:
        if isinstance(value, dict) and str(part) in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and -len(value) <= part < len(value):
            value = value[part]
        else:
            raise NotFound(_no_place(value, part))
    return value


def _no_place(holder: Any, part: str | int) -> str:
    if isinstance(holder, list):
        return f"there is no {json.dumps(part)} in a list of {len(holder)} items"
    if isinstance(holder, dict):
        return f"there is no {part}; there are {', '.join(list(holder)[:8]) or 'no keys'}"
    return f"there is no {part} in what is neither a mapping nor a list"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _from_file(file: str, before: Any) -> Any:
    source = "standard input" if file == "-" else file
    try:
        data = bytes_in().read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the new value from {source}: {error.strerror}") from error
    if isinstance(before, bytes):
        return data
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read the new value from {source}: it is not UTF-8") from error
    return text if isinstance(before, str) else _parse_file(text, source)


def _parse_file(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if not source.endswith((".yaml", ".yml")):
            raise UsageError(f"{source} holds no JSON: {error}") from None
    from maverick.cli.typed.given import parse_value  # noqa: PLC0415 - loads the YAML parser

    return parse_value(text, source)


def _from_editor(before: Any) -> Any:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("no editor is set; set $EDITOR, or give the new value by --set or --file")
    if _holds_bytes(before):
        raise UsageError(
            "it holds bytes, which an editor cannot show; edit another part of it, or give a file "
            "by --file"
        )
    is_text = isinstance(before, str)
    source = before if is_text else json.dumps(before, indent=2, ensure_ascii=False) + "\n"
    with tempfile.NamedTemporaryFile(suffix=".txt" if is_text else ".json", delete=False) as made:
        made.write(source.encode("utf-8", "surrogatepass"))
    path = Path(made.name)
    try:
        code = subprocess.call([*shlex.split(editor), str(path)])
    except (OSError, ValueError) as error:
        path.unlink()
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"the editor {editor!r} cannot be started: {why}") from error
    if code != 0:
        raise UsageError(
            f"the editor {editor!r} ended with exit code {code}; nothing was changed ({path} is "
            "kept)"
        )
    try:
        text = path.read_bytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise UsageError(
            f"the edited text is not UTF-8; correct {path} and give it by --file"
        ) from None
    if text == source:
        path.unlink()
        raise UsageError("nothing was changed in the editor; no checkpoint was written")
    if is_text:
        path.unlink()
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"the edited text is not JSON: {error}; correct {path} and give it by --file"
        ) from None
    path.unlink()
    return value


def _holds_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_bytes, value.values()))
    if isinstance(value, list):
        return any(map(_holds_bytes, value))
    return isinstance(value, bytes)
