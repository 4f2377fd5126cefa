"""What an agent's program and its tools start: gone when the step is over, however it ends."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from kit.agents import Agents
from kit.patience import GROWING_SECONDS, asleep
from kit.processes import runs, until
from kit.program import Program

DAEMON = "sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' > /dev/null 2>&1 < /dev/null"
SERVER = f"setsid {DAEMON} & until test -e pid; do sleep 0.01; done; {asleep('$(cat pid)')}; "
ASK = "- {name: ask, type: agent, agent: helper, context: {task: Write it}}"
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the session alone is known")


def _agent(agents: Agents, script: str, more: str = "") -> None:
    agents.runs.file("agent.sh", script)
    agents.configure(f"{{helper: {{provider: command, command: [sh, agent.sh], {more}}}}}")


def _pid(root: Path) -> int:
    return int((root / "pid").read_text())


@linux
@pytest.mark.parametrize("step", ["agent", "generate"])
def test_a_server_that_a_tool_started_ends_with_the_step_and_is_named(
    agents: Agents, step: str
) -> None:
    """Programs run each command of a tool in a session of its own, so that an ordinary `&` leaves
    it behind.
    """
    _agent(agents, SERVER + "echo Done.")
    flow = (
        ASK
        if step == "agent"
        else "- {name: ask, type: generate, generator: helper, context: {task: Write it}}"
    )

    done = agents.ask(flow=flow)

    pid = _pid(agents.runs.root)
    assert "Done." == done.output
    assert not runs(pid)
    assert [f"agent helper: stopped what it left running: pid {pid} (sleep 1000)"] == done.notices


@linux
def test_so_it_does_with_a_timeout(agents: Agents) -> None:
    for seconds in GROWING_SECONDS:
        _agent(agents, SERVER + "touch begun; sleep 1000", f"timeout: {seconds}")
        failed = agents.ask(flow=ASK)
        if (agents.runs.root / "begun").exists():
            break

    assert f"timeout of {seconds:g} s" in failed.error
    assert not runs(_pid(agents.runs.root))


@linux
def test_so_it_does_with_a_stop(agents: Agents) -> None:
    _agent(agents, SERVER + "touch $STANDIN_FOLDER/hanging; sleep 1000")
    with (agents.runs.root / "maverick.yaml").open("a") as config:
        config.write("processes: {grace: 0.2}\n")  # What is begun by `&` does not hear SIGINT.

    assert "paused" == agents.interrupt(ASK).status
    assert not runs(_pid(agents.runs.root))


@linux
def test_so_it_does_when_the_program_itself_was_killed(agents: Agents) -> None:
    """The system does when memory is short; then nobody stops what the program had started."""
    _agent(agents, SERVER + "kill -KILL $$")

    assert "killed by SIGKILL" in agents.ask(flow=ASK).error
    assert not runs(_pid(agents.runs.root))


def test_what_a_killed_run_s_agent_left_is_gone_on_resuming(tmp_path: Path) -> None:
    """Its processes, in whatever session; and the files that it was given, which hold its
    context.
    """
    program = Program(tmp_path / "project")
    (tmp_path / "tmp").mkdir()
    program.environment["TMPDIR"] = str(tmp_path / "tmp")
    program.file("maverick.yaml", "agents: {helper: {provider: command, command: [sh, agent.sh]}}")
    leaving = SERVER if sys.platform == "linux" else SERVER.replace("setsid ", "")
    program.file(
        "agent.sh", f"test -e pid && echo Done. && exit; {leaving} touch $MARK; sleep 1000"
    )
    program.flow(ASK)
    program.begin("run", "flow.yaml").wait_for(program.mark).signal(signal.SIGKILL).end()
    pid = _pid(program.root)
    assert runs(pid)
    [folder] = (tmp_path / "tmp").iterdir()
    assert ["context.json"] == [file.name for file in folder.glob("*/*")]

    resumed = program.run("run", "flow.yaml", "--resume")

    assert 0 == resumed.code, resumed.err
    assert f"pid {pid} (sleep 1000)" in resumed.err
    until(lambda: not runs(pid))
    assert [] == list((tmp_path / "tmp").iterdir())
