"""List the checkpoints of a run.

The newest comes first. With another revision the log begins there; it goes on into the run that
this one was forked from. Checkpoints that gc has removed are not listed.

The last 16 checkpoints of each run show in brackets why they were made, unless it was because a
step finished.

Examples:
  maverick checkpoint log
  maverick checkpoint log fly@latest --json
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import age, iso_time, json_text, now_ms
from maverick.cli.terminal.streams import print_out, warn
from maverick.errors import RefDamaged
from maverick.visible import one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Store
from maverick.cli.terminal.render import label_text


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
        print_out(json_text([_entry(it) for it in history]) + "\n")
        return
    now = now_ms()
    reasons: dict[str, dict[str, str]] = {}
    for it in history:
        step = one_line(it.step) or "-"
        label = f"  @{label_text(it.label)}" if it.label else ""
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


def _entry(it: "Checkpoint") -> dict[str, Any]:
    return {
        "checkpoint": it.id,
        "kind": it.kind,
        "label": it.label or None,
        "step": it.step or None,
        "created": iso_time(it.created),
        "parent": it.parent or None,
    }
