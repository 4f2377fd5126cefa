"""Resumes runs: goes on with one where it stopped, or forks one from where it stood."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maverick.checkpoints import Checkpoint, Owner, Store
from maverick.dsl.events import Event
from maverick.dsl.journal.tally import FORKED_FROM, Standing
from maverick.dsl.journal.tree import OUTPUT, RunTree
from maverick.dsl.processes.stop_request import Stopped
from maverick.dsl.steps.prints import prints_kept
from maverick.dsl.workflow.outcome import Outcome
from maverick.errors import Interrupted, StoreDamaged
from maverick.runs import find
from maverick.runs.execution import Execution
from maverick.runs.prepare import prepare_resume, refuse_secrets
from maverick.runs.request import Request, Session, new_run_id

if TYPE_CHECKING:
    from maverick.dsl.journal.recorder import Recorder
    from maverick.project import Project
    from maverick.runs.workspace_choice import Amended, FilesDecision
    from maverick.values import Value


def resume(project: Project, request: Request, session: Session) -> Outcome:
    """Go on with a run where it stopped; of a done run, report what it recorded and run nothing.

    From a revision that is not its run's newest, a new run is forked.

    Raises:
        NotFound: There is nothing to resume, no such revision, or no such step to begin at or to
            skip.
        RunOwned: Another process executes the run.
        InputsDiffer: Inputs are given that are not the recorded ones, and `change_inputs` does not
            stand.
        StepsDiffer: A finished step would run again, and the policy is `refuse`. Nothing was run.
    """
    scrub = refuse_secrets(project, request.inputs)
    passed_on = not session.shows_prints
    with prints_kept(scrub, passed_on=passed_on, as_guest=session.is_guest):
        return _resume(project, request, session)


def _resume(project: Project, request: Request, session: Session) -> Outcome:
    store = project.open_store()
    checkpoint = find.find_checkpoint(project, store, request, session.observe)
    whole = find.names_a_run(store, request.revision)
    if checkpoint.kind != "final" and (whole or find.is_newest(store, checkpoint)):
        with store.own(checkpoint.run) as owner:
            # Another process may have advanced it until it was owned.
            newest = _newest(store, checkpoint.run, session)
            if newest.kind != "final" and (whole or newest.id == checkpoint.id):
                try:
                    return _resume_owned(project, store, newest, owner, request, session)
                except StoreDamaged as damage:
                    # What ran since the damage is lost with it: its records lead to it.
                    newest = _fall_back(store, checkpoint.run, damage, session)
                    return _resume_owned(project, store, newest, owner, request, session)
            checkpoint = newest if whole else checkpoint
    other_inputs = checkpoint.kind == "final" and find.asks_for_other_inputs(
        project, store, checkpoint, request
    )
    if checkpoint.kind == "final" and not (other_inputs or request.amends):
        return _report(store, checkpoint)
    run = new_run_id(checkpoint.group)
    with store.own(run) as owner:
        return _resume_owned(project, store, checkpoint, owner, request, session, fork=run)


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
    prepared = prepare_resume(project, store, tip, request, session.tell)
    prepared.require_programs()
    execution = Execution(prepared=prepared, store=store, session=session, owner=owner)
    execution.clear_up()
    decision = _decide_files(execution, tip, request)
    recorder = execution.open_recorder(decision.start if decision else tip)
    reasons, lost = _amend(execution, recorder, tip, request)
    _refuse_changes(execution, recorder, request)
    base = _fork(store, tip, fork, session) if fork else tip
    if decision and decision.restores:
        amended = _amended(recorder, reasons)
        recorder = execution.open_recorder(
            decision.for_fork(base).carry_out(store, project.root, session.tell, amended)
        )
        for path in lost:
            session.tell(
                f"the output of {path} that was set by hand is lost: the step was recorded after "
                "that checkpoint"
            )
    else:
        if fork:
            recorder = execution.open_recorder(base)
            _amend(execution, recorder, base, request)
        if reasons:
            recorder.write("; ".join(reasons))
    if request.change_inputs or request.policy == "rerun":
        recorder.allow_reruns()
    data: dict[str, object] = {"workflow": prepared.workflow.name, "from": tip.id}
    session.observe(Event(event="run_resumed", message=recorder.run, data=data))
    recorder.begin_execution()
    recorder.amend(prepared.definition)
    recorder.take_in_logs()
    outcome = execution.run_to_end(recorder, keep_records=request.policy == "recorded")
    return replace(outcome, resumed_from=tip.id)


def _fork(store: Store, tip: Checkpoint, run: str, session: Session) -> Checkpoint:
    """Begin *run* where another one stands at *tip*."""
    origin = f"{tip.run} at {tip.id[:12]}"
    forked = store.save(
        run,
        {OUTPUT: None},
        parent=tip,
        reason=f"forked from {origin}",
        step=tip.step,
        summary={FORKED_FROM: origin},
    )
    session.tell(f"forked {run} from {origin}")
    return forked


def _amend(
    execution: Execution, recorder: Recorder, tip: Checkpoint, request: Request
) -> tuple[list[str], list[str]]:
    """Mark in *recorder* what is to be other than recorded; give reasons for the log, and losses.

    Where *recorder* is of an earlier checkpoint than *tip*, that includes what was set by hand
    since. Lost are outputs of the steps whose paths are given.
    """
    if not request.amends and recorder.tip.id == tip.id:
        return [], []
    from maverick.runs import amend  # noqa: PLC0415 - few resumptions change anything by hand

    kept, lost = amend.carry_over(execution.store, tip, recorder)
    reasons = amend.apply(
        recorder,
        request,
        execution.prepared.workflow,
        execution.prepared.catalog,
        execution.prepared.scrub,
        lambda: execution.look_ahead(recorder),
    )
    return [*(f"kept the output of {path} as set by hand" for path in kept), *reasons], lost


def _amended(recorder: Recorder, reasons: list[str]) -> Amended:
    from maverick.runs.workspace_choice import Amended  # noqa: PLC0415 - as below

    return Amended(*recorder.pending_changes(), reasons)


def _decide_files(execution: Execution, tip: Checkpoint, request: Request) -> FilesDecision | None:
    """Decide what becomes of the project's files, if it keeps some or the request says so."""
    if not execution.prepared.keeps_files and not request.workspace:
        return None
    from maverick.runs import workspace_choice  # noqa: PLC0415 - reads and writes the project's files, which few runs keep

    session, choice = execution.session, request.workspace or None
    return workspace_choice.decide(
        execution.store,
        tip,
        execution.prepared.project.root,
        choice=choice,
        ask=session.ask,
        tell=session.tell,
    )


