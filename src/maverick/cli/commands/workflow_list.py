"""List the workflows that can be run here, or what they can name.

INPUTS names the inputs that have to be given; the number in brackets counts the others. If several
workflows have one name, that of the project goes before that of the user, and both go before one
that ships. A file with problems is reported on standard error and left out.

With --actions it lists the functions that a step can name as its `action`, and how each is called;
it imports the modules under `actions:` in maverick.yaml. With --agents it lists agents and
generators, and the program that plays each (`none`: a function writes the text). With --contexts it
lists what a step can name as its `context`.

Examples:
  maverick workflow list
  maverick workflow list --actions
  maverick workflow list --agents --json
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maverick.cli.answer import reply
from maverick.cli.commands.workflow_show import input_row
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import line_width, table_lines, wrapped
from maverick.cli.terminal.streams import warn
from maverick.errors import UsageError, WorkflowInvalid
from maverick.visible import columns, one_line

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.catalog.offered import Offered, OfferedAgent


def command(
    *,
    actions: Annotated[bool, typer.Option("--actions", help="List the actions.")] = False,
    agents: Annotated[
        bool, typer.Option("--agents", help="List the agents and generators.")
    ] = False,
    contexts: Annotated[
        bool, typer.Option("--contexts", help="List the context builders.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    if actions + agents + contexts > 1:
        raise UsageError("choose one of --actions, --agents and --contexts")
    catalog = this_project().catalog()
    if actions or agents or contexts:
        from maverick.dsl.catalog import offered  # noqa: PLC0415 - loads what is listed

        if agents:
            _reply_agents(offered.agents(catalog), as_json=as_json)
        else:
            functions = offered.actions(catalog, warn) if actions else offered.contexts(catalog)
            _reply_functions(functions, as_json=as_json)
        return
    for folder, why in catalog.unreadable_folders():
        warn(f"{folder} is left out because it cannot be listed: {why}")
    rows = list(_rows(catalog))
    reply(rows, as_json=as_json, text=_table(rows))


def _table(rows: list[dict[str, Any]]) -> str:
    """Give a line for each workflow, and below it which ones it hides; none is too long."""
    if not rows:
        return ""
    cells = [
        (
            row["name"],
            row["source"],
            _inputs_text(row["inputs"]),
            row["description"].partition("\n")[0],
        )
        for row in rows
    ]
    headers = ("NAME", "SOURCE", "INPUTS", "DESCRIPTION")
    header, *blocks = table_lines(headers, cells, width=line_width(sys.stdout))
    shown = [*header]
    for row, lines in zip(rows, blocks, strict=True):
        shown += lines
        for file in row["overrides"]:
            shown += _wrapped(f"  instead of {file}", "  ")
    return "".join(f"{line}\n" for line in shown)


def _reply_functions(functions: "list[Offered]", *, as_json: bool) -> None:
    """Print how each is called, what it is for, and where it is from."""
    lines: list[str] = []
    for each in functions:
        lines += _wrapped(f"{each.name}{each.signature}", "    ")
        source = "" if each.source == "built in" else f" [{each.source}]"
        lines += _wrapped(f"  {each.about}{source}", "  ")
    rows = [each._asdict() for each in functions]
    reply(rows, as_json=as_json, text="".join(f"{line}\n" for line in lines))


def _reply_agents(agents: "list[OfferedAgent]", *, as_json: bool) -> None:
    """Print who plays each, and what it is told first."""
    lines: list[str] = []
    for each in agents:
        played = f"{each.provider} {each.model}".rstrip()
        lines += _wrapped(f"{each.name}: {played} [{each.source}]", "    ")
        if each.about:
            lines += _wrapped(f"  {each.about}", "  ")
    rows = [each._asdict() for each in agents]
    reply(rows, as_json=as_json, text="".join(f"{line}\n" for line in lines))


def _wrapped(text: str, indent: str) -> list[str]:
    """Give *text* in lines that fit the terminal; those after the first begin with *indent*."""
    shown = one_line(text).rstrip()
    width = line_width(sys.stdout)
    if width is None or columns(shown) <= width:
        return [shown]
    first, *others = wrapped(shown, width - len(indent))
    return [first, *(indent + other for other in others)]


def _rows(catalog: "Catalog") -> Iterator[dict[str, Any]]:
    from maverick.dsl.serialization.loader import parse_workflow  # noqa: PLC0415
    from maverick.dsl.serialization.source_text import read_text  # noqa: PLC0415

    by_name: dict[str, dict[str, Any]] = {}
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
            "inputs": [input_row(declared) for declared in workflow.inputs.values()],
        }
        first = by_name.setdefault(workflow.name.replace("-", "_"), row)
        if first is row:
            continue
        if first["source"] == source.name:
            warn(
                f"{first['file']} and {row['file']} both define the workflow {workflow.name!r}; "
                "remove one"
            )
        else:
            first["overrides"].append(row["file"])
    yield from sorted(by_name.values(), key=lambda row: str(row["name"]))


def _inputs_text(inputs: list[dict[str, Any]]) -> str:
    """The inputs that have to be given, and how many may be."""
    required = [declared["name"] for declared in inputs if declared["required"]]
    optional = len(inputs) - len(required)
    return " ".join([*required, *([f"[{optional}]"] if optional else [])])
