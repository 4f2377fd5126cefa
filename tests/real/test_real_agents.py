"""The real agent programs, against a stand-in for their models: what maverick relies on, each of
them keeps.

`scripts/test --agents` runs these. Each program has a home of its own for each test, so that tests
do not meet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.models_server import MODEL, Hang, ModelServer, Run, Say, Write
from kit.program import Program
from kit.real import forget_sessions, installed, node_environment
from kit.runs import Execution, Runs
from maverick.checkpoints import Store
from maverick.dsl.agents.provider import load_provider
from maverick.dsl.processes.stop_request import Stop
from maverick.project import Project
from maverick.runs import start as engine
from maverick.runs.request import Request, Session

pytestmark = pytest.mark.agents
NAMES = ("claude", "claude-2.1.197", "codex", "gemini", "opencode", "copilot")
PATIENCE_SECONDS = 120
FREE = {
    "claude": "permission_mode: bypassPermissions, env: {IS_SANDBOX: '1'}",
    "codex": "sandbox: danger-full-access",
    "gemini": "approval_mode: yolo",
    "opencode": "args: []",
    "copilot": "args: [--allow-all-tools]",
}
"""The options with which a program may run any command."""
BOUND = {
    "claude": "permission_mode: dontAsk",
    "gemini": "approval_mode: default",
    "copilot": "allowed_tools: read",
    "opencode": "args: []",
}
"""The options with which a program refuses an edit."""
ASK = "- {name: ask, type: agent, agent: helper, context: {task: Write it}}"


class Real:
    """A project with an agent that a real program plays, and the server of its model."""

    def __init__(self, name: str, runs: Runs, server: ModelServer, home: Path) -> None:
        self.provider = name.partition("-")[0]
        self.runs = runs
        self.server = server
        self.home = home
        version = name.partition("-")[2] or "newest"
        runs.environment.clear()
        runs.environment.update(node_environment(home, server.url, bin_=version))
        subprocess.run(["git", "init", "-q", "-b", "main", runs.root], check=True)
        self.helper()

    def helper(self, options: str = "args: []", more: str = "") -> None:
        """Configure the agent."""
        model = f"model: standin/{MODEL}, " if load_provider(self.provider).needs_model else ""
        agent = f"{{provider: {self.provider}, {model}timeout: 100s, options: {{{options}}}{more}}}"
        self.runs.file("maverick.yaml", f"agents: {{helper: {agent}}}\n")

    def ask(self, flow: str = ASK) -> Execution:
        """Ask it to `Write it`."""
        self.runs.flow(flow)
        return self.runs.start()

    def interrupt(self) -> str:
        """Ask it, and stop the run once the model hangs; give the status."""
        self.runs.flow(ASK)
        session = Session(observe=lambda _: None, stop=Stop())

        def stop() -> None:
            self.server.hanging.wait(PATIENCE_SECONDS)
            session.stop.request("SIGINT")

        watcher = threading.Thread(target=stop)
        watcher.start()
        try:
            project = Project(self.runs.root, self.runs.environment)
            return engine.start(project, Request(workflow="flow.yaml"), session).status
        finally:
            watcher.join()


@pytest.fixture(params=NAMES)
def real(request: pytest.FixtureRequest, runs: Runs, tmp_path: Path) -> Iterator[Real]:
    name: str = request.param
    if installed(name) is None:
        pytest.fail(f"{name} is not installed: run `scripts/test --agents`")
    with ModelServer(runs.root).serving() as server:
        yield Real(name, runs, server, tmp_path / "home")


def test_gives_its_answer_and_names_its_session(real: Real) -> None:
    real.server.play("Write it", Say("It is written."))

    execution = real.ask()

    assert ("It is written.", []) == (execution.output, execution.notices), execution.error
    assert facts(real)["session"]


def test_edits_a_file_without_asking_anybody(real: Real) -> None:
    real.server.play("Write it", Write("made.txt", "hello\n"), Say("Done."))

    execution = real.ask()

    assert "Done." == execution.output, execution.error
    assert "hello\n" == (real.runs.root / "made.txt").read_text()


def test_runs_a_command_where_it_is_allowed_to(real: Real) -> None:
    real.helper(FREE[real.provider])
    real.server.play("Write it", Run("echo hello > made.txt"), Say("Done."))

    execution = real.ask()

    assert ("Done.", []) == (execution.output, execution.notices), execution.error
    assert "hello\n" == (real.runs.root / "made.txt").read_text()


def test_corrects_an_answer_that_does_not_fit_the_schema_in_its_session(real: Real) -> None:
    real.server.play("Write it", Say("Three."))
    real.server.play("Your answer is not what was asked for", Say('```json\n{"n": 3}\n```'))

    execution = real.ask(f"{ASK[:-1]}, output_schema: {{type: object, required: [n]}}}}")

    assert {"n": 3} == execution.output, execution.error
    assert any("Write it" in prompt for prompt in real.server.asked[-1].prompts[:-1])


def test_tells_of_an_edit_that_was_refused(real: Real) -> None:
    """Codex tells nothing of it; OpenCode, which has no switch, ends without a word."""
    if real.provider == "codex":
        real.helper("sandbox: read-only")
    else:
        real.helper(BOUND[real.provider])
    name = "../outside.txt" if real.provider == "opencode" else "made.txt"
    real.server.play("Write it", Write(name, "hello\n"), Say("I could not."))

    execution = real.ask()

    told = [
        notice for notice in execution.notices if "was not permitted to do, or failed at" in notice
    ]
    assert (real.provider != "codex") == bool(told)
    assert ("failed" if real.provider == "opencode" else "done") == execution.status
    assert not (real.runs.root / name).exists()


def test_says_how_to_log_in_where_its_key_is_refused(real: Real) -> None:
    real.server.refuse(401)

    execution = real.ask()

    assert "failed" == execution.status
    assert execution.error.endswith(load_provider(real.provider).login)
    assert "took longer" not in execution.error


def test_gets_over_one_limit(real: Real) -> None:
    """By itself, or by maverick's attempt."""
    real.server.refuse(429, 1)
    real.server.play("Write it", Say("After all."))

    execution = real.ask()

    assert "After all." == execution.output, execution.error


