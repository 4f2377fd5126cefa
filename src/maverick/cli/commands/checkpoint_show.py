"""Show a checkpoint, or a value in it.

PATH is such as inputs.branch_name, steps.plan.output.tasks[0], steps.plan.status, output or
definition. A folder shows what is in it. Text is printed as it is, other values as JSON. A terminal
shows control characters as escapes; `maverick checkpoint cat` writes the bytes anywhere. Times are
local, with their zone.

Examples:
  maverick checkpoint show @latest
  maverick checkpoint show fly@latest:steps.init.output
  maverick checkpoint show @latest:steps --json
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text, size, table, value_text, zoned_moment
from maverick.cli.terminal.streams import print_bytes, print_json, print_value
from maverick.cli.typed.inside import File, Folder, Held, Row, folder_of, look_up, split_revision
from maverick.visible import iso_time, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.checkpoints import Checkpoint, Snapshot


def command(
    place: Annotated[
        str,
        typer.Argument(metavar="REV[:PATH]", help="A revision, and what to look at in it."),
    ] = "@latest",
    *,
    as_json: AsJson = False,
) -> None:
    store = this_project().open_store()
    checkpoint, path = split_revision(store, place)
    snapshot = store.snapshot(checkpoint)
    if path is None:
        facts = _facts(checkpoint, snapshot)
        reply(facts, as_json=as_json, text=_described(facts, checkpoint.created))
        return
    match look_up(store, snapshot, path):
        case Folder(rows):
            reply([row._asdict() for row in rows], as_json=as_json, text=_listed(rows))
        case File(parts) if as_json:
            print_json(_text_or_bytes(b"".join(parts)))
        case File(parts):
            print_bytes(parts)
        case Held(value):
            print_value(json_text(value) + "\n" if as_json else value_text(value) or "null\n")


def _facts(checkpoint: "Checkpoint", snapshot: "Snapshot") -> dict[str, Any]:
    return {
        "checkpoint": checkpoint.id,
        "run": checkpoint.run,
        "workflow": checkpoint.group,
        "sequence": checkpoint.sequence,
        "kind": checkpoint.kind,
        "label": checkpoint.label or None,
        "step": checkpoint.step or None,
        "created": iso_time(checkpoint.created),
        "parent": checkpoint.parent or None,
        "entries": [row._asdict() for row in folder_of(snapshot.entries()).rows],
    }


def _described(facts: dict[str, Any], created: int) -> str:
    shown = {**facts, "created": zoned_moment(created)}
    lines = [
        f"{name:<10}  {one_line(str(value))}"
        for name, value in shown.items()
        if name != "entries" and value
    ]
    return "\n".join(lines) + "\n\n" + _listed(Row(**row) for row in facts["entries"])


def _listed(rows: "Iterable[Row]") -> str:
    cells = [(row.name, row.kind, size(row.size)) for row in rows]
    return table(("NAME", "KIND", "SIZE"), cells, right=(2,))


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
