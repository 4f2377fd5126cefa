"""A run that another process executes, followed by looking: its ref, its owner's note, the files in
which its running steps write. Nothing is written, and no lock is held.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from maverick.dsl.events import Event, Kind
from maverick.dsl.journal.log_tail import LogTail, Piece
from maverick.dsl.journal.logs import find_log
from maverick.dsl.journal.running import RunningStep
from maverick.dsl.journal.tally import Standing
from maverick.dsl.paths import StepPath
from maverick.errors import StoreDamaged
from maverick.noted import whole_number
from maverick.runs.listing import status_of
from maverick.views.page_loader import load_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints import Ref, Store
    from maverick.views.run_page import RunPage, StepRow

_REST: Final = 10
"""How many times as long as reading a page took nobody reads it again."""
_KINDS: Final[dict[str, Kind]] = {
    "done": "step_done",
    "failed": "step_failed",
    "skipped": "step_skipped",
}


class Written(NamedTuple):
    """What a step wrote since the last look."""

    step: StepPath
    type: str
    piece: Piece


Happening: TypeAlias = Event | Written
_Mark: TypeAlias = tuple[int | None, str, float | None]


class Follower:
    """Looks at a run again and again. *clock* gives seconds that never go back."""

    def __init__(
        self,
        store: Store,
        ref: Ref,
        project: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._project = project
        self._clock = clock
        self.ref = ref
        self.status: str = status_of(store, ref)
        self._next_page_at = 0.0
        self.page: RunPage = self._load()
        self._seen: dict[StepPath, _Mark] = {}
        self._tries: dict[StepPath, int] = {}
        """How many attempts at each step have a stored log that was given, or is of the past."""
        self._running: dict[StepPath, RunningStep] = {}
        self._tails: dict[StepPath, LogTail] = {}
        self._iterations: dict[StepPath, bool] = {}
        """Those that were told, and whether their names were known: they are saved with a step."""
        self._names: dict[str, list[str]] = {}

    @property
    def run(self) -> str:
        return self.ref.run

    @property
    def is_over(self) -> bool:
        """Whether no process executes the run any more."""
        return self.status != "running"

    def runs(self, step: StepPath) -> bool:
        """Whether *step* was seen to run, and not to end."""
        return step in self._running

    def begin(self) -> list[Event]:
        """Give what has ended so far; what runs is told by the first `poll`."""
        note = self._store.owner_note(self.run)
        began = whole_number(note.get("began")) or Standing.read(self.ref.summary).began
        events = [
            Event(
                event="run_started",
                message=self.run,
                time=(began or self.ref.started) / 1000,
                data={"workflow": self.ref.group},
            )
        ]
        execution = self.page.last_execution
        for row in self._new_rows():
            self._note(row)
            if row.execution == execution:
                events += self._events_of(row)
            elif row.status == "done":
                events.append(Event(event="step_recalled", step=row.path, type=row.type))
        return events

    def poll(self) -> list[Happening]:
        """Give what happened since the last look, in order.

        Raises:
            NotFound: The run was dropped.
            StoreDamaged: It cannot be read.
        """
        # The note first: what ends after it was read is seen running, and ended the next time.
        note = self._store.owner_note(self.run)
        ref = self._store.ref(self.run)
        status = status_of(self._store, ref)
        if status != "running":
            ref = self._store.ref(self.run)  # It may have been moved before it was let go.
            status = status_of(self._store, ref)
        happenings: list[Happening] = [*self._read_tails()]
        is_due = self._clock() >= self._next_page_at or status != "running"
        if ref.checkpoint != self.ref.checkpoint and is_due:
            self.ref = ref
            self.page = self._load()
            self._names.clear()
            happenings += self._ended()
        self.status = status
        if not self.is_over:
            happenings += self._begun(RunningStep.read(note))
            happenings += self._read_tails()
        return happenings

    def _load(self) -> RunPage:
        begun = self._clock()
        checkpoint = self._store.checkpoint(self.ref.checkpoint)
        page = load_page(self._project, self._store, checkpoint)
        now = self._clock()
        self._next_page_at = now + _REST * (now - begun)
        return page

    # --- what has ended ---------------------------------------------------------------------------

    def _new_rows(self) -> list[StepRow]:
        rows = (row for row in self.page.top.rows() if row.status in _KINDS)
        return sorted((row for row in rows if self._seen.get(row.path) != _mark(row)), key=_end_of)

    def _note(self, row: StepRow) -> None:
        self._seen[row.path] = _mark(row)
        self._tries[row.path] = row.facts.get("tries", 0)

    def _ended(self) -> Iterator[Happening]:
        for row in self._new_rows():
            tail = self._tails.pop(row.path, None) or self._tail(row.path)
            self._running.pop(row.path, None)
            if row.facts.get("tries"):
                log = find_log(self.page.tree, row.path)
                yield from (Written(row.path, row.type, piece) for piece in tail.catch_up(log))
            self._note(row)
            yield from self._enter(row.path)
            yield from self._events_of(row)
        yield from self._leave()
        for path in self._running:
            yield from self._enter(path)

    def _events_of(self, row: StepRow) -> Iterator[Event]:
        data: dict[str, object] = {"composite": True} if row.is_composite else {}
        if row.attempts and not row.is_composite:
            data["attempts"] = row.attempts
        message = "did not pass" if row.passed is False else ""
        if row.status == "failed":
            failed_at = StepPath(self.page.tree.end.get("step") or "")
            if row.is_composite and failed_at != row.path and failed_at.is_within(row.path):
                data["failed_at"] = failed_at
            else:
                message = _error_of(row)
        moment = _end_of(row) / 1000
        yield Event(
            event=_KINDS[row.status],
            step=row.path,
            type=row.type,
            time=moment,
            seconds=row.seconds,
            message=message,
            data=data,
        )
        if row.label and row.status == "done":
            yield Event(
                event="checkpoint_saved",
                step=row.path,
                type=row.type,
                time=moment,
                message=row.label,
            )

    # --- what runs --------------------------------------------------------------------------------

    def _begun(self, steps: list[RunningStep]) -> Iterator[Event]:
        """Yield what has begun, or is tried again. A step stays noted until another one begins."""
        for step in steps:
            path = StepPath(step.step)
            started = self._seen[path][0] if path in self._seen else None
            if started is not None and started >= step.since:
                continue
            before = self._running.get(path)
            self._running[path] = step
            if before is None or before.since != step.since:
                before = None
                yield from self._enter(path)
                yield Event(event="step_started", step=path, type=step.type, time=step.since / 1000)
                self._tails[path] = self._tail(path)
            if step.attempt > (before.attempt if before is not None else 1):
                data: dict[str, object] = {"attempt": step.attempt - 1, "of": 0, "wait": 0}
                yield Event(event="step_retried", step=path, type=step.type, data=data)

    def _tail(self, path: StepPath) -> LogTail:
        return LogTail(self._store.log_file(self.run, path), after=self._tries.get(path, 0))

    def _read_tails(self) -> Iterator[Written]:
        for path, tail in self._tails.items():
            kind = self._running[path].type
            yield from (Written(path, kind, piece) for piece in tail.poll())

    # --- iterations -------------------------------------------------------------------------------

    def _enter(self, path: StepPath) -> Iterator[Event]:
        """Yield the iterations around the step at *path* that were not entered yet."""
        for loop, around in path.iterations():
            number = around.position
            if around == path or number is None or self._iterations.get(around):
                continue
            outlined = self.page.definition.find(loop)
            if outlined is not None and outlined.step.kind == "validate":
                continue
            if loop not in self._names:
                self._names[loop] = self.page.names(loop)
            names = self._names[loop]
            if around in self._iterations and not names:
                continue
            self._iterations[around] = bool(names)
            data: dict[str, object] = {
                "number": number + 1,
                "count": len(names) or None,
                "name": names[number] if number < len(names) else "",
            }
            yield Event(event="iteration_started", step=around, type="loop", data=data)

    def _leave(self) -> Iterator[Event]:
        """Yield the end of iterations in which nothing runs."""
        for around in sorted(self._iterations):
            if not any(path.is_within(around) for path in self._running):
                del self._iterations[around]
                yield Event(event="iteration_ended", step=around, type="loop")


def _mark(row: StepRow) -> _Mark:
    return row.started, row.status, row.seconds


def _end_of(row: StepRow) -> float:
    return (row.started or 0) + (row.seconds or 0) * 1000


def _error_of(row: StepRow) -> str:
    try:
        return row.error or ""
    except StoreDamaged as damage:
        return str(damage)
