"""The steps that a workflow can come to, by the pattern of their paths: `phases[].implement`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.model import BranchStep, LoopStep, Step, SubworkflowStep, ValidateStep, Workflow
from maverick.dsl.paths import child
from maverick.errors import WorkflowInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.dsl.catalog import Catalog

_ITERATION = re.compile(r'\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\]')


class Outlined(NamedTuple):
    """A step, and the workflow whose file it stands in."""

    step: Step
    workflow: Workflow


def pattern_of(path: str) -> str:
    """The path of a step without the positions and keys of the iterations it stands in."""
    return _ITERATION.sub("[]", path)


def outline(workflow: Workflow, catalog: Catalog) -> dict[str, Outlined]:
    """Every step of *workflow* and of those it calls, in the order of the files; no rollbacks.

    A sub-workflow whose name is an expression is left out: only a run knows it.
    """
    return dict(_steps(workflow.steps, "", workflow, catalog))


def _steps(steps: Iterable[Step], path: str, workflow: Workflow, catalog: Catalog) -> Iterator[tuple[str, Outlined]]:
    for step in steps:
        at = child(path, step.name)
        yield at, Outlined(step, workflow)
        match step:
            case BranchStep():
                chosen = [option.step for option in step.options] + ([step.otherwise] if step.otherwise else [])
                yield from _steps(chosen, at, workflow, catalog)
            case LoopStep():
                repeats = step.has_for_each or step.until is not None
                yield from _steps(step.steps, f"{at}[]" if repeats else at, workflow, catalog)
            case ValidateStep():
                yield from _steps([step.on_failure] if step.on_failure else [], f"{at}[]", workflow, catalog)
            case SubworkflowStep():
                called = _called(step, workflow, catalog)
                if called is not None:
                    yield from _steps(called.steps, at, called, catalog)
            case _:
                pass


def _called(step: SubworkflowStep, workflow: Workflow, catalog: Catalog) -> Workflow | None:
    try:
        return catalog.find_workflow(step.workflow, workflow.file)
    except WorkflowInvalid:
        return None
