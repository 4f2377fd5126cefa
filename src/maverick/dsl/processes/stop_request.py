"""A request to stop that ends every blocking wait of a run at once."""

from __future__ import annotations

import math
import os
import select
import time
from contextlib import suppress

LONGEST_WAIT_SECONDS = 86400.0
"""The longest wait asked of the system: it takes 25 days at most, and timeouts may be longer."""


class Stopped(Exception):
    """No error: work ended because a stop was requested. `reason` is that of the first request."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Stop:
    """A stop request that threads, signal handlers and selectors share.

    It is one pipe: a request writes to it and nobody ever reads it, so its read end (`fileno`)
    stays readable for every selector that holds it. No lock is taken anywhere, so that a signal
    handler may call `request` whatever the interrupted thread was doing.
    """

    def __init__(self) -> None:
        self._reasons: list[str] = []
        self._pipe: tuple[int, ...] = ()  # Until there is one, for `__del__`.
        self._pipe = self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def request(self, reason: str) -> None:
        """Ask to stop. The first reason stays; a second request makes it urgent."""
        self._reasons.append(reason)
        with suppress(BlockingIOError):
            # 64 KiB of earlier requests stand there: whoever waits is awake.
            os.write(self._write, b"!")

    @property
    def requested(self) -> bool:
        """Whether anybody asked."""
        return bool(self._reasons)

    @property
    def urgent(self) -> bool:
        """Whether anybody asked twice: then processes are killed without waiting for their end."""
        return len(self._reasons) > 1

    @property
    def reason(self) -> str:
        """The first reason; empty while nobody asked."""
        return self._reasons[0] if self._reasons else ""

    def check(self) -> None:
        """Raise `Stopped` if a stop was requested."""
        if self._reasons:
            raise Stopped(self.reason)

    def wait(self, timeout: float | None = None) -> bool:
        """Block for at most *timeout* seconds, or until a stop is requested; True if one was."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        deadline = None if timeout is None else time.monotonic() + timeout
        left = LONGEST_WAIT_SECONDS if timeout is None else timeout
        while not poll.poll(math.ceil(max(min(left, LONGEST_WAIT_SECONDS), 0) * 1000)):
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
        return self.requested

    def fileno(self) -> int:
        """Give a descriptor that the first request makes readable for good. Never read from it."""
        return self._read

    def __del__(self) -> None:
        for fd in self._pipe:
            os.close(fd)
