"""Work on many bytes, on all cores where that pays: hashing and compressing release the
interpreter.
"""

from __future__ import annotations

import os
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")

# Starting threads costs about what compressing 1 MiB does.
_PAYS_FROM_BYTES = 4 << 20
# Handing a task to a thread costs about what compressing some KiB does, so it is of several items
# if they are small.
_TASK_BYTES = 512 << 10
MOST_THREADS = 8
_BATCH_FILES, _BATCH_BYTES = 128, 4 << 20
_LARGE_BYTES = 16 << 20


def spread(function: Callable[[T], R], items: Sequence[T], size_bytes: int) -> Iterator[R]:
    """Yield `function(item)` for each of *items*, in order; *size_bytes* is how much there is to
    work on.
    """
    # To ask for the number of cores takes 50 µs itself.
    threads = (
        min(os.cpu_count() or 1, MOST_THREADS, len(items)) if size_bytes >= _PAYS_FROM_BYTES else 1
    )
    if threads < 2:
        return map(function, items)
    number = max(1, len(items) * _TASK_BYTES // size_bytes)
    tasks = (items[start : start + number] for start in range(0, len(items), number))
    done = _threaded(lambda task: [function(item) for item in task], tasks, threads)
    return chain.from_iterable(results for _, results in done)


def batched(
    work: Callable[[list[T]], list[R]], items: Sequence[T], size: Callable[[T], int]
) -> Iterator[tuple[T, R]]:
    """Yield each of *items* with what *work* gives for it, working on batches on all cores where
    that pays.

    *size* gives the bytes that an item stands for. At most a few MiB for each thread are held at
    once; large items come last, one at a time. The order is the given one, but for those.
    """
    large = [item for item in items if size(item) >= _LARGE_BYTES]
    small = [item for item in items if size(item) < _LARGE_BYTES] if large else items
    threads = min(os.cpu_count() or 1, MOST_THREADS)
    pays = len(small) >= _BATCH_FILES // 2 or sum(map(size, small)) >= _PAYS_FROM_BYTES
    for batch, results in _threaded(work, _batches(small, size), threads if pays else 1):
        yield from zip(batch, results, strict=True)
    for item in large:
        yield item, work([item])[0]


def _threaded(work: Callable[[T], R], batches: Iterator[T], threads: int) -> Iterator[tuple[T, R]]:
    if threads < 2:
        for batch in batches:
            yield batch, work(batch)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 16 ms that a small save does not need

    with ThreadPoolExecutor(threads) as pool:
        running: deque[tuple[T, Future[R]]] = deque()
        try:
            for batch in batches:
                running.append((batch, pool.submit(work, batch)))
                if len(running) > 2 * threads:
                    done, future = running.popleft()
                    yield done, future.result()
            while running:
                done, future = running.popleft()
                yield done, future.result()
        finally:
            for _, future in running:
                future.cancel()


def _batches(items: Sequence[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    batch: list[T] = []
    held = 0
    for item in items:
        batch.append(item)
        held += size(item)
        if held >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
