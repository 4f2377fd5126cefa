"""The steps that a workflow can come to, by the pattern of their paths: `phases[].implement`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.paths import ROOT, StepPath
from maverick.dsl.workflow.model import Step, SubworkflowStep, Workflow
from maverick.errors import WorkflowInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.dsl.catalog.catalog import Catalog


class Outlined(NamedTuple):
    """A step, the workflow whose file it stands in, and its pattern in there."""

    step: Step
    workflow: Workflow
    inside: str


def outline(workflow: Workflow, catalog: Catalog | None) -> dict[str, Outlined]:
    """Every step of *workflow*, in the order of the file, and of those it calls, with a *catalog*;
    no rollbacks.

    A sub-workflow whose name is an expression is left out: only a run knows it.
    """
    return dict(_steps(workflow.steps, ROOT, ROOT, workflow, catalog))


def _steps(
    steps: Iterable[Step],
    path: StepPath,
    inside: StepPath,
    workflow: Workflow,
    catalog: Catalog | None,
) -> Iterator[tuple[str, Outlined]]:
    for step in steps:
        step_path, step_inside = path.child(step.name), inside.child(step.name)
        yield step_path, Outlined(step, workflow, step_inside)
        for mark, inner in step.inside():
            around, there = StepPath(step_path + mark), StepPath(step_inside + mark)
            yield from _steps([inner], around, there, workflow, catalog)
        if isinstance(step, SubworkflowStep):
            called = None if catalog is None else _called(step, workflow, catalog)
            if called is not None:
                yield from _steps(called.steps, step_path, ROOT, called, catalog)


def _called(step: SubworkflowStep, workflow: Workflow, catalog: Catalog) -> Workflow | None:
    try:
        return catalog.find_workflow(step.workflow, workflow.file)
    except WorkflowInvalid:
        return None
