"""Groups of running processes: who belongs to one, how it is stopped, what a killed run left.

A child is the leader of a session of its own, so its descendants are those processes that have its
pid as session id, in however many process groups. On Linux those that left the session are known by
the mark in the environment that they were started with.

A group is stopped by a signal, a grace, and SIGKILL. Each process gets a signal once: many take the
second one for an order to leave at once, without tidying up. Those that begin during the grace (a
clean-up's own commands), and those of a nested run, which that run stops itself, get it only when
all that got it first have gone.

A `Reaper` reaps orphans: as process 1 of a container, or as a subreaper, this process inherits what
loses its parent. Only what came from a step is reaped at once; whoever started another child of
this process may still wait for it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGTERM
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict

from maverick.dsl.durations import GRACE_SECONDS
from maverick.dsl.processes.process_table import (
    Process,
    carries,
    find_process,
    ignores,
    living,
    members,
    send,
    send_to_groups,
    still_runs,
    this_host,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PATIENCE_SECONDS = 5.0
"""How long a dead child of a session that is not known may wait for whoever started it."""


class Reaper:
    """Knows the sessions of the steps' processes. Its caller makes one call at a time.

    With *strangers* it reaps orphans of other sessions, too, after some patience.
    """

    def __init__(self, *, strangers: bool = True) -> None:
        self._strangers = strangers
        self.is_init = os.getpid() == 1
        self._sessions: set[int] = set()
        self._dead: dict[tuple[int, int], float] = {}
        """Since when, on the monotonic clock, those are dead for whom somebody may wait."""
        self._children = Path(f"/proc/self/task/{os.getpid()}/children")

    def watch(self, session: int) -> None:
        """Note that a command runs, as the leader of *session*."""
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
            is_known = process.session in self._sessions and pid != process.session
            since = self._dead.get(process.identity, time.monotonic())
            if is_known or (self._strangers and time.monotonic() - since >= PATIENCE_SECONDS):
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            else:
                dead[process.identity] = since
        self._dead = dead


__all__ = ["NotedGroup", "Reach", "find_process", "members", "stop", "stop_leftovers", "this_host"]

_KILL_SECONDS = 5.0
"""How long a killed process may take to go (it may hang in the kernel) before it is given up."""
_POLL_SECONDS = 0.01


class NotedGroup(TypedDict):
    """What is noted of a running group. `pid` and `start_time` are the leader's: see `Process`.

    They are not there before it is started, where its processes are known by `mark` from the fork
    on. That is its own, the last of those in its processes' environment; `grace` is how many
    seconds it has to end when it is stopped.
    """

    pid: NotRequired[int]
    start_time: NotRequired[int]
    host: str
    mark: str
    command: str
    step: str
    grace: NotRequired[float]


class Reach(NamedTuple):
    """Whom to stop: the processes of `sessions`, and those anywhere that carry one of `marks`."""

    sessions: frozenset[int] = frozenset()
    marks: frozenset[str] = frozenset()

    def find_living(self) -> list[Process]:
        """Give its processes that are there."""
        return living(self.sessions, self.marks) if self.sessions or self.marks else []

    def find_rest(self) -> list[Process]:
        """As `find_living`; looks twice before it gives none: one may have forked and ended."""
        return self.find_living() or self.find_living()


def stop(
    reach: Reach,
    *,
    grace: float = GRACE_SECONDS,
    first: signal.Signals = SIGTERM,
    pause: Callable[[float], None] = time.sleep,
    urgent: Callable[[], bool] = lambda: False,
) -> list[Process]:
    """Stop all in *reach* by signal *first*, up to *grace* seconds, SIGKILL; give the survivors.

    If *first* is SIGINT, SIGTERM follows when half of the grace is over; at once for what ignores
    SIGINT, as a shell's background jobs do, if the leader of its session has gone. *pause* is
    called between two looks at who is left; the grace ends early when *urgent* gives true. The
    caller makes sure that the sessions still are what it takes them for.
    """
    now = time.monotonic()
    end, half = now + grace, now + grace / 2
    wave = _Wave(reach, first, set())
    while wave.is_awaited() and not urgent() and (now := time.monotonic()) < end:
        if wave.number is SIGINT:
            hastened = wave.hasten()
            if now >= half:
                wave = _Wave(reach, SIGTERM, hastened)
        pause(_POLL_SECONDS)
    return _kill(reach, pause)


class _Wave:
    """One signal on its way through the processes."""

    def __init__(
        self, reach: Reach, number: signal.Signals, signalled: set[tuple[int, int]]
    ) -> None:
        """Send it to those that are there, except to those *signalled* already."""
        self.number = number
        self._reach = reach
        self._signalled = signalled
        self._hastened: set[tuple[int, int]] = set()
        self._awaited = reach.find_rest()
        self._signal([process for process in self._awaited if not process.nested] or self._awaited)

    def is_awaited(self) -> bool:
        """Whether anybody is left. Once all that got the signal have gone, the others get it."""
        self._awaited = [process for process in self._awaited if still_runs(process)]
        if not any(process.identity in self._signalled for process in self._awaited):
            self._awaited = self._reach.find_rest()
            self._signal(self._awaited)
        return bool(self._awaited)

    def hasten(self) -> set[tuple[int, int]]:
        """Send SIGTERM to what cannot have heard SIGINT, and has no leader who could pass it on."""
        if not any(process.pid in self._reach.sessions for process in self._awaited):
            for process in self._awaited:
                if process.identity not in self._hastened and ignores(process, SIGINT):
                    self._hastened.add(process.identity)
                    send(process, SIGTERM, SIGCONT)
        return self._hastened

    def _signal(self, processes: list[Process]) -> None:
        fresh = [process for process in processes if process.identity not in self._signalled]
        mixed = {process.group for process in processes if process.identity in self._signalled}
        whole = [process for process in fresh if process.group not in mixed]
        _send(whole, self._reach, self.number, SIGCONT)
        for process in fresh:
            if process.group in mixed:
                send(process, self.number, SIGCONT)
        self._signalled |= {process.identity for process in fresh}


def _kill(reach: Reach, pause: Callable[[float], None]) -> list[Process]:
    deadline = time.monotonic() + _KILL_SECONDS
    while left := reach.find_rest():
        if time.monotonic() >= deadline:
            return left
        _send(left, reach, SIGKILL)
        pause(_POLL_SECONDS)
    return []


def _send(processes: Iterable[Process], reach: Reach, *signals: signal.Signals) -> None:
    """Signal whole groups where they are surely of the reach, else one by one."""
    inside = []
    for process in processes:
        if process.session in reach.sessions:
            inside.append(process)
        else:
            send(process, *signals)
    send_to_groups(inside, *signals)


# --- what a killed run left -----------------------------------------------------------------------


def stop_leftovers(
    groups: Iterable[Mapping[str, object]],
    *,
    grace: float | None = None,
    urgent: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Stop what still runs of the groups (`NotedGroup`) that a killed run had noted; describe them.

    On Linux that is all that carries the group's mark in its environment, in whatever session. The
    rest of the group's session is stopped if its leader is the very process that was noted (start
    time), or if the leader is gone and a process of the session carries the mark (elsewhere than on
    Linux: started no earlier than the leader). Where no leader was noted, those are the sessions of
    all that carry the mark, and what has not begun its program is killed. Groups of another host,
    another boot or another container are left alone. Each has the grace that was noted, unless one
    is given, or it gets *urgent*.
    """
    described: list[tuple[list[Process], str]] = []
    reaches: list[Reach] = []
    graces = [0.0]
    for group in groups:
        reach = _reach_of(group)
        processes = reach.find_rest()
        if not processes:
            continue
        what = f"{', '.join(map(str, processes))} of step {group['step']}"
        if any(process.pid == os.getpid() for process in processes):
            described.append(([], f"{what}: left alone, because this process is one of them"))
            continue
        described.append((processes, what))
        reaches.append(reach)
        noted = group.get("grace") if grace is None else grace
        graces.append(noted if isinstance(noted, int | float) else GRACE_SECONDS)
    whole = Reach(
        frozenset().union(*(reach.sessions for reach in reaches)),
        frozenset().union(*(reach.marks for reach in reaches)),
    )
    survivors = stop(whole, grace=max(graces), urgent=urgent) if reaches else []
    return [what + _unstopped(processes, survivors) for processes, what in described]


