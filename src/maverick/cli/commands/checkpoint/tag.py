"""Give a checkpoint a name that stays.

RUN@NAME is the checkpoint then, and gc keeps it. A tag that the run has already is moved.

Examples:
  maverick checkpoint tag @latest before-review
  maverick checkpoint tag @latest before-review --delete
"""

from typing import Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text
from maverick.cli.terminal.streams import print_err, print_out


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
    at = store.resolve(revision)
    byhand.tag(store, at.run, name, None if delete else at)
    if as_json:
        print_out(
            json_text({"run": at.run, "tag": name, "checkpoint": None if delete else at.id}) + "\n"
        )
    else:
        print_err(
            f"removed the tag {name} of {at.run}"
            if delete
            else f"{at.run}@{name} is checkpoint {at.id[:12]}"
        )
