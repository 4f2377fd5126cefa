"""`checkpoint`: a labelled checkpoint of the run, perhaps with the project's files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maverick.dsl.serialization.fields import TRUTH, Shape
from maverick.dsl.serialization.yaml_nodes import ScalarNode, SequenceNode
from maverick.dsl.workflow.inputs import truth_of
from maverick.dsl.workflow.model import KeepFiles, Step
from maverick.errors import StepFailed
from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.serialization.fields import Common, Fields
    from maverick.dsl.work import Tools, Work


ABOUT: Final[Mapping[str, str]] = {
    "checkpoint_id": "Its label; by default the step's name.",
    "workspace": "Whether it holds the project's files, or which (globs).",
}


@record(kw_only=True)
class CheckpointStep(Step):
    """Makes a labelled checkpoint. `workspace` None means what the workflow's `checkpoints` say."""

    kind = "checkpoint"
    is_checkpoint = True
    gives = ("saved", "label")

    checkpoint_id: Field = None
    workspace: KeepFiles | None = None

    def kept_files(self) -> KeepFiles | None:
        return self.workspace


def read(fields: Fields, common: Common) -> CheckpointStep:
    """Read the fields; a label that is known already must be one that can be looked up."""
    label = fields.template("checkpoint_id")
    if (common["name"] if label is None else label) == "latest":
        # Others are known when the step is reached.
        node = fields.node_of("checkpoint_id") or fields.node
        text = (
            "a label cannot be `latest`, which stands for a run's newest checkpoint; give another "
            "`checkpoint_id`"
        )
        fields.problems.add(node, text)
    return CheckpointStep(**common, checkpoint_id=label, workspace=_workspace(fields))


_WORKSPACE_SHAPE: Final[Shape] = {
    "anyOf": [TRUTH, {"type": "array", "items": {"type": "string", "minLength": 1}}]
}


def _workspace(fields: Fields) -> KeepFiles | None:
    node = fields.node_of("workspace", shape=_WORKSPACE_SHAPE)
    if node is None:
        return None
    if isinstance(node, ScalarNode):
        value = truth_of(node.value)
        if value is not None:
            return value
    elif isinstance(node, SequenceNode) and all(
        isinstance(item, ScalarNode) and isinstance(item.value, str) and item.value
        for item in node.items
    ):
        return fields.texts("workspace")
    fields.wrong("workspace", node, "true, false, or a list of globs")
    return None


def prepare(step: CheckpointStep, frame: Frame, tools: Tools) -> Work:
    """The key is made of the label."""
    from maverick.dsl.expressions import evaluate  # noqa: PLC0415 - see maverick.dsl.steps
    from maverick.dsl.work import Work  # noqa: PLC0415

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
        parts={"checkpoint_id": label},
        run=lambda _: {"saved": True, "label": label},
        label=label,
        workspace=step.workspace,
    )
