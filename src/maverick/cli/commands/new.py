"""Write a workflow that runs as it is, to begin with.

It becomes .maverick/workflows/NAME.yaml; a file that is there is never replaced. --from says what
it begins as:

  shell   scripts, an input and outputs (the default)
  python  functions of Python
  agent   a coding agent; nobody is asked until -i agent=NAME says whom
  fly     the workflow `fly` as it ships, to be changed
  test    a test of a workflow, in .maverick/tests/NAME.yaml

Editors complete and check it by a schema, which is written as well: .maverick/schema/workflow.json,
of a test test.json (see `maverick schema`).

Examples:
  maverick new hello && maverick run hello
  maverick new deploy --from python
"""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.answer import reply
from maverick.cli.entry import AsJson
from maverick.cli.here import this_project
from maverick.cli.terminal.render import json_text
from maverick.cli.terminal.streams import warn
from maverick.errors import UsageError

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.workflow.model import Input
    from maverick.project import Project


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    *,
    kind: Annotated[
        str,
        typer.Option("--from", metavar="shell|python|agent|fly|test", help="What it begins as."),
    ] = "shell",
    as_json: AsJson = False,
) -> None:
    from maverick.dsl.catalog.schema import schema_of_tests, workflow_schema  # noqa: PLC0415
    from maverick.dsl.serialization.loader import why_bad_name  # noqa: PLC0415
    from maverick.library.templates import KINDS, TEST  # noqa: PLC0415
    from maverick.visible import nearest  # noqa: PLC0415

    is_test = kind == TEST
    if kind not in KINDS:
        hint = nearest(kind, KINDS) or f"; there are {', '.join(KINDS)}"
        raise UsageError(f"--from {kind!r}: there is no such beginning{hint}")
    if why := why_bad_name(name, "a test" if is_test else "a workflow"):
        raise UsageError(why)
    project = this_project()
    if is_test:
        text, folder, schemas = _test(project, name), "tests", ("test", schema_of_tests())
        note = "edit it; `maverick test`, which runs it, is not part of this version yet"
    else:
        text, folder = _workflow(project, kind, name), "workflows"
        schemas = ("workflow", workflow_schema())
        note = f"edit it; run it: {shlex.join(['maverick', 'run', name, *_required(text)])}"
    path = project.write_file(f"{folder}/{name}.yaml", text, replace=False)
    schema = project.write_file(
        f"schema/{schemas[0]}.json", f"{json_text(schemas[1])}\n", replace=True
    )
    shown = f"{path.relative_to(project.root)}"
    note = f"wrote {schema.relative_to(project.root)}, too: editors check it by that\n{note}"
    reply({"name": name, "file": shown}, as_json=as_json, text=f"{shown}\n", note=note)


def _required(text: str) -> list[str]:
    """Give options that give the inputs without which the workflow of *text* does not begin."""
    from maverick.dsl.serialization.loader import parse_workflow  # noqa: PLC0415

    return [
        word
        for declared in parse_workflow(text, "").inputs.values()
        if declared.required
        for word in ("-i", f"{declared.name}={_given(declared)}")
    ]


def _given(declared: "Input") -> str:
    """Give a value that can be typed; of a text one that says what to type there."""
    from maverick.library.templates import example_of  # noqa: PLC0415

    if declared.type == "string" and not declared.choices:
        return declared.name.upper()
    return json_text(example_of(declared), indent=None)


def _workflow(project: "Project", kind: str, name: str) -> str:
    from maverick.library.templates import workflow_text  # noqa: PLC0415

    catalog = project.catalog()
    for source, file in _of_one_name(catalog, name):
        if source == "project":
            raise UsageError(
                f"{file} defines the workflow `{name}` already; choose another name, or remove it"
            )
        warn(f"it stands in for the workflow `{name}` of {file} ({source}), which it hides")
    return workflow_text(kind, name, "../schema/workflow.json")


def _of_one_name(catalog: "Catalog", name: str) -> list[tuple[str, str]]:
    from maverick.dsl.catalog.workflow_files import name_in, same_name  # noqa: PLC0415

    return [
        (source.name, catalog.shown(path))
        for source, path in catalog.listing()
        if same_name(name_in(path), name)
    ]


def _test(project: "Project", name: str) -> str:
    from maverick.dsl.catalog.outline import outline  # noqa: PLC0415
    from maverick.library.templates import text_of_test  # noqa: PLC0415

    catalog = project.catalog()
    workflow = catalog.find_workflow(name)
    agents = {
        mention.name
        for outlined in (outline(workflow, catalog) if workflow else {}).values()
        for mention in outlined.step.mentions()
        if mention.kind == "agent" and isinstance(mention.name, str)
    }
    return text_of_test(name, workflow, agents, "../schema/test.json")
