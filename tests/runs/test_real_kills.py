"""Real processes, real kills: what a simulated one cannot show of locks, children and files."""

from __future__ import annotations

import os
import select
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

import pytest

from kit.program import Program
from maverick.dsl.processes.groups import find_process, members

COUNTING = """
steps:
  - name: each
    type: loop
    MARKS
    for_each: [0, 1, 2, 3]
    steps:
      - name: one
        type: shell
        env: {N: "${{ item }}"}
        run: |
          echo one-$N >> log
          test $N != 2 || test -e fixed || { touch $MARK; sleep 600; }
      - {name: two, type: shell, run: "echo two-$N >> log; echo $N", env: {N: "${{ item }}"},
         parse: json}
outputs: ${{ [steps.each.output[0].value, steps.each.output[3].value] }}
"""


@pytest.fixture
def pids(program: Program) -> Iterator[Path]:
    """A file into which steps write the pids of what they leave behind; none of it survives the
    test.
    """
    path = program.root / "pids"
    yield path
    for pid in path.read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), SIGKILL)


def _lives(pid: int) -> bool:
    process = find_process(pid)
    return process is not None and not process.zombie


@pytest.mark.parametrize("marks", ["description: in a row", "max_concurrency: 2"])
def test_a_killed_process_s_run_goes_on_at_once(program: Program, marks: str) -> None:
    """Nothing has to be cleaned up by hand; what was recorded does not run again."""
    program.flow(COUNTING.replace("MARKS", marks))
    program.begin("run", "flow.yaml").wait_for(program.mark).signal(SIGKILL).end()
    assert "killed" == program.run("runs", "--json").json[0]["status"]
    program.file("fixed", "")

    resumed = program.run("run", "flow.yaml", "--resume", "--json")

    assert (0, [0, 3]) == (resumed.code, resumed.json["output"])
    times = Counter((program.root / "log").read_text().split())
    assert {f"{step}-{number}" for step in ("one", "two") for number in range(4)} == set(times)
    assert 2 == times.pop("one-2")
    concurrent = 0 if "row" in marks else 1
    assert sum(times.values()) - len(times) <= concurrent


def test_what_a_killed_run_left_running_is_stopped_and_named(program: Program, pids: Path) -> None:
    """Before anything runs, so that two attempts at a step never run side by side."""
    program.flow("""
    - {name: work, type: shell, run: "test -e fixed || { echo $$ >> pids; touch $MARK; sleep 600; }"}
    """)
    program.begin("run", "flow.yaml").wait_for(program.mark).signal(SIGKILL).end()
    shell = int(pids.read_text())
    assert _lives(shell)
    program.file("fixed", "")

    resumed = program.run("run", "flow.yaml", "--resume")

    assert 0 == resumed.code
    assert "stopped what was left of the interrupted run" in resumed.err
    assert f"pid {shell} " in resumed.err
    assert "of step work" in resumed.err
    assert not _lives(shell)


