"""Show a workflow's description, inputs and steps.

Examples:
  maverick workflow show fly
  maverick workflow show deploy.yaml --json
"""

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson, WorkflowName
from maverick.cli.here import from_here, this_project
from maverick.cli.terminal.render import json_text, line_width, table, wrapped
from maverick.visible import columns, one_line

if TYPE_CHECKING:
    from maverick.dsl.workflow.model import Input, Step, Workflow

_GAP: Final = re.compile(" {2,}")
_LONG: Final = 80
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
    width = line_width(sys.stdout)
    parts = [f"{workflow.name} ({workflow.file})\n"]
    if workflow.description:
        parts.append(_fitting(workflow.description.strip(), width))
    if workflow.inputs:
        inputs = [
            (f"  {declared.name}", declared.type, _default(declared), _about(declared))
            for declared in workflow.inputs.values()
        ]
        parts.append("Inputs:\n" + table(["", "", "", ""], inputs, width=width).partition("\n")[2])
    rows = [
        (f"  {indent}{step.name}", type_of(step), step.description)
        for indent, step in _tree(workflow.steps, "")
    ]
    parts.append("Steps:\n" + table(["", "", ""], rows, width=width).partition("\n")[2])
    return "\n".join(parts)


def _fitting(text: str, width: int | None) -> str:
    """Give *text* in lines that fit *width*: what is broken off a line stands as far in as the
    words that it begins with, or where the second column of the line begins.

    Lines that their author broke are joined first: those that follow a long one, and have no column
    of their own.
    """
    if width is None:
        return f"{text}\n"
    joined: list[str] = []
    is_long = False
    for line in text.split("\n"):
        has_columns = _GAP.search(line.strip()) is not None
        if is_long and line.strip() and not has_columns:
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line)
        is_long = len(line) >= _LONG
    return "".join(f"{part}\n" for line in joined for part in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    if columns(one_line(line)) <= width:
        return [line]
    indent = len(line) - len(line.lstrip())
    gap = _GAP.search(line, indent)
    inside = gap.end() if gap is not None and gap.end() < width // 2 else indent
    hanging = inside if inside > indent or line.startswith(" ") else 2
    first, *others = wrapped(line[inside:], width - max(inside, hanging))
    return [line[:inside] + first, *(" " * hanging + other for other in others)]


def _default(declared: "Input") -> str:
    if declared.required:
        return "required"
    if declared.default is None:
        return "optional"
    return f"= {json_text(declared.default, indent=None)}"


def _about(declared: "Input") -> str:
    """What it is for, and what it may be."""
    if not declared.choices:
        return declared.description
    choices = ", ".join(json_text(choice, indent=None) for choice in declared.choices)
    return f"{declared.description} [one of {choices}]".lstrip()


def _tree(steps: "tuple[Step, ...] | list[Step]", indent: str) -> "Iterator[tuple[str, Step]]":
    for step in steps:
        yield indent, step
        yield from _tree([inner for _, inner in step.inside()], indent + "  ")
