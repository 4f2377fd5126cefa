"""Exports: a run in one file, which another store takes in. Nothing of it is visible there before
all was verified.

The file is a pack, the run's ref, and an end that says where the one ends and the other begins;
docs/format.md has every byte. The same run, stored the same way, gives the same bytes.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from maverick.checkpoints.byhand import check_run_name
from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import Files, creating
from maverick.checkpoints.disk.layout import writer_lives
from maverick.checkpoints.fsck.pack_check import PackReport, check_pack
from maverick.checkpoints.incoming import MOST_BYTES, MOST_HELD_BYTES, Incoming, is_canonical
from maverick.checkpoints.objects import packs
from maverick.checkpoints.objects.frames import Frame
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId, TreeId
from maverick.checkpoints.objects.objects import Objects
from maverick.checkpoints.objects.pack_index import PackIndex
from maverick.checkpoints.objects.packs import FEATURES, PACK_MAGIC, PackWriter
from maverick.checkpoints.refs import refs, retention
from maverick.checkpoints.refs.refs import Ref
from maverick.checkpoints.refs.retention import Fate
from maverick.checkpoints.trees import tree_nodes
from maverick.checkpoints.trees.checkpoint import parse_checkpoint
from maverick.checkpoints.trees.closure import ClosureWalk, Visit
from maverick.checkpoints.trees.snapshot import Snapshot
from maverick.checkpoints.workspace.stat_cache import kind_of
from maverick.errors import StoreDamaged, StoreDenied, StoreTooNew, StoreUnwritable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from maverick.checkpoints.store import Store
    from maverick.checkpoints.trees.checkpoint import Checkpoint
    from maverick.checkpoints.trees.tree_nodes import Node

    Check = Callable[[Snapshot], None]
    Progress = Callable[[int, int], None]

FORMAT: Final = 1
_END: Final = struct.Struct(">Q8s")
_MAGIC: Final = b"MVRKRUN\n"
_MOST_HEAD_BYTES: Final = 1 << 20
_MOST_PREFIX_BYTES: Final = 100
_LEFTOVER: Final = re.compile(r"[0-9]{1,10}-[0-9a-f]{16}")
_ROOT: Final = Path("export")


class Exported(NamedTuple):
    """What an export wrote."""

    run: str
    checkpoint: CheckpointId
    objects: int
    bytes: int


# --- writing --------------------------------------------------------------------------------------


def export(store: Store, checkpoint: Checkpoint, path: Path) -> Exported:
    """Write the new file *path* with all that *checkpoint* leads to, and, if its run stands there,
    with the run's log and tags.

    When it returns the file is durable. A failure leaves none; a crash one under a temporary name,
    which the next export to *path* removes.

    Raises:
        UsageError: there is such a file, or no such folder.
        StoreUnwritable: it cannot be written.
        StoreDamaged: something that belongs to it is missing or damaged; the message says what.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path} exists already; remove it, or choose another name")
    with store.locks.shared():
        store.objects.packs.refresh()
        ref = _ref_of(store, checkpoint)
        visits = list(_walked(store.objects, ref, f"run {ref.run} cannot be exported"))
        temporary = path.with_name(f"{_temporary_prefix(path)}{os.getpid()}-{os.urandom(8).hex()}")
        try:
            _remove_leftovers(store, path)
            _write(store, ref, reversed(visits), temporary)
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
    return Exported(ref.run, ref.checkpoint, len(visits), store.files.size(path))


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


def _write(store: Store, ref: Ref, visits: Iterable[Visit], path: Path) -> None:
    with creating(store.files, path) as descriptor:
        with suppress(OSError):  # Only a hint for others, and some file systems have no locks.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        nonce = blake3(refs.encode_ref(ref)).digest(16)
        writer = PackWriter(partial(store.files.write, descriptor), nonce=nonce)
        for visit in visits:
            writer.add(store.objects.portable(visit.id, visit.kind))
        index = writer.finish()
        head = sealed.seal(
            {
                "features": sorted(writer.features()),
                "format": FORMAT,
                "pack": index.name,
                "ref": refs.encode_ref(ref).decode(),
            }
        )
        store.files.write(descriptor, head + _END.pack(len(head), _MAGIC))


# --- reading --------------------------------------------------------------------------------------


