"""Starts runs: ties workflow, actions, store and journal together.

A run exists, its ref durable, before its first step begins. Whoever executes it owns it by a kernel
lock.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import maverick
from maverick.checkpoints import Content, note
from maverick.dsl.events import Event
from maverick.dsl.journal.tree import RUN
from maverick.dsl.steps.prints import prints_kept
from maverick.dsl.workflow.outcome import Outcome
from maverick.runs.execution import Execution
from maverick.runs.prepare import prepare_start, refuse_secrets
from maverick.runs.request import Request, Session, new_run_id

if TYPE_CHECKING:
    from maverick.project import Project


def start(project: Project, request: Request, session: Session) -> Outcome:
    """Start a new run and execute it to its end.

    Raises:
        WorkflowInvalid: There is no such workflow, or it has problems (all of them are given).
        InputInvalid: Inputs are missing, unknown or of the wrong type.
        StepFailed: A program that the workflow requires is not there, or files that are to be kept
            cannot be.
        UsageError: Files are to be kept, and the project is `/` or the home folder.
    """
    with prints_kept(refuse_secrets(project, request.inputs)):
        return _start(project, request, session)


def _start(project: Project, request: Request, session: Session) -> Outcome:
    prepared = prepare_start(project, request, session.tell)
    prepared.require_programs()
    if prepared.keeps_files:
        from maverick.checkpoints.workspace import open_workspace  # noqa: PLC0415 - few runs keep files

        # What is refused gets no store, which would make it a project.
        open_workspace(project.root)
    store = project.create_store()
    run = new_run_id(prepared.workflow.name)
    with store.own(run) as owner:
        execution = Execution(prepared=prepared, store=store, session=session, owner=owner)
        recorder = execution.begin_run(run, _circumstances())
        data: dict[str, object] = {"workflow": prepared.workflow.name}
        session.observe(Event(event="run_started", message=run, data=data))
        return execution.run_to_end(recorder)


def _circumstances() -> dict[tuple[str, ...], Content | None]:
    facts = {"host": os.uname().nodename, "pid": os.getpid(), "version": maverick.__version__}
    return {RUN: note(json.dumps(facts, sort_keys=True))}
