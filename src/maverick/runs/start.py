"""Starts runs: ties workflow, actions, store and journal together.

A run exists, its ref durable, before its first step begins. Whoever executes it owns it by a kernel
lock.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import maverick
from maverick.dsl.events import Event
from maverick.dsl.journal.tree import circumstances, new_seed
from maverick.dsl.steps.prints import prints_kept
from maverick.dsl.workflow.outcome import Outcome
from maverick.errors import RunExists, RunOwned
from maverick.runs.execution import Execution
from maverick.runs.prepare import prepare_start, refuse_existing, refuse_secrets
from maverick.runs.request import Request, Session, new_run_id

if TYPE_CHECKING:
    from maverick.checkpoints import Owner, Store
    from maverick.dsl.journal.tree import Changes
    from maverick.project import Project


def start(project: Project, request: Request, session: Session) -> Outcome:
    """Start a new run and execute it to its end.

    Raises:
        WorkflowInvalid: There is no such workflow, or it has problems (all of them are given).
        InputInvalid: Inputs are missing, unknown or of the wrong type.
        StepFailed: A program that the workflow requires is not there, or files that are to be kept
            cannot be.
        UsageError: Files are to be kept, and the project is `/` or the home folder; or the name
            that is given is none for a run.
        RunExists: There is a run of the name that is given, or somebody begins it now.
        RefDamaged: There is one whose ref is damaged or gone.
    """
    scrub = refuse_secrets(project, request.inputs)
    passed_on = not session.shows_prints
    with prints_kept(scrub, passed_on=passed_on, as_guest=session.is_guest):
        return _start(project, request, session)


def _start(project: Project, request: Request, session: Session) -> Outcome:
    prepared = prepare_start(project, request, session.tell)
    prepared.require_programs()
    if prepared.keeps_files:
        from maverick.checkpoints.workspace import open_workspace  # noqa: PLC0415 - few runs keep files

        # What is refused gets no store, which would make it a project.
        open_workspace(project.root)
    store = project.create_store()
    run = request.run or new_run_id(prepared.workflow.name)
    with ExitStack() as stack:
        owner = _own_new(store, run, stack)
        execution = Execution(prepared=prepared, store=store, session=session, owner=owner)
        if request.run:
            execution.clear_up()
            store.remove_logs(run)
            owner.previous = {}  # An earlier run had this name, and was dropped.
        recorder = execution.begin_run(run, _circumstances(named=bool(request.run)))
        if request.run:
            owner.note({})  # Not before: from now on the run has a ref, and is not dropped.
        data: dict[str, object] = {"workflow": prepared.workflow.name}
        session.observe(Event(event="run_started", message=run, data=data))
        return execution.run_to_end(recorder)


def _own_new(store: Store, run: str, stack: ExitStack) -> Owner:
    """Own the new *run* as long as *stack* lasts.

    Raises:
        RunExists: There is one already, or somebody begins it now.
        RefDamaged: There is one whose ref is damaged or gone.
    """
    refuse_existing(store, run)
    try:
        owner = stack.enter_context(store.own(run))
    except RunOwned as error:
        raise RunExists(f"there is a run {run} already: {error}") from error
    refuse_existing(store, run)
    if owner.previous:
        from maverick.runs import find  # noqa: PLC0415 - few runs are given a name that was used

        find.refuse_lost(store, lambda newest: newest.run == run)
    return owner


def _circumstances(*, named: bool) -> Changes:
    facts = {"host": os.uname().nodename, "pid": os.getpid(), "version": maverick.__version__}
    return circumstances({**facts, "seed": new_seed()} if named else facts)
