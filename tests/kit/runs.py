"""`Runs`: a project in a temporary folder whose workflows are started, killed at any point, and
resumed.

A simulated kill raises `Killed` at a *point* (an event, or a change to the store's files); from
then on every point raises it, in whichever thread, so that nothing that happens after the kill
reaches the store. Syncing is left out.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from textwrap import dedent

from kit.faults import Killed, WatchedFiles
from kit.surroundings import PLAIN_GIT
from maverick.checkpoints import Store
from maverick.dsl.events import Event
from maverick.dsl.workflow.outcome import Outcome, Status
from maverick.project import Project
from maverick.runs import start as engine
from maverick.runs.request import Request, Session
from maverick.runs.resume import resume
from maverick.values import Value

_numbers = count()
POINTS = {"create", "pwrite", "overwrite"}
"""The operations on the store's files that are points."""
_ACTIONS = '''
import os, pathlib, threading

LOG = pathlib.Path(__file__).with_name("log")


def _log(text):
    descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\\n".encode())
    os.close(descriptor)


def _times(text):
    return LOG.read_text().splitlines().count(text)


def do(name, output=None):
    """Write the name down and give the output (default: the name)."""
    _log(name)
    return name if output is None else output


def give(output=None):
    """Give the output."""
    return output


def fail(name, message="broken"):
    """Fail each time."""
    _log(name)
    raise ValueError(message)


def flaky(name, failures=1):
    """Fail the first times that it is called."""
    _log(name)
    if _times(name) <= failures:
        raise ValueError(f"failure {_times(name)} of {name}")
    return name


def unless(name, path):
    """Fail while the file is not there."""
    _log(name)
    if not (LOG.parent / path).exists():
        raise ValueError(f"{path} is not there")
    return name


def make(name, path):
    """Make the file."""
    _log(name)
    (LOG.parent / path).write_text("made")
    return path
'''


class _Point:
    """Ends the process at the point that `kills` is true of."""

    def __init__(self, kills: Callable[[int, str, str], bool]) -> None:
        self._kills = kills
        self._lock = threading.Lock()
        self.points: list[str] = []
        self.dead = False

    def reach(self, kind: str, step: str = "") -> None:
        with self._lock:
            if self.dead or self._kills(len(self.points), kind, step):
                self.dead = True
                raise Killed
            self.points.append(f"{kind} {step}".strip())


class PointedFiles(WatchedFiles):
    """Reaches a point ahead of each new file and each write into one that is there; counts what
    else is done.
    """

    def __init__(self, point: _Point) -> None:
        super().__init__()
        self._point = point
        self.bytes_written = 0
        self.reads = 0
        self.syncs = 0

    @classmethod
    def unwatched(cls) -> PointedFiles:
        """Files at which nothing is killed."""
        return cls(_Point(_nowhere))

    def before(self, operation: str) -> None:
        if operation in POINTS or self._point.dead:
            self._point.reach(operation)
        super().before(operation)

    def write(self, descriptor: int, data: bytes) -> None:
        super().write(descriptor, data)
        self.bytes_written += len(data)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> None:
        super().pwrite(descriptor, data, offset)
        self.bytes_written += len(data.rstrip(b"\0"))

    def sync(self, descriptor: int) -> None:
        self.syncs += 1

    def pread(self, path: Path, offset: int, length: int) -> bytes:
        self.reads += 1
        return super().pread(path, offset, length)


class _Project(Project):
    def __init__(self, root: Path, environment: Mapping[str, str], files: PointedFiles) -> None:
        super().__init__(root, environment)
        self._files = files

    def open_store(self) -> Store:
        super().open_store()
        return Store.open(self.store_folder, files=self._files)

    def create_store(self) -> Store:
        return Store.create(self.store_folder, files=self._files)


