"""Going back with the files: what a resumption and `checkpoint restore` do about the project's
folder.

Before anything is written, what is there now is saved as a *safety checkpoint* of the run, so that
every restoration can be undone. Files and records always come from one checkpoint.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from maverick.checkpoints import Checkpoint, Content, Snapshot, Store, byhand, value
from maverick.checkpoints.workspace import (
    Report,
    RestorePlan,
    capture,
    open_workspace,
    plan_restore,
)
from maverick.dsl.journal.tree import INPUTS, OUTPUT, RunTree
from maverick.errors import FilesDiffer, NotFound

if TYPE_CHECKING:
    from pathlib import Path

Choice: TypeAlias = Literal["restore", "force-restore", "keep"]
"""What becomes of files that differ. `restore` leaves them alone where HEAD has moved,
`force-restore` does not.
"""
SAFETY = "before restoring files"
"""The reason that a safety checkpoint stands in the log with."""
SHOWN = 10


class Amended(NamedTuple):
    """What is to be other than recorded: changes of state and facts, and what the log is to say of
    them.
    """

    state: Mapping[tuple[str, ...], Content | None]
    facts: Mapping[tuple[str, ...], Content | None]
    said: Sequence[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """How the project's folder differs from the newest checkpoint of a run that holds files, if it
    does.
    """

    checkpoint: Checkpoint
    plan: RestorePlan

    def __str__(self) -> str:
        """Say it: counts first, then names."""
        changes = self.plan.changes
        names = ", ".join(change.path for change in changes[:SHOWN])
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        moved = "; HEAD has moved since, too" if self.plan.head_moved else ""
        differ = f"{count_of(changes)} differ{'s' if len(changes) == 1 else ''}"
        return f"{differ} from {self.name}, the newest with files: {names}{more}{moved}"

    @property
    def name(self) -> str:
        """The checkpoint, for people."""
        label = f" ({self.checkpoint.label})" if self.checkpoint.label else ""
        return f"checkpoint {self.checkpoint.sequence}{label}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the project's files when a run that stands at `tip` goes on; `found` None: it
    kept none.
    """

    tip: Checkpoint
    action: Literal["restore", "keep", "ask"]
    found: Difference | None

    @property
    def restores(self) -> bool:
        """Whether the run goes back to an earlier checkpoint, or files are written or removed."""
        if self.action != "restore" or self.found is None:
            return False
        return self.found.checkpoint.id != self.tip.id or not self.found.plan.is_empty

    @property
    def start(self) -> Checkpoint:
        """The checkpoint with the records that the run goes on with."""
        return self.found.checkpoint if self.restores and self.found is not None else self.tip

    def for_fork(self, fork: Checkpoint) -> Decision:
        """The same for *fork*, which holds what `tip` does."""
        found = self.found
        if found is not None and found.checkpoint.id == self.tip.id:
            found = replace(found, checkpoint=fork)
        return Decision(fork, self.action, found)

    def carry_out(
        self, store: Store, root: Path, tell: Callable[[str], None], amended: Amended | None = None
    ) -> Checkpoint:
        """Do what was decided; give where the run stands then.

        To restore is to make the run's records and the project's files those of one checkpoint, but
        for what is
        *amended* in the same save; what was recorded since runs again. After a crash the run stands
        before, or at the new checkpoint with each file the old or the new one; doing it again ends
        it.

        Raises:
            FilesDiffer: A file changed since it was decided; the run stands at the new checkpoint.
            WorkspaceUnwritable: A file cannot be written; the run stands at the new checkpoint.
        """
        tip, found = self.tip, self.found
        if found is None or not self.restores:
            return tip
        amended = amended or Amended({}, {}, [])
        reason = "; ".join(
            [f"restored files and records of {found.checkpoint.id[:12]}", *amended.said]
        )
        safety = save_safety(store, tip, root)
        byhand.note_restore(store, safety, reason)
        at = move(store, safety, found.checkpoint, amended, reason=reason)
        found.plan.execute(head_may_differ=True)
        changes = found.plan.changes
        none = f"went back to {found.name}, from which no file differs"
        tell(f"restored {count_of(changes)} from {found.name}" if changes else none)
        return at


