"""What `run --plan` shows: what a start or resumption would do. Writes nothing."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from maverick.checkpoints import Checkpoint
from maverick.checkpoints.workspace import plan_missing
from maverick.dsl.engine.blocks import Unfinished
from maverick.dsl.engine.plan import Plan, Planned
from maverick.dsl.events import Event
from maverick.dsl.journal.recorder import Recorder
from maverick.dsl.journal.records import Recall
from maverick.dsl.journal.tree import RunTree
from maverick.dsl.processes.processes import Processes
from maverick.dsl.processes.stop_request import Stop
from maverick.dsl.serialization.executor import Executor
from maverick.dsl.work import Tools
from maverick.errors import FilesDiffer, NotFound, StepFailed, StoreDamaged, WorkflowInvalid
from maverick.runs import amend, find
from maverick.runs.differences import Changed, Differences
from maverick.runs.prepare import Prepared, prepare_resume, prepare_start, refuse_secrets
from maverick.runs.workspace_choice import FilesDecision, expect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maverick.checkpoints import Store
    from maverick.dsl.events import Observer
    from maverick.project import Project
    from maverick.runs.request import Request
    from maverick.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step of a plan, with what changed of it."""

    step: Planned
    changed: tuple[Changed, ...] = ()


class MissingFile(NamedTuple):
    """An artifact of a step to be recalled that is not there, and would be brought back."""

    step: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What would be done. `run` is empty for a new run.

    `refused` says why a resumption would stop with exit 12; `files` what would become of the
    project's files, None where none would be looked at.
    """

    workflow: str
    run: str
    steps: tuple[PlannedStep, ...]
    files: FilesDecision | None = None
    missing: tuple[MissingFile, ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = ()


@contextmanager
def _without_bytecode() -> Iterator[None]:
    """Let what is imported leave no bytecode."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@_without_bytecode()
def plan_start(project: Project, request: Request) -> RunPlan:
    """Plan a new run. Raises WorkflowInvalid, InputInvalid as starting one does."""
    notes: list[str] = []
    refuse_secrets(project, request.inputs)
    with suppress(NotFound):  # A store that would be refused is refused.
        project.open_store()
    prepared = prepare_start(project, request, notes.append)
    planner = _Planner(prepared, Recall(None), notes)
    planned = planner.walk(prepared.inputs)
    steps = tuple(PlannedStep(step=step) for step in planned.steps)
    return RunPlan(workflow=prepared.workflow.name, run="", steps=steps, notes=tuple(notes))


@_without_bytecode()
def plan_resume(
    project: Project, request: Request, observe: Observer, *, can_ask: bool = False
) -> RunPlan:
    """Plan a resumption; *can_ask*: somebody could be asked whether to restore files.

    Raises as `runs.resume` does before it runs anything, except for what `refused` says.
    """
    refuse_secrets(project, request.inputs)
    store = project.open_store()
    tip = find.find_checkpoint(project, store, request, observe)
    try:
        return _plan_from(project, store, tip, request, observe, can_ask=can_ask)
    except StoreDamaged:
        # Resuming goes back as well, if this is where a run stands.
        if tip.kind == "final" or not find.is_newest(store, tip):
            raise
        whole = store.newest_whole(tip.run)
        if whole.damage is None:
            raise
        return _plan_from(project, store, whole.checkpoint, request, observe, can_ask=can_ask)


def _plan_from(
    project: Project,
    store: Store,
    tip: Checkpoint,
    request: Request,
    observe: Observer,
    *,
    can_ask: bool,
) -> RunPlan:
    notes: list[str] = []
    try:
        prepared = prepare_resume(project, store, tip, request, notes.append)
    except WorkflowInvalid:  # There is no plan to note it in.
        for text in notes:
            observe(Event(event="notice", message=text))
        raise
    decision, refused = None, ""
    is_over = _is_over(project, store, tip, request)
    if (request.workspace or prepared.keeps_files) and not is_over:
        decision, refused = _files(store, tip, project.root, request, can_ask=can_ask)
    start = decision.start if decision else tip
    recorder = Recorder(store, start)
    carried = amend.carry_over(store, tip, recorder)
    amend.apply(
        recorder,
        request,
        prepared.workflow,
        prepared.catalog,
        prepared.scrub,
        lambda: _Planner(prepared, recorder, []).walk(prepared.inputs),
    )
    notes += _circumstances(project, store, tip, request)
    notes += [f"the output of {path} that was set by hand would be lost" for path in carried.lost]
    planner = _Planner(prepared, recorder, notes)
    planned = planner.walk(prepared.inputs, keep_records=request.policy == "recorded")
    refuses = request.policy == "refuse" and not is_over
    refusals = planned.refused if refuses else []
    if refuses and request.change_inputs:  # Then only what they do not explain is refused.
        before = find.inputs_as_recorded(prepared.workflow, prepared.recorded)
        refusals = planner.walk(before).refused if before is not None else []
    differences = Differences(RunTree(store.snapshot(start)), prepared)
    return RunPlan(
        workflow=prepared.workflow.name,
        run=tip.run,
        steps=tuple(
            PlannedStep(step=step, changed=tuple(differences.of(step))) for step in planned.steps
        ),
        files=decision,
        missing=tuple(_missing(project, recorder, planned, decision)),
        refused=refused or next(iter(refusals), ""),
        notes=tuple(dict.fromkeys(notes)),
    )


