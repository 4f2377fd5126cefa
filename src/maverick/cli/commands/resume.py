"""Go on with a run that is not done.

It is `maverick run --resume` of whatever workflow the run is of, with the same options. Without RUN
it takes the newest run that is not done. A revision that is not where its run stands begins a new
run there.

Examples:
  maverick resume
  maverick resume k3x9
  maverick resume fly@{1} --plan
"""

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from maverick.cli.commands import run as run_command
from maverick.cli.entry import AUTO_RESUME
from maverick.cli.here import this_project
from maverick.cli.terminal.streams import warn
from maverick.errors import NotFound

if TYPE_CHECKING:
    from maverick.errors import RefDamaged

_NOT_TAKEN: Final = frozenset({"workflow", "resume", "run_id"})
"""What `run` takes, and this command says by itself or has no use for."""
_RUN: Final = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A run or another revision.", show_default=False)
]


def command(run: str = "", **options: Any) -> None:
    if run == AUTO_RESUME:
        raise NotFound(
            "there is no run auto; `maverick run WORKFLOW --resume=auto` starts a run, or goes on"
        )
    run_command.command(**{**options, "workflow": "", "resume": run or _newest()})


def _newest() -> str:
    """Give the newest run that is not done; refs that cannot be read are told, and left out."""
    from maverick.runs.find import newest_unfinished  # noqa: PLC0415 - loads the engine's records

    damaged: list[RefDamaged] = []
    try:
        return newest_unfinished(this_project(), damaged)
    finally:
        for error in damaged:
            warn(f"{error}; this run is left out")


def _signature() -> inspect.Signature:
    """Give the parameters of `run`, without those that are said here, and with RUN."""
    usual = inspect.signature(run_command.command, eval_str=True).parameters.values()
    kept = [each.replace(kind=each.KEYWORD_ONLY) for each in usual if each.name not in _NOT_TAKEN]
    named = inspect.Parameter(
        "run", inspect.Parameter.POSITIONAL_OR_KEYWORD, default="", annotation=_RUN
    )
    return inspect.Signature([named, *kept])


command.__signature__ = _signature()  # type: ignore[attr-defined]
command.__annotations__ = {}
