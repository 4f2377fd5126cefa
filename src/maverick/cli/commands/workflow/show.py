"""Show a workflow's description, inputs and steps.

Examples:
  maverick workflow show fly
  maverick workflow show deploy.yaml --json
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import from_here, this_project
from maverick.cli.terminal.render import json_text, table
from maverick.cli.terminal.streams import print_out

if TYPE_CHECKING:
    from maverick.dsl.workflow.model import Input, Step, Workflow

_PERFORMERS = ("action", "agent", "generator", "workflow")
"""What does a step's work, so that its type is shown with the name."""
_Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of a workflow, or its file.")]


def command(name: _Name, *, as_json: AsJson = False) -> None:
    workflow = this_project().catalog().workflow(from_here(name))
    if as_json:
        print_out(json_text(_described(workflow)) + "\n")
    else:
        print_out(_text(workflow))


def _described(workflow: "Workflow") -> dict[str, Any]:
    return {
        "name": workflow.name,
        "file": workflow.file,
        "description": workflow.description.strip(),
        "inputs": [input_row(it) for it in workflow.inputs.values()],
        "steps": [_step(it) for it in workflow.steps],
    }


def input_row(it: "Input") -> dict[str, Any]:
    """Give an input for scripts."""
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
    inside = [_step(inner) for _, inner in it.inside()]
    return {**row, "steps": inside} if inside else row


def type_of(step: "Step") -> str:
    """Give the type of a step, with what it names: `agent implementer`, `subworkflow review`."""
    performers = (each.name for each in step.mentions() if each.kind in _PERFORMERS)
    what = next(iter(performers), "")
    return f"{step.kind} {getattr(what, 'text', what)}".rstrip()


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
        yield from _tree([inner for _, inner in step.inside()], indent + "  ")
