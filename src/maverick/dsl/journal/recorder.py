"""What a run has done, in the store: read at every step, added to by every finished one.

A step is *recorded* when `finish` returns: a crash after that loses nothing, a crash before it
leaves the run at the step before. Decisions and the outputs of composite steps ride along with the
next save, except the decisions that could come out differently next time (`urgent`): `settle`
writes those before a step may act on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from maverick.checkpoints import (
    Checkpoint,
    CheckpointKind,
    Content,
    Store,
    existing,
    note,
    value,
)
from maverick.dsl.journal.draft import Draft, Save
from maverick.dsl.journal.logs import AttemptLog, Logs, facts_text
from maverick.dsl.journal.records import Facts, Recall
from maverick.dsl.journal.tally import Execution, Standing, executions_text, with_next
from maverick.dsl.journal.tree import (
    ASKED,
    END,
    EXECUTIONS,
    NOTICES,
    OUTPUT,
    Changes,
    RunTree,
    artifacts_place,
    note_of,
    step_place,
)
from maverick.dsl.paths import StepPath, is_decision, is_within, step_of
from maverick.dsl.workflow.outcome import Key, Record, Status

if TYPE_CHECKING:
    from maverick.dsl.journal.keeper import Keeper
    from maverick.dsl.workflow.costs import Costs
    from maverick.dsl.workflow.model import KeepFiles
    from maverick.values import Value


_MARKS: Final = ("again", "again_failed")
_ENDS: Final[Mapping[str, str]] = {"final": "done", "failure": "failed", "pause": "paused"}


def _silently(_text: str) -> None:
    """Tell nobody."""


class Recorder(Recall):
    """The records of one run, and what is added to them.

    Threads may share it; a process that writes it must own the run.
    """

    def __init__(
        self,
        store: Store,
        tip: Checkpoint,
        *,
        keeper: Keeper | None = None,
        tell: Callable[[str], None] = _silently,
        beside: int | None = None,
    ) -> None:
        """*keeper* takes the project's files for the checkpoints that keep them.

        *tell* hears of logs that are lost. *beside*: see `Recorder.beside`.
        """
        tree = RunTree(store.snapshot(tip))
        self._beside = beside
        self._draft = Draft(store, tip, keeper, holds_files=tree.holds_files, writes=beside is None)
        super().__init__(tree if beside is None else None)
        self._lock = self._draft.lock
        self._store = store
        self._logs = Logs(store, tip.run, lambda: self.tree, tell)
        self._standing = Standing()
        self._executions: list[Execution] = []

    @property
    def tree(self) -> RunTree:
        tip = self._draft.tip
        if self._tree is None or self._tree.checkpoint is not tip:
            self._tree = RunTree(self._store.snapshot(tip))
        return self._tree

    @property
    def run(self) -> str:
        return self._draft.tip.run

    @property
    def tip(self) -> Checkpoint:
        """The run's newest checkpoint."""
        return self._draft.tip

    @property
    def store(self) -> Store:
        return self._store

    def _generation(self, path: str) -> int:
        return super()._generation(path) if self._beside is None else self._beside

    def _record(self, path: str, status: Status, key: Key, order: int = 0) -> Record:
        return Record(status, key, load=lambda: self._load(path), order=order)

    def _note_facts(self, path: str, facts: Facts) -> None:
        """Keep *facts*, the step's log and where it stands in the order, with the next save."""
        facts = {**facts, **self.records.standing(path)}
        self._draft.facts[step_place(path)] = self._logs.content_of(path, facts)

    def _remove_record(self, name: str) -> Record | None:
        """Remove a record, with the next save, and give it; None if there is none."""
        record = self.records.pop(name)
        if record is not None:
            self._draft.changes[step_place(name)] = None
        return record

    # --- the execution ----------------------------------------------------------------------------

    def go_on(self) -> None:
        """Go on with the execution that began with the run's first checkpoint."""
        self._standing = self._recorded_standing()
        self._executions = self.tree.executions

    def begin_execution(self) -> None:
        """Begin another execution of the run; that is kept with the next save."""
        now, before = self._store.now(), self.tip.created
        with self._lock:
            standing, earlier = self._recorded_standing(), self.tree.executions
            is_fork = not standing.execution
            self._executions = with_next(earlier, now, before, is_fork=is_fork)
            self._standing = standing.begun(now, before, self._executions[-1].number)
            self._keep_standing()

    def _recorded_standing(self) -> Standing:
        ref = self._store.find_ref(self.run)
        return Standing.read(ref.summary) if ref is not None else Standing()

    @property
    def standing(self) -> Standing:
        """How the run stands, as its ref shows it from the next save on."""
        return self._standing

    def add_costs(self, costs: Costs) -> None:
        """Add what agents cost, with the next save."""
        with self._lock:
            self._standing = self._standing._replace(costs=self._standing.costs.plus(costs))
            if self._draft.summary is not None or costs.calls:
                self._draft.summary = self._standing.fields()

    def _keep_standing(self) -> None:
        self._draft.summary = self._standing.fields()
        self._draft.facts[EXECUTIONS] = note(executions_text(self._executions))

    def _end_execution(
        self, status: str, facts: Mapping[str, Value], notices: Sequence[str]
    ) -> None:
        """Keep with the next save how the execution ended."""
        now = self._store.now()
        error, failed_at = str(facts.get("error", "")), str(facts.get("step", ""))
        self._standing = self._standing.ended(
            now, error=error, failed_at=failed_at, notices=notices
        )
        if self._executions:
            last = self._executions[-1]
            took = max(now - last.started, 0)
            self._executions[-1] = last._replace(milliseconds=took, status=status)
        self._keep_standing()

    # --- steps ------------------------------------------------------------------------------------

    def note_interrupted(self, path: str, facts: Facts) -> None:
        """Keep the *facts* of a step that was stopped, with the next save."""
        with self._lock:
            failed, generation = self.failed_attempts(path), self._generation(path)
            own = {"failed_attempts": failed, "generation": generation, "status": "interrupted"}
            self._note_facts(path, {**facts, **own})

    def note_failed_attempts(self, path: str, count: int, facts: Facts) -> None:
        """Keep *count* and the step's *facts* with the next save; its earlier record goes.

        What follows a step that had a record is still to run again: that was asked for when the
        step itself was.
        """
        with self._lock:
            if self._remove_record(path):
                self.records.again.setdefault(path, self.records.next_order())
            generation = self._generation(path)
            own = {"failed_attempts": count, "generation": generation, "status": "failed"}
            self._note_facts(path, {**facts, **own})

    def begin_log(self, path: str, *, keep: bool) -> AttemptLog:
        """Begin the log of the next attempt at a step; without *keep* only a bad end is kept."""
        return self._logs.begin_attempt(path, self.stored_facts(path), keep=keep)

    def take_in_logs(self) -> None:
        """Keep with the next save what steps wrote that a kill or a fault ended.

        Whoever calls this owns the run.
        """
        for path in self._logs.recover_paths():
            with self._lock:
                if step_place(path) in self._draft.facts:
                    continue
                generation = {"generation": self._generation(path)}
                self._note_facts(path, {**generation, **self.stored_facts(path)})

    def finish(
        self,
        path: str,
        status: Status,
        key: Key,
        output: Value,
        facts: Facts,
        *,
        label: str = "",
        workspace: KeepFiles | None = None,
        artifacts: Content | None = None,
    ) -> Record:
        """Record the outcome of a step, durably; with *label*, as a labelled checkpoint.

        *workspace* says whether the checkpoint keeps the project's files; None leaves that to the
        workflow. *artifacts* are files of the step's own.
        """
        content = value(output, note=note_of(self._record(path, status, key)), path="output")
        with self._lock:
            generation = self._generation(path) + 1
            record = self._record(path, status, key, self.records.next_order())
            asked = {"asked": True} if path in self.records.again else {}
            facts = {**facts, **asked, "generation": generation, "order": record.order}
            if status != "done":
                facts["status"] = status
            changes: Changes = {step_place(path): content}
            if artifacts is not None:
                changes[artifacts_place(path)] = artifacts
            self._drop_around(path)
        self._draft.save(
            Save(
                reason=path,
                kind="label" if label else "auto",
                label=label,
                step=path,
                workspace=workspace,
                changes=changes,
                facts={step_place(path): self._logs.content_of(path, facts)},
            )
        )
        self._logs.remove(path)
        with self._lock:
            self.records[path] = record = record._replace(asked=True) if asked else record
            self.records.again.pop(path, None)
            self._generations[path] = generation
            return record

    def _drop_around(self, path: str) -> None:
        """Drop with the next save what is kept of the composite steps around *path*."""
        for ancestor in StepPath(path).ancestors():
            self._drop_composite(ancestor)

    def _drop_composite(self, path: str) -> None:
        if (record := self.records.get(path)) is not None and not record.key:
            self._remove_record(path)
            self._draft.facts[step_place(path)] = None

    def note_decision(self, name: str, key: Key, answer: Value, *, urgent: bool) -> None:
        """Keep what was decided (`path?when`, …) with the next save.

        An *urgent* decision is saved before any step acts on it.
        """
        with self._lock:
            record = Record("done", key, load=lambda: answer, order=self.records.next_order())
            step = step_of(name)
            self._drop_composite(step)
            self._drop_around(step)
            self._draft.changes[step_place(name)] = value(answer, note=note_of(record), path=name)
            self._draft.facts[step_place(name)] = note(facts_text({"order": record.order}))
            self.records[name] = record
            self._draft.decided += urgent

    def note_composite(self, path: str, status: Status, output: Value, facts: Facts) -> None:
        """Keep the outcome of a composite or skipped step, and its *facts*, with the next save."""
        with self._lock:
            own = {} if status == "done" else {"status": status}
            self._note_facts(path, {**facts, **own})
            saved = self._record(path, status, {})
            unsaved = self._draft.outputs
            record = saved._replace(load=lambda: unsaved[path] if path in unsaved else saved.load())
            self._draft.changes[step_place(path)] = value(
                output, note=note_of(record), path="output"
            )
            self._draft.outputs[path] = output
            self.records[path] = record

    def note_unfinished(self, path: str, facts: Facts) -> None:
        """Keep *facts* of a composite step that did not come to its end, with the next save."""
        with self._lock:
            self._note_facts(path, facts)

    def keep_artifacts(self, path: str, files: Content) -> None:
        """Record the *files* of the composite step at *path*, with what is noted of it."""
        self._draft.save(
            Save(reason=f"artifacts of {path}", step=path, changes={artifacts_place(path): files})
        )

    def amend(self, changes: Mapping[tuple[str, ...], Content | None]) -> None:
        """Change what stands beside the steps (inputs, definition) with the next save."""
        with self._lock:
            self._draft.changes.update(changes)

    def mark_undoing(self, path: str) -> None:
        """Write down that the rollback of the step at *path* begins."""
        reason = f"rolling back {path}"
        if self._draft.changes.get(step_place(path)) is not None:
            # Of a step made of steps: it rides along otherwise.
            self.write(reason)
        with self._lock:
            marked = self._mark_record(path, undoing=True)
        if marked:
            self.write(reason)

    def unmark(self, path: str) -> None:
        """Take that back with the next save: the rollback failed, the step stays recorded."""
        with self._lock:
            self._mark_record(path, undoing=False)

    def _mark_record(self, path: str, *, undoing: bool) -> bool:
        record = self.records.get(path)
        if record is None:
            return False
        self.records[path] = record = record._replace(undoing=undoing)
        entry = self.tree.snapshot.entry(step_place(path))
        self._draft.changes[step_place(path)] = existing(entry._replace(note=note_of(record)))
        return True

    def forget(self, paths: Iterable[str], undoing: AbstractSet[str] = frozenset()) -> None:
        """Remove the records of *paths*, of all below them and around them, in one save.

        Those of *undoing* stay, marked in that save as by `mark_undoing`.
        """
        gone = [
            name
            for path in paths
            for name in self.records
            if is_within(name, path) or is_within(path, name)
        ]
        with self._lock:
            for name in undoing:
                self._mark_record(name, undoing=True)
            for name in dict.fromkeys(gone):
                if name in undoing:
                    continue
                self.records.again.pop(name, None)
                record = self._remove_record(name)
                if record is not None and record.key and not is_decision(name):
                    self._generations[name] = self._generation(name) + 1
                    self._note_facts(name, {"generation": self._generations[name]})
        self.write("rolled back")

    # --- by hand ----------------------------------------------------------------------------------

    def run_again(self, path: str, *, failed: bool = False) -> bool:
        """Have the step at *path*, all below it and what follows run again, from the next save on.

        What they recorded stays to be looked at until they have run. *failed*: nobody asked for
        that, the step failed by what they gave. Gives False if nothing is recorded of them.
        """
        with self._lock:
            within = self.records.inside(path)
            leaves = [
                name
                for name in within
                if not is_decision(name) and (self.records[name].key or self.records[name].by_hand)
            ]
            if not leaves:
                return False
            order = self.records.next_order()
            for name in within:
                if name in leaves:
                    self.records.again[name] = order
                    (self.records.failed.add if failed else self.records.failed.discard)(name)
                if name in leaves and self.records[name].key:
                    self._note_facts(name, self.stored_facts(name))
                else:
                    self._remove_record(name)
                    self._note_facts(name, {"generation": self._generation(name)})
            self._drop_around(path)
            return True

    def decide_again(self, path: str) -> None:
        """Have decided anew what the composite step at *path* failed by; not whether it runs."""
        with self._lock:
            for name in self.records.inside(path):
                if is_decision(name) and step_of(name) == path:
                    self._remove_record(name)
                    self._draft.facts[step_place(name)] = None

    def set_output(self, path: str, output: Value, *, skip: bool = False) -> None:
        """Have the step at *path* recalled with *output*, and what follows run, from the next save.

        With *skip* it counts as skipped, whether or not it is recorded; else its record keeps its
        key.
        """
        with self._lock:
            order = self.records.next_order()
            record = self.records.get(path) or self._record(path, "skipped", {})
            status: Status = "skipped" if skip or not record.key else "done"
            record = Record(
                status,
                {} if skip else record.key,
                lambda: output,
                by_hand=True,
                order=order,
                asked=True,
            )
            self._drop_around(path)
            self.records.again.pop(path, None)
            self.records[path] = record
            facts = {**self.stored_facts(path), "generation": self._generation(path)}
            facts |= {"by_hand": True, **({"status": "skipped"} if status == "skipped" else {})}
            facts = {name: own for name, own in facts.items() if name not in _MARKS}
            self._draft.changes[step_place(path)] = value(
                output, note=note_of(record), path="output"
            )
            self._note_facts(path, facts)

    def allow_reruns(self) -> None:
        """Let what changed since it was recorded run again unasked, until the walk has ended."""
        with self._lock:
            self.records.asked = self.records.next_order()
            self._draft.facts[ASKED] = note(str(self.records.asked))

    def pending_changes(self) -> tuple[Changes, Changes]:
        """Give what waits for the next save: changes of the state, and of the facts."""
        with self._lock:
            return dict(self._draft.changes), dict(self._draft.facts)

    # --- saving -----------------------------------------------------------------------------------

    def write(self, reason: str) -> Checkpoint:
        """Write what waits for the next save."""
        return self._draft.save(Save(reason=reason))

    def settle(self) -> None:
        """Write the decisions that could come out differently next time, if there are any."""
        self._draft.settle()

    def beside(self, path: str) -> Recorder:
        """Give one that holds and writes nothing, for what is done about the step at *path*.

        Idempotency keys are new ones once that step was recorded or rolled back again.
        """
        return Recorder(self._store, self.tip, beside=self._generation(path))

    def end(
        self,
        kind: CheckpointKind,
        *,
        reason: str,
        output: Value = None,
        facts: Mapping[str, Value] | None = None,
        notices: Sequence[str] = (),
        keep_files: bool = True,
    ) -> Checkpoint:
        """Write the last checkpoint of this execution, of the given *kind*, and take no more.

        *facts* are the `step` that failed the run and its `error`; *notices* are what a person has
        to know of it.
        """
        self.take_in_logs()
        with self._lock:
            if not keep_files:
                self._draft.keep_no_files()
            if kind == "final":
                self._draft.changes[OUTPUT] = value(output, path="output")
            self._end_execution(_ENDS[kind], facts or {}, notices)
            if notices:
                self._draft.facts[NOTICES] = value(list(notices), path="notices")
            elif self.tree.snapshot.find_fact(NOTICES) is not None:
                self._draft.facts[NOTICES] = None
            if facts:
                self._draft.facts[END] = value(dict(facts), path="facts")
            elif self.tree.end:
                self._draft.facts[END] = None
            if kind != "pause" and self.records.asked:
                self._draft.facts[ASKED] = None
        last = self._draft.save(Save(reason=reason, kind=kind, closes=True))
        self._logs.remove_all()
        return last
