"""Child processes of a run: started once they are noted, stopped as groups, never lost sight of.

Each child leads a session of its own. It does nothing before its group has been noted (durably, if
the caller's `note` is), so that whatever happens to this process, no child runs that a later one
could not find and stop. On Linux its mark is noted before the start, and its pid after; elsewhere
it is held at a gate until its pid is noted. What leaves the session on purpose (a daemon that calls
setsid) is not waited for when a command ends by itself, unless that is asked for; when a command is
stopped it is stopped, too (on Linux, where it is known by its mark).
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
from maverick.dsl.processes.child import ChildProcess, OnOutput, StreamName
from maverick.dsl.processes.groups import (
    NotedGroup,
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
    can_name_forks,
    carried,
    is_surely_over,
    new_mark,
    still_runs,
    summary,
)
from maverick.dsl.processes.scratch import Scratch
from maverick.dsl.processes.secrets import Scrubber
from maverick.dsl.processes.stop_request import Stop, Stopped
from maverick.encoding import encode, inherited, name_text
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Completed", "NotedGroup", "Processes", "Script", "Stop", "Stopped", "stop_leftovers"]

LIMIT_BYTES = 16 * 1024 * 1024
"""Of each stream, that a step can record."""
REAP_SECONDS = 1.0
"""How often orphans are reaped while a command runs, where this process is the one to do it."""
LINGER_SECONDS = 0.5
"""How long the rest of a group may take to end after its leader: `> >(tee log)` needs a moment."""


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
    """A script that a command runs from a file; where it is *sourced*, `$0` is still the shell."""

    text: str
    sourced: bool = False

    def data(self) -> bytes:
        """Give what its file holds.

        Raises:
            StepFailed: It holds a NUL: shells drop some, and take a file that begins with one for
                no script.
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
    anything, when its pid is known, and after the last of its group has ended. Calls come one at a
    time; an exception of *note* keeps the child from running, or stops it. *note_folder* is told of
    the folder of temporary files before that is made. *scrub* masks secrets in everything that is
    given out: output, command lines, messages. *grace* is how many seconds what is stopped has to
    end by itself. *strangers* is as for `Reaper`.
    """

    def __init__(
        self,
        stop: Stop,
        note: Callable[[list[NotedGroup]], None],
        *,
        note_folder: Callable[[str], None] = lambda _: None,
        scrub: Scrubber | None = None,
        grace: float = GRACE_SECONDS,
        strangers: bool = True,
    ) -> None:
        self._stop = stop
        self._note = note
        self._scrub = scrub or Scrubber()
        self._grace = grace
        self._groups: dict[str, NotedGroup] = {}
        self._lock = threading.Lock()
        self._reaper = Reaper(strangers=strangers)
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
        """Run a command in *cwd* to its end and give what it wrote. Any exit code is no error.

        *env* is its whole environment (default: this process's). A *script* stands in a file that
        the command is told of by its last argument. The command ends when its process does, whoever
        still holds its pipes. *on_output* is called in this thread with each piece as it comes. At
        most four times *limit* bytes of output are held in memory.

        However this is left, nothing of the group still runs: after a command that ended by itself,
        nothing of its session; *wholly*, nothing that it started (where marks are known: on Linux).

        Raises:
            StepFailed: It cannot be started.
            StepTimeout: It took longer than *timeout* (seconds, or a limit that names itself).
            Stopped: A stop was requested.
        """
        self._stop.check()
        allowed = Limit.own(timeout) if isinstance(timeout, int | float) else timeout
        command = self._scrub.text(summary([script.text] if script else argv))
        mark = new_mark()
        group = NotedGroup(
            host=this_host(),
            mark=mark,
            command=command,
            step=step,
            grace=self._grace if grace is None else grace,
        )
        reach = Reach(marks=frozenset([mark]))
        with ExitStack() as cleanup:
            called, alias = self._place_script(argv, script, cleanup)
            told = self._filtered(on_output, alias, cleanup)
            cleanup.callback(self._forget, mark)
            try:
                if has_no_gate := can_name_forks():
                    self._remember(group)
                started = time.monotonic()
                child = ChildProcess(
                    called,
                    cwd=cwd,
                    env=_marked(inherited() if env is None else env, mark),
                    stdin=stdin,
                    limit=limit,
                    on_output=told,
                    mark=mark if has_no_gate else "",
                )
                cleanup.callback(child.close)
                reach = reach._replace(sessions=frozenset([child.pid]))
                running = _Running(child, reach, group["grace"], alias, started)
                self._remember(_with_leader(group, child.pid))
                child.open_gate()
                ended = self._attend(child, None if allowed is None else allowed.left)
            except BaseException:
                stop(reach, grace=0)
                raise
            if ended == "exited":
                return self._complete(running, wholly=wholly)
            but = self._stop_early(running, ended)
            # What it said last, while it tidied up, too.
            stdout, stderr = self._written(running)
            if ended == "stopped":
                raise Stopped(self._stop.reason + but)
            message = f"`{command}` took longer than {allowed} and was stopped{but}"
            raise StepTimeout(message, step=step, stdout=stdout, stderr=stderr)

    def _place_script(
        self, argv: Sequence[str], script: Script | None, cleanup: ExitStack
    ) -> tuple[list[str], Alias | None]:
        """Give the words to be called, which name the file of a *script*, and that file's alias."""
        if script is None:
            return list(argv), None
        path = name_text(cleanup.enter_context(self.scratch.file(script.data())))
        alias = Alias(path, os.path.basename(argv[0]))  # noqa: PTH119 - no path of a file here
        return [*argv, *(["-c", f". {shlex.quote(path)}"] if script.sourced else [path])], alias

    def _filtered(
        self, on_output: OnOutput | None, alias: Alias | None, cleanup: ExitStack
    ) -> OnOutput | None:
        """Give *on_output*, told of no secrets, and of the name of a script's *alias*."""
        if on_output is None:
            return None
        masked = self._masked(on_output, cleanup)
        return masked if alias is None else alias.apply_to(masked, cleanup)

    def _masked(self, on_output: OnOutput, cleanup: ExitStack) -> OnOutput:
        """Give *on_output*, told of no part of a secret; what is held back comes at the end."""
        if not self._scrub:
            return on_output
        writers: dict[StreamName, Callable[[bytes], None]] = {}
        streams: tuple[StreamName, ...] = ("stdout", "stderr")
        for stream in streams:
            writers[stream], end = self._scrub.stream(partial(on_output, stream))
            cleanup.callback(end)
        return lambda stream, data: writers[stream](data)

    def _attend(
        self, child: ChildProcess, timeout: float | None
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

    def _stop_early(self, running: _Running, ended: Literal["timeout", "stopped"]) -> str:
        """Stop a command that has not ended; say of what survives that it could not be stopped."""
        by_ctrl_c = ended == "stopped" and self._stop.reason == "SIGINT"
        first = signal.SIGINT if by_ctrl_c else signal.SIGTERM
        survivors = self._end(running, running.reach, first)
        if not survivors:
            return ""
        names = self._scrub.text(", ".join(map(str, survivors)))
        return f" (but {names} could not be stopped)"

    def _complete(self, running: _Running, *, wholly: bool) -> Completed:
        """Stop what the command left behind, and take what is in the pipes."""
        child, alias = running.child, running.alias
        reach = running.reach if wholly else Reach(running.reach.sessions)
        deadline = time.monotonic() + LINGER_SECONDS
        if wholly:
            left = reach.find_rest()
        elif is_surely_over(child.pid, time.monotonic() - running.started):
            left = []
        else:
            left = reach.find_living()
        while left and time.monotonic() < deadline:
            child.pump(0.01)
            left = [process for process in left if still_runs(process)] or reach.find_living()
        # By the names that they have now: a fork has its parent's first.
        left = left and reach.find_living()
        if left:
            self._end(running, reach, signal.SIGTERM)
        stdout, stderr = self._written(running)
        code = child.wait()
        leftovers = [str(process) for process in left]
        if alias:
            leftovers = [alias.text(text) for text in leftovers]
        return Completed(
            exit_code=code if code >= 0 else 128 - code,
            signal=_signal_name(-code) if code < 0 else "",
            stdout=stdout,
            stderr=stderr,
            leftovers=tuple(map(self._scrub.text, leftovers)),
            cut=tuple(name for name, tail in child.tails.items() if tail.truncated),
        )

    def _written(self, running: _Running) -> tuple[bytes, bytes]:
        """Give what it wrote to standard output and error, without secrets."""
        child, alias = running.child, running.alias
        child.drain()
        stdout, stderr = child.tails["stdout"].data, child.tails["stderr"].data
        return self._scrub.data(stdout), self._scrub.data(alias.data(stderr) if alias else stderr)

    def _end(self, running: _Running, reach: Reach, first: signal.Signals) -> list[Process]:
        return stop(
            reach,
            grace=running.grace,
            first=first,
            pause=running.child.pump,
            urgent=lambda: self._stop.urgent,
        )

    def _reap(self) -> None:
        with self._lock:
            self._reaper.reap(self._leaders())

    def _remember(self, group: NotedGroup) -> None:
        with self._lock:
            if "pid" in group:
                self._reaper.watch(group["pid"])
            self._groups[group["mark"]] = group
            self._note(list(self._groups.values()))

    def _forget(self, mark: str) -> None:
        with self._lock:
            if self._groups.pop(mark, None):
                self._note(list(self._groups.values()))
            self._reaper.reap(self._leaders())

    def _leaders(self) -> set[int]:
        return {group["pid"] for group in self._groups.values() if "pid" in group}


class Alias:
    """Lets a shell's messages name the shell (`bash: line 3:`) in place of its script's file.

    The file's path differs each time, and what a step writes should not.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path = path.encode("utf-8", "surrogateescape")
        self._name = name.encode("utf-8", "surrogateescape")

    def data(self, data: bytes) -> bytes:
        """Give *data* with the name in place of the path."""
        return data.replace(self._path, self._name)

    def text(self, text: str) -> str:
        """Give *text* with the name in place of the path."""
        return self.data(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def apply_to(self, on_output: OnOutput, cleanup: ExitStack) -> OnOutput:
        """Give *on_output*, told so of standard error; a path's beginning waits for the rest."""
        held = b""

        def tell(stream: StreamName, data: bytes) -> None:
            nonlocal held
            if stream == "stderr":
                data = self.data(held + data)
                sizes = range(len(self._path) - 1, 0, -1)
                size = next((n for n in sizes if data.endswith(self._path[:n])), 0)
                data, held = data[: len(data) - size], data[len(data) - size :]
            if data:
                on_output(stream, data)

        cleanup.callback(lambda: on_output("stderr", held) if held else None)
        return tell


class _Running(NamedTuple):
    """A command that was started: whom to stop, and how long they have to end by themselves.

    It was not there at `started`, on the monotonic clock.
    """

    child: ChildProcess
    reach: Reach
    grace: float
    alias: Alias | None
    started: float


def _with_leader(group: NotedGroup, pid: int) -> NotedGroup:
    leader = find_process(pid)
    if leader is None:
        raise StepFailed(f"`{group['command']}` ended before it was started", step=group["step"])
    return {**group, "pid": pid, "start_time": leader.start_time}


def _marked(environment: Mapping[str, str], mark: str) -> dict[str, str]:
    """Give the environment of a command whose group has *mark*."""
    marks = carried(environment.get(MARK, ""), mark)
    return {**environment, "GIT_TERMINAL_PROMPT": "0", MARK: marks}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # A real-time signal.
        return f"signal {number}"
