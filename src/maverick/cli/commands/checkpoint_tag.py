"""Give a checkpoint a name that stays.

RUN@NAME is the checkpoint then, and gc keeps it. A tag that the run has already is moved.

Examples:
  maverick checkpoint tag @latest before-review
  maverick checkpoint tag @latest before-review --delete
"""

from typing import Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project


def command(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A revision.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The tag.")],
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Take the tag away from the run of REV.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints import byhand  # noqa: PLC0415 - light commands do without

    store = this_project().open_store()
    checkpoint = store.resolve(revision)
    run = checkpoint.run
    byhand.tag(store, run, name, None if delete else checkpoint)
    standing = f"{run}@{name} is checkpoint {checkpoint.id[:12]}"
    reply(
        {"run": run, "tag": name, "checkpoint": None if delete else checkpoint.id},
        as_json=as_json,
        note=f"removed the tag {name} of {run}" if delete else standing,
    )
