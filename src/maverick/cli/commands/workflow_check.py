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

from maverick.cli.entry import AsJson, WorkflowName
from maverick.cli.here import from_here, this_project
from maverick.cli.terminal.excerpts import with_lines
from maverick.cli.terminal.streams import print_json, print_out, warn
from maverick.errors import Problem, WorkflowInvalid


def command(
    name: WorkflowName,
    *,
    syntax: Annotated[
        bool,
        typer.Option("--syntax", help="Check the file itself only; look nothing up that it names."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    problems, warnings = _problems(from_here(name), syntax=syntax)
    if as_json:
        errors = [_row(problem, "error") for problem in problems]
        print_json(errors + [_row(warning, "warning") for warning in warnings])
    for warning in warnings:
        warn(str(warning) if as_json else with_lines([warning], lead=len("warning: ")))
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


def _row(problem: Problem, severity: str) -> dict[str, Any]:
    return {
        "severity": severity,
        "file": problem.file,
        "line": problem.line or None,
        "column": problem.column or None,
        "message": problem.message,
    }
