"""Processes that leave their step's session: known by their mark, wherever they went (Linux)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.patience import PATIENCE_SECONDS, asleep
from kit.processes import Bench, Clock, runs, until
from maverick.dsl.processes import groups, process_table
from maverick.dsl.processes import processes as processes_module
from maverick.dsl.processes.process_table import MARK, living, send, send_to_groups
from maverick.dsl.processes.processes import NotedGroup, Stopped, stop_leftovers
from maverick.errors import StepFailed, StepTimeout

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the session alone is known"
)

DAEMON = "sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' > /dev/null 2>&1 < /dev/null"
KNOWN = "until test -e pid; do sleep 0.01; done; "
ASLEEP = f"{KNOWN}{asleep('$(cat pid)')}; "
DOUBLE_FORK = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("pid.new", "w").write(str(os.getpid()))
        os.closerange(0, 3)
        os.rename("pid.new", "pid")
        time.sleep(1000)
    os._exit(0)
os.wait()
"""
WAYS = {
    "setsid -f": f"setsid -f {DAEMON}; {ASLEEP}",
    "in the background": f"setsid {DAEMON} & {ASLEEP}",
    "nohup": f"nohup setsid {DAEMON} & {ASLEEP}",
    "double fork": f"{sys.executable} -c '{DOUBLE_FORK}'; {KNOWN}",
    "job control": f"set -m; setsid {DAEMON} & {ASLEEP}",
}
ways = pytest.mark.parametrize("script", WAYS.values(), ids=WAYS)


def _pid(bench: Bench) -> int:
    return int((bench.folder / "pid").read_text())


@ways
def test_wholly_means_that_nothing_it_started_outlives_it(
    bench: Bench, victims: list[int], script: str
) -> None:
    """What an agent's tools start in sessions of their own, as the programs do, is gone, and
    named.
    """
    done = bench.sh(f"{script} exit 3", wholly=True)

    victims.append(_pid(bench))
    [leftover] = done.leftovers
    assert (3, True) == (done.exit_code, leftover.startswith(f"pid {_pid(bench)} ("))
    assert not runs(_pid(bench))


@ways
def test_else_what_left_the_session_lives_on(bench: Bench, victims: list[int], script: str) -> None:
    """A server that a shell step starts for the steps after it."""
    done = bench.sh(script)

    victims.append(_pid(bench))
    assert () == done.leftovers
    assert runs(_pid(bench))


@ways
def test_a_timeout_reaches_it(
    bench: Bench, victims: list[int], script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is over when the daemon is known."""
    clock = Clock()
    monkeypatch.setattr(processes_module, "time", clock)

    with pytest.raises(StepTimeout):
        bench.sh(
            f"{script} echo started; sleep 1000",
            timeout=500,
            on_output=lambda _, data: clock.jump() if b"started" in data else None,
        )

    victims.append(_pid(bench))
    assert not runs(_pid(bench))


@ways
def test_a_stop_reaches_it(bench: Bench, victims: list[int], script: str) -> None:
    with pytest.raises(Stopped):
        bench.sh(f"{script} echo started; sleep 1000", on_output=bench.stop_at(b"started"))

    victims.append(_pid(bench))
    assert not runs(_pid(bench))


def test_a_failing_callback_leaves_nothing(bench: Bench, victims: list[int]) -> None:
    """However the engine goes on after its own bug, the step's processes do not."""

    def on_output(_: str, data: bytes) -> None:
        if b"started" in data:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        bench.sh(f"{WAYS['setsid -f']} echo started; sleep 1000", on_output=on_output)

    victims.append(_pid(bench))
    assert not runs(_pid(bench))


ENGINE = """
import json, os, pathlib, sys
from maverick.dsl.processes.processes import Processes, Stop
def note(groups):
    pathlib.Path("noted.tmp").write_text(json.dumps(groups))
    os.replace("noted.tmp", "noted")
Processes(Stop(), note, grace=5).run(["bash", "-c", sys.argv[1]], cwd=".", step="implement")
"""


def _killed_engine(folder: Path, script: str) -> list[NotedGroup]:
    """What an engine noted that was killed once *script* had made the file `ready`."""
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, script], cwd=folder)
    until((folder / "ready").exists)
    until(lambda: "pid" in json.loads((folder / "noted").read_text())[0])
    engine.kill()
    engine.wait()
    noted: list[NotedGroup] = json.loads((folder / "noted").read_text())
    return noted


