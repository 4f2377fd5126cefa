"""One execution of a run: from its owner's taking it up to the checkpoint that closes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from maverick.checkpoints import Checkpoint, Content, Owner, Store, blob, note, value
from maverick.dsl.engine.blocks import Unfinished
from maverick.dsl.engine.requirements import all_steps
from maverick.dsl.engine.rollback import Undone, finish_interrupted, roll_back
from maverick.dsl.events import Event, Observer, guarded, ignore
from maverick.dsl.journal.journal import Journal
from maverick.dsl.journal.keeper import Keeper, keeps_files
from maverick.dsl.journal.sessions import Sessions
from maverick.dsl.processes.processes import Group, Processes, Stop, Stopped
from maverick.dsl.processes.secrets import Scrubber, credentials_in, secrets_in, secrets_of
from maverick.dsl.serialization.executor import Executor
from maverick.dsl.steps import Tools
from maverick.dsl.workflow.outcome import Outcome
from maverick.errors import (
    Fault,
    MaverickError,
    RefMoved,
    StepFailed,
    StoreUnwritable,
    UsageError,
    WorkspaceUnreadable,
)

if TYPE_CHECKING:
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.workflow.model import Workflow
    from maverick.project import Project
    from maverick.values import Value

_NAMED_FAILURES: Final = 10
"""Of the steps that failed side by side."""
_GONE: Final = (
    "the store {} was removed while the run went on (`git clean -x` does so), and the run with it; "
    "start a new one, and keep the steps from that folder"
)


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """Who watches an execution, and who may stop it."""

    observe: Observer = ignore
    stop: Stop = field(default_factory=Stop)
    ask: Callable[[str], bool] | None = None
    """Asks a person a question; None where there is nobody to be asked."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "observe", guarded(self.observe))

    def tell(self, text: str) -> None:
        """Tell whoever watches."""
        self.observe(Event(event="notice", message=text))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Execution:
    """What one owner executes, and with what."""

    project: Project
    catalog: Catalog
    workflow: Workflow
    inputs: dict[str, Value]
    store: Store
    session: Session
    owner: Owner
    scrub: Scrubber

    @property
    def definition(self) -> dict[tuple[str, ...], Content | None]:
        """What a run begins with: its inputs, and the texts of the workflow and of all that it
        calls.
        """
        texts = self.catalog.loaded()  # Checking the workflow has loaded them.
        return {
            ("inputs",): value(self.inputs),
            **{
                ("definition", file): blob(
                    text.encode(), note="main" if file == self.workflow.file else ""
                )
                for file, text in texts.items()
            },
        }

    @property
    def keeps_files(self) -> bool:
        """Whether any of the run's checkpoints keeps the project's files."""
        return keeps_files(self.workflow, all_steps(self.workflow, self.catalog))

    def begin(self, run: str, facts: Mapping[str, str]) -> Journal:
        """Make the new *run*, with *facts* beside it; its first checkpoint keeps the files where
        labelled ones do.

        Raises:
            StepFailed: The files cannot be kept. There is no run then.
        """
        keeper = self._keeper()
        taken = keeper.take(asked=None, labelled=True) if keeper else None
        try:
            tip = self.store.save(
                run,
                {**self.definition, **(taken.changes if taken else {})},
                parent=None,
                reason="started",
                group=self.workflow.name,
                facts={(name,): note(text) for name, text in facts.items()},
            )
        except WorkspaceUnreadable as error:
            raise StepFailed(f"the run cannot keep the files: {error}") from error
        if keeper and taken:
            keeper.took(taken)
        return Journal(self.store, tip, keeper=keeper, tell=self.session.tell)

    def journal(self, tip: Checkpoint) -> Journal:
        """The journal of the run that stands at *tip*."""
        return Journal(self.store, tip, keeper=self._keeper(), tell=self.session.tell)

    def _keeper(self) -> Keeper | None:
        if not self.keeps_files:
            return None
        mode = self.workflow.workspace
        return Keeper(
            self.store, self.project.root, mode, self.session.tell, holds_secret=self._holds_secret
        )

    @property
    def _holds_secret(self) -> Callable[[bytes], bool] | None:
        return self.scrub.holds if self.scrub else None

    def check(self, inputs: dict[str, Value], journal: Journal) -> None:
        """Raise StepsDiffer if a finished step would run again with *inputs*. Runs and writes
        nothing.
        """
        try:
            Executor(journal, self._tools(), checking=True).run(self.workflow, inputs)
        except (Unfinished, StepFailed):
            return  # What comes next will run; whatever fails here fails there, too.

    def go(self, journal: Journal, *, keep_records: bool = False) -> Outcome:
        """Walk the workflow and close the run's journal with what came of it. *keep_records*:
        whatever changed.
        """
        tools = self._tools()
        try:
            return self._walk(journal, tools, keep_records=keep_records)
        finally:
            tools.processes.close()

    def _walk(self, journal: Journal, tools: Tools, *, keep_records: bool) -> Outcome:
        workflow, inputs = self.workflow, self.inputs
        tracking = any(step.rollback is not None for step in all_steps(workflow, self.catalog))
        executor = Executor(journal, tools, keep_records=keep_records, tracking=tracking)
        result = Outcome(
            run=journal.tip.run, workflow=workflow.name, status="failed", counts=executor.counts
        )
        interrupted, undone = Undone(), Undone()
        failure: StepFailed | Fault | None = None
        try:
            finish_interrupted(executor, workflow, inputs, interrupted)
            try:
                output = executor.run(workflow, inputs)
                journal.end("final", reason="done", output=output)
                result = replace(result, status="done", output=output)
            except (StepFailed, Fault) as error:
                failure = error
                if tracking and workflow.on_failure == "rollback":
                    roll_back(executor, workflow, inputs, undone)
                if isinstance(error, Fault):
                    raise
                text = self._failed(error, undone)
                self._end(
                    journal,
                    "failure",
                    f"failed at {error.step}",
                    {"step": error.step, "error": text},
                )
                result = replace(result, error=text, failed_at=error.step)
        except Stopped as stopped:
            self._end(journal, "pause", f"paused: {stopped.reason}")
            failed = f"; it had failed: {self._failed(failure, undone)}" if failure else ""
            result = replace(
                result, status="paused", error=f"interrupted by {stopped.reason}{failed}"
            )
        except StoreUnwritable as error:
            result = replace(result, error=str(error))
        except Exception as error:
            if (
                self.project.store_folder.exists()
                and isinstance(error, MaverickError)
                and not isinstance(error, Fault)
            ):
                raise
            text = self._explain(error) if failure is None else self._failed(failure, undone)
            if failure is not None and error is not failure:
                text = f"{self._explain(error)}\nit had failed: {text}"
            if self.project.store_folder.exists():
                journal, text = self._close_by_fault(journal, text, failure.step if failure else "")
            result = replace(result, error=text)
        self.session.observe(Event(event="run_finished", message=result.status))
        errors = (*interrupted.errors, *undone.errors)
        return replace(result, checkpoint=journal.tip.id, rollback_errors=errors)

    def _failed(self, error: StepFailed | Fault, undone: Undone) -> str:
        """Say what failed, and what was undone since."""
        if isinstance(error, Fault):
            text = self._explain(error)
        else:
            every = error.every()
            lines = [
                f"step {each.step}: {each}" if each.step else str(each)
                for each in every[:_NAMED_FAILURES]
            ]
            more = len(every) - len(lines)
            text = self.scrub.text(
                "\n".join([*lines, *([f"and {more} more failed"] if more else [])])
            )
        if not undone.steps:
            return text
        return (
            f"{text}\nrolled back: {', '.join(undone.steps)}; resuming runs again: "
            f"{', '.join(undone.forgotten)}"
        )

    def _explain(self, error: Exception) -> str:
        from maverick.faults import explain  # noqa: PLC0415 - nearly never needed

        if not self.project.store_folder.exists():
            step = f"step {error.step}: " if isinstance(error, Fault) and error.step else ""
            return f"{step}{_GONE.format(self.project.store_folder)}"
        return explain(error, self.project.store_folder, self.scrub.text)

    def _close_by_fault(self, journal: Journal, text: str, step: str) -> tuple[Journal, str]:
        """Close the run after an exception that nobody foresaw, whatever it left; give what is to
        be said.
        """
        facts: dict[str, Value] = {"step": step, "error": text}
        reason = f"failed at {step}" if step else "failed by a fault of maverick"
        try:
            try:
                self._end(journal, "failure", reason, facts)
            except (
                RefMoved
            ):  # By the save that broke: nobody else may move it, for the run is owned.
                store, run = self.store, journal.tip.run
                journal = self.journal(store.checkpoint(store.ref(run).checkpoint))
                self._end(journal, "failure", reason, facts)
        except Exception as error:  # noqa: BLE001 - the first one is what is to be told
            said = str(error) if isinstance(error, MaverickError) else self._explain(error)
            text = (
                f"{text}\nthe run could not be closed, and stands at its last finished step: {said}"
            )
        return journal, text

    def _end(
        self,
        journal: Journal,
        kind: Literal["pause", "failure"],
        reason: str,
        facts: Mapping[str, Value] | None = None,
    ) -> None:
        """Save where the run stands, without the files if they cannot be kept: the records come
        first.
        """
        try:
            journal.end(kind, reason=reason, facts=facts)
        except StepFailed as error:
            self.session.tell(str(error))
            journal.end(kind, reason=reason, facts=facts, keep_files=False)

    def _tools(self) -> Tools:
        noted = _Noted(self.owner)
        return Tools(
            root=self.project.root,
            catalog=self.catalog,
            stop=self.session.stop,
            processes=Processes(
                self.session.stop,
                noted.groups,
                note_folder=noted.folder,
                scrub=self.scrub,
                grace=self.project.config.processes.grace,
            ),
            scrub=self.scrub,
            environment=self.project.step_environment,
            observe=self.session.observe,
            keep_logs=self.project.config.logs,
            sessions=Sessions(self.owner.previous.get("sessions"), noted.sessions),
        )


