"""`run --plan`: what would run, and why, and what would become of files, as people and scripts read
it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from maverick.cli.terminal.render import (
    changes_json,
    changes_lines,
    json_text,
    paint,
    plural,
    size,
)
from maverick.cli.terminal.streams import has_colour, print_err, print_json, print_out
from maverick.visible import Shown, one_line, shown

if TYPE_CHECKING:
    from typing import IO

    from maverick.runs.preview import Changed, PlannedStep, RunPlan
    from maverick.runs.workspace_choice import Decision, FileDifference

_COLOURS: Final = {
    "recall": "dim",
    "run": "green",
    "rerun": "yellow",
    "skip": "dim",
    "unknown": "cyan",
}
_TO_DO: Final = {
    "recall": "to recall",
    "run": "to run",
    "rerun": "to run again",
    "skip": "to skip",
    "unknown": "not known yet",
}
_FILES: Final = {"restore": "yellow", "keep": "dim", "ask": "cyan"}


def show(plan: RunPlan, *, as_json: bool, plain: bool, out: IO[str] | None) -> None:
    """Print a plan: steps and files to standard output, what else is to be said to standard
    error.
    """
    if as_json:
        print_json(_whole(plan), out)
    else:
        colour = has_colour(out, plain=plain)
        print_out(
            shown(*(_lines(it, colour=colour) for it in plan.steps), _files(plan, colour=colour)),
            out,
        )
    for note in plan.notes:
        print_err(f"note: {note}")
    if plan.refused:
        print_err(f"resuming would stop before anything runs (exit code 12): {plan.refused}")
    counts: Counter[str] = Counter(it.step.action for it in plan.steps)
    summary = ", ".join(
        f"{counts[action]} {what}" for action, what in _TO_DO.items() if counts[action]
    )
    steps = f"{plural(len(plan.steps), 'step')}: {summary}; " if plan.steps else ""
    print_err(f"{steps}this is a plan, nothing was run")


def _whole(plan: RunPlan) -> dict[str, Any]:
    return {
        "run": plan.run or None,
        "workflow": plan.workflow,
        "refused": plan.refused or None,
        "notes": list(plan.notes),
        "steps": [_row(it) for it in plan.steps],
        "files": _differing(plan.files) if plan.files else None,
        "missing": [{"step": it.step, "path": it.path} for it in plan.missing],
    }


def _row(it: PlannedStep) -> dict[str, Any]:
    return {
        "step": it.step.step,
        "type": it.step.type,
        "action": it.step.action,
        "why": it.step.why,
        "changed": [_change(each) for each in it.changed],
    }


def _change(it: Changed) -> dict[str, Any]:
    values = {"old": it.old, "new": it.new} if it.known else {}
    return {"part": it.part, **values, **({"diff": it.diff} if it.diff else {})}


def _lines(it: PlannedStep, *, colour: bool) -> Shown:
    action = paint(f"{it.step.action:<8}", _COLOURS[it.step.action], on=colour)
    lines = [f" {one_line(it.step.step)}  ({one_line(it.step.why)})"]
    for change in it.changed:
        if change.known:
            old, new = (json_text(side, indent=None) for side in (change.old, change.new))
            lines.append(f"           {one_line(change.part)}: {old} -> {new}")
        lines += [f"           {one_line(line)}" for line in change.diff.split("\n") if change.diff]
    return shown(action, "".join(f"{line}\n" for line in lines))


# --- files ----------------------------------------------------------------------------------------


def _differing(decision: Decision) -> dict[str, Any] | None:
    difference = decision.difference
    if difference is None:
        return None
    return {
        "action": decision.action,
        "checkpoint": difference.checkpoint.id,
        "sequence": difference.checkpoint.sequence,
        "label": difference.checkpoint.label or None,
        "head_moved": difference.plan.head_moved,
        **changes_json(difference.plan),
    }


def _files(plan: RunPlan, *, colour: bool) -> Shown:
    """What would be done about the project's files: counts, then names."""
    parts: list[str] = []
    difference = plan.files.difference if plan.files else None
    if plan.files and difference and (plan.files.restores or not difference.plan.is_empty):
        action = plan.files.action
        parts += [
            paint(f"{action:<8}", _FILES[action], on=colour),
            f" {_said(plan.files, difference)}\n",
        ]
        parts += [f"           {one_line(line)}\n" for line in changes_lines(difference.plan)]
    label = paint(f"{'restore':<8}", _FILES["restore"], on=colour)
    for it in plan.missing:
        parts += [
            label,
            f" {one_line(it.path)}  (it is missing, and {one_line(it.step)} is recalled)\n",
        ]
    return shown(*parts)


def _said(decision: Decision, difference: FileDifference) -> str:
    plan, name = difference.plan, one_line(difference.name)
    moved = "; HEAD has moved since" if plan.head_moved else ""
    counts = (
        f"{len(plan.writes)} written ({size(plan.write_bytes)}), {len(plan.removes)} removed{moved}"
    )
    differing = (
        f"{plural(len(plan.changes), 'file')} that differ{'s' if len(plan.changes) == 1 else ''} "
        f"from {name}"
    )
    match decision.action:
        case "restore" if plan.is_empty:
            return f"no file differs from {name}; what was recorded since runs again"
        case "restore":
            return f"{plural(len(plan.changes), 'file')} as in {name}: {counts}"
        case "keep":
            return (
                f"{differing}, the newest with files; --workspace restore would go back to it: "
                f"{counts}"
            )
        case "ask":
            return f"{differing}, the newest with files, whether to go back to it: {counts}"
