"""Look whether all is in place: programs, agents, configuration, disk, store.

Each line says what was looked at, and how it is: ok, a warning, or wrong. Below what is not ok
stands what to do. The exit code is 1 where something is wrong; a warning is not.

With --deep each agent is asked for a word, which costs what a short call costs. Without it, agents
are asked for their version, and whether somebody is logged in.

Examples:
  maverick doctor
  maverick doctor --deep
  maverick doctor --json
"""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import line_width, paint, plural
from maverick.cli.terminal.streams import has_colour, stdout_kept_clean
from maverick.errors import Interrupted, MaverickError
from maverick.visible import one_line, shown

if TYPE_CHECKING:
    from maverick.project import Project
    from maverick.views.health.checks import Check

_COLOURS: Final = {"ok": "green", "warning": "yellow", "wrong": "red"}


def command(
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Ask each agent for a word: one real call.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    from maverick.cli.terminal.interrupt import catching  # noqa: PLC0415
    from maverick.dsl.processes.stop_request import Stop, Stopped  # noqa: PLC0415
    from maverick.views.health.examination import examine  # noqa: PLC0415

    project, refused = _project()
    stop = Stop()
    with stdout_kept_clean(), catching(stop):  # Modules of actions may print.
        try:
            checks = examine(
                project,
                refused,
                project.environment if project else dict(os.environ),
                str(project.root if project else os.getcwd()),  # noqa: PTH109 - given as it is
                stop,
                deep=deep,
            )
        except Stopped as stopped:
            raise Interrupted(f"interrupted by {stopped.reason}") from None
    rows = [{**check._asdict(), "advice": check.advice or None} for check in checks]
    reply(rows, as_json=as_json, text=shown(*_lines(checks)))
    if any(check.status == "wrong" for check in checks):
        raise typer.Exit(1)


def _project() -> "tuple[Project | None, MaverickError | None]":
    """Give the project at hand, or why it is not to be had."""
    try:
        return this_project(), None
    except MaverickError as error:
        return None, error


def _lines(checks: "list[Check]") -> Iterable[str]:
    colour = has_colour(sys.stdout)
    indent = max(len(check.area) for check in checks) + 11
    width = line_width(sys.stdout)
    for check in checks:
        status = paint(f"{check.status:>7}", _COLOURS[check.status], on=colour)
        first, *more = _wrapped(one_line(check.message), width, indent)
        yield shown(status, f"  {check.area:<{indent - 9}}{first}\n")
        advice = f"→ {check.advice}" if check.advice and check.status != "ok" else ""
        for line in [*more, *(_wrapped(one_line(advice), width, indent) if advice else [])]:
            yield f"{'':<{indent}}{line}\n"
    count = {name: sum(check.status == name for check in checks) for name in ("wrong", "warning")}
    if any(count.values()):
        yield f"{count['wrong']} wrong, {plural(count['warning'], 'warning')}\n"
    else:
        yield "all is in place\n"


def _wrapped(text: str, width: int | None, indent: int) -> list[str]:
    """Give *text* in lines that fit behind *indent*; one, where lines have no limit."""
    import textwrap  # noqa: PLC0415

    if width is None:
        return [text]
    return textwrap.wrap(text, width - indent, break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
