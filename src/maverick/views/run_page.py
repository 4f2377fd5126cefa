"""The page of a run: every step with what became of it, what failed and why, what it cost.

It is made of the run's facts. The records are read only of a run whose facts are missing or
damaged; outputs only of steps that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from maverick.dsl.journal.logs import Logged, find_log, unsaved_logs
from maverick.dsl.journal.running import RunningStep
from maverick.dsl.journal.tally import Execution, Standing
from maverick.dsl.journal.tree import RunTree, StepNote
from maverick.dsl.paths import ROOT, StepPath, is_decision
from maverick.dsl.workflow.costs import Costs
from maverick.dsl.workflow.items import item_name
from maverick.errors import MaverickError, NotFound, StoreDamaged
from maverick.runs.listing import status_of
from maverick.views.recorded import RecordedSteps
from maverick.visible import iso_time

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Ref, Store
    from maverick.values import Value

StepStatus: TypeAlias = Literal["done", "failed", "skipped", "running", "waiting", "pending"]
Facts: TypeAlias = Mapping[str, Any]
_KILLED: Final = "its process was killed while it ran"
_BY_HAND: Final = "its output was set by hand"
_MANY: Final = 1 << 30


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
    def execution(self) -> int:
        """The execution of the run in which it ran."""
        execution = self.facts.get("execution", 1)
        return execution if isinstance(execution, int) else 1

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
        spans = [
            (row.started, row.started + round((row.seconds or 0) * 1000))
            for row in self.rows()
            if row.started is not None
        ]
        if not spans:
            return None
        return (max(end for _, end in spans) - min(begin for begin, _ in spans)) / 1000


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


def load_page(project: str, store: Store, checkpoint: Checkpoint) -> RunPage:
    """Give the page of a run as it stands at *checkpoint*; *project* is the root of its project.

    Of the newest checkpoint of a run that is executed now, also what runs.

    Raises:
        StoreDamaged: what names the run's inputs or steps cannot be read.
    """
    return _Loader(project, store, checkpoint).page()


class _Loader:
    """Reads one run."""

    def __init__(self, project: str, store: Store, checkpoint: Checkpoint) -> None:
        self._project = project
        self._store = store
        self._checkpoint = checkpoint
        self._tree = RunTree(store.snapshot(checkpoint))
        ref = store.find_ref(checkpoint.run)
        self._ref: Ref | None = ref if ref and ref.checkpoint == checkpoint.id else None
        self._end = self._tree.end
        self._status = self._run_status()
        self._definition = RecordedSteps(self._tree.definition, self._tree.main_file)
        self._warning = ""

    def _run_status(self) -> str:
        if self._ref is not None:
            return status_of(self._store, self._ref)
        ends = {"final": "done", "failure": "failed", "pause": "paused"}
        return ends.get(self._checkpoint.kind, "running")

    def page(self) -> RunPage:
        tree, checkpoint = self._tree, self._checkpoint
        rows = {path: self._row(path, facts) for path, facts in self._facts().items()}
        self._add_running(rows)
        top = _tree_of(rows, self._definition.positions)
        if self._status != "done":
            self._add_pending(top)
        self._settle(top)
        executions = tree.executions
        standing = Standing.read(self._ref.summary) if self._ref is not None else Standing()
        until = self._store.now() if self._status == "running" else checkpoint.created
        costs = standing.costs
        if not standing.execution:
            for row in rows.values():
                costs = costs.plus(Costs.of_step(row.facts))
        failed_at = str(self._end.get("step", "")) or None
        return RunPage(
            run=checkpoint.run,
            project=self._project,
            workflow=checkpoint.group,
            status=self._status,
            started=self._started(executions),
            ended=None if self._status in ("running", "waiting") else checkpoint.created,
            seconds=self._seconds(standing, executions, until),
            inputs=tree.inputs,
            output=tree.output if self._status == "done" and _holds_output(tree) else None,
            error=self._error(),
            failed_at=failed_at if self._status == "failed" else None,
            waiting=standing.waiting,
            notices=tree.notices,
            resume=None
            if self._status in ("done", "running")
            else f"maverick resume {checkpoint.run}",
            costs=costs,
            executions=executions,
            top=top,
            tree=tree,
            definition=self._definition,
            is_newest=self._ref is not None,
            warning=self._warning,
        )

    def _started(self, executions: list[Execution]) -> int:
        if self._ref is not None:
            return self._ref.started
        return executions[0].started if executions else self._checkpoint.created

    def _seconds(self, standing: Standing, executions: list[Execution], until: int) -> float:
        if standing.execution:
            milliseconds = standing.milliseconds(until)
        else:
            milliseconds = sum(
                max(until - each.started, 0) if each.milliseconds is None else each.milliseconds
                for each in executions
            )
        return milliseconds / 1000

    def _error(self) -> str | None:
        if self._status == "failed":
            return str(self._end.get("error", "")) or self._reason() or None
        if self._status == "killed":
            return "its process was killed"
        if self._status == "paused":
            return f"interrupted{self._reason().removeprefix('paused').replace(':', ' by', 1)}"
        return None

    def _reason(self) -> str:
        return self._ref.positions[-1].reason if self._ref is not None else ""

    # --- steps ------------------------------------------------------------------------------------

    def _facts(self) -> dict[StepPath, dict[str, Any]]:
        """Give what is noted of each step that has a place on the page."""
        facts: dict[str, dict[str, Any]] = {}
        try:
            facts = self._tree.facts
        except StoreDamaged as damage:
            self._warning = f"times, attempts and costs cannot be read: {damage}"
        except ValueError as error:
            self._warning = f"times, attempts and costs cannot be read: {error}"
        known = {
            StepPath(name): own
            for name, own in facts.items()
            if not is_decision(name) and _says_something(own)
        }
        if self._warning or self._tree.count_recorded() > len(facts):
            self._add_recorded(known)
        return known

    def _add_recorded(self, known: dict[StepPath, dict[str, Any]]) -> None:
        """Add the steps of which only the record tells."""
        for path, entry in self._tree.steps.items():
            status = StepNote.of(entry).status
            own = {} if status == "done" else {"status": status}
            known[path] = {**known.get(path, {}), **own}

    def _row(self, path: StepPath, facts: dict[str, Any]) -> StepRow:
        outlined = self._definition.find(path)
        noted = facts.get("status", "done")
        status: StepStatus = noted if noted in ("done", "failed", "skipped") else "pending"
        agent, costs = facts.get("agent"), Costs.of_step(facts)
        used = None
        if isinstance(agent, Mapping):
            used = AgentUse(
                _text(agent.get("provider")),
                _text(agent.get("model")),
                _text(agent.get("session")),
                costs.tokens_in,
                costs.tokens_out,
                costs.usd,
            )
        return StepRow(
            path=path,
            type=str(facts.get("type") or (outlined.step.kind if outlined else "")),
            status=status,
            label=_text(facts.get("label")),
            started=_number(facts.get("started")),
            seconds=_seconds(facts.get("seconds")),
            attempts=_number(facts.get("attempts")),
            agent=used,
            reused_from=_text(facts.get("reused_from")),
            assumed=facts.get("assumed") is True,
            passed=facts.get("passed"),
            facts=facts,
            load_error=lambda: self._error_of(path, facts),
        )

    def _error_of(self, path: StepPath, facts: Facts) -> str | None:
        """Say why a step failed or did not come to its end."""
        status = facts.get("status", "done")
        if status == "interrupted":
            return _last_error(find_log(self._tree, path)) or "interrupted"
        if status != "failed":
            return None
        if path == self._end.get("step") and "\n" not in str(self._end.get("error", "")):
            return str(self._end["error"]).removeprefix(f"step {path}: ")
        try:
            output = self._tree.output_of(path)
        except MaverickError:
            output = None
        if isinstance(output, dict) and output.get("error"):
            return str(output["error"])
        return _last_error(find_log(self._tree, path)) or self._told_at_the_end(path)

    def _told_at_the_end(self, path: StepPath) -> str | None:
        if path != self._end.get("step"):
            return None
        return str(self._end.get("error", "")).removeprefix(f"step {path}: ") or None

    def _add_running(self, rows: dict[StepPath, StepRow]) -> None:
        """Add the steps that are at work, or were when the process was killed."""
        if self._ref is None or self._status not in ("running", "killed"):
            return
        at_work = self._status == "running"
        for step in RunningStep.read(self._store.owner_note(self._checkpoint.run)):
            path, row = StepPath(step.step), rows.get(StepPath(step.step))
            if row is not None and (row.started or 0) >= step.since:
                continue  # It has ended since.
            seconds = max(self._store.now() - step.since, 0) / 1000 if at_work else None
            rows[path] = StepRow(
                path=path,
                type=step.type,
                status="running" if at_work else "pending",
                started=step.since,
                seconds=seconds,
                attempts=step.attempt,
                facts=row.facts if row is not None else {},
                load_error=lambda: None if at_work else _KILLED,
            )

    def _add_pending(self, top: StepNode) -> None:
        """Add what is to come, where that is known: beside what has begun and is not over."""
        steps = self._definition.outlined
        below: dict[str, list[str]] = {}
        for pattern in steps:
            ancestors = [*StepPath(pattern).ancestors()]
            below.setdefault(str(ancestors[-1]) if ancestors else "", []).append(pattern)
        todo = [top]
        while todo:
            node = todo.pop()
            outlined = steps.get(node.path.pattern)
            chooses = outlined is not None and outlined.step.kind == "branch"
            if node is top or (node.inner and not _is_over(node) and not chooses):
                there = {inner.path.pattern for inner in node.inner}
                for pattern in below.get(node.path.pattern, []):
                    if pattern in there or pattern.endswith("]"):
                        continue
                    path = node.path.child(StepPath(pattern).last)
                    row = StepRow(path=path, type=steps[pattern].step.kind, status="pending")
                    node.inner.append(StepNode(path, row))
                _sort(node, self._definition.positions)
            todo += [inner for inner in node.inner if inner.inner]

    def _settle(self, top: StepNode) -> None:
        """Give each step that is made of steps, and of which nothing is noted, a status."""
        failed_at = StepPath(str(self._end.get("step", ""))) if self._status == "failed" else ROOT
        todo = [top]
        while todo:
            node = todo.pop()
            todo += node.inner
            if node.row is not None or node is top or node.is_iteration:
                continue
            outlined = self._definition.find(node.path)
            status = node.status
            if status in ("done", "skipped"):
                status = "running" if self._status == "running" else "pending"
            if failed_at and failed_at.is_within(node.path):
                status = "failed"
            row = StepRow(
                path=node.path, type=outlined.step.kind if outlined else "", status=status
            )
            row.seconds = node.seconds
            node.row = row


# --- the tree -------------------------------------------------------------------------------------


def _tree_of(rows: Mapping[StepPath, StepRow], positions: Mapping[str, int]) -> StepNode:
    nodes: dict[str, StepNode] = {ROOT: StepNode(ROOT)}

    def node_at(path: StepPath, around: list[StepPath]) -> StepNode:
        node = nodes.get(path)
        if node is None:
            node = nodes[path] = StepNode(path)
            parent = around[-1] if around else ROOT
            node_at(parent, around[:-1]).inner.append(node)
        return node

    for path, row in rows.items():
        node_at(path, list(path.ancestors())).row = row
    for node in nodes.values():
        _sort(node, positions)
    return nodes[ROOT]


def _sort(node: StepNode, positions: Mapping[str, int]) -> None:
    """Put what stands in *node* in the order of the file; iterations by position, keyed ones by
    when they began.
    """

    def place(inner: StepNode) -> tuple[int, float]:
        if inner.is_iteration:
            position = inner.path.rpartition("[")[2][:-1]
            if position.isdigit():
                return int(position), 0
            return _MANY, min((row.started or 0 for row in inner.rows()), default=0)
        known = positions.get(inner.path.pattern)
        if known is not None:
            return known, 0
        return _MANY, min((row.facts.get("order", 0) for row in inner.rows()), default=0)

    if len(node.inner) > 1:
        node.inner.sort(key=place)


def _is_over(node: StepNode) -> bool:
    """Whether nothing more is to come in *node*: it has an end of its own, or nothing of it is
    unfinished.
    """
    if node.row is not None and node.row.status in ("done", "skipped", "failed"):
        return node.row.seconds is not None or node.row.status == "skipped"
    return node.is_iteration and all(inner.status in ("done", "skipped") for inner in node.inner)


def _says_something(facts: Facts) -> bool:
    return any(name in facts for name in ("type", "started", "status"))


def _holds_output(tree: RunTree) -> bool:
    try:
        return tree.output is not None
    except NotFound:
        return False


def _last_error(log: list[Logged]) -> str | None:
    error = log[-1].end.get("error") if log else None
    return str(error) if error else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if type(value) is int else None


def _seconds(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


# --- one step -------------------------------------------------------------------------------------


class Try(NamedTuple):
    """One attempt at a step. `started` is in milliseconds since the epoch."""

    number: int
    started: int | None
    seconds: float | None
    status: str
    exit_code: int | None
    error: str | None

    def to_json(self) -> dict[str, Any]:
        """Give the attempt as `show RUN STEP --json` has it."""
        started = None if self.started is None else iso_time(self.started)
        return {**self._asdict(), "started": started}


def because(row: StepRow) -> str | None:
    """Say why a step ran when it last did; None where it did not."""
    from maverick.dsl.engine.reasons import NOT_RUN  # noqa: PLC0415 - beside what a listing needs

    if row.facts.get("by_hand"):
        return _BY_HAND
    if row.status == "skipped":
        return "its `when` does not hold"
    if row.status == "pending" and not row.facts:
        return None
    return str(row.facts.get("because", NOT_RUN))


def logs_of(store: Store, page: RunPage) -> Callable[[str], list[Logged]]:
    """Give what gives the attempts at the step at a path, those that are not saved yet included."""
    unsaved = unsaved_logs(store, page.tree.checkpoint)
    return lambda path: [*find_log(page.tree, path), *unsaved.get(path, ())]


def tries_of(row: StepRow, log: list[Logged]) -> list[Try]:
    """Give the attempts at a step that are known: those with a log, else the last."""
    tries = [_try(attempt, row, is_last=attempt is log[-1]) for attempt in log]
    known = _number(row.facts.get("tries")) or 0
    if not tries and row.started is not None and row.status != "pending":
        status = "done" if row.status == "done" else row.status
        number = max(known, row.attempts or 1)
        exit_code = 0 if row.type == "shell" and status == "done" else None
        tries = [Try(number, row.started, row.seconds, status, exit_code, row.error)]
    elif tries and row.status == "done" and tries[-1].status != "done":
        # The attempt that succeeded wrote nothing.
        exit_code = 0 if row.type == "shell" else None
        number = max(tries[-1].number + 1, known)
        tries.append(Try(number, None, None, "done", exit_code, None))
    return tries


def _try(attempt: Logged, row: StepRow, *, is_last: bool) -> Try:
    end = attempt.end
    unended = row.status if row.status in ("running", "done") else "killed"
    status = str(end.get("status", unended if is_last else "killed"))
    started, seconds = _number(end.get("started")), _seconds(end.get("seconds"))
    if is_last and status in ("done", "running") and started is None and row.attempts in (1, None):
        started, seconds = row.started, row.seconds
    exit_code = _number(end.get("exit_code"))
    if status == "done" and row.type == "shell":
        exit_code = 0
    error = end.get("error")
    return Try(attempt.number, started, seconds, status, exit_code, str(error) if error else None)
