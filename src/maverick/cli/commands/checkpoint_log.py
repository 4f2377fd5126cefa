"""List the checkpoints of a run.

The newest comes first. With another revision the log begins there; it goes on into the run that
this one was forked from. Checkpoints that gc has removed are not listed.

N counts the checkpoints of a run. MADE is in local time. STATUS is that of the step that was saved;
of the checkpoint with which an execution ended, that of the run. The last 16 checkpoints of each
run show in brackets why they were made, unless it was because a step finished.

Examples:
  maverick log
  maverick log fly@latest -n 5
  maverick log k3x9 --json
"""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import (
    day_of,
    label_text,
    line_width,
    moment,
    now_ms,
    short_moment,
)
from maverick.cli.terminal.streams import print_json, print_out, warn
from maverick.errors import RefDamaged, StoreDamaged
from maverick.visible import fit, iso_time, one_line

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Store

_DIGITS: Final = 12
"""Of a checkpoint's id."""
_ENDS: Final = {"pause": "paused", "failure": "failed", "final": "done"}
_STATUS_WIDTH: Final = 7
_SHORTEST_STEP: Final = 40
"""Where the rest of a line would have less room, its time is short."""


def command(
    revision: Annotated[
        str, typer.Argument(metavar="REV", help="A run or another revision.")
    ] = "@latest",
    count: Annotated[
        int | None,
        typer.Option(
            "-n", "--limit", metavar="N", min=1, help="Only the newest N.", show_default=False
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    store = this_project().open_store()
    history = islice(store.history(revision), count)
    if as_json:
        print_json([_row(checkpoint) for checkpoint in history])
        return
    for line in _lines(store, history, line_width(sys.stdout)):
        print_out(f"{line}\n")


def _lines(store: "Store", history: "Iterator[Checkpoint]", width: int | None) -> "Iterator[str]":
    """Give a header, and a line for each checkpoint as it is read."""
    reasons: dict[str, dict[str, str]] = {}
    today, numbers, moments, is_short = day_of(now_ms()), 0, 0, False
    for checkpoint in history:
        if not numbers:
            numbers = len(str(checkpoint.sequence))
            wide = len(moment(0, exact=True))
            before = _DIGITS + numbers + wide + _STATUS_WIDTH + 8
            is_short = width is not None and width - before < _SHORTEST_STEP
            moments = len("0000-00-00") if is_short else wide
            yield f"{'CHECKPOINT':<{_DIGITS}}  {'N':>{numbers}}  {'MADE':<{moments}}  STATUS   STEP"
        if checkpoint.run not in reasons:
            reasons[checkpoint.run] = _reasons(store, checkpoint.run)
        made = checkpoint.created
        at = short_moment(made, today, exact=True) if is_short else moment(made, exact=True)
        head = (
            f"{checkpoint.id[:_DIGITS]}  {checkpoint.sequence:>{numbers}}  {at:<{moments}}  "
            f"{_status(store, checkpoint):<{_STATUS_WIDTH}}  "
        )
        rest = _what(checkpoint, reasons[checkpoint.run].get(checkpoint.id, ""))
        yield head + (rest if width is None else fit(rest, width - len(head)))


def _what(checkpoint: "Checkpoint", reason: str) -> str:
    step = one_line(checkpoint.step) or "-"
    label = f"  @{label_text(checkpoint.label)}" if checkpoint.label else ""
    why = f"  ({one_line(reason)})" if reason not in ("", checkpoint.step) else ""
    return f"{step}{label}{why}"


def _status(store: "Store", checkpoint: "Checkpoint") -> str:
    """Give the status of the step that was saved; `-` where none was."""
    if checkpoint.kind in _ENDS:
        return _ENDS[checkpoint.kind]
    if not checkpoint.step:
        return "-"
    from maverick.dsl.journal.tree import StepNote, step_place  # noqa: PLC0415 - not of JSON

    try:
        entry = store.snapshot(checkpoint).find(step_place(checkpoint.step))
    except StoreDamaged:
        return "?"
    return StepNote.of(entry).status if entry is not None else "-"


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
