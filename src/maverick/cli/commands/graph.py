"""Draw the steps of a workflow, or of a run.

The steps stand in order, with what is in loops, branches and sub-workflows below them. `●` is a
checkpoint. Of a run each step has its status: ✓ done, ✗ failed, ▸ running, ? waiting, - skipped,
· not reached. The steps are those that the run has recorded, whatever the files say now. NAME is a
workflow first; `NAME@latest` is always a run.

Examples:
  maverick graph fly
  maverick graph fly@latest --mermaid
  maverick graph deploy.yaml --dot | dot -Tsvg > deploy.svg
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.entry import AsJson
from maverick.cli.here import from_here, this_project
from maverick.cli.terminal.render import line_width
from maverick.cli.terminal.streams import print_json, print_out
from maverick.errors import NotFound, RevisionAmbiguous, UsageError

if TYPE_CHECKING:
    from maverick.project import Project
    from maverick.views.graphs.graph import Graph


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="[WORKFLOW|RUN]", help="A workflow, its file, or a run (the newest one)."
        ),
    ] = "@latest",
    *,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Print a flowchart of Mermaid.")
    ] = False,
    dot: Annotated[bool, typer.Option("--dot", help="Print it for Graphviz.")] = False,
    as_json: AsJson = False,
) -> None:
    if mermaid + dot + as_json > 1:
        raise UsageError("give one of --mermaid, --dot and --json")
    graph = _graph(this_project(), name)
    from maverick.views.graphs.drawing import as_dot, as_mermaid, as_text  # noqa: PLC0415 - not for help

    if as_json:
        print_json(graph.to_json())
    elif mermaid:
        print_out(as_mermaid(graph))
    elif dot:
        print_out(as_dot(graph))
    else:
        print_out(as_text(graph, line_width(sys.stdout)))


def _graph(project: "Project", name: str) -> "Graph":
    from maverick.views.graphs.graph import graph_of  # noqa: PLC0415 - as above

    if "@" not in name:
        catalog = project.catalog()
        workflow = catalog.find_workflow(from_here(name))
        if workflow is not None:
            return graph_of(workflow, catalog)
    return _graph_of_run(project, name)


def _graph_of_run(project: "Project", name: str) -> "Graph":
    from maverick.views.graphs.run_graph import graph_of_run  # noqa: PLC0415 - as above
    from maverick.views.page_loader import load_page  # noqa: PLC0415 - as above

    try:
        store = project.open_store()
        checkpoint = store.resolve(name)
    except RevisionAmbiguous:
        raise
    except NotFound as error:
        if "@" in name:
            raise
        unknown = project.catalog().unknown_workflow(name)
        raise NotFound(f"{unknown}, and no run: {error}") from None
    return graph_of_run(load_page(str(project.root), store, checkpoint))