def _refuse_changes(execution: Execution, recorder: Recorder, request: Request) -> None:
    """Raise StepsDiffer if a finished step would run again, and nobody asked for that."""
    if request.policy != "refuse":
        return
    prepared = execution.prepared
    inputs: dict[str, Value] | None = prepared.inputs
    if request.change_inputs:  # Then only what they do not explain is refused.
        inputs = find.inputs_as_recorded(prepared.workflow, prepared.recorded)
    if inputs is not None:
        try:
            execution.check(inputs, recorder)
        except Stopped as stopped:
            raise Interrupted(
                f"interrupted by {stopped.reason} before anything ran; run {recorder.run} stands "
                "where it stood"
            ) from None


def _report(store: Store, checkpoint: Checkpoint) -> Outcome:
    """Give what a done run recorded."""
    tree = RunTree(store.snapshot(checkpoint))
    ref = store.find_ref(checkpoint.run)
    standing = Standing.read(ref.summary if ref is not None else {})
    return Outcome(
        run=checkpoint.run,
        workflow=checkpoint.group,
        status="done",
        seconds=standing.milliseconds(checkpoint.created) / 1000,
        costs=standing.costs,
        output=tree.output,
        notices=tree.notices,
        checkpoint=checkpoint.id,
        resumed_from=checkpoint.id,
    )
