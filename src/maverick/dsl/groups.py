"""Groups of running processes: who belongs to one, how it is stopped, and what a killed run left of them.

A child is the leader of a session of its own, so its descendants are those processes that have its pid as
session id, in however many process groups. A pid names a process only together with its start time and the
boot (and pid namespace) it was seen in; nothing is ever signalled on the strength of a pid alone.
"""

from __future__ import annotations

import calendar
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MARK = "MAVERICK_PROCESS_GROUP"
"""The environment variable by which the processes of a group whose leader has gone are known again."""
GRACE_SECONDS = 2.0
_KILL_SECONDS = 5.0
"""How long a killed process may take to go (it may hang in the kernel) before it is given up."""
_POLL_SECONDS = 0.01


class Group(TypedDict):
    """What is noted of a running group. `start_time` is the leader's: see `Process`."""

    pid: int
    start_time: int
    host: str
    mark: str
    command: str
    step: str


class Process(NamedTuple):
    """A running process, or a dead one that nobody has waited for (`zombie`).

    `start_time` counts clock ticks since boot on Linux, and seconds since 1970 elsewhere.
    """

    pid: int
    group: int
    session: int
    start_time: int
    command: str
    zombie: bool = False

    def __str__(self) -> str:
        """Give `pid 4711 (sleep 60)`."""
        return f"pid {self.pid} ({self.command})"


@cache
def this_host() -> str:
    """What a pid is relative to: the boot and, on Linux, the pid namespace."""
    if sys.platform == "linux":
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
            return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    with suppress(OSError, subprocess.SubprocessError):
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return os.uname().nodename


def find_process(pid: int) -> Process | None:
    """The process with that pid, dead but not yet reaped ones included; None if there is none."""
    if sys.platform == "linux":
        return _read_stat(pid)
    return next(iter(_ps("-p", str(pid))), None)


def members(session: int) -> list[Process]:
    """The living processes of the session that *session* leads or led, in whatever process groups."""
    everybody = map(_read_stat, _pids_of(session)) if sys.platform == "linux" else _ps("-A")
    living = (it for it in everybody if it and it.session == session and not it.zombie)
    if sys.platform == "linux":
        return [process._replace(command=_command(process)) for process in living]
    return list(living)


def stop_session(
    session: int,
    *,
    grace: float = GRACE_SECONDS,
    pause: Callable[[float], None] = time.sleep,
    urgent: Callable[[], bool] = lambda: False,
) -> list[Process]:
    """Stop all processes of a session: SIGTERM, up to *grace* seconds, SIGKILL. Returns those that survive.

    *pause* is called between two looks at who is left; the grace ends early when *urgent* gives true. The
    caller makes sure that *session* still is what it takes it for.
    """
    _signal(members(session), signal.SIGTERM, signal.SIGCONT)
    deadline = time.monotonic() + grace
    left = members(session)
    while left and time.monotonic() < deadline and not urgent():
        pause(_POLL_SECONDS)
        left = members(session)
    deadline = time.monotonic() + _KILL_SECONDS
    while left and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        pause(_POLL_SECONDS)
        left = members(session)
    return left


def stop_leftovers(groups: Iterable[Mapping[str, object]], *, grace: float = GRACE_SECONDS) -> list[str]:
    """Stop what still runs of the groups (`Group`) that a killed run had noted; describe each that was found.

    A group is stopped if its leader is the very process that was noted (start time), or if the leader is
    gone and a process of its session carries the group's mark in its environment (elsewhere than on Linux:
    started no earlier than the leader). Groups of another host, another boot or another container are left
    alone.
    """
    return [text for group in groups if (text := _stop_leftover(group, grace))]


def _stop_leftover(group: Mapping[str, object], grace: float) -> str:
    pid = group["pid"]
    if group.get("host") != this_host() or not isinstance(pid, int) or not _is_ours(pid, group):
        return ""
    found = members(pid)
    if not found:
        return ""
    what = f"{', '.join(map(str, found))} of step {group['step']}"
    if os.getsid(0) == pid:
        return f"{what}: left alone, because this process is one of them"
    survivors = stop_session(pid, grace=grace)
    return f"{what}: {', '.join(map(str, survivors))} could not be stopped" if survivors else what


def _is_ours(pid: int, group: Mapping[str, object]) -> bool:
    """A pid is not given away while a session of that number lives: a stranger under it rules it out."""
    started = group["start_time"]
    leader = find_process(pid)
    if leader is not None:
        return leader.start_time == started
    found = members(pid)
    if sys.platform == "linux":
        mark = f"{MARK}={group['mark']}".encode()
        return any(mark in _environment(process.pid) for process in found)
    return any(isinstance(started, int) and process.start_time >= started for process in found)


def _signal(processes: Iterable[Process], *signals: signal.Signals) -> None:
    for group in {process.group for process in processes}:
        for number in signals:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)


# --- Linux


def _pids_of(session: int) -> Iterator[int]:
    """Asking the kernel for a process's session costs a fiftieth of reading its status."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - a third of the cost
        with suppress(ValueError, ProcessLookupError):
            if os.getsid(pid := int(name)) == session:
                yield pid


def _read_stat(pid: int) -> Process | None:
    """The process as proc(5) describes it, with its short name as command."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - done often
            text = file.read(2000)
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = text.rpartition(b")")  # The name may hold spaces and brackets.
    fields = rest.split()
    return Process(
        pid=pid,
        group=int(fields[2]),
        session=int(fields[3]),
        start_time=int(fields[19]),
        command=name.partition(b"(")[2].decode(errors="replace"),
        zombie=fields[0] in {b"Z", b"X"},
    )


def _command(process: Process) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        return summary(word.decode(errors="replace") for word in words if word) or process.command
    return process.command


def _environment(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


# --- elsewhere


def _ps(*which: str) -> Iterator[Process]:
    """What ps(1) tells. Its `sess` is no session id on macOS, so the kernel is asked for that."""
    command = ["ps", *which, "-o", "pid=,pgid=,stat=,lstart=,command="]
    environment = {"PATH": "/bin:/usr/bin", "LC_ALL": "C", "TZ": "UTC0"}
    listing = subprocess.run(command, check=False, capture_output=True, env=environment, stdin=subprocess.DEVNULL)
    for line in listing.stdout.decode(errors="replace").splitlines():
        fields = line.split(None, 8)
        pid, started = int(fields[0]), time.strptime(" ".join(fields[3:8]), "%a %b %d %H:%M:%S %Y")
        with suppress(ProcessLookupError, PermissionError):
            yield Process(
                pid=pid,
                group=int(fields[1]),
                session=os.getsid(pid),
                start_time=calendar.timegm(started),
                command=summary(fields[8:]),
                zombie=fields[2].startswith("Z"),
            )


def summary(words: Iterable[str], length: int = 120) -> str:
    """A command on one line of at most *length* characters."""
    text = " ".join(" ".join(words).split())
    return text if len(text) <= length else text[: length - 1] + "…"
