"""The processes of this machine: who is there, and how a signal reaches one and no other.

A pid names a process only together with its start time and the boot (and pid namespace) it was seen
in; nothing is ever signalled on the strength of a pid alone.
"""

from __future__ import annotations

import calendar
import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

MARK = "MAVERICK_PROCESS_GROUP"
"""The environment variable by which the processes of a group are known, wherever they went.

It holds the marks of all groups that a process is in, the outermost first, as `1f0c:77ab`: a run
that is started by a step of another run marks its own steps' processes, and they belong to both.
"""

_NAME = "/proc/thread-self/comm"
_NAME_CHARACTERS = 15
_LAST_PID, _PID_MAX = "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/pid_max"
_FORKS_PER_SECOND = 1_000_000
"""More than any machine makes: its kernel has one lock for all forks, and holds it longer."""
_FEW_PIDS = 100
_DEAD = {b"Z", b"X"}
_PF_KTHREAD = 0x00200000
"""include/linux/sched.h: a thread of the kernel, which never has an environment."""
_EXEC_SECONDS = 5.0
"""How long to wait while a process changes its program. It takes microseconds, or a pause more."""
_POLL_SECONDS = 0.001


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
    nested: bool = False
    """It belongs to a run that one of the group's processes executes."""

    @property
    def identity(self) -> tuple[int, int]:
        """What no two processes of a boot share."""
        return self.pid, self.start_time

    def __str__(self) -> str:
        """Give `pid 4711 (sleep 60)`."""
        return f"pid {self.pid} ({self.command})"


@cache
def this_host() -> str:
    """Give what a pid is relative to: the boot and, on Linux, the pid namespace."""
    if sys.platform == "linux":
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
            return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    with suppress(OSError, subprocess.SubprocessError):
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return os.uname().nodename


def find_process(pid: int) -> Process | None:
    """Give the process with that pid, also a dead one not yet reaped; None if there is none."""
    if sys.platform == "linux":
        return _read_stat(pid)
    return next(iter(_ps("-p", str(pid))), None)


def members(session: int) -> list[Process]:
    """Give the living processes of the session that *session* leads or led, in whatever groups."""
    return living({session}, set())


def living(sessions: Collection[int], marks: Collection[str]) -> list[Process]:
    """Give the living processes that are in one of *sessions*, or carry one of *marks* (on Linux),
    be it as a name until their program has begun (`naming_forks`).

    A process that is started while the list is made may be missing from it.
    """
    if sys.platform == "linux":
        processes = list(_living_on_linux(sessions, marks))
        return [process._replace(command=_command(process)) for process in processes]
    return [process for process in _ps("-A") if process.session in sessions and not process.zombie]


def is_surely_over(session: int, seconds: float) -> bool:
    """Whether nobody but its leader is left of a *session* that began at most *seconds* ago.

    False also where that takes a look at all processes (`members`). Pids are given in a row: those
    of a session's processes are between its leader's and the last that was given, unless there was
    time to begin anew.
    """
    try:
        last, pid_max = _number_in(_LAST_PID), _number_in(_PID_MAX)
    except OSError:  # No Linux, or a kernel that does not tell.
        return False
    if seconds * _FORKS_PER_SECOND >= pid_max or not session <= last <= session + _FEW_PIDS:
        return False
    return not any(_session_of(pid) == session for pid in range(session + 1, last + 1))


def still_runs(process: Process) -> bool:
    """Whether that very process is there, and no zombie."""
    now = find_process(process.pid)
    return now is not None and now.start_time == process.start_time and not now.zombie


def new_mark() -> str:
    """Make a mark that no group has had."""
    return os.urandom(8).hex()


def can_name_forks() -> bool:
    """Whether `naming_forks` works here: on Linux, where /proc may be written to."""
    return os.access(_NAME, os.W_OK)


@contextmanager
def naming_forks(mark: str) -> Iterator[None]:
    """Let what this thread forks meanwhile be found by *mark* before its program has begun.

    Until execve(2) it has this process's environment; but it has the thread's name, too, and that
    is the beginning of *mark* while the block runs.
    """
    descriptor = os.open(_NAME, os.O_RDWR | os.O_CLOEXEC)
    try:
        name = os.read(descriptor, 100).rstrip(b"\n")
        os.write(descriptor, _name_of(mark))
        try:
            yield
        finally:
            os.write(descriptor, name)
    finally:
        os.close(descriptor)


def _name_of(mark: str) -> bytes:
    return mark[:_NAME_CHARACTERS].encode()


def carried(marks: str, mark: str) -> str:
    """Give what a process that carries *marks* hands on to the group of *mark*."""
    return f"{marks}:{mark}" if marks else mark


