"""What the records of an open pack say of where runs stand. Nothing here changes anything."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
from maverick.checkpoints.objects.pack_records import CLOSED, NO_RUN, RecordDamaged, run_tag
from maverick.checkpoints.trees.checkpoint import parse_checkpoint
from maverick.errors import StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from maverick.checkpoints.objects.packs import Pack
    from maverick.checkpoints.trees.checkpoint import Checkpoint


class Commit(NamedTuple):
    """What a record says of its run: all of its ref, as the file has it; or the checkpoint that the
    run came to, and what its ref says of that beside.
    """

    run: str
    ref: str = ""
    checkpoint: Checkpoint | None = None
    bytes: int = 0
    reason: str = ""
    summary: Mapping[str, Any] | None = None


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


def committed(pack: Pack) -> Iterator[list[Commit]]:
    """Yield for each run that is not closed in *pack* what its records say, from the last one on
    that says all; nothing of a run of which that cannot be read.
    """
    for places in unclosed(pack).values():
        with suppress(RecordDamaged, StoreDamaged, StoreTooNew, ValueError, KeyError, TypeError):
            commits: list[Commit] = []
            for at in reversed(places):
                commits.insert(0, _commit(pack, at))
                if commits[0].ref:
                    break
            yield commits


def _commit(pack: Pack, at: int) -> Commit:
    fields: dict[str, Any] = json.loads(pack.meta(at))
    if "ref" in fields:
        return Commit(fields["run"], fields["ref"])
    record = pack.records[at]
    number = record.numbers[-1]
    checkpoint_id = CheckpointId(ObjectId(pack.raw_id(number).hex()))
    data = pack.read(number)
    if ids.checkpoint_id(data) != checkpoint_id:
        raise RecordDamaged("its checkpoint is not what was written")
    return Commit(checkpoint=parse_checkpoint(checkpoint_id, data), **fields)