def take_in(
    store: Store,
    path: Path,
    run: str = "",
    *,
    check: Check,
    any_size: bool = False,
    progress: Progress | None = None,
) -> Ref:
    """Take the run in the file *path* into *store*, by its own name or as *run*; gives its ref.

    Every byte is verified first, and that nothing is missing; then *check* gets each checkpoint,
    and may refuse what it holds. After a crash the run is there or it is not. *progress* hears how
    many bytes of how many are verified.

    Raises:
        UsageError: the file cannot be read, or is none that `export` wrote; the run's name is none;
            there is such a run; *check* raised it; it holds more than anybody could restore, and
            not *any_size* is taken.
        StoreDamaged: it is cut off or altered.
        StoreTooNew: a newer version wrote it.
    """
    if run:
        check_run_name(run)
    with _opened(path) as opened:
        ref = opened.ref
        try:
            name = run or check_run_name(ref.run)
        except UsageError as error:
            raise UsageError(f"{path} holds a run without a proper name: {error}") from None
        if store.find_ref(name) is not None:
            raise UsageError(
                f"there is a run {name} already; import it under another name: --as NAME"
            )
        opened.verify(check, any_size=any_size, progress=progress)
        store.adopt(ref, opened.frames(), name=name, is_new=True)
    return store.ref(name)


@contextmanager
def _opened(path: Path) -> Iterator[_Export]:
    try:
        # a FIFO would wait for a writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else kind_of(status.st_mode)
            raise UsageError(f"{path} is {what}, not the file of a run")
        yield _Export(path, descriptor, status.st_size)
    finally:
        os.close(descriptor)


class _Export:
    """An open export. Nothing of it counts before `verify`."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        head, pack_bytes = self._head(descriptor, size)
        self.ref, name = self._parse(head)
        self._files = _OnePack(descriptor, name, pack_bytes)
        self._objects = Objects(self._files, _ROOT)

    def _head(self, descriptor: int, size: int) -> tuple[bytes, int]:
        files = Files()
        if files.pread_open(descriptor, 0, len(PACK_MAGIC)) != PACK_MAGIC:
            raise UsageError(f"{self.path} is no file that `maverick checkpoint export` wrote")
        end = files.pread_open(descriptor, max(size - _END.size, 0), _END.size)
        length, magic = _END.unpack(end) if len(end) == _END.size else (0, b"")
        if magic != _MAGIC or not 0 < length <= min(size, _MOST_HEAD_BYTES):
            raise self.damaged("it is cut off, or its end is altered")
        pack_bytes = size - _END.size - length
        return files.pread_open(descriptor, pack_bytes, length), pack_bytes

    def _parse(self, head: bytes) -> tuple[Ref, str]:
        match sealed.unseal(head):
            case {"format": int(version)} if version > FORMAT:
                raise StoreTooNew(
                    f"{self.path} has format {version}, this version reads {FORMAT}; update "
                    "maverick"
                )
            case {"features": list(features)} if unknown := sorted(
                set(map(str, features)) - set(FEATURES.values())
            ):
                raise StoreTooNew(
                    f"{self.path} needs what this version does not know: {', '.join(unknown)}"
                )
            case {"format": 1, "pack": str(name), "ref": str(text)}:
                ref = refs.parse_ref(text.encode())
                if ref is not None:
                    return ref, name
        raise self.damaged("what it says of the run is altered")

    def damaged(self, why: str) -> StoreDamaged:
        """Give the error for a file that is not what was written."""
        return StoreDamaged(
            f"{self.path} is damaged: {why}; nothing was imported, export the run again"
        )

    def verify(self, check: Check, *, any_size: bool, progress: Progress | None) -> None:
        """Read every byte. Raises StoreDamaged, StoreTooNew, UsageError."""
        lengths = self._check(read_data=False).lengths
        total = sum(lengths.values())
        if not any_size:
            self._require_readable(lengths, total)
        read = 0

        def tell_read(count: int) -> None:
            nonlocal read
            read += count
            if progress is not None:
                progress(min(read, total), total)

        self._check(read_data=True, tell_read=tell_read)
        self._check_visits(lengths, check, any_size=any_size)
        checkpoint = parse_checkpoint(self.ref.checkpoint, self._objects.read(self.ref.checkpoint))
        if not self.ref.fits(checkpoint):
            raise self.damaged("its ref does not fit the checkpoint at which it stands")

    def _check(
        self, *, read_data: bool, tell_read: Callable[[int], None] | None = None
    ) -> PackReport:
        path, fetch = self._files.pack, self._objects.fetch
        report = check_pack(self._files, path, fetch, read_data=read_data, tell_read=tell_read)
        for finding, _ in report.findings:
            raise (
                StoreTooNew(finding.message)
                if finding.kind == "too-new"
                else self.damaged(finding.message)
            )
        return report

    def _require_readable(self, lengths: dict[ObjectId, int], total: int) -> None:
        """Refuse what would take hours to read, or more memory than there is."""
        if total > MOST_BYTES:
            raise self._too_large(
                f"{total:,} bytes have to be read to verify it, more than {MOST_BYTES:,}"
            )
        held = max((lengths.get(object_id, 0) for object_id in self._held()), default=0)
        if held > MOST_HELD_BYTES:
            raise self._too_large(
                f"one part of it has {held:,} bytes, more than {MOST_HELD_BYTES:,}"
            )

    def _held(self) -> Iterator[ObjectId]:
        """Yield the objects that are in memory as a whole at some time: all but lists of chunks
        that no list names.
        """
        for object_id, place in self._index():
            chunks = self._objects.leans_at(place).chunks if place.leans else ()
            if chunks:
                yield from (chunk for chunk, _ in chunks)
            else:
                yield object_id

    def _too_large(self, why: str) -> UsageError:
        return UsageError(f"{self.path} is refused: {why}; --any-size takes it all the same")

    def _check_visits(self, lengths: dict[ObjectId, int], check: Check, *, any_size: bool) -> None:
        """Check that nothing is missing, that all fits together, and that nobody refuses it."""
        source = _Source(self._objects)
        incoming = Incoming(source, lengths)
        for visit in _walked(self._objects, self.ref, f"{self.path} is not whole"):
            if not is_canonical(visit):
                raise self.damaged(f"object {visit.id[:12]} is not written canonically")
            incoming.add(visit)
        for problem in incoming.problems(self._objects.read):
            raise self.damaged(problem)
        try:
            for checkpoint in incoming.checkpoints:
                check(Snapshot(checkpoint, source))
        except UsageError as error:
            raise UsageError(f"{self.path} is refused: {error}") from None
        if not any_size:
            try:
                incoming.require_restorable()
            except UsageError as error:
                raise self._too_large(str(error)) from None

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of its pack, in the order in which they stand there."""
        for _, frame in self._objects.frames_at(self._files.name, self._index().rows()):
            if frame is None:
                raise self.damaged("it was altered while it was read")
            yield frame

    def _index(self) -> PackIndex:
        return packs.read_index(
            self._files.name, self._files.bytes, partial(self._files.pread, self._files.pack)
        )


