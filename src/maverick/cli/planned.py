"""What `run --plan` prints: what would run, and why, and what would become of files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from maverick.cli.terminal.render import (
    changes_json,
    changes_lines,
    json_text,
    line_width,
    paint,
    plural,
    size,
    wrapped,
)
from maverick.cli.terminal.streams import has_colour, print_err, print_json, print_out
from maverick.visible import Shown, columns, one_line, shown

if TYPE_CHECKING:
    from typing import IO

    from maverick.runs.differences import Changed
    from maverick.runs.preview import PlannedStep, RunPlan
    from maverick.runs.workspace_choice import FileDifference, FilesDecision

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
_INDENT: Final = " " * 11
_FILES: Final = {"restore": "yellow", "keep": "dim", "ask": "cyan"}


def print_plan(plan: RunPlan, *, as_json: bool, plain: bool, out: IO[str] | None) -> None:
    """Print a plan: steps and files to standard output, what else is to be said to standard
    error.
    """
    if as_json:
        print_json(_plan_row(plan), out)
    else:
        colour = has_colour(out, plain=plain)
        print_out(
            shown(
                *(_step_lines(step, line_width(out), colour=colour) for step in plan.steps),
                _file_lines(plan, colour=colour),
            ),
            out,
        )
    for note in plan.notes:
        print_err(f"note: {note}")
    if plan.refused:
        print_err(f"resuming would stop before anything runs (exit code 12): {plan.refused}")
    counts: Counter[str] = Counter(planned.step.action for planned in plan.steps)
    summary = ", ".join(
        f"{counts[action]} {what}" for action, what in _TO_DO.items() if counts[action]
    )
    steps = f"{plural(len(plan.steps), 'step')}: {summary}; " if plan.steps else ""
    print_err(f"{steps}this is a plan, nothing was run")


def _plan_row(plan: RunPlan) -> dict[str, Any]:
    return {
        "run": plan.run or None,
        "workflow": plan.workflow,
        "refused": plan.refused or None,
        "notes": list(plan.notes),
        "steps": [_step_row(planned) for planned in plan.steps],
        "files": _files_row(plan.files) if plan.files else None,
        "missing": [missing._asdict() for missing in plan.missing],
    }


def _step_row(planned: PlannedStep) -> dict[str, Any]:
    step = planned.step
    return {
        "step": step.step,
        "type": step.type,
        "action": step.action,
        "why": step.why,
        "changed": [_change_row(change) for change in planned.changed],
    }


def _change_row(change: Changed) -> dict[str, Any]:
    values = {"old": change.old, "new": change.new} if change.known else {}
    return {"part": change.part, **values, **({"diff": change.diff} if change.diff else {})}


def _step_lines(planned: PlannedStep, width: int | None, *, colour: bool) -> Shown:
    """Give what becomes of a step. Reason and values that do not fit *width* stand below it."""
    step = planned.step
    action = paint(f"{step.action:<8}", _COLOURS[step.action], on=colour)
    path, why = one_line(step.step), f"({one_line(step.why)})"
    fits = width is None or columns(f"{path}  {why}") <= width - len(f"{step.action:<8} ")
    lines = [f" {path}  {why}"] if fits else [f" {path}", *_below(why, width)]
    for change in planned.changed:
        if change.known:
            old, new = (json_text(side, indent=None) for side in (change.old, change.new))
            lines += _below(f"{one_line(change.part)}: {old} -> {new}", width)
        lines += [f"{_INDENT}{one_line(line)}" for line in change.diff.split("\n") if change.diff]
    return shown(action, "".join(f"{line}\n" for line in lines))


def _below(text: str, width: int | None) -> list[str]:
    parts = [text] if width is None else wrapped(text, width - len(_INDENT))
    return [f"{_INDENT}{part}" for part in parts]


# --- files ----------------------------------------------------------------------------------------


def _files_row(decision: FilesDecision) -> dict[str, Any] | None:
    difference = decision.difference
    if difference is None:
        return None
    checkpoint, plan = difference.checkpoint, difference.plan
    return {
        "action": decision.action,
        "checkpoint": checkpoint.id,
        "sequence": checkpoint.sequence,
        "label": checkpoint.label or None,
        "head_moved": plan.head_moved,
        **changes_json(plan),
    }


def _file_lines(plan: RunPlan, *, colour: bool) -> Shown:
    """What would be done about the project's files: counts, then names."""
    parts: list[str] = []
    decision = plan.files
    difference = decision.difference if decision else None
    if decision and difference and (decision.restores or not difference.plan.is_empty):
        action = paint(f"{decision.action:<8}", _FILES[decision.action], on=colour)
        parts += [action, f" {_decision_text(decision, difference)}\n"]
        parts += [f"           {one_line(line)}\n" for line in changes_lines(difference.plan)]
    action = paint(f"{'restore':<8}", _FILES["restore"], on=colour)
    for missing in plan.missing:
        path, step = one_line(missing.path), one_line(missing.step)
        parts += [action, f" {path}  (it is missing, and {step} is recalled)\n"]
    return shown(*parts)


def _decision_text(decision: FilesDecision, difference: FileDifference) -> str:
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
