"""What a resumption goes on with: which run, which definition, which inputs. Writes nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.checkpoints import Checkpoint, Ref, Store
from maverick.checkpoints.revisions import fitting
from maverick.dsl.events import Event, Observer
from maverick.dsl.journal.tree import RunTree
from maverick.dsl.workflow.inputs import convert_inputs
from maverick.errors import (
    InputInvalid,
    InputsDiffer,
    NotFound,
    RefDamaged,
    StoreDamaged,
    UsageError,
)
from maverick.values import same

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.workflow.model import Workflow
    from maverick.project import Project
    from maverick.runs.request import Request
    from maverick.values import Value

# --- which run ------------------------------------------------------------------------------------


def find_checkpoint(
    project: Project, store: Store, request: Request, observe: Observer
) -> Checkpoint:
    """Find the checkpoint that *request* means: of its revision, else of the newest run that fits.

    Refs that cannot be read are told: one of them may be that of the run that is meant.

    Raises:
        NotFound: There is none.
        InputsDiffer: No run has the inputs that are given.
        UsageError: The revision is one of another workflow.
    """
    if request.revision:
        return _revision(project, store, request)
    damaged: list[RefDamaged] = []
    readable = store.refs(damaged)
    for error in damaged:
        observe(Event(event="notice", message=f"{error}; this run is left out"))
    refs = list(of_workflow(project, store, readable, request.workflow))
    what = f"of {request.workflow} " if request.workflow else ""
    if not refs:
        refuse_lost(store, lambda newest: is_run_of(project, newest, request.workflow))
        raise NotFound(
            f"nothing to resume: there is no run {what}in {project.root}{_all_given_up(store)}; "
            "start one by leaving out --resume"
        )
    unfinished = [ref for ref in refs if not ref.done]
    return _with_inputs(project, store, unfinished or refs, request, what)


def newest_unfinished(project: Project, damaged: list[RefDamaged]) -> str:
    """Give the newest run, of whatever workflow, that is not done; *damaged* gets the errors of
    refs that cannot be read.

    Raises:
        NotFound: There is none.
        RefDamaged: There is none, but one whose ref is gone.
    """
    store = project.open_store()
    refs = store.refs(damaged)
    for ref in refs:
        if not ref.done:
            return ref.run
    refuse_lost(store, lambda newest: newest.kind != "final")
    runs = "all runs are done" if refs else "there is no run yet"
    raise NotFound(
        f"nothing to resume in {project.root}: {runs}{_all_given_up(store)}; `maverick runs` lists "
        "them"
    )


def refuse_lost(store: Store, is_meant: Callable[[Checkpoint], bool]) -> None:
    """Raise RefDamaged if what is meant may be a run that is there, and whose ref is gone."""
    for run, newest in store.lost_runs().items():
        if is_meant(newest):
            raise RefDamaged(
                f"the ref of run {run} is gone, but its checkpoints are there, the newest of them "
                f"number {newest.sequence}; `maverick checkpoint fsck --repair` writes it anew"
            )


def given_up(run: str) -> str:
    """Say what became of a run that a repair gave up, and the ways out."""
    return (
        f"no checkpoint of run {run} is whole, so a repair gave it up: what is left of it is in "
        ".maverick/checkpoints/quarantine; to go on with it put a backup of the store back, or "
        "forget it: `maverick gc`"
    )


def _all_given_up(store: Store) -> str:
    return "".join(f"; {given_up(run)}" for run in store.given_up_runs())


def is_run_of(project: Project, checkpoint: Checkpoint, reference: str) -> bool:
    """Whether *checkpoint* is of a run of the workflow *reference* (any, if that is empty)."""
    workflow = project.catalog().find_workflow(reference) if reference else None
    name = workflow.name if workflow is not None else Path(reference).stem
    return not reference or checkpoint.group.replace("-", "_") == name.replace("-", "_")


def _revision(project: Project, store: Store, request: Request) -> Checkpoint:
    try:
        named = store.find_named(request.revision)
    except RefDamaged:
        raise
    except NotFound:
        refuse_lost(store, lambda newest: _may_mean(request.revision, newest.run))
        for run in store.given_up_runs():
            if _may_mean(request.revision, run):
                raise NotFound(given_up(run)) from None
        raise
    checkpoint = named if isinstance(named, Checkpoint) else newest_readable(store, named.run)
    if request.workflow:
        name = catalog_of(project, store, checkpoint).workflow(request.workflow).name
        if name != checkpoint.group:
            raise UsageError(
                f"{request.revision} is a run of the workflow {checkpoint.group!r}, not of {name!r}"
            )
    return checkpoint


def of_workflow(project: Project, store: Store, refs: list[Ref], reference: str) -> Iterator[Ref]:
    """Yield those of the workflow *reference* (empty: all), also where its file is gone."""
    if not reference:
        yield from refs
        return
    catalog = project.catalog()
    workflow = catalog.find_workflow(reference)
    if workflow is not None:
        yield from (ref for ref in refs if ref.group == workflow.name)
        return
    file = catalog.shown(Path(os.path.normpath(project.root / reference)))
    for ref in refs:
        if (
            ref.group.replace("-", "_") == reference.replace("-", "_")
            or RunTree(store.snapshot(newest_readable(store, ref.run))).main_file == file
        ):
            yield ref


def _with_inputs(
    project: Project, store: Store, refs: list[Ref], request: Request, what: str
) -> Checkpoint:
    """Find the first of *refs* whose inputs are those that are given."""
    first = newest_readable(store, refs[0].run)
    if not request.inputs:
        return first
    difference = ""
    for ref in refs:
        checkpoint = newest_readable(store, ref.run)
        try:
            inputs_to_resume(project, store, checkpoint, replace(request, change_inputs=False))
        except InputsDiffer as error:
            difference = difference or str(error)
        else:
            return checkpoint
    if request.change_inputs:
        return first
    kind = "finished" if refs[0].done else "unfinished"
    raise InputsDiffer(
        f"no {kind} run {what}has these inputs; the newest is {first.run}: {difference}"
    )


def names_a_run(store: Store, revision: str) -> bool:
    """Whether *revision*, which names something, names a run and no checkpoint of it."""
    return not revision or not isinstance(store.find_named(revision), Checkpoint)


def is_newest(store: Store, checkpoint: Checkpoint) -> bool:
    """Whether a run stands at *checkpoint*; one that was dropped does not."""
    ref = store.find_ref(checkpoint.run)
    return ref is not None and ref.checkpoint == checkpoint.id


def newest_readable(store: Store, run: str) -> Checkpoint:
    """Give the newest checkpoint of *run*; if that cannot be read, the newest whole one.

    Resuming makes the run stand there.
    """
    try:
        return store.checkpoint(store.ref(run).checkpoint)
    except RefDamaged:
        raise
    except StoreDamaged:
        return store.newest_whole(run).checkpoint


def _may_mean(revision: str, run: str) -> bool:
    """Whether *revision* can be of *run*, whose ref is gone."""
    return bool(fitting(re.split("[@~]", revision, maxsplit=1)[0], [run]))


# --- which definition -----------------------------------------------------------------------------


def catalog_of(project: Project, store: Store, checkpoint: Checkpoint) -> Catalog:
    """Give the project's catalog, with the recorded texts in place of files that are gone."""
    return project.catalog(RunTree(store.snapshot(checkpoint)).definition)


