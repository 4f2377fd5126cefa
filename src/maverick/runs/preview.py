"""What `run --plan` shows: what a start or a resumption would do, step by step, and what changed.
Writes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from maverick.checkpoints import Checkpoint, CheckpointId, ObjectId, TreeId
from maverick.checkpoints.workspace import plan_missing
from maverick.dsl.catalog.outline import Outlined, outline, pattern_of
from maverick.dsl.catalog.references import expressions_in
from maverick.dsl.engine.blocks import Unfinished
from maverick.dsl.engine.plan import Plan, Planned
from maverick.dsl.engine.requirements import all_steps, require_programs
from maverick.dsl.journal.journal import Journal
from maverick.dsl.journal.keeper import keeps_files
from maverick.dsl.journal.records import STEPS
from maverick.dsl.processes.processes import Processes
from maverick.dsl.processes.secrets import Scrubber
from maverick.dsl.processes.stop import Stop
from maverick.dsl.serialization.executor import Executor
from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.steps import Tools
from maverick.dsl.workflow.inputs import convert_inputs
from maverick.errors import FilesDiffer, StepFailed, WorkflowInvalid
from maverick.runs import amend, find
from maverick.runs.execution import refuse_secrets, scrubber
from maverick.runs.workspace_choice import Decision, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from maverick.checkpoints import Store
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.events import Observer
    from maverick.dsl.workflow.model import Step, Workflow
    from maverick.project import Project
    from maverick.runs.find import Request
    from maverick.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Something that changed since a step was recorded: a part of its key, an input, its
    definition.

    `old` and `new` are given where they are known (`known`), and the difference of texts as a
    unified diff.
    """

    part: str
    known: bool = False
    old: Value = None
    new: Value = None
    diff: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step of a plan, with what changed of it."""

    step: Planned
    changed: tuple[Changed, ...] = ()


class MissingFile(NamedTuple):
    """An artifact of a step that would be recalled, which is not there and would be brought
    back.
    """

    step: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What would be done. `run` is empty for a new one; `refused` says why a resumption would stop
    with exit 12.

    `files` says what would become of the project's files, None where nothing would be looked at.
    """

    workflow: str
    run: str
    steps: tuple[PlannedStep, ...]
    files: Decision | None = None
    missing: tuple[MissingFile, ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = ()


def plan_start(project: Project, request: Request) -> RunPlan:
    """Plan a new run. Raises WorkflowInvalid, InputInvalid as starting one does."""
    refuse_secrets(project, request.inputs)
    catalog = project.catalog()
    workflow = _checked(catalog, request.workflow)
    inputs = convert_inputs(workflow, request.inputs, from_text=True)
    planner = _Planner(
        project, catalog, workflow, scrubber(project, inputs, catalog), _Blank(workflow.name)
    )
    planned = planner.walk(inputs)
    steps = tuple(PlannedStep(step=it) for it in planned.steps)
    return RunPlan(
        workflow=workflow.name, run="", steps=steps, notes=(*catalog.overriding(), *planner.notes)
    )


def plan_resume(
    project: Project, request: Request, observe: Observer, *, can_ask: bool = False
) -> RunPlan:
    """Plan a resumption; *can_ask*: somebody could be asked whether to restore files.

    Raises as `runs.resume` does before it runs anything, except for what `refused` says.
    """
    refuse_secrets(project, request.inputs)
    store = project.open_store()
    found = find.find(project, store, request, observe)
    catalog = find.catalog_of(project, store, found)
    workflow = _checked(catalog, request.workflow or find.reference_of(catalog, store, found))
    recorded = store.snapshot(found).value(("inputs",))
    inputs = find.inputs_to_use(workflow, recorded, request)
    scrub = scrubber(project, inputs, catalog)
    decision, refused = None, ""
    looks = request.workspace or keeps_files(workflow, all_steps(workflow, catalog))
    is_over = _is_over(project, store, found, request)
    if looks and not is_over:
        decision, refused = _files(store, found, project.root, request, can_ask=can_ask)
    start = decision.start if decision else found
    journal = Journal(store, start)
    carried = amend.carry_over(store, found, journal)
    amend.apply(journal, request, workflow, catalog, scrub)
    planner = _Planner(project, catalog, workflow, scrub, journal)
    planned = planner.walk(inputs, keep_records=request.policy == "recorded")
    refuses = request.policy == "refuse" and not is_over
    refusals = planned.refused if refuses else []
    if refuses and request.change_inputs:  # Then only what they do not explain is refused.
        before = find.inputs_as_recorded(workflow, recorded)
        refusals = planner.walk(before).refused if before is not None else []
    differences = _Differences(store, start, workflow, catalog, recorded, inputs)
    return RunPlan(
        workflow=workflow.name,
        run=found.run,
        steps=tuple(
            PlannedStep(step=it, changed=tuple(differences.of(it))) for it in planned.steps
        ),
        files=decision,
        missing=tuple(_missing(project, journal, planned, decision)),
        refused=refused or next(iter(refusals), ""),
        notes=(
            *catalog.overriding(),
            *_circumstances(project, store, found, request),
            *(f"the output of {path} that was set by hand would be lost" for path in carried.lost),
            *dict.fromkeys(planner.notes),
        ),
    )


def _files(
    store: Store, found: Checkpoint, root: Path, request: Request, *, can_ask: bool
) -> tuple[Decision, str]:
    """What would become of the project's files, and why the resumption would be refused for their
    sake.
    """
    try:
        return expect(store, found, root, choice=request.workspace or None, can_ask=can_ask), ""
    except FilesDiffer as error:
        return expect(store, found, root, choice="keep", can_ask=False), str(error)


def _missing(
    project: Project, journal: Journal, plan: Plan, decision: Decision | None
) -> Iterator[MissingFile]:
    """The artifacts of the steps to be recalled that would be brought back."""
    written = set()
    if decision and decision.restores and decision.found:
        written = {step.path for step in decision.found.plan.writes}
    for path in plan.artifacts:
        kept = journal.artifacts(path)
        for write in plan_missing(journal.store, kept, project.root).writes if kept else ():
            if write.path not in written:
                yield MissingFile(path, write.path)


def _circumstances(
    project: Project, store: Store, found: Checkpoint, request: Request
) -> Iterator[str]:
    """What else a resumption would do."""
    if store.is_owned(found.run):
        yield (
            f"run {found.run} is being executed by another process; resuming it is refused "
            "meanwhile"
        )
    if _is_over(project, store, found, request):
        yield (
            f"run {found.run} is done: resuming it prints the recorded output and runs none of "
            "these"
        )
    elif found.kind == "final" or not find.is_newest(store, found):
        yield f"a new run would be forked from {found.run} at {found.id[:12]}"


def _is_over(project: Project, store: Store, found: Checkpoint, request: Request) -> bool:
    """Whether there is nothing left to be done."""
    return found.kind == "final" and not (
        request.amends or find.asks_for_other_inputs(project, store, found, request)
    )


def _checked(catalog: Catalog, reference: str) -> Workflow:
    checked = catalog.check(reference)
    if checked.workflow is None:
        raise WorkflowInvalid(list(checked.problems))
    return checked.workflow


class _Planner:
    def __init__(
        self,
        project: Project,
        catalog: Catalog,
        workflow: Workflow,
        scrub: Scrubber,
        journal: Journal,
    ) -> None:
        self._workflow = workflow
        self._journal = journal
        self._tools = Tools(
            root=project.root,
            catalog=catalog,
            stop=Stop(),
            processes=Processes(Stop(), lambda _: None, scrub=scrub),
            scrub=scrub,
            environment=project.step_environment,
        )
        self.notes = [
            f"{file} is gone; its text as the run recorded it is used"
            for file in catalog.recorded_in_use
        ]
        try:
            require_programs(workflow, catalog, project.environment)
        except StepFailed as error:
            self.notes.append(f"it would not begin: {error}")

    def walk(self, inputs: dict[str, Value], *, keep_records: bool = False) -> Plan:
        """Walk the workflow as it would be executed; runs and writes nothing."""
        plan = Plan()
        try:
            Executor(self._journal, self._tools, keep_records=keep_records, plan=plan).run(
                self._workflow, inputs
            )
        except Unfinished:
            pass
        except StepFailed as error:
            self.notes.append(f"it would fail{f' at {error.step}' if error.step else ''}: {error}")
        return plan


class _Blank(Journal):
    """The journal of a run that has not begun, without a store."""

    def __init__(self, group: str) -> None:
        nothing = CheckpointId(ObjectId(""))
        no_tree = TreeId(ObjectId(""))
        tip = Checkpoint(
            nothing, "", 0, "auto", "", "", group, 0, no_tree, no_tree, nothing, nothing
        )
        super().__init__(cast("Store", None), tip, recall=False)

    def _stored_facts(self, path: str) -> dict[str, Any]:
        del path
        return {}


# --- what changed ---------------------------------------------------------------------------------


class _Differences:
    """Compares what a checkpoint recorded with what there is now."""

    def __init__(
        self,
        store: Store,
        at: Checkpoint,
        workflow: Workflow,
        catalog: Catalog,
        recorded: Value,
        inputs: Mapping[str, Value],
    ) -> None:
        self._snapshot = store.snapshot(at)
        self._workflow = workflow
        self._known = outline(workflow, catalog)
        self._recorded = recorded if isinstance(recorded, dict) else {}
        self._inputs = inputs
        self._before: dict[str, dict[str, Outlined]] = {}

    def of(self, planned: Planned) -> Iterator[Changed]:
        """What changed of a step that has finished."""
        if not planned.parts:
            return
        outlined = self._known.get(pattern_of(planned.step))
        if outlined is None and planned.step.endswith("]"):  # An attempt of a validate step.
            outlined = self._known.get(pattern_of(planned.step).removesuffix("[]"))
        for part in planned.parts:
            old = self._agent(planned.step) if part == "agent" else None
            if old is not None:
                yield Changed(part=part, known=True, old=old, new=planned.agent)
            else:
                yield Changed(part=part)
        if outlined is not None:
            diff = self._definition(outlined)
            if diff:
                yield Changed(part="definition", diff=diff)
            yield from self._inputs_read(outlined)

    def _agent(self, path: str) -> Value:
        fact = self._snapshot.find_fact((STEPS, path))
        told = json.loads(fact.note) if fact is not None else {}
        agent: Value = told.get("player")
        return agent

    def _inputs_read(self, outlined: Outlined) -> Iterator[Changed]:
        if outlined.workflow is not self._workflow:
            return
        read: dict[str, None] = {}
        for name in outlined.step.__dataclass_fields__:
            for expression in expressions_in(getattr(outlined.step, name)):
                read.update(
                    (str(path[1]), None)
                    for path in expression.reads
                    if path[0] == "inputs" and len(path) > 1
                )
        for name in read:
            old, new = self._recorded.get(name), self._inputs.get(name)
            if json.dumps(old, sort_keys=True, default=repr) != json.dumps(
                new, sort_keys=True, default=repr
            ):
                yield Changed(part=f"inputs.{name}", known=True, old=old, new=new)

    def _definition(self, outlined: Outlined) -> str:
        """How the lines of a step differ from those recorded; empty if they do not, or are not
        known.
        """
        file = outlined.workflow.file
        if file not in self._before:
            self._before[file] = self._outline_recorded(file)
        before = self._before[file].get(outlined.inside)
        if before is None:
            return ""
        old, new = (
            _lines(before.step, before.workflow.text),
            _lines(outlined.step, outlined.workflow.text),
        )
        return "\n".join(list(unified_diff(old, new, "recorded", "now", lineterm=""))[2:])

    def _outline_recorded(self, file: str) -> dict[str, Outlined]:
        if self._snapshot.find(("definition", file)) is None:
            return {}
        try:
            workflow = parse_workflow(self._snapshot.data(("definition", file)).decode(), file)
        except WorkflowInvalid:
            return {}
        return outline(workflow, None)


def _lines(step: Step, text: str) -> list[str]:
    """The lines that a step stands in: from its first one on as long as they are indented more."""
    lines = text.splitlines()
    first = step.place.line - 1
    while first > 0 and lines[first].strip() and not lines[first].lstrip().startswith("-"):
        first -= 1
    indent = len(lines[first]) - len(lines[first].lstrip())
    last = first + 1
    while last < len(lines) and (
        not lines[last].strip() or len(lines[last]) - len(lines[last].lstrip()) > indent
    ):
        last += 1
    while not lines[last - 1].strip():
        last -= 1
    return [line[min(indent, len(line) - len(line.lstrip())) :] for line in lines[first:last]]
