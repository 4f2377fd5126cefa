"""What a run has done, in the store: asked at every step, told of every finished one.

A step is *recorded* when `finish` returns: a crash after that loses nothing, a crash before it
leaves the run at the step before. Decisions and the outputs of composite steps ride along with the
next save, except the decisions that could come out differently next time (`urgent`): `settle`
writes those before a step may act on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import blake3

from maverick.checkpoints import (
    Checkpoint,
    CheckpointKind,
    Content,
    Entry,
    Store,
    existing,
    note,
    value,
)
from maverick.dsl.journal.draft import FILES, Changes, Draft, Save
from maverick.dsl.journal.logs import AttemptLog, Logs, facts_text
from maverick.dsl.journal.records import ASKED, STEPS, Facts, Records
from maverick.dsl.paths import ancestors, is_within
from maverick.dsl.workflow.outcome import Key, Record, Status

if TYPE_CHECKING:
    from maverick.dsl.journal.keeper import Keeper
    from maverick.dsl.workflow.model import Workspace
    from maverick.values import Value

ARTIFACTS = "artifacts"


def _silently(_text: str) -> None:
    """Tell nobody."""


class Journal:
    """The records of one run. Threads may share it; a process that writes it must own the run."""

    def __init__(
        self,
        store: Store,
        tip: Checkpoint,
        *,
        recall: bool = True,
        keeper: Keeper | None = None,
        tell: Callable[[str], None] = _silently,
    ) -> None:
        """*keeper* takes the project's files for the checkpoints that keep them; *tell* hears of
        logs that are lost.
        """
        self._store = store
        holds_files = recall and store.snapshot(tip).find(FILES) is not None
        self._draft = Draft(store, tip, keeper, holds_files=holds_files)
        self._lock = self._draft.lock
        self.records = Records.stored(store, tip, self._load) if recall else Records()
        self._generations: dict[str, int] = {}
        self._asked: tuple[str, str, Mapping[str, Any]] | None = None
        self._logs = Logs(store, tip.run, lambda: store.snapshot(self.tip), tell)

    def _load(self, path: str) -> Value:
        return self._store.snapshot(self.tip).value((STEPS, path))

    def _record(self, path: str, status: Status, key: Key, order: int = 0) -> Record:
        return Record(status, key, load=lambda: self._load(path), order=order)

    @property
    def tip(self) -> Checkpoint:
        """The run's newest checkpoint."""
        return self._draft.tip

    @property
    def store(self) -> Store:
        """The store that the run is in."""
        return self._store

    def artifacts(self, path: str) -> Entry | None:
        """The files that the step at *path* recorded; None if it recorded none."""
        return self._store.snapshot(self.tip).find((ARTIFACTS, path))

    def paths(self) -> list[str]:
        """The paths of all steps that are recorded, or that were begun and failed."""
        tried = self._store.snapshot(self.tip).facts((STEPS,)) if self._has_facts() else {}
        return sorted({name for name in (*self.records, *tried) if "?" not in name})

    def _has_facts(self) -> bool:
        return self._store.snapshot(self.tip).find_fact((STEPS,)) is not None

    def idempotency_key(self, path: str) -> str:
        """The same over all attempts at the step at *path*; a new one once it was recorded or
        rolled back.

        Forks have other ones: the run's id is part of it.
        """
        return self._key_of_generation(path, self._generation(path))

    def former_idempotency_key(self, path: str) -> str:
        """The one that the step at *path* had when it ran, which has been recorded since."""
        return self._key_of_generation(path, self._generation(path) - 1)

    def _key_of_generation(self, path: str, generation: int) -> str:
        return blake3.blake3(f"{self.tip.run}\0{path}\0{generation}".encode()).hexdigest(length=16)

    def _generation(self, path: str) -> int:
        with self._lock:
            if path not in self._generations:
                self._generations[path] = self._stored_facts(path).get("generation", 0)
            return self._generations[path]

    def failed_attempts(self, path: str) -> int:
        """How many attempts at the step at *path* have failed since it was last recorded or rolled
        back.
        """
        return int(self._stored_facts(path).get("failed_attempts", 0))

    def note_interrupted(self, path: str, told: Facts) -> None:
        """Keep what a step *told* that was stopped, with the next save."""
        with self._lock:
            facts = {
                **told,
                "failed_attempts": self.failed_attempts(path),
                "generation": self._generation(path),
            }
            self._draft.facts[STEPS, path] = self._noted(
                path, {**facts, **self.records.standing(path)}
            )

    def note_failed_attempts(self, path: str, count: int, told: Facts) -> None:
        """Keep that count and what the step *told* with the next save; its earlier record goes.

        What follows a step that had a record is still to run again: it was asked for when that step
        began to.
        """
        with self._lock:
            if self.records.pop(path):
                self.records.again.setdefault(path, self.records.next_order())
                self._draft.changes[STEPS, path] = None
            facts = {**told, "failed_attempts": count, "generation": self._generation(path)}
            self._draft.facts[STEPS, path] = self._noted(
                path, {**facts, **self.records.standing(path)}
            )

    def _stored_facts(self, path: str) -> Mapping[str, Any]:
        """What the run's newest checkpoint notes of the step at *path*; a step that runs asks
        several times.
        """
        tip, asked = self.tip, self._asked
        if asked is None or (asked[0], asked[1]) != (tip.id, path):
            entry = self._store.snapshot(tip).find_fact((STEPS, path)) if path else None
            self._asked = asked = (tip.id, path, json.loads(entry.note) if entry else {})
        return asked[2]

    def begin_log(self, path: str, *, keep: bool) -> AttemptLog:
        """Begin the log of the next attempt at the step at *path*; without *keep* only a bad end is
        kept.
        """
        return self._logs.begin(path, self._stored_facts(path), keep=keep)

    def take_in_logs(self) -> None:
        """Keep with the next save what steps have written that noted nothing: a kill or a fault
        ended them.

        Whoever calls this owns the run.
        """
        for path in self._logs.left():
            with self._lock:
                if (STEPS, path) in self._draft.facts:
                    continue
                standing = self.records.standing(path)
                facts = {
                    "generation": self._generation(path),
                    **self._stored_facts(path),
                    **standing,
                }
                self._draft.facts[STEPS, path] = self._noted(path, facts)

    def _noted(self, path: str, facts: Facts) -> Content:
        """What is to stand at the facts of the step at *path*."""
        return self._logs.content(path, facts)

    def finish(
        self,
        path: str,
        status: Status,
        key: Key,
        output: Value,
        facts: Facts,
        *,
        label: str = "",
        workspace: Workspace | None = None,
        artifacts: Content | None = None,
    ) -> Record:
        """Record the outcome of the step at *path*, durably. With *label*, as a labelled
        checkpoint.

        *workspace* says whether that one keeps the project's files; None leaves it to the workflow.
        *artifacts* are files of the step's own.
        """
        content = value(output, note=self._record(path, status, key).note(), path="output")
        with self._lock:
            generation = self._generation(path) + 1
            record = self._record(path, status, key, self.records.next_order())
            asked = {"asked": True} if path in self.records.again else {}
            facts = {**facts, **asked, "generation": generation, "order": record.order}
            changes: Changes = {(STEPS, path): content}
            if artifacts is not None:
                changes[ARTIFACTS, path] = artifacts
            self._drop_around(path)
        self._draft.save(
            Save(
                reason=path,
                kind="label" if label else "auto",
                label=label,
                step=path,
                workspace=workspace,
                changes=changes,
                facts={(STEPS, path): self._noted(path, facts)},
            )
        )
        self._logs.remove(path)
        with self._lock:
            self.records[path] = record = record._replace(asked=True) if asked else record
            self.records.again.pop(path, None)
            self._generations[path] = generation
            return record

    def _drop_around(self, path: str) -> None:
        """Drop with the next save what is kept of the composite steps around *path*: it holds no
        longer.
        """
        for around in ancestors(path):
            if (record := self.records.get(around)) is not None and not record.key:
                self.records.pop(around)
                self._draft.changes[STEPS, around] = None

    def note_decision(self, name: str, key: Key, answer: Value, *, urgent: bool) -> None:
        """Keep what was decided (`path?when`, …) with the next save; *urgent*: before any step acts
        on it.
        """
        with self._lock:
            record = Record("done", key, load=lambda: answer, order=self.records.next_order())
            self._drop_around(f"{name.rpartition('?')[0]}.")
            self._draft.changes[STEPS, name] = value(answer, note=record.note(), path=name)
            self._draft.facts[STEPS, name] = note(facts_text({"order": record.order}))
            self.records[name] = record
            self._draft.decided += urgent

    def note_composite(self, path: str, status: Status, output: Value) -> None:
        """Keep the outcome of a step that is made of steps, or was skipped, with the next save."""
        with self._lock:
            saved = self._record(path, status, {})
            record = saved._replace(load=lambda: _either(self._draft.outputs, path, saved.load))
            self._draft.changes[STEPS, path] = value(output, note=record.note(), path="output")
            self._draft.outputs[path] = output
            self.records[path] = record

    def keep_artifacts(self, path: str, files: Content) -> None:
        """Record the *files* of the step at *path*, which is made of steps, with what is noted of
        it.
        """
        self._draft.save(
            Save(reason=f"artifacts of {path}", step=path, changes={(ARTIFACTS, path): files})
        )

    def amend(self, changes: Mapping[tuple[str, ...], Content | None]) -> None:
        """Change what stands beside the steps (inputs, definition) with the next save."""
        with self._lock:
            self._draft.changes.update(changes)

    def mark_undoing(self, path: str) -> None:
        """Write down that the rollback of the step at *path* begins."""
        reason = f"rolling back {path}"
        if (
            self._draft.changes.get((STEPS, path)) is not None
        ):  # Of a step made of steps: it rides along otherwise.
            self.write(reason)
        with self._lock:
            marked = self._mark(path, undoing=True)
        if marked:
            self.write(reason)

    def unmark(self, path: str) -> None:
        """Take that back with the next save: the rollback failed, and the step stays recorded."""
        with self._lock:
            self._mark(path, undoing=False)

    def _mark(self, path: str, *, undoing: bool) -> bool:
        record = self.records.get(path)
        if record is None:
            return False
        self.records[path] = record = record._replace(undoing=undoing)
        entry = self._store.snapshot(self.tip).entry((STEPS, path))
        self._draft.changes[STEPS, path] = existing(entry._replace(note=record.note()))
        return True

    def forget(self, paths: Iterable[str], undoing: AbstractSet[str] = frozenset()) -> None:
        """Remove the records of these steps, of all below them and of the steps around them, in one
        save.

        In the same save those of *undoing* stay, marked as by `mark_undoing`.
        """
        gone = [
            name
            for path in paths
            for name in self.records
            if is_within(name, path) or is_within(path, name)
        ]
        with self._lock:
            for name in undoing:
                self._mark(name, undoing=True)
            for name in dict.fromkeys(gone):
                if name in undoing:
                    continue
                self.records.again.pop(name, None)
                record = self.records.pop(name)
                if record is not None and record.key and "?" not in name:
                    self._generations[name] = self._generation(name) + 1
                    self._draft.facts[STEPS, name] = self._noted(
                        name, {"generation": self._generations[name]}
                    )
                self._draft.changes[STEPS, name] = None
        self.write("rolled back")

    # --- by hand ----------------------------------------------------------------------------------

    def run_again(self, path: str) -> bool:
        """Have the step at *path* and all below it run again, and what follows; False if none of
        them is recorded.

        Written with the next save. What they recorded stays to be looked at until they have run.
        """
        with self._lock:
            within = [
                name for name in self.records if is_within(name, path) and name != f"{path}?when"
            ]
            leaves = [
                it
                for it in within
                if "?" not in it and (self.records[it].key or self.records[it].by_hand)
            ]
            if not leaves:
                return False
            order = self.records.next_order()
            for name in within:
                if name in leaves and self.records[name].key:
                    self.records.again[name] = order
                    facts = {**self._stored_facts(name), **self.records.standing(name)}
                    self._draft.facts[STEPS, name] = self._noted(name, facts)
                    continue
                self.records.pop(name)
                self._draft.changes[STEPS, name] = None
                if name in leaves:
                    self.records.again[name] = order
                facts = {"generation": self._generation(name), **self.records.standing(name)}
                self._draft.facts[STEPS, name] = self._noted(name, facts)
            self._drop_around(path)
            return True

    def set_output(self, path: str, output: Value, *, skip: bool = False) -> None:
        """Have the step at *path* recalled with *output*, and what follows it run again; written
        with the next save.

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
            facts = {
                **self._stored_facts(path),
                "generation": self._generation(path),
                "order": order,
                "asked": True,
            }
            facts.pop("again", None)
            self._draft.changes[STEPS, path] = value(output, note=record.note(), path="output")
            self._draft.facts[STEPS, path] = self._noted(path, facts)

    def ask(self) -> None:
        """Let what changed since it was recorded run again unasked, until the walk has come to an
        end.
        """
        with self._lock:
            self.records.asked = self.records.next_order()
            self._draft.facts[ASKED,] = note(str(self.records.asked))

    def waiting(self) -> tuple[Changes, Changes]:
        """What waits for the next save: of the state, and of the facts."""
        with self._lock:
            return dict(self._draft.changes), dict(self._draft.facts)

    # --- saving -----------------------------------------------------------------------------------

    def write(self, reason: str) -> Checkpoint:
        """Write what waits for the next save."""
        return self._draft.save(Save(reason=reason))

    def settle(self) -> None:
        """Write the decisions that could come out differently next time, if there are any."""
        self._draft.settle()

    def beside(self, path: str) -> Journal:
        """A journal that knows nothing and writes nothing: for what is done beside the run about
        the step at *path*.

        Idempotency keys are new ones once that step was recorded or rolled back again.
        """
        return _Unwritten(self._store, self.tip, self._generation(path))

    def end(
        self,
        kind: CheckpointKind,
        *,
        reason: str,
        output: Value = None,
        facts: Mapping[str, Value] | None = None,
        keep_files: bool = True,
    ) -> Checkpoint:
        """Write the last checkpoint of this execution (`pause`, `failure` or `final`) and take no
        more.
        """
        self.take_in_logs()
        with self._lock:
            if not keep_files:
                self._draft.keep_no_files()
            if kind == "final":
                self._draft.changes["output",] = value(output, path="output")
            if facts:
                self._draft.facts["end",] = value(dict(facts), path="facts")
            if kind != "pause" and self.records.asked:
                self._draft.facts[ASKED,] = None
        last = self._draft.save(Save(reason=reason, kind=kind, closes=True))
        self._logs.remove_all()
        return last


class _Unwritten(Journal):
    def __init__(self, store: Store, tip: Checkpoint, generation: int) -> None:
        super().__init__(store, tip, recall=False)
        self._draft = _Discarded(store, tip, None, holds_files=False)
        self._fixed = generation

    def _generation(self, path: str) -> int:
        del path
        return self._fixed


class _Discarded(Draft):
    def save(self, save: Save) -> Checkpoint:
        del save
        return self.tip


def _either(unsaved: Mapping[str, Value], path: str, load: Callable[[], Value]) -> Value:
    return unsaved[path] if path in unsaved else load()
