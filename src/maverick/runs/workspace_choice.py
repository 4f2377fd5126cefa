"""Going back with the files: what resumptions and `checkpoint restore` do to the project's folder.

Before anything is written, what is there now is saved as a *safety checkpoint* of the run, so that
every restoration can be undone. Files and records always come from one checkpoint.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from maverick.checkpoints import Checkpoint, Content, Snapshot, Store, byhand, value
from maverick.checkpoints.workspace import (
    CaptureReport,
    RestorePlan,
    capture,
    open_workspace,
    plan_restore,
)
from maverick.dsl.journal.tree import INPUTS, OUTPUT, RunTree
from maverick.errors import FilesDiffer, NotFound, ObjectMissing
from maverick.visible import list_names

if TYPE_CHECKING:
    from pathlib import Path

Choice: TypeAlias = Literal["restore", "force-restore", "keep"]
"""What becomes of files that differ. Where HEAD has moved only `force-restore` restores them."""
SAFETY = "before restoring files"
"""The reason that the log gives for a safety checkpoint."""
_NAMED_FILES = 10


class Amended(NamedTuple):
    """What is to be other than recorded, and the reasons that the log gives for it."""

    state: Mapping[tuple[str, ...], Content | None]
    facts: Mapping[tuple[str, ...], Content | None]
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class FileDifference:
    """How the project's folder differs, if at all, from a run's newest checkpoint with files."""

    checkpoint: Checkpoint
    plan: RestorePlan

    def __str__(self) -> str:
        """Say it: counts first, then names."""
        changes = self.plan.changes
        names = list_names([change.path for change in changes], _NAMED_FILES)
        moved = "; HEAD has moved since, too" if self.plan.head_moved else ""
        differ = f"{count_of(changes)} differ{'s' if len(changes) == 1 else ''}"
        return f"{differ} from {self.name}, the newest with files: {names}{moved}"

    @property
    def name(self) -> str:
        """The checkpoint, for people."""
        label = f" ({self.checkpoint.label})" if self.checkpoint.label else ""
        return f"checkpoint {self.checkpoint.sequence}{label}"


@dataclass(frozen=True, slots=True)
class FilesDecision:
    """What becomes of the project's files when a run that stands at `tip` goes on.

    `difference` is None if it kept none.
    """

    tip: Checkpoint
    action: Literal["restore", "keep", "ask"]
    difference: FileDifference | None

    @property
    def restores(self) -> bool:
        """Whether the run goes back to an earlier checkpoint, or files are written or removed."""
        if self.action != "restore" or self.difference is None:
            return False
        return self.difference.checkpoint.id != self.tip.id or not self.difference.plan.is_empty

    @property
    def start(self) -> Checkpoint:
        """The checkpoint with the records that the run goes on with."""
        difference = self.difference if self.restores else None
        return difference.checkpoint if difference is not None else self.tip

    def for_fork(self, fork: Checkpoint) -> FilesDecision:
        """Give the same decision for *fork*, which holds what `tip` does."""
        difference = self.difference
        if difference is not None and difference.checkpoint.id == self.tip.id:
            difference = replace(difference, checkpoint=fork)
        return FilesDecision(fork, self.action, difference)

    def carry_out(
        self, store: Store, root: Path, tell: Callable[[str], None], amended: Amended | None = None
    ) -> Checkpoint:
        """Do what was decided; give where the run stands then.

        To restore is to make the run's records and the project's files those of one checkpoint, but
        for what is *amended* in the same save; what was recorded since runs again. After a crash
        the run stands before, or at the new checkpoint with each file old or new; doing it again
        ends it.

        Raises:
            FilesDiffer: A file changed since it was decided; the run stands at the new checkpoint.
            WorkspaceUnwritable: A file cannot be written; the run stands at the new checkpoint.
        """
        tip, difference = self.tip, self.difference
        if difference is None or not self.restores:
            return tip
        amended = amended or Amended({}, {}, [])
        reason = "; ".join(
            [f"restored files and records of {difference.checkpoint.id[:12]}", *amended.reasons]
        )
        safety = save_safety(store, tip, root)
        byhand.note_restore(store, safety, reason)
        checkpoint = copy_onto(store, safety, difference.checkpoint, amended, reason=reason)
        difference.plan.execute(head_may_differ=True)
        changes = difference.plan.changes
        unchanged = f"went back to {difference.name}, from which no file differs"
        tell(f"restored {count_of(changes)} from {difference.name}" if changes else unchanged)
        return checkpoint


def newest_with_files(store: Store, tip: Checkpoint) -> Checkpoint | None:
    """Give the newest checkpoint of the run up to *tip* that holds files; None if there is none."""
    return next(_with_files(store, tip), None)


def _with_files(store: Store, tip: Checkpoint) -> Iterator[Checkpoint]:
    """Yield those that hold files, newest first. One that a repair has left without its records is
    none.
    """
    for checkpoint in store.history(tip.id):
        try:
            holds_files = RunTree(store.snapshot(checkpoint)).holds_files
        except ObjectMissing:
            continue
        if holds_files:
            yield checkpoint


def find_difference(
    store: Store, tip: Checkpoint, root: Path, *, remember: bool = True
) -> FileDifference | None:
    """Give how the folder *root* differs from what the run last kept; None if it kept nothing.

    What a repair has left with missing files is passed over. Unless it may *remember*, nothing is
    written, not even the cache of the files.
    """
    for checkpoint in _with_files(store, tip):
        with suppress(ObjectMissing):
            snapshot = store.snapshot(checkpoint)
            plan = plan_restore(store, snapshot, open_workspace(root), remember=remember)
            written = (step.new for step in plan.writes)
            if all(store.objects.holds(new.id) for new in written if new is not None and new.id):
                return FileDifference(checkpoint, plan)
    return None


def way_back(store: Store, tip: Checkpoint, root: Path) -> str:
    """Say how the files that the run kept come here; empty if it kept none or none differs."""
    difference = find_difference(store, tip, root, remember=False)
    if difference is None or not difference.plan.changes:
        return ""
    checkpoint = difference.checkpoint
    revision = f"{checkpoint.run}@{checkpoint.label}" if checkpoint.label else checkpoint.id[:12]
    command = shlex.join(["maverick", "checkpoint", "restore", revision])
    return f"{difference}; this makes the project's files what they were there: {command}"


def expect(
    store: Store, tip: Checkpoint, root: Path, *, choice: Choice | None, can_ask: bool
) -> FilesDecision:
    """Give what a resumption would decide about the files; `ask` where it would ask somebody.

    Writes nothing. Raises as `decide`.
    """
    difference = find_difference(store, tip, root, remember=False)
    if choice is None and can_ask and difference is not None and not difference.plan.is_empty:
        return FilesDecision(tip, "ask", difference)
    return _decided(tip, difference, choice)


def decide(
    store: Store,
    tip: Checkpoint,
    root: Path,
    *,
    choice: Choice | None,
    ask: Callable[[str], bool] | None,
    tell: Callable[[str], None],
) -> FilesDecision:
    """Compare the files before a resumption, and decide whether to go back to them.

    Nothing but the cache is changed. Without a *choice* a person is asked (*ask*: whether to
    restore) where files differ; where nobody can be, the files are kept, and that is told. Under
    another HEAD they are restored if a person says so, or by `force-restore`.

    Raises:
        NotFound: They are to be restored, and no checkpoint holds files.
        FilesDiffer: They are to be restored, and HEAD has moved since.
    """
    difference = find_difference(store, tip, root) if choice != "keep" else None
    if difference is not None and not difference.plan.is_empty and ask is not None:
        if choice is None:
            choice = (
                "force-restore"
                if ask(f"{difference}. Restore them, and go on from there? (Else they are kept.)")
                else None
            )
        elif (
            choice == "restore"
            and difference.plan.head_moved
            and ask(f"{difference}. Restore them all the same?")
        ):
            choice = "force-restore"
    decision = _decided(tip, difference, choice)
    if choice is None and difference is not None and not difference.plan.is_empty:
        tell(f"{difference}; kept as they are (--workspace restore goes back to that checkpoint)")
    return decision


def _decided(
    tip: Checkpoint, difference: FileDifference | None, choice: Choice | None
) -> FilesDecision:
    if choice in {None, "keep"}:
        return FilesDecision(tip, "keep", difference)
    if difference is None:
        raise NotFound(f"no checkpoint of {tip.run} holds files; resume with --workspace keep")
    if difference.plan.head_moved and choice == "restore":
        commit = difference.plan.head_then.commit[:12] if difference.plan.head_then else ""
        raise FilesDiffer(
            f"{difference}; files are not restored under another HEAD: check out the commit "
            f"{commit} first, or resume with --workspace keep, or with --workspace force-restore"
        )
    return FilesDecision(tip, "restore", difference)


def save_safety(store: Store, tip: Checkpoint, root: Path) -> Checkpoint:
    """Save the project's files as they are now, beside the run's records, except the unreadable."""
    captured = capture(store, open_workspace(root), skip_unreadable=True)
    return store.save(tip.run, captured.changes, parent=tip, step=tip.step, reason=SAFETY)


def copy_onto(
    store: Store, tip: Checkpoint, source: Checkpoint, amended: Amended, *, reason: str
) -> Checkpoint:
    """Save on top of *tip* what *source* holds, facts included, but for what is *amended*."""
    state = byhand.replacing(store.snapshot(tip).entries(), store.snapshot(source).entries())
    facts = byhand.replacing(store.snapshot(tip).facts(), store.snapshot(source).facts())
    return store.save(
        tip.run,
        {**state, **amended.state},
        facts={**facts, **amended.facts},
        parent=tip,
        step=source.step,
        reason=reason,
    )


def count_of(changes: Sequence[object]) -> str:
    """Say how many files there are."""
    return "1 file" if len(changes) == 1 else f"{len(changes)} files"


# --- by hand --------------------------------------------------------------------------------------


def save_files(
    store: Store,
    root: Path,
    *,
    group: str = "files",
    reason: str = "created by hand",
    skip_unreadable: bool = False,
    holds_secret: Callable[[bytes], bool] | None = None,
) -> tuple[Checkpoint, CaptureReport]:
    """Save the project's files as they are now into a run of its own, tagged so that gc keeps it.

    The report names the files read of which *holds_secret* is true; they are kept all the same.

    Raises:
        WorkspaceUnreadable: Files cannot be read; none if *skip_unreadable*.
        UsageError: *root* is `/` or the home folder.
    """
    workspace = open_workspace(root)
    captured = capture(store, workspace, skip_unreadable=skip_unreadable, watch_for=holds_secret)
    run = f"{group}-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}"
    changes = {INPUTS: value({}), OUTPUT: value(None), **captured.changes}
    checkpoint = store.save(run, changes, parent=None, kind="final", reason=reason, group=group)
    store.tag(run, "files", checkpoint)
    return checkpoint, captured.report


def require_files(store: Store, snapshot: Snapshot) -> None:
    """Raise NotFound if *snapshot* holds no files, naming the newest before it that does."""
    checkpoint = snapshot.checkpoint
    if RunTree(snapshot).holds_files:
        return
    earlier = newest_with_files(store, checkpoint)
    hint = "neither does one before it; workflows keep them with `checkpoints: {workspace: label}`"
    if earlier is not None:
        name = f"{earlier.run}@{shlex.quote(earlier.label)}" if earlier.label else earlier.id[:12]
        hint = f"the newest before it that does is {name}"
    run = f"run {checkpoint.run}, {checkpoint.sequence}"
    raise NotFound(f"checkpoint {checkpoint.id[:12]} ({run}) holds no files; {hint}")


def restore_files(
    store: Store,
    root: Path,
    snapshot: Snapshot,
    paths: Sequence[str],
    confirm: Callable[[RestorePlan], None],
) -> tuple[RestorePlan, Checkpoint | None]:
    """Make the project's files those of *snapshot* (only *paths*, if given).

    *confirm* sees the plan and raises to leave everything as it is. What is there now is saved
    first, in a run of the group `restore`. Gives the plan and that checkpoint; None where there was
    nothing to do.

    Raises:
        NotFound: The checkpoint holds no files, or not these.
        FilesDiffer: A file changed since it was planned.
        WorkspaceUnwritable: A file cannot be written; what stands before it is restored.
    """
    plan = plan_restore(store, snapshot, open_workspace(root), paths)
    if plan.is_empty:
        return plan, None
    confirm(plan)
    short_id = snapshot.checkpoint.id[:12]
    safety, _ = save_files(
        store, root, group="restore", reason=f"{SAFETY} of {short_id}", skip_unreadable=True
    )
    byhand.note_restore(store, safety, f"restored files of {short_id}")
    plan.execute(head_may_differ=True)  # Whoever confirmed the plan saw that HEAD moved.
    return plan, safety


def undo_restore(store: Store, root: Path, change: byhand.HandChange) -> str:
    """Bring back the files as they were before the restoration *change*; say what was done.

    The records come back, too, if a run went back with its files and has not gone on since. What is
    there now is saved first, in a run of the group `restore`.

    Raises:
        RunOwned: The run went on meanwhile, in another process.
        NotFound, FilesDiffer, WorkspaceUnwritable: As `restore` does.
    """
    safety = byhand.safety_of(store, change)
    plan = plan_restore(store, store.snapshot(safety), open_workspace(root))
    if not plan.is_empty:
        save_files(
            store,
            root,
            group="restore",
            reason="before taking a restoration back",
            skip_unreadable=True,
        )
    records = _undo_records(store, safety, change)
    plan.execute(head_may_differ=True)
    byhand.forget(store, change.name)
    if not plan.changes:
        return "the records are as before" if records else "no file differed"
    verb = "is" if len(plan.changes) == 1 and not records else "are"
    return f"{'the records and ' if records else ''}{count_of(plan.changes)} {verb} as before"


def _undo_records(store: Store, safety: Checkpoint, change: byhand.HandChange) -> bool:
    ref = store.find_ref(change.run)
    if ref is None or store.checkpoint(ref.checkpoint).parent != safety.id:
        return False
    with store.own(change.run):
        tip = store.checkpoint(store.ref(change.run).checkpoint)
        if tip.parent != safety.id:
            return False
        copy_onto(store, tip, safety, Amended({}, {}, []), reason=f"{byhand.UNDID}{change.reason}")
    return True
