"""Reaping orphans: as process 1 of a container, or as a subreaper, this process inherits what loses its parent.

Only what surely came from a step is reaped: whoever started a child of this process waits for it himself.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from maverick.dsl.process_table import carries, find_process


class Reaper:
    """Knows the sessions and marks of the steps' processes. Its caller sees to it that calls come one at a time."""

    def __init__(self) -> None:
        self.is_init = os.getpid() == 1
        self._sessions: set[int] = set()
        self._marks: set[str] = set()
        self._adopted: set[tuple[int, int]] = set()
        self._children = Path(f"/proc/self/task/{os.getpid()}/children")

    def watch(self, session: int, mark: str) -> None:
        """A command runs, as the leader of *session*."""
        self._sessions.add(session)
        self._marks.add(mark)

    def reap(self, leaders: Collection[int]) -> None:
        """Reap the orphans that have ended. *leaders* are the processes that are waited for elsewhere.

        Orphans come to the main thread, and the kernel lists them there.
        """
        try:
            children = self._children.read_bytes().split()
        except OSError:  # No Linux, or a kernel without these lists.
            return
        for pid in map(int, children):
            process = None if pid in leaders else find_process(pid)
            if process is None or process.parent != os.getpid():
                continue
            if not process.zombie:
                if any(carries(process, mark) for mark in self._marks):
                    self._adopted.add(process.identity)
            elif (process.session in self._sessions and pid != process.session) or process.identity in self._adopted:
                self._adopted.discard(process.identity)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
