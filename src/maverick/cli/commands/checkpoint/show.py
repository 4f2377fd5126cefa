"""Show a checkpoint, or a value in it.

PATH is such as inputs.branch_name, steps.plan.output.tasks[0], steps.plan.status, output or
definition. A folder shows what is in it. Text is printed as it is, other values as JSON. A terminal
shows control characters as escapes; `maverick checkpoint cat` writes the bytes anywhere. Times are
in UTC.

Examples:
  maverick checkpoint show @latest
  maverick checkpoint show fly@latest:steps.init.output
  maverick checkpoint show @latest:steps --json
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.inside import File, Folder, Found, look_up, split_revision
from maverick.cli.terminal.render import iso_time, json_text, size, table, value_text
from maverick.cli.terminal.streams import print_bytes, print_out, print_value
from maverick.visible import one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Snapshot


def command(
    place: Annotated[
        str, typer.Argument(metavar="REV[:PATH]", help="A revision, and what to look at in it.")
    ] = "@latest",
    *,
    as_json: AsJson = False,
) -> None:
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
