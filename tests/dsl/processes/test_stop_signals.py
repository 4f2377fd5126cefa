"""Which signals a stopped command gets, and how long it has to tidy up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from signal import SIGTERM

import pytest

from kit.patience import ASLEEP, GROWING_SECONDS, PATIENCE_SECONDS
from kit.processes import IGNORES_TERM, Bench, Clock, runs
from maverick.dsl.durations import GRACE_SECONDS
from maverick.dsl.processes import processes as processes_module
from maverick.dsl.processes.groups import Reach, stop
from maverick.dsl.processes.process_table import find_process
from maverick.dsl.processes.processes import Processes, Stopped
from maverick.dsl.processes.stop_request import Stop
from maverick.errors import StepTimeout

RECORDS = (
    "trap 'echo INT >> heard' INT; trap 'echo TERM >> heard; exit' TERM; echo x; while :; do "
    "sleep 0.01; done"
)


def _stopped_by(bench: Bench, reason: str, script: str) -> list[str]:
    def on_output(*_: object) -> None:
        if not bench.stop.requested:
            bench.stop.request(reason)

    with pytest.raises(Stopped):
        bench.sh(script, on_output=on_output)
    heard = bench.folder / "heard"
    return heard.read_text().split() if heard.exists() else []


def test_ctrl_c_is_handed_on_and_sigterm_follows_when_half_of_the_grace_is_over(
    tmp_path: Path,
) -> None:
    """Programs that tell both apart (terraform, pytest) get the one that a person sent."""
    for seconds in GROWING_SECONDS:
        (tmp_path / str(seconds)).mkdir()
        heard = _stopped_by(Bench(tmp_path / str(seconds), grace=seconds), "SIGINT", RECORDS)
        if "TERM" in heard:
            break

    assert ["INT", "TERM"] == heard


def test_what_ends_by_sigint_hears_no_sigterm(tmp_path: Path) -> None:
    script = (
        "trap 'echo TERM >> heard' TERM; trap 'echo INT >> heard; exit' INT; echo x; while :; do "
        "sleep 0.01; done"
    )

    assert ["INT"] == _stopped_by(Bench(tmp_path, grace=1e6), "SIGINT", script)


@pytest.mark.parametrize("reason", ["SIGTERM", "SIGHUP", "the run"])
def test_any_other_stop_begins_with_sigterm(tmp_path: Path, reason: str) -> None:
    assert ["TERM"] == _stopped_by(Bench(tmp_path, grace=1e6), reason, RECORDS)


def test_a_timeout_begins_with_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, grace=1e6)
    clock = Clock()
    monkeypatch.setattr(processes_module, "time", clock)

    with pytest.raises(StepTimeout):
        bench.sh(RECORDS, timeout=500, on_output=clock.jump)

    assert "TERM\n" == (tmp_path / "heard").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="what a process ignores is known on Linux only")
def test_background_jobs_that_cannot_hear_sigint_do_not_take_half_of_the_grace(
    tmp_path: Path,
) -> None:
    """A shell lets them ignore it. With a grace of days, this ends only because they get SIGTERM at
    once.
    """
    bench = Bench(tmp_path, grace=1e6)

    assert [] == _stopped_by(bench, "SIGINT", f"sleep 1000 & {ASLEEP}; echo $!; wait")
    assert not runs(bench.leader)


def test_a_clean_up_s_own_commands_are_not_told(tmp_path: Path) -> None:
    """They began after the signal, and are what it was sent for."""
    bench = Bench(tmp_path, grace=PATIENCE_SECONDS)
    (bench.folder / "clean.sh").write_text("trap 'touch hurt' TERM; sleep 0.1; touch cleaned")

    _stopped_by(
        bench, "SIGTERM", "trap 'bash clean.sh; exit' TERM; echo x; while :; do sleep 0.01; done"
    )

    assert (True, False) == ((bench.folder / "cleaned").exists(), (bench.folder / "hurt").exists())


def test_a_command_s_own_grace_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ignores SIGTERM: with the bench's grace it would end in days."""
    bench = Bench(tmp_path, grace=1e6)
    clock = Clock()
    monkeypatch.setattr(processes_module, "time", clock)

    with pytest.raises(StepTimeout):
        bench.sh(IGNORES_TERM, timeout=500, grace=0.05, on_output=clock.jump)

    assert [0.05] == [group["grace"] for group in bench.noted[0]]


def test_ten_seconds_are_the_default() -> None:
    """As `docker stop`; what releases a lock in 4 s is not killed."""
    assert (10.0, GRACE_SECONDS) == (GRACE_SECONDS, Processes(Stop(), lambda _: None)._grace)


def test_nothing_to_stop_is_stopped() -> None:
    assert [] == stop(Reach(frozenset([2**22 + 1]), frozenset(["no such mark"])), first=SIGTERM)


# --- the engine itself may stand still: Ctrl-Z, a container that is paused, a laptop that sleeps --


def test_what_ended_meanwhile_was_in_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps past the timeout between the command's last word and its end, which nobody
    has seen.
    """
    clock = Clock()

    def on_output(*_: object) -> None:
        leader = bench.leader
        while (process := find_process(leader)) and not process.zombie:
            pass
        clock.jump()

    monkeypatch.setattr(processes_module, "time", clock)

    done = bench.sh("echo fine", timeout=100, on_output=on_output)

    assert (0, b"fine\n") == (done.exit_code, done.stdout)


def test_what_did_not_end_is_late(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(processes_module, "time", clock)

    with pytest.raises(StepTimeout):
        bench.sh("echo begun; exec sleep 1000", timeout=100, on_output=clock.jump)


REAPING = """
import ctypes, os, sys
from maverick.dsl.processes import groups, processes
from maverick.dsl.processes.processes import Processes, Stop
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
groups.PATIENCE_SECONDS = 0.0
processes.REAP_SECONDS = 0.01
mine = Processes(Stop(), lambda _: None)
mine._reaper.is_init = sys.argv[1] == "init"
def children():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):  # Others come and go.
            continue
        if int(parent) == os.getpid():
            found[pid] = state
    return found
mine.run(["bash", "-c", sys.argv[2]], cwd=".")
while set(children().values()) - {"Z"}:  # Not yet at their end.
    pass
mine.run(["bash", "-c", "true"], cwd=".")
print(children())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come to process 1 elsewhere")
@pytest.mark.parametrize("role", ["init", "subreaper"])
def test_orphans_are_reaped(tmp_path: Path, role: str) -> None:
    """As process 1 of a container nobody else does, and the pids of a host are few. Those that
    ended in a session of their own, too.
    """
    script = "(true & echo); (setsid -f true); (sleep 0.01 &); setsid -f sleep 0.01"

    done = subprocess.run(
        [sys.executable, "-c", REAPING, role, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("{}\n", "") == (done.stdout, done.stderr)