def newest_with_files(store: Store, tip: Checkpoint) -> Checkpoint | None:
    """The newest checkpoint of the run up to *tip* that holds files; None if there is none."""
    for checkpoint in store.history(tip.id):
        if RunTree(store.snapshot(checkpoint)).holds_files:
            return checkpoint
    return None


def difference(
    store: Store, tip: Checkpoint, root: Path, *, remember: bool = True
) -> Difference | None:
    """How the folder *root* differs from what the run last kept of it; None if nothing was kept.

    Not to *remember* is to write nothing, not even the cache of the files.
    """
    checkpoint = newest_with_files(store, tip)
    if checkpoint is None:
        return None
    plan = plan_restore(store, store.snapshot(checkpoint), open_workspace(root), remember=remember)
    return Difference(checkpoint, plan)


def way_back(store: Store, tip: Checkpoint, root: Path) -> str:
    """Say how the files come here that the run kept up to *tip*; empty if it kept none, or if none
    differs.
    """
    found = difference(store, tip, root, remember=False)
    if found is None or not found.plan.changes:
        return ""
    checkpoint = found.checkpoint
    revision = f"{checkpoint.run}@{checkpoint.label}" if checkpoint.label else checkpoint.id[:12]
    command = shlex.join(["maverick", "checkpoint", "restore", revision])
    return f"{found}; this makes the project's files what they were there: {command}"


def expect(
    store: Store, tip: Checkpoint, root: Path, *, choice: Choice | None, can_ask: bool
) -> Decision:
    """What a resumption would decide about the files, as far as nobody has to be asked. Writes
    nothing.

    Raises as `decide`.
    """
    found = difference(store, tip, root, remember=False)
    if choice is None and can_ask and found is not None and not found.plan.is_empty:
        return Decision(tip, "ask", found)
    return _decided(tip, found, choice)


def decide(
    store: Store,
    tip: Checkpoint,
    root: Path,
    *,
    choice: Choice | None,
    ask: Callable[[str], bool] | None,
    tell: Callable[[str], None],
) -> Decision:
    """Before a resumption: compare the files, and decide whether to go back to them. Changes
    nothing but the cache.

    Without a *choice* a person is asked (*ask*: whether to restore) where files differ; where
    nobody can be, the files are kept, and that is told. Under another HEAD they are restored if a
    person says so, or by `force-restore`.

    Raises:
        NotFound: They are to be restored, and no checkpoint holds files.
        FilesDiffer: They are to be restored, and HEAD has moved since.
    """
    found = difference(store, tip, root) if choice != "keep" else None
    if found is not None and not found.plan.is_empty and ask is not None:
        if choice is None:
            choice = (
                "force-restore"
                if ask(f"{found}. Restore them, and go on from there? (Else they are kept.)")
                else None
            )
        elif (
            choice == "restore"
            and found.plan.head_moved
            and ask(f"{found}. Restore them all the same?")
        ):
            choice = "force-restore"
    decision = _decided(tip, found, choice)
    if choice is None and found is not None and not found.plan.is_empty:
        tell(f"{found}; kept as they are (--workspace restore goes back to that checkpoint)")
    return decision


def _decided(tip: Checkpoint, found: Difference | None, choice: Choice | None) -> Decision:
    if choice in {None, "keep"}:
        return Decision(tip, "keep", found)
    if found is None:
        raise NotFound(f"no checkpoint of {tip.run} holds files; resume with --workspace keep")
    if found.plan.head_moved and choice == "restore":
        commit = found.plan.head_then.commit[:12] if found.plan.head_then else ""
        raise FilesDiffer(
            f"{found}; files are not restored under another HEAD: check out the commit {commit} "
            "first, or resume with --workspace keep, or with --workspace force-restore"
        )
    return Decision(tip, "restore", found)


def save_safety(store: Store, tip: Checkpoint, root: Path) -> Checkpoint:
    """Save the project's files as they are now, beside the run's records; what cannot be read is
    left out.
    """
    taken = capture(store, open_workspace(root), skip_unreadable=True)
    return store.save(tip.run, taken.changes, parent=tip, step=tip.step, reason=SAFETY)