@pytest.mark.parametrize("leader", ["runs", "is gone", "is not noted"])
def test_what_a_killed_run_left_is_stopped_in_whatever_session(
    bench: Bench, victims: list[int], leader: str
) -> None:
    """Also when nobody of the session is left by whom it could be known."""
    [group] = noted = _killed_engine(
        bench.folder, f"{WAYS['setsid -f']} touch ready; exec sleep 2000"
    )
    victims += [_pid(bench), group["pid"]]
    if leader == "is gone":
        os.kill(group["pid"], signal.SIGKILL)
        until(lambda: not runs(group["pid"]))
    if leader == "is not noted":
        del group["pid"], group["start_time"]

    [text] = stop_leftovers(noted)

    assert not any(map(runs, victims))
    assert f"pid {_pid(bench)} (sleep 1000)" in text
    assert [] == stop_leftovers(noted)


FORKING_ENGINE = """
import os, sys, time
from maverick.dsl.processes import child
from maverick.dsl.processes.processes import Processes, Stop
neighbour = child.subprocess.Popen(["sleep", "1000"])
print(neighbour.pid, file=open("neighbour", "w"), flush=True)
def held():
    os.kill(os.getppid(), 9)
    print(os.getpid(), file=open("pid.new", "w"), flush=True)
    os.rename("pid.new", "pid")
    while not os.path.exists("go"):
        time.sleep(0.002)
def note(groups):
    import json, pathlib
    pathlib.Path("noted").write_text(json.dumps(groups))
class Forks(child.subprocess.Popen):
    def __init__(self, *args, start_new_session, **options):
        early = sys.argv[1] == "early"  # Before setsid(2).
        super().__init__(
            *args, start_new_session=not early, preexec_fn=held, **options
        )
child.subprocess.Popen = Forks
Processes(Stop(), note).run(
    ["bash", "-c", "touch ran; sleep 1000 & wait"], cwd=".", step="implement"
)
"""


@pytest.mark.parametrize("session", ["early", "late"])
def test_a_fork_that_a_killed_run_left_never_begins_its_program(
    tmp_path: Path, victims: list[int], session: str
) -> None:
    """The engine is killed between fork(2) and execve(2). Its child has no mark in its environment
    yet, and may be in the engine's session, to which nothing is done.
    """
    engine = subprocess.Popen(
        [sys.executable, "-c", FORKING_ENGINE, session], cwd=tmp_path, start_new_session=True
    )
    engine.wait()
    until((tmp_path / "pid").exists)
    fork, neighbour = (int((tmp_path / name).read_text()) for name in ("pid", "neighbour"))
    victims += [fork, neighbour]
    [group] = noted = json.loads((tmp_path / "noted").read_text())
    assert ([fork], []) == (
        [process.pid for process in living(set(), {group["mark"]})],
        process_table._marks(fork),
    )

    stop_leftovers(noted)

    until(lambda: not runs(fork))
    assert (False, True) == ((tmp_path / "ran").exists(), runs(neighbour))


def test_a_fork_that_begins_its_program_after_the_kill_is_stopped(
    tmp_path: Path, victims: list[int]
) -> None:
    engine = subprocess.Popen([sys.executable, "-c", FORKING_ENGINE, "late"], cwd=tmp_path)
    engine.wait()
    (tmp_path / "go").touch()
    until((tmp_path / "ran").exists)
    victims += [int((tmp_path / name).read_text()) for name in ("pid", "neighbour")]
    noted = json.loads((tmp_path / "noted").read_text())

    [text] = stop_leftovers(noted)

    assert text.endswith("of step implement")
    assert [] == living({victims[0]}, {noted[0]["mark"]})


def test_a_process_that_has_the_name_of_its_own_forks_is_none_of_them() -> None:
    """The engine may work in its main thread, after which all of the process is named."""
    with process_table.naming_forks("0123456789abcdef"):
        assert [] == living(set(), {"0123456789abcdef"})


def test_a_thread_has_its_name_again(bench: Bench) -> None:
    """Whatever is forked meanwhile has the mark's; it is told in `ps -L`."""
    before = Path("/proc/thread-self/comm").read_bytes()

    bench.sh("true")
    with pytest.raises(StepFailed):
        bench.sh("x" * 1_000_000)

    assert before == Path("/proc/thread-self/comm").read_bytes()


