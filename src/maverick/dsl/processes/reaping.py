"""Reaping orphans: as process 1 of a container, or as a subreaper, this process inherits what loses
its parent.

Only what came from a step is reaped at once; whoever started another child of this process may
still wait for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from maverick.dsl.processes.process_table import find_process

PATIENCE_SECONDS = 5.0
"""How long a dead child of a session that is not known may wait for whoever started it."""


class Reaper:
    """Knows the sessions of the steps' processes. Its caller sees to it that calls come one at a
    time.
    """

    def __init__(self) -> None:
        self.is_init = os.getpid() == 1
        self._sessions: set[int] = set()
        self._dead: dict[tuple[int, int], float] = {}
        """Since when, on the monotonic clock, those are known to be dead for whom somebody may
        wait.
        """
        self._children = Path(f"/proc/self/task/{os.getpid()}/children")

    def watch(self, session: int) -> None:
        """A command runs, as the leader of *session*."""
        self._sessions.add(session)

    def reap(self, leaders: Collection[int]) -> None:
        """Reap the orphans that have ended. *leaders* are the processes that are waited for
        elsewhere.

        Orphans come to the main thread, and the kernel lists them there.
        """
        try:
            children = self._children.read_bytes().split()
        except OSError:  # No Linux, or a kernel without these lists.
            return
        dead = {}
        for pid in map(int, children):
            process = None if pid in leaders else find_process(pid)
            if process is None or not process.zombie or process.session == os.getsid(0):
                continue
            known = process.session in self._sessions and pid != process.session
            since = self._dead.get(process.identity, time.monotonic())
            if known or time.monotonic() - since >= PATIENCE_SECONDS:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            else:
                dead[process.identity] = since
        self._dead = dead
