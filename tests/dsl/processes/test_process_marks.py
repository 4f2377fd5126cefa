"""Processes that leave their step's session: known by their mark, wherever they went (Linux)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.patience import PATIENCE_SECONDS, asleep
from kit.processes import Bench, Clock, runs, until
from maverick.dsl.processes import process_table
from maverick.dsl.processes import processes as processes_module
from maverick.dsl.processes.process_table import MARK, living, send, send_to_groups
from maverick.dsl.processes.processes import NotedGroup, Stopped, stop_leftovers
from maverick.errors import StepTimeout

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
    engine.kill()
    engine.wait()
    noted: list[NotedGroup] = json.loads((folder / "noted").read_text())
    return noted


@pytest.mark.parametrize("leader", ["runs", "is gone"])
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

    [text] = stop_leftovers(noted)

    assert not any(map(runs, victims))
    assert f"pid {_pid(bench)} (sleep 1000)" in text
    assert [] == stop_leftovers(noted)


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
