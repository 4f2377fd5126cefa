"""Make files what they were in a checkpoint.

It lists what it would write and remove, and asks on a terminal; elsewhere it needs --yes. It saves
what is there now first: `maverick undo` brings that back. It leaves alone `.git`, HEAD,
the index and what is ignored.

Examples:
  maverick checkpoint restore fly@phase_1
  maverick checkpoint restore fly@phase_1 src/app.py --yes
  maverick checkpoint restore fly@phase_1 --to /tmp/then
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson, Yes
from maverick.cli.here import asking, this_project
from maverick.cli.terminal.render import changes_json, changes_lines, plural, size
from maverick.cli.terminal.streams import print_err
from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.checkpoints import Snapshot, Store
    from maverick.checkpoints.workspace import RestorePlan


def command(
    revision: Annotated[
        str, typer.Argument(metavar="REV", help="The checkpoint; it has to hold files.")
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...", help="Only these files and folders.", show_default=False
        ),
    ] = None,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Write them into this new folder, and leave the project alone.",
        ),
    ] = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    from maverick.runs import workspace_choice  # noqa: PLC0415

    project = this_project()
    store = project.open_store()
    snapshot = store.load(revision)
    workspace_choice.require_files(store, snapshot)
    inside = [_in_project(path, project.root) for path in paths or []]
    if to:
        _restore_to(store, project.root, snapshot, Path(to), inside, as_json=as_json)
        return

    def confirm(plan: "RestorePlan") -> None:
        if not as_json:
            print_err(_listing(plan))
        if not yes:
            ask = asking()
            if ask is None:
                raise UsageError("restoring changes files; look at the list and give --yes")
            if not ask("Restore them?"):
                raise typer.Exit(1)

    plan, safety = workspace_choice.restore_files(store, project.root, snapshot, inside, confirm)
    restored = f"restored {plural(len(plan.changes), 'file')}; `maverick undo` takes it back"
    nothing = [*changes_lines(plan), "there is nothing to restore; nothing was changed"]
    reply(
        {**changes_json(plan), "undo": safety.run if safety else None},
        as_json=as_json,
        note=restored if safety else "\n".join(nothing),
    )


def _restore_to(
    store: "Store",
    project: Path,
    snapshot: "Snapshot",
    folder: Path,
    paths: list[str],
    *,
    as_json: bool,
) -> None:
    from maverick.checkpoints.workspace import plan_copy  # noqa: PLC0415

    root, real = project.resolve(), folder.resolve()
    if real.is_relative_to(root) and real.relative_to(root).parts[:1] in {
        (".git",),
        (".maverick",),
    }:
        raise UsageError(
            f"{folder} belongs to {real.relative_to(root).parts[0]}; give another folder"
        )
    plan = plan_copy(store, snapshot, folder, paths)
    plan.execute()
    reply(
        {**changes_json(plan), "undo": None},
        as_json=as_json,
        note=f"wrote {plural(len(plan.writes), 'file')}, {size(plan.write_bytes)}, into {folder}",
    )


def _in_project(path: str, root: Path) -> str:
    """Give a path that was given from the current folder as it stands in the project."""
    absolute = Path.cwd() / path
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else path


def _listing(plan: "RestorePlan") -> str:
    lines = changes_lines(plan)
    if plan.head_moved:
        lines.append(
            "note: HEAD is not where it was when the checkpoint was made; only files are restored"
        )
    return "\n".join(lines)
