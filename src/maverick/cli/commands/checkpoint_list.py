"""List the runs with their labels.

The run that was started last comes first. `RUN@LABEL` names a labelled checkpoint. Labels are in
the order in which they were made. A label is quoted as a shell needs it if it has other signs than
letters, digits, blanks and `@%_-+=:,./`.

Examples:
  maverick checkpoint list
  maverick checkpoint list --json
"""

from typing import TYPE_CHECKING

from maverick.cli.answer import reply
from maverick.cli.commands.runs import HEADERS, NUMBERS, cells, row, whole_refs
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import label_text, now_ms, table
from maverick.cli.terminal.streams import warn
from maverick.errors import StoreDamaged
from maverick.runs.listing import summarise

if TYPE_CHECKING:
    from maverick.checkpoints import Ref, Store


def command(*, as_json: AsJson = False) -> None:
    project = this_project()
    overview = project.open_overview()
    refs = whole_refs(overview)
    store = project.open_store() if any(ref.labelled for ref in refs) else None
    runs = [(summarise(overview, ref), _labels(store, ref) if store else []) for ref in refs]
    now = now_ms()
    lines = [[*cells(run, now), ", ".join(map(label_text, labels))] for run, labels in runs]
    reply(
        [{**row(run), "labels": labels} for run, labels in runs],
        as_json=as_json,
        text=table((*HEADERS, "LABELS"), lines, right=NUMBERS) if lines else "",
    )


def _labels(store: "Store", ref: "Ref") -> list[str]:
    """The labels that lead to a checkpoint of the run (or of one it was forked from), oldest
    first.
    """
    labels: dict[str, None] = {}
    labelled = ref.labelled
    try:
        while labelled:
            checkpoint = store.checkpoint(labelled)
            labels.setdefault(checkpoint.label)
            labelled = checkpoint.labelled
    except StoreDamaged as error:
        warn(f"labels of {ref.run}: {error}")
    return list(reversed(labels))
