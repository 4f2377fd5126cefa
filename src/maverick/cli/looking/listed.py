"""The lists of runs: `maverick runs` and `maverick checkpoint list`.

Their lines fit the terminal. Loads neither typer nor the engine, since these lists are asked for
most.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from maverick.cli.answer import reply
from maverick.cli.here import this_project
from maverick.cli.terminal.render import (
    day_of,
    label_text,
    line_width,
    moment,
    now_ms,
    paint,
    short_duration,
    short_moment,
)
from maverick.cli.terminal.streams import has_colour, warn
from maverick.errors import NotFound, RefDamaged, StoreDamaged, UsageError
from maverick.runs.listing import STATUSES, Runs, RunSummary, summarise
from maverick.visible import (
    Shown,
    columns,
    duration,
    fit,
    iso_time,
    nearest,
    one_line,
    padded,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maverick.checkpoints import Overview, Ref
    from maverick.project import Project

_COLOURS: Final = {
    "running": "cyan",
    "paused": "yellow",
    "failed": "red",
    "killed": "yellow",
    "done": "green",
}
_GAP: Final = 2
_LABELS: Final = "LABELS"
_SHORTEST_LAST: Final = 12
"""What the last column is cut to first."""
_LEAST_LAST: Final = 8
"""What it needs to be there at all."""
_SHORTEST_PLACE: Final = 8


class Chosen(NamedTuple):
    """Which runs are listed: of these statuses, of a workflow, and how many of them. Empty: all."""

    statuses: tuple[str, ...] = ()
    workflow: str = ""
    most: int | None = None

    def check(self) -> None:
        """Raise UsageError for a status that no run has."""
        for status in self.statuses:
            if status not in STATUSES:
                raise UsageError(
                    f"no run is {status!r}; --status is one of {', '.join(STATUSES)}"
                    f"{nearest(status, STATUSES)}"
                )


EVERY: Final = Chosen()


def list_runs(*, as_json: bool, chosen: Chosen = EVERY) -> None:
    """Print the runs of the project."""
    chosen.check()
    project = this_project()
    try:
        store = project.open_overview()
    except NotFound:
        hint = "no runs here yet; start one with `maverick run WORKFLOW`"
        reply([], as_json=as_json, note=hint)
        return
    runs, note = _choose(store, chosen)
    reasons = [one_line(run.reason) for run in runs]
    _reply(project, runs, reasons, "WHY", note, as_json=as_json)


def list_checkpoints(*, as_json: bool, chosen: Chosen = EVERY) -> None:
    """Print the runs of the project with their labels."""
    chosen.check()
    project = this_project()
    overview = project.open_overview()
    refs = whole_refs(overview)
    runs, note = _choose(overview, chosen, refs)
    led = {ref.run: ref for ref in refs if ref.labelled}
    labels = [labels_of(overview, led[run.run]) if run.run in led else [] for run in runs]
    _reply(
        project,
        runs,
        [", ".join(map(label_text, each)) for each in labels],
        _LABELS,
        note,
        as_json=as_json,
        more=[{"labels": each} for each in labels],
    )


def _reply(
    project: Project,
    runs: Sequence[RunSummary],
    last: Sequence[str],
    header: str,
    note: str,
    *,
    as_json: bool,
    more: Sequence[dict[str, Any]] = (),
) -> None:
    root = str(project.root)
    rows = [
        {**row(run, root), **each} for run, each in zip(runs, more or [{}] * len(runs), strict=True)
    ]
    text = Shown("")
    if runs and not as_json:
        text = _table(
            runs, last, header, width=line_width(sys.stdout), colour=has_colour(sys.stdout)
        )
    reply(rows, as_json=as_json, text=text, note=note)


def _choose(
    store: Runs, chosen: Chosen, refs: Sequence[Ref] | None = None
) -> tuple[list[RunSummary], str]:
    """Give the runs that are *chosen*, and what is to be said where there is none."""
    every = whole_refs(store) if refs is None else refs
    group = chosen.workflow.replace("_", "-")
    of_group = [ref for ref in every if not group or ref.group.replace("_", "-") == group]
    now, runs = now_ms(), list[RunSummary]()
    for ref in of_group:
        if len(runs) == chosen.most:
            break
        run = summarise(store, ref, now)
        if not chosen.statuses or run.status in chosen.statuses:
            runs.append(run)
    note = "" if every else "there are no runs here; start one with `maverick run WORKFLOW`"
    if every and not of_group:
        groups = sorted({ref.group for ref in every if ref.group})
        note = f"there is no run of {chosen.workflow}{nearest(chosen.workflow, groups)}"
    elif of_group and not runs and chosen.statuses:
        of = f" of {chosen.workflow}" if chosen.workflow else ""
        note = f"no run{of} is {' or '.join(chosen.statuses)}"
    return runs, note


def whole_refs(store: Runs) -> list[Ref]:
    """Give the refs of all runs, newest first; damaged ones are told, and left out."""
    damaged: list[RefDamaged] = []
    refs = store.refs(damaged)
    for error in damaged:
        warn(str(error))
    return refs


def labels_of(store: Overview, ref: Ref) -> list[str]:
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


def row(run: RunSummary, project: str) -> dict[str, Any]:
    """Give a run of the *project* for scripts."""
    return {
        "run": run.run,
        "workflow": run.workflow,
        "status": run.status,
        "started": iso_time(run.started),
        "updated": iso_time(run.updated),
        "step": run.step,
        "checkpoints": run.checkpoints,
        "bytes": run.bytes,
        "error": run.error,
        "failed_at": run.failed_at,
        "seconds": run.seconds,
        "usd": run.usd,
        "waiting": run.waiting,
        "notices": list(run.notices),
        "project": project,
    }


# --- for people -----------------------------------------------------------------------------------


class _Column(NamedTuple):
    """A column: its header, its cells, whether they are aligned to the right."""

    header: str
    cells: list[str]
    right: bool = False

    @property
    def width(self) -> int:
        return max(map(columns, (self.header, *self.cells)))

    def cut(self, width: int) -> _Column:
        """Give the column with what is longer than *width* cut."""
        return self._replace(cells=[fit(cell, max(width, len(self.header))) for cell in self.cells])


def _table(
    runs: Sequence[RunSummary], last: Sequence[str], header: str, *, width: int | None, colour: bool
) -> Shown:
    """Give *runs* under headers, with a *last* column, which is left out where it is empty.

    Where it is wider than *width*, the last column is cut first; then the start is a time or a day;
    then the place is cut; then what there is no room for is left out, durations first, but never
    the run and its status. Labels outlast all else.
    """
    laid, gap = _laid_out(runs, _Column(header, list(last)), width)
    headers = [column.header for column in laid]
    status = headers.index("STATUS")
    rows = zip(*(column.cells for column in laid), strict=True)
    lines = []
    for number, cells in enumerate([headers, *map(list, rows)]):
        parts = [
            padded(cell, column.width, right=column.right)
            for cell, column in zip(cells, laid, strict=True)
        ]
        painted: list[str] = list(parts)
        if number and colour:
            word = cells[status]
            painted[status] = shown(
                paint(word, _COLOURS[word], on=True), parts[status][len(word) :]
            )
        lines.append((" " * gap).join(painted).rstrip() + "\n")
    return Shown("".join(lines))


def _laid_out(
    runs: Sequence[RunSummary], last: _Column, width: int | None
) -> tuple[list[_Column], int]:
    """Give the columns, which fit *width*, and how many blanks stand between them."""
    names = _Column("RUN", [one_line(run.run) for run in runs])
    statuses = _Column("STATUS", [run.status for run in runs])
    moments = _Column("STARTED", [moment(run.started) for run in runs])
    times = _Column("TIME", [_time(run.seconds, duration) for run in runs], right=True)
    places = _Column("AT", [_place(run.at) for run in runs])
    more = [last] if any(last.cells) else []
    if width is None or _width([names, statuses, moments, times, places, *more]) <= width:
        return [names, statuses, moments, times, places, *more], _GAP
    today = day_of(now_ms())
    days = _Column("STARTED", [short_moment(run.started, today) for run in runs])
    for begun in (moments, days):
        room = width - _width([names, statuses, begun, times, places, *more]) + last.width
        if more and room >= min(_SHORTEST_LAST, last.width):
            return [names, statuses, begun, times, places, last.cut(room)], _GAP
    cut = more and [last.cut(_SHORTEST_LAST)]
    room = width - _width([names, statuses, days, times, places, *cut]) + places.width
    if room >= min(_SHORTEST_PLACE, places.width):
        return [names, statuses, days, times, places.cut(room), *cut], _GAP
    times = _Column("TIME", [_time(run.seconds, short_duration) for run in runs], right=True)
    return _narrow([names, statuses], days, times, places.cut(_SHORTEST_PLACE), more, width), 1


def _narrow(
    first: list[_Column],
    days: _Column,
    times: _Column,
    places: _Column,
    more: list[_Column],
    width: int,
) -> list[_Column]:
    """Give the columns that fit where not all do, one blank between them. *more* is the last."""
    for last in more:
        choices = [[days, times, places], [days, places], [times, places], [places]]
        if last.header == _LABELS:
            choices[2:] = [[days], []]
        for kept in choices:
            room = width - _width([*first, *kept], 1) - 1
            if room >= min(_LEAST_LAST, last.width):
                return [*first, *kept, last.cut(room)]
    for kept in ([days, times, places], [times, places], [places]):
        if _width([*first, *kept], 1) <= width:
            return [*first, *kept]
    return first


def _width(laid: Iterable[_Column], gap: int = _GAP) -> int:
    widths = [column.width for column in laid]
    return sum(widths) + gap * (len(widths) - 1)


def _place(at: Sequence[str]) -> str:
    if not at:
        return "-"
    return one_line(at[0]) + (f" +{len(at) - 1}" if len(at) > 1 else "")


def _time(seconds: float | None, text: Any) -> str:
    return "-" if seconds is None else str(text(seconds))
