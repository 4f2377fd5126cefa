"""Reads the page of a run from its facts, and from the records where those do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from maverick.dsl.journal.logs import Logged, find_log
from maverick.dsl.journal.running import RunningStep
from maverick.dsl.journal.tally import Execution, Standing
from maverick.dsl.journal.tree import RunTree, StepNote, step_place
from maverick.dsl.paths import ROOT, StepPath, is_decision
from maverick.dsl.workflow.costs import Costs
from maverick.errors import MaverickError, NotFound, StoreDamaged
from maverick.noted import text_of, whole_number
from maverick.runs.listing import executed_seconds, status_of, why_paused
from maverick.views.folding_loops import LONG, FoldedFacts
from maverick.views.recorded import RecordedSteps
from maverick.views.run_page import (
    AgentUse,
    Facts,
    RunPage,
    StepNode,
    StepRow,
    StepStatus,
)
from maverick.visible import list_names

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Ref, Store
    from maverick.values import Value

_KILLED: Final = "its process was killed while it ran"
_MANY: Final = 1 << 30


def load_page(
    project: str, store: Store, checkpoint: Checkpoint, *, folded: bool = False
) -> RunPage:
    """Give the page of a run as it stands at *checkpoint*; *project* is the root of its project.

    Of the newest checkpoint of a run that is executed now, also what runs. Of a long run that is
    *folded* only those iterations of a loop are read that are worth showing.

    Raises:
        StoreDamaged: what names the run's inputs or steps cannot be read.
    """
    return _Loader(project, store, checkpoint, folded=folded).page()


class _Loader:
    """Reads one run."""

    def __init__(self, project: str, store: Store, checkpoint: Checkpoint, *, folded: bool) -> None:
        self._is_folded = folded
        self._counts: Mapping[str, Mapping[str, int]] = {}
        self._project = project
        self._store = store
        self._checkpoint = checkpoint
        self._tree = RunTree(store.snapshot(checkpoint))
        ref = store.find_ref(checkpoint.run)
        self._ref: Ref | None = ref if ref and ref.checkpoint == checkpoint.id else None
        self._end = self._tree.end
        self._ended_at = StepPath(text_of(self._end.get("step")))
        self._standing = Standing.read(self._ref.summary) if self._ref else Standing()
        self._status = self._run_status(ref)
        self._definition = RecordedSteps(self._tree.definition, self._tree.main_file)
        self._warning = ""

    def _run_status(self, ref: Ref | None) -> str:
        """Give how the run stood at the checkpoint; between two ends, how it stands now."""
        ends = {"final": "done", "failure": "failed", "pause": "paused"}
        if self._ref is None and (end := ends.get(self._checkpoint.kind)):
            return end
        return status_of(self._store, ref) if ref is not None else "killed"

    @property
    def _goes_on(self) -> bool:
        """Whether what is shown still changes."""
        return self._ref is not None and self._status == "running"

    def page(self) -> RunPage:
        tree, checkpoint = self._tree, self._checkpoint
        rows = {path: self._row(path, facts) for path, facts in self._facts().items()}
        self._reopen(rows)
        self._add_running(rows)
        self._add_failed(rows)
        top = _tree_of(rows, self._definition.positions)
        if not self._is_complete:
            self._add_pending(top)
        self._settle(top)
        standing = self._standing
        # A fork that was not executed yet knows those of the run that it was forked from.
        is_unused = self._ref is not None and not standing.execution
        executions = [] if is_unused else tree.executions
        until = self._store.now() if self._goes_on else checkpoint.created
        costs = standing.costs
        if not standing.execution:
            for row in rows.values():
                costs = costs.plus(Costs.of_step(row.facts))
        return RunPage(
            run=checkpoint.run,
            project=self._project,
            workflow=checkpoint.group,
            status=self._status,
            started=self._started(executions),
            ended=None if self._goes_on else checkpoint.created,
            seconds=self._seconds(executions, until),
            inputs=tree.inputs,
            output=_output_of(tree) if self._is_complete else None,
            error=self._error(),
            failed_at=str(self._ended_at) or None if self._status == "failed" else None,
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
            forked_from=standing.forked_from,
            counts=self._counts,
        )

    @property
    def _is_complete(self) -> bool:
        """Whether the checkpoint is the one with which a run ends."""
        return self._checkpoint.kind == "final"

    def _started(self, executions: list[Execution]) -> int:
        if self._ref is not None:
            return self._ref.started
        return executions[0].started if executions else self._checkpoint.created

    def _seconds(self, executions: list[Execution], until: int) -> float:
        if self._ref is not None and self._standing.execution:
            return executed_seconds(self._ref, self._owner_note, until) or 0.0
        milliseconds = sum(
            max(until - each.started, 0) if each.milliseconds is None else each.milliseconds
            for each in executions or [Execution(self._started([]))]
        )
        return milliseconds / 1000

    def _error(self) -> str | None:
        if self._ref is None and self._checkpoint.kind in ("auto", "label"):
            return None
        if self._status == "failed":
            return str(self._end.get("error", "")) or self._reason() or None
        if self._status == "killed":
            went_back = self._ref is not None and self._ref.went_back
            return self._reason() if went_back else "its process was killed"
        if self._status == "paused":
            return why_paused(self._reason()) or "interrupted"
        return None

    def _reason(self) -> str:
        return self._ref.positions[-1].reason if self._ref is not None else ""

    # --- steps ------------------------------------------------------------------------------------

    def _facts(self) -> dict[StepPath, dict[str, Any]]:
        """Give what is noted of each step that has a place on the page."""
        facts: dict[str, dict[str, Any]] = {}
        try:
            if (folded := self._read_folded()) is not None:
                self._counts = folded.counts
                return {StepPath(path): own for path, own in folded.facts.items()}
            facts = self._tree.facts
        except (StoreDamaged, ValueError) as error:
            self._warning = f"times, attempts and costs cannot be read: {error}"
        if unread := [name for name, own in facts.items() if not own]:
            names = list_names(unread, 3)
            self._warning = f"times, attempts and costs of {names} cannot be read: they are torn"
        known = {
            StepPath(name): own
            for name, own in facts.items()
            if not is_decision(name) and _says_something(own)
        }
        if self._warning or self._tree.count_recorded() > len(facts):
            self._add_recorded(known)
        return known

    def _read_folded(self) -> FoldedFacts | None:
        """Look up what a folded page shows of a long run that is over, if that can be told."""
        if not self._is_folded or self._status in ("running", "killed"):
            return None
        if self._tree.count_recorded() < LONG:
            return None
        return FoldedFacts.read(self._tree, self._definition)

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
        if agent is not None:
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
            type=facts.get("type") or (outlined.step.kind if outlined else ""),
            status=status,
            label=facts.get("label") or None,
            started=facts.get("started"),
            seconds=facts.get("seconds"),
            attempts=facts.get("attempts"),
            agent=used,
            reused_from=facts.get("reused_from") or None,
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
        told = self._told_at_the_end(path)
        if told is not None and "\n" not in told:
            return told
        try:
            output = self._tree.output_of(path)
        except MaverickError:
            output = None
        if isinstance(output, dict) and output.get("error"):
            return str(output["error"])
        return _last_error(find_log(self._tree, path)) or told

    def _told_at_the_end(self, path: StepPath) -> str | None:
        if path != self._ended_at:
            return None
        return str(self._end.get("error", "")).removeprefix(f"step {path}: ") or None

    @cached_property
    def _owner_note(self) -> Mapping[str, Any]:
        """What who executes the run has noted, or who was killed while doing so."""
        if self._ref is None or self._status not in ("running", "killed") or self._ref.went_back:
            return {}
        return self._store.owner_note(self._checkpoint.run)

    def _reopen(self, rows: dict[StepPath, StepRow]) -> None:
        """Take back how steps ended in an earlier execution that are to be done in this one."""
        if self._ref is None or self._status not in ("running", "killed"):
            return
        noted = self._owner_note.get("execution")
        now = max(whole_number(noted) or 0, self._standing.execution)
        for path, row in list(rows.items()):
            if row.facts.get("status") not in ("failed", "interrupted") or row.execution == now:
                continue
            if self._tree.snapshot.find(step_place(path)) is not None:
                continue  # A failure that is an outcome.
            if row.type in ("loop", "parallel"):
                del rows[path]
            else:
                row.status = "pending"

    def _add_running(self, rows: dict[StepPath, StepRow]) -> None:
        """Add the steps that are at work, or were when the process was killed."""
        at_work = self._status == "running"
        for step in RunningStep.read(self._owner_note):
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

    def _add_failed(self, rows: dict[StepPath, StepRow]) -> None:
        """Make the step that failed the run one that failed, whatever is noted of it.

        Nothing is, where it failed before it began; where it is made of steps, these did not.
        """
        path = self._ended_at
        if self._status != "failed" or not path:
            return
        row = rows.get(path)
        if row is None:
            rows[path] = row = self._row(path, {"status": "failed"})
            row.facts = {}
        if row.error is None:
            row.load_error = lambda: self._told_at_the_end(path)
        row.status = "failed"

    def _add_pending(self, top: StepNode) -> None:
        """Add what is to come, where that is known: beside what has begun and is not over."""
        steps = self._definition.outlined
        todo = [top]
        while todo:
            node = todo.pop()
            outlined = steps.get(node.path.pattern)
            chooses = outlined is not None and outlined.step.kind == "branch"
            if node is top or (node.inner and not _is_over(node) and not chooses):
                there = {inner.path.pattern for inner in node.inner}
                for pattern in self._definition.below.get(node.path.pattern, []):
                    if pattern in there or pattern.endswith("]"):
                        continue
                    path = node.path.child(StepPath(pattern).last)
                    row = StepRow(path=path, type=steps[pattern].step.kind, status="pending")
                    node.inner.append(StepNode(path, row))
                _sort(node, self._definition.positions)
            todo += [inner for inner in node.inner if inner.inner]

    def _settle(self, top: StepNode) -> None:
        """Give each step that is made of steps, and of which nothing is noted, a status."""
        failed_at = self._ended_at if self._status == "failed" else ROOT
        todo = [top]
        while todo:
            node = todo.pop()
            todo += node.inner
            if node.row is not None or node is top or node.is_iteration:
                continue
            outlined = self._definition.find(node.path)
            status = node.status
            if status in ("done", "skipped"):
                status = "running" if self._goes_on else "pending"
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
            position = inner.path.position
            if position is not None:
                return position, 0
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


def _output_of(tree: RunTree) -> Value:
    try:
        return tree.output
    except NotFound:
        return None


def _last_error(log: list[Logged]) -> str | None:
    error = log[-1].end.get("error") if log else None
    return str(error) if error else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