def _files(
    store: Store, checkpoint: Checkpoint, root: Path, request: Request, *, can_ask: bool
) -> tuple[FilesDecision, str]:
    """Give what would become of the project's files, and why they would make it refuse."""
    try:
        return expect(
            store, checkpoint, root, choice=request.workspace or None, can_ask=can_ask
        ), ""
    except FilesDiffer as error:
        return expect(store, checkpoint, root, choice="keep", can_ask=False), str(error)


def _missing(
    project: Project, recorder: Recorder, plan: Plan, decision: FilesDecision | None
) -> Iterator[MissingFile]:
    """Yield the artifacts of the steps to be recalled that would be brought back."""
    written = set()
    if decision and decision.restores and decision.difference:
        written = {step.path for step in decision.difference.plan.writes}
    for path in plan.artifacts:
        kept = recorder.artifacts(path)
        for write in plan_missing(recorder.store, kept, project.root).writes if kept else ():
            if write.path not in written:
                yield MissingFile(path, write.path)


def _circumstances(
    project: Project, store: Store, checkpoint: Checkpoint, request: Request
) -> Iterator[str]:
    """Say what else a resumption would do."""
    if store.is_owned(checkpoint.run):
        yield (
            f"run {checkpoint.run} is being executed by another process; resuming it is refused "
            "meanwhile"
        )
    if _is_over(project, store, checkpoint, request):
        yield (
            f"run {checkpoint.run} is done: resuming it prints the recorded output and runs none "
            "of these"
        )
    elif checkpoint.kind != "final" and find.names_a_run(store, request.revision):
        ref = store.ref(checkpoint.run)
        if ref.sequence > checkpoint.sequence:
            yield (
                f"checkpoint {ref.sequence} of {ref.run} is damaged: resuming goes on from "
                f"{checkpoint.sequence}, the newest that is whole"
            )
    elif checkpoint.kind == "final" or not find.is_newest(store, checkpoint):
        yield f"a new run would be forked from {checkpoint.run} at {checkpoint.id[:12]}"


def _is_over(project: Project, store: Store, checkpoint: Checkpoint, request: Request) -> bool:
    """Whether there is nothing left to be done."""
    return checkpoint.kind == "final" and not (
        request.amends or find.asks_for_other_inputs(project, store, checkpoint, request)
    )


class _Planner:
    """Walks a workflow as it would be executed; *notes* gets what else is to be told."""

    def __init__(self, prepared: Prepared, recall: Recall, notes: list[str]) -> None:
        self._workflow = prepared.workflow
        self._recall = recall
        self._notes = notes
        self._tools = Tools(
            root=prepared.project.root,
            catalog=prepared.catalog,
            stop=Stop(),
            processes=Processes(Stop(), lambda _: None, scrub=prepared.scrub),
            scrub=prepared.scrub,
            environment=prepared.project.step_environment,
        )
        try:
            prepared.require_programs()
        except StepFailed as error:
            notes.append(f"it would not begin: {error}")

    def walk(self, inputs: dict[str, Value], *, keep_records: bool = False) -> Plan:
        """Give what an execution with *inputs* would come to."""
        plan = Plan()
        try:
            Executor(self._recall, self._tools, keep_records=keep_records, plan=plan).run(
                self._workflow, inputs
            )
        except Unfinished:
            pass
        except StepFailed as error:
            where = f" at {error.step}" if error.step else ""
            self._notes.append(f"it would fail{where}: {error}")
        return plan
