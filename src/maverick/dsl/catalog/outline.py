"""The steps that a workflow can come to, by the pattern of their paths: `phases[].implement`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.paths import child
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

_ITERATION = re.compile(r'\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\]')


class Outlined(NamedTuple):
    """A step, the workflow whose file it stands in, and its pattern in there."""

    step: Step
    workflow: Workflow
    inside: str


def pattern_of(path: str) -> str:
    """The path of a step without the positions and keys of the iterations it stands in."""
    return _ITERATION.sub("[]", path)


def outline(workflow: Workflow, catalog: Catalog | None) -> dict[str, Outlined]:
    """Every step of *workflow*, in the order of the file, and of those it calls, with a *catalog*;
    no rollbacks.

    A sub-workflow whose name is an expression is left out: only a run knows it.
    """
    return dict(_steps(workflow.steps, "", "", workflow, catalog))


def _steps(
    steps: Iterable[Step], path: str, inside: str, workflow: Workflow, catalog: Catalog | None
) -> Iterator[tuple[str, Outlined]]:
    for step in steps:
        at, here = child(path, step.name), child(inside, step.name)
        yield at, Outlined(step, workflow, here)
        match step:
            case BranchStep():
                chosen = [option.step for option in step.options] + (
                    [step.otherwise] if step.otherwise else []
                )
                yield from _steps(chosen, at, here, workflow, catalog)
            case LoopStep():
                mark = "[]" if step.has_for_each or step.until is not None else ""
                yield from _steps(step.steps, at + mark, here + mark, workflow, catalog)
            case ValidateStep():
                again = [step.on_failure] if step.on_failure else []
                yield from _steps(again, f"{at}[]", f"{here}[]", workflow, catalog)
            case SubworkflowStep():
                called = None if catalog is None else _called(step, workflow, catalog)
                if called is not None:
                    yield from _steps(called.steps, at, "", called, catalog)
            case _:
                pass


def _called(step: SubworkflowStep, workflow: Workflow, catalog: Catalog) -> Workflow | None:
    try:
        return catalog.find_workflow(step.workflow, workflow.file)
    except WorkflowInvalid:
        return None
