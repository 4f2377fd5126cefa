"""The graph of a run: the steps of its recorded workflow, with how each stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.errors import NotFound
from maverick.views.graphs.graph import graph_of
from maverick.views.recorded import RecordedWorkflows

if TYPE_CHECKING:
    from maverick.views.graphs.graph import Graph
    from maverick.views.run_page import RunPage


def graph_of_run(page: RunPage) -> Graph:
    """Give the graph of the run of *page*.

    Raises:
        NotFound: It is no run of a workflow.
        WorkflowInvalid: This version cannot read the workflow.
    """
    main = page.tree.main_file
    if not main:
        raise NotFound(f"{page.run} has no workflow: `checkpoint create` made it")
    workflows = RecordedWorkflows(page.tree.definition)
    statuses: dict[str, str] = {}
    todo = list(page.top.inner)
    while todo:
        node = todo.pop()
        statuses[node.path] = node.status
        todo += node.inner
    workflow = page.definition.workflow or workflows.workflow(main)
    return graph_of(workflow, workflows, statuses, run=page.run, status=page.status)
