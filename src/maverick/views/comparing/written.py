"""Whether a step is written otherwise in the workflows that two runs recorded."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from maverick.dsl.expressions.expressions import Expression, Template
from maverick.dsl.workflow.model import Step
from maverick.views.recorded import RecordedSteps

if TYPE_CHECKING:
    from maverick.dsl.journal.tree import RunTree


class WrittenFields:
    """The fields of the steps of two runs, as they were written when these were recorded."""

    def __init__(self, old: RunTree, new: RunTree) -> None:
        self._trees = (old, new)

    @cached_property
    def _sides(self) -> tuple[RecordedSteps, RecordedSteps]:
        old, new = (RecordedSteps(tree.definition, tree.main_file) for tree in self._trees)
        return old, new

    def differ(self, path: str, part: str) -> bool:
        """Whether the field *part* of the step at *path* is written otherwise; of a part that is no
        field, whether any of the step is. False where a side's workflow cannot be read.
        """
        old, new = (side.find(path) for side in self._sides)
        if old is None or new is None:
            return False
        if type(old.step) is not type(new.step):
            return True
        names = _own_fields(old.step)
        return any(
            _as_written(getattr(old.step, name)) != _as_written(getattr(new.step, name))
            for name in ([part] if part in names else names)
        )


def _own_fields(step: Step) -> list[str]:
    """The fields that its type alone has: the others do not change what it gives."""
    common = {field.name for field in fields(Step)}
    return [field.name for field in fields(step) if field.name not in common]


def _as_written(field: Any) -> Any:
    """Give *field* without its place in the file, which moves as lines are put in before it."""
    match field:
        case Template(text=text) | Expression(text=text):
            return ("${{", text)
        case dict():
            return {name: _as_written(item) for name, item in field.items()}
        case list() | tuple():
            return [_as_written(item) for item in field]
        case _:
            return field
