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

from maverick.cli.commands.workflow.show import input_row
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text, table
from maverick.cli.terminal.streams import print_out, warn
from maverick.errors import WorkflowInvalid

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog


def command(*, as_json: AsJson = False) -> None:
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
            "inputs": [input_row(it) for it in workflow.inputs.values()],
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
