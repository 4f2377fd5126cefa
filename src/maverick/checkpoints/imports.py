"""Imports: a run is taken in from the file that an export wrote.

Nothing of it is visible before all was verified.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.checkpoints import lineage
from maverick.checkpoints.byhand import check_run_name, check_tag
from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.disk.layout import LAST_COMMIT_OF_VERSION_1
from maverick.checkpoints.exports import END, FORMAT, MAGIC, MOST_HEAD_BYTES, walked
from maverick.checkpoints.fsck.coherence import Coherence
from maverick.checkpoints.incoming import Received, TooLarge, require_restorable
from maverick.checkpoints.objects.objects import Objects
from maverick.checkpoints.objects.pack_records import PACK_MAGIC, RecordDamaged
from maverick.checkpoints.refs import refs
from maverick.checkpoints.refs.refs import Ref
from maverick.checkpoints.trees import tree_nodes
from maverick.checkpoints.trees.snapshot import Snapshot
from maverick.checkpoints.workspace.stat_cache import kind_of
from maverick.errors import (
    ObjectCorrupt,
    PackDamaged,
    RunDiverged,
    StoreDamaged,
    StoreTooNew,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maverick.checkpoints.objects.ids import TreeId
    from maverick.checkpoints.objects.pack_records import NewObject
    from maverick.checkpoints.store import Store
    from maverick.checkpoints.trees.tree_nodes import Node

    Check = Callable[[Snapshot], None]
    Progress = Callable[[int, int], None]

_ROOT: Final = Path("export")


class TakenIn(NamedTuple):
    """What an import came to: where the run stands now, and what was done.

    `began` says that it was not here. It is `moved` where the file has it further on than it was
    here, at number `before`; else nothing was changed.
    """

    ref: Ref
    offered: int
    """The number of the checkpoint in the file."""
    began: bool = False
    moved: bool = False
    before: int = 0


def take_in(
    open_store: Callable[[], Store],
    path: Path,
    run: str = "",
    *,
    check: Check,
    any_size: bool = False,
    progress: Progress | None = None,
) -> TakenIn:
    """Take the run in the file *path* into a store, by its own name or as *run*. The store is
    opened, or made, when the file is verified.

    A run that is here by its own name is moved forward if the file has it further on, and keeps its
    tags; if the file has it as it is here or was before, nothing is changed.

    Every byte is verified first, and that nothing is missing; then *check* gets each checkpoint,
    and may refuse what it holds. After a crash the run is there or it is not, or stands where it
    stood or where it stands in the file. *progress* hears how many bytes of how many are verified.

    Raises:
        UsageError: the file cannot be read, or is none that `export` wrote; the run's name is none;
            there is a run called *run*; *check* raised it; it holds more than anybody could
            restore, and not *any_size* is taken.
        RunDiverged: the run that is here went on otherwise than the one in the file.
        RunOwned: a process executes the run that is here.
        StoreDamaged: it is cut off or altered.
        StoreTooNew: another version wrote it, which this one does not read.
    """
    if run:
        check_run_name(run)
    with _opened(path) as opened:
        ref = opened.ref
        try:
            name = run or check_run_name(ref.run)
        except UsageError as error:
            raise UsageError(f"{path} holds a run without a proper name: {error}") from None
        opened.check_said()
        opened.verify(check, any_size=any_size, progress=progress)
        store = open_store()
        is_there = store.find_ref(name) is not None
        if is_there and name != ref.run:
            raise UsageError(f"there is a run {name} already; choose another name")
        if is_there:
            return _take_further(store, opened)
        store.adopt(ref, opened.objects(), name=name)
    return TakenIn(store.ref(name), ref.sequence, began=True)


def _take_further(store: Store, opened: _Export) -> TakenIn:
    """Move the run, which is here, to where it stands in the file, if that is further on."""
    ref = opened.ref
    with store.hold(ref.run):
        here = store.ref(ref.run)
        if here.checkpoint == ref.checkpoint:
            return TakenIn(here, ref.sequence)
        if lineage.holds(opened.before, here.checkpoint):
            store.adopt(ref, opened.objects(), before=here)
            return TakenIn(store.ref(ref.run), ref.sequence, moved=True, before=here.sequence)
        line = list(lineage.line(store, here.checkpoint))
        if any(position.id == ref.checkpoint for position in line):
            return TakenIn(here, ref.sequence)
    known = (position for position in line if lineage.holds(opened.before, position.id))
    common = next(known, None)
    where = f"at {here.sequence} here, and at {ref.sequence} in {opened.path}"
    if common is not None:
        what = f"run {ref.run} went on in two places: it is {where}, both from {common.sequence}"
    else:
        what = f"run {ref.run} is {where}, and nothing tells that the one follows the other"
    raise RunDiverged(f"{what}; nothing was imported; import it as a run of its own: --as NAME")


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
        self.ref, self._name, self.before = self._parse(head)
        self._objects = Objects(_OnePack(descriptor, self._name, pack_bytes), _ROOT)
        self.read, self.read_chunks = self._objects.read, self._objects.read_chunks

    def _head(self, descriptor: int, size: int) -> tuple[bytes, int]:
        files = Files()
        if files.pread_open(descriptor, 0, len(PACK_MAGIC)) != PACK_MAGIC:
            raise UsageError(f"{self.path} is no file that `maverick checkpoint export` wrote")
        end = files.pread_open(descriptor, max(size - END.size, 0), END.size)
        length, magic = END.unpack(end) if len(end) == END.size else (0, b"")
        if magic != MAGIC or not 0 < length <= min(size, MOST_HEAD_BYTES):
            raise self.damaged("it is cut off, or its end is altered")
        pack_bytes = size - END.size - length
        return files.pread_open(descriptor, pack_bytes, length), pack_bytes

    def _parse(self, head: bytes) -> tuple[Ref, str, str]:
        """Give the run's ref, the pack's name, and the checkpoints before it that the file knows
        of.
        """
        match sealed.unseal(head):
            case {"format": 1}:
                raise StoreTooNew(
                    f"{self.path} has format 1, which was never released; the last commit that "
                    f"reads it is {LAST_COMMIT_OF_VERSION_1}"
                )
            case {"format": int(version)} if version > FORMAT:
                raise StoreTooNew(
                    f"{self.path} has format {version}, this version reads {FORMAT}; update "
                    "maverick"
                )
            case {"format": 2, "pack": str(name), "ref": str(text), **others}:
                ref = refs.parse_ref(text.encode())
                before = others.get("before", "")
                if ref is not None and isinstance(before, str) and lineage.is_text(before):
                    return ref, name, before
        raise self.damaged("what it says of the run is altered")

    def check_said(self) -> None:
        """Raise UsageError for what no save and no tag would have written."""
        try:
            refs.check_summary(self.ref.summary)
            for tag in self.ref.tags:
                check_tag(tag)
        except UsageError as error:
            raise UsageError(f"{self.path} is refused: {error}") from None

    def damaged(self, why: str) -> StoreDamaged:
        """Give the error for a file that is not what was written."""
        return StoreDamaged(
            f"{self.path} is damaged: {why}; nothing was imported, export the run again"
        )

    def verify(self, check: Check, *, any_size: bool, progress: Progress | None) -> None:
        """Read every byte, and check that nothing is missing, that all fits together, and that
        nobody refuses it. Raises StoreDamaged, StoreTooNew, UsageError.
        """
        with self._wrong():
            pack = self._objects.packs.load(f"{self._name}.pack")
            self._received = Received(pack, any_size=any_size)
            self._received.verify(self._objects, progress or (lambda *_: None))
            coherence = Coherence(self._received.sizes, self.read)
            for visit in walked(self._objects, self.ref, f"{self.path} is not whole"):
                coherence.add(visit)
            for _, problem in coherence.problems():
                raise RecordDamaged(problem)
            for _ in coherence.ref_problems(self.ref):
                raise RecordDamaged("its ref does not fit the checkpoint at which it stands")
            checkpoints = coherence.checkpoints.values()
            try:
                for checkpoint in checkpoints:
                    check(Snapshot(checkpoint, self))
            except UsageError as error:
                raise UsageError(f"{self.path} is refused: {error}") from None
            if not any_size:
                require_restorable(self, checkpoints, coherence.sizes)

    @contextmanager
    def _wrong(self) -> Iterator[None]:
        """Turn what is wrong with its pack into what is wrong with this file."""
        try:
            yield
        except TooLarge as error:
            raise UsageError(
                f"{self.path} is refused: {error}; --any-size takes it all the same"
            ) from None
        except RecordDamaged as damage:
            raise self.damaged(str(damage)) from damage
        except (PackDamaged, ObjectCorrupt) as damage:
            raise self.damaged(str(damage).partition("; run ")[0]) from damage

    def objects(self) -> Iterator[NewObject]:
        """Yield the objects of its pack, those first that others name."""
        with self._wrong():
            yield from self._received.objects()

    def node(self, node_id: TreeId) -> Node:
        return tree_nodes.parse_node(node_id, self.read(node_id))


class _OnePack(Files):
    """A store's files that are one pack: the first *size* bytes of an open file."""

    def __init__(self, descriptor: int, name: str, size: int) -> None:
        self._descriptor = descriptor
        self.bytes = size
        self.pack = _ROOT / "objects" / f"{name}.pack"

    def list(self, path: Path) -> list[str]:
        return [self.pack.name] if path == self.pack.parent else []

    def size(self, path: Path) -> int:
        del path
        return self.bytes

    def open(self, path: Path) -> int:
        del path
        return os.dup(self._descriptor)  # Whoever asked closes it.

    def pread_open(self, descriptor: int, offset: int, length: int) -> bytes:
        return super().pread_open(descriptor, offset, max(min(length, self.bytes - offset), 0))