def send(process: Process, *signals: signal.Signals) -> None:
    """Signal that very process; one that has gone, or may not be signalled, is passed over."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform != "linux":
            if still_runs(process):
                for number in signals:
                    os.kill(process.pid, number)
            return
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            descriptor = -1  # A kernel before 5.3, or one that is not let use it.
        try:
            if still_runs(process):
                for number in signals:
                    if descriptor < 0:
                        os.kill(process.pid, number)
                    else:
                        signal.pidfd_send_signal(descriptor, number)
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def send_to_groups(processes: Iterable[Process], *signals: signal.Signals) -> None:
    """Signal the process groups of *processes* as a whole: none of them can be forking meanwhile.

    That a group's number still is its own is shown by one of its processes, looked at just before.
    """
    witnesses: dict[int, list[Process]] = {}
    for process in processes:
        witnesses.setdefault(process.group, []).append(process)
    for group, inside in witnesses.items():
        if any(_is_in(process, group) for process in inside):
            for number in signals:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, number)


def ignores(process: Process, number: signal.Signals) -> bool:
    """Whether the process ignores the signal; not known elsewhere than on Linux."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_bytes().split(b"\n"):
            if line.startswith(b"SigIgn:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def carries(process: Process, mark: str) -> bool:
    """Whether the process was started with *mark* (known on Linux only)."""
    return mark in _marks(process.pid)


def _is_in(process: Process, group: int) -> bool:
    now = find_process(process.pid)
    return now is not None and (now.identity, now.group) == (process.identity, group)


# --- Linux


def _living_on_linux(sessions: Collection[int], marks: Collection[str]) -> Iterator[Process]:
    """Asking the kernel for a process's session costs a fiftieth of reading its status."""
    names, own = set(map(_name_of, marks)), os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 - a third of the cost
        try:
            pid = int(name)
            session = os.getsid(pid)
        except (ValueError, ProcessLookupError):
            continue
        # Looked at first: execve(2) ends it.
        begins = bool(names) and pid != own and _name(pid) in names
        path = _marks(pid) if marks else []
        marked = begins or any(mark in marks for mark in path)
        if not marked and session not in sessions:
            continue
        process = _read_stat(pid)
        if process is None or process.zombie or not (marked or process.session in sessions):
            continue
        yield process._replace(
            nested=marked
            and not begins
            and path[-1] not in marks
            and process.session not in sessions
        )


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _first_bytes(file: str) -> bytes:
    """Give what a small file of the kernel says, at half of what a file object of Python costs."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def _number_in(file: str) -> int:
    return int(_first_bytes(file))


def _name(pid: int) -> bytes:
    with suppress(OSError):
        return _first_bytes(f"/proc/{pid}/comm").rstrip(b"\n")
    return b""


def _stat(pid: int) -> tuple[bytes, list[bytes]]:
    """Give the short name of the process, and the fields of proc(5) from `state` on."""
    # The name may hold spaces and brackets.
    head, _, rest = _first_bytes(f"/proc/{pid}/stat").rpartition(b")")
    return head.partition(b"(")[2], rest.split()


def _read_stat(pid: int) -> Process | None:
    """Give the process as proc(5) describes it, with its short name as command."""
    try:
        name, fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(
        pid=pid,
        group=int(fields[2]),
        session=int(fields[3]),
        start_time=int(fields[19]),
        command=name.decode(errors="replace"),
        zombie=fields[0] in _DEAD,
    )


def _command(process: Process) -> str:
    words = _started_with(process.pid, "cmdline").split(b"\0")
    return summary(word.decode(errors="replace") for word in words if word) or process.command


def _marks(pid: int) -> list[str]:
    """Give the marks that a process of this user was started with."""
    data = _started_with(pid, "environ")
    wanted = f"{MARK}=".encode()
    if wanted not in data:
        return []
    variable = next((entry for entry in data.split(b"\0") if entry.startswith(wanted)), b"")
    return variable[len(wanted) :].decode(errors="replace").split(":")


def _started_with(pid: int, what: str) -> bytes:
    """Give what the process was started with: *what* is `cmdline` or `environ`.

    Empty if it has gone, or is another user's. While execve(2) replaces a program both are empty:
    that is waited for, so that the process is not missed, and nothing else is.
    """
    deadline = time.monotonic() + _EXEC_SECONDS
    while True:
        try:
            with open(f"/proc/{pid}/{what}", "rb", buffering=0) as file:  # noqa: PTH123 - done often
                data = file.readall()
        except OSError:
            return b""
        if data or _has_none(pid, what) or time.monotonic() >= deadline:
            return data
        time.sleep(_POLL_SECONDS)


def _has_none(pid: int, what: str) -> bool:
    """Whether the process has none, not only none yet: proc(5), `endcode`, and `arg_start` to
    `env_end`.

    execve(2) sets the last four one after the other, so that none is for an instant what will be
    some; where the code is it tells when these are right.
    """
    try:
        _, fields = _stat(pid)
    except OSError:
        return True
    if fields[0] in _DEAD or int(fields[6]) & _PF_KTHREAD:
        return True
    end_code, (arg_start, arg_end, env_start, env_end) = int(fields[24]), map(int, fields[45:49])
    return end_code > 0 and (arg_start == arg_end if what == "cmdline" else env_start == env_end)


# --- elsewhere


def _ps(*which: str) -> Iterator[Process]:
    """Yield what ps(1) tells. Its `sess` is no session id on macOS, so the kernel is asked."""
    command = ["ps", *which, "-o", "pid=,pgid=,stat=,lstart=,command="]
    environment = {"PATH": "/bin:/usr/bin", "LC_ALL": "C", "TZ": "UTC0"}
    listing = subprocess.run(
        command, check=False, capture_output=True, env=environment, stdin=subprocess.DEVNULL
    )
    for line in listing.stdout.decode(errors="replace").split("\n"):
        fields = line.split(None, 8)
        if len(fields) < 9:  # Nothing, or the rest of a command that holds the end of a line.
            continue
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
    """Give a command on one line of at most *length* characters."""
    text = " ".join(" ".join(words).split())
    return text if len(text) <= length else text[: length - 1] + "…"
