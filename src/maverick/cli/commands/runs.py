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

from typing import TYPE_CHECKING, Any, Final

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import age, now_ms, size, table
from maverick.cli.terminal.streams import warn
from maverick.errors import NotFound, RefDamaged
from maverick.runs.listing import Runs, RunSummary, summarise
from maverick.visible import iso_time

if TYPE_CHECKING:
    from maverick.checkpoints import Ref


HEADERS: Final = ("RUN", "STATUS", "STEP", "CHECKPOINTS", "AGE", "SIZE")
NUMBERS: Final = (3, 4, 5)
"""Which of these columns hold numbers."""


def command(*, as_json: AsJson = False) -> None:
    try:
        store = this_project().open_overview()
    except NotFound:
        hint = "no runs here yet; start one with `maverick run WORKFLOW`"
        reply([], as_json=as_json, note=hint)
        return
    summaries = [summarise(store, ref) for ref in whole_refs(store)]
    now = now_ms()
    lines = [cells(summary, now) for summary in summaries]
    reply(
        [row(summary) for summary in summaries],
        as_json=as_json,
        text=table(HEADERS, lines, right=NUMBERS) if lines else "",
    )


def whole_refs(store: "Runs") -> "list[Ref]":
    """Give the refs of all runs, newest first; damaged ones are told, and left out."""
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    for error in damaged:
        warn(str(error))
    return refs


def row(summary: RunSummary) -> dict[str, Any]:
    """Give a run for scripts."""
    return {
        "run": summary.run,
        "workflow": summary.workflow,
        "status": summary.status,
        "started": iso_time(summary.started),
        "updated": iso_time(summary.updated),
        "step": summary.step,
        "checkpoints": summary.checkpoints,
        "bytes": summary.bytes,
    }


def cells(summary: RunSummary, now: int) -> list[str]:
    """Give a run for people, who read it at *now* (milliseconds since the epoch)."""
    return [
        summary.run,
        summary.status,
        summary.step or "-",
        str(summary.checkpoints),
        age(summary.updated, now),
        size(summary.bytes),
    ]
