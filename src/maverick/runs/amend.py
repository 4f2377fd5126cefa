"""What people change of a run before it goes on: steps to run again or to skip, outputs, inputs.

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
from maverick.dsl.processes.secrets import Scrubber
from maverick.dsl.workflow.inputs import convert_inputs
from maverick.dsl.workflow.model import LoopStep
from maverick.errors import NotFound, RefMoved, UsageError, WorkflowInvalid
from maverick.runs import find
from maverick.runs.request import Request, new_run_id
from maverick.values import Value, normalise
from maverick.visible import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from maverick.checkpoints import Checkpoint, Store
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.catalog.outline import Outlined
    from maverick.dsl.engine.plan import Plan
    from maverick.dsl.workflow.model import Workflow
    from maverick.project import Project

Edit: TypeAlias = Callable[[Value], object]
"""Gives what a value is to be instead."""


def apply(
    recorder: Recorder,
    request: Request,
    workflow: Workflow,
    catalog: Catalog,
    scrub: Scrubber,
    look_ahead: Callable[[], Plan],
) -> list[str]:
    """Mark in *recorder*, unwritten, what *request* asks for; give reasons for the log.

    *look_ahead* gives what the run would come to without that.

    Raises:
        NotFound: A step that is to run again, or to be skipped, does not exist.
    """
    if not request.amends:
        return []
    steps = outline(workflow, catalog)
    paths = [StepPath(path) for path in (*request.skip, request.from_step)]
    if any("[" in path for path in paths):
        iterations = look_ahead().iterations
        for each in paths:
            _require_iterations(each, recorder, steps, iterations)
    reasons = []
    for path, output in request.skip.items():
        if StepPath(path).pattern not in steps:
            raise _no_step(path, "there is no step", recorder, [*steps])
        recorder.set_output(path, scrub.value(normalise(output, f"steps.{path}.output")), skip=True)
        reasons.append(f"skipped {path} by hand")
    if request.from_step:
        again = recorder.run_again(request.from_step)  # What has recorded nothing runs in any case.
        if not again and StepPath(request.from_step).pattern not in steps:
            raise _no_step(request.from_step, "there is no step", recorder, [*steps])
        reasons.append(
            "to run again from "
            f"{request.from_step}{'' if again else ', which had recorded nothing'}"
        )
    return reasons


def _require_iterations(
    path: StepPath,
    recorder: Recorder,
    steps: Mapping[str, Outlined],
    iterations: Mapping[StepPath, Sequence[StepPath]],
) -> None:
    """Refuse a path in an iteration that there is not, or in no particular one.

    Of a loop whose list is not known yet, any iteration may come to be there.
    """
    run = recorder.run
    for loop, iteration in path.iterations():
        there, rest = iterations.get(loop), path[len(iteration) :]
        if there is not None and iteration not in there:
            near = nearest(path, (f"{one}{rest}" for one in there))
            raise NotFound(
                f"there is no iteration {iteration} in run {run}: {loop} has "
                f"{_listed(there) or 'none'}{near}"
            )
        outlined = steps.get(loop.pattern)
        if there is None and outlined is not None:
            is_keyed = isinstance(outlined.step, LoopStep) and outlined.step.key is not None
            if is_keyed != iteration.endswith('"]'):
                how = '["KEY"]' if is_keyed else "[0]"
                raise NotFound(
                    f"there is no iteration {iteration} in run {run}: those of {loop} are named "
                    f"as in {loop}{how}{rest}"
                )
    before, mark, after = path.partition("[]")
    if mark and path.pattern in steps:
        named = [f"{one}{after}" for one in iterations.get(StepPath(before), ())]
        raise NotFound(
            f"{path} names no iteration of run {run}; name one"
            f"{f' of {_listed(named)}' if named else ''}, or the whole step: {before}"
        )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:8])}{', …' if len(names) > 8 else ''}"


class Carried(NamedTuple):
    """The steps whose outputs were set by hand, and whether these are kept when a run goes back."""

    kept: list[str]
    lost: list[str]


def carry_over(store: Store, tip: Checkpoint, recorder: Recorder) -> Carried:
    """Set in *recorder*, unwritten, what was set by hand between its checkpoint and *tip*.

    A step that was recorded in between runs again, and what was set for it is lost.
    """
    carried = Carried([], [])
    if tip.id == recorder.tip.id:
        return carried
    latest = Recorder(store, tip).records
    for path in latest:
        record, current = latest[path], recorder.records.get(path)
        if not record.by_hand or (
            current is not None and current.by_hand and current.order == record.order
        ):
            continue
        if record.key and current is None:
            carried.lost.append(path)
        else:
            recorder.set_output(path, record.load(), skip=not record.key)
            carried.kept.append(path)
    return carried


def _no_step(path: str, what: str, recorder: Recorder, others: Iterable[str]) -> NotFound:
    names = dict.fromkeys([*recorder.paths(), *(other for other in others if "[]" not in other)])
    hint = nearest(path, names) or f"; it has {_listed(list(names))}"
    return NotFound(f"{what} {path} in run {recorder.run}{hint}")


# --- editing what is recorded ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edited:
    """What editing came to: the new checkpoint, and whether it begins a run of its own."""

    checkpoint: Checkpoint
    forked: bool


def edit_output(
    project: Project, store: Store, checkpoint: Checkpoint, path: str, edit: Edit, what: str
) -> Edited:
    """Give the step at *path* another output, so that what follows it runs again on resuming.

    *edit* gives the new output for the old one; *what* is edited, in words for the log. A new
    checkpoint is written on top of *checkpoint*, or, where that is not its run's newest, a new run
    is forked from it.

    Raises:
        NotFound: The step has recorded nothing.
        UsageError: The step is made of steps, was skipped by its `when`, or runs each time.
        RunOwned: Another process executes the run.
    """

    def write(recorder: Recorder) -> None:
        record = recorder.records.get(path)
        if record is None:
            raise NotFound(
                f"step {path} has recorded nothing in {checkpoint.run}; "
                f"`--resume={checkpoint.run} --skip '{path}=…'` gives it one"
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
        if _runs_each_time(project, store, checkpoint, path):
            raise UsageError(
                f"step {path} is marked `always_run`: it runs on every resumption, and gives "
                "another output"
            )
        output = normalise(edit(record.load()), f"steps.{path}.output")
        recorder.set_output(path, _scrubber(project).value(output))

    return _edited(store, checkpoint, what, write)


def edit_inputs(
    project: Project, store: Store, checkpoint: Checkpoint, edit: Edit, what: str
) -> Edited:
    """Give a run other inputs, as `edit_output`; on resuming, what they change runs again unasked.

    Texts that *edit* gives are converted to the declared types.

    Raises:
        InputInvalid: They do not fit the workflow.
    """

    def write(recorder: Recorder) -> None:
        recorded = RunTree(store.snapshot(checkpoint)).inputs
        catalog = find.catalog_of(project, store, checkpoint)
        workflow = catalog.workflow(find.reference_of(catalog, store, checkpoint))
        edited = edit(recorded)
        if not isinstance(edited, dict):
            raise UsageError("inputs have to be a mapping of names to values")
        inputs = convert_inputs(workflow, edited, from_text=True)
        if _scrubber(project).value(inputs) != inputs:
            raise UsageError(
                "an input holds a secret, which must not be recorded; use ${{ env.NAME }} in the "
                "steps that need it"
            )
        recorder.amend({INPUTS: value(inputs)})
        recorder.allow_reruns()

    return _edited(store, checkpoint, what, write)


def _edited(
    store: Store, checkpoint: Checkpoint, what: str, write: Callable[[Recorder], None]
) -> Edited:
    def changes(base: Checkpoint) -> tuple[byhand.Changes, byhand.Changes]:
        recorder = Recorder(store, base)
        write(recorder)
        state, facts = recorder.pending_changes()
        return {**state, OUTPUT: None}, {**facts, END: None}

    if find.is_newest(store, checkpoint):
        with store.own(checkpoint.run):
            if not find.is_newest(store, checkpoint):
                raise RefMoved(
                    f"run {checkpoint.run} was advanced by another process; nothing was changed"
                )
            state, facts = changes(checkpoint)
            return Edited(
                byhand.edit(store, checkpoint, changes=state, facts=facts, what=what), forked=False
            )
    state, facts = changes(checkpoint)
    reason = f"forked from {checkpoint.run} at {checkpoint.id[:12]}, edited {what}"
    run = new_run_id(checkpoint.group)
    return Edited(
        byhand.fork(store, checkpoint, run, changes=state, facts=facts, reason=reason), forked=True
    )


def fork(store: Store, checkpoint: Checkpoint, run: str = "") -> Checkpoint:
    """Begin a run at *checkpoint*, called *run* or by a new id. Raises UsageError, NotFound."""
    state: byhand.Changes = {OUTPUT: None}
    facts: byhand.Changes = {
        END: None,
        **(RunTree(store.snapshot(checkpoint)).reseeded() if run else {}),
    }
    reason = f"forked from {checkpoint.run} at {checkpoint.id[:12]}"
    run = run or new_run_id(checkpoint.group)
    return byhand.fork(store, checkpoint, run, changes=state, facts=facts, reason=reason)


def _runs_each_time(project: Project, store: Store, checkpoint: Checkpoint, path: str) -> bool:
    catalog = find.catalog_of(project, store, checkpoint)
    try:
        steps = outline(catalog.workflow(find.reference_of(catalog, store, checkpoint)), catalog)
    except WorkflowInvalid:
        return False
    outlined = steps.get(StepPath(path).pattern)
    return outlined is not None and outlined.step.always_run


def _scrubber(project: Project) -> Scrubber:
    return Scrubber.of(project.config.secrets, project.environment)
