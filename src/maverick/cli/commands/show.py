"""`checkpoint show`, `checkpoint cat`, `checkpoint diff`: what checkpoints hold."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.inside import File, Folder, Found, look_up, split_revision
from maverick.cli.terminal.render import iso_time, json_text, size, table, value_text
from maverick.cli.terminal.streams import print_bytes, print_err, print_out, print_value, write_out
from maverick.errors import NotFound, UsageError
from maverick.visible import one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Snapshot

_Place = Annotated[
    str, typer.Argument(metavar="REV[:PATH]", help="A revision, and what to look at in it.")
]


def show(place: _Place = "@latest", *, as_json: AsJson = False) -> None:
    """Show a checkpoint, or a value in it.

    PATH is such as inputs.branch_name, steps.plan.output.tasks[0], steps.plan.status, output,
    definition; of a folder it shows what is in it. Text is printed as it is, other values as JSON.
    On a terminal, control characters are shown as escapes; `maverick checkpoint cat` writes the
    bytes anywhere. Times are in UTC.

    Examples:
      maverick checkpoint show @latest
      maverick checkpoint show fly@latest:steps.init.output
      maverick checkpoint show @latest:steps --json
    """
    store = this_project().open_store()
    checkpoint, path = split_revision(store, place)
    snapshot = store.snapshot(checkpoint)
    if path is None:
        facts = _facts(checkpoint, snapshot)
        print_out(json_text(facts) + "\n" if as_json else _described(facts))
        return
    match look_up(store, snapshot, path):
        case Folder(rows) if as_json:
            print_out(
                json_text([{"name": name, "kind": kind, "size": n} for name, kind, n in rows])
                + "\n"
            )
        case Folder(rows):
            print_out(
                table(
                    ("NAME", "KIND", "SIZE"),
                    [(name, kind, size(n)) for name, kind, n in rows],
                    right=(2,),
                )
            )
        case File(parts) if as_json:
            print_out(json_text(_text_or_bytes(b"".join(parts))) + "\n")
        case File(parts):
            print_bytes(parts)
        case Found(value):
            print_value(json_text(value) + "\n" if as_json else value_text(value) or "null\n")


def cat(
    place: Annotated[
        str, typer.Argument(metavar="REV:PATH", help="A revision, and a value in it.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Write the bytes of a value to standard output.

    Bytes and files are written as they are, text as UTF-8, any other value as JSON; with --json all
    of them as JSON.

    Examples:
      maverick checkpoint cat @latest:steps.render.output > page.html
      maverick checkpoint cat @latest:definition/deploy.yaml
      maverick checkpoint cat fly@phase_1:workspace/src/app.py
    """
    store = this_project().open_store()
    checkpoint, path = split_revision(store, place)
    if path is None:
        raise UsageError(
            f"cat needs a path, such as {place}:steps.NAME.output; `maverick checkpoint show "
            f"{place}` lists it"
        )
    match look_up(store, store.snapshot(checkpoint), path):
        case Folder():
            raise NotFound(
                f"{path} is a folder, it has no bytes; `maverick checkpoint show {place}` lists it"
            )
        case _ if as_json:
            show(place, as_json=True)
        case File(parts):
            for part in parts:
                write_out(part)
        case Found(bytes() as data):
            write_out(data)
        case Found(str() as text):
            write_out(text.encode("utf-8", "surrogateescape"))
        case Found(value):
            from maverick.checkpoints.trees import codec  # noqa: PLC0415

            write_out(codec.encode(value).data)


def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A revision.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The revision to compare it with.")],
    step: Annotated[
        str, typer.Option(metavar="STEP", help="Compare this step and those in it only.")
    ] = "",
    *,
    stat: Annotated[
        bool, typer.Option("--stat", help="Print one line for each change, without values.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two checkpoints: inputs, definition, what steps gave, down to the value that changed,
    and files.

    Text is shown as a unified diff, other files by their sizes. Where a step inside a loop or
    branch changed, only that step is shown, and not the loop or branch as well. Files are compared
    if both checkpoints hold some. If nothing differs, nothing is printed.

    Examples:
      maverick checkpoint diff fly@latest~3 fly@latest
      maverick checkpoint diff RUN-A RUN-B --step plan
      maverick checkpoint diff RUN@phase_1 RUN@phase_2 --stat
    """
    from maverick.cli.commands.changes import (  # noqa: PLC0415
        changes_between,
        check_step,
        full_text,
        stat_line,
        summary,
    )
    from maverick.cli.commands.file_changes import file_lines, holds_files  # noqa: PLC0415

    store = this_project().open_store()
    before, after = store.resolve(old), store.resolve(new)
    sides = store.snapshot(before), store.snapshot(after)
    if step:
        check_step(sides, step)
    changes = changes_between(store, before, after, step)
    files = file_lines(store, *sides, step)
    if as_json:
        rows = [it.as_json() for it in changes] + [row for it in files for row in it.rows()]
        print_out(json_text(rows) + "\n")
        return
    kinds = [it.change for it in changes]
    for change in changes:
        print_out(stat_line(change) if stat else full_text(change))
    for file in files:
        print_out(file.short() if stat else file.full())
        kinds.append(file.change)
    if stat:
        print_out(summary(kinds))
    without = [it for it, side in zip((old, new), sides, strict=True) if not holds_files(side)]
    if len(without) == 1 and not step:
        print_err(f"note: files are not compared: {without[0]} holds none")


def _facts(it: "Checkpoint", snapshot: "Snapshot") -> dict[str, Any]:
    return {
        "checkpoint": it.id,
        "run": it.run,
        "workflow": it.group,
        "sequence": it.sequence,
        "kind": it.kind,
        "label": it.label or None,
        "step": it.step or None,
        "created": iso_time(it.created),
        "parent": it.parent or None,
        "entries": [
            {"name": name, "kind": entry.kind, "size": entry.size}
            for name, entry in snapshot.entries().items()
        ],
    }


def _described(facts: dict[str, Any]) -> str:
    shown = {**facts, "created": facts["created"].replace("T", " ").replace("Z", " UTC")}
    lines = [
        f"{name:<10}  {one_line(str(value))}"
        for name, value in shown.items()
        if name != "entries" and value
    ]
    rows = [(it["name"], it["kind"], size(it["size"])) for it in facts["entries"]]
    return "\n".join(lines) + "\n\n" + table(("NAME", "KIND", "SIZE"), rows, right=(2,))


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
