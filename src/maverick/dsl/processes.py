"""Child processes of a run: started only once they are noted, stopped as whole groups, never lost sight of.

Each child leads a session of its own. It is held at a gate until its group has been noted (durably, if the
caller's `note` is), so that whatever happens to this process, no child runs that a later one could not find
and stop. What leaves the session on purpose (a daemon that calls setsid) is out of reach and is not waited
for.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from maverick.dsl.child import Child, OnOutput, StreamName
from maverick.dsl.durations import Limit
from maverick.dsl.groups import (
    GRACE_SECONDS,
    MARK,
    Group,
    Process,
    find_process,
    members,
    stop_leftovers,
    stop_session,
    summary,
    this_host,
)
from maverick.dsl.secrets import Scrubber
from maverick.dsl.stop import Stop, Stopped
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Completed", "Group", "Processes", "Stop", "Stopped", "stop_leftovers"]

LIMIT_BYTES = 16 * 1024 * 1024
LINGER_SECONDS = 0.5
"""How long the rest of a group may take to end by itself after its leader (`> >(tee log)` needs a moment)."""


class Completed(NamedTuple):
    """How a command ended.

    `exit_code` is 128+n after signal n, whose name (`SIGKILL`) is then in `signal`. `stdout` and `stderr`
    hold the last `limit` bytes of each stream; `truncated` says that there was more. `leftovers` names the
    processes that the command had left running, each as `pid 4711 (sleep 60)`; they were stopped.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    signal: str = ""
    leftovers: tuple[str, ...] = ()
    truncated: bool = False


class Processes:
    """The running process groups of one run. `run` may be called from several threads.

    *note* is called with the complete list of groups whenever it changes: before a child does anything, and
    after the last of its group has ended. Calls come one at a time; an exception of *note* keeps the child
    from running. *scrub* masks secrets in everything that is given out: output, command lines, messages.
    """

    def __init__(
        self,
        stop: Stop,
        note: Callable[[list[Group]], None],
        *,
        scrub: Scrubber | None = None,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._stop = stop
        self._note = note
        self._scrub = scrub or Scrubber()
        self._grace = grace
        self._groups: dict[int, Group] = {}
        self._lock = threading.Lock()

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | Limit | None = None,
        on_output: OnOutput | None = None,
        limit: int = LIMIT_BYTES,
        step: str = "",
    ) -> Completed:
        """Run a command in *cwd* to its end and give what it wrote. An exit code other than 0 is no error.

        *env* is its whole environment (default: this process's). It ends when the command itself does,
        whoever still holds its pipes. *on_output* is called in this thread with each piece as it comes. At
        most four times *limit* bytes of output are held in memory. However this is left, nothing of the group
        still runs.

        Raises `StepFailed` if it cannot be started, `StepTimeout` after *timeout* (seconds, or what a message
        calls by its name), `Stopped` when a
        stop is requested.
        """
        self._stop.check()
        allowed = Limit.own(timeout) if isinstance(timeout, int | float) else timeout
        mark = os.urandom(8).hex()
        environment = {**(os.environ if env is None else env), "GIT_TERMINAL_PROMPT": "0", MARK: mark}
        command = self._scrub.text(summary(argv))
        with ExitStack() as cleanup:
            told = self._masked(on_output, cleanup) if on_output else None
            child = Child(argv, cwd=cwd, env=environment, stdin=stdin, limit=limit, on_output=told)
            cleanup.callback(self._forget, child.pid)
            cleanup.callback(child.close)
            try:
                self._remember(child.pid, command, mark, step)
                child.open_gate()
                ended = self._attend(child, None if allowed is None else allowed.left)
            except BaseException:
                stop_session(child.pid, grace=0)
                raise
            if ended == "exited":
                return self._complete(child)
            survivors = self._stop_group(child)
            but = f" (but {self._scrub.text(_names(survivors))} could not be stopped)" if survivors else ""
            if ended == "timeout":
                message = f"`{command}` took longer than {allowed} and was stopped{but}"
                raise StepTimeout(message, step=step)
            raise Stopped(self._stop.reason + but)

    def _masked(self, on_output: OnOutput, cleanup: ExitStack) -> OnOutput:
        """*on_output*, told of nothing that could be part of a secret; what is held back comes at the end."""
        if not self._scrub:
            return on_output
        writers: dict[StreamName, Callable[[bytes], None]] = {}
        streams: tuple[StreamName, ...] = ("stdout", "stderr")
        for stream in streams:
            writers[stream], end = self._scrub.stream(partial(on_output, stream))
            cleanup.callback(end)
        return lambda stream, data: writers[stream](data)

    def _attend(self, child: Child, timeout: float | None) -> Literal["exited", "timeout", "stopped"]:
        """Take the command's output until something ends the wait. Its own end comes first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        child.watch(self._stop)
        try:
            while not child.exited:
                left = None if deadline is None else deadline - time.monotonic()
                if self._stop.requested:
                    return "stopped"
                if left is not None and left <= 0:
                    return "timeout"
                child.pump(left)
            return "exited"
        finally:
            child.unwatch(self._stop)

    def _complete(self, child: Child) -> Completed:
        """Stop what the command left behind, and take what is in the pipes."""
        deadline = time.monotonic() + LINGER_SECONDS
        while (left := members(child.pid)) and time.monotonic() < deadline:
            child.pump(0.01)
        if left:
            self._stop_group(child)
        child.drain()
        code = child.wait()
        return Completed(
            exit_code=code if code >= 0 else 128 - code,
            signal=_signal_name(-code) if code < 0 else "",
            stdout=self._scrub.data(child.tails["stdout"].data),
            stderr=self._scrub.data(child.tails["stderr"].data),
            leftovers=tuple(self._scrub.text(str(process)) for process in left),
            truncated=any(tail.truncated for tail in child.tails.values()),
        )

    def _stop_group(self, child: Child) -> list[Process]:
        return stop_session(child.pid, grace=self._grace, pause=child.pump, urgent=lambda: self._stop.urgent)

    def _remember(self, pid: int, command: str, mark: str, step: str) -> None:
        leader = find_process(pid)
        if leader is None:
            raise StepFailed(f"`{command}` ended before it was started", step=step)
        group = Group(pid=pid, start_time=leader.start_time, host=this_host(), mark=mark, command=command, step=step)
        with self._lock:
            self._groups[pid] = group
            self._note(list(self._groups.values()))

    def _forget(self, pid: int) -> None:
        with self._lock:
            if self._groups.pop(pid, None):
                self._note(list(self._groups.values()))


def _names(processes: Sequence[Process]) -> str:
    return ", ".join(map(str, processes))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # A real-time signal.
        return f"signal {number}"
