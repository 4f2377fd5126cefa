"""The power goes at any instant of any operation, whatever the file system had made durable by
then.

`tests/kit/disks.py` is the model of the disk. Each disk that it allows must be a store: it opens, fsck
finds no damage, all that was promised and not collected loads, a save works, and gc works after
that.

The disks of a case are dealt to its shards by their number. Every day checks one shard of each
case, another one from case to case; `--thorough` checks all.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kit.disks import FolderSynced, Image, RecordingFiles, Synced, power_cuts, write_image
from kit.faults import CountingFiles, Killed
from kit.shards import SHARDS, sharded, shards, share
from kit.stores import begin, extend, flip, read_all
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.fsck.repair import repair
from maverick.checkpoints.objects.ids import ObjectId
from maverick.checkpoints.objects.packs import TRAILER_BYTES
from maverick.checkpoints.refs.dropped import read_dropped
from maverick.errors import StoreUnwritable

Contents = dict[str, dict[str, bytes]]


@dataclass
class Ledger:
    """What was promised, and from which operation on."""

    files: RecordingFiles
    promised: list[tuple[int, Checkpoint, dict[str, bytes]]] = field(default_factory=list)
    released: dict[str, int] = field(default_factory=dict)

    def promise(self, store: Store, *checkpoints: Checkpoint) -> None:
        """These have been acknowledged."""
        for it in checkpoints:
            self.promised.append((len(self.files.log), it, read_all(store, it)))

    def release(self, *checkpoints: Checkpoint) -> None:
        """These may be gone from now on."""
        self.released.update({it.id: len(self.files.log) for it in checkpoints})

    def due(self, begun: int) -> Iterator[tuple[Checkpoint, dict[str, bytes]]]:
        """What must be there after so many operations."""
        for since, checkpoint, content in self.promised:
            if since <= begun <= self.released.get(checkpoint.id, begun):
                yield checkpoint, content


Act = Callable[[Store, Ledger], None]


def newest(store: Store, run: str) -> Checkpoint:
    return store.checkpoint(store.ref(run).checkpoint)


def ahead_of_syncing(ledger: Ledger, folder: str, error: BaseException) -> None:
    """Raise *error* ahead of the next sync of a folder."""
    sync_folder = ledger.files.sync_folder

    def failing(path: Path) -> None:
        if path.name == folder:
            ledger.files.sync_folder = sync_folder  # type: ignore[method-assign]
            raise error
        sync_folder(path)

    ledger.files.sync_folder = failing  # type: ignore[method-assign]


@contextmanager
def killed_ahead_of_syncing(ledger: Ledger, folder: str) -> Iterator[None]:
    """Have the block end so; nothing that it does then counts."""
    ahead_of_syncing(ledger, folder, Killed())
    with pytest.raises(Killed):
        yield


def save_first(store: Store, ledger: Ledger) -> None:
    ledger.promise(store, begin(store, "new"))


def save_next(store: Store, ledger: Ledger) -> None:
    ledger.promise(store, extend(store, newest(store, "open"), range(9, 10)))


def save_twice(store: Store, ledger: Ledger) -> None:
    save_next(store, ledger)
    ledger.promise(store, extend(store, newest(store, "open"), range(10, 11)))


def save_what_another_had_not_synced(store: Store, ledger: Ledger) -> None:
    """A dedup hit in a pack whose name was not durable when its writer was killed."""
    with killed_ahead_of_syncing(ledger, "objects"):
        store.save("killed", {("shared",): blob(b"the same")}, parent=None)
    at = Store.open(store.root, files=store.files).save(
        "new", {("shared",): blob(b"the same")}, parent=None
    )
    ledger.promise(store, at)


def save_often(store: Store, ledger: Ledger) -> None:
    """Then a tag, a fork and a dropped run."""
    at = newest(store, "open")
    for number in range(20, 24):
        at = extend(store, at, range(number, number + 1))
        ledger.promise(store, at)
    tag_and_untag(store, ledger)
    ledger.promise(store, store.save("fork", {}, parent=at))
    drop(store, ledger)


def save_after_one_that_failed_at_its_last_sync(store: Store, ledger: Ledger) -> None:
    """Its ref has its name, and is put back; the power may go before that."""
    ahead_of_syncing(ledger, "refs", OSError(errno.EIO, "no"))
    at = newest(store, "open")
    with pytest.raises(StoreUnwritable):
        extend(store, at, range(9, 10))
    assert at == newest(store, "open")
    ledger.promise(store, at, extend(store, at, range(9, 10)))


def save_what_is_large(store: Store, ledger: Ledger) -> None:
    """Chunks, lists of them, and a list of these; then some more."""
    data = random.Random(0).randbytes(900_000)
    at = store.save("large", {("x",): blob(data)}, parent=None)
    ledger.promise(store, at, store.save("large", {("x",): blob(data + b"and more")}, parent=at))


def tag_and_untag(store: Store, ledger: Ledger) -> None:
    at = newest(store, "open")
    store.tag("open", "good", at)
    store.tag("done-1", "good", newest(store, "done-1"))
    store.tag("open", "good", None)


def drop(store: Store, ledger: Ledger) -> None:
    ledger.release(*store.history("done-0"))
    store.drop("done-0")


def collect(store: Store, ledger: Ledger) -> None:
    release_what_gc_may_take(store, ledger)
    store.plan_gc(keep_last=1).execute()


def release_what_gc_may_take(store: Store, ledger: Ledger) -> None:
    """All of the older done run, and what the newer one passed through."""
    ledger.release(*store.history("done-0"), store.resolve("done-1~1"))


def collect_twice(store: Store, ledger: Ledger) -> None:
    """The second finds nothing to do."""
    collect(store, ledger)
    store.plan_gc(keep_last=1).execute()


def collect_between_saves(store: Store, ledger: Ledger) -> None:
    """The first is killed when its ref has moved, before that was durable: gc goes by the ref that
    it sees.
    """
    with killed_ahead_of_syncing(ledger, "refs"):
        save_next(store, ledger)
    assert 3 == store.ref("open").sequence
    collect(Store.open(store.root, files=store.files), ledger)
    ledger.promise(store, extend(store, newest(store, "open"), range(10, 11)))


def collect_what_was_dropped(store: Store, ledger: Ledger) -> None:
    """First one by one, with a note each, then by gc, in one list; and of one of them a checkpoint
    stays in a pack.
    """
    with store.own("done-0"):
        pass
    drop(store, ledger)
    ledger.release(*store.history("done-1"))
    store.save("fork", {}, parent=store.resolve("done-1"))
    for _ in range(2):
        store.plan_gc(keep_last=0).execute()
    assert ["done-1"] == list(read_dropped(store.files, store.root) or {})


SAVING = (
    save_first,
    save_next,
    save_twice,
    save_what_another_had_not_synced,
    save_after_one_that_failed_at_its_last_sync,
    save_what_is_large,
    tag_and_untag,
    drop,
)
COLLECTING = (collect, collect_twice, collect_between_saves, collect_what_was_dropped)


def prepared(
    root: Path, *, trust_locks: bool | None = None
) -> tuple[Store, RecordingFiles, Ledger]:
    """A store with an open run, two done ones and garbage; all of it is durable and promised."""
    store = Store.create(root, files=CountingFiles())
    promised: list[Checkpoint] = []
    old = store.save("done-0", {("a",): value("old")}, parent=None, group="fly")
    promised += [old, store.save("done-0", {("output",): value(1)}, parent=old, kind="final")]
    label = store.save(
        "done-1", {("a",): value("new")}, parent=None, kind="label", label="here", group="fly"
    )
    middle = store.save("done-1", {("b",): value(["new"])}, parent=label)
    promised += [
        label,
        middle,
        store.save("done-1", {("b",): value("last")}, parent=middle, kind="final"),
    ]
    promised.append(begin(store, "open"))
    promised.append(extend(store, promised[-1], range(1)))
    (root / "tmp" / "4194399-left").write_bytes(b"left by a save")
    (root / "reserve").write_bytes(b"small, so that the tests are quick")
    files = RecordingFiles(root)
    ledger = Ledger(files)
    ledger.promise(store, *promised)
    return Store.open(root, files=files, trust_locks=trust_locks), files, ledger


class Checker:
    """Checks disks, one after the other, in one place."""

    def __init__(self, folder: Path, *, mend: bool = False) -> None:
        self._folder = folder
        self._mend = mend
        self._pool = folder / "pool"
        self._pool.mkdir()
        self.count = 0

    def check(self, image: Image, due: list[tuple[Checkpoint, dict[str, bytes]]]) -> None:
        """Assert that *image* is a store that keeps what is *due* and goes on."""
        self.count += 1
        root = write_image(image, self._folder / "disk", self._pool)
        if self._mend:
            repair(root, clock=lambda: 1_000_000_000_000, files=CountingFiles())
        store = Store.create(root, files=CountingFiles())
        assert [] == [it for it in store.check(read_data=True) if it.severity == "error"]
        for checkpoint, content in due:
            assert content == read_all(store, store.checkpoint(checkpoint.id))
            assert checkpoint.id in {it.checkpoint for it in store.ref(checkpoint.run).positions}
        after = extend(store, newest(store, "open"), range(20, 21))
        assert after == Store.open(root).resolve("open")
        store.plan_gc(keep_last=1).execute()
        read_all(store, after)


@pytest.mark.parametrize(
    ("act", "shard"), sharded(*SAVING, collect_between_saves, collect_what_was_dropped)
)
def test_every_disk_that_a_power_cut_may_leave_is_a_whole_store(
    tmp_path: Path, act: Act, shard: int
) -> None:
    """Where locks are trusted, nobody reads what is in the trash."""
    check_all(tmp_path, act, shard, ("tmp", "trash"))


@pytest.mark.parametrize(("act", "shard"), sharded(save_often))
def test_so_is_every_disk_where_locks_cannot_be_trusted(
    tmp_path: Path, act: Act, shard: int
) -> None:
    """There nothing is appended, and nothing is collected."""
    check_all(tmp_path, act, shard, trust_locks=False)


@pytest.mark.thorough
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("act", [*SAVING, *COLLECTING])
def test_so_is_every_disk_with_more_of_them(tmp_path: Path, act: Act, shard: int) -> None:
    """Up to 256 for each prefix of each operation."""
    check_all(tmp_path, act, shard, most=256)


def check_all(
    tmp_path: Path,
    act: Act,
    shard: int,
    together: tuple[str, ...] = ("tmp",),
    most: int = 16,
    *,
    trust_locks: bool | None = None,
) -> None:
    """Do *act*; check the disks of *shard* on the way."""
    store, files, ledger = prepared(tmp_path / "store", trust_locks=trust_locks)
    act(store, ledger)
    check_disks(ledger, Checker(tmp_path), shard, list(power_cuts(files, most, together)))


def check_disks(
    ledger: Ledger, checker: Checker, shard: int, disks: list[tuple[int, Image]]
) -> None:
    """Check those of *disks* that are in *shard*."""
    for begun, image in share(shard, disks):
        checker.check(image, list(ledger.due(begun)))
    changing = [it for it in ledger.files.log if not isinstance(it, FolderSynced | Synced)]
    assert len(disks) >= len(changing)
    assert checker.count >= len(disks) // SHARDS


@pytest.mark.parametrize("shard", shards())
def test_a_repair_that_loses_power_is_finished_by_the_next(tmp_path: Path, shard: int) -> None:
    """On every disk that it may leave; what was whole before, or could be salvaged, is there."""
    store, _, _ = prepared(tmp_path / "store")
    at = newest(store, "open")
    victim = store.save("victim", {("a",): blob(b"of the victim" * 9)}, parent=None)
    lost = store.save("victim", {("b",): blob(b"lost with its record" * 9)}, parent=victim)
    files = RecordingFiles(store.root)
    ledger = Ledger(files)
    ledger.promise(store, at, newest(store, "done-1"), victim)
    damage_trailer(store, at.tree)
    flip(store, store.snapshot(lost).entry("b").id, 10)
    (store.root / "refs" / "done-1").write_bytes(b"torn")
    (store.root / "format.json").write_bytes(b"torn")
    files = ledger.files = RecordingFiles(store.root)

    done = repair(store.root, clock=lambda: 1_000_000_000_000, files=files)

    kinds = ["format", "quarantined", "quarantined", "rebuilt", "rolled-back", "salvaged"]
    assert kinds == sorted(it.kind for it in done)
    checker = Checker(tmp_path, mend=True)
    check_disks(ledger, checker, shard, list(power_cuts(files, 16)))


def damage_trailer(store: Store, object_id: str) -> None:
    """Flip a bit of the trailer of the pack that holds an object."""
    place = store.objects.packs.find(ObjectId(object_id))
    assert place is not None
    path = store.root / "objects" / place.pack.file
    data = bytearray(path.read_bytes())
    data[20 - TRAILER_BYTES] ^= 8
    path.write_bytes(data)


def test_the_recorder_knows_every_operation_on_files() -> None:
    """A new one that changes something would go unnoticed by the tests above.

    `append` is for logs of running steps, which no save leads to.
    """
    changing = {
        "create",
        "write",
        "pwrite",
        "truncate",
        "sync",
        "datasync",
        "rename",
        "sync_folder",
        "unlink",
        "make_folder",
    }
    assert changing <= vars(RecordingFiles).keys()
    others = {
        "append",
        "close",
        "is_named",
        "list",
        "modified",
        "open",
        "open_to_write",
        "pread",
        "pread_open",
        "read",
        "size",
        "stat",
    }

    assert changing | others == {name for name in vars(Files) if not name.startswith("_")}
