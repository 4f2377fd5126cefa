"""Exports: a run in one file, which another store takes in (`imports`).

The file is a pack, the run's ref, and an end that says where the one ends and the other begins;
docs/format.md has every byte. The same run gives the same bytes, as long as its large blobs are cut
into the same chunks.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
from contextlib import suppress
from functools import partial
from graphlib import TopologicalSorter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from maverick.checkpoints import lineage
from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import creating
from maverick.checkpoints.disk.layout import writer_lives
from maverick.checkpoints.objects.ids import ObjectKind
from maverick.checkpoints.objects.pack_records import NewObject, list_data
from maverick.checkpoints.objects.pack_writer import PackWriter
from maverick.checkpoints.refs import refs, retention
from maverick.checkpoints.refs.refs import Ref
from maverick.checkpoints.refs.retention import Fate
from maverick.checkpoints.trees.checkpoint import Checkpoint
from maverick.checkpoints.trees.closure import ClosureWalk, Visit
from maverick.checkpoints.workspace.stat_cache import kind_of
from maverick.errors import StoreDamaged, StoreDenied, StoreTooNew, StoreUnwritable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
    from maverick.checkpoints.objects.objects import Objects
    from maverick.checkpoints.store import Store

FORMAT: Final = 2
END: Final = struct.Struct(">Q8s")
MAGIC: Final = b"MVRKRUN\n"
MOST_HEAD_BYTES: Final = 1 << 20
_MOST_PREFIX_BYTES: Final = 100
_LEFTOVER: Final = re.compile(r"[0-9]{1,10}-[0-9a-f]{16}")


class Exported(NamedTuple):
    """What an export wrote."""

    run: str
    checkpoint: CheckpointId
    objects: int
    bytes: int


def export(store: Store, checkpoint: Checkpoint, path: Path, *, replace: bool = False) -> Exported:
    """Write the new file *path* with all that *checkpoint* leads to, and, if its run stands there,
    with the run's log and tags. With *replace* a file that is there gives way.

    When it returns the file is durable. A failure leaves what was there; a crash, too, and a file
    under a temporary name, which the next export to *path* removes.

    Raises:
        UsageError: there is such a file (what is to be replaced is none), or no such folder.
        StoreUnwritable: it cannot be written.
        StoreDamaged: something that belongs to it is missing or damaged; the message says what.
    """
    _refuse_existing(path, replace=replace)
    with store.locks.shared():
        ref = _ref_of(store, checkpoint)
        store.objects.packs.refresh()  # The ref may say more than was appended when they were read.
        plan = _Plan(walked(store.objects, ref, f"run {ref.run} cannot be exported"))
        before = lineage.text_of(islice(lineage.line(store, checkpoint.id), 1, None))
        temporary = path.with_name(f"{_temporary_prefix(path)}{os.getpid()}-{os.urandom(8).hex()}")
        try:
            _remove_leftovers(store, path)
            _write(store, ref, plan, before, temporary)
            store.files.rename(temporary, path)
            store.files.sync_folder(path.parent)
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"there is no folder {path.parent} to write {path.name} into"
            ) from None
        except OSError as error:
            if isinstance(error, StoreDenied) and not path.parent.samefile(
                Path(error.filename).parent
            ):
                raise  # of the store
            raise StoreUnwritable(f"cannot write {path}: {error.strerror}") from error
    return Exported(ref.run, ref.checkpoint, len(plan.order), store.files.size(path))


def _refuse_existing(path: Path, *, replace: bool) -> None:
    """Raise UsageError if something stands at *path*; with *replace*, if that is no file."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # Nothing; or it is told when the file is written.
        return
    if not replace:
        raise UsageError(f"{path} exists already; choose another name, or replace it: --force")
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else kind_of(mode)
        raise UsageError(f"{path} is {what}; --force replaces only files")


