"""Runs: start one, resume one, list them. Ties workflow, actions, store and journal together.

A run exists, its ref durable, before its first step begins; whoever executes it owns it by a kernel lock.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import maverick
from maverick import amendments, files, selection
from maverick.checkpoints import Checkpoint, Content, Owner, Store, blob, note, value
from maverick.dsl.agents.sessions import Sessions
from maverick.dsl.blocks import Unfinished
from maverick.dsl.events import Event, Observer, ignore
from maverick.dsl.files import Keeper, keeps_files
from maverick.dsl.inputs import convert_inputs
from maverick.dsl.journal import Journal
from maverick.dsl.outcome import Outcome
from maverick.dsl.processes import Group, Processes, Stop, Stopped, stop_leftovers
from maverick.dsl.requirements import all_steps, require_programs
from maverick.dsl.rollback import Undone, finish_interrupted, roll_back
from maverick.dsl.secrets import Scrubber, secrets_in
from maverick.dsl.serialization.executor import Executor
from maverick.dsl.steps import Tools
from maverick.errors import StepFailed, StoreDamaged, StoreUnwritable, UsageError, WorkflowInvalid
from maverick.selection import Policy, Request

if TYPE_CHECKING:
    from maverick.dsl.catalog import Catalog
    from maverick.dsl.model import Workflow
    from maverick.dsl.values import Value
    from maverick.project import Project


__all__ = ["Policy", "Request", "Session", "resume", "start"]


@dataclass(frozen=True, slots=True)
class Session:
    """Who watches an execution, and who may stop it."""

    observe: Observer = ignore
    stop: Stop = field(default_factory=Stop)
    ask: Callable[[str], bool] | None = None
    """Asks a person a question; None where there is nobody to be asked."""

    def tell(self, text: str) -> None:
        """Tell whoever watches."""
        self.observe(Event(event="notice", message=text))


# --- start and resume ----------------------------------------------------------------------------------------------


def start(project: Project, request: Request, session: Session) -> Outcome:
    """Start a new run and execute it to its end.

    Raises:
        WorkflowInvalid: There is no such workflow, or it has problems (all of them are given).
        InputInvalid: Inputs are missing, unknown or of the wrong type.
        StepFailed: A program that the workflow requires is not there.
    """
    catalog = project.catalog()
    workflow = _checked(catalog, request.workflow)
    inputs = convert_inputs(workflow, request.inputs, from_text=True)
    scrub = _scrubber(project, inputs, catalog)
    require_programs(workflow, catalog, project.environment)
    store = project.create_store()
    run = _new_id(workflow.name)
    with store.own(run) as owner:
        tip = store.save(
            run,
            {("inputs",): value(inputs), **_definition(workflow, catalog)},
            parent=None,
            reason="started",
            group=workflow.name,
            facts={("run",): note(_circumstances())},
        )
        session.observe(Event(event="run_started", message=run, data={"workflow": workflow.name}))
        execution = _Execution(project, catalog, store, session, owner, scrub)
        return execution.go(workflow, inputs, _journal(store, tip, workflow, catalog, project, session))


def resume(project: Project, request: Request, session: Session) -> Outcome:
    """Go on with a run where it stopped; of a run that is done, report what it recorded and run nothing.

    With a revision that is not its run's newest, a new run is forked from there.

    Raises:
        NotFound: There is nothing to resume, no such revision, or no such step to begin at or to skip.
        RunOwned: Another process executes the run.
        InputsDiffer: Inputs are given that are not the recorded ones, and `change_inputs` does not stand.
        StepsDiffer: A finished step would run again, and the policy is `refuse`. Nothing was run.
    """
    store = project.open_store()
    found = selection.find(project, store, request, session.observe)
    whole = selection.names_a_run(request.revision, found)
    if found.kind != "final" and (whole or store.ref(found.run).checkpoint == found.id):
        with store.own(found.run) as owner:
            now = _newest(store, found.run, session)  # It may have been advanced until it was owned.
            if now.kind != "final" and (whole or now.id == found.id):
                try:
                    return _resume_owned(project, store, now, owner, request, session)
                except StoreDamaged as damage:  # What ran since the damage is lost with it: its records lead to it.
                    now = _fall_back(store, found.run, damage, session)
                    return _resume_owned(project, store, now, owner, request, session)
            found = now if whole else found
    other_inputs = found.kind == "final" and selection.asks_for_other_inputs(project, store, found, request)
    if found.kind == "final" and not (other_inputs or request.amends):
        return _report(store, found)
    run = _new_id(found.group)
    with store.own(run) as owner:
        return _resume_owned(project, store, found, owner, request, session, fork=run)


def _newest(store: Store, run: str, session: Session) -> Checkpoint:
    ref = store.ref(run)
    try:
        return store.checkpoint(ref.checkpoint)
    except StoreDamaged as damage:
        return _fall_back(store, run, damage, session)


def _fall_back(store: Store, run: str, damage: StoreDamaged, session: Session) -> Checkpoint:
    """Make a run whose newest checkpoint is damaged stand at its newest whole one, and tell it."""
    standing = store.fall_back(run)
    if standing.damage is None:
        raise damage
    text = (
        f"checkpoint {standing.before} of {run} is damaged ({standing.damage}); "
        f"going on from {standing.checkpoint.sequence}, the newest that is whole"
    )
    session.observe(Event(event="notice", message=text))
    return standing.checkpoint


def _resume_owned(
    project: Project,
    store: Store,
    tip: Checkpoint,
    owner: Owner,
    request: Request,
    session: Session,
    *,
    fork: str = "",
) -> Outcome:
    catalog = selection.catalog_of(project, store, tip)
    workflow = _checked(catalog, request.workflow or selection.reference_of(catalog, store, tip))
    recorded = store.snapshot(tip).value(("inputs",))
    inputs = selection.inputs_to_use(workflow, recorded, request)
    for file in sorted(catalog.recorded_in_use):
        session.tell(f"{file} is gone; its text as the run recorded it is used")
    scrub = _scrubber(project, inputs, catalog)
    require_programs(workflow, catalog, project.environment)
    for text in stop_leftovers(owner.previous.get("groups", [])):
        session.tell(f"stopped what was left of the interrupted run: {text}")
    keeps = keeps_files(workflow, all_steps(workflow, catalog))

    def journal_at(at: Checkpoint) -> Journal:
        if keeps or request.workspace:
            choice = request.workspace or None
            at = files.settle(store, at, project.root, choice=choice, ask=session.ask, tell=session.tell)
        return _journal(store, at, workflow, catalog, project, session)

    journal = Journal(store, tip) if fork else journal_at(tip)
    amended = amendments.apply(journal, request, workflow, catalog, scrub)
    execution = _Execution(project, catalog, store, session, owner, scrub, policy=request.policy)
    if request.policy == "refuse":
        if request.change_inputs:
            execution = replace(execution, policy="rerun")
            known: dict[str, Value] | None = selection.inputs_as_recorded(workflow, recorded)
        else:
            known = inputs
        if known is not None:
            execution.check(workflow, known, journal)
    if fork:
        origin = f"{tip.run} at {tip.id[:12]}"
        started = store.save(fork, {("output",): None}, parent=tip, reason=f"forked from {origin}", step=tip.step)
        session.tell(f"forked {fork} from {origin}")
        journal = journal_at(started)
        amendments.apply(journal, request, workflow, catalog, scrub)
    if amended:
        journal.write("; ".join(amended))
    if request.change_inputs or request.policy == "rerun":
        journal.ask()
    run = journal.tip.run
    session.observe(Event(event="run_resumed", message=run, data={"workflow": workflow.name, "from": tip.id}))
    journal.amend({("inputs",): value(inputs), **_definition(workflow, catalog)})
    return replace(execution.go(workflow, inputs, journal), resumed_from=tip.id)


@dataclass(frozen=True, slots=True)
class _Execution:
    """One owner's execution of a run."""

    project: Project
    catalog: Catalog
    store: Store
    session: Session
    owner: Owner
    scrub: Scrubber
    policy: Policy = "rerun"

    def check(self, workflow: Workflow, inputs: dict[str, Value], journal: Journal) -> None:
        """Raise StepsDiffer if a finished step would run again. Runs and writes nothing."""
        try:
            Executor(journal, self._tools(), checking=True).run(workflow, inputs)
        except (Unfinished, StepFailed):
            return  # What comes next will run; whatever fails here fails there, too.

    def go(self, workflow: Workflow, inputs: dict[str, Value], journal: Journal) -> Outcome:
        """Walk the workflow and close the run's journal with what came of it."""
        tracking = any(step.rollback is not None for step in all_steps(workflow, self.catalog))
        if tracking:
            finish_interrupted(
                Executor(journal, self._tools(), keep_records=True, checking=True, tracking=True), workflow, inputs
            )
        executor = Executor(journal, self._tools(), keep_records=self.policy == "recorded", tracking=tracking)
        result = Outcome(run=journal.tip.run, workflow=workflow.name, status="failed", counts=executor.counts)
        try:
            output = executor.run(workflow, inputs)
            journal.end("final", reason="done", output=output)
            result = replace(result, status="done", output=output)
        except Stopped as stopped:
            self._pause(journal, f"paused: {stopped.reason}")
            result = replace(result, status="paused", error=f"interrupted by {stopped.reason}")
        except StepFailed as error:
            text = self.scrub.text(f"step {error.step}: {error}" if error.step else str(error))
            undone = roll_back(executor) if workflow.on_failure == "rollback" else Undone()
            if undone.steps:
                text += f"\nrolled back: {', '.join(undone.steps)}; resuming runs again: {', '.join(undone.forgotten)}"
            journal.end("failure", reason=f"failed at {error.step}", facts={"step": error.step, "error": text})
            result = replace(result, error=text, rollback_errors=tuple(undone.errors))
        except StoreUnwritable as error:
            result = replace(result, error=str(error))
        self.session.observe(Event(event="run_finished", message=result.status))
        return replace(result, checkpoint=journal.tip.id)

    def _pause(self, journal: Journal, reason: str) -> None:
        """Save where the run stands, without the files if they cannot be kept: the records come first."""
        try:
            journal.end("pause", reason=reason)
        except StepFailed as error:
            self.session.tell(str(error))
            journal.end("pause", reason=reason, keep_files=False)

    def _tools(self) -> Tools:
        noted = _Noted(self.owner)
        return Tools(
            root=self.project.root,
            catalog=self.catalog,
            stop=self.session.stop,
            processes=Processes(self.session.stop, noted.groups, scrub=self.scrub),
            scrub=self.scrub,
            environment=self.project.step_environment,
            observe=self.session.observe,
            sessions=Sessions(self.owner.previous.get("sessions"), noted.sessions),
        )


