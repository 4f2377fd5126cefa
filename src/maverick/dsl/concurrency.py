"""Several pieces of work at once, on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from maverick.errors import StepFailed

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
            f"the system does not start another thread ({error}): lower `max_concurrency`, or raise the limits on "
            "processes and memory (`ulimit -u`, `ulimit -v`, those of the container)"
        ) from None


def run_all(count: int, limit: int, work: Callable[[int], T]) -> list[T]:
    """Give `[work(0), …, work(count - 1)]`, at most *limit* of them under way at a time, begun in order.

    An exception stops new ones from beginning, lets those under way end, and is raised then (the one with the lowest
    number, if there are several). Where the system refuses a thread, that is such an exception, a StepFailed.
    """
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}
    numbers: Iterator[int] = iter(range(count))
    lock = threading.Lock()

    def take() -> int | None:
        with lock:
            return None if errors else next(numbers, None)

    def worker() -> None:
        while (number := take()) is not None:
            try:
                results[number] = work(number)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                with lock:
                    errors[number] = error

    threads: list[threading.Thread] = []
    try:
        for number in range(min(limit, count)):
            thread = threading.Thread(target=worker, name=f"iteration-worker-{number}")
            start_thread(thread)
            threads.append(thread)
    except StepFailed as error:
        with lock:
            errors[count] = error
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(count)]
