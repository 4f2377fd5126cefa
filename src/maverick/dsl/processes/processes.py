"""Child processes of a run: started only once they are noted, stopped as whole groups, never lost
sight of.

Each child leads a session of its own. It is held at a gate until its group has been noted (durably,
if the caller's `note` is), so that whatever happens to this process, no child runs that a later one
could not find and stop. What leaves the session on purpose (a daemon that calls setsid) is not
waited for when a command ends by itself, unless that is asked for; when a command is stopped it is
stopped, too (on Linux, where it is known by its mark).
"""

from __future__ import annotations

import os
import shlex
import signal
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from maverick.dsl.durations import GRACE_SECONDS, Limit
from maverick.dsl.processes.child import Child, OnOutput, StreamName
from maverick.dsl.processes.groups import (
    Group,
    Reach,
    Reaper,
    find_process,
    stop,
    stop_leftovers,
    this_host,
)
from maverick.dsl.processes.process_table import (
    MARK,
    Process,
    carried,
    new_mark,
    still_runs,
    summary,
)
from maverick.dsl.processes.scratch import Scratch
from maverick.dsl.processes.secrets import Scrubber
from maverick.dsl.processes.stop import Stop, Stopped
from maverick.encoding import encode, inherited, name_text
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Completed", "Group", "Processes", "Script", "Stop", "Stopped", "stop_leftovers"]

LIMIT_BYTES = 16 * 1024 * 1024
"""Of each stream, that a step can record."""
REAP_SECONDS = 1.0
"""How often orphans are reaped while a command runs, where this process is the one to do it."""
LINGER_SECONDS = 0.5
"""How long the rest of a group may take to end by itself after its leader (`> >(tee log)` needs a
moment).
"""


class Completed(NamedTuple):
    """How a command ended.

    `exit_code` is 128+n after signal n, whose name (`SIGKILL`) is then in `signal`. `stdout` and
    `stderr` hold the last `limit` bytes of each stream; `cut` names the streams of which there was
    more. `leftovers` names the processes that the command had left running, each as `pid 4711
    (sleep 60)`; they were stopped.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    signal: str = ""
    leftovers: tuple[str, ...] = ()
    cut: tuple[StreamName, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether there was more of either stream."""
        return bool(self.cut)


class Script(NamedTuple):
    """A script that a command runs from a file; a shell that *sourced* it is still the script's
    `$0`.
    """

    text: str
    sourced: bool = False

    def data(self) -> bytes:
        """What its file holds. Shells drop some NULs, and take a file that begins with one for no
        script.
        """
        data = encode(self.text, "the script")
        if b"\0" in data:
            line = data[: data.index(b"\0")].count(b"\n") + 1
            raise StepFailed(
                f"the script holds a NUL character, in its line {line}, which no shell can read"
            )
        return data


