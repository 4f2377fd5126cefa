"""The runs of a store, as `maverick runs` lists them. Reads no object, loads nothing of the engine.

All stands in a run's ref, whose `summary` `maverick.dsl.journal.tally` writes; what runs now stands
in its owner's note, which `maverick.dsl.journal.running` writes.
"""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from maverick.noted import small_mapping, text_of, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.checkpoints import Ref
    from maverick.dsl.workflow.outcome import RunStatus
    from maverick.errors import RefDamaged

STATUSES: Final = ("running", "paused", "failed", "killed", "done")
_PAUSED: Final = "paused: "
_MICRO: Final = 1_000_000


class RunSummary(NamedTuple):
    """One run. `started` and `updated` are milliseconds since the epoch.

    `bytes` is the size of what the newest checkpoint holds; `step` is the last one that finished.
    None is what is not, or what nobody knows. `at` are the paths of the steps that run, or where it
    failed or was interrupted; `reason` is the first line of why it is not done.
    """

    run: str
    workflow: str
    status: RunStatus
    started: int
    updated: int
    step: str | None
    checkpoints: int
    bytes: int
    seconds: float | None
    usd: float | None
    error: str | None
    failed_at: str | None
    waiting: Mapping[str, Any] | None
    notices: tuple[str, ...]
    at: tuple[str, ...]
    reason: str


class Runs(Protocol):
    """What has refs, and knows who owns them: a store, or an overview of one."""

    def refs(self, damaged: list[RefDamaged] | None = None) -> list[Ref]:
        """Give the refs of all runs, newest first."""

    def is_owned(self, run: str) -> bool:
        """Say whether some process owns *run*."""

    def owner_note(self, run: str) -> dict[str, Any]:
        """Give what the owner of *run*, or its last one, noted."""


def summarise(store: Runs, ref: Ref, now: int) -> RunSummary:
    """Give what a listing says of the run of *ref*, *now* (milliseconds since the epoch)."""
    status = status_of(store, ref)
    note = {} if status == "done" or ref.went_back else store.owner_note(ref.run)
    summary = ref.summary
    failed_at = _text(summary, "failed_at") if status == "failed" else ""
    error = _text(summary, "error") if status == "failed" else ""
    notices = summary.get("notices")
    micro_usd = _number(summary, "micro_usd")
    return RunSummary(
        run=ref.run,
        workflow=ref.group,
        status=status,
        started=ref.started,
        updated=ref.updated,
        step=ref.step or None,
        checkpoints=ref.sequence,
        bytes=ref.bytes,
        seconds=executed_seconds(ref, note, now if status == "running" else ref.updated),
        usd=None if micro_usd is None else micro_usd / _MICRO,
        error=error or None,
        failed_at=failed_at or None,
        waiting=small_mapping(summary.get("waiting")) if status == "paused" else None,
        notices=tuple(filter(None, map(text_of, notices if isinstance(notices, list) else ()))),
        at=_places(ref, status, note),
        reason=_reason(ref, status, note, error),
    )


def status_of(store: Runs, ref: Ref) -> RunStatus:
    """Give `done`, `running` if a process owns the run, or why it stopped at its checkpoint.

    One that was executed again and saved nothing since was killed: its owner noted the execution.
    """
    if ref.done:
        return "done"
    if store.is_owned(ref.run):
        return "running"
    if ref.kind not in ("pause", "failure") or _is_later(ref, store.owner_note(ref.run)):
        return "killed"
    return "failed" if ref.kind == "failure" else "paused"


def _is_later(ref: Ref, note: Mapping[str, Any]) -> bool:
    """Whether the owner's *note* is of an execution of which nothing is saved."""
    return (_number(note, "execution") or 0) > (_number(ref.summary, "execution") or 0)


def run_before(store: Runs, run: str, workflow: str) -> Ref | None:
    """Give the run of *workflow* that was started before its run *run*; None if there is none."""
    refs = (ref for ref in store.refs() if ref.group == workflow)
    since = dropwhile(lambda ref: ref.run != run, refs)
    next(since, None)
    return next(since, None)


def executed_seconds(ref: Ref, note: Mapping[str, Any], until: int) -> float | None:
    """Give how long the executions of the run took together, *until* then."""
    summary = ref.summary
    if _number(summary, "execution") is None:
        return None
    began, spent = _number(summary, "began"), _number(summary, "ms") or 0
    if _is_later(ref, note):
        # What was begun before it ended with the run's last checkpoint.
        spent += 0 if began is None else max(ref.updated - began, 0)
        began = _number(note, "began")
    return (spent + (0 if began is None else max(until - began, 0))) / 1000


def _places(ref: Ref, status: RunStatus, note: Mapping[str, Any]) -> tuple[str, ...]:
    if status in ("failed", "done"):
        place = _text(ref.summary, "failed_at")
        return (place,) if place and status == "failed" else ()
    rows = note.get("running")
    every = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    # The note is written when a step begins; one that has ended since is still in it.
    steps = tuple(step for row in every if (step := _text(row, "step")) and step != ref.step)
    if status == "running" or len(steps) < 2:
        return steps
    around = _common(steps)
    return (around,) if around else ()


def _common(steps: tuple[str, ...]) -> str:
    """Give the path of what all of *steps* stand in; empty for the workflow itself."""
    first, last = min(steps), max(steps)
    end = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    while end and not (first[end : end + 1] in {".", "["} and last[end : end + 1] in {".", "["}):
        end -= 1
    return first[:end]


def why_paused(reason: str) -> str:
    """Give why a run is paused whose ref moved for that *reason*: a signal, or a change by hand."""
    return reason.replace(_PAUSED, "interrupted by ", 1) if reason.startswith(_PAUSED) else reason


def _reason(ref: Ref, status: RunStatus, note: Mapping[str, Any], error: str) -> str:
    """Give the first line of why a run is not done."""
    last = ref.positions[-1].reason if ref.positions else ""
    match status:
        case "failed":
            first = error.partition("\n")[0]
            return first.removeprefix(f"step {_text(ref.summary, 'failed_at')}: ") or last
        case "paused":
            return why_paused(last)
        case "running" | "killed":
            if ref.went_back:
                return last
            end = "" if status == "running" else " has ended"
            return f"process {note['pid']} on {note.get('host', '?')}{end}" if "pid" in note else ""
        case _:
            return ""


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    return whole_number(fields.get(name))


def _text(fields: Mapping[str, Any], name: str) -> str:
    return text_of(fields.get(name))
