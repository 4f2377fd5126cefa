"""`maverick runs`, `checkpoint list`, `checkpoint log`: which runs there are, and what led to where
they stand.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import age, iso_time, json_text, now_ms, shell_word, size, table
from maverick.cli.terminal.streams import print_err, print_out, warn
from maverick.errors import NotFound, RefDamaged, StoreDamaged
from maverick.runs.listing import Runs, Summary, summarise
from maverick.visible import one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Ref, Store


def runs(*, as_json: AsJson = False) -> None:
    """List the runs of this project, newest first: in the order in which they were started here.

    A damaged run is reported on standard error and left out. A run is `killed` when no process
    works on it and it was neither paused nor ended; it can be resumed like one that is `paused` or
    `failed`. STEP is the last one that finished. SIZE is what the run's newest checkpoint holds: on
    the disk it takes less, since it is compressed and runs share what is equal. The date and time
    in a run's name are in UTC.

    Examples:
      maverick runs
      maverick runs --json
    """
    try:
        store = this_project().open_overview()
    except NotFound:
        if as_json:
            print_out("[]\n")
        else:
            print_err("no runs here yet; start one with `maverick run WORKFLOW`")
        return
    found = [summarise(store, ref) for ref in _whole_refs(store)]
    if as_json:
        print_out(json_text([_row(it) for it in found]) + "\n")
        return
    now = now_ms()
    headers = ("RUN", "STATUS", "STEP", "CHECKPOINTS", "AGE", "SIZE")
    rows = [_cells(it, now) for it in found]
    print_out(table(headers, rows, right=(3, 4, 5)) if rows else "")


def list_checkpoints(*, as_json: AsJson = False) -> None:
    """List the runs with the labels that their checkpoints have, newest run first.

    `RUN@LABEL` names a labelled checkpoint. Labels are in the order in which they were made; those
    with other signs than letters, digits, blanks and `@%_-+=:,./` are quoted as a shell needs them.

    Examples:
      maverick checkpoint list
      maverick checkpoint list --json
    """
    project = this_project()
    overview = project.open_overview()
    refs = _whole_refs(overview)
    store = project.open_store() if any(ref.labelled for ref in refs) else None
    found = [(summarise(overview, ref), _labels(store, ref) if store else []) for ref in refs]
    if as_json:
        print_out(json_text([{**_row(it), "labels": labels} for it, labels in found]) + "\n")
        return
    now = now_ms()
    headers = ("RUN", "STATUS", "STEP", "CHECKPOINTS", "AGE", "SIZE", "LABELS")
    rows = [[*_cells(it, now), ", ".join(map(_listed, labels))] for it, labels in found]
    print_out(table(headers, rows, right=(3, 4, 5)) if rows else "")


def log(
    revision: Annotated[
        str, typer.Argument(metavar="REV", help="A run or another revision.")
    ] = "@latest",
    *,
    as_json: AsJson = False,
) -> None:
    """List the checkpoints that led to a revision, newest first.

    The log goes on into the run that this one was forked from. Checkpoints that gc has removed are
    not listed. The last 16 of each run show in brackets why they were made, unless that was the
    step which finished.

    Examples:
      maverick checkpoint log
      maverick checkpoint log fly@latest --json
    """
    store = this_project().open_store()
    history = store.history(revision)
    if as_json:
        print_out(json_text([_entry(it) for it in history]) + "\n")
        return
    now = now_ms()
    reasons: dict[str, dict[str, str]] = {}
    for it in history:
        step = one_line(it.step) or "-"
        label = f"  @{_listed(it.label)}" if it.label else ""
        if it.run not in reasons:
            reasons[it.run] = _reasons(store, it.run)
        reason = reasons[it.run].get(it.id, "")
        why = f"  ({one_line(reason)})" if reason not in ("", it.step) else ""
        print_out(
            f"{it.id[:12]}  {it.sequence:>5}  {age(it.created, now):>4}  {it.kind:<7}  "
            f"{step}{label}{why}\n"
        )


def _reasons(store: "Store", run: str) -> dict[str, str]:
    """Why the ref of a run moved, by checkpoint, as far as its log goes back."""
    try:
        ref = store.find_ref(run)
    except RefDamaged as error:
        warn(str(error))
        return {}
    return {it.checkpoint: it.reason for it in ref.positions} if ref is not None else {}


def _whole_refs(store: "Runs") -> "list[Ref]":
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    for error in damaged:
        warn(str(error))
    return refs


def _row(it: Summary) -> dict[str, Any]:
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


def _cells(it: Summary, now: int) -> list[str]:
    return [
        it.run,
        it.status,
        it.step or "-",
        str(it.checkpoints),
        age(it.updated, now),
        size(it.bytes),
    ]


def _listed(label: str) -> str:
    """A label as a person can type it behind `RUN@`, in quotes where it has blanks; with others
    where it needs them.
    """
    words = label.split(" ")
    return label if all(it and shell_word(it) == it for it in words) else shell_word(label)


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


def _entry(it: "Checkpoint") -> dict[str, Any]:
    return {
        "checkpoint": it.id,
        "kind": it.kind,
        "label": it.label or None,
        "step": it.step or None,
        "created": iso_time(it.created),
        "parent": it.parent or None,
    }
