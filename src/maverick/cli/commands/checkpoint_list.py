"""List the runs with their labels.

The run that was started last comes first. `RUN@LABEL` names a labelled checkpoint. Labels are in
the order in which they were made. A label is quoted as a shell needs it if it has other signs than
letters, digits, blanks and `@%_-+=:,./`. The other columns, and widths, are those of `maverick
runs`.

Examples:
  maverick checkpoint list
  maverick checkpoint list --workflow fly --json
"""

from maverick.cli.entry import AsJson, Most, OfWorkflow, Statuses
from maverick.cli.looking.listed import Chosen, list_checkpoints


def command(
    status: Statuses = None,
    workflow: OfWorkflow = "",
    count: Most = None,
    *,
    as_json: AsJson = False,
) -> None:
    list_checkpoints(as_json=as_json, chosen=Chosen(tuple(status or ()), workflow, count))