KILLING = """
import os
import signal
point = os.environ.get("KILLED")
if point:
    import subprocess
    from maverick.dsl.processes import child
    from maverick.dsl.processes.processes import Processes

    def kill(*_):
        os.kill(os.getpid(), 9)

    def after(function, when=lambda *_: True):
        def call(*args, **options):
            value = function(*args, **options)
            if when(*args):
                kill()
            return value
        return call

    def told(*args, **options):
        value = popen(*args, **options)
        print(value.pid, file=open("pids", "a"), flush=True)
        return value

    def held():
        print(os.getpid(), file=open("pids", "a"), flush=True)
        os.kill(os.getppid(), 9)
        os.closerange(3, 1000)  # As it is when it comes to execve(2).
        signal.pause()

    popen, remember = child._popen, Processes._remember
    child._popen = told
    if point == "noted":
        Processes._remember = after(remember)
    elif point == "forked":
        class Forks(subprocess.Popen):
            def __init__(self, *args, **options):
                super().__init__(*args, preexec_fn=held, **options)
        child.subprocess.Popen = Forks
    elif point == "started":
        child._popen = after(told)
    elif point == "its pid noted":
        Processes._remember = after(remember, lambda _, group: "pid" in group)
    elif point == "ended":
        Processes._complete = after(Processes._complete)
    elif point == "forgotten":
        Processes._forget = after(Processes._forget)
"""
"""A module that Python imports as it starts: it kills the process where `KILLED` says."""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a gate is closed by the kill")
@pytest.mark.parametrize(
    ("point", "begun", "left"),
    [
        ("noted", 0, False),
        ("forked", 1, False),
        ("started", 1, True),
        ("its pid noted", 1, True),
        ("ended", 1, False),
        ("forgotten", 1, False),
    ],
)
def test_killed_anywhere_while_it_starts_or_ends_a_command_a_run_leaves_nothing(
    program: Program, pids: Path, point: str, begun: int, left: bool
) -> None:
    """Once it is resumed; whether or not it came to note who leads the command."""
    program.flow("""
    - {name: work, type: shell, run: 'test -z "${KILLED-}" || sleep 600 &'}
    """)
    pids.touch()
    hooks = program.file("hooks/sitecustomize.py", KILLING).parent
    path = f"{hooks}:{program.environment['PYTHONPATH']}"

    killed = program.run("run", "flow.yaml", KILLED=point, PYTHONPATH=path)

    leaders = [int(pid) for pid in pids.read_text().split()]
    assert (-SIGKILL, begun) == (killed.code, len(leaders))
    resumed = program.run("run", "flow.yaml", "--resume")
    assert (0, left) == (resumed.code, "was left of the interrupted run: pid" in resumed.err)
    assert [] == [process for leader in leaders for process in members(leader)]
    assert not any(map(_lives, leaders))


def test_a_daemon_that_a_step_left_behind_does_not_own_the_run(
    program: Program, pids: Path
) -> None:
    """It inherits all that a child can inherit, and has left its session on purpose."""
    program.flow("""
    - name: work
      type: shell
      run: |
        test -e fixed && exit
        setsid --fork sh -c 'echo $$ >> pids; touch $MARK; exec sleep 600'
        sleep 600
    """)
    program.begin("run", "flow.yaml").wait_for(program.mark).signal(SIGKILL).end()
    program.file("fixed", "")

    assert _lives(int(pids.read_text().split()[0]))
    assert 0 == program.run("run", "flow.yaml", "--resume").code


def test_a_daemon_of_a_finished_step_does_not_own_the_run(program: Program, pids: Path) -> None:
    """The step has ended, the daemon lives on with whatever it inherited, and the process is killed
    later.
    """
    program.flow("""
    - name: serve
      type: shell
      run: "setsid --fork sh -c 'echo $$ >> pids; exec sleep 600' > /dev/null 2>&1; while ! test -s pids; do :; done"
    - {name: work, type: shell, run: "test -e fixed || { touch $MARK; sleep 600; }"}
    """)
    program.begin("run", "flow.yaml").wait_for(program.mark).signal(SIGKILL).end()
    program.file("fixed", "")

    resumed = program.run("run", "flow.yaml", "--resume", "--json")

    assert (0, 1, 1) == (
        resumed.code,
        resumed.json["steps"]["ran"],
        resumed.json["steps"]["recalled"],
    )


def test_of_two_processes_that_resume_one_run_one_wins(program: Program) -> None:
    """The other gets exit 11 and the winner's pid, and changes nothing."""
    program.flow("""
    - {name: fail, type: shell, run: "test -e begun || { touch begun; exit 1; }"}
    - {name: work, type: shell, run: "echo work >> log; touch $MARK; while ! test -e fixed; do sleep 0.01; done"}
    """)
    assert 1 == program.run("run", "flow.yaml").code

    both = [program.begin("run", "flow.yaml", "--resume") for _ in range(2)]
    patience = iter(range(3_000))
    while all(_lives(each.pid) for each in both) and next(patience, None) is not None:
        select.select([], [], [], 0.01)
    loser, winner = sorted(both, key=lambda each: _lives(each.pid))
    winner.wait_for(program.mark)
    program.file("fixed", "")
    lost, won = loser.end(), winner.end()

    assert (11, 0) == (lost.code, won.code)
    assert f"process {winner.pid}" in lost.err
    assert ["work"] == (program.root / "log").read_text().split()
