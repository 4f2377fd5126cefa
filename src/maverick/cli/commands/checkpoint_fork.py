"""Begin a new run at a checkpoint.

Nothing is copied and nothing runs. It prints the new run, and the command that goes on with it. The
run of REV stays as it is.

Examples:
  maverick checkpoint fork @latest~3
  maverick checkpoint fork fly@validation_complete --as second-try
"""

from typing import Annotated

import typer

from maverick.cli.answer import reply_run
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project


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
    fork = amend.fork(store, store.resolve(revision), as_run)
    reply_run(fork.run, fork.id, as_json=as_json)
