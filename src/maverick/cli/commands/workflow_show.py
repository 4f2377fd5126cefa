"""Show a workflow's description, inputs and steps.

Examples:
  maverick workflow show fly
  maverick workflow show deploy.yaml --json
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson, WorkflowName
from maverick.cli.here import from_here, this_project
from maverick.cli.terminal.render import json_text, table

if TYPE_CHECKING:
    from maverick.dsl.workflow.model import Input, Step, Workflow

_PERFORMERS = ("action", "agent", "generator", "workflow")
"""What does a step's work, so that its type is shown with the name."""


def command(name: WorkflowName, *, as_json: AsJson = False) -> None:
    workflow = this_project().catalog().workflow(from_here(name))
    reply(_described(workflow), as_json=as_json, text=_text(workflow))


def _described(workflow: "Workflow") -> dict[str, Any]:
    return {
        "name": workflow.name,
        "file": workflow.file,
        "description": workflow.description.strip(),
        "inputs": [input_row(declared) for declared in workflow.inputs.values()],
        "steps": [_step_row(step) for step in workflow.steps],
    }


def input_row(declared: "Input") -> dict[str, Any]:
    """Give an input for scripts."""
    return {
        "name": declared.name,
        "type": declared.type,
        "required": declared.required,
        "default": declared.default,
        "choices": list(declared.choices),
        "description": declared.description,
    }


def _step_row(step: "Step") -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": step.name,
        "type": type_of(step),
        "description": step.description,
    }
    inside = [_step_row(child) for _, child in step.inside()]
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
            (f"  {declared.name}", declared.type, _default(declared), declared.description)
            for declared in workflow.inputs.values()
        ]
        parts.append("Inputs:\n" + table(["", "", "", ""], inputs).partition("\n")[2])
    rows = [
        (f"  {indent}{step.name}", type_of(step), step.description)
        for indent, step in _tree(workflow.steps, "")
    ]
    parts.append("Steps:\n" + table(["", "", ""], rows).partition("\n")[2])
    return "\n".join(parts)


def _default(declared: "Input") -> str:
    if declared.required:
        return "required"
    if declared.default is None:
        return "optional"
    return f"= {json_text(declared.default, indent=None)}"


def _tree(steps: "tuple[Step, ...] | list[Step]", indent: str) -> "Iterator[tuple[str, Step]]":
    for step in steps:
        yield indent, step
        yield from _tree([inner for _, inner in step.inside()], indent + "  ")
