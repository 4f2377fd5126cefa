"""Begin a new run at a checkpoint.

Nothing is copied and nothing runs. It prints the new run, and the command that goes on with it. The
run of REV stays as it is.

Examples:
  maverick checkpoint fork @latest~3
  maverick checkpoint fork fly@validation_complete --as second-try
"""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text
from maverick.cli.terminal.streams import print_out

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint


def command(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A revision.")],
    as_run: Annotated[
        str, typer.Option("--as", metavar="RUN", help="The new run's name.", show_default=False)
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    from maverick.runs import amend  # noqa: PLC0415 - loads the engine's records

    store = this_project().open_store()
    report(amend.fork(store, store.resolve(revision), as_run), as_json=as_json)


def report(at: "Checkpoint", *, as_json: bool) -> None:
    """Print a run that waits to be resumed, and the command that does so."""
    resume = shlex.join(["maverick", "run", f"--resume={at.run}"])
    if as_json:
        print_out(json_text({"run": at.run, "checkpoint": at.id, "resume": resume}) + "\n")
    else:
        print_out(f"{at.run}\n{resume}\n")
