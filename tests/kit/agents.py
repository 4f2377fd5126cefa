"""A project whose agents are played by the stand-ins of `tests/standins`, in real processes."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kit.patience import wait_until
from kit.runs import Execution, Runs
from maverick.checkpoints import Store
from maverick.dsl.events import Event
from maverick.dsl.processes.stop_request import Stop
from maverick.dsl.workflow.outcome import Outcome
from maverick.errors import StepFailed
from maverick.project import Project
from maverick.runs import start as engine
from maverick.runs.request import Request, Session

STANDINS = Path(__file__).parents[1] / "standins"
PROGRAMS = ("claude", "codex", "gemini", "opencode", "copilot")
ASK = """
- name: ask
  type: agent
  agent: helper
  context: {task: Write it}
"""


class Agents:
    """What a test says to the stand-ins, and what they were given."""

    def __init__(self, runs: Runs, folder: Path) -> None:
        self.runs = runs
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in PROGRAMS:
            self.program(name, f'exec "{sys.executable}" -S "{STANDINS / name}" "$@"')
        runs.environment["PATH"] = f"{self.bin}{os.pathsep}{runs.environment['PATH']}"
        runs.environment["STANDIN_FOLDER"] = str(folder)
        self.events: list[Event] = []
        self.play()

    def program(self, name: str, script: str) -> Path:
        """Put a shell script on PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def play(self, *scenarios: dict[str, Any]) -> None:
        """What the next calls are to do, one after the other; the last one again and again."""
        (self.folder / "calls.jsonl").unlink(missing_ok=True)
        (self.folder / "script.json").write_text(json.dumps(scenarios or [{}]))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What each call was given: program, argv, prompt, env, cwd."""
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def words(self) -> list[list[str]]:
        """The arguments of each call."""
        return [call["argv"] for call in self.calls]

    @property
    def prompts(self) -> list[str]:
        """The prompt of each call."""
        return [call["prompt"] for call in self.calls]

    def configure(self, agents: str) -> None:
        """Make *agents*, a flow mapping, what maverick.yaml says of agents."""
        self.runs.file("maverick.yaml", f"agents: {agents}\n")

    def helper(self, provider: str, more: str = "") -> None:
        """Let the agent `helper` be played by *provider*; OpenCode gets the model that it needs."""
        model = "model: some/model, " if provider == "opencode" and "model" not in more else ""
        self.configure(f"{{helper: {{provider: {provider}, {model}{more}}}}}")

    def ask(
        self, provider: str = "", *scenarios: dict[str, Any], more: str = "", flow: str = ASK
    ) -> Execution:
        """Run *flow*, whose step `ask` asks `helper`."""
        if provider:
            self.helper(provider, more)
        if scenarios:
            self.play(*scenarios)
        self.runs.flow(flow)
        return self.runs.start()

    def failure(
        self, provider: str, *scenarios: dict[str, Any], more: str = "", flow: str = ASK
    ) -> str:
        """Why such a run fails, without the name of the step."""
        execution = self.ask(provider, *scenarios, more=more, flow=flow)
        assert execution.status == "failed"
        return execution.error.removeprefix("step ask: ")

    def refusal(self, provider: str = "", *, more: str = "", flow: str = ASK) -> str:
        """Why such a run is not even begun."""
        with pytest.raises(StepFailed) as caught:
            self.ask(provider, more=more, flow=flow)
        assert not (self.runs.root / ".maverick" / "checkpoints").exists()
        assert [] == self.calls
        return str(caught.value)

    def interrupt(self, flow: str = ASK) -> Outcome:
        """Run *flow*, and ask it to stop once the agent hangs."""
        self.runs.flow(flow)
        (self.folder / "hanging").unlink(missing_ok=True)
        session = Session(observe=self.events.append, stop=Stop())

        def stop() -> None:
            wait_until((self.folder / "hanging").exists, "the agent hangs")
            session.stop.request("SIGINT")

        watcher = threading.Thread(target=stop)
        watcher.start()
        try:
            project = Project(self.runs.root, self.runs.environment)
            return engine.start(project, Request(workflow="flow.yaml"), session)
        finally:
            watcher.join()

    def facts(self, step: str = "ask") -> dict[str, Any]:
        """What is kept of *step* beside its output, in the newest run."""
        store = Store.open(self.runs.root / ".maverick" / "checkpoints")
        entry = store.load("@latest").find_fact(("steps", step))
        assert entry is not None
        facts: dict[str, Any] = json.loads(entry.note)
        return facts

    def spoken(self, execution: Execution) -> str:
        """What the step showed while it ran."""
        return "".join(
            str(event.data["text"]) for event in execution.events if event.event == "step_output"
        )