@dataclass(slots=True)
class Execution:
    """What one `start` or `resume` did. `outcome` is None if it was killed, or stopped by the error
    `raised`.
    """

    files: PointedFiles
    point: _Point
    events: list[Event] = field(default_factory=list)
    outcome: Outcome | None = None
    killed: bool = False

    @property
    def status(self) -> str:
        """`done`, `failed`, `paused`, or `killed`."""
        return "killed" if self.outcome is None else self.outcome.status

    @property
    def output(self) -> Value:
        """The run's output."""
        assert self.outcome is not None
        return self.outcome.output

    @property
    def error(self) -> str:
        """Why it failed; empty if it did not."""
        assert self.outcome is not None
        return self.outcome.error or ""

    @property
    def executed(self) -> list[str]:
        """The paths of the steps that ran themselves (no loops, branches, sub-workflows), in the
        order they began.
        """
        return self._leaves("step_started")

    @property
    def recalled(self) -> list[str]:
        """The paths of the steps that were recalled."""
        return [event.step for event in self.events if event.event == "step_recalled"]

    @property
    def skipped(self) -> list[str]:
        """The paths of the steps whose `when` was false."""
        return [event.step for event in self.events if event.event == "step_skipped"]

    @property
    def failed(self) -> list[str]:
        """The paths of the steps that failed themselves."""
        return self._leaves("step_failed")

    @property
    def notices(self) -> list[str]:
        """What was told beside."""
        return [event.message for event in self.events if event.event == "notice"]

    def _leaves(self, kind: str) -> list[str]:
        return [
            event.step for event in self.events if event.event == kind and not _is_composite(event)
        ]


def _is_composite(event: Event) -> bool:
    if event.type == "validate":
        # The step, and each of its attempts (`check[0]`), are of this type.
        return not event.step.endswith("]") or event.step.rpartition("[")[2].startswith('"')
    return event.type in {"loop", "branch", "subworkflow"}


