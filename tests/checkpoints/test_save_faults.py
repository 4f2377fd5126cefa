"""A save that is killed, loses power or fills the disk, at each of its operations."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from kit.faults import CountingFiles, CrashingFiles, FailingFiles, FullFiles, Killed, WatchedFiles
from kit.stores import begin, extend, read_all, step
from maverick.checkpoints import Checkpoint, Store, note
from maverick.checkpoints.disk import locks
from maverick.errors import FormatDamaged, NotFound, StoreUnwritable

PATHS = ["sealed", "begun", "gone on with"]
"""Where a save goes: into a pack of its own, or, of a run that is owned, into an open pack."""


def _operations(root: Path, path: str, *, leaving: bool = True) -> int:
    """How many operations a save has, and the leaving of the run behind it, tried on a copy."""
    copy = root.with_name("counted")
    shutil.copytree(root, copy)
    files = CountingFiles()
    store = Store.open(copy, files=files)
    with _entered(store, path):
        _save(store)
        saving = len(files.done)
    shutil.rmtree(copy)
    return len(files.done) if leaving else saving


def _entered(store: Store, path: str) -> AbstractContextManager[object]:
    return nullcontext() if path == "sealed" else store.own("run-1")


def _save(store: Store) -> Checkpoint:
    return store.save(
        "run-1",
        step(99),
        parent=store.resolve("run-1"),
        facts={("steps", "step99"): note("1 s")},
        step="step99",
    )


def _prepared(tmp_path: Path, path: str = "sealed") -> tuple[Path, Checkpoint, dict[str, bytes]]:
    """A store with two runs of some steps; gives the newest checkpoint of one and what it holds.

    A pack can be gone on with if the run was owned before.
    """
    store = Store.create(tmp_path / "store", files=CountingFiles())
    extend(store, begin(store, "run-0"), range(3))
    with store.own("run-1") if path == "gone on with" else nullcontext():
        at = extend(store, begin(store), range(6))
    return store.root, at, read_all(store, at)


def _assert_sound(
    root: Path, before: Checkpoint, content: dict[str, bytes], *, acknowledged: bool
) -> None:
    """The store opens, the ref is the old one or the new, all that was acknowledged loads, and it
    goes on, whether the run is owned or not.
    """
    store = Store.open(root)
    now = store.resolve("run-1")
    if acknowledged or now != before:
        assert before.id == now.parent
        assert {"out": 99} == store.load("run-1").value("steps/step99")
        read_all(store, now)
    assert content == read_all(store, before)
    assert 4 == store.resolve("run-0").sequence
    assert 2 == len(store.refs(damaged := []))
    assert [] == damaged
    after = extend(store, now, range(100, 101))
    assert after == Store.open(root).resolve("run-1")
    with store.own("run-1"):
        after = extend(store, after, range(101, 103))
    assert after == Store.open(root).resolve("run-1")
    read_all(Store.open(root), after)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("torn", [False, True])
def test_a_save_killed_anywhere_leaves_the_old_checkpoint_or_the_new(
    tmp_path: Path, torn: bool, path: str
) -> None:
    """Ahead of each operation; a write may have got out by half."""
    root, before, content = _prepared(tmp_path, path)
    saving = _operations(root, path, leaving=False)
    for after in range(_operations(root, path)):
        copy = tmp_path / f"copy{after}"
        shutil.copytree(root, copy)
        store = Store.open(copy, files=CrashingFiles(after, torn=torn))
        with pytest.raises(Killed), _entered(store, path):
            _save(store)
        locks._drop_in_child()
        _assert_sound(copy, before, content, acknowledged=after >= saving)


def test_creating_a_store_can_be_killed_anywhere(tmp_path: Path) -> None:
    """A half-made store is none: `open` says so, `create` completes it."""
    files = CountingFiles()
    Store.create(tmp_path / "whole", files=files)
    for after in range(len(files.done)):
        root = tmp_path / f"part{after}" / "checkpoints"
        with pytest.raises(Killed):
            Store.create(root, files=CrashingFiles(after))
        if not (root / "format.json").exists():
            with pytest.raises(NotFound):
                Store.open(root)
        extend(store := Store.create(root), begin(store), range(1))
        assert (1 << 20) == (root / "reserve").stat().st_size


def _outcome(store: Store) -> str:
    """Save; gives the message of the error, or nothing."""
    try:
        _save(store)
    except StoreUnwritable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", PATHS)
def test_a_disk_that_is_full_at_any_write_loses_nothing(tmp_path: Path, path: str) -> None:
    """The error says what to do, the half-written files are gone, and the store goes on."""
    root, before, content = _prepared(tmp_path, path)
    failed = 0
    for after in range(_operations(root, path)):
        copy = tmp_path / f"copy{after}"
        shutil.copytree(root, copy)
        store = Store.open(copy, files=FullFiles(after))
        files = store.files
        assert isinstance(files, FullFiles)
        with _entered(store, path):
            message = _outcome(store)
            # A ref that cannot be written is no reason to fail: an open pack says the same.
            assert path != "sealed" or files.failed == bool(message)
            assert bool(message) == (store.resolve("run-1") == before)
        assert bool(message) == ("the disk is full; `maverick gc` frees space" in message)
        failed += bool(message)
        assert bool(message) == (Store.open(copy).resolve("run-1") == before)
        assert [] == list((copy / "tmp").iterdir())
        assert (copy / "reserve").exists() != bool(message)
        _assert_sound(copy, before, content, acknowledged=not message)
    assert failed >= (6 if path == "sealed" else 1)


@pytest.mark.parametrize("run", ["run-1", "new"])
def test_a_save_that_fails_anywhere_leaves_the_ref_where_it_stood(tmp_path: Path, run: str) -> None:
    """Also where the last sync fails, after the ref has its name: what was not acknowledged is not
    to be seen.
    """
    root, before, content = _prepared(tmp_path)

    def save(store: Store) -> Checkpoint:
        return _save(store) if run == "run-1" else begin(store, run)

    files = CountingFiles()
    shutil.copytree(root, tmp_path / "counted")
    save(Store.open(tmp_path / "counted", files=files))
    for at in range(len(files.done)):
        copy = tmp_path / f"copy{at}"
        shutil.copytree(root, copy)
        store = Store.open(copy, files=FailingFiles(at))
        with pytest.raises(StoreUnwritable, match="input/output error"):
            save(store)
        for seen in (store, Store.open(copy)):
            assert before == seen.resolve("run-1")
            assert (None if run == "new" else before.id) == (
                (ref := seen.find_ref(run)) and ref.checkpoint
            )
        assert save(store) == Store.open(copy).resolve(run)
        assert content == read_all(Store.open(copy), before)
    assert ["sync", "rename", "sync"] == files.done[-3:]


@pytest.mark.parametrize("path", ["begun", "gone on with"])
def test_an_owned_save_that_fails_anywhere_is_not_found_and_the_next_one_works(
    tmp_path: Path, path: str
) -> None:
    """The owner goes on at once, in another pack if it must; and one that succeeds is found."""
    root, before, content = _prepared(tmp_path, path)
    failed = 0
    for at in range(_operations(root, path, leaving=False)):
        copy = tmp_path / f"copy{at}"
        shutil.copytree(root, copy)
        store = Store.open(copy, files=FailingFiles(at))
        with store.own("run-1"):
            message = _outcome(store)
            assert not message or "input/output error" in message
            for seen in (store, Store.open(copy)):
                assert bool(message) == (before == seen.resolve("run-1"))
            now = _save(store)
            assert now == Store.open(copy).resolve("run-1")
        assert now == Store.open(copy).resolve("run-1")
        assert content == read_all(Store.open(copy), before)
        failed += bool(message)
    assert failed >= 2


@pytest.mark.parametrize("path", PATHS)
def test_where_the_ref_cannot_be_put_back_either_the_run_goes_on(tmp_path: Path, path: str) -> None:
    """From the old checkpoint or the new: both are whole."""
    root, before, content = _prepared(tmp_path, path)
    for at in range(_operations(root, path, leaving=False)):
        copy = tmp_path / f"copy{at}"
        shutil.copytree(root, copy)
        store = Store.open(copy, files=FailingFiles(at, lasting=True))
        with _entered(store, path):
            message = _outcome(store)
        assert message or path != "sealed"
        for left in (copy / "tmp").iterdir():  # the disk took no unlink either
            left.unlink()
        _assert_sound(copy, before, content, acknowledged=not message)


class SmallDisk(WatchedFiles):
    """Has no free byte; `reserve` has the only ones."""

    def __init__(self) -> None:
        super().__init__()
        self.free_bytes = 0

    def write(self, descriptor: int, data: bytes) -> None:
        if len(data) > self.free_bytes:
            raise OSError(errno.ENOSPC, "no space")
        self.free_bytes -= len(data)
        super().write(descriptor, data)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write as much as fits, as disks do."""
        size = os.fstat(descriptor).st_size
        fits = size + self.free_bytes - offset
        self.free_bytes -= max(min(offset + len(data) - size, self.free_bytes), 0)
        super().pwrite(descriptor, data[:fits], offset)
        if fits < len(data):
            raise OSError(errno.ENOSPC, "no space")

    def truncate(self, descriptor: int, size: int) -> None:
        self.free_bytes += os.fstat(descriptor).st_size - size
        super().truncate(descriptor, size)

    def unlink(self, path: Path) -> None:
        freed = path.stat().st_size
        super().unlink(path)
        self.free_bytes += freed


