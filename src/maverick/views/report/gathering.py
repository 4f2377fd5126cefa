"""Everything that the page of a run shows, taken from the store once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.errors import MaverickError
from maverick.views.graphs.graph import folded
from maverick.views.graphs.run_graph import graph_of_run
from maverick.views.page_loader import load_page
from maverick.views.report.bounds import ERROR_BYTES, Budget, bounded, head_of
from maverick.views.report.changed_files import changes_between, kept_files
from maverick.views.report.details import Details
from maverick.views.report.previous import Previous
from maverick.views.report.rows import placed, row_fields
from maverick.views.signs import RUN_SIGNS, STEP_SIGNS
from maverick.visible import duration, iso_time, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints import Checkpoint, Store
    from maverick.views.run_page import RunPage

MOST_BOXES: Final = 400
"""Of the graph in a page."""
MOST_STEP_FILES: Final = 100
"""How many checkpoints say which files they changed."""
LOOKS: Final = {"paused": "waiting", "killed": "failed"}


class Gathered(NamedTuple):
    """A run for the page: what stands on top, its rows and the rest, the details by row."""

    head: dict[str, Any]
    data: dict[str, Any]
    details: dict[int, dict[str, Any]]


def gather(
    project: str,
    store: Store,
    checkpoint: Checkpoint,
    budget: Budget,
    scrub: Callable[[Any], Any],
) -> Gathered:
    """Gather what there is of a run as it stands at *checkpoint*; *scrub* masks secrets."""
    page = load_page(project, store, checkpoint)
    before = Previous.load(project, store, page)
    rows, left_out = placed(page)
    notes = [f"Some of it cannot be read: {one_line(page.warning)}"] if page.warning else []
    files, by_step = _files(store, checkpoint, budget)
    reader = Details(store, page, budget, by_step)
    steps = [row_fields(page, each, before.steps) for each in rows]
    _label_iterations(page, steps)
    details: dict[int, dict[str, Any]] = {}
    for number, each in enumerate(rows):
        detail = reader.of(each.node)
        steps[number]["detail"] = detail is not None
        if detail is not None:
            details[number] = scrub(detail)
    data = {
        **_run_fields(page),
        "inputs": bounded(page.inputs),
        "output": bounded(page.output),
        "executions": [
            {
                "started": iso_time(each.started),
                "seconds": None if each.milliseconds is None else each.milliseconds / 1000,
                "status": each.status,
            }
            for each in page.executions
        ],
        "steps": steps,
        "steps_left_out": left_out,
        **_graph(page),
        "files": files,
        **_before(store, page, before, budget),
    }
    return Gathered(scrub(_head(page, notes, data)), scrub(data), details)


def _run_fields(page: RunPage) -> dict[str, Any]:
    return {
        "run": page.run,
        "workflow": one_line(page.workflow),
        "status": page.status,
        "started": iso_time(page.started),
        "seconds": page.seconds,
        "failed_at": None if page.failed_at is None else one_line(page.failed_at),
        "totals": page.totals,
    }


def _before(store: Store, page: RunPage, before: Previous, budget: Budget) -> dict[str, Any]:
    if before.page is None:
        return {"before": None, "before_note": before.note}
    return {"before": {**_run_fields(before.page), **before.changes(store, page, budget)}}


def _head(page: RunPage, notes: list[str], data: Mapping[str, Any]) -> dict[str, Any]:
    workflow = page.definition.workflow
    files = data["files"]
    return {
        "run": page.run,
        "workflow": one_line(page.workflow),
        "status": page.status,
        "sign": RUN_SIGNS.get(page.status, ""),
        "look": LOOKS.get(page.status, page.status),
        "description": head_of(workflow.description.strip(), 2_000) if workflow else "",
        "facts": list(_facts(page)),
        "error": head_of(page.error, ERROR_BYTES) if page.error else "",
        "failed_at": data["failed_at"] or "",
        "question": _question(page.waiting),
        "notices": [head_of(text, 1_000) for text in page.notices],
        "resume": one_line(page.resume) if page.resume else "",
        "notes": notes,
        "shows_values": page.status == "done",
        "files_count": None if files is None else len(files["changes"]),
    }


def _facts(page: RunPage) -> Iterator[tuple[str, str]]:
    def moment(milliseconds: int) -> str:
        return iso_time(milliseconds)[:19].replace("T", " ") + " UTC"

    yield "Started", moment(page.started)
    yield "Time", duration(page.seconds)
    counts: Counter[str] = Counter(row.status for row in page.top.rows())
    parts = [f"{counts[status]:,} {status}" for status in STEP_SIGNS if counts[status]]
    yield "Steps", ", ".join(parts) or "none"
    totals = page.totals
    if totals["calls"]:
        yield "Agents", f"{totals['calls']:,} call{'' if totals['calls'] == 1 else 's'}"
    tokens = (totals["tokens_in"] or 0) + (totals["tokens_out"] or 0)
    if tokens:
        yield "Tokens", f"{tokens:,}"
    if totals["usd"] is not None:
        yield "Cost", f"${totals['usd']:.2f}"
    if len(page.executions) > 1:
        yield (
            "Executions",
            f"{len(page.executions):,}, the last {moment(page.executions[-1].started)}",
        )


def _question(waiting: Mapping[str, Any] | None) -> str:
    if waiting is None:
        return ""
    return head_of(str(waiting.get("question") or waiting.get("step") or ""), 2_000)


def _label_iterations(page: RunPage, steps: list[dict[str, Any]]) -> None:
    """Give each iteration the name of its item."""
    names: dict[int, list[str]] = {}
    for step in steps:
        around, position = step["parent"], step["name"].strip("[]")
        if step["type"] != "iteration" or around < 0 or not position.isdigit():
            continue
        if around not in names:
            names[around] = page.names(steps[around]["path"])
        if int(position) < len(names[around]):
            step["label"] = one_line(names[around][int(position)]) or None


def _graph(page: RunPage) -> dict[str, Any]:
    try:
        return {"graph": folded(graph_of_run(page), MOST_BOXES).to_json()}
    except MaverickError as error:
        return {"graph": None, "graph_note": one_line(str(error))}


# --- files ----------------------------------------------------------------------------------------


def _files(
    store: Store, checkpoint: Checkpoint, budget: Budget
) -> tuple[dict[str, Any] | None, dict[str, list[dict[str, Any]]]]:
    """Give the files that the whole run changed, and those of each step that a checkpoint is of."""
    kept = kept_files(store, checkpoint)
    if not kept:
        return None, {}
    try:
        first, last = kept[0], kept[-1]
        title = f"From {first.name} to {last.name}" if len(kept) > 1 else f"As at {first.name}"
        whole = {
            "title": title,
            "changes": changes_between(store, first, last, budget),
            "note": f"{len(kept):,} checkpoints have other files than the one before them.",
        }
        by_step: dict[str, list[dict[str, Any]]] = {}
        for old, new in list(pairwise(kept))[-MOST_STEP_FILES:]:
            if new.checkpoint.step:
                changes = changes_between(store, old, new, budget)
                by_step.setdefault(new.checkpoint.step, []).extend(changes)
    except MaverickError as error:
        return {"title": "", "changes": [], "note": f"Cannot be read: {one_line(str(error))}"}, {}
    return whole, by_step
