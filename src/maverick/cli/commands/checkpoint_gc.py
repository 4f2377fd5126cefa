"""Remove what no run needs any more.

A run that is not done stays; it keeps its last 16 checkpoints, and those with a label or a tag. A
done run stays if it is among the newest of its workflow, is young enough, or has a tag; it keeps
its newest checkpoint and those with a label. `checkpoints:` in maverick.yaml sets the limits;
without it the newest 5 of each workflow stay. An option replaces both limits.

Bytes stay for now where a run at work appends to the pack that holds them, or where little of a
pack would be freed; a later collection frees them.

A run that ends starts this in the background, with --keep-dropped, if much can be removed.

On network file systems other hosts cannot be kept out of the store. Nothing is collected there,
unless by --alone.

Examples:
  maverick gc --dry-run
  maverick gc --keep-last 3 --keep-within 14d
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import plural, size, table
from maverick.cli.terminal.streams import print_err
from maverick.errors import StoreUnwritable, UsageError

if TYPE_CHECKING:
    from maverick.checkpoints.gc.collection import GcPlan, Removal
    from maverick.project import Project


DEFAULT_KEEP_LAST = 5


def command(
    keep_last: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Keep the newest N done runs of each workflow.",
            show_default=False,
        ),
    ] = None,
    keep_within: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Keep done runs younger than AGE, such as 14d.", show_default=False
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="Consider this run only.", show_default=False)
    ] = None,
    *,
    keep_dropped: Annotated[
        bool,
        typer.Option(
            "--keep-dropped",
            help="Keep what `checkpoint undo` would bring back, such as dropped runs.",
        ),
    ] = False,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="Nothing else uses the store now: collect also where locks keep nobody out.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would go, and remove nothing.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print errors and the result only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    project = this_project()
    from maverick.checkpoints.byhand import needed  # noqa: PLC0415
    from maverick.checkpoints.store import note_collected  # noqa: PLC0415 - light commands do without
    from maverick.cli.terminal.bar import Bar  # noqa: PLC0415

    # A dry run removes nothing, so it may be made anywhere.
    store = project.open_store(trust_locks=alone or dry_run or None)
    last, within = _limits(project, keep_last, keep_within)
    spared = needed(store) if keep_dropped else []
    meant, result = run and store.resolve_run(run).run, None
    with Bar("collect", shown=not (quiet or as_json)) as bar:
        bar.show_text("looking for what is needed")
        plan = store.plan_gc(keep_last=last, keep_within=within, run=meant, spared=spared)
        if not dry_run:
            result = plan.execute(bar)
            with suppress(StoreUnwritable):  # The note only saves a collection later.
                note_collected(store)
    if result is not None and result.left:
        packs = plural(len(result.left), "pack")
        print_err(
            f"warning: {packs} could not be written anew, for want of space or for damage, and "
            "what was to go of it stays; free some space and run it again, or run `maverick "
            "checkpoint fsck`"
        )
    numbers = {
        name: getattr(result or plan, name)
        for name in ("removed_objects", "removed_bytes", "kept_objects")
    }
    reply(
        {**numbers, "runs": [_row(removal) for removal in plan.runs]},
        as_json=as_json,
        text=_text(plan, numbers, result.freed_bytes if result is not None else None),
    )


def _limits(
    project: "Project", keep_last: int | None, keep_within: str | None
) -> tuple[int, timedelta | None]:
    """The limits that are given, else the configured ones, else the default."""
    if keep_last is None and keep_within is None:
        configured = project.config.checkpoints
        if configured.keep_last is None and configured.keep_within is None:
            return DEFAULT_KEEP_LAST, None
        seconds = configured.keep_within
        return configured.keep_last or 0, None if seconds is None else timedelta(seconds=seconds)
    return keep_last or 0, None if keep_within is None else _age(keep_within)


def _age(text: str) -> timedelta:
    from maverick.dsl.durations import parse_duration  # noqa: PLC0415

    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise UsageError(f"--keep-within: {error}") from None


def _row(removal: "Removal") -> dict[str, Any]:
    return {
        "run": removal.run or None,
        "dropped": removal.dropped,
        "checkpoints": len(removal.positions),
        "objects": removal.objects,
        "bytes": removal.bytes,
    }


def _text(plan: "GcPlan", numbers: Mapping[str, int], freed: int | None) -> str:
    """What was removed, of which *freed* bytes on the disk, or would be removed (None)."""
    lines = [
        (each.run or "(no run)", _what_goes(each), str(each.objects), size(each.bytes))
        for each in plan.runs
    ]
    listed = table(("RUN", "REMOVES", "OBJECTS", "BYTES"), lines, right=(2, 3)) if lines else ""
    objects = plural(numbers["removed_objects"], "object")
    removed = f"{objects}, {size(numbers['removed_bytes'])}; {numbers['kept_objects']:,} stay"
    if freed is None:
        return f"{listed}would remove {removed}\n"
    return f"{listed}removed {removed}; {size(freed)} freed on the disk\n"


def _what_goes(removal: "Removal") -> str:
    if not removal.dropped and not removal.positions:
        return "leftovers"
    what = "the run" if removal.dropped else plural(len(removal.positions), "checkpoint")
    return what if removal.objects else f"{what} (bytes stay for now)"
