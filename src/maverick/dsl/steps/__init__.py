"""The types of steps: each that does something itself is one file here.

Such a file holds the record of its steps, which says what they name; `read`, which reads what they
have beside what every step has; and `prepare`, which says what makes a step's key and how it is
run. Reading has to be cheap: what only running needs is imported inside `prepare`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.serialization.fields import Common, Fields
    from maverick.dsl.work import Tools, Work
    from maverick.dsl.workflow.model import Step


class TypeEntry(NamedTuple):
    """`file` is that of the type; `said_by` the field that says it where `type` is left out."""

    file: str = ""
    said_by: str = ""


TYPES: Final[Mapping[str, TypeEntry]] = {
    "python": TypeEntry("python", said_by="action"),
    "shell": TypeEntry("shell", said_by="run"),
    "agent": TypeEntry("agent", said_by="agent"),
    "generate": TypeEntry("generate", said_by="generator"),
    "subworkflow": TypeEntry(said_by="workflow"),
    "checkpoint": TypeEntry("checkpoint_step"),
    "validate": TypeEntry("validation", said_by="stages"),
    "branch": TypeEntry(said_by="options"),
    "loop": TypeEntry(said_by="steps"),
    "parallel": TypeEntry(),
}
"""The types, in the order in which messages list them.

What is made of steps is read by `serialization.steps` and walked by `engine.composites`; `validate`
runs its stages here all the same.
"""


class StepType(Protocol):
    """What the file of a type has."""

    def read(self, fields: Fields, common: Common) -> Step:
        """Read the fields of a step; *common* are the arguments that every record takes."""

    def prepare(self, step: Any, frame: Frame, tools: Tools) -> Work:
        """What a step of the type would do in this scope, in the folder `tools.root`.

        The work keeps within `attempt.limit` and ends when `tools.stop` is requested.

        Raises:
            StepFailed: An expression cannot be evaluated, or what the step names does not exist.
        """


def load_type(kind: str) -> StepType:
    """The type of that name."""
    return cast("StepType", import_module(f"{__name__}.{TYPES[kind].file}"))


def prepare(step: Step, frame: Frame, tools: Tools) -> Work:
    """What a step that does something itself would do in this scope. Imports what its type needs.

    A folder other than the project's root, that the step or one around it names as `cwd`, is part
    of the key.

    Raises:
        StepFailed: As `StepType.prepare`.
    """
    around = frame.project_root
    work = load_type(step.kind).prepare(step, frame, replace(tools, root=around))
    folder = work.folder or around
    if step.is_checkpoint or folder == tools.root:
        return work
    return work._replace(parts={**work.parts, "folder": os.path.relpath(folder, tools.root)})
