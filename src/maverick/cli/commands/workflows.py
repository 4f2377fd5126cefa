"""`workflow list`, `workflow show`, `workflow check`: what can be run here, and whether it is
right.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import from_here, this_project
from maverick.cli.terminal.render import json_text, table
from maverick.cli.terminal.streams import print_out, warn
from maverick.errors import Problem, WorkflowInvalid

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.workflow.model import Input, Step, Workflow

_Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of a workflow, or its file.")]


def list_workflows(*, as_json: AsJson = False) -> None:
    """List the workflows that can be run by name, with where each comes from and what it takes.

    Inputs that have to be given are named; the number in brackets is that of the others. A workflow
    of the project goes before one of the user of that name, which goes before one that ships. A
    file with problems is reported on standard error and left out.

    Examples:
      maverick workflow list
      maverick workflow list --json
    """
    catalog = this_project().catalog()
    for folder, why in catalog.unreadable_folders():
        warn(f"{folder} is left out, it cannot be listed: {why}")
    rows = list(_listed(catalog))
    if as_json:
        print_out(json_text(rows) + "\n")
        return
    cells = [
        (
            it["name"],
            it["source"],
            _taken(it["inputs"]),
            it["description"].partition("\n")[0],
            _over(it["overrides"]),
        )
        for it in rows
    ]
    print_out(table(("NAME", "SOURCE", "INPUTS", "DESCRIPTION", ""), cells) if cells else "")


def show(name: _Name, *, as_json: AsJson = False) -> None:
    """Show a workflow's description, its inputs and its steps.

    Examples:
      maverick workflow show fly
      maverick workflow show deploy.yaml --json
    """
    workflow = this_project().catalog().workflow(from_here(name))
    if as_json:
        print_out(json_text(_described(workflow)) + "\n")
    else:
        print_out(_text(workflow))


def check(
    name: _Name,
    *,
    syntax: Annotated[
        bool,
        typer.Option("--syntax", help="Check the file itself only; look nothing up that it names."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Report every problem of a workflow, each as file:line:column.

    Prints `ok` if there is none; the exit code is 3 if there is one. Warnings go to standard error.
    The modules under `actions:` in maverick.yaml, and those that steps name as `module:function`,
    are imported, which runs what stands in them; with --syntax nothing is.

    Examples:
      maverick workflow check deploy.yaml
      maverick workflow check deploy.yaml --syntax
    """
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


# --- check ----------------------------------------------------------------------------------------


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


# --- list -----------------------------------------------------------------------------------------


def _listed(catalog: "Catalog") -> Iterator[dict[str, Any]]:
    from maverick.dsl.serialization.loader import parse_workflow  # noqa: PLC0415
    from maverick.dsl.serialization.source_text import read_text  # noqa: PLC0415

    found: dict[str, dict[str, Any]] = {}
    for source, path in catalog.listing():
        try:
            workflow = parse_workflow(read_text(path), catalog.shown(path))
        except WorkflowInvalid as error:
            warn(f"{catalog.shown(path)} is left out: {error}")
            continue
        row = {
            "name": workflow.name,
            "source": source.name,
            "file": workflow.file,
            "description": workflow.description.strip(),
            "overrides": [],
            "inputs": [_input(it) for it in workflow.inputs.values()],
        }
        first = found.setdefault(workflow.name.replace("-", "_"), row)
        if first is row:
            continue
        if first["source"] == source.name:
            warn(
                f"{first['file']} and {row['file']} both define the workflow {workflow.name!r}; "
                "remove one"
            )
        else:
            first["overrides"].append(row["file"])
    yield from sorted(found.values(), key=lambda row: str(row["name"]))


def _taken(inputs: list[dict[str, Any]]) -> str:
    """The inputs that have to be given, and how many may be."""
    required = [it["name"] for it in inputs if it["required"]]
    optional = len(inputs) - len(required)
    return " ".join([*required, *([f"[{optional}]"] if optional else [])])


def _over(files: list[str]) -> str:
    return f"(instead of {', '.join(files)})" if files else ""


# --- show -----------------------------------------------------------------------------------------


def _described(workflow: "Workflow") -> dict[str, Any]:
    return {
        "name": workflow.name,
        "file": workflow.file,
        "description": workflow.description.strip(),
        "inputs": [_input(it) for it in workflow.inputs.values()],
        "steps": [_step(it) for it in workflow.steps],
    }


def _input(it: "Input") -> dict[str, Any]:
    return {
        "name": it.name,
        "type": it.type,
        "required": it.required,
        "default": it.default,
        "choices": list(it.choices),
        "description": it.description,
    }


def _step(it: "Step") -> dict[str, Any]:
    row: dict[str, Any] = {"name": it.name, "type": type_of(it), "description": it.description}
    inside = [_step(child) for child in steps_within(it)]
    return {**row, "steps": inside} if inside else row


def type_of(step: "Step") -> str:
    """Give the type of a step, with what it names: `agent implementer`, `subworkflow review`."""
    from maverick.dsl.workflow import model  # noqa: PLC0415

    kind = type(step).__name__.removesuffix("Step").lower()
    match step:
        case model.PythonStep():
            what: object = step.action
        case model.AgentStep():
            what = step.agent
        case model.GenerateStep():
            what = step.generator
        case model.SubworkflowStep():
            what = step.workflow
        case _:
            what = ""
    return f"{kind} {getattr(what, 'text', what)}".rstrip()


def steps_within(step: "Step") -> "list[Step]":
    """Give the steps that *step* is made of."""
    from maverick.dsl.workflow import model  # noqa: PLC0415

    match step:
        case model.LoopStep():
            return list(step.steps)
        case model.BranchStep():
            return [it.step for it in step.options] + ([step.otherwise] if step.otherwise else [])
        case model.ValidateStep():
            return [step.on_failure] if step.on_failure else []
        case _:
            return []


def _text(workflow: "Workflow") -> str:
    parts = [f"{workflow.name} ({workflow.file})\n"]
    if workflow.description:
        parts.append(workflow.description.strip() + "\n")
    if workflow.inputs:
        inputs = [
            (f"  {it.name}", it.type, _default(it), it.description)
            for it in workflow.inputs.values()
        ]
        parts.append("Inputs:\n" + table(["", "", "", ""], inputs).partition("\n")[2])
    rows = [
        (f"  {indent}{it.name}", type_of(it), it.description)
        for indent, it in _tree(workflow.steps, "")
    ]
    parts.append("Steps:\n" + table(["", "", ""], rows).partition("\n")[2])
    return "\n".join(parts)


def _default(it: "Input") -> str:
    return (
        "required"
        if it.required
        else "optional"
        if it.default is None
        else f"= {json_text(it.default, indent=None)}"
    )


def _tree(steps: "tuple[Step, ...] | list[Step]", indent: str) -> "Iterator[tuple[str, Step]]":
    for step in steps:
        yield indent, step
        yield from _tree(steps_within(step), indent + "  ")