def _temporary_prefix(path: Path) -> str:
    """Give what the temporary names of exports to *path* begin with; it is short enough for every
    file system.
    """
    return f".{os.fsdecode(os.fsencode(path.name)[:_MOST_PREFIX_BYTES])}."


def _remove_leftovers(store: Store, path: Path) -> None:
    """Remove what exports of this user to *path* that were killed have left behind.

    Such a file is the user's own, its writer is gone, and nobody holds its lock: the process may be
    one of another container, whose number means nothing here.
    """
    prefix = _temporary_prefix(path)
    names: list[str] = []
    with suppress(PermissionError):
        # A folder that may be written into need not be one that may be read.
        names = [name for name in store.files.list(path.parent) if name.startswith(prefix)]
    for name in names:
        rest = name.removeprefix(prefix)
        if _LEFTOVER.fullmatch(rest) and not writer_lives(rest):
            with suppress(OSError):
                _remove_leftover(store, path.with_name(name))


def _remove_leftover(store: Store, path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            store.files.unlink(path)
    finally:
        os.close(descriptor)


def _ref_of(store: Store, checkpoint: Checkpoint) -> Ref:
    """The run's ref if it stands at *checkpoint*, else one that knows of nothing else."""
    ref = store.find_ref(checkpoint.run)
    if ref is not None and ref.checkpoint == checkpoint.id:
        return ref._replace(order=0)
    return Ref.at(checkpoint, size=store.node(checkpoint.tree).size, reason="exported")


class _Plan:
    """What an export holds: `order` names all objects, those first that others name, as it follows
    from what they are; `lists` are the lists of large blobs.
    """

    def __init__(self, visits: Iterable[Visit]) -> None:
        self.lists: dict[ObjectId, bytes] = {}
        kinds: dict[ObjectId, ObjectKind] = {}
        named: dict[ObjectId, list[ObjectId]] = {}
        for visit in visits:
            own = visit.link
            kinds[own.id] = own.kind
            named[own.id] = [link.id for link in visit.links]
            if isinstance(visit.content, Checkpoint):
                named[own.id].append(visit.content.parent)
            elif own.kind is ObjectKind.BLOB and visit.links:
                kinds[own.id] = ObjectKind.LIST
                self.lists[own.id] = list_data((link.id, link.size) for link in visit.links)
        order = TopologicalSorter(named).static_order()
        # The parent of a checkpoint need not be there.
        self.order = {object_id: kinds[object_id] for object_id in order if object_id in kinds}

    def objects(self, stored: Objects) -> Iterator[NewObject]:
        """Yield all objects, those first that others name. Raises as `Objects.read`."""
        for object_id, kind in self.order.items():
            data = self.lists.get(object_id)
            yield NewObject(kind, object_id, stored.read(object_id) if data is None else data)


def _write(store: Store, ref: Ref, plan: _Plan, before: str, path: Path) -> None:
    with creating(store.files, path) as descriptor:
        with suppress(OSError):  # Only a hint for others, and some file systems have no locks.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        nonce = blake3(refs.encode_ref(ref)).digest(16)
        writer = PackWriter(partial(store.files.write, descriptor), nonce)
        try:
            for item in plan.objects(store.objects):
                writer.add(item)
            name = writer.finish()
        finally:
            writer.stop()
        head = sealed.seal(
            {
                "before": before,
                "format": FORMAT,
                "pack": name,
                "ref": refs.encode_ref(ref).decode(),
            }
        )
        store.files.write(descriptor, head + END.pack(len(head), MAGIC))


def walked(objects: Objects, ref: Ref, what: str) -> Iterator[Visit]:
    """Visit all that an export holds of a run: what *ref* leads to.

    *what* begins the message about damage. Raises StoreDamaged, StoreTooNew.
    """
    for visit in ClosureWalk(objects).visit(retention.roots(ref, Fate.WHOLE)):
        if isinstance(visit.error, StoreTooNew):
            raise visit.error
        if visit.error is not None:
            raise StoreDamaged(f"{what}: {visit.error}") from visit.error
        yield visit
