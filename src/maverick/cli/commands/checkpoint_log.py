"""List the checkpoints of a run.

The newest comes first. With another revision the log begins there; it goes on into the run that
this one was forked from. Checkpoints that gc has removed are not listed.

The last 16 checkpoints of each run show in brackets why they were made, unless it was because a
step finished.

Examples:
  maverick log
  maverick log fly@latest --json
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import age, label_text, now_ms
from maverick.cli.terminal.streams import print_json, print_out, warn
from maverick.errors import RefDamaged
from maverick.visible import iso_time, one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Store


def command(
    revision: Annotated[
        str, typer.Argument(metavar="REV", help="A run or another revision.")
    ] = "@latest",
    *,
    as_json: AsJson = False,
) -> None:
    store = this_project().open_store()
    history = store.history(revision)
    if as_json:
        print_json([_row(checkpoint) for checkpoint in history])
        return
    now = now_ms()
    reasons: dict[str, dict[str, str]] = {}
    for checkpoint in history:
        if checkpoint.run not in reasons:
            reasons[checkpoint.run] = _reasons(store, checkpoint.run)
        print_out(_line(checkpoint, now, reasons[checkpoint.run].get(checkpoint.id, "")))


def _line(checkpoint: "Checkpoint", now: int, reason: str) -> str:
    step = one_line(checkpoint.step) or "-"
    label = f"  @{label_text(checkpoint.label)}" if checkpoint.label else ""
    why = f"  ({one_line(reason)})" if reason not in ("", checkpoint.step) else ""
    return (
        f"{checkpoint.id[:12]}  {checkpoint.sequence:>5}  {age(checkpoint.created, now):>4}  "
        f"{checkpoint.kind:<7}  {step}{label}{why}\n"
    )


def _reasons(store: "Store", run: str) -> dict[str, str]:
    """Why the ref of a run moved, by checkpoint, as far as its log goes back."""
    try:
        ref = store.find_ref(run)
    except RefDamaged as error:
        warn(str(error))
        return {}
    if ref is None:
        return {}
    return {position.checkpoint: position.reason for position in ref.positions}


def _row(checkpoint: "Checkpoint") -> dict[str, Any]:
    return {
        "checkpoint": checkpoint.id,
        "kind": checkpoint.kind,
        "label": checkpoint.label or None,
        "step": checkpoint.step or None,
        "created": iso_time(checkpoint.created),
        "parent": checkpoint.parent or None,
    }
