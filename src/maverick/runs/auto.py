"""Starts a run or goes on with one, and says which of the two, and why: `--resume=auto`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maverick.checkpoints.byhand import check_run_name
from maverick.dsl.events import Event
from maverick.errors import InputInvalid, InputsDiffer, NotFound, RunConflict, RunDiffers, RunExists
from maverick.runs import find, listing
from maverick.runs.prepare import refuse_secrets
from maverick.runs.resume import resume
from maverick.runs.start import start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maverick.checkpoints import Ref, Store
    from maverick.dsl.events import Observer
    from maverick.dsl.workflow.outcome import Outcome
    from maverick.errors import RefDamaged
    from maverick.project import Project
    from maverick.runs.request import Request, Session

_BECAME: Final[Mapping[str, str]] = {
    "running": "which is running",
    "paused": "which was paused",
    "failed": "which failed",
    "killed": "which was killed",
    "done": "which is done",
    "waiting": "which is waiting",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be done: go on with `run`, or start one where that is empty; `because` is for
    people.

    `damaged` are the refs that cannot be read, `given_up` the runs of which a repair found nothing
    whole: one of them may be the run that is meant.
    """

    run: str
    because: str
    damaged: tuple[RefDamaged, ...] = ()
    given_up: tuple[str, ...] = ()

    def tell(self, observe: Observer) -> None:
        """Tell it. The first event says in its data which of the two is done."""
        data: dict[str, object] = {"auto": "resume" if self.run else "start"}
        observe(Event(event="notice", message=self.because, data=data))
        for error in self.damaged:
            observe(Event(event="notice", message=f"{error}; this run is left out"))
        for run in self.given_up:
            observe(Event(event="notice", message=find.given_up(run)))


def start_or_resume(project: Project, request: Request, session: Session) -> Outcome:
    """Do what `choose` chooses.

    Raises as `start` and `resume`; where somebody else begins the run of that name, RunConflict.
    """
    choice = choose(project, request)
    choice.tell(session.observe)
    if choice.run:
        return resume(project, replace(request, run="", revision=choice.run), session)
    try:
        return start(project, request, session)
    except RunExists as error:
        if isinstance(error.__cause__, RunConflict):
            raise error.__cause__ from None
    return start_or_resume(project, request, session)  # Somebody began it since it was looked for.


def choose(project: Project, request: Request) -> Choice:
    """Choose the newest unfinished run of the workflow with the inputs that are given, if any.

    Where the request names a run, that one alone is looked at, and a done one is chosen, too.

    Raises:
        RunDiffers: The run that is named has other inputs, or is of another workflow.
        RefDamaged: The run that is meant may be one whose ref is gone, or is damaged.
        UsageError: What the request names cannot be the name of a run.
    """
    if request.run:
        check_run_name(request.run)
    refuse_secrets(project, request.inputs)  # Messages name inputs.
    try:
        store = project.open_store()
    except NotFound:
        return Choice(run="", because=f"starting {request.run or 'a run'}: there is none here yet")
    choice = _choose(project, store, request)
    if choice.run:
        return choice
    given_up = (run for run in store.given_up_runs() if request.run in ("", run))
    return replace(choice, given_up=tuple(given_up))


def _choose(project: Project, store: Store, request: Request) -> Choice:
    if request.run:
        return _choose_named(project, store, request)
    damaged: list[RefDamaged] = []
    readable = store.refs(damaged)
    refs = list(find.of_workflow(project, store, readable, request.workflow))
    if not refs:
        find.refuse_lost(store, lambda newest: find.is_run_of(project, newest, request.workflow))
    return replace(_choose_newest(project, store, refs, request), damaged=tuple(damaged))


def _choose_newest(project: Project, store: Store, refs: Sequence[Ref], request: Request) -> Choice:
    unfinished = [ref for ref in refs if not ref.done]
    name = refs[0].group if refs else Path(request.workflow).name
    others, difference = 0, ""
    for ref in unfinished:
        try:
            _require_inputs(project, store, ref, request)
        except (InputInvalid, InputsDiffer) as error:
            others, difference = others + 1, difference or str(error)
            continue
        return _going_on(store, ref, f"the newest unfinished run of {name}", request)
    if others and request.change_inputs:
        return _going_on(store, unfinished[0], f"the newest unfinished run of {name}", request)
    if others:
        _, _, what = difference.partition("inputs differ from the recorded ones: ")
        what = f" ({unfinished[0].run}: {what.partition('; --change-inputs')[0]})" if what else ""
        had = "the unfinished one has" if others == 1 else f"the {others} unfinished ones have"
        return Choice(run="", because=f"starting a run of {name}: {had} other inputs{what}")
    why = "all of them are done" if refs else "there is none yet"
    return Choice(run="", because=f"starting a run of {name}: {why}")


def _going_on(store: Store, ref: Ref, what: str, request: Request) -> Choice:
    became = _BECAME[listing.status_of(store, ref)]
    fitting = " with these inputs" if request.inputs and not request.change_inputs else ""
    return Choice(run=ref.run, because=f"going on with {ref.run}, {became}: {what}{fitting}")


def _require_inputs(project: Project, store: Store, ref: Ref, request: Request) -> None:
    """Raise InputsDiffer if *request* gives other inputs than the run had, InputInvalid if the
    workflow takes them no more together.
    """
    if request.inputs:
        checkpoint = find.newest_readable(store, ref.run)
        given = replace(request, change_inputs=False)
        find.inputs_to_resume(project, store, checkpoint, given)


def _choose_named(project: Project, store: Store, request: Request) -> Choice:
    ref = store.find_ref(request.run)
    if ref is None:
        find.refuse_lost(store, lambda newest: newest.run == request.run)
        return Choice(run="", because=f"starting {request.run}: there is no run of that name yet")
    checkpoint = find.newest_readable(store, ref.run)
    name = find.catalog_of(project, store, checkpoint).workflow(request.workflow).name
    if name != ref.group:
        raise RunDiffers(
            f"{ref.run} is a run of the workflow {ref.group!r}, not of {name!r}; give the new run "
            "another name"
        )
    if not ref.done:
        return _going_on(store, ref, "the run of that name", replace(request, inputs={}))
    try:
        _require_inputs(project, store, ref, request)
    except InputsDiffer as error:
        what = str(error).partition("; --change-inputs")[0]
        raise InputsDiffer(
            f"{ref.run} is done, and {what}; give the new run another name"
        ) from None
    return Choice(run=ref.run, because=f"{ref.run} is done: this is the output that it recorded")
