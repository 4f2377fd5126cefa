"""Write a value's bytes.

Bytes and files go to standard output as they are, text as UTF-8, other values as JSON. With --json
all of them are JSON.

Examples:
  maverick checkpoint cat @latest:steps.render.output > page.html
  maverick checkpoint cat @latest:definition/deploy.yaml
  maverick checkpoint cat fly@phase_1:workspace/src/app.py
"""

from typing import Annotated

import typer

from maverick.cli.commands import checkpoint_show
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.streams import write_out
from maverick.cli.typed.inside import File, Folder, Held, look_up, split_revision
from maverick.errors import NotFound, UsageError


def command(
    place: Annotated[
        str, typer.Argument(metavar="REV:PATH", help="A revision, and a value in it.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
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
            checkpoint_show.command(place, as_json=True)
        case File(parts):
            for part in parts:
                write_out(part)
        case Held(bytes() as data):
            write_out(data)
        case Held(str() as text):
            write_out(text.encode("utf-8", "surrogateescape"))
        case Held(value):
            from maverick.checkpoints.trees import codec  # noqa: PLC0415

            write_out(codec.encode(value).data)
