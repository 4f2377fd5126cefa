"""Save the project's files as they are now.

The checkpoint is a run of its own, which gc keeps. In a git repository it holds the tracked files,
and those that are neither tracked nor ignored; elsewhere `.gitignore` says what is left out. It
never holds `.git` and `.maverick`. A file with a secret in it is kept as it is, with a warning.

Examples:
  maverick checkpoint create
  maverick diff REV @latest --stat
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import plural, size
from maverick.cli.terminal.streams import warn
from maverick.errors import UsageError, WorkflowInvalid, WorkspaceUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from maverick.project import Project


def command(
    *,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out what cannot be read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints.workspace import open_workspace  # noqa: PLC0415
    from maverick.runs import workspace_choice  # noqa: PLC0415 - only where files are read

    project = this_project()
    open_workspace(project.root)  # What is refused gets no store, which would make it a project.
    try:
        made, report = workspace_choice.save_files(
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
    reply(
        {
            "run": made.run,
            "checkpoint": made.id,
            "files": report.files,
            "bytes": report.size_bytes,
            "skipped": [asdict(skipped) for skipped in report.skipped],
        },
        as_json=as_json,
        text=f"{made.run}: {plural(report.files, 'file')}, {size(report.size_bytes)}\n",
    )


def _secrets(project: "Project") -> "Callable[[bytes], bool] | None":
    """What says whether bytes hold one of the project's secrets; None where there are none."""
    from maverick.dsl.processes.secrets import Scrubber, secrets_in  # noqa: PLC0415

    try:
        scrub = Scrubber(secrets_in(project.config.secrets, project.environment).values())
    except (UsageError, WorkflowInvalid) as error:
        warn(f"files are not looked at for secrets: {error}")
        return None
    return scrub.holds if scrub else None
