"""What a run has done, in the store: asked at every step, told of every finished one.

A step is *recorded* when `finish` returns: a crash after that loses nothing, a crash before it leaves the run
at the step before. Decisions and the outputs of composite steps ride along with the next save, except the
decisions that could come out differently next time (`urgent`): `settle` writes those before a step may act on
them.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import blake3

from maverick.checkpoints import Checkpoint, CheckpointKind, Content, Entry, Store, existing, note, value
from maverick.dsl.group_commit import GroupCommit
from maverick.dsl.outcome import Key, Record, Status
from maverick.dsl.paths import ancestors, is_within
from maverick.errors import StepFailed, WorkspaceUnreadable

if TYPE_CHECKING:
    from maverick.dsl.files import Keeper
    from maverick.dsl.model import Workspace
    from maverick.dsl.values import Value

STEPS = "steps"
ARTIFACTS = "artifacts"
FILES, ABOUT = ("workspace",), ("workspace-about",)
"""Where a checkpoint that keeps the project's files keeps them, and how they were found."""
ASKED = "asked"
_NAMED_REASONS = 3
Facts = Mapping[str, object]
"""What may differ from run to run without meaning anything: times, attempts, host. Never part of the state."""
Changes = Mapping[tuple[str, ...], Content | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Save:
    """A checkpoint that is asked for. What waits for the next save goes with it."""

    kind: CheckpointKind
    reason: str
    label: str = ""
    step: str = ""
    workspace: Workspace | None = None
    changes: Changes = field(default_factory=dict)
    facts: Changes = field(default_factory=dict)
    closes: bool = False
    """Whether it is the last one."""
    settles: bool = False
    """Whether only decisions ask for it, which another save may have taken with it meanwhile."""

    def ends_group(self) -> bool:
        """Whether it holds what had finished when it was asked for, and nothing later."""
        return self.kind != "auto"


class Journal:
    """The records of one run. Threads may share it; a process that writes it must own the run."""

    def __init__(self, store: Store, tip: Checkpoint, *, recall: bool = True, keeper: Keeper | None = None) -> None:
        """*keeper* takes the project's files for the checkpoints that keep them."""
        self._store = store
        self.tip = tip
        self._keeper = keeper
        self._holds_files = recall and store.snapshot(tip).find(FILES) is not None
        self._lock = threading.RLock()
        self._closed = False
        self._pending: dict[tuple[str, ...], Content | None] = {}
        self._pending_facts: dict[tuple[str, ...], Content | None] = {}
        self._unsaved: dict[str, Value] = {}
        """Outputs of steps that are made of steps, until they are saved."""
        self._decided = self._settled = 0
        """How many decisions that could come out differently next time were noted, and how many are saved."""
        self._last_step = tip.step
        self._saves = GroupCommit(self._save, _Save.ends_group)
        self._again: dict[str, int] = {}
        self.asked = 0
        """Records before this order may run again where they changed: somebody asked for that."""
        self._records = dict(self._stored_records()) if recall else {}
        orders = [record.order for record in self._records.values()]
        self._order = max([self.asked, *orders, *self._again.values()])
        self._generations: dict[str, int] = {}
        self._finished: list[str] | None = None

    def _stored_records(self) -> Iterator[tuple[str, Record]]:
        snapshot = self._store.snapshot(self.tip)
        entries = snapshot.entries((STEPS,)) if snapshot.find((STEPS,)) is not None else {}
        notes = snapshot.facts((STEPS,)) if snapshot.find_fact((STEPS,)) is not None else {}
        facts = {path: json.loads(entry.note) for path, entry in notes.items()}
        self._again = {path: told["again"] for path, told in facts.items() if "again" in told}
        asked = snapshot.find_fact((ASKED,))
        self.asked = int(asked.note) if asked is not None else 0
        for path, entry in entries.items():
            kept, told = json.loads(entry.note), facts.get(path, {})
            record = self._record(path, kept["status"], kept["key"], told.get("order", 0))
            marks = {name: kept[name] for name in ("undoing", "by_hand") if name in kept}
            yield path, replace(record, **marks, asked="asked" in told) if marks or "asked" in told else record

    def _record(self, path: str, status: Status, key: Key, order: int = 0) -> Record:
        return Record(status, key, load=lambda: self._store.snapshot(self.tip).value((STEPS, path)), order=order)

    @property
    def store(self) -> Store:
        """The store that the run is in."""
        return self._store

    def artifacts(self, path: str) -> Entry | None:
        """The files that the step at *path* recorded; None if it recorded none."""
        return self._store.snapshot(self.tip).find((ARTIFACTS, path))

    def record(self, path: str) -> Record | None:
        """What is recorded at *path* (of a step, or `step?decision`)."""
        return self._records.get(path)

    def again(self, path: str) -> int | None:
        """Where in the order of the records somebody asked for the step at *path* to run again; else None."""
        return self._again.get(path)

    def paths(self) -> list[str]:
        """The paths of all steps that are recorded, or that were begun and failed."""
        tried = self._store.snapshot(self.tip).facts((STEPS,)) if self._has_facts() else {}
        return sorted({name for name in (*self._records, *tried) if "?" not in name})

    def _has_facts(self) -> bool:
        return self._store.snapshot(self.tip).find_fact((STEPS,)) is not None

    def finished(self, ancestor: str, newest: int) -> Iterator[str]:
        """The finished steps at or below *ancestor* that are not being undone.

        Records older than *newest* do not count: a step before them ran again since.
        """
        if self._finished is None:
            known = self._records.items()
            self._finished = sorted(path for path, it in known if "?" not in path and it.key and not it.undoing)
        for prefix in (ancestor, f"{ancestor}.", f"{ancestor}["):
            for path in islice(self._finished, bisect_left(self._finished, prefix), None):
                if path != ancestor and not (path.startswith(prefix) and prefix != ancestor):
                    break
                if self._records[path].order >= newest:
                    yield path

    def idempotency_key(self, path: str) -> str:
        """The same over all attempts at the step at *path*; a new one once it was recorded or rolled back.

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
        """How many attempts at the step at *path* have failed since it was last recorded or rolled back."""
        return int(self._stored_facts(path).get("failed_attempts", 0))

    def note_interrupted(self, path: str, told: Facts) -> None:
        """Keep what a step *told* that was stopped, with the next save."""
        with self._lock:
            facts = {**told, "failed_attempts": self.failed_attempts(path), "generation": self._generation(path)}
            self._pending_facts[STEPS, path] = note(_text({**facts, **self._standing(path)}))

    def note_failed_attempts(self, path: str, count: int, told: Facts) -> None:
        """Keep that count and what the step *told* with the next save; its earlier record goes.

        What follows a step that had a record is still to run again: it was asked for when that step began to.
        """
        with self._lock:
            if self._records.pop(path, None):
                self._again.setdefault(path, self._next_order())
                self._pending[STEPS, path] = None
                self._finished = None
            facts = {**told, "failed_attempts": count, "generation": self._generation(path)}
            self._pending_facts[STEPS, path] = note(_text({**facts, **self._standing(path)}))

    def _standing(self, path: str) -> Facts:
        """The facts that say where the step at *path* stands in the order of the records."""
        record, again = self._records.get(path), self._again.get(path)
        facts: dict[str, object] = {}
        if record is not None and record.order:
            facts["order"] = record.order
        if record is not None and record.asked:
            facts["asked"] = True
        return facts if again is None else {**facts, "again": again}

    def _stored_facts(self, path: str) -> dict[str, Any]:
        entry = self._store.snapshot(self.tip).find_fact((STEPS, path)) if path else None
        return json.loads(entry.note) if entry else {}

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
        """Record the outcome of the step at *path*, durably. With *label*, as a labelled checkpoint.

        *workspace* says whether that one keeps the project's files; None leaves it to the workflow. *artifacts* are
        files of the step's own.
        """
        content = value(output, note=self._record(path, status, key).note(), path="output")
        with self._lock:
            generation = self._generation(path) + 1
            record = self._record(path, status, key, self._next_order())
            asked = {"asked": True} if path in self._again else {}
            facts = {**facts, **asked, "generation": generation, "order": record.order}
            changes: dict[tuple[str, ...], Content | None] = {(STEPS, path): content}
            if artifacts is not None:
                changes[ARTIFACTS, path] = artifacts
            self._drop_around(path)
        self._saves.submit(
            _Save(
                kind="label" if label else "auto",
                label=label,
                reason=path,
                step=path,
                workspace=workspace,
                changes=changes,
                facts={(STEPS, path): note(_text(facts))},
            )
        )
        with self._lock:
            self._records[path] = record = replace(record, asked=True) if asked else record
            self._again.pop(path, None)
            self._generations[path] = generation
            return record

    def _drop_around(self, path: str) -> None:
        """Drop with the next save what is kept of the composite steps around *path*: it holds no longer."""
        for around in ancestors(path):
            if (record := self._records.get(around)) is not None and not record.key:
                del self._records[around]
                self._pending[STEPS, around] = None

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    def note_decision(self, name: str, key: Key, answer: Value, *, urgent: bool) -> None:
        """Keep what was decided (`path?when`, …) with the next save; *urgent*: before any step acts on it."""
        with self._lock:
            record = Record("done", key, load=lambda: answer, order=self._next_order())
            self._drop_around(f"{name.rpartition('?')[0]}.")
            self._pending[STEPS, name] = value(answer, note=record.note(), path=name)
            self._pending_facts[STEPS, name] = note(_text({"order": record.order}))
            self._records[name] = record
            self._decided += urgent

    def note_composite(self, path: str, status: Status, output: Value) -> None:
        """Keep the outcome of a step that is made of steps, or was skipped, with the next save."""
        with self._lock:
            saved = self._record(path, status, {})
            record = replace(saved, load=lambda: _either(self._unsaved, path, saved.load))
            self._pending[STEPS, path] = value(output, note=record.note(), path="output")
            self._unsaved[path] = output
            self._records[path] = record

    def amend(self, changes: Mapping[tuple[str, ...], Content | None]) -> None:
        """Change what stands beside the steps (inputs, definition) with the next save."""
        with self._lock:
            self._pending.update(changes)

    def orders(self) -> dict[str, int]:
        """Where in the order of the records each step came, by path; of those made of steps, their latest record."""
        orders: dict[str, int] = {}
        for path, record in self._records.items():
            if "?" not in path:
                for around in (*ancestors(path), path):
                    orders[around] = max(orders.get(around, 0), record.order)
        return orders

    def undoing(self) -> list[str]:
        """The paths of the steps whose rollback had begun when the run was interrupted."""
        return [path for path, record in self._records.items() if record.undoing]

    def mark_undoing(self, path: str) -> None:
        """Write down that the rollback of the step at *path* begins."""
        reason = f"rolling back {path}"
        if self._pending.get((STEPS, path)) is not None:  # Of a step made of steps: it rides along otherwise.
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
        record = self._records.get(path)
        if record is None:
            return False
        self._records[path] = record = replace(record, undoing=undoing)
        entry = self._store.snapshot(self.tip).entry((STEPS, path))
        self._pending[STEPS, path] = existing(replace(entry, note=record.note()))
        return True

    def forget(self, paths: Iterable[str], undoing: AbstractSet[str] = frozenset()) -> None:
        """Remove the records of these steps, of all below them and of the steps around them, in one save.

        In the same save those of *undoing* stay, marked as by `mark_undoing`.
        """
        gone = [name for path in paths for name in self._records if is_within(name, path) or is_within(path, name)]
        with self._lock:
            for name in undoing:
                self._mark(name, undoing=True)
            for name in dict.fromkeys(gone):
                if name in undoing:
                    continue
                self._again.pop(name, None)
                if self._records.pop(name).key and "?" not in name:
                    self._generations[name] = self._generation(name) + 1
                    self._pending_facts[STEPS, name] = note(_text({"generation": self._generations[name]}))
                self._pending[STEPS, name] = None
            self._finished = None
        self.write("rolled back")

    # --- by hand ---------------------------------------------------------------------------------------------------

    def run_again(self, path: str) -> bool:
        """Have the step at *path* and all below it run again, and what follows; False if none of them is recorded.

        Written with the next save. What they recorded stays to be looked at until they have run.
        """
        with self._lock:
            within = [name for name in self._records if is_within(name, path) and name != f"{path}?when"]
            leaves = [it for it in within if "?" not in it and (self._records[it].key or self._records[it].by_hand)]
            if not leaves:
                return False
            order = self._next_order()
            for name in within:
                if name in leaves and self._records[name].key:
                    self._again[name] = order
                    facts = {**self._stored_facts(name), **self._standing(name)}
                    self._pending_facts[STEPS, name] = note(_text(facts))
                    continue
                del self._records[name]
                self._pending[STEPS, name] = None
                self._pending_facts[STEPS, name] = note(_text({"generation": self._generation(name)}))
                if name in leaves:
                    self._again[name] = order
                    self._pending_facts[STEPS, name] = note(
                        _text({"generation": self._generation(name), "again": order})
                    )
            self._drop_around(path)
            self._finished = None
            return True

    def set_output(self, path: str, output: Value, *, skip: bool = False) -> None:
        """Have the step at *path* recalled with *output*, and what follows it run again; written with the next save.

        With *skip* it counts as skipped, whether or not it is recorded; else its record keeps its key.
        """
        with self._lock:
            order = self._next_order()
            record = self._records.get(path) or self._record(path, "skipped", {})
            status: Status = "skipped" if skip or not record.key else "done"
            record = Record(status, {} if skip else record.key, lambda: output, by_hand=True, order=order, asked=True)
            self._drop_around(path)
            self._again.pop(path, None)
            self._records[path] = record
            facts = {**self._stored_facts(path), "generation": self._generation(path), "order": order, "asked": True}
            facts.pop("again", None)
            self._pending[STEPS, path] = value(output, note=record.note(), path="output")
            self._pending_facts[STEPS, path] = note(_text(facts))
            self._finished = None

    def ask(self) -> None:
        """Let what changed since it was recorded run again unasked, until the walk has come to an end."""
        with self._lock:
            self.asked = self._next_order()
            self._pending_facts[ASKED,] = note(str(self.asked))

    def waiting(self) -> tuple[dict[tuple[str, ...], Content | None], dict[tuple[str, ...], Content | None]]:
        """What waits for the next save: of the state, and of the facts."""
        with self._lock:
            return dict(self._pending), dict(self._pending_facts)

    def write(self, reason: str, kind: CheckpointKind = "auto") -> Checkpoint:
        """Write what waits for the next save."""
        self._saves.submit(_Save(kind=kind, reason=reason))
        return self.tip

    # --- the end of a save -----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Write the decisions that could come out differently next time, if there are any."""
        if self._decided > self._settled:
            self._saves.submit(_Save(kind="auto", reason="decided", settles=True))

    def beside(self, path: str) -> Journal:
        """A journal that knows nothing and writes nothing: for what is done beside the run about the step at *path*.

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
        """Write the last checkpoint of this execution (`pause`, `failure` or `final`) and take no more."""
        with self._lock:
            if not keep_files:
                self._keeper = None
            if kind == "final":
                self._pending["output",] = value(output, path="output")
            if facts:
                self._pending_facts["end",] = value(dict(facts), path="facts")
            if kind != "pause" and self.asked:
                self._pending_facts[ASKED,] = None
        self._saves.submit(_Save(kind=kind, reason=reason, closes=True))
        return self.tip

    def _save(self, saves: Sequence[_Save]) -> None:
        """Save what *saves* ask for in one checkpoint. One thread at a time does this."""
        if self._closed:
            raise StepFailed("the run has ended; what a step gave afterwards is not recorded")
        if self._decided == self._settled and all(save.settles for save in saves):
            return
        last = saves[-1]
        labelled = last.kind in {"label", "pause"}
        taken = self._keeper.take(asked=last.workspace, labelled=labelled) if self._keeper else None
        files: Changes = taken.changes if taken else {}
        if not taken and self._holds_files:
            files = dict.fromkeys((FILES, ABOUT))
        with self._lock:
            pending, self._pending = self._pending, {}
            facts, self._pending_facts = self._pending_facts, {}
            unsaved, decided = dict(self._unsaved), self._decided
        try:
            tip = self._store.save(
                self.tip.run,
                {**pending, **_all(save.changes for save in saves), **files},
                parent=self.tip,
                kind=last.kind,
                label=last.label,
                step=next((save.step for save in reversed(saves) if save.step), self._last_step),
                reason=_in_words([save.reason for save in saves]),
                group=self.tip.group,
                facts={**facts, **_all(save.facts for save in saves)},
            )
        except BaseException as error:
            with self._lock:
                self._pending = {**pending, **self._pending}
                self._pending_facts = {**facts, **self._pending_facts}
            if isinstance(error, WorkspaceUnreadable):
                raise StepFailed(f"the checkpoint cannot keep the files: {error}") from error
            raise
        if self._keeper and taken:
            self._keeper.took(taken)
        with self._lock:
            self.tip = tip
            self._closed = last.closes
            self._last_step = tip.step
            self._holds_files = taken is not None
            self._settled = decided
            for path, output in unsaved.items():
                if self._unsaved[path] is output:
                    del self._unsaved[path]


class _Unwritten(Journal):
    def __init__(self, store: Store, tip: Checkpoint, generation: int) -> None:
        super().__init__(store, tip, recall=False)
        self._fixed = generation

    def _generation(self, path: str) -> int:
        del path
        return self._fixed

    def _save(self, saves: Sequence[_Save]) -> None:
        del saves


def _either(unsaved: Mapping[str, Value], path: str, load: Callable[[], Value]) -> Value:
    return unsaved[path] if path in unsaved else load()


def _all(changes: Iterable[Changes]) -> dict[tuple[str, ...], Content | None]:
    return {path: content for each in changes for path, content in each.items()}


def _in_words(reasons: Sequence[str]) -> str:
    """What is said of a checkpoint that several things led to."""
    more = len(reasons) - _NAMED_REASONS
    return ", ".join(reasons[:_NAMED_REASONS]) + (f" and {more} more" if more > 0 else "")


def _text(facts: Facts) -> str:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))