def _unstopped(processes: list[Process], survivors: list[Process]) -> str:
    identities = {process.identity for process in processes}
    left = [str(survivor) for survivor in survivors if survivor.identity in identities]
    return f": {', '.join(left)} could not be stopped" if left else ""


def _reach_of(group: Mapping[str, object]) -> Reach:
    pid, mark = group.get("pid"), group.get("mark")
    if group.get("host") != this_host():
        return Reach()
    marks = frozenset([mark] if isinstance(mark, str) and mark else ())
    if pid is None:
        return Reach(_sessions_of(marks), marks)
    if not isinstance(pid, int):
        return Reach()
    return Reach(frozenset([pid] if _is_ours(pid, group) else ()), marks)


def _sessions_of(marks: frozenset[str]) -> frozenset[int]:
    """Give the sessions of those that carry one of *marks*; kill those that would.

    Whose program has begun is in a session of the group's; before, it may be in the engine's.
    """
    sessions = set()
    deadline = time.monotonic() + _KILL_SECONDS
    for process in living(set(), marks) if marks else ():
        if not any(carries(process, mark) for mark in marks):
            send(process, SIGKILL)
            while still_runs(process) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        elif not process.nested and (now := find_process(process.pid)):
            sessions.add(now.session)
    return frozenset(sessions)


def _is_ours(pid: int, group: Mapping[str, object]) -> bool:
    """Whether the session *pid* is the one noted.

    No pid is given away while a session of that number lives: a stranger under it rules that out.
    """
    started = group["start_time"]
    leader = find_process(pid)
    if leader is not None:
        return leader.start_time == started
    processes = members(pid)
    if sys.platform == "linux":
        return any(carries(process, str(group["mark"])) for process in processes)
    return any(isinstance(started, int) and process.start_time >= started for process in processes)
