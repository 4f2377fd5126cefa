"""List the runs with their labels.

The run that was started last comes first. `RUN@LABEL` names a labelled checkpoint. Labels are in
the order in which they were made. A label is quoted as a shell needs it if it has other signs than
letters, digits, blanks and `@%_-+=:,./`.

Examples:
  maverick checkpoint list
  maverick checkpoint list --json
"""

from typing import TYPE_CHECKING

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text, now_ms, table
from maverick.cli.terminal.streams import print_out, warn
from maverick.errors import StoreDamaged
from maverick.runs.listing import summarise

if TYPE_CHECKING:
    from maverick.checkpoints import Ref, Store
from maverick.cli.commands.runs import cells, row, whole_refs
from maverick.cli.terminal.render import label_text


def command(*, as_json: AsJson = False) -> None:
    project = this_project()
    overview = project.open_overview()
    refs = whole_refs(overview)
    store = project.open_store() if any(ref.labelled for ref in refs) else None
    found = [(summarise(overview, ref), _labels(store, ref) if store else []) for ref in refs]
    if as_json:
        print_out(json_text([{**row(it), "labels": labels} for it, labels in found]) + "\n")
        return
    now = now_ms()
    headers = ("RUN", "STATUS", "STEP", "CHECKPOINTS", "AGE", "SIZE", "LABELS")
    rows = [[*cells(it, now), ", ".join(map(label_text, labels))] for it, labels in found]
    print_out(table(headers, rows, right=(3, 4, 5)) if rows else "")


def _labels(store: "Store", ref: "Ref") -> list[str]:
    """The labels that lead to a checkpoint of the run (or of one it was forked from), oldest
    first.
    """
    labels: dict[str, None] = {}
    at = ref.labelled
    try:
        while at:
            checkpoint = store.checkpoint(at)
            labels.setdefault(checkpoint.label)
            at = checkpoint.labelled
    except StoreDamaged as error:
        warn(f"labels of {ref.run}: {error}")
    return list(reversed(labels))
