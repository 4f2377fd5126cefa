"""Report every problem of a workflow file.

Each has its place, as file:line:column. If there is one, the exit code is 3; if there is none, it
prints `ok`. Warnings go to standard error.

It imports the modules under `actions:` in maverick.yaml, and those that steps name as
`module:function`; importing runs what stands in them. With --syntax it imports nothing.

Examples:
  maverick workflow check deploy.yaml
  maverick workflow check deploy.yaml --syntax
"""

from typing import Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import from_here, this_project
from maverick.cli.terminal.render import json_text
from maverick.cli.terminal.streams import print_out, warn
from maverick.errors import Problem, WorkflowInvalid

_Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of a workflow, or its file.")]


def command(
    name: _Name,
    *,
    syntax: Annotated[
        bool,
        typer.Option("--syntax", help="Check the file itself only; look nothing up that it names."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    problems, warnings = _problems(from_here(name), syntax=syntax)
    if as_json:
        rows = [_row(it, "error") for it in problems] + [_row(it, "warning") for it in warnings]
        print_out(json_text(rows) + "\n")
    for it in warnings:
        warn(str(it))
    if problems:
        raise WorkflowInvalid(problems)
    if not as_json:
        print_out("ok\n")


def _problems(reference: str, *, syntax: bool) -> tuple[list[Problem], list[Problem]]:
    """The problems and the warnings."""
    try:
        checked = this_project().catalog().check(reference, syntax=syntax)
    except WorkflowInvalid as error:
        return error.problems, []
    return list(checked.problems), list(checked.warnings)


def _row(it: Problem, severity: str) -> dict[str, Any]:
    return {
        "severity": severity,
        "file": it.file,
        "line": it.line or None,
        "column": it.column or None,
        "message": it.message,
    }
