"""Signals to real processes: what a person presses and what a supervisor sends."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

from kit.processes import until
from kit.program import Program, Running, read_terminal
from maverick.cli.terminal.interrupt import GaveUp, Signals, attend, catching
from maverick.dsl.processes.stop_request import Stop

WAITING = """
    - {name: first, type: shell, run: "echo one"}
    - {name: wait, type: shell, run: "test -e fixed || { touch $MARK; sleep 600; }"}
    - {name: last, type: shell, run: "echo three"}
    """
HANGING = """
import asyncio, os, pathlib, signal, threading, time

def hang():
    pathlib.Path(os.environ["MARK"]).touch()
    threading.Thread(target=time.sleep, args=(600,)).start()
    time.sleep(600)

async def ignore():
    pathlib.Path(os.environ["MARK"]).touch()
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass
"""


HOLDING = """
import os, pathlib, re

def hold():
    pathlib.Path(os.environ["MARK"]).touch()
    re.match("^(a+)+$", "a" * 64 + "!")
"""


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_signal_ends_an_action_with_a_timeout_whatever_it_does(
    program: Program, number: signal.Signals
) -> None:
    """Also one that holds the interpreter: it has a process of its own."""
    program.file("holding.py", HOLDING)
    program.flow("- {name: wait, type: python, action: 'holding:hold', timeout: 1h}")

    ended = program.begin("run", "flow.yaml").wait_for(program.mark).signal(number).end()

    assert 130 == ended.code
    assert "paused" == program.run("runs", "--json").json[0]["status"]


def test_sigquit_ends_an_action_that_holds_the_interpreter_and_the_run_can_be_resumed(
    program: Program,
) -> None:
    """Without a timeout it shares maverick's process, where no other signal but SIGKILL is heard:
    docs say so.
    """
    program.file("holding.py", HOLDING)
    program.flow("""
    - {name: first, type: shell, run: "echo one"}
    - {name: wait, type: python, action: 'holding:hold'}
    """)

    ended = program.begin("run", "flow.yaml").wait_for(program.mark).signal(signal.SIGQUIT).end()

    assert -signal.SIGQUIT == ended.code
    assert "killed" == program.run("runs", "--json").json[0]["status"]
    program.file("holding.py", "def hold(): return 'held'\n")
    assert {"ran": 1, "recalled": 1, "skipped": 0, "failed": 0, "reused": 0} == program.run(
        "run", "flow.yaml", "--resume", "--json"
    ).json["steps"]


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_signal_ends_the_check_of_an_answer_by_a_slow_pattern(
    program: Program, number: signal.Signals
) -> None:
    program.file("maverick.yaml", "agents: {x: {provider: command, command: [sh, agent.sh]}}\n")
    program.file("agent.sh", 'cat > /dev/null; echo \'{"a": "%s!"}\'\n' % ("a" * 64))
    program.flow("""
    - name: ask
      type: agent
      agent: x
      output_schema: {type: object, properties: {a: {pattern: "^(a+)+$"}}}
    """)
    running = program.begin("run", "flow.yaml", "--plain").wait_for_line("a!")

    assert 130 == running.signal(number).end().code


@pytest.mark.parametrize("action", ["hang", "ignore"])
def test_an_action_that_hangs_does_not_keep_the_command(program: Program, action: str) -> None:
    """A thread cannot be stopped, and Python waits for those that are no daemons; the run is saved
    all the same.
    """
    program.file("acts.py", HANGING)
    program.flow(
        "- {name: first, type: shell, run: 'true'}\n- {name: stuck, type: python, action: "
        f"'acts:{action}'}}"
    )

    ended = program.begin("run", "flow.yaml", "--json").wait_for(program.mark).signal(SIGINT).end()

    assert (130, "paused", 1) == (ended.code, ended.json["status"], ended.json["steps"]["ran"])


def test_a_second_signal_ends_the_grace_of_a_process_that_ignores_the_first(
    program: Program,
) -> None:
    program.flow(
        "- {name: stubborn, type: shell, run: \"trap '' INT TERM; touch $MARK; while :; do sleep "
        '600; done"}'
    )

    running = program.begin("run", "flow.yaml").wait_for(program.mark).signal(SIGINT)
    ended = running.wait_for_line("once more stops at once").signal(SIGINT).end()

    assert 130 == ended.code
    assert ended.last_line.startswith("maverick run flow.yaml --resume=flow-")


TIDYING = (
    "trap 'sleep 0.2; touch tidied; exit 1' TERM; touch $MARK; while :; do sleep 0.01 || :; done"
)


@pytest.mark.skipif(shutil.which("timeout") is None, reason="there is no timeout(1)")
def test_a_supervisor_that_signals_the_child_and_its_group_asks_once(program: Program) -> None:
    """As `timeout` does: the step has its grace."""
    program.flow(f'- {{name: tidying, type: shell, run: "{TIDYING}"}}')

    ended = (
        program.begin("run", "flow.yaml", "--json", under=["timeout", "600"])
        .wait_for(program.mark)
        .signal(SIGTERM)
    )

    assert "paused" == ended.end().json["status"]
    assert (program.root / "tidied").exists()


def test_signals_count_as_one_until_it_is_said_what_the_first_does() -> None:
    now = [100.0]
    signals = Signals(Stop(), clock=lambda: now[0])

    signals.handle(SIGTERM, None)
    signals.handle(SIGTERM, None)
    now[0] += 0.9
    signals.handle(SIGINT, None)
    assert (True, False) == (signals.stop.requested, signals.stop.urgent)

    signals.announce(print)
    signals.handle(SIGTERM, None)
    assert signals.stop.urgent


def test_who_cannot_be_told_may_ask_again_after_a_second() -> None:
    """A terminal that takes nothing (Ctrl-S) keeps what would be said."""
    now = [100.0]
    signals = Signals(Stop(), clock=lambda: now[0])

    signals.handle(SIGINT, None)
    now[0] += 1.0
    signals.handle(SIGINT, None)

    assert signals.stop.urgent


def test_nohup_keeps_a_run_alive_when_the_terminal_goes(program: Program) -> None:
    program.flow(
        "- {name: wait, type: shell, run: 'touch $MARK; until test -e go; do sleep 0.01; done'}"
    )
    before = signal.signal(SIGHUP, signal.SIG_IGN)
    try:
        running = program.begin("run", "flow.yaml")
    finally:
        signal.signal(SIGHUP, before)

    running.wait_for(program.mark).signal(SIGHUP)
    program.file("go", "")

    assert 0 == running.end().code


def test_ctrl_c_at_a_terminal_reaches_the_run_s_processes_once(program: Program) -> None:
    """The whole foreground group gets the signal; steps are in sessions of their own, and the run
    hands it on.
    """
    program.flow("""
    - name: wait
      type: shell
      grace: 10m
      run: |
        trap 'echo INT >> heard; sleep 0.1; exit' INT
        trap 'echo TERM >> heard' TERM
        touch $MARK
        until test -e heard; do sleep 0.01; done
    """)
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _AT_ITS_TERMINAL, "run", "flow.yaml"],
        cwd=program.root,
        env=program.environment,
        stdin=theirs,
    ) as process:
        os.close(theirs)
        Running(process).wait_for(program.mark)
        os.write(terminal, b"\x03")
        shown = read_terminal(terminal).decode()
    os.close(terminal)

    assert 130 == process.returncode
    assert shown.splitlines()[-1].startswith("maverick run flow.yaml --resume=flow-")
    assert "INT\n" == (program.root / "heard").read_text()


_AT_ITS_TERMINAL = """
import os, sys
os.login_tty(0)
os.execv(sys.executable, [sys.executable, "-m", "maverick", *sys.argv[1:]])
"""


# --- waiting for a run, in this process ---


def test_what_the_work_gives_or_raises_is_given_or_raised() -> None:
    signals = Signals(Stop())

    assert 7 == attend(lambda: 7, signals, print)
    with pytest.raises(ZeroDivisionError):
        attend(lambda: 1 // 0, signals, print)


def test_signals_are_told_of_while_the_work_goes_on() -> None:
    """The main thread sleeps without a timeout; the signal has to wake it, in whichever thread it
    arrives.
    """
    stop = Stop()
    told: list[str] = []

    def work() -> str:
        os.kill(os.getpid(), SIGTERM)
        stop.wait()
        return stop.reason

    with catching(stop) as signals:
        assert "SIGTERM" == attend(work, signals, told.append)
    assert set(told) <= {"SIGTERM: stopping what runs and saving the run; once more stops at once"}


def test_work_that_does_not_end_is_given_up_after_the_second_signal() -> None:
    stop, never = Stop(), threading.Event()
    told: list[str] = []

    def work() -> None:
        os.kill(os.getpid(), SIGINT)
        until(lambda: told)
        os.kill(os.getpid(), SIGTERM)
        never.wait()

    with catching(stop) as signals, pytest.raises(GaveUp):
        attend(work, signals, told.append, patience=0.2)
    never.set()
    assert "stopping at once" == told[-1]


def test_the_third_signal_ends_even_an_engine_that_hangs(program: Program) -> None:
    """Whatever goes wrong inside: who asks three times gets the prompt back."""
    hang = "import maverick.runs.start, os, pathlib, threading\n"
    hang += (
        "maverick.runs.start.start = lambda *a: (pathlib.Path(os.environ['MARK']).touch(), "
        "threading.Event().wait())\n"
    )
    program.file("sitecustomize.py", hang)
    program.environment["PYTHONPATH"] += f"{os.pathsep}{program.root}"
    program.flow(WAITING)

    running = program.begin("run", "flow.yaml").wait_for(program.mark).signal(SIGINT)
    running.wait_for_line("once more stops at once").signal(SIGINT)
    ended = running.wait_for_line("stopping at once").signal(SIGINT).end()

    assert 130 == ended.code