@pytest.mark.parametrize("path", PATHS)
def test_the_reserve_lets_a_run_record_that_the_disk_was_full(tmp_path: Path, path: str) -> None:
    """The save that fails is reported as failed; the next small one has a MiB."""
    root, before, _ = _prepared(tmp_path, path)
    store = Store.open(root, files=SmallDisk())

    with _entered(store, path):
        with pytest.raises(StoreUnwritable):
            _save(store)
        end = store.save("run-1", {}, parent=before, kind="failure")

    assert end == Store.open(root).resolve("run-1")


def test_where_the_zeros_do_not_fit_the_record_is_written_without_them(tmp_path: Path) -> None:
    """An open pack is written some KiB ahead; a disk that is nearly full has room for the save."""
    root, _, _ = _prepared(tmp_path)
    files = SmallDisk()
    files.free_bytes = 10_000
    store = Store.open(root, files=files)

    with store.own("run-1"):
        now = _save(store)
        (pack,) = (root / "objects").glob("*.open")
        assert pack.stat().st_size < 10_000
        assert now == Store.open(root).resolve("run-1")

    assert (root / "reserve").exists()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT])
def test_a_store_that_takes_nothing_can_still_be_read(tmp_path: Path, code: int, path: str) -> None:
    """Read-only media, another user's project, a dying disk."""
    root, before, content = _prepared(tmp_path, path)
    store = Store.open(root, files=FullFiles(0, code))

    with (
        _entered(store, path),
        pytest.raises(StoreUnwritable, match=r"cannot save the checkpoint \(.*store\): "),
    ):
        _save(store)

    assert content == read_all(store, store.resolve("run-1"))
    assert before == store.resolve("run-1")
    assert (code == errno.EDQUOT) != (root / "reserve").exists()


def test_a_place_where_no_store_can_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way; a disk that takes nothing."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StoreUnwritable, match="a file stands where a folder is needed"):
        Store.create(tmp_path / "file" / "checkpoints")
    with pytest.raises(StoreUnwritable, match="mounted read-only"):
        Store.create(tmp_path / "new", files=FullFiles(0, errno.EROFS))


def test_a_store_whose_format_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    """`create` would hide the damage."""
    root, _, _ = _prepared(tmp_path)
    (root / "format.json").unlink()

    with pytest.raises(FormatDamaged, match=r"format\.json is missing"):
        Store.create(root)