def _journal(
    store: Store, tip: Checkpoint, workflow: Workflow, catalog: Catalog, project: Project, session: Session
) -> Journal:
    keeper = None
    if keeps_files(workflow, all_steps(workflow, catalog)):
        keeper = Keeper(store, project.root, workflow.workspace, session.tell)
    return Journal(store, tip, keeper=keeper)


class _Noted:
    """The owner's note, whose parts change one by one."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parts: dict[str, object] = {"groups": [], "sessions": owner.previous.get("sessions", {})}
        self._lock = threading.Lock()

    def groups(self, groups: list[Group]) -> None:
        """Note the process groups that run."""
        self._note("groups", groups)

    def sessions(self, sessions: Mapping[str, str]) -> None:
        """Note the sessions of agents that are at work."""
        self._note("sessions", sessions)

    def _note(self, name: str, part: object) -> None:
        with self._lock:
            self._parts[name] = part
            self._owner.note(self._parts)


def _report(store: Store, checkpoint: Checkpoint) -> Outcome:
    """What a run that is done recorded."""
    output = store.snapshot(checkpoint).value(("output",))
    return Outcome(
        run=checkpoint.run,
        workflow=checkpoint.group,
        status="done",
        output=output,
        checkpoint=checkpoint.id,
        resumed_from=checkpoint.id,
    )


# --- what a run begins with ----------------------------------------------------------------------------------------


def _checked(catalog: Catalog, reference: str) -> Workflow:
    checked = catalog.check(reference)
    if checked.workflow is None:
        raise WorkflowInvalid(list(checked.problems))
    return checked.workflow


def _definition(workflow: Workflow, catalog: Catalog) -> dict[tuple[str, ...], Content | None]:
    """The texts of the workflow and of all that it calls (linting it has loaded them)."""
    texts = catalog.loaded()
    return {
        ("definition", file): blob(text.encode(), note="main" if file == workflow.file else "")
        for file, text in texts.items()
    }


def _scrubber(project: Project, inputs: Mapping[str, Value], catalog: Catalog) -> Scrubber:
    """What masks the project's secrets.

    Raises:
        UsageError: A secret is too short to be masked, or stands in what the run has to record as it is.
    """
    secrets = secrets_in(project.config.secrets, project.environment)
    scrub = Scrubber(secrets.values())
    holding = [f"the input {name}" for name, given in inputs.items() if scrub.value(given) != given]
    holding += [file for file, text in catalog.loaded().items() if scrub.text(text) != text]
    if holding:
        raise UsageError(
            f"{' and '.join(holding)} holds a value of {', '.join(secrets)} (`secrets:` in maverick.yaml), which must "
            "not be recorded; use ${{ env.NAME }} in the steps that need it"
        )
    return scrub


def _circumstances() -> str:
    facts = {"host": os.uname().nodename, "pid": os.getpid(), "version": maverick.__version__}
    return json.dumps(facts, sort_keys=True)


def _new_id(workflow: str) -> str:
    """Such as `fly-20261123-101502-k3x9`: sortable by time, easy to say."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    suffix = "".join(random.SystemRandom().choice(alphabet) for _ in range(4))
    return f"{workflow}-{time.strftime('%Y%m%d-%H%M%S')}-{suffix}"
