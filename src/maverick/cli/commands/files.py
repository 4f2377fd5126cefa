"""`checkpoint create` and `checkpoint restore`: the project's files, kept and brought back by
hand.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import asking, this_project
from maverick.cli.terminal.render import json_text, plural, size
from maverick.cli.terminal.streams import print_err, print_out, warn
from maverick.errors import UsageError, WorkflowInvalid, WorkspaceUnreadable
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from maverick.checkpoints import Snapshot
    from maverick.checkpoints.workspace import RestorePlan
    from maverick.project import Project

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def create(
    *,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out what cannot be read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Save the project's files as they are now, in a run of its own that gc keeps.

    In a git repository these are the tracked files and those that are neither tracked nor ignored;
    elsewhere `.gitignore` says what is left out. `.git` and `.maverick` never belong to it. Files
    that hold a secret are kept as they are, with a warning.

    Examples:
      maverick checkpoint create
      maverick checkpoint diff REV @latest --stat
    """
    from maverick.checkpoints.workspace import open_workspace  # noqa: PLC0415
    from maverick.runs import workspace_choice  # noqa: PLC0415 - only where files are read

    project = this_project()
    open_workspace(project.root)  # What is refused gets no store, which would make it a project.
    try:
        made, report = workspace_choice.create(
            project.create_store(),
            project.root,
            skip_unreadable=skip_unreadable,
            holds_secret=_secrets(project),
        )
    except WorkspaceUnreadable as error:
        raise WorkspaceUnreadable(
            f"{error}; --skip-unreadable leaves them out", error.reasons
        ) from error
    for skipped in report.skipped:
        warn(f"not in the checkpoint: {skipped.path} ({skipped.reason})")
    for path in report.watched:
        warn(f"the checkpoint keeps a file that holds a secret: {path}")
    if as_json:
        print_out(
            json_text(
                {
                    "run": made.run,
                    "checkpoint": made.id,
                    "files": report.files,
                    "bytes": report.size_bytes,
                    "skipped": [{"path": it.path, "reason": it.reason} for it in report.skipped],
                }
            )
            + "\n"
        )
    else:
        print_out(f"{made.run}: {plural(report.files, 'file')}, {size(report.size_bytes)}\n")


def _secrets(project: "Project") -> "Callable[[bytes], bool] | None":
    """What says whether bytes hold one of the project's secrets; None where there are none."""
    from maverick.dsl.processes.secrets import Scrubber, secrets_in  # noqa: PLC0415

    try:
        scrub = Scrubber(secrets_in(project.config.secrets, project.environment).values())
    except (UsageError, WorkflowInvalid) as error:
        warn(f"files are not looked at for secrets: {error}")
        return None
    return scrub.holds if scrub else None


def restore(
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
    """Make the project's files what they were in a checkpoint.

    What would be written and removed is listed, and asked about on a terminal; elsewhere --yes says
    so. What is there now is saved first: `maverick checkpoint undo` brings it back. `.git`, HEAD,
    the index and what is ignored are left alone.

    Examples:
      maverick checkpoint restore fly@phase_1
      maverick checkpoint restore fly@phase_1 src/app.py --yes
      maverick checkpoint restore fly@phase_1 --to /tmp/then
    """
    from maverick.runs import workspace_choice  # noqa: PLC0415

    project = this_project()
    store = project.open_store()
    snapshot = store.load(revision)
    workspace_choice.require_files(store, snapshot)
    inside = [_in_project(it) for it in paths or []]
    if to:
        _restore_to(snapshot, Path(to), inside, as_json=as_json)
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

    plan, safety = workspace_choice.restore(store, project.root, snapshot, inside, confirm)
    if as_json:
        print_out(_json(plan, safety.run if safety else None))
    elif safety is None:
        print_err(
            "\n".join([*changes_lines(plan), "nothing is to be restored; nothing was changed"])
        )
    else:
        print_err(
            f"restored {plural(len(plan.changes), 'file')}; `maverick checkpoint undo` takes it "
            "back"
        )


def _restore_to(snapshot: "Snapshot", folder: Path, paths: list[str], *, as_json: bool) -> None:
    from maverick.checkpoints.workspace import plan_copy  # noqa: PLC0415

    root, real = this_project().root.resolve(), folder.resolve()
    if real.is_relative_to(root) and real.relative_to(root).parts[:1] in {
        (".git",),
        (".maverick",),
    }:
        raise UsageError(
            f"{folder} belongs to {real.relative_to(root).parts[0]}; give another folder"
        )
    plan = plan_copy(this_project().open_store(), snapshot, folder, paths)
    plan.execute()
    if as_json:
        print_out(_json(plan, None))
    else:
        print_err(
            f"wrote {plural(len(plan.writes), 'file')}, {size(plan.write_bytes)}, into {folder}"
        )


def _in_project(path: str) -> str:
    """Give a path that was given from the current folder as it stands in the project."""
    here, root = Path.cwd(), this_project().root
    absolute = Path(path) if Path(path).is_absolute() else here / path
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else path


def _listing(plan: "RestorePlan") -> str:
    lines = changes_lines(plan)
    if plan.head_moved:
        lines.append(
            "note: HEAD is not where it was when the checkpoint was made; only files are restored"
        )
    return "\n".join(lines)


_SIGNS = {"added": "+", "removed": "-", "changed": "~", "mode": "~"}


def changes_lines(plan: "RestorePlan") -> list[str]:
    """Give a line for each file that *plan* writes or removes, and for each that it leaves
    alone.
    """
    modes = [
        f" ({it.old_mode} -> {it.new_mode})" if it.change == "mode" else "" for it in plan.changes
    ]
    lines = [
        f"{_SIGNS[it.change]} {one_line(it.path)}{mode}"
        for it, mode in zip(plan.changes, modes, strict=True)
    ]
    return lines + [f"left alone: {one_line(it.path)} ({it.reason})" for it in plan.kept]


def changes_json(plan: "RestorePlan") -> dict[str, Any]:
    """Give the same for scripts."""
    return {
        "changes": [{"path": it.path, "change": it.change} for it in plan.changes],
        "kept": [{"path": it.path, "reason": it.reason} for it in plan.kept],
    }


def _json(plan: "RestorePlan", safety: str | None) -> str:
    return json_text({**changes_json(plan), "undo": safety}) + "\n"
