"""Going back: a run whose newest checkpoint is damaged stands at its newest whole one again.

Nothing is removed. What the ref's file held before is kept in `quarantine/`; the damaged checkpoint
stays in its pack until gc finds that nothing leads to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import replace as replace_file
from maverick.checkpoints.disk.layout import file_name, temporary
from maverick.checkpoints.fsck.findings import Repair
from maverick.checkpoints.fsck.whole import Damage, Wholeness
from maverick.checkpoints.refs.refs import Ref, encode_ref
from maverick.errors import RefMoved, StoreDamaged

if TYPE_CHECKING:
    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.trees.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands now. `damage` says why it stands no longer at checkpoint number
    `before`.
    """

    checkpoint: Checkpoint
    before: int
    damage: Damage | None = None


def newest_whole(store: StoreFolder, run: str) -> Standing:
    """Give the newest whole checkpoint of *run*: of its log, its labelled ones, or any that is
    left. Changes nothing.

    Verifies all that the newest one leads to, but only looks for blobs of more than 16 MiB.

    Raises:
        NotFound, RefDamaged: there is no such run, or its ref is damaged.
        StoreDamaged: no checkpoint of the run is whole. It says what is wrong with the newest.
    """
    ref = store.ref(run)
    wholeness = Wholeness(store, read_data=True)
    damage = wholeness.damage(ref.checkpoint)
    if damage is None:
        return Standing(store.checkpoint(ref.checkpoint), ref.sequence)
    newest = wholeness.newest(run, ref)
    if newest is None:
        raise StoreDamaged(
            f"run {run} cannot be resumed, for no checkpoint of it is whole: {damage}"
        ) from damage
    return Standing(newest, ref.sequence, damage)


def fall_back(store: StoreFolder, run: str, now: int) -> Standing:
    """Make *run* stand at its newest whole checkpoint, if it does not; whoever calls owns the run.

    Raises as `newest_whole`, and RefMoved and StoreUnwritable as `Store.save`.
    """
    # Else an open pack would say that it stands where it stood.
    store.appender.settle(run, removal=True)
    ref, standing = store.ref(run), newest_whole(store, run)
    if standing.damage is None:
        return standing
    sequence = standing.checkpoint.sequence
    log = tuple(position for position in ref.positions if position.sequence < sequence)
    new = Ref.at(
        standing.checkpoint,
        size=store.node(standing.checkpoint.tree).size,
        reason=f"went back from {ref.sequence}, which is damaged",
        before=ref._replace(positions=log),
        time=now,
    )
    with store.changing("go back to an older checkpoint"), store.locks.refs():
        if store.find_ref(run) != ref:
            raise RefMoved(
                f"run {run} was advanced by another process; resume the run to go on from there"
            )
        keep_copy(store, f"{file_name(run)}.ref", encode_ref(ref))
        store.ref_files.put(new)
    return standing


def keep_copy(store: StoreFolder, name: str, data: bytes) -> str:
    """Keep what a file *name* held in `quarantine/`, durably; gives the copy's name there."""
    copy = free_name(store, name)
    replace_file(store.files, temporary(store.root), store.root / "quarantine" / copy, [data])
    return copy


def free_name(store: StoreFolder, name: str) -> str:
    """Give *name*, with a number where a file in `quarantine/` has it already."""
    folder = store.root / "quarantine"
    if not folder.exists():
        store.files.make_folder(folder)
        store.files.sync_folder(store.root)
    taken = set(store.files.list(folder))
    return next(
        free
        for number in range(len(taken) + 1)
        if (free := f"{name}.{number}" if number else name) not in taken
    )


def set_aside(store: StoreFolder, file: str, why: str) -> Repair:
    """Move a file of the store to `quarantine/`; *why* begins the message. It is durable there
    before it is gone.
    """
    path = store.root / file
    target = f"quarantine/{free_name(store, path.name)}"
    store.files.rename(path, store.root / target)
    store.files.sync_folder(store.root / "quarantine")
    store.files.sync_folder(path.parent)
    return Repair("quarantined", f"{why}; the file was moved to {target}", file=file)
