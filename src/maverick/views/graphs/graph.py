"""A workflow as a graph: its steps in order, with what is inside them; of a run with how each
stands.

`maverick.views.graphs.drawing` draws it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from maverick.dsl.paths import ROOT, StepPath
from maverick.dsl.steps.checkpoint_step import CheckpointStep
from maverick.dsl.workflow.model import BranchStep, LoopStep, SubworkflowStep, ValidateStep
from maverick.errors import WorkflowInvalid
from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.workflow.model import Step, Workflow

STATUSES: Final = ("failed", "running", "waiting", "pending", "done", "skipped")
"""How a step can stand. One that is made of others, or was repeated, stands as the first of these
that one of them has.
"""
MOST_NODES: Final = 5_000
"""Sub-workflows are not unfolded beyond this: each may call two, each of which calls two."""
MOST_NESTED: Final = 30
"""Nor are those that stand within so many others."""
_PERFORMERS: Final = ("action", "agent", "generator", "workflow")


class Workflows(Protocol):
    """What knows the workflows that a workflow calls: a catalog, or what a run has recorded."""

    def find_workflow(self, name: str, from_file: str = "") -> Workflow | None:
        """Give the workflow that *name* means in the file *from_file*, if there is one."""


@record
class Node:
    """A step. `path` is the pattern of its path: `work[].implement`."""

    path: str
    name: str
    type: str
    what: str = ""
    """Who does its work, or what it goes over: `implementer`, `over inputs.files`."""
    when: str = ""
    way: str = ""
    """Under what a branch takes it: an expression, or `else`."""
    is_checkpoint: bool = False
    is_beside: bool = False
    """Whether the steps in it stand side by side: ways of a branch, or steps that run at once."""
    status: str = ""
    """One of `STATUSES`; empty where nothing is said of a run."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How its iterations stand, where it was repeated."""
    inside: tuple[Node, ...] = ()
    left_out: int = 0
    """How many steps in it are not shown."""

    def to_json(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "path": self.path,
            "name": self.name,
            "type": self.type,
            "what": self.what,
            "when": self.when or None,
            "way": self.way or None,
            "checkpoint": self.is_checkpoint,
            "beside": self.is_beside,
            "status": self.status or None,
            "counts": dict(self.counts),
            "left_out": self.left_out,
            "steps": [node.to_json() for node in self.inside],
        }


@record
class Graph:
    """A workflow, or a run of it (`run`, `status`)."""

    workflow: str
    nodes: tuple[Node, ...]
    run: str = ""
    status: str = ""
    left_out: int = 0

    @property
    def size(self) -> int:
        """How many steps are shown."""
        return sum(1 for _ in every(self.nodes))

    def to_json(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "workflow": self.workflow,
            "run": self.run or None,
            "status": self.status or None,
            "left_out": self.left_out,
            "steps": [node.to_json() for node in self.nodes],
        }


def every(nodes: Iterable[Node]) -> Iterator[Node]:
    """Give *nodes* and all that is inside them, in order."""
    for node in nodes:
        yield node
        yield from every(node.inside)


# --- from a workflow ------------------------------------------------------------------------------


def graph_of(
    workflow: Workflow,
    workflows: Workflows | None = None,
    statuses: Mapping[str, str] | None = None,
    *,
    run: str = "",
    status: str = "",
) -> Graph:
    """Give the graph of *workflow*, with the sub-workflows that *workflows* knows.

    *statuses* says how each step and iteration of a run stands, by its path (`work[1].save`), and
    *status* how the run does. A step of which nothing is said did not run: it is `skipped` where
    what is around it ended, else `pending`.
    """
    builder = _Builder(workflows)
    nodes = builder.nodes(workflow.steps, ROOT, workflow, (workflow.file,))
    if statuses is not None:
        is_done = status == "done"
        nodes = _with_statuses(nodes, _by_pattern(statuses), "skipped" if is_done else "pending")
    return Graph(workflow.name, nodes, run=run, status=status)


@dataclass(slots=True)
class _Builder:
    workflows: Workflows | None
    count: int = 0

    def nodes(
        self, steps: Iterable[Step], around: StepPath, workflow: Workflow, trail: tuple[str, ...]
    ) -> tuple[Node, ...]:
        return tuple(self.node(step, around, workflow, trail) for step in steps)

    def node(
        self, step: Step, around: StepPath, workflow: Workflow, trail: tuple[str, ...]
    ) -> Node:
        self.count += 1
        path = around.child(step.name)
        inside = tuple(
            self.node(inner, StepPath(path + mark), workflow, trail)
            for mark, inner in step.inside()
        )
        if isinstance(step, BranchStep):
            ways = [option.when.text for option in step.options]
            ways += ["else"] if step.otherwise is not None else []
            inside = tuple(replace(node, way=way) for node, way in zip(inside, ways, strict=True))
        called = self._called(step, workflow, trail)
        if called is not None:
            inside = self.nodes(called.steps, path, called, (*trail, called.file))
        return Node(
            path=path,
            name=step.name,
            type=step.kind,
            what=what_of(step),
            when=step.when.text if step.when is not None else "",
            is_checkpoint=step.is_checkpoint,
            is_beside=isinstance(step, BranchStep) or _runs_beside(step),
            inside=inside,
        )

    def _called(self, step: Step, workflow: Workflow, trail: tuple[str, ...]) -> Workflow | None:
        """The workflow that *step* calls, if it is to be unfolded."""
        if not isinstance(step, SubworkflowStep) or self.workflows is None:
            return None
        try:
            called = self.workflows.find_workflow(step.workflow, workflow.file)
        except WorkflowInvalid:  # `workflow check` tells it.
            return None
        if called is None or called.file in trail:
            return None
        return called if self.count <= MOST_NODES and len(trail) <= MOST_NESTED else None


