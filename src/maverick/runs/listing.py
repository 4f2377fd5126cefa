"""The runs of a store, as `maverick runs` lists them. Loads nothing of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from maverick.checkpoints import Ref
    from maverick.dsl.workflow.outcome import RunStatus
    from maverick.errors import RefDamaged


class RunSummary(NamedTuple):
    """One run. `started` and `updated` are milliseconds since the epoch.

    `bytes` is the size of what the newest checkpoint holds; `step` is None where none had finished.
    """

    run: str
    workflow: str
    status: RunStatus
    started: int
    updated: int
    step: str | None
    checkpoints: int
    bytes: int


class Runs(Protocol):
    """What has refs, and knows who owns them: a store, or an overview of one."""

    def refs(self, damaged: list[RefDamaged] | None = None) -> list[Ref]:
        """Give the refs of all runs, newest first."""

    def is_owned(self, run: str) -> bool:
        """Say whether some process owns *run*."""


def summarise(store: Runs, ref: Ref) -> RunSummary:
    """Give what a listing says of the run of *ref*. Asks for its lock, reads nothing."""
    return RunSummary(
        run=ref.run,
        workflow=ref.group,
        status=status_of(store, ref),
        started=ref.started,
        updated=ref.updated,
        step=ref.step or None,
        checkpoints=ref.sequence,
        bytes=ref.bytes,
    )


def status_of(store: Runs, ref: Ref) -> RunStatus:
    """Give `done`, `running` if a process owns the run, or why it stopped at its checkpoint."""
    if ref.done:
        return "done"
    if store.is_owned(ref.run):
        return "running"
    match ref.kind:
        case "pause":
            return "paused"
        case "failure":
            return "failed"
        case _:
            return "killed"