def test_a_nested_run_s_processes_belong_to_both(bench: Bench, victims: list[int]) -> None:
    """What a run that a step starts leaves behind is reached by stopping the step."""
    (bench.folder / "engine.py").write_text(ENGINE)
    (bench.folder / "inner.sh").write_text(WAYS["setsid -f"])

    bench.sh(f"{sys.executable} engine.py 'bash inner.sh'", wholly=True)

    victims.append(_pid(bench))
    assert not runs(_pid(bench))


def test_a_nested_run_that_is_killed_takes_its_processes_along(
    tmp_path: Path, victims: list[int]
) -> None:
    """They are told when nobody is left who could tell them."""
    bench = Bench(tmp_path, grace=PATIENCE_SECONDS)
    (bench.folder / "engine.py").write_text(ENGINE)
    # What it says goes nowhere: the pipes break with the run that reads them, and SIGPIPE would end
    # it.
    inner = (
        "exec >/dev/null 2>&1; trap 'touch tidied; exit' TERM; echo $$ > pid.new; mv pid.new pid; "
    )
    (bench.folder / "inner.sh").write_text(f"{inner} while :; do sleep 0.01; done")

    with pytest.raises(Stopped):
        bench.sh(
            f"{sys.executable} engine.py 'bash inner.sh' & {KNOWN} echo started; wait",
            on_output=bench.stop_at(b"started"),
        )

    victims.append(_pid(bench))
    assert (False, True) == (runs(_pid(bench)), (bench.folder / "tidied").exists())


STOPPING_ENGINE = """
import signal
from maverick.dsl.processes.processes import Processes, Stop, Stopped
stop = Stop()
signal.signal(signal.SIGTERM, lambda *_: stop.request("SIGTERM"))
try:
    Processes(stop, lambda _: None).run(["bash", "inner.sh"], cwd=".")
except Stopped:
    pass
"""


def test_a_nested_run_s_processes_hear_a_stop_once(tmp_path: Path) -> None:
    """Many programs take a second signal for an order to leave without tidying up."""
    bench = Bench(tmp_path, grace=PATIENCE_SECONDS)
    (bench.folder / "engine.py").write_text(STOPPING_ENGINE)
    (bench.folder / "inner.sh").write_text(
        "trap 'echo told >> heard' TERM; touch ready; until test -e heard; do sleep 0.01; done; "
        "sleep 0.1"
    )

    with pytest.raises(Stopped):
        bench.sh(
            f"{sys.executable} engine.py & until test -e ready; do sleep 0.01; done; echo "
            "started; wait",
            on_output=bench.stop_at(b"started"),
        )

    assert "told\n" == (bench.folder / "heard").read_text()


def test_the_environment_names_all_groups_that_a_process_is_in(bench: Bench) -> None:
    """The outermost first."""
    done = bench.sh(f"echo ${MARK}", env={**os.environ, MARK: "outer"})

    assert f"outer:{bench.noted[0][0]['mark']}\n".encode() == done.stdout


def test_a_command_that_ends_by_itself_costs_no_look_at_environments(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading those of all processes is for agents, and for what is stopped."""
    read: list[int] = []
    marks = process_table._marks
    monkeypatch.setattr(process_table, "_marks", lambda pid: [read.append(pid), marks(pid)][1])

    bench.sh("true")
    assert [] == read

    bench.sh("true", wholly=True)
    assert 2 == read.count(os.getpid())  # And at every other one.


def test_a_command_that_ends_soon_costs_no_look_at_all_processes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is in its session whose pid was given before its own, or not yet."""
    looked: list[object] = []
    monkeypatch.setattr(process_table, "_living_on_linux", lambda *_: looked.append(0) or iter(()))
    monkeypatch.setattr(
        process_table,
        "_number_in",
        lambda file: {LAST_PID: bench.leader + 50, PID_MAX: 2**22}[file],
    )

    bench.sh("true")
    assert [] == looked

    bench.sh("sleep 1000 & true")
    assert looked
    monkeypatch.undo()
    groups.stop(groups.Reach(frozenset({bench.noted[-2][0]["pid"]})), grace=0)


LAST_PID, PID_MAX = process_table._LAST_PID, process_table._PID_MAX
PIDS = 6
"""As many as there are, in a small world."""


@given(
    first=st.integers(1, PIDS - 1),
    forks=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=PIDS * 3),
)
def test_a_session_of_which_somebody_is_left_never_counts_as_over(
    first: int, forks: list[tuple[bool, bool]]
) -> None:
    """Each fork is of the session or not, and may end at once. It gets the next pid that is free,
    and after the last pid the first.
    """
    inside = {first: True}
    last, given_pids = first, 0
    for is_inside, ends in forks:
        while last in inside and given_pids < 3 * PIDS:
            last, given_pids = last % PIDS + 1, given_pids + 1
        if not ends:
            inside[last] = is_inside
    others = [pid for pid, is_inside in inside.items() if is_inside and pid != first]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_table, "_number_in", {LAST_PID: last, PID_MAX: PIDS}.__getitem__)
        patch.setattr(process_table, "_session_of", lambda pid: first if inside.get(pid) else 0)
        said = process_table.is_surely_over(first, given_pids / process_table._FORKS_PER_SECOND)

    assert not (said and others)


