"""What the step types have in common: the tools they use, and the shape of what they prepare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.events import Observer, ignore
from maverick.dsl.journal.running import Running
from maverick.dsl.journal.sessions import Sessions
from maverick.dsl.processes.secrets import Scrubber
from maverick.record import record
from maverick.repositories import environment_in

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.durations import Limit
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.journal.logs import LogStream
    from maverick.dsl.processes.child import StreamName
    from maverick.dsl.processes.processes import Processes
    from maverick.dsl.processes.stop_request import Stop
    from maverick.dsl.workflow.model import KeepFiles, Workflow
    from maverick.values import Value


def _nowhere(_stream: LogStream, _data: bytes) -> None:
    """Keep nothing."""


@record(kw_only=True)
class Tools:
    """What a walk works with. `environment` is what `env.NAME` reads, and what `environment_in`
    gives.
    """

    root: Path
    catalog: Catalog
    stop: Stop
    processes: Processes
    environment: Mapping[str, str]
    scrub: Scrubber = field(default_factory=Scrubber)
    """Masks secrets; `processes` has done so with what processes write."""
    observe: Observer = ignore
    keep_logs: bool = True
    """Whether what steps write is kept (`logs: false` in maverick.yaml says no)."""
    sessions: Sessions = field(default_factory=Sessions)
    """Of agents that an earlier execution was interrupted with."""
    running: Running = field(default_factory=Running)
    """Told which steps are at work, for those who look at the run meanwhile."""

    def environment_in(self, folder: str | Path) -> Mapping[str, str]:
        """What a process of a step inherits in *folder*: variables of git stay in the project's own
        repository.
        """
        # `root` may be a step's `cwd`
        return environment_in(self.environment, folder, self.catalog.root)

    def workflow(self, reference: str, calling_file: str) -> Workflow:
        """The workflow that a step of *calling_file* names."""
        return self.catalog.workflow(reference, calling_file)


@record(kw_only=True)
class Attempt:
    """One attempt at a step: what its work may use."""

    path: str
    frame: Frame
    limit: Limit | None
    """How long it may take; None is for ever."""
    environment: Mapping[str, str]
    """Added to the environment of the step's processes."""
    say: Callable[[StreamName, bytes], None]
    """Told what the step writes, as it comes, without secrets: for those who watch, and for its
    log.
    """
    keep: Callable[[LogStream, bytes], None] = _nowhere
    """Told what belongs in the step's log only."""
    facts: dict[str, object] = field(default_factory=dict)
    """What to keep of it beside its output, the same for all attempts: tokens, costs; values of
    JSON, 3 kB in all.
    """


class Work(NamedTuple):
    """What a step would do: `parts` make its key (null parts are left out), `run` does it once.

    `run` raises StepFailed, or Stopped when a stop is requested; it gives any object, normalised by
    the caller.
    """

    parts: Mapping[str, Value]
    run: Callable[[Attempt], object]
    label: str = ""
    """Of the checkpoint that recording the step makes."""
    workspace: KeepFiles | None = None
    """Whether that one keeps the project's files; None leaves it to the workflow."""
    folder: Path | None = None
    """Where it is done, if the step names a folder of its own for all that it does."""