def _walked(objects: Objects, ref: Ref, what: str) -> Iterator[Visit]:
    """Visit all that *ref* leads to. Raises StoreDamaged, StoreTooNew."""
    for visit in ClosureWalk(objects).visit(retention.roots(ref, Fate.WHOLE)):
        if isinstance(visit.error, StoreTooNew):
            raise visit.error
        if visit.error is not None:
            raise StoreDamaged(f"{what}: {visit.error}") from visit.error
        yield visit


class _Source:
    """What the snapshots of an export read from."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.read = objects.read
        self.read_chunks = objects.read_chunks

    def node(self, node_id: TreeId) -> Node:
        return tree_nodes.parse_node(node_id, self._objects.read(node_id))


class _OnePack(Files):
    """A store's files that are one pack: the first *size* bytes of an open file."""

    def __init__(self, descriptor: int, name: str, size: int) -> None:
        self._descriptor = descriptor
        self.name = name
        self.bytes = size
        self.pack = _ROOT / "objects" / f"{name}.pack"

    def list(self, path: Path) -> list[str]:
        return [self.pack.name] if path == self.pack.parent else []

    def size(self, path: Path) -> int:
        del path
        return self.bytes

    def pread(self, path: Path, offset: int, length: int) -> bytes:
        del path
        return super().pread_open(
            self._descriptor, offset, max(min(length, self.bytes - offset), 0)
        )

    def open(self, path: Path) -> int:
        del path
        return os.dup(self._descriptor)  # Whoever asked closes it.

    def pread_open(self, descriptor: int, offset: int, length: int) -> bytes:
        del descriptor
        return self.pread(self.pack, offset, length)
