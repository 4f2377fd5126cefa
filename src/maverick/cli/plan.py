"""`run --plan`: what would run, and why, as people and scripts read it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from maverick.cli.render import has_colour, json_text, one_line, paint, plural
from maverick.cli.streams import print_err, print_out

if TYPE_CHECKING:
    from typing import IO

    from maverick.plans import Changed, PlannedStep, RunPlan

_COLOURS: Final = {"reuse": "dim", "run": "green", "rerun": "yellow", "skip": "dim", "unknown": "cyan"}


def show(plan: RunPlan, *, as_json: bool, plain: bool, out: IO[str] | None) -> None:
    """Print a plan: the steps to standard output, what else is to be said to standard error."""
    if as_json:
        print_out(json_text([_row(it) for it in plan.steps]) + "\n", out)
    else:
        colour = has_colour(out, plain=plain)
        print_out("".join(_lines(it, colour=colour) for it in plan.steps), out)
    for note in plan.notes:
        print_err(f"note: {note}")
    if plan.refused:
        print_err(f"resuming would stop before anything runs (exit code 12): {plan.refused}")
    counts: Counter[str] = Counter(it.step.action for it in plan.steps)
    summary = ", ".join(f"{counts[action]} {action}" for action in _COLOURS if counts[action])
    print_err(f"{plural(len(plan.steps), 'step')}: {summary}; nothing was run" if plan.steps else "nothing was run")


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


def _lines(it: PlannedStep, *, colour: bool) -> str:
    action = paint(f"{it.step.action:<8}", _COLOURS[it.step.action], on=colour)
    lines = [f"{action} {one_line(it.step.step)}  ({one_line(it.step.why)})"]
    for change in it.changed:
        if change.known:
            old, new = (json_text(side, indent=None) for side in (change.old, change.new))
            lines.append(f"           {change.part}: {old} -> {new}")
        lines += [f"           {one_line(line)}" for line in change.diff.splitlines()]
    return "\n".join(lines) + "\n"
