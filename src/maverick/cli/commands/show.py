"""Show a run: its steps, what failed and why, what it cost.

Without a word it is the newest run. With STEP it is that step: why it ran, its attempts, what it
ran and what it gave. REV:PATH prints what is in a checkpoint, such as fly@latest:steps.plan.output.

A loop of more than 20 iterations is folded to counts; those that failed, run or took longest are
shown. Long lines are folded to the width of the terminal. --all shows what is left out. Times are
local.

Examples:
  maverick show
  maverick show 4jvx
  maverick show 4jvx work[2].implement
  maverick show fly@{1} --json
"""

from typing import Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.looking.shown import show
from maverick.cli.typed.named import may_be_step


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN|REV] [STEP]", help="A run, and a step of it."),
    ] = None,
    *,
    unfold: Annotated[bool, typer.Option("--all", help="Show all iterations and lines.")] = False,
    as_json: AsJson = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print without colour.")] = False,
) -> None:
    given = words or []
    if len(given) == 1 and ":" in given[0] and not may_be_step(given[0]):
        from maverick.cli.commands import checkpoint_show  # noqa: PLC0415 - of a path only

        checkpoint_show.command(given[0], as_json=as_json)
        return
    show(given, as_json=as_json, unfold=unfold, plain=plain)
