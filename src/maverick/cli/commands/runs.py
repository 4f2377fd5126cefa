"""List the runs of this project.

The run that was started last comes first. A damaged run is reported on standard error and left out.

STATUS is `killed` when no process works on a run that neither paused nor ended; resume it like one
that is `paused` or `failed`. STEP is the last step that finished. SIZE is what the run's newest
checkpoint holds; on the disk it takes less, because it is compressed and runs share what is equal.
The date and time in a run's name are in UTC.

Examples:
  maverick runs
  maverick runs --json
"""

from typing import TYPE_CHECKING, Any

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import age, iso_time, json_text, now_ms, size, table
from maverick.cli.terminal.streams import print_err, print_out, warn
from maverick.errors import NotFound, RefDamaged
from maverick.runs.listing import Runs, Summary, summarise

if TYPE_CHECKING:
    from maverick.checkpoints import Ref


def command(*, as_json: AsJson = False) -> None:
    try:
        store = this_project().open_overview()
    except NotFound:
        if as_json:
            print_out("[]\n")
        else:
            print_err("no runs here yet; start one with `maverick run WORKFLOW`")
        return
    found = [summarise(store, ref) for ref in whole_refs(store)]
    if as_json:
        print_out(json_text([row(it) for it in found]) + "\n")
        return
    now = now_ms()
    headers = ("RUN", "STATUS", "STEP", "CHECKPOINTS", "AGE", "SIZE")
    rows = [cells(it, now) for it in found]
    print_out(table(headers, rows, right=(3, 4, 5)) if rows else "")


def whole_refs(store: "Runs") -> "list[Ref]":
    """Give the refs of all runs, newest first; damaged ones are told, and left out."""
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    for error in damaged:
        warn(str(error))
    return refs


def row(it: Summary) -> dict[str, Any]:
    """Give a run for scripts."""
    return {
        "run": it.run,
        "workflow": it.workflow,
        "status": it.status,
        "started": iso_time(it.started),
        "updated": iso_time(it.updated),
        "step": it.step,
        "checkpoints": it.checkpoints,
        "bytes": it.bytes,
    }


def cells(it: Summary, now: int) -> list[str]:
    """Give a run for people, who read it at *now* (milliseconds since the epoch)."""
    return [
        it.run,
        it.status,
        it.step or "-",
        str(it.checkpoints),
        age(it.updated, now),
        size(it.bytes),
    ]
