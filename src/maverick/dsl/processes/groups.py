"""Groups of running processes: who belongs to one, how it is stopped, and what a killed run left of
them.

A child is the leader of a session of its own, so its descendants are those processes that have its
pid as session id, in however many process groups. On Linux those that left the session are known by
the mark in the environment that they were started with.

A group is stopped by a signal, a grace, and SIGKILL.
Each process hears a signal once: many take the second one for an order to leave at once, without
tidying up. So those that begin during the grace (a clean-up's own commands), and those of a nested
run, which that run stops itself, are told only when all that were told first have gone.

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


__all__ = ["Group", "Reach", "find_process", "members", "stop", "stop_leftovers", "this_host"]

_KILL_SECONDS = 5.0
"""How long a killed process may take to go (it may hang in the kernel) before it is given up."""
_POLL_SECONDS = 0.01


class Group(TypedDict):
    """What is noted of a running group. `start_time` is the leader's: see `Process`.

    `mark` is its own, the last of those in its processes' environment; `grace` is how many seconds
    it has to end when it is stopped.
    """

    pid: int
    start_time: int
    host: str
    mark: str
    command: str
    step: str
    grace: NotRequired[float]


class Reach(NamedTuple):
    """Whom to stop: the processes of *sessions*, and those that carry one of *marks*, in whatever
    session.
    """

    sessions: frozenset[int] = frozenset()
    marks: frozenset[str] = frozenset()

    def living(self) -> list[Process]:
        """The processes of it that are there."""
        return living(self.sessions, self.marks) if self.sessions or self.marks else []

    def rest(self) -> list[Process]:
        """As `living`, and if there are none, at a second look: one may have forked and ended
        meanwhile.
        """
        return self.living() or self.living()


def stop(
    reach: Reach,
    *,
    grace: float = GRACE_SECONDS,
    first: signal.Signals = SIGTERM,
    pause: Callable[[float], None] = time.sleep,
    urgent: Callable[[], bool] = lambda: False,
) -> list[Process]:
    """Stop all that *reach* names: signal *first*, up to *grace* seconds, SIGKILL. Returns those
    that survive.

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

    def __init__(self, reach: Reach, number: signal.Signals, told: set[tuple[int, int]]) -> None:
        """Send it to those that are there, except to those that were *told*."""
        self.number = number
        self._reach = reach
        self._told = told
        self._hastened: set[tuple[int, int]] = set()
        self._known = reach.rest()
        self._tell([it for it in self._known if not it.nested] or self._known)

    def is_awaited(self) -> bool:
        """Whether anybody is left. When all that were told have gone, those that remain are
        told.
        """
        self._known = [it for it in self._known if still_runs(it)]
        if not any(it.identity in self._told for it in self._known):
            self._known = self._reach.rest()
            self._tell(self._known)
        return bool(self._known)

    def hasten(self) -> set[tuple[int, int]]:
        """Send SIGTERM to what cannot have heard SIGINT, and has no leader who could pass it on."""
        if not any(it.pid in self._reach.sessions for it in self._known):
            for process in self._known:
                if process.identity not in self._hastened and ignores(process, SIGINT):
                    self._hastened.add(process.identity)
                    send(process, SIGTERM, SIGCONT)
        return self._hastened

    def _tell(self, processes: list[Process]) -> None:
        fresh = [it for it in processes if it.identity not in self._told]
        mixed = {it.group for it in processes if it.identity in self._told}
        _send([it for it in fresh if it.group not in mixed], self._reach, self.number, SIGCONT)
        for process in fresh:
            if process.group in mixed:
                send(process, self.number, SIGCONT)
        self._told |= {it.identity for it in fresh}


def _kill(reach: Reach, pause: Callable[[float], None]) -> list[Process]:
    deadline = time.monotonic() + _KILL_SECONDS
    while left := reach.rest():
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
    """Stop what still runs of the groups (`Group`) that a killed run had noted; describe each that
    was found.

    On Linux that is all that carries the group's mark in its environment, in whatever session. The
    rest of the group's session is stopped if its leader is the very process that was noted (start
    time), or if the leader is gone and a process of the session carries the mark (elsewhere than on
    Linux: started no earlier than the leader). Groups of another host, another boot or another
    container are left alone. Each has the grace that was noted, unless one is given, or it gets
    *urgent*.
    """
    described: list[tuple[list[Process], str]] = []
    reaches: list[Reach] = []
    graces = [0.0]
    for group in groups:
        reach = _reach_of(group)
        found = reach.rest()
        if not found:
            continue
        what = f"{', '.join(map(str, found))} of step {group['step']}"
        if any(process.pid == os.getpid() for process in found):
            described.append(([], f"{what}: left alone, because this process is one of them"))
            continue
        described.append((found, what))
        reaches.append(reach)
        noted = group.get("grace")
        graces.append(
            grace
            if grace is not None
            else noted
            if isinstance(noted, int | float)
            else GRACE_SECONDS
        )
    whole = Reach(
        frozenset().union(*(reach.sessions for reach in reaches)),
        frozenset().union(*(reach.marks for reach in reaches)),
    )
    survivors = stop(whole, grace=max(graces), urgent=urgent) if reaches else []
    return [what + _but(found, survivors) for found, what in described]


def _but(found: list[Process], survivors: list[Process]) -> str:
    left = [str(it) for it in survivors if it.identity in {process.identity for process in found}]
    return f": {', '.join(left)} could not be stopped" if left else ""


def _reach_of(group: Mapping[str, object]) -> Reach:
    pid, mark = group["pid"], group.get("mark")
    if group.get("host") != this_host() or not isinstance(pid, int):
        return Reach()
    sessions = frozenset([pid] if _is_ours(pid, group) else ())
    return Reach(sessions, frozenset([mark] if isinstance(mark, str) and mark else ()))


def _is_ours(pid: int, group: Mapping[str, object]) -> bool:
    """A pid is not given away while a session of that number lives: a stranger under it rules it
    out.
    """
    started = group["start_time"]
    leader = find_process(pid)
    if leader is not None:
        return leader.start_time == started
    found = members(pid)
    if sys.platform == "linux":
        return any(carries(process, str(group["mark"])) for process in found)
    return any(isinstance(started, int) and process.start_time >= started for process in found)
