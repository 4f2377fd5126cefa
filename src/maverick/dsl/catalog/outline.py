"""The steps that a workflow can come to, by the pattern of their paths: `phases[].implement`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from maverick.dsl.paths import ROOT, StepPath
from maverick.dsl.workflow.model import Step, SubworkflowStep, Workflow
from maverick.errors import WorkflowInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FindsWorkflows(Protocol):
    """What knows workflows by the references of others: a catalog."""

    def find_workflow(self, reference: str, calling_file: str = "", /) -> Workflow | None:
        """Give the workflow that *reference* means in *calling_file*, None if there is none."""


class Outlined(NamedTuple):
    """A step, the workflow whose file it stands in, and its pattern in there."""

    step: Step
    workflow: Workflow
    inside: str


def outline(workflow: Workflow, catalog: FindsWorkflows | None) -> dict[str, Outlined]:
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
    catalog: FindsWorkflows | None,
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


def _called(step: SubworkflowStep, workflow: Workflow, catalog: FindsWorkflows) -> Workflow | None:
    try:
        return catalog.find_workflow(step.workflow, workflow.file)
    except WorkflowInvalid:
        return None
