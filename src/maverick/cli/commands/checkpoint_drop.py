"""Forget runs.

It forgets runs that could be resumed, too. `maverick undo` brings them back, one after
the other, until the next `maverick gc` removes what only they led to. On a terminal it
asks first; elsewhere it needs --yes.

Examples:
  maverick checkpoint drop k3x9
  maverick checkpoint drop fly-20261123-101502-k3x9 fly-20261123-104110-b7wq --yes
"""

from typing import Annotated

import typer

from maverick.cli.entry import AsJson, Yes
from maverick.cli.here import has_consent, this_project
from maverick.cli.terminal.render import plural
from maverick.cli.terminal.streams import print_err, print_json
from maverick.errors import RunOwned


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs.")],
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    from maverick.checkpoints import byhand  # noqa: PLC0415

    store = this_project().open_store()
    names = list(dict.fromkeys(store.resolve_run(run).run for run in runs))
    for run in names:
        if store.is_owned(run):
            raise RunOwned(f"run {run} is being executed; stop it first. Nothing was dropped")
    if not has_consent(f"Drop {plural(len(names), 'run')} ({', '.join(names)})?", yes=yes):
        print_err("nothing was dropped")
        return
    for run in names:
        byhand.drop(store, run)
        if not as_json:
            print_err(f"dropped {run}")
    if as_json:
        print_json({"dropped": names})
