"""Print the JSON Schema of workflow files, by which editors complete and check them.

With --write it goes to .maverick/schema/workflow.json, and that of maverick.yaml to maverick.json
beside it. An editor with a YAML language server uses the one that a comment in the first line of a
file names, as in the examples; `maverick new` writes that line.

Examples:
  maverick schema --write
  # yaml-language-server: $schema=../schema/workflow.json
  # yaml-language-server: $schema=.maverick/schema/maverick.json
"""

from typing import Annotated

import typer

from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text
from maverick.cli.terminal.streams import print_json, print_out


def command(
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write both schemas into the project.")
    ] = False,
) -> None:
    from maverick.dsl.catalog.schema import config_schema, workflow_schema  # noqa: PLC0415

    if not write:
        print_json(workflow_schema())
        return
    project = this_project()
    for name, schema in (("workflow", workflow_schema()), ("maverick", config_schema())):
        path = project.write_file(f"schema/{name}.json", f"{json_text(schema)}\n", replace=True)
        print_out(f"{path.relative_to(project.root)}\n")
