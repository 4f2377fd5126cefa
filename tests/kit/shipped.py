"""Projects in which the workflows that ship are run: a git repository, its remote, agents that are
scripts, and `gh`.

The agents are one shell script: the implementer writes the files that a phase names and ticks them,
the issue fixer writes `fix-<number>`; what they write breaks validation where the text says
`break`, and the validation fixer mends it. Where the text says `refused`, they change nothing and
say so; where it says `forget`, the implementer ticks nothing.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kit.faults import Killed
from kit.repositories import Repository
from kit.shards import shard_of
from maverick.checkpoints import Checkpoint, Store
from maverick.dsl.events import Event
from maverick.dsl.journal.recorder import Recorder
from maverick.dsl.workflow.outcome import Outcome
from maverick.project import Project
from maverick.runs import start as engine
from maverick.runs.request import Request, Session
from maverick.runs.resume import resume

STANDINS = Path(__file__).parents[1] / "standins"
TASKS = """\
# Tasks

## Phase 1: Begin

- [ ] write file-one

## Phase 2: Break it

- [ ] write file-two and break

## Phase 3: Done before

- [x] write file-zero
"""
_AGENT = """\
#!/bin/sh
prompt=$(cat)
echo "$MAVERICK_AGENT $PWD" >> "$AGENT_LOG"
case $MAVERICK_AGENT in
  implementer)
    case $prompt in *" refused"*) echo "I could not do it: the edit was refused."; exit 0;; esac
    for file in $(echo "$prompt" | grep -o 'file-[a-z]*' | sort -u); do
      echo "$file" > "$file"
      case $prompt in *" forget"*) ;; *) sed -i "s/- \\[ \\] write $file/- [x] write $file/" tasks.md;; esac
    done
    case $prompt in *" break"*) echo broken > broken;; esac
    echo "Wrote the files." ;;
  issue_fixer)
    number=$(echo "$prompt" | sed -n 's/.*"number": \\([0-9]*\\).*/\\1/p' | head -1)
    echo "$prompt" | grep -q '"title": .*refused' && { echo "I could not do it: the edit was refused."; exit 0; }
    echo "$prompt" | grep -q '"title": .*break' && echo broken > broken
    echo "half" > "fix-$number"
    echo "$prompt" | grep -q '"title": .*impossible' && { echo "it cannot be done" >&2; exit 1; }
    echo "fix of $number" > "fix-$number"
    echo "Resolved issue $number." ;;
  validation_fixer)
    case $prompt in *hopeless*) ;; *) rm -f broken ;; esac
    echo "Mended." ;;
  code_reviewer)
    echo '{"summary": "Fine.", "issues": [{"severity": "minor", "file": "file-one", "line": 1, "message": "short"}]}' ;;
esac
"""
_CONFIG = """\
agents:
  implementer: {provider: command, command: [sh, -c, '. "$AGENT_SCRIPT"']}
  issue_fixer: {provider: command, command: [sh, -c, '. "$AGENT_SCRIPT"']}
  validation_fixer: {provider: command, command: [sh, -c, '. "$AGENT_SCRIPT"']}
  code_reviewer: {provider: command, command: [sh, -c, '. "$AGENT_SCRIPT"']}
validation:
  stages: {whole: test ! -e broken}
"""


@dataclass(slots=True)
class Execution:
    """What came of a run: its last outcome, and the events of all its executions."""

    outcome: Outcome
    events: list[Event] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    """The steps that came to their record, in all of its executions."""
    kills: list[str] = field(default_factory=list)
    """Those of them at which it was killed, after their effect and before their record."""

    @property
    def output(self) -> dict[str, Any]:
        """The run's output."""
        assert isinstance(self.outcome.output, dict), self.outcome
        return self.outcome.output

    def labels(self) -> list[str]:
        """The labels that were made, in their order."""
        return [event.message for event in self.events if event.event == "checkpoint_saved"]


