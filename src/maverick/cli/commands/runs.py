"""List the runs of this project.

The run that was started last comes first. A damaged run is reported on standard error and left out.

STATUS is `killed` when no process works on a run that neither paused nor ended; resume it like one
that is `paused` or `failed`. STARTED is in local time; the date and time in a run's name are in
UTC. TIME is that of its executions together. AT is the step that failed or runs, or at which the
run was killed, and WHY the first line of why it is not done. Lines are cut to the width of the
terminal, or to COLUMNS; in a pipe they are whole.

Examples:
  maverick runs
  maverick runs --status failed --status killed -n 5
  maverick runs --workflow fly --json
"""

from maverick.cli.entry import AsJson, Most, OfWorkflow, Statuses
from maverick.cli.looking.listed import Chosen, list_runs


def command(
    status: Statuses = None,
    workflow: OfWorkflow = "",
    count: Most = None,
    *,
    as_json: AsJson = False,
) -> None:
    list_runs(as_json=as_json, chosen=Chosen(tuple(status or ()), workflow, count))
