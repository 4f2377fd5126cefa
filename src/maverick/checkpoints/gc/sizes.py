"""How many bytes of a pack are an object's: what gc says that it removes, and what it goes by."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from maverick.checkpoints.objects.pack_records import HEAD_BYTES
from maverick.checkpoints.objects.segments import CONTENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maverick.checkpoints.gc.census import Counted


def sizes_of(counted: Counted, group_of: Sequence[int]) -> array[int]:
    """Give the bytes of each object of a pack, by its number there.

    A record's bytes are those of its objects, all together: a block is shared by what is in it, by
    the lengths before compression, the rest evenly. Blobs of one group (by number in the census)
    share evenly: only of others the lengths are looked up, which takes reading the content. Records
    without objects, and what is around the records, are nobody's.
    """
    lengths = counted.lengths
    mixed = [
        at
        for at, record in enumerate(counted.records)
        if len({group_of[it] for it in counted.of(record, CONTENT)}) > 1
    ]
    for blob in counted.stored(CONTENT, mixed):
        lengths[blob.number] = len(blob.stored)
    sizes = array("Q", bytes(8 * len(counted.numbers)))
    for record in counted.records:
        blobs, end = record.first + record.counts[0], record.first + record.total
        content, structure = record.content_bytes, record.structure
        rest = HEAD_BYTES + record.length - content - structure
        for first, total, weights in (
            (record.first, content, lengths[record.first : blobs]),
            (blobs, structure, lengths[blobs:end]),
            (record.first, rest, [1] * record.total),
        ):
            for number, share in enumerate(_shares(total, weights), first):
                sizes[number] += share
    return sizes


def _shares(total: int, weights: Sequence[int]) -> Iterator[int]:
    """Yield whole numbers that are in the proportions of *weights*, and *total* together."""
    whole = sum(weights)
    if not whole:  # Nobody knows, or all are empty.
        weights, whole = [1] * len(weights), len(weights)
    before = passed = 0
    for weight in weights:
        passed += weight
        yield total * passed // whole - before
        before = total * passed // whole
