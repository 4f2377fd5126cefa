"""What a process writes to its terminal past the display that owns it: led into a pipe, so that it
can be shown above.

An action may print by a program that it starts, or by code in C: neither passes Python's streams.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE_BYTES: Final = 1 << 16
_LAST_PIECES: Final = 32
"""Read at most once the end is asked for: others may go on writing without an end."""


class Capture:
    """Leads standard error, and standard output where it is the same terminal, to *take*.

    *take* is called from a thread of its own; while it works, who writes waits, as before a slow
    terminal. Ending gives everything back; what a process that is left behind writes later still
    comes to the terminal.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.terminal = os.dup(2)
        """The terminal itself."""
        self._redirected = [2, 1] if _is_same(1, 2) else [2]
        self._read, write = os.pipe()
        self._wakened, self._waken = os.pipe()
        _flush()
        for descriptor in self._redirected:
            os.dup2(write, descriptor)
        os.close(write)
        self._thread = threading.Thread(target=self._pump, name="captured", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        waiting = select.poll()
        waiting.register(self._read, select.POLLIN)
        waiting.register(self._wakened, select.POLLIN)
        left = _LAST_PIECES
        while left:
            ready = {descriptor for descriptor, _ in waiting.poll()}
            left -= self._wakened in ready
            if self._read not in ready:
                return
            piece = os.read(self._read, _PIECE_BYTES)
            if not piece:
                return
            self._hand_over(piece)

    def _hand_over(self, piece: bytes) -> None:
        """Let *take* have it. Whatever comes of that, the next piece is read: who writes waits."""
        try:
            self._take(piece)
        except Exception:  # noqa: BLE001 - what was written is shown all the same
            with suppress(OSError):
                os.write(self.terminal, piece)

    def end(self) -> None:
        """Give the terminal back, after all that was written so far has been taken."""
        _flush()
        for descriptor in self._redirected:
            os.dup2(self.terminal, descriptor)
        os.write(self._waken, b"x")
        self._thread.join()
        self._leave_to_others()
        for descriptor in (self._wakened, self._waken, self._read, self.terminal):
            os.close(descriptor)

    def _leave_to_others(self) -> None:
        """Let what others still write come to the terminal: an action may have left a server
        behind.
        """
        waiting = select.poll()
        waiting.register(self._read, 0)
        if any(state & select.POLLHUP for _, state in waiting.poll(0)):
            return
        import subprocess  # noqa: PLC0415 - nearly never needed

        with suppress(OSError):
            subprocess.Popen(
                ["cat"], stdin=self._read, stdout=self.terminal, start_new_session=True
            )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _is_same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
