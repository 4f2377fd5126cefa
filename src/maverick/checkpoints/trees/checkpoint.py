"""Checkpoints and their canonical JSON."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple, TypeAlias, get_args

from maverick.checkpoints.disk.sealed import quote, to_bytes
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, TreeId
from maverick.errors import StoreDamaged, StoreTooNew
from maverick.noted import whole_number

CheckpointKind: TypeAlias = Literal["auto", "label", "pause", "failure", "final"]

CHECKPOINT_KINDS: frozenset[str] = frozenset(get_args(CheckpointKind))
CHECKPOINT_FORMAT = 1
NO_CHECKPOINT = CheckpointId(ObjectId(""))


class Checkpoint(NamedTuple):
    """An immutable snapshot of a run. `created` is in milliseconds since the epoch.

    `parent` is a weak link (gc may have collected it, it may be in another run), `labelled` a
    strong one to the newest labelled checkpoint before this one; both are empty where there is
    none.
    """

    id: CheckpointId
    run: str
    sequence: int
    kind: CheckpointKind
    label: str
    step: str
    group: str
    created: int
    tree: TreeId
    facts: TreeId
    parent: CheckpointId
    labelled: CheckpointId

    @property
    def title(self) -> str:
        """What people call it: its run, and there its label or its number."""
        return f"{self.run}@{self.label}" if self.label else f"{self.run}, {self.sequence}"

    @property
    def last_labelled(self) -> CheckpointId:
        """The newest labelled checkpoint up to and including this one; empty where there is
        none.
        """
        return self.id if self.kind == "label" else self.labelled


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Give the canonical JSON of *checkpoint*, which does not hold its id."""
    return to_bytes(
        f'{{"created":{checkpoint.created},"facts":"{checkpoint.facts}",'
        f'"format":{CHECKPOINT_FORMAT},"group":{quote(checkpoint.group)},'
        f'"kind":"{checkpoint.kind}","label":{quote(checkpoint.label)},'
        f'"labelled":"{checkpoint.labelled}","parent":"{checkpoint.parent}",'
        f'"run":{quote(checkpoint.run)},"sequence":{checkpoint.sequence},'
        f'"step":{quote(checkpoint.step)},"tree":"{checkpoint.tree}"}}'
    )


def named(unnamed: Checkpoint) -> tuple[Checkpoint, bytes]:
    """Give a checkpoint with its id, and its canonical JSON."""
    data = encode_checkpoint(unnamed)
    return unnamed._replace(id=ids.checkpoint_id(data)), data


def parse_checkpoint(checkpoint_id: CheckpointId, data: bytes) -> Checkpoint:
    """Read the checkpoint *checkpoint_id* from its canonical JSON.

    Raises:
        StoreTooNew: it has a format that this version does not know.
        StoreDamaged: it is no checkpoint by these rules.
    """
    try:
        fields = json.loads(data)
        version = fields.pop("format")
        if type(version) is int and version > CHECKPOINT_FORMAT:
            raise StoreTooNew(
                f"checkpoint {checkpoint_id[:12]} has format {version}, "
                f"this version reads {CHECKPOINT_FORMAT}; update maverick"
            )
        checkpoint = Checkpoint(id=checkpoint_id, **fields)
        _validate(checkpoint)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        from maverick.checkpoints.trees.tree_nodes import malformed  # noqa: PLC0415 - an error only

        raise StoreDamaged(malformed("checkpoint", checkpoint_id, error)) from error
    return checkpoint


def _validate(checkpoint: Checkpoint) -> None:
    texts = (checkpoint.run, checkpoint.label, checkpoint.step, checkpoint.group)
    if not all(type(text) is str for text in texts):
        raise ValueError("a text has another type")
    if whole_number(checkpoint.sequence) is None or whole_number(checkpoint.created) is None:
        raise ValueError("a number has another type, or is out of range")
    if checkpoint.kind not in CHECKPOINT_KINDS:
        raise ValueError(f"unknown kind {checkpoint.kind!r}")
    if not (ids.is_id(checkpoint.tree) and ids.is_id(checkpoint.facts)):
        raise ValueError("a tree's id is no id")
    if not all(link == "" or ids.is_id(link) for link in (checkpoint.parent, checkpoint.labelled)):
        raise ValueError("a link is no id")
