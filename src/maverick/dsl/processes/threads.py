"""Several pieces of work at once, on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from maverick.errors import Fault, StepFailed

T = TypeVar("T")


def start_thread(thread: threading.Thread) -> None:
    """Start *thread*.

    Raises:
        StepFailed: The system starts no more threads.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise StepFailed(
            f"the system does not start another thread ({error}): lower `max_concurrency`, or "
            "raise the limits on processes and memory (`ulimit -u`, `ulimit -v`, those of the "
            "container)"
        ) from None


def run_all(count: int, limit: int, work: Callable[[int], T]) -> list[T]:
    """Give `[work(0), …, work(count - 1)]`, begun in order, at most *limit* at a time.

    After an exception no more begin; it is raised once those under way have ended. Of several, a
    fault that nobody foresaw is raised first, then the one with the lowest number. Where the system
    gives fewer threads than *limit*, those do all the work.
    """
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}
    numbers: Iterator[int] = iter(range(count))
    lock = threading.Lock()

    def take_number() -> int | None:
        with lock:
            return None if errors else next(numbers, None)

    def worker() -> None:
        while (number := take_number()) is not None:
            try:
                results[number] = work(number)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                with lock:
                    errors[number] = error

    threads: list[threading.Thread] = []
    for number in range(min(limit, count)):
        thread = threading.Thread(target=worker, name=f"iteration-worker-{number}")
        try:
            start_thread(thread)
        except StepFailed:  # A limit of the system.
            break
        threads.append(thread)
    if not threads:
        worker()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[
            min(errors, key=lambda number: (not isinstance(errors[number], Fault), number))
        ]
    return [results[number] for number in range(count)]
