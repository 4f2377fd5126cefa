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
            return self._walk(recorder, tools, keep_records=keep_records)
        finally:
            tools.processes.close()

    def _walk(self, recorder: Recorder, tools: Tools, *, keep_records: bool) -> Outcome:
        workflow, inputs = self.prepared.workflow, self.prepared.inputs
        history, earlier = self._history(), recorder.standing.spent
        executor = Executor(
            recorder,
            tools,
            recorder=recorder,
            keep_records=keep_records,
            history=history,
            explain=_Explainer(self.prepared, recorder).explain,
        )
        result = Outcome(
            run=recorder.tip.run, workflow=workflow.name, status="failed", counts=executor.counts
        )
        interrupted, undone = Undone(), Undone()
        failure: StepFailed | Fault | None = None
        try:
            self._end_rollbacks(executor, recorder, interrupted)
            try:
                output = executor.run(workflow, inputs)
                notices = executor.told()
                recorder.end("final", reason="done", output=output, notices=notices)
                result = replace(result, status="done", output=output, notices=notices)
            except (StepFailed, Fault) as error:
                failure = error
                if history is not None and workflow.on_failure == "rollback":
                    self._roll_back(executor, recorder, history, undone)
                if isinstance(error, Fault):
                    raise
                text = self._failure_text(error, undone)
                self._end(
                    recorder,
                    "failure",
                    f"failed at {error.step}",
                    {"step": str(error.step), "error": text},
                )
                result = replace(result, error=text, failed_at=error.step)
        except Stopped as stopped:
            self._end(recorder, "pause", f"paused: {stopped.reason}")
            failed = f"; it had failed: {self._failure_text(failure, undone)}" if failure else ""
            result = replace(
                result, status="paused", error=f"interrupted by {stopped.reason}{failed}"
            )
        except StoreUnwritable as error:
            result = replace(result, error=str(error))
        except Exception as error:
            if (
                self.prepared.project.store_folder.exists()
                and isinstance(error, MaverickError)
                and not isinstance(error, Fault)
            ):
                raise
            text = self._explain(error) if failure is None else self._failure_text(failure, undone)
            if failure is not None and error is not failure:
                text = f"{self._explain(error)}\nit had failed: {text}"
            if self.prepared.project.store_folder.exists():
                recorder, text = self._close_by_fault(
                    recorder, text, failure.step if failure else ""
                )
            result = replace(result, error=text)
        self.session.observe(Event(event="run_finished", message=result.status))
        errors = (*interrupted.errors, *undone.errors)
        standing = recorder.standing
        spent = standing.milliseconds(self.store.now())
        return replace(
            result,
            checkpoint=recorder.tip.id,
            rollback_errors=errors,
            seconds=spent / 1000,
            execution_seconds=(spent - earlier) / 1000,
            costs=standing.costs,
        )

    def _history(self) -> History | None:
        """Give what will know which steps can be undone, if any can."""
        steps = all_steps(self.prepared.workflow, self.prepared.catalog)
        if all(step.rollback is None for step in steps):
            return None
        from maverick.dsl.engine.history import History  # noqa: PLC0415 - few runs undo anything

        return History()

    def _end_rollbacks(self, executor: Executor, recorder: Recorder, undone: Undone) -> None:
        """Finish the rollbacks that were interrupted."""
        if recorder.records.undoing():
            from maverick.dsl.engine.rollback import finish_interrupted  # noqa: PLC0415 - few runs undo anything

            prepared = self.prepared
            finish_interrupted(executor, recorder, prepared.workflow, prepared.inputs, undone)

    def _roll_back(
        self, executor: Executor, recorder: Recorder, history: History, undone: Undone
    ) -> None:
        """Undo what was done since the last checkpoints."""
        from maverick.dsl.engine.rollback import roll_back  # noqa: PLC0415 - as above

        prepared = self.prepared
        roll_back(executor, recorder, history, prepared.workflow, prepared.inputs, undone)

    def _failure_text(self, error: StepFailed | Fault, undone: Undone) -> str:
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
            text = self.prepared.scrub.text(
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

        if not self.prepared.project.store_folder.exists():
            step = f"step {error.step}: " if isinstance(error, Fault) and error.step else ""
            return f"{step}{_GONE.format(self.prepared.project.store_folder)}"
        return explain(error, self.prepared.project.store_folder, self.prepared.scrub.text)

    def _close_by_fault(self, recorder: Recorder, text: str, step: str) -> tuple[Recorder, str]:
        """Close the run after an exception that nobody foresaw; give what is to be told."""
        facts: dict[str, Value] = {"step": str(step), "error": text}
        reason = f"failed at {step}" if step else "failed by a fault of maverick"
        try:
            try:
                self._end(recorder, "failure", reason, facts)
            except RefMoved:
                # By the save that broke: nobody else may move it, for the run is owned.
                store, run = self.store, recorder.tip.run
                recorder = self.open_recorder(store.checkpoint(store.ref(run).checkpoint))
                self._end(recorder, "failure", reason, facts)
        except Exception as error:  # noqa: BLE001 - the first one is what is to be told
            why = str(error) if isinstance(error, MaverickError) else self._explain(error)
            text = (
                f"{text}\nthe run could not be closed, and stands at its last finished step: {why}"
            )
        return recorder, text

    def _end(
        self,
        recorder: Recorder,
        kind: Literal["pause", "failure"],
        reason: str,
        facts: Mapping[str, Value] | None = None,
    ) -> None:
        """Save where the run stands, without the files if these cannot be kept."""
        try:
            recorder.end(kind, reason=reason, facts=facts)
        except StepFailed as error:
            self.session.tell(str(error))
            recorder.end(kind, reason=reason, facts=facts, keep_files=False)

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
