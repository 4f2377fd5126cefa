"""Commands that run one workflow that ships, whose inputs are their options: `maverick fly`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from maverick.cli.commands import run
from maverick.cli.entry import command, help_text
from maverick.cli.here import this_project
from maverick.cli.terminal.render import inline_text
from maverick.errors import InputInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.workflow.model import Input, Workflow

_METAVARS: Final[Mapping[str, str]] = {
    "string": "TEXT",
    "integer": "INTEGER",
    "float": "NUMBER",
    "number": "NUMBER",
    "array": "JSON",
    "object": "JSON",
}
_MARK: Final = "input_"


def shipped(name: str) -> Any:
    """Make the command that runs the workflow *name* as it is found here; its inputs are options.

    Raises:
        WorkflowInvalid: a file of the project or the user stands in for the workflow, and has
            problems.
    """
    workflow = this_project().catalog().workflow(name)
    usual = inspect.signature(run.command, eval_str=True)
    taken = {
        "help",
        "input",
        "inputs",
        "json",
        *(option.replace("_", "-") for option in usual.parameters),
    }
    options = [
        _option(declared)
        for declared in workflow.inputs.values()
        if declared.name.replace("_", "-") not in taken
    ]

    def callback(**given: Any) -> None:
        pairs = [
            f"{key.removeprefix(_MARK)}={inline_text(value)}"
            for key, value in given.items()
            if key.startswith(_MARK) and value is not None
        ]
        others = {key: value for key, value in given.items() if not key.startswith(_MARK)}
        pairs += others["inputs"] or []
        try:
            run.command(**{**others, "workflow": name, "inputs": pairs})
        except InputInvalid as error:
            raise InputInvalid(f"{error}{_advice(workflow, pairs)}") from error

    kept = [
        parameter.replace(kind=parameter.KEYWORD_ONLY)
        for parameter in usual.parameters.values()
        if parameter.name != "workflow"
    ]
    callback.__signature__ = inspect.Signature([*options, *kept])  # type: ignore[attr-defined]
    callback.__annotations__ = {}
    return command(name, callback, help_text(_help(name, workflow.description)))


def _advice(workflow: Workflow, pairs: list[str]) -> str:
    """Say how the required inputs are given that are not among *pairs*."""
    given = {pair.partition("=")[0] for pair in pairs}
    missing = [
        f"--{declared.name.replace('_', '-')}"
        for declared in workflow.inputs.values()
        if declared.required and declared.name not in given
    ]
    return f"\ngive {' and '.join(missing)}" if missing else ""


def _option(declared: Input) -> inspect.Parameter:
    flag = declared.name.replace("_", "-")
    if declared.type == "boolean":
        option = typer.Option(f"--{flag}/--no-{flag}", help=_about(declared), show_default=False)
        kind: Any = Annotated[bool | None, option]
    else:
        metavar = _METAVARS[declared.type]
        option = typer.Option(
            f"--{flag}", help=_about(declared), metavar=metavar, show_default=False
        )
        kind = Annotated[str | None, option]
    return inspect.Parameter(
        _MARK + declared.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind
    )


def _about(declared: Input) -> str:
    notes = []
    if declared.choices:
        notes.append("one of " + ", ".join(map(inline_text, declared.choices)))
    if declared.required:
        notes.append("required")
    elif declared.default is not None:
        notes.append(f"default: {inline_text(declared.default)}")
    about = f"{declared.description.strip().rstrip('.')}." if declared.description else ""
    return f"{about} [{'; '.join(notes)}]".strip() if notes else about


def _help(name: str, description: str) -> str:
    first = description.strip().partition("\n\n")[0] or f"Run the workflow `{name}`."
    return f"""{first}

    The options are the inputs of the workflow `{name}`, and those of `maverick run`.
    `maverick workflow show {name}` shows its steps.

    Examples:
      maverick {name} --help
      maverick {name} --resume
    """
