"""The step types that do something themselves: for each, what makes its key and how it is run."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from maverick.dsl.expressions import evaluate, resolve
from maverick.dsl.work import Attempt, Tools, Work
from maverick.dsl.workflow.model import (
    AgentStep,
    CheckpointStep,
    GenerateStep,
    PythonStep,
    ShellStep,
    Step,
    ValidateStep,
)
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.expressions.scope import Frame

__all__ = ["Attempt", "Tools", "Work", "prepare"]


def prepare(step: Step, frame: Frame, tools: Tools) -> Work:
    """What a leaf step would do in this scope. Imports what only its type needs.

    A folder other than the project's root, that the step or one around it names as `cwd`, is part
    of the key.

    Raises:
        StepFailed: An expression cannot be evaluated, or what the step names does not exist.
    """
    if isinstance(step, CheckpointStep):
        return _checkpoint(step, frame, tools)
    folder = (
        resolve.folder(step.cwd, frame)
        if isinstance(step, AgentStep | ValidateStep)
        else frame.project_root
    )
    work = _prepare(step, frame, replace(tools, root=folder))
    if folder == tools.root:
        return work
    return work._replace(parts={**work.parts, "folder": os.path.relpath(folder, tools.root)})


def _prepare(step: Step, frame: Frame, tools: Tools) -> Work:
    match step:
        case PythonStep():
            from maverick.dsl.steps import python  # noqa: PLC0415 - each type costs only those who use it

            return python.prepare(step, frame, tools)
        case ShellStep():
            from maverick.dsl.steps import shell  # noqa: PLC0415

            return shell.prepare(step, frame, tools)
        case AgentStep():
            from maverick.dsl.steps import agent  # noqa: PLC0415

            return agent.prepare(step, frame, tools)
        case ValidateStep():
            from maverick.dsl.steps import validation  # noqa: PLC0415

            return validation.prepare(step, frame, tools)
        case GenerateStep():
            from maverick.dsl.steps import generate  # noqa: PLC0415

            return generate.prepare(step, frame, tools)
        case _:
            raise AssertionError(f"{step.name} is walked, not prepared")


def _checkpoint(step: CheckpointStep, frame: Frame, tools: Tools) -> Work:
    label = (
        step.name
        if step.checkpoint_id is None
        else evaluate.as_text(evaluate.render(step.checkpoint_id, frame))
    )
    label = tools.scrub.text(label)
    if not label:
        raise StepFailed("checkpoint_id is empty; a checkpoint needs a label")
    if label == "latest" or "\0" in label:
        why = "stands for a run's newest checkpoint" if label == "latest" else "holds a NUL byte"
        raise StepFailed(
            f"checkpoint_id {label!r} {why}, so nobody could name the checkpoint; choose another "
            "label"
        )
    return Work(
        type="checkpoint",
        parts={"checkpoint_id": label},
        run=lambda _: {"saved": True, "label": label},
        label=label,
        workspace=step.workspace,
    )