class _Noted:
    """The owner's note, whose parts change one by one."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parts: dict[str, object] = {
            "groups": [],
            "sessions": owner.previous.get("sessions", {}),
        }
        self._lock = threading.Lock()

    def groups(self, groups: list[Group]) -> None:
        """Note the process groups that run."""
        self._note("groups", groups)

    def folder(self, folder: str) -> None:
        """Note the folder of temporary files that will be made."""
        self._note("folder", folder)

    def sessions(self, sessions: Mapping[str, str]) -> None:
        """Note the sessions of agents that are at work."""
        self._note("sessions", sessions)

    def _note(self, name: str, part: object) -> None:
        with self._lock:
            self._parts[name] = part
            self._owner.note(self._parts)


def scrubber(project: Project, inputs: Mapping[str, Value], catalog: Catalog) -> Scrubber:
    """What masks the project's secrets.

    Raises:
        UsageError: A secret is too short to be masked, or stands in what the run has to record as
            it is.
    """
    scrub = refuse_secrets(project, inputs)
    _refuse(project, scrub, dict(catalog.loaded()))
    return scrub


def refuse_secrets(project: Project, inputs: Mapping[str, Value]) -> Scrubber:
    """What masks the project's secrets. Called ahead of whatever may name a value in its message.

    Raises:
        UsageError: A secret is too short to be masked, or one of *inputs* holds one.
    """
    scrub = Scrubber(secrets_of(project.config.secrets, project.environment).values())
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
        found = [
            it
            for it, secret in credentials
            if any(Scrubber([secret]).value(v) != v for v in holding.values())
        ]
        whose = f"{', '.join(found)}, which an agent's program or `gh` reads as its credential"
    raise UsageError(
        f"{' and '.join(holding)} holds a value of {whose}, which must not be recorded; "
        "use ${{ env.NAME }} in the steps that need it"
    )