class Runs:
    """A project at *root* with one main workflow, `flow.yaml`, and the actions `do give fail flaky
    unless make`.
    """

    def __init__(
        self, root: Path, workflow: str = "", *, actions: str = "", config: str = ""
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.module = f"actions_of_test_{next(_numbers)}"
        home = str(root / "home")
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": home,
            "LANG": "C.UTF-8",
            **PLAIN_GIT,
        }
        self.set_actions(actions)
        self.file("maverick.yaml", f"actions: [{self.module}]\n{dedent(config)}")
        if workflow:
            self.flow(workflow)

    # --- the project ---

    def flow(self, steps: str) -> None:
        """Make *steps* (a whole workflow, or what stands below its name) the main workflow."""
        self.file("flow.yaml", whole(steps, "flow"))

    def edit(self, old: str, new: str) -> None:
        """Change the text of the main workflow."""
        text = (self.root / "flow.yaml").read_text()
        assert old in text, f"{old!r} is not in the workflow"
        self.file("flow.yaml", text.replace(old, new))

    def file(self, name: str, text: str) -> Path:
        """Make the file *name* of the project hold *text*, dedented."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def set_actions(self, source: str = "") -> None:
        """Make *source* the project's actions, beside those that every test has."""
        self.file(f"{self.module}.py", _ACTIONS + dedent(source))
        self.forget_modules()

    def forget_modules(self) -> None:
        """Let the next execution import the project's actions anew, as another process would."""
        sys.modules.pop(self.module, None)
        importlib.invalidate_caches()
        (
            self.root
            / "__pycache__"
            / f"{self.module}.cpython-{sys.version_info[0]}{sys.version_info[1]}.pyc"
        ).unlink(missing_ok=True)

    @property
    def log(self) -> list[str]:
        """What the actions wrote down, in all executions."""
        path = self.root / "log"
        return path.read_text().splitlines() if path.exists() else []

    @cached_property
    def store(self) -> Store:
        """The project's store, to look into."""
        return Store.open(self.root / ".maverick" / "checkpoints")

    @property
    def run(self) -> str:
        """The id of the newest run."""
        return Store.open(self.root / ".maverick" / "checkpoints").refs()[0].run

    def value(self, path: str, revision: str = "@latest") -> Value:
        """The value at *path*, such as `steps/fetch` or `output`."""
        return Store.open(self.root / ".maverick" / "checkpoints").load(revision).value(path)

    def status(self, path: str) -> Status:
        """How the step at *path* was recorded in the newest run."""
        import json  # noqa: PLC0415

        entry = (
            Store.open(self.root / ".maverick" / "checkpoints")
            .load("@latest")
            .entry(("steps", path))
        )
        status: Status = json.loads(entry.note)["status"]
        return status

    # --- executions ---

    def start(self, **inputs: Value) -> Execution:
        """Start a run and execute it to its end."""
        return self._execute(engine.start, _request(inputs), _nowhere)

    def resume(self, revision: str = "", *, stop_at: str = "", **options: object) -> Execution:
        """Resume a run. *options* are those of `runs.Request`, such as `policy` and `inputs`;
        *stop_at* as below.
        """
        request = Request(**{"workflow": "flow.yaml", "revision": revision, **options})  # type: ignore[arg-type]
        return self._execute(resume, request, _nowhere, stop_at=stop_at)

    def kill_before(self, step: str, **inputs: Value) -> Execution:
        """Start a run and kill it just before the step at the path *step* runs."""
        return self._killed(
            engine.start, _request(inputs), lambda _, kind, at: (kind, at) == ("step_started", step)
        )

    def kill_after(self, step: str, **inputs: Value) -> Execution:
        """Start a run and kill it when *step* has ended and is recorded."""
        return self._killed(
            engine.start,
            _request(inputs),
            lambda _, kind, at: at == step and kind in {"step_done", "step_failed"},
        )

    def kill_unrecorded(self, step: str, **inputs: Value) -> Execution:
        """Start a run and kill it when *step* has run, before it is recorded."""
        return self._killed(engine.start, _request(inputs), _after(step))

    def kill_at(self, number: int, *, resuming: bool = False, **options: object) -> Execution:
        """Start (or resume) a run and kill it at its point *number* (from 0); `killed` is false if
        it has fewer.
        """
        request = Request(**{"workflow": "flow.yaml", **options})  # type: ignore[arg-type]
        act = resume if resuming else engine.start
        return self._execute(act, request, lambda point, _kind, _step: point == number)

    def break_at(self, number: int, error: Exception, *, resuming: bool = False) -> Execution:
        """Start (or resume) a run in which *error* is raised once: where a file of the store is
        made or written into for the time *number* (from 0).

        Raises *error* if it is raised before there is a run.
        """
        made = -1

        def breaks(_point: int, kind: str, _step: str) -> bool:
            nonlocal made
            made += kind in POINTS
            if kind in POINTS and made == number:
                raise error
            return False

        request = Request(workflow="flow.yaml")
        return self._execute(resume if resuming else engine.start, request, breaks)

    def resume_killed_before(self, step: str, **options: object) -> Execution:
        """Resume a run and kill it just before *step* runs."""
        request = Request(**{"workflow": "flow.yaml", **options})  # type: ignore[arg-type]
        return self._killed(
            resume, request, lambda _, kind, at: (kind, at) == ("step_started", step)
        )

    def watched(self, watch: Callable[[Execution, Event], None], **inputs: Value) -> Execution:
        """Start a run; *watch* is told of each event, and of the execution as it stands then."""
        return self._execute(engine.start, _request(inputs), _nowhere, watch=watch)

    def stop_at(self, step: str, **inputs: Value) -> Execution:
        """Start a run and ask it to stop (as SIGINT does) when *step* begins."""
        return self._execute(engine.start, _request(inputs), _nowhere, stop_at=step)

    def _killed(
        self,
        act: Callable[[Project, Request, Session], Outcome],
        request: Request,
        kills: Callable[[int, str, str], bool],
    ) -> Execution:
        execution = self._execute(act, request, kills)
        assert execution.killed, f"no such point; there were {execution.point.points}"
        return execution

    def _execute(
        self,
        act: Callable[[Project, Request, Session], Outcome],
        request: Request,
        kills: Callable[[int, str, str], bool],
        stop_at: str = "",
        watch: Callable[[Execution, Event], None] = lambda _execution, _event: None,
    ) -> Execution:
        point = _Point(kills)
        execution = Execution(PointedFiles(point), point)

        def observe(event: Event) -> None:
            point.reach(event.event, event.step)
            execution.events.append(event)
            watch(execution, event)
            if stop_at and (event.event, event.step) == ("step_started", stop_at):
                session.stop.request("SIGINT")

        session = Session(observe=observe)
        try:
            execution.outcome = act(
                _Project(self.root, self.environment, execution.files), request, session
            )
        except BaseException:
            # Once it is dead, whatever else its threads ran into is of no account.
            if not point.dead:
                raise
            execution.killed = True
        finally:
            sys.path[:] = [entry for entry in sys.path if entry != str(self.root)]
        return execution


def whole(steps: str, name: str) -> str:
    """A workflow's text: *steps*, with the head that it needs if it has none."""
    text = dedent(steps).strip("\n") + "\n"
    if text.startswith("- "):
        text = "steps:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    return text if "version:" in text else f'version: "1.0"\nname: {name}\n{text}'


def _request(inputs: Mapping[str, Value]) -> Request:
    return Request(workflow="flow.yaml", inputs=inputs)


def _nowhere(_number: int, _kind: str, _step: str) -> bool:
    return False


def _after(step: str) -> Callable[[int, str, str], bool]:
    begun = False

    def kills(_number: int, kind: str, at: str) -> bool:
        nonlocal begun
        begun = begun or (kind, at) == ("step_started", step)
        return begun and kind in POINTS

    return kills