def move(
    store: Store, tip: Checkpoint, to: Checkpoint, amended: Amended, *, reason: str
) -> Checkpoint:
    """Save a checkpoint on top of *tip* that holds what *to* holds, facts included, but for what is
    *amended*.
    """
    state = byhand.replacing(store.snapshot(tip).entries(), store.snapshot(to).entries())
    facts = byhand.replacing(store.snapshot(tip).facts(), store.snapshot(to).facts())
    return store.save(
        tip.run,
        {**state, **amended.state},
        facts={**facts, **amended.facts},
        parent=tip,
        step=to.step,
        reason=reason,
    )


def count_of(changes: Sequence[object]) -> str:
    """How many files, in words."""
    return "1 file" if len(changes) == 1 else f"{len(changes)} files"


# --- by hand --------------------------------------------------------------------------------------


def create(
    store: Store,
    root: Path,
    *,
    group: str = "files",
    reason: str = "created by hand",
    skip_unreadable: bool = False,
    holds_secret: Callable[[bytes], bool] | None = None,
) -> tuple[Checkpoint, Report]:
    """Save the project's files as they are now, into a run of its own; it is tagged, so that gc
    keeps it.

    The report names those of the files read of which *holds_secret* is true; they are kept all the
    same.

    Raises:
        WorkspaceUnreadable: Files cannot be read; none if *skip_unreadable*.
        UsageError: *root* is `/` or the home folder.
    """
    workspace = open_workspace(root)
    taken = capture(store, workspace, skip_unreadable=skip_unreadable, watch_for=holds_secret)
    run = f"{group}-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}"
    changes = {INPUTS: value({}), OUTPUT: value(None), **taken.changes}
    made = store.save(run, changes, parent=None, kind="final", reason=reason, group=group)
    store.tag(run, "files", made)
    return made, taken.report


def require_files(store: Store, snapshot: Snapshot) -> None:
    """Raise NotFound if *snapshot* holds no files, naming the newest before it that does."""
    at = snapshot.checkpoint
    if RunTree(snapshot).holds_files:
        return
    before = newest_with_files(store, at)
    hint = "neither does one before it; workflows keep them with `checkpoints: {workspace: label}`"
    if before is not None:
        name = f"{before.run}@{shlex.quote(before.label)}" if before.label else before.id[:12]
        hint = f"the newest before it that does is {name}"
    raise NotFound(f"checkpoint {at.id[:12]} (run {at.run}, {at.sequence}) holds no files; {hint}")


def restore(
    store: Store,
    root: Path,
    snapshot: Snapshot,
    paths: Sequence[str],
    confirm: Callable[[RestorePlan], None],
) -> tuple[RestorePlan, Checkpoint | None]:
    """Make the project's files those of *snapshot* (only *paths*, if given); give what was done and
    its way back.

    *confirm* sees the plan and raises to leave everything as it is. What is there now is saved
    first, in a run of the group `restore`; None where there was nothing to do.

    Raises:
        NotFound: The checkpoint holds no files, or not these.
        FilesDiffer: A file changed since it was planned.
        WorkspaceUnwritable: A file cannot be written; what stands before it is restored.
    """
    plan = plan_restore(store, snapshot, open_workspace(root), paths)
    if plan.is_empty:
        return plan, None
    confirm(plan)
    of = snapshot.checkpoint.id[:12]
    safety, _ = create(
        store, root, group="restore", reason=f"{SAFETY} of {of}", skip_unreadable=True
    )
    byhand.note_restore(store, safety, f"restored files of {of}")
    plan.execute(head_may_differ=True)  # Whoever confirmed the plan saw that HEAD moved.
    return plan, safety


def undo_restore(store: Store, root: Path, change: byhand.HandChange) -> str:
    """Bring back the files as they were before the restoration *change*, and give what was done, in
    words.

    So are the records, if a run went back with its files and has not gone on since. What is there
    now is saved first, in a run of the group `restore`.

    Raises:
        RunOwned: The run went on meanwhile, in another process.
        NotFound, FilesDiffer, WorkspaceUnwritable: As `restore` does.
    """
    safety = byhand.safety_of(store, change)
    plan = plan_restore(store, store.snapshot(safety), open_workspace(root))
    if not plan.is_empty:
        create(
            store,
            root,
            group="restore",
            reason="before taking a restoration back",
            skip_unreadable=True,
        )
    records = _undo_records(store, safety, change)
    plan.execute(head_may_differ=True)
    byhand.forget(store, change)
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
        move(store, tip, safety, Amended({}, {}, []), reason=f"{byhand.UNDID}{change.reason}")
    return True
