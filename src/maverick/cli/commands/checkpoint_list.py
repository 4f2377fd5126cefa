"""List the runs with their labels.

The run that was started last comes first. `RUN@LABEL` names a labelled checkpoint. Labels are in
the order in which they were made. A label is quoted as a shell needs it if it has other signs than
letters, digits, blanks and `@%_-+=:,./`. The other columns, and widths, are those of `maverick
runs`.

Examples:
  maverick checkpoint list
  maverick checkpoint list --workflow fly --json
"""

from typing import Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.lists.listed import Chosen, list_checkpoints


def command(
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS",
            help="Only runs that are running, paused, failed, killed or done; repeatable.",
        ),
    ] = None,
    workflow: Annotated[
        str,
        typer.Option(metavar="WORKFLOW", help="Only runs of this workflow.", show_default=False),
    ] = "",
    count: Annotated[
        int | None,
        typer.Option("-n", "--limit", metavar="N", min=1, help="Only the newest N of these."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    list_checkpoints(as_json=as_json, chosen=Chosen(tuple(status or ()), workflow, count))
