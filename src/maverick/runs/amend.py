"""What is changed of a run by hand before it goes on: steps that run again or are skipped, and
outputs and inputs.

Each is written into the run before anything runs, so that whoever resumes it after a kill finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from maverick.checkpoints import byhand, value
from maverick.dsl.catalog.outline import outline
from maverick.dsl.journal.recorder import Recorder
from maverick.dsl.journal.tree import END, INPUTS, OUTPUT, RunTree
from maverick.dsl.paths import StepPath
from maverick.dsl.processes.secrets import Scrubber, secrets_of
from maverick.dsl.suggest import nearest
from maverick.dsl.workflow.inputs import convert_inputs
from maverick.errors import NotFound, RefMoved, UsageError, WorkflowInvalid
from maverick.runs import find
from maverick.values import Value, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.checkpoints import Checkpoint, Store
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.workflow.model import Workflow
    from maverick.project import Project
    from maverick.runs.request import Request

Change: TypeAlias = Callable[[Value], object]
"""Gives what a value is to be instead."""


def apply(
    recorder: Recorder, request: Request, workflow: Workflow, catalog: Catalog, scrub: Scrubber
) -> list[str]:
    """Mark in *recorder*, unwritten, what *request* asks for; give what the log is to say of it.

    Raises:
        NotFound: A step that is to run again, or to be skipped, does not exist.
    """
    if not request.amends:
        return []
    known = outline(workflow, catalog)
    said = []
    for path, output in request.skip.items():
        if StepPath(path).pattern not in known:
            raise _no_step(path, "there is no step", recorder, [*known])
        recorder.set_output(path, scrub.value(normalise(output, f"steps.{path}.output")), skip=True)
        said.append(f"skipped {path} by hand")
    if request.from_step:
        again = recorder.run_again(request.from_step)  # What has recorded nothing runs in any case.
        if not again and StepPath(request.from_step).pattern not in known:
            raise _no_step(request.from_step, "there is no step", recorder, [*known])
        said.append(
            "to run again from "
            f"{request.from_step}{'' if again else ', which had recorded nothing'}"
        )
    return said


class Carried(NamedTuple):
    """What becomes of the outputs that were set by hand when a run goes back: paths of steps."""

    kept: list[str]
    lost: list[str]


def carry_over(store: Store, tip: Checkpoint, recorder: Recorder) -> Carried:
    """Set in *recorder*, unwritten, what was set by hand up to *tip* and since the checkpoint that
    it is of.

    A step that was recorded later than that one runs again, and what was set for it is lost.
    """
    carried = Carried([], [])
    if tip.id == recorder.tip.id:
        return carried
    before = Recorder(store, tip).records
    for path in before:
        record, known = before[path], recorder.records.get(path)
        if not record.by_hand or (
            known is not None and known.by_hand and known.order == record.order
        ):
            continue
        if record.key and known is None:
            carried.lost.append(path)
        else:
            recorder.set_output(path, record.load(), skip=not record.key)
            carried.kept.append(path)
    return carried


def _no_step(path: str, what: str, recorder: Recorder, others: Iterable[str]) -> NotFound:
    names = dict.fromkeys([*recorder.paths(), *(it for it in others if "[]" not in it)])
    hint = (
        nearest(path, names)
        or f"; it has {', '.join(list(names)[:8])}{', …' if len(names) > 8 else ''}"
    )
    return NotFound(f"{what} {path} in run {recorder.run}{hint}")


# --- editing what is recorded ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edited:
    """What editing came to: the new checkpoint, and whether it begins a run of its own."""

    checkpoint: Checkpoint
    forked: bool


def edit_output(
    project: Project, store: Store, at: Checkpoint, path: str, change: Change, what: str
) -> Edited:
    """Give the step at *path* another output than it recorded, so that what follows it runs again
    on resuming.

    *change* gives the new output for the old one; *what* is edited, in words for the log. A new
    checkpoint is written on top of *at*, or, where that is not its run's newest, a new run is
    forked from it.

    Raises:
        NotFound: The step has recorded nothing.
        UsageError: The step is made of steps, was skipped by its `when`, or runs each time.
        RunOwned: Another process executes the run.
    """

    def write(recorder: Recorder) -> None:
        record = recorder.records.get(path)
        if record is None:
            raise NotFound(
                f"step {path} has recorded nothing in {at.run}; `--resume={at.run} --skip "
                f"'{path}=…'` gives it one"
            )
        if not record.key and not record.by_hand:
            how = (
                "was skipped"
                if record.status == "skipped"
                else "is made of steps, edit one of them"
            )
            raise UsageError(
                f"step {path} {how}; its output cannot be edited (--skip '{path}=…' replaces it)"
            )
        if _runs_each_time(project, store, at, path):
            raise UsageError(
                f"step {path} is marked `always_run`: it runs on every resumption, and gives "
                "another output"
            )
        output = normalise(change(record.load()), f"steps.{path}.output")
        recorder.set_output(path, _scrubber(project).value(output))

    return _edited(store, at, what, write)


def edit_inputs(
    project: Project, store: Store, at: Checkpoint, change: Change, what: str
) -> Edited:
    """Give a run other inputs; on resuming, what they change runs again unasked. As `edit_output`
    otherwise.

    Texts that *change* gives are converted to the declared types.

    Raises:
        InputInvalid: They do not fit the workflow.
    """

    def write(recorder: Recorder) -> None:
        recorded = RunTree(store.snapshot(at)).inputs
        catalog = find.catalog_of(project, store, at)
        workflow = catalog.workflow(find.reference_of(catalog, store, at))
        changed = change(recorded)
        if not isinstance(changed, dict):
            raise UsageError("inputs have to be a mapping of names to values")
        inputs = convert_inputs(workflow, changed, from_text=True)
        if _scrubber(project).value(inputs) != inputs:
            raise UsageError(
                "an input holds a secret, which must not be recorded; use ${{ env.NAME }} in the "
                "steps that need it"
            )
        recorder.amend({INPUTS: value(inputs)})
        recorder.allow_reruns()

    return _edited(store, at, what, write)


def _edited(store: Store, at: Checkpoint, what: str, write: Callable[[Recorder], None]) -> Edited:
    def changes(of: Checkpoint) -> tuple[byhand.Changes, byhand.Changes]:
        recorder = Recorder(store, of)
        write(recorder)
        state, facts = recorder.pending_changes()
        return {**state, OUTPUT: None}, {**facts, END: None}

    if find.is_newest(store, at):
        with store.own(at.run):
            if not find.is_newest(store, at):
                raise RefMoved(f"run {at.run} was advanced by another process; nothing was changed")
            state, facts = changes(at)
            return Edited(
                byhand.edit(store, at, changes=state, facts=facts, what=what), forked=False
            )
    state, facts = changes(at)
    reason = f"forked from {at.run} at {at.id[:12]}, edited {what}"
    run = find.new_run_id(at.group)
    return Edited(
        byhand.fork(store, at, run, changes=state, facts=facts, reason=reason), forked=True
    )


def fork(store: Store, at: Checkpoint, run: str = "") -> Checkpoint:
    """Begin a run at *at*, called *run* or by a new name. Raises UsageError, NotFound."""
    gone: byhand.Changes = {OUTPUT: None}
    reason = f"forked from {at.run} at {at.id[:12]}"
    return byhand.fork(
        store,
        at,
        run or find.new_run_id(at.group),
        changes=gone,
        facts={END: None},
        reason=reason,
    )


def _runs_each_time(project: Project, store: Store, at: Checkpoint, path: str) -> bool:
    catalog = find.catalog_of(project, store, at)
    try:
        known = outline(catalog.workflow(find.reference_of(catalog, store, at)), catalog)
    except WorkflowInvalid:
        return False
    outlined = known.get(StepPath(path).pattern)
    return outlined is not None and outlined.step.always_run


def _scrubber(project: Project) -> Scrubber:
    return Scrubber(secrets_of(project.config.secrets, project.environment).values())
