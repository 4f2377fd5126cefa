"""What the records of an open pack say of where runs stand. Nothing here changes anything."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
from maverick.checkpoints.objects.pack_records import CLOSED, NO_RUN, RecordDamaged, run_tag
from maverick.checkpoints.trees.checkpoint import parse_checkpoint
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.trees.checkpoint import Checkpoint


def unclosed(pack: Pack) -> dict[bytes, list[int]]:
    """Give for the tag of each run that is not closed in *pack* where its records are in
    `records`.
    """
    found: dict[bytes, list[int]] = {}
    for at, record in enumerate(pack.records):
        if record.flags & CLOSED:
            found.pop(record.run, None)
        elif record.run != NO_RUN:
            found.setdefault(record.run, []).append(at)
    return found


def names(pack: Pack, run: str) -> bool:
    """Say whether a record of *pack* is about *run*."""
    tag = run_tag(run)
    return any(record.run == tag for record in pack.records)


def holds_unclosed(pack: Pack, run: str) -> bool:
    """Say whether *run* is not closed in *pack*."""
    return run_tag(run) in unclosed(pack)


def committed(pack: Pack) -> Iterator[tuple[bytes, list[tuple[Checkpoint, dict[str, Any]]]]]:
    """Yield for each run that is not closed in *pack* the ref that its last record with one holds,
    as the file has it, and the checkpoints that the run came to since, each with what `Ref.at` is
    to know of it; nothing of a run of which that cannot be read.
    """
    for places in unclosed(pack).values():
        with suppress(RecordDamaged, StoreDamaged, StoreTooNew, ValueError, KeyError, TypeError):
            since: list[tuple[Checkpoint, dict[str, Any]]] = []
            for at in reversed(places):
                fields: dict[str, Any] = json.loads(pack.meta(at))
                if "ref" in fields:
                    yield fields["ref"].encode("utf-8", "surrogateescape"), since
                    break
                said = {"size": fields["bytes"], "reason": fields["reason"]}
                said["summary"] = fields.get("summary")
                since.insert(0, (_checkpoint(pack, at), said))


def _checkpoint(pack: Pack, at: int) -> Checkpoint:
    number = pack.records[at].numbers[-1]
    checkpoint_id = CheckpointId(ObjectId(pack.raw_id(number).hex()))
    data = pack.read(number)
    if ids.checkpoint_id(data) != checkpoint_id:
        raise RecordDamaged("its checkpoint is not what was written")
    return parse_checkpoint(checkpoint_id, data)