class Processes:
    """The running process groups of one run. `run` may be called from several threads.

    *note* is called with the complete list of groups whenever it changes: before a child does
    anything, and after the last of its group has ended. Calls come one at a time; an exception of
    *note* keeps the child from running. *note_folder* is told of the folder of temporary files
    before that is made. *scrub* masks secrets in everything that is given out: output, command
    lines, messages. *grace* is how many seconds what is stopped has to end by itself.
    """

    def __init__(
        self,
        stop: Stop,
        note: Callable[[list[Group]], None],
        *,
        note_folder: Callable[[str], None] = lambda _: None,
        scrub: Scrubber | None = None,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._stop = stop
        self._note = note
        self._scrub = scrub or Scrubber()
        self._grace = grace
        self._groups: dict[int, Group] = {}
        self._lock = threading.Lock()
        self._reaper = Reaper()
        self.scratch = Scratch(note_folder)

    def close(self) -> None:
        """Remove the temporary files."""
        self.scratch.close()

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path,
        env: Mapping[str, str] | None = None,
        script: Script | None = None,
        stdin: bytes = b"",
        timeout: float | Limit | None = None,
        grace: float | None = None,
        on_output: OnOutput | None = None,
        limit: int = LIMIT_BYTES,
        step: str = "",
        wholly: bool = False,
    ) -> Completed:
        """Run a command in *cwd* to its end and give what it wrote. An exit code other than 0 is no
        error.

        *env* is its whole environment (default: this process's). A *script* stands in a file that
        the command is told of by its last argument. The command ends when its process does, whoever
        still holds its pipes.
        *on_output* is called in this thread with each piece as it comes. At most four times *limit*
        bytes of output are held in memory. However this is left, nothing of the group still runs:
        when the command ended by itself, nothing of its session, and *wholly*, nothing that it
        started at all (where marks are
        known: on Linux).

        Raises `StepFailed` if it cannot be started, `StepTimeout` after *timeout* (seconds, or what
        a message calls by its name), `Stopped` when a stop is requested.
        """
        self._stop.check()
        allowed = Limit.own(timeout) if isinstance(timeout, int | float) else timeout
        with ExitStack() as cleanup:
            alias = None
            called = list(argv)
            if script is not None:
                path = name_text(cleanup.enter_context(self.scratch.file(script.data())))
                alias = Alias(path, os.path.basename(argv[0]))  # noqa: PTH119 - no path of a file here
                called += ["-c", f". {shlex.quote(path)}"] if script.sourced else [path]
            given = inherited() if env is None else env
            mark = new_mark()
            environment = {
                **given,
                "GIT_TERMINAL_PROMPT": "0",
                MARK: carried(given.get(MARK, ""), mark),
            }
            command = self._scrub.text(summary([script.text] if script else argv))
            told = self._masked(on_output, cleanup) if on_output else None
            if alias and told:
                told = alias.applied(told, cleanup)
            child = Child(
                called, cwd=cwd, env=environment, stdin=stdin, limit=limit, on_output=told
            )
            cleanup.callback(self._forget, child.pid)
            cleanup.callback(child.close)
            grace = self._grace if grace is None else grace
            everything = Reach(frozenset([child.pid]), frozenset([mark]))
            try:
                self._remember(child.pid, command, mark, step, grace)
                child.open_gate()
                ended = self._attend(child, None if allowed is None else allowed.left)
            except BaseException:
                stop(everything, grace=0)
                raise
            if ended == "exited":
                reach = everything if wholly else Reach(everything.sessions)
                return self._complete(child, reach, grace, alias)
            first = (
                signal.SIGINT
                if ended == "stopped" and self._stop.reason == "SIGINT"
                else signal.SIGTERM
            )
            survivors = self._end(child, everything, grace, first)
            but = (
                f" (but {self._scrub.text(_names(survivors))} could not be stopped)"
                if survivors
                else ""
            )
            # What it said last, while it tidied up, too.
            stdout, stderr = self._written(child, alias)
            if ended == "timeout":
                message = f"`{command}` took longer than {allowed} and was stopped{but}"
                raise StepTimeout(message, step=step, stdout=stdout, stderr=stderr)
            raise Stopped(self._stop.reason + but)

    def _masked(self, on_output: OnOutput, cleanup: ExitStack) -> OnOutput:
        """*on_output*, told of nothing that could be part of a secret; what is held back comes at
        the end.
        """
        if not self._scrub:
            return on_output
        writers: dict[StreamName, Callable[[bytes], None]] = {}
        streams: tuple[StreamName, ...] = ("stdout", "stderr")
        for stream in streams:
            writers[stream], end = self._scrub.stream(partial(on_output, stream))
            cleanup.callback(end)
        return lambda stream, data: writers[stream](data)

    def _attend(
        self, child: Child, timeout: float | None
    ) -> Literal["exited", "timeout", "stopped"]:
        """Take the command's output until something ends the wait. Its own end comes first.

        That is so however late this process sees it: it may have stood still (Ctrl-Z, a container
        that is paused) while the command ended in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        child.watch(self._stop)
        try:
            while not child.exited:
                left = None if deadline is None else deadline - time.monotonic()
                if self._stop.requested or (left is not None and left <= 0):
                    child.pump(0)
                    if not child.exited:
                        return "stopped" if self._stop.requested else "timeout"
                elif self._reaper.is_init:
                    child.pump(REAP_SECONDS if left is None else min(left, REAP_SECONDS))
                    self._reap()
                else:
                    child.pump(left)
            return "exited"
        finally:
            child.unwatch(self._stop)

    def _complete(self, child: Child, reach: Reach, grace: float, alias: Alias | None) -> Completed:
        """Stop what the command left behind, and take what is in the pipes."""
        deadline = time.monotonic() + LINGER_SECONDS
        left = reach.rest() if reach.marks else reach.living()
        while left and time.monotonic() < deadline:
            child.pump(0.01)
            left = [process for process in left if still_runs(process)] or reach.living()
        # By the names that they have now: a fork has its parent's first.
        left = left and reach.living()
        if left:
            self._end(child, reach, grace, signal.SIGTERM)
        stdout, stderr = self._written(child, alias)
        code = child.wait()
        leftovers = (str(process) for process in left)
        return Completed(
            exit_code=code if code >= 0 else 128 - code,
            signal=_signal_name(-code) if code < 0 else "",
            stdout=stdout,
            stderr=stderr,
            leftovers=tuple(
                self._scrub.text(alias.text(text) if alias else text) for text in leftovers
            ),
            cut=tuple(name for name, tail in child.tails.items() if tail.truncated),
        )

    def _written(self, child: Child, alias: Alias | None) -> tuple[bytes, bytes]:
        """What it wrote to standard output and error, without secrets."""
        child.drain()
        stdout, stderr = child.tails["stdout"].data, child.tails["stderr"].data
        return self._scrub.data(stdout), self._scrub.data(alias.data(stderr) if alias else stderr)

    def _end(
        self, child: Child, reach: Reach, grace: float, first: signal.Signals
    ) -> list[Process]:
        return stop(
            reach, grace=grace, first=first, pause=child.pump, urgent=lambda: self._stop.urgent
        )

    def _reap(self) -> None:
        with self._lock:
            self._reaper.reap(self._groups)

    def _remember(self, pid: int, command: str, mark: str, step: str, grace: float) -> None:
        leader = find_process(pid)
        if leader is None:
            raise StepFailed(f"`{command}` ended before it was started", step=step)
        group = Group(
            pid=pid,
            start_time=leader.start_time,
            host=this_host(),
            mark=mark,
            command=command,
            step=step,
            grace=grace,
        )
        with self._lock:
            self._reaper.watch(pid)
            self._groups[pid] = group
            self._note(list(self._groups.values()))

    def _forget(self, pid: int) -> None:
        with self._lock:
            if self._groups.pop(pid, None):
                self._note(list(self._groups.values()))
            self._reaper.reap(self._groups)


class Alias:
    """Lets a shell's messages name the shell, as in `bash: line 3:`, where they name the file of
    its script.

    The file's path is another one each time, and what a step writes should not be.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path = path.encode("utf-8", "surrogateescape")
        self._name = name.encode("utf-8", "surrogateescape")

    def data(self, data: bytes) -> bytes:
        """*data*, with the name in place of the path."""
        return data.replace(self._path, self._name)

    def text(self, text: str) -> str:
        """*text*, with the name in place of the path."""
        return self.data(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def applied(self, on_output: OnOutput, cleanup: ExitStack) -> OnOutput:
        """*on_output*, told so of standard error; the begin of a path is held back until the rest
        comes.
        """
        held = b""

        def tell(stream: StreamName, data: bytes) -> None:
            nonlocal held
            if stream == "stderr":
                data = self.data(held + data)
                size = next(
                    (n for n in range(len(self._path) - 1, 0, -1) if data.endswith(self._path[:n])),
                    0,
                )
                data, held = data[: len(data) - size], data[len(data) - size :]
            if data:
                on_output(stream, data)

        cleanup.callback(lambda: on_output("stderr", held) if held else None)
        return tell


def _names(processes: Sequence[Process]) -> str:
    return ", ".join(map(str, processes))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # A real-time signal.
        return f"signal {number}"
