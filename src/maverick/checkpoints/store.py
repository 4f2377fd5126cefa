"""The store: saves and loads checkpoints, moves refs, lends the ownership of runs.

When `save` returns, the checkpoint and all it leads to are durable, and the run's ref stands at it.
When it fails or the process dies, the ref stands where it stood or, at the last instant, at the new
checkpoint.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import Files, replace, writing
from maverick.checkpoints.disk.locks import GIVEN_UP
from maverick.checkpoints.folder import StoreFolder
from maverick.checkpoints.refs import refs
from maverick.checkpoints.trees.checkpoint import Checkpoint
from maverick.checkpoints.trees.content import content_of
from maverick.checkpoints.trees.snapshot import Snapshot
from maverick.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import timedelta
    from os import PathLike

    from maverick.checkpoints.fsck.fallback import Standing
    from maverick.checkpoints.fsck.findings import Finding, Repair
    from maverick.checkpoints.gc.collection import GcPlan
    from maverick.checkpoints.objects.ids import CheckpointId
    from maverick.checkpoints.objects.pack_records import NewObject
    from maverick.checkpoints.refs.refs import Ref
    from maverick.checkpoints.trees.checkpoint import CheckpointKind
    from maverick.checkpoints.trees.diff import Change
    from maverick.errors import RefDamaged


_Path = TypeVar("_Path", bound="str | tuple[str, ...]")
_FactPath = TypeVar("_FactPath", bound="str | tuple[str, ...]")


def _now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Store(StoreFolder):
    """A store in the folder `root`; use `create` or `open`. Threads may share one, processes may
    not.
    """

    @classmethod
    def create(
        cls,
        root: str | PathLike[str],
        *,
        files: Files | None = None,
        clock: Callable[[], int] = _now,
        trust_locks: bool | None = None,
    ) -> Store:
        """Open the store at *root*, making it if there is none; safe while another process does the
        same.

        *root* is as for `open`, but a new store gets a folder of its own: `.maverick/checkpoints`
        in a project. *clock* gives milliseconds since the epoch. *trust_locks* is as for `open`.

        Raises:
            UsageError: there is no store, and *root* holds something else.
            StoreUnwritable: it cannot be made.
            FormatDamaged: `format.json` is missing or damaged while there are objects.
            StoreTooNew: it was written by a newer version.
        """
        files, folder = files or Files(), Path(root).absolute()
        with suppress(NotFound):
            store = cls.open(folder, files=files, clock=clock, trust_locks=trust_locks)
            layout.mend(files, store.root)
            return store
        with writing("make a store", folder):
            layout.require_own_folder(files, folder)
            layout.create(files, folder)
        return cls.open(folder, files=files, clock=clock, trust_locks=trust_locks)

    @classmethod
    def open(
        cls,
        root: str | PathLike[str],
        *,
        files: Files | None = None,
        clock: Callable[[], int] = _now,
        trust_locks: bool | None = None,
    ) -> Store:
        """Open the store at *root*: its own folder, a project's, or `.maverick` there. It may be
        read-only.

        *trust_locks* says whether the locks of its file system keep out everybody, or nothing else
        uses the store meanwhile; None: the store finds out. Only where they do, saves are appended
        to an open pack, and packs removed.

        Raises:
            NotFound: there is none.
            FormatDamaged: `format.json` is missing or damaged while there are objects.
            StoreTooNew: it was written by a newer version.
        """
        files = files or Files()
        with writing("open the store", Path(root)):
            folder, form = layout.find_store(files, Path(root).absolute())
            return cls(folder, files, form, clock, trust_locks=trust_locks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that are open, and leave the runs that are saved into an open pack;
        whatever is asked next opens its own.
        """
        if self._appender is not None:
            self._appender.close()
        self.objects.packs.close()

    def __iter__(self) -> Iterator[Ref]:
        """Yield the refs of all runs, newest first."""
        return iter(self.refs())

    def __contains__(self, run: object) -> bool:
        """Whether there is a run of that id, also one whose ref is damaged."""
        return run in self.run_ids()

    def save(
        self,
        run: str,
        changes: Mapping[_Path, object],
        *,
        parent: Checkpoint | None = None,
        kind: CheckpointKind | None = None,
        label: str = "",
        step: str = "",
        reason: str = "",
        group: str = "",
        facts: Mapping[_FactPath, object] | None = None,
        summary: Mapping[str, Any] | None = None,
    ) -> Checkpoint:
        """Save a new checkpoint of *run*: *parent*'s content with *changes* (and *facts*) made to
        it.

        A path is a tuple of names, or a text, which names what it names in the snapshot of
        *parent*, else what is new under its names with `/` between them. What is to stand there is
        made by `blob`, `value` and their like, or is a plain Python value, which `value` takes. A
        change of None removes what is at its path, with all below it; `value(None)` stores null.

        *parent* is where the run's ref must stand; None, if the run must not exist yet; or a
        checkpoint of another run, from which *run* then begins. *group* is the parent's where it is
        empty. A checkpoint with a *label* is of kind `label`, another one of kind `auto` unless
        *kind* says so. *summary* (values of JSON without floats) is what listings show of the run;
        None leaves the one that it has. Inside `own` a save costs one sync (two more where it
        brings over 4 MiB of new bytes, and a few when the run enters a pack), else 4, whatever the
        number of objects.

        Raises:
            ValueUnstorable: a plain value cannot be stored; the message names the place in it.
            RefMoved: the ref does not stand at *parent*; nothing was changed.
            StoreUnwritable: the disk takes nothing, and the ref stands where it stood. If it is
                full, the store's reserve has been released, so that one more small save can
                succeed. If what failed was the last sync, the ref was put back; should that fail,
                too, or the power, it may stand at the new checkpoint, which is whole.
            NotFound: *parent* is a checkpoint of another run that gc has collected.
            ObjectMissing: an `existing` entry leads to an object that is gone.
            UsageError: a path, a note or the run's id cannot be stored.
            StoreTooNew: this version may read the store, but not write it.
        """
        kind = kind or ("label" if label else "auto")
        from maverick.checkpoints.saving import Saving, save  # noqa: PLC0415 - what only reads does without

        saving = Saving(run, parent, kind, label, step, reason, group, summary)
        contents = content_of(changes, self, parent.tree if parent else None)
        about = content_of(facts, self, parent.facts if parent else None) if facts else {}
        return save(self, saving, contents, about)

    def load(self, revision: str) -> Snapshot:
        """Give the snapshot of the checkpoint that *revision* names; see `resolve` for its
        errors.
        """
        return self.snapshot(self.resolve(revision))

    def snapshot(self, checkpoint: Checkpoint) -> Snapshot:
        return Snapshot(checkpoint, self)

    def resolve(self, revision: str) -> Checkpoint:
        """Give the checkpoint that *revision* names: `RUN`, `RUN~2`, `RUN@label`, `@latest`, an id
        prefix….

        Raises:
            NotFound: it names none; the message has the names most like it.
            RevisionAmbiguous: it abbreviates the ids of several runs or checkpoints, which the
                message lists.
            RefDamaged: the run that it names has a damaged ref.
        """
        from maverick.checkpoints.revisions import resolve  # noqa: PLC0415 - a new run names none

        return resolve(self, revision)

    def resolve_run(self, word: str) -> Ref:
        """Give the ref of the run that *word* names: its id, the beginning or end of it,
        `GROUP@{1}`, `@latest`….

        Raises:
            NotFound: it names none, or a checkpoint.
            RevisionAmbiguous: it fits several runs, which the message lists.
            RefDamaged: the run that it names has a damaged ref.
        """
        from maverick.checkpoints.revisions import resolve_run  # noqa: PLC0415 - as above

        return resolve_run(self, word)

    def find_named(self, revision: str) -> Ref | Checkpoint:
        """Give the ref of the run, or the checkpoint, that *revision* names. Raises as
        `resolve`.
        """
        from maverick.checkpoints.revisions import find_named  # noqa: PLC0415 - as above

        return find_named(self, revision)

    def history(self, revision: str) -> Iterator[Checkpoint]:
        """Yield the checkpoint that *revision* names and what came before it, newest first.

        Follows parents, also into the run that this one was forked from, while gc has left them;
        then the labelled checkpoints.
        """
        from maverick.checkpoints.revisions import history  # noqa: PLC0415 - as above

        return history(self, self.resolve(revision))

    def tag(self, run: str, name: str, checkpoint: Checkpoint | None) -> None:
        """Tag *checkpoint* in the ref of *run*, so that gc keeps it; None removes the tag.

        Raises:
            NotFound: there is no such run, or gc has collected the checkpoint.
            StoreUnwritable: the disk takes nothing.
        """
        with self.changing("tag the checkpoint"):
            self.objects.packs.refresh()
            if checkpoint is not None:
                from maverick.checkpoints.presence import require  # noqa: PLC0415 - rare

                require(self, checkpoint)
            tagged = checkpoint.id if checkpoint else None
            with self.appender.changing(run) as ref:
                self.ref_files.put(refs.tagged(ref or self.ref(run), name, tagged))

    def drop(self, run: str) -> None:
        """Forget *run*: its ref is removed, what only it led to is garbage. Raises NotFound,
        RunOwned.
        """
        with self.own(run) as owner:
            self.appender.settle(run, removal=True)
            with self.changing("drop the run"), self.locks.refs():
                ref = self.ref(run)
                owner.note_dropped(self.files, max(self.now(), ref.updated))
                self.ref_files.remove(run)

    def adopt(
        self,
        ref: Ref,
        objects: Iterable[NewObject] = (),
        *,
        name: str = "",
        before: Ref | None = None,
    ) -> None:
        """Make *ref* the ref of its run, which there must not be, when *objects* are durable.

        With a *name* it is new here, and counts as started now; without, as when it was. If that is
        another name, a run of that name begins where *ref* stands. Positions and tags whose
        checkpoints are not there are left out. A run that stands at *before*, and that the caller
        holds, is moved to *ref*, and keeps its order and its tags. After a crash the run is there
        or it is not, or stands where it stood; what it would have led to is garbage.

        Raises:
            RunOwned, RefMoved: there is such a run, or it does not stand at *before*.
            NotFound: what *ref* stands at is not all there, because gc has collected it.
            StoreUnwritable: the disk takes nothing.
        """
        from maverick.checkpoints.adoption import adopt  # noqa: PLC0415 - only imports and undoing need it

        adopt(self, ref, objects, name, before)

    def diff(self, old: str, new: str) -> Iterator[Change]:
        """Yield what differs between the states of two checkpoints, given as revisions, in natural
        order.

        Equal subtrees are skipped unread. See `Change` for the shape, `resolve` for the errors.
        """
        from maverick.checkpoints.trees.diff import diff_checkpoints  # noqa: PLC0415 - a run does not need it

        return diff_checkpoints(self, self.resolve(old), self.resolve(new))

    def plan_gc(
        self,
        *,
        keep_last: int = 5,
        keep_within: timedelta | None = None,
        run: str | None = None,
        spared: Iterable[CheckpointId] = (),
    ) -> GcPlan:
        """Plan what can go, and change nothing. `gc.plan_gc` has the details and the errors."""
        from maverick.checkpoints.gc.collection import plan_gc  # noqa: PLC0415 - a run does not need it

        now = self.now()
        return plan_gc(
            self, now=now, keep_last=keep_last, keep_within=keep_within, run=run, spared=spared
        )

    def check(self, *, read_data: bool = False) -> Iterator[Finding]:
        """Yield what is wrong with the store. `fsck.check` has the details, and works without an
        open store.
        """
        from maverick.checkpoints.fsck.check import check  # noqa: PLC0415 - a run does not need it

        return check(self.root, files=self.files, read_data=read_data)

    def repair(self) -> list[Repair]:
        """Make fsck find no damage, removing nothing. `repair.repair` has the details, and works
        without a store.
        """
        from maverick.checkpoints.fsck.repair import repair  # noqa: PLC0415 - a run does not need it

        return repair(
            self.root,
            clock=self.now,
            files=self.files,
            trust_locks=self.locks.are_trusted,
        )

    def newest_whole(self, run: str) -> Standing:
        """Give the newest whole checkpoint of *run*. `fallback.newest_whole` has the details and
        the errors.
        """
        from maverick.checkpoints.fsck.fallback import newest_whole  # noqa: PLC0415 - as below

        return newest_whole(self, run)

    def fall_back(self, run: str) -> Standing:
        """Make *run*, which the caller owns, stand at its newest whole checkpoint.
        `fallback.fall_back` says how.
        """
        from maverick.checkpoints.fsck.fallback import fall_back  # noqa: PLC0415 - only resuming needs it

        return fall_back(self, run, self.now())

    def lost_runs(self) -> dict[str, Checkpoint]:
        """Give the newest checkpoint of each run whose ref is gone, though nobody dropped it. Reads
        all checkpoints.
        """
        from maverick.checkpoints.fsck.whole import all_checkpoints  # noqa: PLC0415 - as above
        from maverick.checkpoints.refs.dropped import lost_runs  # noqa: PLC0415

        damaged: list[RefDamaged] = []
        runs = {ref.run for ref in self.refs(damaged)}
        if damaged:
            # A run whose ref is torn is damaged, and not lost; which one it is cannot be read.
            return {}
        lost = lost_runs(self.files, self.root, runs, all_checkpoints(self))
        return {
            run: max(left, key=lambda checkpoint: checkpoint.sequence) for run, left in lost.items()
        }

    def given_up_runs(self) -> list[str]:
        """Give the runs without a ref of which a repair found nothing whole; gc forgets them."""
        there = set(self.run_ids())
        names = layout.list_folder(self.files, self.root, "owners")
        gone = sorted(run for name in names if (run := layout.run_name(name)) not in there and run)
        return [run for run in gone if self.owner_note(run).get(GIVEN_UP)]


