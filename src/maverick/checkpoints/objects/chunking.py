"""Large blobs are cut where their content says so, so that an insertion moves the cuts behind it
along.

FastCDC (Xia et al. 2020) with chunks of 16 to 256 KiB, about 64. Where its compiled form is
missing, cuts are made every 128 KiB: what is appended to is still stored once, what is inserted
into is not. Which cuts are made is no part of the format: an object's id is the hash of its bytes,
however they are stored.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints.objects.ids import ObjectId

    Read = Callable[[int], bytes]

MIN_BYTES, _AVERAGE_BYTES, _MAX_BYTES = 16 << 10, 64 << 10, 256 << 10
_FIXED_BYTES = 128 << 10
# How many chunks a list has, of those that make up a larger blob; about 24.
_LEAST_LISTED, _MOST_LISTED = 8, 64
# What is held of a stream at a time: enough for all cores to have something to do.
_WINDOW_BYTES = 8 << 20


def windows(read: Read, window_bytes: int = _WINDOW_BYTES) -> Iterator[list[bytes]]:
    """Yield the chunks of what *read* gives (at most so many bytes, none at the end), some MiB of
    them at a time.
    """
    cut = _cutter()
    rest = b""
    while True:
        new = _fill(read, window_bytes - len(rest))
        window = b"".join((rest, *new))
        chunks = [bytes(part) for part in cut(window)]
        if sum(map(len, new)) + len(rest) < window_bytes:
            if chunks:
                yield chunks
            return
        rest = chunks.pop()  # it ends where the window does, not where its content says so
        yield chunks


def pieces(read: Read, lengths: list[int], window_bytes: int = _WINDOW_BYTES) -> list[bytes]:
    """Give parts of the first *lengths* of what *read* gives, as many as fit a window; the last may
    be cut off.
    """
    parts: list[bytes] = []
    size = 0
    for length in lengths:
        part = b"".join(_fill(read, length))
        size += len(part)
        parts.append(part)
        if len(part) < length or size >= window_bytes:
            break
    return parts


def ends_list(count: int, chunk: ObjectId) -> bool:
    """Say whether a list of *count* chunks ends with *chunk*: where ids say so, as cuts are where
    the bytes do.
    """
    return count >= _MOST_LISTED or (count >= _LEAST_LISTED and chunk.endswith("0"))


def common(one: bytes, other: bytes) -> int:
    """Give the number of bytes with which both begin."""
    if one == other:
        return len(one)
    lengths = range(min(len(one), len(other)) + 1)
    return bisect_left(lengths, True, key=lambda length: one[:length] != other[:length]) - 1


def after(data: bytes, read: Read) -> Read:
    """Give what reads *data*, then what *read* gives."""
    first = reader(data)
    return lambda size: first(size) or read(size)


def reader(data: bytes) -> Read:
    """Give what reads *data* from its beginning on."""
    view, start = memoryview(data), 0

    def read(size: int) -> bytes:
        nonlocal start
        part = view[start : start + size]
        start += len(part)
        return part  # type: ignore[return-value]  # it is only joined

    return read


def _fill(read: Read, size: int) -> list[bytes]:
    parts: list[bytes] = []
    while size > 0 and (part := read(size)):
        parts.append(part)
        size -= len(part)
    return parts


def _cutter() -> Callable[[bytes], Iterator[memoryview]]:
    fast_cdc = _fast_cdc()
    if fast_cdc is None:
        return lambda data: (
            memoryview(data)[start : start + _FIXED_BYTES]
            for start in range(0, len(data), _FIXED_BYTES)
        )
    chunker = fast_cdc(_AVERAGE_BYTES, min_size=MIN_BYTES, max_size=_MAX_BYTES)
    return lambda data: (chunk.data for chunk in chunker.cut_buf(data))


@cache
def _fast_cdc() -> Any:
    """Give the compiled chunker, None where there is none: one in Python takes a second for some
    MiB.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            from pyfastcdc import FastCDC  # noqa: PLC0415 - 25 ms that only large content needs
    except ImportError:
        return None
    return FastCDC if FastCDC.__module__.startswith("pyfastcdc.cy") else None
