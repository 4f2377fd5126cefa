"""Work on many bytes, on all cores where that pays: hashing and compressing release the interpreter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")

# Starting threads costs about what compressing 1 MiB does.
_PAYS_FROM_BYTES = 4 << 20
_MOST_THREADS = 8
_BATCH = 256


def spread(function: Callable[[T], R], items: Sequence[T], size_bytes: int) -> Iterator[R]:
    """Yield `function(item)` for each of *items*, in order; *size_bytes* is how much there is to work on."""
    threads = 1 if size_bytes < _PAYS_FROM_BYTES else min(os.cpu_count() or 1, _MOST_THREADS, len(items))
    if threads < 2:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 16 ms that a small save does not need

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(items), _BATCH):
            yield from pool.map(function, items[start : start + _BATCH])
