"""What has to be on this machine before a workflow may start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from maverick.dsl.model import Step, SubworkflowStep, Workflow, steps_in
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.catalog import Catalog


def require_programs(workflow: Workflow, catalog: Catalog, environment: Mapping[str, str]) -> None:
    """Check the programs under `requires` of all steps, those of sub-workflows included.

    Raises:
        StepFailed: Some are not on PATH; names all of them, with the steps that ask for them.
    """
    needed: dict[str, list[str]] = {}
    for step in all_steps(workflow, catalog):
        for program in step.requires:
            needed.setdefault(program, []).append(step.name)
    missing = {program: steps for program, steps in needed.items() if not _is_there(program, environment)}
    if missing:
        named = "; ".join(f"{program} (for {', '.join(dict.fromkeys(steps))})" for program, steps in missing.items())
        raise StepFailed(f"programs that the workflow requires are not on PATH: {named}; install them and try again")


def all_steps(workflow: Workflow, catalog: Catalog) -> Iterator[Step]:
    """Every step of *workflow* at any depth, and of the workflows it calls (each once)."""
    done: set[str] = set()

    waiting = [workflow]
    while waiting:
        each = waiting.pop()
        if each.file in done:
            continue
        done.add(each.file)
        for step in steps_in(each.steps):
            yield step
            called = catalog.find_workflow(step.workflow, each.file) if isinstance(step, SubworkflowStep) else None
            if called is not None:
                waiting.append(called)


def _is_there(program: str, environment: Mapping[str, str]) -> bool:
    return shutil.which(program, path=environment.get("PATH")) is not None
