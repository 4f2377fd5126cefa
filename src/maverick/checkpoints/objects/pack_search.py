"""Search in the sorted index of a large pack by reading a few hundred bytes of it.

Ids are hashes, so where one stands among n is known to about the square root of n; each block that
is read says how far off the guess was. An id among a million is found, or not, by reading three or
four blocks.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROW_BYTES = 45
BLOCK_ROWS = 12
# After as many guesses that were off, ids are no hashes, and halving is what is sure to end.
_GUESSES = 8


def search(count: int, rows: Callable[[int, int], bytes], raw_id: bytes) -> tuple[int, bytes]:
    """Find *raw_id* among *count* rows of 45 bytes, sorted by the 32-byte ids they begin with.

    *rows* gives a number of rows from a position on. Gives the position of the first row whose id
    is not less, and that row if it is in the block read last and its id is *raw_id*, else nothing.
    """
    key = _key(raw_id)
    low, high, low_key, high_key = 0, count, 0, 1 << 64
    guesses = 0
    while high - low > BLOCK_ROWS:
        guesses += 1
        span = high_key - low_key
        near = (
            (key - low_key) * (high - low) // span
            if span > 0 and guesses <= _GUESSES
            else (high - low) // 2
        )
        start = max(low, min(low + near - BLOCK_ROWS // 2, high - BLOCK_ROWS))
        block = rows(start, BLOCK_ROWS)
        if raw_id < block[:32]:
            high, high_key = start, _key(block)
        elif raw_id > block[-ROW_BYTES : 32 - ROW_BYTES]:
            low, low_key = start + BLOCK_ROWS, _key(block[-ROW_BYTES:])
        else:
            return _in_block(start, block, raw_id)
    return _in_block(low, rows(low, high - low) if high > low else b"", raw_id)


def _in_block(start: int, block: bytes, raw_id: bytes) -> tuple[int, bytes]:
    ids = range(0, len(block), ROW_BYTES)
    offset = bisect_left(ids, raw_id, key=lambda at: block[at : at + 32]) * ROW_BYTES
    row = block[offset : offset + ROW_BYTES]
    return start + offset // ROW_BYTES, row if row[:32] == raw_id else b""


def _key(raw_id: bytes) -> int:
    return int.from_bytes(raw_id[:8])
