"""The page of a run: every step with what became of it, what failed and why, what it cost.

It is made of the run's facts. The records are read only of a run whose facts are missing or
damaged; outputs only of steps that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from maverick.dsl.journal.tally import Execution
from maverick.dsl.journal.tree import RunTree
from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.costs import Costs
from maverick.dsl.workflow.items import item_name
from maverick.errors import MaverickError
from maverick.views.recorded import RecordedSteps
from maverick.visible import iso_time

if TYPE_CHECKING:
    from maverick.values import Value

StepStatus: TypeAlias = Literal["done", "failed", "skipped", "running", "waiting", "pending"]
Facts: TypeAlias = Mapping[str, Any]
"""What is noted of a step. Known fields are what they should be: `RunTree` left out the others."""
_COMPOSITES: Final = frozenset({"loop", "parallel", "branch", "subworkflow"})


class AgentUse(NamedTuple):
    """Who played the agent of a step, and what that cost; None is what no program told."""

    provider: str | None
    model: str | None
    session: str | None
    tokens_in: int | None
    tokens_out: int | None
    usd: float | None


@dataclass(slots=True, kw_only=True, eq=False)
class StepRow:
    """One step of a run. `started` is in milliseconds since the epoch.

    `passed` is False for a validation that did not pass; `execution` counts from 1.
    """

    path: StepPath
    type: str
    status: StepStatus
    label: str | None = None
    started: int | None = None
    seconds: float | None = None
    attempts: int | None = None
    agent: AgentUse | None = None
    reused_from: str | None = None
    assumed: bool = False
    passed: bool | None = None
    facts: Facts = field(default_factory=dict)
    load_error: Callable[[], str | None] = lambda: None

    @property
    def error(self) -> str | None:
        """Why it failed, or did not come to its end."""
        return self.load_error()

    @property
    def is_composite(self) -> bool:
        """Whether it is made of steps; each attempt of a `validate` step is not."""
        return self.type in _COMPOSITES or (self.type == "validate" and self.path[-1:] != "]")

    @property
    def execution(self) -> int:
        """The execution of the run in which it ran."""
        execution: int = self.facts.get("execution", 1)
        return execution

    def to_json(self) -> dict[str, Any]:
        """Give the step as `show --json` has it."""
        return {
            "path": str(self.path),
            "type": self.type,
            "status": self.status,
            "label": self.label,
            "started": None if self.started is None else iso_time(self.started),
            "seconds": self.seconds,
            "attempts": self.attempts,
            "error": self.error,
            "reused_from": self.reused_from,
            "assumed": self.assumed,
            "agent": None if self.agent is None else self.agent._asdict(),
        }


@dataclass(slots=True, eq=False)
class StepNode:
    """A step, an iteration, or the workflow itself, with what stands in it.

    `row` is None of an iteration, and of a step of which nothing is known.
    """

    path: StepPath
    row: StepRow | None = None
    inner: list[StepNode] = field(default_factory=list)

    def rows(self) -> Iterator[StepRow]:
        """Yield the steps here and below, those around others first."""
        if self.row is not None:
            yield self.row
        for node in self.inner:
            yield from node.rows()

    @property
    def is_iteration(self) -> bool:
        """Whether it is an iteration, or an attempt at a validation."""
        return self.path.endswith("]")

    @property
    def status(self) -> StepStatus:
        """Its own status, else what those in it come to."""
        if self.row is not None:
            return self.row.status
        every = {node.status for node in self.inner}
        order: tuple[StepStatus, ...] = ("failed", "waiting", "running", "pending", "done")
        return next((status for status in order if status in every), "skipped")

    @property
    def seconds(self) -> float | None:
        """How long it took, as far as that is known."""
        if self.row is not None and self.row.seconds is not None:
            return self.row.seconds
        spans: dict[int, tuple[int, int]] = {}
        for row in self.rows():
            if row.started is not None:
                begin, end = row.started, row.started + round((row.seconds or 0) * 1000)
                earlier = spans.get(row.execution, (begin, end))
                spans[row.execution] = (min(begin, earlier[0]), max(end, earlier[1]))
        # What lies between two executions is no time that it took.
        return sum(end - begin for begin, end in spans.values()) / 1000 if spans else None


@dataclass(slots=True, kw_only=True, eq=False)
class RunPage:
    """What is known of a run at a checkpoint. Times are in milliseconds since the epoch.

    `warning` says which facts could not be read.
    """

    run: str
    project: str
    workflow: str
    status: str
    started: int
    ended: int | None
    seconds: float
    inputs: dict[str, Value]
    output: Value
    error: str | None
    failed_at: str | None
    waiting: Mapping[str, Any] | None
    notices: tuple[str, ...]
    resume: str | None
    costs: Costs
    executions: list[Execution]
    top: StepNode
    tree: RunTree
    definition: RecordedSteps
    is_newest: bool
    warning: str = ""
    forked_from: str = ""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Of the loops that are folded: how many iterations came to which end."""

    @property
    def error_row(self) -> StepRow | None:
        """The step that failed the run; None where none did, or nothing is known of it."""
        if self.failed_at is None:
            return None
        node = self.find(self.failed_at)
        row = node.row if node is not None else None
        return row if row is not None and row.error else None

    @property
    def last_execution(self) -> int:
        """The number of the run's last execution."""
        return self.executions[-1].number if self.executions else 1

    @property
    def steps(self) -> list[StepRow]:
        """Every step, in the order of the workflow, those around others first."""
        return list(self.top.rows())

    def find(self, path: str) -> StepNode | None:
        """Give the step or iteration at *path*; None if there is none."""
        node = self.top
        for place in (*StepPath(path).ancestors(), StepPath(path)):
            found = next((inner for inner in node.inner if inner.path == place), None)
            if found is not None:
                node = found
        return node if node.path == path else None

    def names(self, loop: str) -> list[str]:
        """Give what people call the iterations of the loop at *loop*, by position; empty texts
        where nothing is known.
        """
        try:
            items = self.tree.output_of(f"{loop}?for_each")
        except MaverickError:
            return []
        return [item_name(item) for item in items] if isinstance(items, list) else []

    @property
    def totals(self) -> dict[str, Any]:
        """What the run took and cost; None is what no program told."""
        costs = self.costs
        return {
            "seconds": self.seconds,
            "calls": costs.calls,
            "tokens_in": costs.tokens_in,
            "tokens_out": costs.tokens_out,
            "usd": costs.usd,
        }

    def to_json(self) -> dict[str, Any]:
        """Give the page as `show --json` has it."""
        return {
            "run": self.run,
            "project": self.project,
            "workflow": self.workflow,
            "status": self.status,
            "started": iso_time(self.started),
            "ended": None if self.ended is None else iso_time(self.ended),
            "seconds": self.seconds,
            "inputs": self.inputs,
            "output": self.output,
            "error": self.error,
            "failed_at": self.failed_at,
            "waiting": self.waiting,
            "notices": list(self.notices),
            "resume": self.resume,
            "steps": [row.to_json() for row in self.top.rows()],
            "totals": self.totals,
        }
