"""The steps that a workflow can come to, by the pattern of their paths: `phases[].implement`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.paths import ROOT, StepPath
from maverick.dsl.workflow.model import (
    BranchStep,
    LoopStep,
    Step,
    SubworkflowStep,
    ValidateStep,
    Workflow,
)
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
        at, here = path.child(step.name), inside.child(step.name)
        yield at, Outlined(step, workflow, here)
        match step:
            case BranchStep():
                chosen = [option.step for option in step.options] + (
                    [step.otherwise] if step.otherwise else []
                )
                yield from _steps(chosen, at, here, workflow, catalog)
            case LoopStep():
                if step.has_for_each or step.until is not None:
                    at, here = StepPath(f"{at}[]"), StepPath(f"{here}[]")
                yield from _steps(step.steps, at, here, workflow, catalog)
            case ValidateStep():
                again = [step.on_failure] if step.on_failure else []
                at, here = StepPath(f"{at}[]"), StepPath(f"{here}[]")
                yield from _steps(again, at, here, workflow, catalog)
            case SubworkflowStep():
                called = None if catalog is None else _called(step, workflow, catalog)
                if called is not None:
                    yield from _steps(called.steps, at, ROOT, called, catalog)
            case _:
                pass


def _called(step: SubworkflowStep, workflow: Workflow, catalog: Catalog) -> Workflow | None:
    try:
        return catalog.find_workflow(step.workflow, workflow.file)
    except WorkflowInvalid:
        return None
