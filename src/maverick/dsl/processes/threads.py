"""Work on threads: several pieces at once, or one of which somebody waits for the end."""

from __future__ import annotations

import math
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Generic, TypeVar

from maverick.dsl.processes.stop_request import LONGEST_WAIT_SECONDS, Stop
from maverick.errors import Fault, StepFailed

T = TypeVar("T")


class Future(Generic[T]):
    """What comes of work that is done elsewhere. A selector that holds it is woken by the end.

    A process that the work forks has the pipe as well, and may even come back from the work: it
    tells nothing.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._process = os.getpid()
        self._outcomes: list[tuple[T, None] | tuple[None, BaseException]] = []

    def do(self, work: Callable[[], T]) -> None:
        """Do *work*, and tell what comes of it."""
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            self.fail(error)
        else:
            self.succeed(value)

    def succeed(self, value: T) -> None:
        """Tell what the work gave, whether or not anybody still waits; the first word counts."""
        self._end((value, None))

    def fail(self, error: BaseException) -> None:
        """Tell what the work raised; else as `succeed`."""
        self._end((None, error))

    def _end(self, outcome: tuple[T, None] | tuple[None, BaseException]) -> None:
        if os.getpid() == self._process and not self._outcomes:
            self._outcomes.append(outcome)
            with suppress(BrokenPipeError):
                os.write(self._write, b"!")
            os.close(self._write)

    def wait(self, stop: Stop, seconds: float | None = None) -> bool:
        """Wait for the end or for *stop*, *seconds* at most; whether it has ended."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(stop, select.POLLIN)
        end = math.inf if seconds is None else time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            some = min(max(left, 0), LONGEST_WAIT_SECONDS)
            if poll.poll(math.ceil(some * 1000)) or left <= some:
                return self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether it is known what came of the work."""
        return bool(self._outcomes)

    @property
    def error(self) -> BaseException | None:
        """What the work raised, which has ended."""
        return self._outcomes[0][1]

    def result(self) -> T:
        """Give what the work gave, or raise what it raised. It has ended."""
        match self._outcomes[0]:
            case (_, BaseException() as error):
                raise error
            case (value, _):
                return value

    def fileno(self) -> int:
        """A file descriptor that becomes readable with the end."""
        return self._read

    def close(self) -> None:
        """Wait no more."""
        os.close(self._read)

    def discard(self) -> None:
        """Nobody will do the work."""
        os.close(self._write)


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
        context = copy_context()  # So that what it prints is the run's, and no caller's.
        thread = threading.Thread(
            target=context.run, args=(worker,), name=f"iteration-worker-{number}"
        )
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
