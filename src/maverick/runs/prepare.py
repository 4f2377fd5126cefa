"""What a run is made of before anything of it runs: the same for a start, a resumption and a plan.

Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from maverick.dsl.engine.requirements import all_steps, keeps_files, require_programs
from maverick.dsl.journal.tree import RunTree, beginning
from maverick.dsl.processes.secrets import Scrubber, credentials_in, secrets_in
from maverick.dsl.workflow.inputs import convert_inputs
from maverick.errors import MaverickError, NotFound, RunExists, UsageError, WorkflowInvalid

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Store
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.journal.tree import Changes
    from maverick.dsl.workflow.model import Workflow
    from maverick.project import Project
    from maverick.runs.request import Request
    from maverick.values import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A workflow that is there and has no problems, its inputs, and what masks secrets.

    `recorded` are the inputs that the run had; none of a run that has not begun.
    """

    project: Project
    catalog: Catalog
    workflow: Workflow
    inputs: dict[str, Value]
    scrub: Scrubber
    recorded: dict[str, Value] = field(default_factory=dict)

    @property
    def definition(self) -> Changes:
        """What a run begins with: its inputs, and the texts of all workflows that it calls."""
        texts = self.catalog.loaded()  # Checking the workflow has loaded them.
        return beginning(self.inputs, texts, self.workflow.file)

    @cached_property
    def keeps_files(self) -> bool:
        """Whether any of the run's checkpoints keeps the project's files."""
        return keeps_files(self.workflow, all_steps(self.workflow, self.catalog))

    def require_programs(self) -> None:
        """Raise StepFailed if a program that the workflow requires is not there."""
        require_programs(self.workflow, self.catalog, self.project.environment)


def prepare_start(project: Project, request: Request, tell: Callable[[str], None]) -> Prepared:
    """Prepare a new run; *tell* hears which files stand in for what ships.

    The caller has refused secrets among the given inputs, since messages may name those.

    Raises:
        WorkflowInvalid: There is no such workflow, or it has problems (all of them are given).
        InputInvalid: Inputs are missing, unknown or of the wrong type.
        UsageError: A secret is too short to be masked, or the run would record one; or the name
            that is given is none for a run.
        RunExists: There is a run of that name.
    """
    if request.run:
        _refuse_name(project, request.run)
    catalog = project.catalog()
    workflow = _checked(catalog, request.workflow, tell)
    inputs = convert_inputs(workflow, request.inputs, from_text=True)
    return Prepared(
        project=project,
        catalog=catalog,
        workflow=workflow,
        inputs=inputs,
        scrub=_scrubber(project, inputs, catalog),
    )


def prepare_resume(
    project: Project, store: Store, tip: Checkpoint, request: Request, tell: Callable[[str], None]
) -> Prepared:
    """Prepare going on with the run that stands at *tip*; *tell* hears also which files are gone.

    Raises as `prepare_start`; InputsDiffer if inputs are given that are not the recorded ones, and
    `change_inputs` does not stand.
    """
    from maverick.runs import find  # noqa: PLC0415 - a new run looks for none

    catalog = find.catalog_of(project, store, tip)
    try:
        reference = request.workflow or find.reference_of(catalog, store, tip)
        workflow = _checked(catalog, reference, tell)
    except WorkflowInvalid:
        _tell_gone(catalog, tell)
        _tell_way_back(project, store, tip, tell)
        raise
    recorded = RunTree(store.snapshot(tip)).inputs
    inputs = find.inputs_to_use(workflow, recorded, request)
    _tell_gone(catalog, tell)
    return Prepared(
        project=project,
        catalog=catalog,
        workflow=workflow,
        inputs=inputs,
        scrub=_scrubber(project, inputs, catalog),
        recorded=recorded,
    )


def _checked(catalog: Catalog, reference: str, tell: Callable[[str], None]) -> Workflow:
    """Give the workflow *reference*, without problems.

    A file of the project or the user that stands in for what ships is code that nobody may have
    read, so *tell* hears of it.
    """
    checked = catalog.check(reference)
    if checked.workflow is None:
        raise WorkflowInvalid(list(checked.problems))
    for text in catalog.overriding():
        tell(text)
    return checked.workflow


def _tell_gone(catalog: Catalog, tell: Callable[[str], None]) -> None:
    """Tell which files are read as the run recorded them; problems may name their lines."""
    for file in sorted(catalog.recorded_in_use):
        tell(f"{file} is gone; its text as the run recorded it is used")


def _tell_way_back(
    project: Project, store: Store, tip: Checkpoint, tell: Callable[[str], None]
) -> None:
    """Tell how the files that the run kept come here: what is missing may be among them."""
    from maverick.runs import workspace_choice  # noqa: PLC0415 - nearly never needed

    with suppress(MaverickError):  # Only what is wrong with the workflow is told.
        if text := workspace_choice.way_back(store, tip, project.root):
            tell(text)


def _refuse_name(project: Project, run: str) -> None:
    from maverick.checkpoints.byhand import check_run_name  # noqa: PLC0415 - few runs are given a name

    check_run_name(run)
    with suppress(NotFound):  # Nothing was run here yet.
        refuse_existing(project.open_store(), run)


def refuse_existing(store: Store, run: str) -> None:
    """Raise RunExists if there is a run of this name, RefDamaged if its ref is damaged."""
    if store.find_ref(run) is not None:
        raise RunExists(
            f"there is a run {run} already; choose another name, or go on with it: --resume={run}"
        )


# --- secrets --------------------------------------------------------------------------------------


def _scrubber(project: Project, inputs: Mapping[str, Value], catalog: Catalog) -> Scrubber:
    """Give what masks the project's secrets.

    Raises:
        UsageError: A secret is too short to be masked, or stands in what the run has to record as
            it is.
    """
    scrub = refuse_secrets(project, inputs)
    _refuse(project, scrub, dict(catalog.loaded()))
    return scrub


def refuse_secrets(project: Project, inputs: Mapping[str, Value]) -> Scrubber:
    """Give what masks the project's secrets; called ahead of what may name a value in a message.

    Raises:
        UsageError: A secret is too short to be masked, or one of *inputs* holds one.
    """
    scrub = Scrubber.of(project.config.secrets, project.environment)
    _refuse(project, scrub, {f"the input {name}": given for name, given in inputs.items()})
    return scrub


def _refuse(project: Project, scrub: Scrubber, values: Mapping[str, Value]) -> None:
    """Refuse *values* that hold a secret."""
    holding = {name: given for name, given in values.items() if scrub.value(given) != given}
    if not holding:
        return
    named = secrets_in(project.config.secrets, project.environment)
    by_name = Scrubber(named.values())
    if any(by_name.value(given) != given for given in holding.values()):
        whose = f"{', '.join(named)} (`secrets:` in maverick.yaml)"
    else:
        credentials = credentials_in(project.environment).items()
        names = [
            name
            for name, secret in credentials
            if any(Scrubber([secret]).value(given) != given for given in holding.values())
        ]
        whose = f"{', '.join(names)}, which an agent's program or `gh` reads as its credential"
    raise UsageError(
        f"{' and '.join(holding)} holds a value of {whose}, which must not be recorded; "
        "use ${{ env.NAME }} in the steps that need it"
    )