def reference_of(catalog: Catalog, store: Store, checkpoint: Checkpoint) -> str:
    """Give what names the main workflow of a run: its file, else its name."""
    file = RunTree(store.snapshot(checkpoint)).main_file
    if not file or not catalog.path_of(file).exists():
        return checkpoint.group
    catalog.require_ours(file)  # Nobody named it in this command.
    return file


# --- which inputs ---------------------------------------------------------------------------------


def inputs_to_resume(
    project: Project, store: Store, checkpoint: Checkpoint, request: Request
) -> dict[str, Value]:
    """Give the inputs with which *checkpoint* would be resumed. Raises InputsDiffer."""
    workflow = catalog_of(project, store, checkpoint).workflow(request.workflow or checkpoint.group)
    return inputs_to_use(workflow, RunTree(store.snapshot(checkpoint)).inputs, request)


def asks_for_other_inputs(
    project: Project, store: Store, checkpoint: Checkpoint, request: Request
) -> bool:
    """Whether inputs are given that are not those of *checkpoint*, whose run is done.

    Raises:
        InputsDiffer: They are, and `change_inputs` does not stand.
    """
    if not request.inputs:
        return False
    recorded = RunTree(store.snapshot(checkpoint)).inputs
    return not same(inputs_to_resume(project, store, checkpoint, request), recorded)


def inputs_to_use(
    workflow: Workflow, recorded: Mapping[str, Value], request: Request
) -> dict[str, Value]:
    """Give the recorded inputs, with those of *request* in their place.

    Raises:
        InputsDiffer: One that is given differs, and `change_inputs` does not stand.
    """
    kept = {name: old for name, old in recorded.items() if name in workflow.inputs}
    inputs = convert_inputs(workflow, {**kept, **request.inputs}, from_text=True)
    given = {name: inputs[name] for name in request.inputs}
    different = [
        f"{name} was {json.dumps(recorded.get(name))}, now {json.dumps(new)}"
        for name, new in given.items()
        if not same(recorded.get(name), new)
    ]
    if different and not request.change_inputs:
        raise InputsDiffer(
            f"inputs differ from the recorded ones: {'; '.join(different)}; --change-inputs takes "
            "the new ones, and `maverick run` without --resume starts a new run with them"
        )
    return inputs


def inputs_as_recorded(
    workflow: Workflow, recorded: Mapping[str, Value]
) -> dict[str, Value] | None:
    """Give the recorded inputs alone; None where the workflow does not take them now."""
    try:
        return convert_inputs(
            workflow,
            {name: old for name, old in recorded.items() if name in workflow.inputs},
            from_text=True,
        )
    except InputInvalid:
        return None