def _runs_beside(step: Step) -> bool:
    return (
        isinstance(step, LoopStep)
        and not step.has_for_each
        and step.until is None
        and step.max_concurrency != 1
    )


def what_of(step: Step) -> str:
    """Say who does the work of *step*, or what it goes over; empty where nothing says it."""
    match step:
        case LoopStep():
            return ", ".join(_loop_parts(step))
        case ValidateStep():
            return _stages(step)
        case SubworkflowStep():
            return step.workflow
        case CheckpointStep():
            return "" if step.checkpoint_id is None else _text(step.checkpoint_id)
        case _:
            names = (each.name for each in step.mentions() if each.kind in _PERFORMERS)
            return next((_text(name) for name in names), "")


def _loop_parts(step: LoopStep) -> Iterator[str]:
    if step.has_for_each:
        yield f"over {_text(step.for_each)}"
    if step.until is not None:
        yield f"until {step.until.text}"
        yield f"{_text(step.max_iterations)} at most"
    if step.parallel is not None:
        yield f"at once if {step.parallel.text}"
    elif step.max_concurrency is None:
        yield "all at once"
    elif step.max_concurrency != 1:
        yield f"{_text(step.max_concurrency)} at once"


def _stages(step: ValidateStep) -> str:
    if isinstance(step.stages, list):
        return ", ".join(
            _text(stage.get("name", stage) if isinstance(stage, dict) else stage)
            for stage in step.stages
        )
    return "all stages" if step.stages is None else _text(step.stages)


def _text(given: object) -> str:
    """Give a field as it stands in the file, an expression without its `${{ }}`."""
    text = getattr(given, "text", given)
    if not isinstance(text, str):
        return json.dumps(text, ensure_ascii=False, default=_text)
    bare = text.strip()
    if bare.startswith("${{") and bare.endswith("}}") and bare.count("${{") == 1:
        return bare[3:-2].strip()
    return text


# --- with how a run stands ------------------------------------------------------------------------


def _by_pattern(statuses: Mapping[str, str]) -> dict[str, Counter[str]]:
    patterns: dict[str, Counter[str]] = {}
    for path, status in statuses.items():
        patterns.setdefault(StepPath(path).pattern, Counter())[status] += 1
    return patterns


def _with_statuses(
    nodes: Iterable[Node], statuses: Mapping[str, Counter[str]], missing: str
) -> tuple[Node, ...]:
    return tuple(_with_status(node, statuses, missing) for node in nodes)


def _with_status(node: Node, statuses: Mapping[str, Counter[str]], missing: str) -> Node:
    own = statuses.get(node.path, Counter())
    status = next((each for each in STATUSES if own[each]), "")
    ended = status in {"done", "skipped"}
    inside = _with_statuses(node.inside, statuses, "skipped" if ended else missing)
    if not status:
        stand = {each.status for each in inside}
        status = next((each for each in STATUSES if each in stand), missing)
    iterations = statuses.get(f"{node.path}[]", Counter())
    repeated = iterations or own
    counts = {each: repeated[each] for each in STATUSES if repeated[each]}
    if sum(counts.values()) < 2:
        counts = {}
    return replace(node, status=status, inside=inside, counts=counts)


# --- folded ---------------------------------------------------------------------------------------


def folded(graph: Graph, most: int) -> Graph:
    """Give *graph* with at most about *most* steps: what stands deepest is folded first, then the
    middle is left out.
    """
    depth = max((_depth(node) for node in graph.nodes), default=0)
    while graph.size > most and depth > 1:
        depth -= 1
        graph = replace(graph, nodes=tuple(_cut(node, depth) for node in graph.nodes))
    over = len(graph.nodes) - most
    if over <= 0:
        return graph
    first = most * 2 // 3
    kept = (*graph.nodes[:first], *graph.nodes[first + over :])
    return replace(graph, nodes=kept, left_out=over)


def _depth(node: Node) -> int:
    return 1 + max(map(_depth, node.inside), default=0)


def _cut(node: Node, depth: int) -> Node:
    if depth > 1:
        return replace(node, inside=tuple(_cut(inner, depth - 1) for inner in node.inside))
    count = node.left_out + sum(1 + inner.left_out for inner in every(node.inside))
    return replace(node, inside=(), left_out=count)
