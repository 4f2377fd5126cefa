"""A store's folder, opened: its files, locks, objects and refs, and what is read of them one at a
time.

What a whole store can do (saving, collecting, checking) is built on this, and handed on by `Store`.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from blake3 import blake3

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import FULL, writing
from maverick.checkpoints.disk.layout import file_name
from maverick.checkpoints.disk.locks import Locks
from maverick.checkpoints.objects.objects import Objects
from maverick.checkpoints.refs.refs import Refs, no_such_run
from maverick.checkpoints.trees.checkpoint import Checkpoint, parse_checkpoint
from maverick.checkpoints.trees.folders import NodeCache
from maverick.errors import RunConflict, StoreUnwritable, UsageError
from maverick.noted import NUMBERS_END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from maverick.checkpoints.appending import Appender
    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.disk.locks import Owner
    from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, TreeId
    from maverick.checkpoints.refs.refs import Ref
    from maverick.checkpoints.trees.tree_nodes import Node
    from maverick.errors import RefDamaged


class StoreFolder:
    """The folder `root` of a store. Threads may share one, processes may not."""

    def __init__(
        self,
        root: Path,
        files: Files,
        form: layout.Format,
        clock: Callable[[], int],
        *,
        trust_locks: bool | None = None,
    ) -> None:
        self.root = root
        self.files = files
        self.format = form
        self.locks = Locks(root, trust_locks)
        self.objects = Objects(files, root)
        self.ref_files = Refs(files, root)
        self._lock = threading.Lock()
        self._appender: Appender | None = None
        self._generation: bytes | None = None
        self._format_file = root / "format.json"
        self._format_status: tuple[int, int] | None = None
        self.nodes = NodeCache(self.read)
        self._clock = clock

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"

    def refs(self, damaged: list[RefDamaged] | None = None) -> list[Ref]:
        """Give the refs of all runs, newest first, reading nothing but `refs/`.

        Those that cannot be read are left out; *damaged* gets an error for each.
        """
        return self.ref_files.list(damaged)

    def run_ids(self) -> tuple[str, ...]:
        """Give the ids of all runs, sorted; reads no file, so a damaged ref's run is among them."""
        return self.ref_files.run_ids()

    def ref(self, run: str) -> Ref:
        """Give the ref of *run*.

        Raises:
            NotFound: there is no such run.
            RefDamaged: it is torn or altered.
        """
        ref = self.ref_files.get(run)
        if ref is None:
            raise no_such_run(run, self.run_ids())
        return ref

    def find_ref(self, run: str) -> Ref | None:
        """Give the ref of *run*, or None if there is no such run. Raises RefDamaged."""
        ref = self._appender.ref(run) if self._appender is not None else None
        return ref if ref is not None else self.ref_files.get(run)

    @property
    def appender(self) -> Appender:
        """What appends the saves of the runs that this store object owns."""
        with self._lock:  # Two of them would not know what the other one has.
            if self._appender is None:
                from maverick.checkpoints.appending import Appender  # noqa: PLC0415 - what only reads does without

                self._appender = Appender(
                    self.files, self.root, self.locks, self.objects, self.ref_files
                )
            return self._appender

    @contextmanager
    def own(self, run: str) -> Iterator[Owner]:
        """Own *run* while the block runs, or until the process dies: each save of it by this store
        object is one record in an open pack meanwhile, and one sync.

        Raises:
            RunOwned: another process (or another thread of this one) owns it.
        """
        with self.locks.own(run) as owner:
            self.appender.own(run, owner)
            try:
                yield owner
            finally:
                self.appender.disown(run)

    @contextmanager
    def hold(self, run: str) -> Iterator[Owner]:
        """Keep everybody from owning *run* while the block runs, without a note. Raises
        RunOwned.
        """
        with self.locks.hold(run) as owner:
            self.appender.settle(run)
            yield owner

    def log_file(self, run: str, step: str) -> Path:
        """Give the file that the step at the path *step* of *run* may write to while it runs."""
        name = blake3(step.encode("utf-8", "surrogateescape")).hexdigest(length=16)
        return self.root / layout.LOGS / f"{file_name(run)},{name}"

    def log_files(self, run: str) -> list[Path]:
        """Give those of these files that are there, sorted."""
        folder, own = self.root / layout.LOGS, f"{file_name(run)},"
        try:
            names = self.files.list(folder)
        except OSError:  # There is none, or it is none; whoever writes there says so.
            return []
        return [folder / name for name in sorted(names) if name.startswith(own)]

    def remove_logs(self, run: str) -> None:
        """Remove these files."""
        for file in self.log_files(run):
            with suppress(OSError):
                self.files.unlink(file)

    def is_owned(self, run: str) -> bool:
        return self.locks.is_owned(run)

    def owner_note(self, run: str) -> dict[str, Any]:
        """Give what the owner of *run*, or its last one, noted; empty if there is nothing or it is
        torn.
        """
        return self.locks.owner_note(run)

    def checkpoint(self, checkpoint_id: CheckpointId) -> Checkpoint:
        """Read a checkpoint by its id. Raises ObjectMissing and the other kinds of StoreDamaged."""
        return parse_checkpoint(checkpoint_id, self.read(checkpoint_id))

    def read(self, object_id: ObjectId) -> bytes:
        """Give the bytes of an object, verified. Raises ObjectMissing, ObjectCorrupt,
        PackDamaged.
        """
        return self.objects.read(object_id)

    def read_chunks(self, object_id: ObjectId) -> Iterator[bytes]:
        """Yield the bytes of an object in verified parts of up to 256 KiB. Raises as `read`,
        perhaps at the end.
        """
        return self.objects.read_chunks(object_id)

    def node(self, node_id: TreeId) -> Node:
        """Give a tree node, which nobody may change. Raises as `read`."""
        return self.nodes.node(node_id)

    def now(self) -> int:
        """Give the time, in milliseconds since the epoch; of a clock that is far off one that can
        be read again.
        """
        return min(max(self._clock(), 0), NUMBERS_END - 1)

    @contextmanager
    def changing(self, action: str, *, leans: bool = True) -> Iterator[None]:
        """Hold the lock that keeps gc away, with the packs as they are then; give the reserve away
        if the disk is full.

        *leans* says that the change may lean on what another process has saved: what is left of one
        that is gone is made durable first.
        """
        try:
            with writing(action, self.root):
                status = self._find_format()
                if status is None or status != self._format_status:
                    self.locks.reopen()  # This may be another store by now.
                    self._format_status = None
                with self.locks.shared() as held:
                    if self._format_status is None:
                        # Another version may have been here.
                        self.format = layout.read_format(self.files, self.root)
                        self.format.require_write(self.root)
                        self._format_status, self._generation = status, None
                    generation = self.locks.generation(held)
                    if generation != self._generation:
                        self.objects.packs.refresh()
                        self._generation = generation
                    if leans:
                        self.appender.recover()
                    yield
        except StoreUnwritable as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
                with suppress(OSError):
                    self.files.unlink(self.root / "reserve")
            raise

    def _find_format(self) -> tuple[int, int] | None:
        """Give what tells `format.json` from another file of that name; None if there is none."""
        with suppress(OSError):  # Reading it says why.
            found = self.files.stat(self._format_file)
            return found.st_ino, found.st_mtime_ns
        return None


@contextmanager
def alone(store: StoreFolder, action: str) -> Iterator[None]:
    """Keep every other gc out, to carry out *action*.

    Raises:
        UsageError: locks cannot be trusted to keep out anybody here.
        RunConflict: a gc is at work.
    """
    if not store.locks.are_trusted:
        raise UsageError(
            f"cannot {action} ({store.root}): locks on this file system may not keep out what "
            "other hosts do, and what they save meanwhile would be lost; when nothing else uses "
            "the store, add `--alone`"
        )
    try:
        with store.locks.gc():
            yield
    except BlockingIOError as error:
        raise RunConflict(
            f"another `maverick gc` is at work in {store.root}; wait for it to end"
        ) from error