class Workshop:
    """A project with a remote; `hub` says whether there is a GitHub beside it."""

    def __init__(self, folder: Path, *, hub: bool = True, config: str = "") -> None:
        self.folder = folder
        self.remote = Repository(folder / "remote")
        self.repository = Repository(folder / "project")
        self.hub = folder / "hub"
        self.log = folder / "agents.log"
        for path in (self.remote.folder, self.repository.folder, self.hub, folder / "home"):
            path.mkdir(parents=True)
        (folder / "agent.sh").write_text(_AGENT)
        self.environment = {**os.environ, "HOME": str(folder / "home")}
        self.environment |= {"AGENT_LOG": str(self.log), "AGENT_SCRIPT": str(folder / "agent.sh")}
        self.environment.pop("GH_REPO", None)
        if hub:
            self.environment["PATH"] = f"{STANDINS}{os.pathsep}{os.environ['PATH']}"
            self.environment["GH_STANDIN"] = str(self.hub)
            (self.hub / "remote").write_text(self.remote.cwd)
            config += "github: {repo: ada/engine}\n"
        self.remote.git("init", "-q", "--bare")
        self.repository.git("init", "-q")
        self.repository.write("maverick.yaml", _CONFIG + config)
        self.repository.write("tasks.md", TASKS)
        self.repository.git("add", "--all")
        self.repository.git("commit", "-q", "-m", "first")
        self.repository.git("remote", "add", "origin", self.remote.cwd)
        self.repository.git("push", "-q", "-u", "origin", "main")

    # --- what there is ---

    @property
    def root(self) -> Path:
        """The project's root."""
        return self.repository.folder

    @property
    def pulls(self) -> list[dict[str, Any]]:
        """The pull requests on GitHub."""
        path = self.hub / "pulls.json"
        pulls: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
        return pulls

    @property
    def asked(self) -> list[str]:
        """What `gh` was asked, such as `pr create`, or `api PATCH`, which edits a pull request."""
        lines = (self.hub / "log").read_text().splitlines() if (self.hub / "log").exists() else []
        asked = [json.loads(line) for line in lines]
        return ["api PATCH" if "PATCH" in words else " ".join(words[:2]) for words in asked]

    @property
    def agents(self) -> list[str]:
        """The agents that were asked, in their order."""
        return (
            [line.split()[0] for line in self.log.read_text().splitlines()]
            if self.log.exists()
            else []
        )

    def tree(self, branch: str) -> str:
        """What a branch of the remote holds, as an id."""
        return self.remote.git("rev-parse", f"{branch}^{{tree}}")

    def worktrees(self) -> list[str]:
        """The work trees that git knows."""
        return self.repository.git("worktree", "list", "--porcelain").split("\n\n")

    def issues(self, *titles: str, label: str = "tech-debt") -> None:
        """Let GitHub, or the project's folder, have these issues, numbered from 1."""
        if (self.hub / "remote").exists():
            found = [
                {
                    "number": number, "title": title, "body": f"about {title}", "state": "OPEN", "url": f"u/{number}",
                    "author": {"login": "bob"}, "labels": [{"name": label}], "comments": [],
                }
                for number, title in enumerate(titles, start=1)
            ]  # fmt: skip
            (self.hub / "issues.json").write_text(json.dumps(found))
            return
        for number, title in enumerate(titles, start=1):
            self.repository.write(
                f".maverick/issues/{number}.md",
                f"---\ntitle: {title}\nlabels: [{label}]\n---\nabout {title}\n",
            )

    # --- running ---

    def start(self, workflow: str, **inputs: Any) -> Execution:
        """Run a workflow to its end."""
        events: list[Event] = []
        project = Project(self.root, self.environment)
        request = Request(workflow=workflow, inputs=inputs)
        return Execution(engine.start(project, request, Session(observe=events.append)), events)

    def resume(self, workflow: str, **options: Any) -> Execution:
        """Resume the newest run of a workflow."""
        events: list[Event] = []
        project = Project(self.root, self.environment)
        request = Request(workflow=workflow, **options)
        return Execution(resume(project, request, Session(observe=events.append)), events)

    def done(self, workflow: str, **inputs: Any) -> dict[str, Any]:
        """Run a workflow, which has to be done in the end, and give its output."""
        execution = self.start(workflow, **inputs)
        assert execution.outcome.status == "done", execution.outcome.error
        return execution.output

    def killed_everywhere(
        self,
        monkeypatch: pytest.MonkeyPatch,
        workflow: str,
        shard: int | None = None,
        **inputs: Any,
    ) -> Execution:
        """Run a workflow that is killed at each step (those of *shard*, if one is given), after its
        effect and before its record, and resumed.
        """
        recorded: list[str] = []
        kills: list[str] = []
        events: list[Event] = []
        with _killing(monkeypatch, recorded, kills, shard):
            act, given = engine.start, inputs
            while True:
                before = len(kills)
                session = Session(observe=events.append)
                request = Request(workflow=workflow, inputs=given)
                try:
                    outcome = act(Project(self.root, self.environment), request, session)
                except Killed:
                    act, given = resume, {}
                    continue
                assert len(kills) == before
                return Execution(outcome, events, recorded, kills)


@contextmanager
def _killing(
    monkeypatch: pytest.MonkeyPatch, recorded: list[str], kills: list[str], shard: int | None
) -> Any:
    """Kill whatever is about to record a step for the first time, and all that goes on beside
    it.
    """
    finish = Recorder.finish
    dead: set[int] = set()

    def finish_or_die(self: Recorder, path: str, *args: Any, **options: Any) -> Checkpoint:
        if path not in recorded:
            recorded.append(path)
            if shard is None or shard == shard_of(path):
                kills.append(path)
                dead.add(id(self))
        if id(self) in dead:
            raise Killed
        return finish(self, path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "finish", finish_or_die)
        yield


def names_of(paths: Sequence[str]) -> set[str]:
    """The last names of step paths, without their positions."""
    return {path.rpartition(".")[2].partition("[")[0] for path in paths}


def without(output: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """*output* without what differs from run to run."""
    return {name: value for name, value in output.items() if name not in names}


__all__ = ["STANDINS", "TASKS", "Execution", "Store", "Workshop", "names_of", "without"]
