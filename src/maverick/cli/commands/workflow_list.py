"""List the workflows that can be run here.

INPUTS names the inputs that have to be given; the number in brackets counts the others. If several
workflows have one name, that of the project goes before that of the user, and both go before one
that ships. A file with problems is reported on standard error and left out.

Examples:
  maverick workflow list
  maverick workflow list --json
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from maverick.cli.answer import reply
from maverick.cli.commands.workflow_show import input_row
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import table
from maverick.cli.terminal.streams import warn
from maverick.errors import WorkflowInvalid

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog


def command(*, as_json: AsJson = False) -> None:
    catalog = this_project().catalog()
    for folder, why in catalog.unreadable_folders():
        warn(f"{folder} is left out because it cannot be listed: {why}")
    rows = list(_rows(catalog))
    lines = [
        (
            row["name"],
            row["source"],
            _inputs_text(row["inputs"]),
            row["description"].partition("\n")[0],
            f"(instead of {', '.join(row['overrides'])})" if row["overrides"] else "",
        )
        for row in rows
    ]
    headers = ("NAME", "SOURCE", "INPUTS", "DESCRIPTION", "")
    reply(rows, as_json=as_json, text=table(headers, lines) if lines else "")


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
