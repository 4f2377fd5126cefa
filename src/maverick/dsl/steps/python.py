"""`python`: a function of Python, called an action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from maverick.dsl.serialization.yaml_nodes import MappingNode, SequenceNode
from maverick.dsl.workflow.model import Mention, Step
from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.serialization.fields import Common, Fields
    from maverick.dsl.work import Attempt, Tools, Work


ABOUT: Final[Mapping[str, str]] = {
    "action": "The function: a name that is known, or `module:function` of the project.",
    "args": "Its arguments by position.",
    "kwargs": "Its arguments by name.",
}


@record(kw_only=True)
class PythonStep(Step):
    """Calls a Python function."""

    kind = "python"

    action: str
    args: Field = None
    kwargs: Field = None

    def mentions(self) -> Iterator[Mention]:
        yield Mention("action", self.action, "action")

    def arguments(self) -> tuple[Field, Field]:
        return self.args, self.kwargs


def read(fields: Fields, common: Common) -> PythonStep:
    """Read the fields. The places of its keyword arguments are known as `kwargs.NAME`."""
    common["places"] |= fields.entry_places("kwargs")
    return PythonStep(
        **common,
        action=fields.text("action", required=True),
        args=fields.shaped("args", (SequenceNode,), "a list"),
        kwargs=fields.shaped("kwargs", (MappingNode,), "a mapping"),
    )


def prepare(step: PythonStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the action (its source, or its name and version if it is built in) and its
    arguments.
    """
    from maverick.dsl.expressions import evaluate, resolve  # noqa: PLC0415 - see maverick.dsl.steps
    from maverick.dsl.steps.calls import call_in_attempt  # noqa: PLC0415
    from maverick.dsl.work import Work  # noqa: PLC0415

    action = tools.catalog.action(step.action)
    parts = {
        "action": action.identity,
        "args": evaluate.key_view(step.args, frame),
        "kwargs": evaluate.key_view(step.kwargs, frame),
    }

    def run(attempt: Attempt) -> object:
        args = resolve.sequence(step.args, attempt.frame, "args")
        kwargs = resolve.mapping(step.kwargs, attempt.frame, "kwargs")
        return call_in_attempt(attempt, action, args, kwargs, tools)

    return Work(parts=parts, run=run)