def test_says_what_the_model_refuses_in_words(real: Real) -> None:
    real.server.refuse(400)

    execution = real.ask()

    assert "this model does not take images" in execution.error
    assert '{"' not in execution.error
    assert load_provider(real.provider).login not in execution.error


def test_goes_on_in_its_session_after_a_pause(real: Real) -> None:
    real.server.play("Write it", Write("made.txt", "half\n"), Hang())
    status = real.interrupt()
    real.server.play("You were interrupted", Say("Went on."))

    resumed = real.runs.resume()

    assert ("paused", "Went on.") == (status, resumed.output), resumed.error
    assert any(kind == "call" for kind, _ in real.server.asked[-1].turns)


def test_begins_anew_where_its_session_is_lost(real: Real) -> None:
    real.server.play("Write it", Write("made.txt", "half\n"), Hang())
    real.interrupt()
    forget_sessions(real.home)
    real.server.play("Write it", Say("Begun anew."))

    resumed = real.runs.resume()

    assert "Begun anew." == resumed.output, resumed.error
    assert ["a new one is begun"] == [notice.rpartition("; ")[2] for notice in resumed.notices]


def test_goes_on_after_maverick_was_killed(real: Real) -> None:
    """And nothing of the killed run is left when the next one begins."""
    program = Program(real.runs.root)
    program.environment |= real.runs.environment
    real.helper()
    real.runs.flow(ASK)
    real.server.play("Write it", Write("made.txt", "half\n"), Hang())
    running = program.begin("run", "flow.yaml")
    assert real.server.hanging.wait(PATIENCE_SECONDS)
    running.signal(signal.SIGKILL).end()
    real.server.play("You were interrupted", Say("Went on."))

    ended = program.run("run", "flow.yaml", "--resume", "--json")

    assert 0 == ended.code, ended.err
    assert "Went on." in ended.out
    assert any(kind == "call" for kind, _ in real.server.asked[-1].turns)


def test_leaves_nothing_running_when_its_step_has_ended(real: Real) -> None:
    """A server in the background, each in a session of its own: claude, gemini and opencode begin
    one for a command.
    """
    real.helper(FREE[real.provider])
    command = "nohup sleep 300 >/dev/null 2>&1 & echo $! > pid"
    real.server.play("Write it", Run(command), Say("It serves."))

    execution = real.ask()

    assert "It serves." == execution.output, execution.error
    assert not _runs(int((real.runs.root / "pid").read_text()))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2:3]


def facts(real: Real) -> dict[str, Any]:
    """What is kept of the agent beside its answer."""
    entry = (
        Store.open(real.runs.root / ".maverick" / "checkpoints")
        .load("@latest")
        .find_fact(("steps", "ask"))
    )
    assert entry is not None
    kept: dict[str, Any] = json.loads(entry.note)["agent"]
    return kept