# --- when collecting garbage pays -----------------------------------------------------------------

# As git does it, seldom and without being asked: when the packs have grown to twice what they were
# after the last collection, and by more than this; or when there are so many that finding an object
# costs.
GROWN_BYTES = 32 * 1024 * 1024
MANY_PACKS = 1000


def collecting_pays(store: Store) -> bool:
    """Whether the store has grown enough since the last collection, and may be collected unasked.

    Looks at the packs' sizes only.
    """
    count, size = _packs(store)
    before = 0
    with suppress(OSError, ValueError):
        before = int(store.files.read(_note(store)))
    has_grown = count > MANY_PACKS or size > max(2 * before, before + GROWN_BYTES)
    return has_grown and store.locks.are_trusted


def note_collected(store: Store) -> None:
    """Note how large the store is now. Where that cannot be written, the next collection is judged
    by an older note.
    """
    with suppress(OSError):
        replace(
            store.files,
            layout.temporary(store.root),
            _note(store),
            [str(_packs(store)[1]).encode()],
        )


def _note(store: Store) -> Path:
    return store.root / "cache" / "collected"


def _packs(store: Store) -> tuple[int, int]:
    folder = store.root / "objects"
    count = size = 0
    for name in store.files.list(folder):
        with suppress(FileNotFoundError):
            size += store.files.size(folder / name)
            count += 1
    return count, size