def test_a_process_without_the_mark_is_no_member(victims: list[int]) -> None:
    """Nor one whose mark only begins as ours."""
    other = subprocess.Popen(["sleep", "1000"], env={MARK: "abc:def0"}, start_new_session=True)
    victims.append(other.pid)
    until(lambda: living(set(), {"def0"}))

    assert ([], [other.pid]) == (living(set(), {"def"}), [it.pid for it in living(set(), {"abc"})])
    other.kill()
    other.wait()


def test_a_process_that_changes_its_program_is_not_missed(
    tmp_path: Path, victims: list[int]
) -> None:
    """During execve(2) it has neither environment nor arguments, as far as /proc tells."""
    (tmp_path / "again").write_text("exec sh again\n")
    restless = subprocess.Popen(
        ["sh", "again"], cwd=tmp_path, env={MARK: "abc"}, start_new_session=True
    )
    victims.append(restless.pid)
    until(lambda: living(set(), {"abc"}))

    looks = [[it.command for it in living(set(), {"abc"})] for _ in range(300)]

    restless.kill()
    restless.wait()
    assert [["sh again"]] * len(looks) == looks


def test_a_process_without_an_environment_is_not_waited_for(
    victims: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = subprocess.Popen(["sleep", "1000"], env={}, start_new_session=True)
    dead = subprocess.Popen(["true"])
    victims.append(bare.pid)
    until(lambda: not runs(dead.pid) and process_table._started_with(bare.pid, "cmdline"))
    waits: list[float] = []
    monkeypatch.setattr(process_table.time, "sleep", waits.append)

    given = [process_table._started_with(pid, "environ") for pid in (bare.pid, dead.pid)]

    assert ([b"", b""], []) == (given, waits)
    for process in (bare, dead):
        process.kill()
        process.wait()


def test_what_execve_has_half_set_is_waited_for(
    victims: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where environment and arguments end is set after where they begin, for both are empty then;
    where the code ends, after both.
    """
    bare = subprocess.Popen(["sleep", "1000"], env={}, start_new_session=True)
    victims.append(bare.pid)
    until(lambda: process_table._started_with(bare.pid, "cmdline").startswith(b"sleep"))
    name, fields = process_table._stat(bare.pid)
    half_set = [*fields[:23], b"0", b"0", *fields[25:]]
    seen = iter([half_set, half_set, fields])
    waits: list[float] = []

    with monkeypatch.context() as patch:
        patch.setattr(process_table, "_stat", lambda _: (name, next(seen)))
        patch.setattr(process_table.time, "sleep", waits.append)
        given = process_table._started_with(bare.pid, "environ")

    assert (b"", 2) == (given, len(waits))
    bare.kill()
    bare.wait()


@pytest.mark.parametrize("by", ["pidfd", "pid"])
def test_a_signal_reaches_that_very_process_only(
    victims: list[int], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """A pid may have been given to another one; without pidfd, too (an old kernel)."""

    def missing(_: int) -> int:
        raise OSError(38, "no such call")

    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    victims.append(stranger.pid)
    process = process_table.find_process(stranger.pid)
    assert process is not None
    if by == "pid":
        monkeypatch.setattr(os, "pidfd_open", missing)

    send(process._replace(start_time=1), signal.SIGKILL)
    send_to_groups([process._replace(start_time=1)], signal.SIGKILL)
    assert runs(stranger.pid)

    send(process, signal.SIGKILL)
    assert -signal.SIGKILL == stranger.wait()
    send(process, signal.SIGKILL)
