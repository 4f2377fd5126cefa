"""Signals: the first one asks a run to stop, the second ends its processes' grace, the third ends
the program.

Python runs signal handlers in the main thread alone, so the run has a thread of its own, and the
main thread waits where signals wake it.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from maverick.dsl.processes.threads import Future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from maverick.dsl.processes.stop_request import Stop

T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_SECONDS: Final = 3.0
"""How long after the second signal the run may take to save that it was paused."""
ANNOUNCED_AFTER_SECONDS: Final = 0.05
"""How long after a signal it is announced what it does."""
REPEATED_AFTER_SECONDS: Final = 1.0
"""How long after a signal another one is the same request, where nothing can be said (a terminal
that is paused).
"""
INTERRUPTED: Final = 130


def _nothing() -> None:
    """Do nothing."""


class GaveUp(Exception):
    """The run did not come to an end in time after the second signal. It was saved up to its last
    finished step.
    """


class Signals:
    """The signals that came: the first stops the run, the second at once, the third ends the
    process.

    Another signal counts once the one before has been announced. What comes earlier is the same
    request: `timeout`, and other supervisors, signal their child and then its whole group. So a
    signal is announced a moment later. *clock* gives seconds that never go back.
    """

    def __init__(
        self,
        stop: Stop,
        clock: Callable[[], float] = time.monotonic,
        *,
        leave: Callable[[], None] = _nothing,
    ) -> None:
        self.stop = stop
        self.clock = clock
        self._leave = leave
        self.announced = 0
        """How many of them were announced."""
        self._received = 0
        self._moment = 0.0
        self._process = os.getpid()

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Receive one. Runs in the middle of whatever the main thread does.

        A child that an action forked has this handler, too, and the pipe of `stop`: it ends as it
        would without.
        """
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now = self.clock()
        if self._received > self.announced and now - self._moment < REPEATED_AFTER_SECONDS:
            return
        self._received += 1
        self._moment = now
        if self._received > 2:
            self._leave()
            os._exit(INTERRUPTED)
        self.stop.request(signal.Signals(number).name)

    @property
    def announce_at(self) -> float:
        """The moment at which the newest one is to be announced; infinite once it has been."""
        return (
            self._moment + ANNOUNCED_AFTER_SECONDS if self.announced < self._received else math.inf
        )

    def announce(self, tell: Callable[[str], None]) -> None:
        """Tell a person what the newest one does."""
        self.announced = self._received  # Who reads it may answer before `tell` is back.
        reason = self.stop.reason
        once = f"{reason}: stopping what runs and saving the run; once more stops at once"
        tell("stopping at once" if self.stop.urgent else once)


@contextmanager
def catching(stop: Stop, leave: Callable[[], None] = _nothing) -> Iterator[Signals]:
    """While the block runs, signals request *stop*; the third one ends the process at once, after
    *leave*.

    A SIGHUP that was ignored when the program began (`nohup`) stays ignored.
    """
    signals = Signals(stop, leave=leave)
    caught = [
        number
        for number in SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, signals.handle) for number in caught}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def attend(
    work: Callable[[], T],
    signals: Signals,
    tell: Callable[[str], None],
    patience: float = PATIENCE_SECONDS,
) -> T:
    """Do *work* in a thread of its own; give what it gives, raise what it raises.

    *tell* hears of the signals that came, by messages for people.

    Raises:
        GaveUp: Twice a stop was requested, and *patience* seconds later the work has not ended.
    """
    stop = signals.stop
    run: Future[T] = Future()
    with _woken_by_signals() as wakened, closing(run):
        threading.Thread(target=run.do, args=(work,), name="run", daemon=True).start()
        waiting = select.poll()
        waiting.register(run, select.POLLIN)
        waiting.register(wakened, select.POLLIN)
        deadline = math.inf
        while True:
            left = max(min(signals.announce_at, deadline) - signals.clock(), 0) * 1000
            ready = {fd for fd, _ in waiting.poll(None if math.isinf(left) else math.ceil(left))}
            if run.fileno() in ready:
                return run.result()
            if wakened in ready:
                with suppress(BlockingIOError):
                    os.read(wakened, 1024)
            now = signals.clock()
            if stop.urgent:
                deadline = min(deadline, now + patience)
            if now >= signals.announce_at:
                signals.announce(tell)
            if now >= deadline:
                raise GaveUp


@contextmanager
def _woken_by_signals() -> Iterator[int]:
    """Give a file descriptor that becomes readable with each signal, whichever thread it was
    delivered to.
    """
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def threads_left() -> bool:
    """Whether threads still run beside the main one: actions that were abandoned."""
    return any(thread is not threading.main_thread() for thread in threading.enumerate())


def leave_at_once(code: int) -> NoReturn:
    """End the process without waiting for its threads; everything it saved is durable."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
