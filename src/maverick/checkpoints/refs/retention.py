"""What gc keeps of each run: rules on refs alone, before any object is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from maverick.checkpoints.refs.refs import by_start
from maverick.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from maverick.checkpoints.objects.ids import CheckpointId
    from maverick.checkpoints.refs.refs import Ref


class Fate(IntEnum):
    """How much of a run stays; a greater one keeps more."""

    DROPPED = 0
    """Nothing: its ref goes."""
    ENDS = 1
    """The newest checkpoint, the labelled and the tagged ones."""
    WHOLE = 2
    """All that its ref names, with the positions of its log."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What to keep of the runs that are done, as of `now` (milliseconds since the epoch).

    `within` is in milliseconds, None where age keeps nothing. With `run`, nothing of any other run
    goes. Of `spared` checkpoints, which no ref needs to lead to, everything stays that is there.
    """

    keep_last: int
    within: int | None
    now: int
    run: str | None = None
    spared: tuple[CheckpointId, ...] = ()


def make_policy(keep_last: int, keep_within: timedelta | None, run: str | None, now: int) -> Policy:
    """Give a policy. Raises UsageError for a number or a duration below zero."""
    within = None if keep_within is None else int(keep_within.total_seconds() * 1000)
    if keep_last < 0 or (within is not None and within < 0):
        raise UsageError("gc cannot keep fewer than 0 runs, or those of less than 0 seconds")
    return Policy(keep_last, within, now, run)


def fates(refs: Sequence[Ref], policy: Policy, is_owned: Callable[[str], bool]) -> dict[str, Fate]:
    """Give the fate of each run.

    A run that is not done, or that some process owns, stays whole. A done one stays with its ends
    if it is among the `keep_last` done ones of its group that were started last, young enough, or
    tagged; else it is dropped.
    """
    newer: dict[str, int] = {}
    fates: dict[str, Fate] = {}
    for ref in sorted(refs, key=by_start):
        rank = newer.get(ref.group, 0)
        if ref.done:
            newer[ref.group] = rank + 1
        considered = ref.done and policy.run in {None, ref.run} and not is_owned(ref.run)
        fates[ref.run] = _fate(ref, rank, policy) if considered else Fate.WHOLE
    return fates


def _fate(ref: Ref, rank: int, policy: Policy) -> Fate:
    young = policy.within is not None and policy.now - ref.updated <= policy.within
    return Fate.ENDS if rank < policy.keep_last or young or ref.tags else Fate.DROPPED


def roots(ref: Ref, fate: Fate) -> list[CheckpointId]:
    """Give the checkpoints from which what stays of a run is reached."""
    if fate is Fate.DROPPED:
        return []
    ends = [ref.checkpoint, *ref.tags.values()]
    if ref.labelled:
        ends.append(ref.labelled)
    return (
        ends if fate is Fate.ENDS else [*ends, *(position.checkpoint for position in ref.positions)]
    )
