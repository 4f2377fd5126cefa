"""One execution of a run: from its owner's taking it up to the checkpoint that closes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from maverick.checkpoints import Checkpoint, Owner, Store, note
from maverick.dsl.engine.blocks import Unfinished
from maverick.dsl.engine.plan import Plan
from maverick.dsl.engine.requirements import all_steps
from maverick.dsl.events import Event
from maverick.dsl.journal.recorder import Recorder
from maverick.dsl.journal.running import Running
from maverick.dsl.journal.sessions import Sessions
from maverick.dsl.journal.tally import Execution as Executed
from maverick.dsl.journal.tally import Standing, executions_text
from maverick.dsl.journal.tree import EXECUTIONS
from maverick.dsl.processes.processes import NotedGroup, Processes, Stopped, stop_leftovers
from maverick.dsl.processes.scratch import remove_scratch
from maverick.dsl.serialization.executor import Executor
from maverick.dsl.work import Tools
from maverick.dsl.workflow.outcome import Outcome, Undone
from maverick.errors import (
    Fault,
    MaverickError,
    RefMoved,
    StepFailed,
    StoreUnwritable,
    WorkspaceUnreadable,
)
from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.engine.history import History
    from maverick.dsl.engine.reasons import Rerun
    from maverick.dsl.journal.keeper import Keeper
    from maverick.dsl.journal.tree import Changes
    from maverick.runs.differences import Differences
    from maverick.runs.prepare import Prepared
    from maverick.runs.request import Session
    from maverick.values import Value

_NAMED_FAILURES: Final = 10
"""Of the steps that failed side by side."""
_GONE: Final = (
    "the store {} was removed while the run went on (`git clean -x` does so), and the run with it; "
    "start a new one, and keep the steps from that folder"
)


@record(kw_only=True)
class Execution:
    """What the owner of a run executes, and with what."""

    prepared: Prepared
    store: Store
    session: Session
    owner: Owner

    def clear_up(self) -> None:
        """Stop what is left of the execution before, and remove its temporary files."""
        stop, previous = self.session.stop, self.owner.previous
        for text in stop_leftovers(previous.get("groups", []), urgent=lambda: stop.urgent):
            what = f"stopped what was left of the interrupted run: {text}"
            self.session.tell(self.prepared.scrub.text(what))
        remove_scratch(previous.get("folder"))

    def begin_run(self, run: str, facts: Changes) -> Recorder:
        """Make the new *run*, with *facts* beside it.

        Its first checkpoint keeps the files if labelled ones do.

        Raises:
            StepFailed: The files cannot be kept. There is no run then.
        """
        keeper = self._keeper()
        captured = keeper.take_files(asked=None, labelled=True) if keeper else None
        now = self.store.now()
        try:
            tip = self.store.save(
                run,
                {**self.prepared.definition, **(captured.changes if captured else {})},
                parent=None,
                reason="started",
                group=self.prepared.workflow.name,
                facts={**facts, EXECUTIONS: note(executions_text([Executed(now)]))},
                summary=Standing().begun(now, now).fields(),
            )
        except WorkspaceUnreadable as error:
            raise StepFailed(f"the run cannot keep the files: {error}") from error
        if keeper and captured:
            keeper.tell_of(captured)
        recorder = Recorder(self.store, tip, keeper=keeper, tell=self.session.tell)
        recorder.go_on()
        return recorder

    def open_recorder(self, tip: Checkpoint) -> Recorder:
        """Give the recorder of the run that stands at *tip*."""
        return Recorder(self.store, tip, keeper=self._keeper(), tell=self.session.tell)

    def _keeper(self) -> Keeper | None:
        if not self.prepared.keeps_files:
            return None
        from maverick.dsl.journal.keeper import Keeper  # noqa: PLC0415 - few runs keep files

        mode = self.prepared.workflow.workspace
        return Keeper(
            self.store,
            self.prepared.project.root,
            mode,
            self.session.tell,
            holds_secret=self._holds_secret,
        )

    @property
    def _holds_secret(self) -> Callable[[bytes], bool] | None:
        return self.prepared.scrub.holds if self.prepared.scrub else None

    def check(self, inputs: dict[str, Value], recorder: Recorder) -> None:
        """Raise StepsDiffer if a finished step would run again with *inputs*; run nothing."""
        try:
            Executor(recorder, self._tools()).run(self.prepared.workflow, inputs)
        except (Unfinished, StepFailed):
            return  # What comes next will run; whatever fails here fails there, too.

    def look_ahead(self, recorder: Recorder) -> Plan:
        """Give what going on would come to; run nothing."""
        plan = Plan()
        with suppress(Unfinished, StepFailed):
            executor = Executor(recorder, self._tools(), plan=plan)
            executor.run(self.prepared.workflow, self.prepared.inputs)
        return plan

    def run_to_end(self, recorder: Recorder, *, keep_records: bool = False) -> Outcome:
        """Walk the workflow and close the run. With *keep_records* no change makes a step rerun."""
        tools = self._tools(recorder.standing)
        try:
            return _WalkToEnd(self, recorder, tools, keep_records=keep_records).run()
        finally:
            tools.processes.close()

    def _tools(self, standing: Standing | None = None) -> Tools:
        note = _OwnerNote(self.owner, standing)
        return Tools(
            root=self.prepared.project.root,
            catalog=self.prepared.catalog,
            stop=self.session.stop,
            processes=Processes(
                self.session.stop,
                note.note_groups,
                note_folder=note.note_folder,
                scrub=self.prepared.scrub,
                grace=self.prepared.project.config.processes.grace,
                strangers=not self.session.is_guest,
            ),
            scrub=self.prepared.scrub,
            environment=self.prepared.project.step_environment,
            observe=self.session.observe,
            keep_logs=self.prepared.project.config.logs,
            sessions=Sessions(self.owner.previous.get("sessions"), note.note_sessions),
            running=Running(note.note_running),
        )


class _WalkToEnd:
    """The walk of one execution, and the checkpoint that closes the run, whatever ends it."""

    def __init__(
        self, execution: Execution, recorder: Recorder, tools: Tools, *, keep_records: bool
    ) -> None:
        self._execution = execution
        self._prepared = prepared = execution.prepared
        self._recorder = recorder
        self._history = self._make_history()
        self._executor = Executor(
            recorder,
            tools,
            recorder=recorder,
            keep_records=keep_records,
            history=self._history,
            explain=_Explainer(prepared, recorder).explain,
        )
        self._outcome = Outcome(
            run=recorder.run,
            workflow=prepared.workflow.name,
            status="failed",
            counts=self._executor.counts,
        )
        self._failure: StepFailed | Fault | None = None
        """What the walk failed by."""
        self._interrupted, self._undone = Undone(), Undone()
        """What rolling back came to: of the execution before, and of this one."""

    def run(self) -> Outcome:
        """Walk the workflow and close the run; give what it came to."""
        earlier = self._recorder.standing.spent
        try:
            outcome = self._walk()
        except Stopped as stopped:
            outcome = self._pause(stopped)
        except StoreUnwritable as error:
            outcome = replace(self._outcome, error=str(error))
        except Exception as error:
            if (
                self._has_store
                and isinstance(error, MaverickError)
                and not isinstance(error, Fault)
            ):
                raise
            step = self._failure.step if self._failure is not None else ""
            text = self._close_by_fault(error, step)
            outcome = replace(self._outcome, error=text, failed_at=step)
        execution, standing = self._execution, self._recorder.standing
        execution.session.observe(Event(event="run_finished", message=outcome.status))
        spent = standing.milliseconds(execution.store.now())
        return replace(
            outcome,
            checkpoint=self._recorder.tip.id,
            rollback_errors=(*self._interrupted.errors, *self._undone.errors),
            seconds=spent / 1000,
            execution_seconds=(spent - earlier) / 1000,
            costs=standing.costs,
        )

    def _walk(self) -> Outcome:
        """Walk the workflow to its end, or to the failure of a step, and close the run so."""
        workflow, inputs = self._prepared.workflow, self._prepared.inputs
        self._end_rollbacks()
        try:
            output = self._executor.run(workflow, inputs)
            notices = self._executor.told()
            self._recorder.end("final", reason="done", output=output, notices=notices)
            return replace(self._outcome, status="done", output=output, notices=notices)
        except (StepFailed, Fault) as error:
            self._failure = error
            self._roll_back()
            if isinstance(error, Fault):
                raise
            text = self._failure_text(error)
            self._end("failure", f"failed at {error.step}", step=str(error.step), error=text)
            return replace(self._outcome, error=text, failed_at=error.step)

    def _pause(self, stopped: Stopped) -> Outcome:
        """Close the run after a stop."""
        self._end("pause", f"paused: {stopped.reason}")
        failure = self._failure
        failed = f"; it had failed: {self._failure_text(failure)}" if failure else ""
        text = f"interrupted by {stopped.reason}{failed}"
        return replace(self._outcome, status="paused", error=text)

    def _close_by_fault(self, error: Exception, step: str) -> str:
        """Close the run after an exception that nobody foresaw, of *step* if that is known; give
        what is to be told.
        """
        failure = self._failure
        text = self._explain(error) if failure is None else self._failure_text(failure)
        if failure is not None and error is not failure:
            text = f"{self._explain(error)}\nit had failed: {text}"
        if not self._has_store:
            return text
        reason = f"failed at {step}" if step else "failed by a fault of maverick"
        try:
            try:
                self._end("failure", reason, step=str(step), error=text)
            except RefMoved:
                # By the save that broke: nobody else may move it, for the run is owned.
                execution, run = self._execution, self._recorder.run
                tip = execution.store.checkpoint(execution.store.ref(run).checkpoint)
                self._recorder = execution.open_recorder(tip)
                self._end("failure", reason, step=str(step), error=text)
        except Exception as second:  # noqa: BLE001 - the first one is what is to be told
            why = str(second) if isinstance(second, MaverickError) else self._explain(second)
            return (
                f"{text}\nthe run could not be closed, and stands at its last finished step: {why}"
            )
        return text

    def _end(self, kind: Literal["pause", "failure"], reason: str, **facts: Value) -> None:
        """Save where the run stands, without the files if these cannot be kept."""
        try:
            self._recorder.end(kind, reason=reason, facts=facts)
        except StepFailed as error:
            self._execution.session.tell(str(error))
            self._recorder.end(kind, reason=reason, facts=facts, keep_files=False)

    @property
    def _has_store(self) -> bool:
        """Whether the store is still there."""
        return self._prepared.project.store_folder.exists()

    # --- rolling back -----------------------------------------------------------------------------

    def _make_history(self) -> History | None:
        """Give what will know which steps can be undone, if any can."""
        steps = all_steps(self._prepared.workflow, self._prepared.catalog)
        if all(step.rollback is None for step in steps):
            return None
        from maverick.dsl.engine.history import History  # noqa: PLC0415 - few runs undo anything

        return History()

    def _end_rollbacks(self) -> None:
        """Finish the rollbacks that were interrupted."""
        if self._recorder.records.undoing():
            from maverick.dsl.engine.rollback import finish_interrupted  # noqa: PLC0415 - few runs undo anything

            workflow, inputs = self._prepared.workflow, self._prepared.inputs
            finish_interrupted(self._executor, self._recorder, workflow, inputs, self._interrupted)

    def _roll_back(self) -> None:
        """Undo what was done since the last checkpoints, where the workflow wants that."""
        workflow, inputs = self._prepared.workflow, self._prepared.inputs
        if self._history is None or workflow.on_failure != "rollback":
            return
        from maverick.dsl.engine.rollback import roll_back  # noqa: PLC0415 - as above

        roll_back(self._executor, self._recorder, self._history, workflow, inputs, self._undone)

    # --- what is told -----------------------------------------------------------------------------

    def _failure_text(self, error: StepFailed | Fault) -> str:
        """Say what failed, and what was undone since."""
        if isinstance(error, Fault):
            text = self._explain(error)
        else:
            failures = error.every()
            lines = [
                f"step {failure.step}: {failure}" if failure.step else str(failure)
                for failure in failures[:_NAMED_FAILURES]
            ]
            more = len(failures) - len(lines)
            text = self._prepared.scrub.text(
                "\n".join([*lines, *([f"and {more} more failed"] if more else [])])
            )
        undone = self._undone
        if not undone.steps:
            return text
        return (
            f"{text}\nrolled back: {', '.join(undone.steps)}; resuming runs again: "
            f"{', '.join(undone.forgotten)}"
        )

    def _explain(self, error: Exception) -> str:
        from maverick.faults import explain  # noqa: PLC0415 - nearly never needed

        folder = self._prepared.project.store_folder
        if not self._has_store:
            step = f"step {error.step}: " if isinstance(error, Fault) and error.step else ""
            return f"{step}{_GONE.format(folder)}"
        return explain(error, folder, self._prepared.scrub.text)


class _Explainer:
    """Says what changed of a step that runs again since it was recorded."""

    def __init__(self, prepared: Prepared, recorder: Recorder) -> None:
        self._prepared = prepared
        self._tree = recorder.tree
        """As it was when the execution began."""
        self._differences: Differences | None = None
        self._lock = threading.Lock()

    def explain(self, rerun: Rerun) -> list[Value]:
        """Give `{part, old, new}` for each part that changed."""
        from maverick.runs.differences import Differences  # noqa: PLC0415 - few steps run again

        with self._lock:
            if self._differences is None:
                self._differences = Differences(self._tree, self._prepared)
            return self._differences.explain(rerun)


class _OwnerNote:
    """The owner's note, whose parts change one by one."""

    def __init__(self, owner: Owner, standing: Standing | None = None) -> None:
        self._owner = owner
        self._parts: dict[str, object] = {
            "groups": [],
            "sessions": owner.previous.get("sessions", {}),
        }
        if standing is not None:
            self._parts |= {"execution": standing.execution, "began": standing.began}
        self._lock = threading.Lock()

    def note_groups(self, groups: list[NotedGroup]) -> None:
        """Note the process groups that run."""
        self._note("groups", groups)

    def note_folder(self, folder: str) -> None:
        """Note the folder of temporary files that will be made."""
        self._note("folder", folder)

    def note_running(self, steps: list[dict[str, Any]]) -> None:
        """Note the steps that are at work."""
        self._note("running", steps)

    def note_sessions(self, sessions: Mapping[str, str]) -> None:
        """Note the sessions of agents that are at work."""
        self._note("sessions", sessions)

    def _note(self, name: str, part: object) -> None:
        with self._lock:
            self._parts[name] = part
            self._owner.note(self._parts)
