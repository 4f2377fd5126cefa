"""Take back the last change made by hand.

Such a change is an edit, fork, tag, drop or restore. Given again, it takes back the change before
that one. It never takes back what steps saved: a run that has gone on since stays as it is, and it
says so. On a terminal it asks first; elsewhere it needs --yes.

Examples:
  maverick undo
  maverick undo fly-20261123-101502-k3x9 --yes
"""

from typing import Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson, Yes
from maverick.cli.here import has_consent, this_project
from maverick.cli.terminal.render import age, now_ms
from maverick.cli.terminal.streams import print_err


def command(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Of this run only.", show_default=False)
    ] = "",
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints import byhand  # noqa: PLC0415

    project = this_project()
    store = project.open_store()
    change = byhand.newest(store, byhand.find_run(store, run) if run else "")
    what = f"{change.run}: {change.reason}, {age(change.created, now_ms())} ago"
    if not has_consent(f"Take back {what}?", yes=yes):
        print_err("nothing was taken back")
        return
    if change.action == "restore":
        from maverick.runs import workspace_choice  # noqa: PLC0415

        done = workspace_choice.undo_restore(store, project.root, change)
    else:
        done = byhand.undo(store, change)
    reply(
        {"run": change.run, "action": change.action, "undone": change.reason},
        as_json=as_json,
        note=f"took back {what}; {done}",
    )
