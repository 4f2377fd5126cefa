"""Which of two positions of a run came first: the ids of the checkpoints before one, in its own
run.

A checkpoint's parent may be collected, and a file holds no more than the last ones; so an export
says of all that are known the beginnings of their ids, in one text.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.objects.ids import CheckpointId
    from maverick.checkpoints.trees.checkpoint import Checkpoint

DIGITS: Final = 16
"""Of each id: 64 bits, which tell apart the checkpoints of one run."""
MOST: Final = 10_000
"""So many are named; a run that went on for longer since cannot be told to follow."""


_TEXT: Final = re.compile(rf"(?:[0-9a-f]{{{DIGITS}}})*")


class Position(NamedTuple):
    """A checkpoint of a run, by its id and number; it may be gone."""

    id: CheckpointId
    sequence: int


def line(store: StoreFolder, tip: CheckpointId) -> Iterator[Position]:
    """Yield *tip* and what came before it in its run, as far as that is known, newest first.

    Where a parent is gone it goes on behind the gap, with the labelled one before it.
    """
    checkpoint = first = _find(store, tip)
    while checkpoint is not None and first is not None and checkpoint.run == first.run:
        yield Position(checkpoint.id, checkpoint.sequence)
        if checkpoint.sequence == 1:
            return
        earlier = _find(store, checkpoint.parent)
        if earlier is None:
            yield Position(checkpoint.parent, checkpoint.sequence - 1)
            earlier = _find(store, checkpoint.labelled)
        checkpoint = earlier


def _find(store: StoreFolder, checkpoint: CheckpointId) -> Checkpoint | None:
    """Give a checkpoint, or None if it is gone or cannot be read."""
    try:
        return store.checkpoint(checkpoint) if checkpoint else None
    except StoreDamaged:
        return None


def text_of(positions: Iterable[Position]) -> str:
    """Give the newest of *positions* as one text."""
    return "".join(position.id[:DIGITS] for position in islice(positions, MOST))


def is_text(text: str) -> bool:
    """Whether `text_of` can give *text*."""
    return len(text) <= MOST * DIGITS and _TEXT.fullmatch(text) is not None


def holds(text: str, checkpoint: CheckpointId) -> bool:
    """Whether the text names *checkpoint*."""
    start = text.find(checkpoint[:DIGITS])
    while start >= 0 and start % DIGITS:
        start = text.find(checkpoint[:DIGITS], start + 1)
    return start >= 0
