"""A gc that is killed, loses power or works on a full disk, at each of its operations."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from kit.disks import RecordingFiles, power_cuts, write_image
from kit.faults import CountingFiles, CrashingFiles, FullFiles, Killed, WatchedFiles
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.disk import layout, locks
from maverick.errors import StoreUnwritable

Content = dict[str, dict[str, bytes]]


def prepared(root: Path, *, owned: bool = False) -> Content:
    """A store in which gc has all there is to do; gives what must stay, by the id of the
    checkpoint.

    If the runs are *owned* by who saves them, most of it is in an open pack.
    """
    store = Store.create(root, files=CountingFiles())
    for number in range(2):
        run = f"done-{number}"
        with store.own(run) if owned else nullcontext():
            label = at = store.save(
                run,
                {("steps", "a"): value(run)},
                parent=None,
                kind="label",
                label="here",
                group="fly",
            )
            at = store.save(run, {("steps", "b"): value([run])}, parent=at)
            final = store.save(run, {("output",): value({"of": run})}, parent=at, kind="final")
    extend(store, begin(store, "open"), range(2))
    live = [
        label,
        final,
        *(store.checkpoint(position.checkpoint) for position in store.ref("open").positions),
    ]
    (root / "tmp" / "4194399-left").write_bytes(b"left by a save")
    return {it.id: read_all(store, it) for it in live}


def collect(root: Path, files: WatchedFiles) -> None:
    Store.open(root, files=files).plan_gc(keep_last=1).execute()


def operations(root: Path, folder: Path) -> int:
    """How many operations a gc has, tried on a copy."""
    copy = folder / "counted"
    shutil.copytree(root, copy)
    files = CountingFiles()
    collect(copy, files)
    shutil.rmtree(copy)
    return len(files.done)


def assert_nothing_is_lost(root: Path, live: Content) -> None:
    store = Store.open(root)
    for checkpoint, content in live.items():
        assert content == read_all(store, store.checkpoint(checkpoint))  # type: ignore[arg-type]
    assert [] == [finding for finding in store.check(read_data=True) if finding.severity == "error"]
    assert {"done-1", "open"} <= {ref.run for ref in store.refs()}


def assert_another_gc_finishes(root: Path, live: Content) -> None:
    for path in (root / "tmp").iterdir():
        os.utime(path, (1e9, 1e9))
    store = Store.open(root, files=CountingFiles())
    store.plan_gc(keep_last=1).execute()
    assert_nothing_is_lost(root, live)
    assert {"done-1", "open"} == {ref.run for ref in store.refs()}
    assert 1 == len(list((root / "objects").iterdir()))
    assert [] == [*(root / "tmp").iterdir(), *(root / "trash").iterdir()]
    assert 0 == store.plan_gc(keep_last=1).removed_objects


@pytest.mark.parametrize("owned", [False, True])
def test_a_gc_killed_anywhere_loses_nothing_and_the_next_one_finishes(
    tmp_path: Path, *, owned: bool
) -> None:
    root = tmp_path / "store"
    live = prepared(root, owned=owned)
    count = operations(root, tmp_path)
    for after in range(count):
        copy = tmp_path / f"copy{after}"
        shutil.copytree(root, copy)
        with pytest.raises(Killed):
            collect(copy, CrashingFiles(after))
        locks._drop_in_child()
        assert_nothing_is_lost(copy, live)
        assert_another_gc_finishes(copy, live)
        shutil.rmtree(copy)


@pytest.mark.parametrize("owned", [False, True])
def test_a_gc_syncs_what_a_killed_save_had_not(tmp_path: Path, *, owned: bool) -> None:
    """Else it collects by a ref, or a record, that a power cut takes back, and the one before leads
    to nothing.
    """
    root = tmp_path / "store"
    store = Store.create(root, files=CountingFiles())
    (root / "reserve").write_bytes(b"small, so that the test is quick")
    at = store.save("r", {("it",): blob(b"before")}, parent=None)
    at = store.save("r", {}, parent=at, kind="final")
    expected = {at.id: read_all(store, at)}

    def save(files: RecordingFiles) -> None:
        store = Store.open(files.root, files=files)
        with store.own("r") if owned else nullcontext():
            store.save("r", {("it",): blob(b"after")}, parent=at, kind="final")

    whole = RecordingFiles(shutil.copytree(root, tmp_path / "copy"))
    save(whole)
    (tmp_path / "pool").mkdir()
    found = 0
    for kill_at in range(len(whole.log)):
        files = RecordingFiles(shutil.copytree(root, tmp_path / f"store{kill_at}"))
        files.kill_at = kill_at
        with pytest.raises(Killed):
            save(files)
        locks._drop_in_child()
        files.kill_at = None
        store = Store.open(files.root, files=files)
        after = store.resolve("r")
        if after == at:
            continue
        found += 1
        expected[after.id] = read_all(store, after)
        # The first one closes the run in its pack, and keeps all of it.
        assert sum(store.plan_gc().execute().removed_objects for _ in range(2))

        for _, image in power_cuts(files, 16, ("tmp", "trash")):
            restored = Store.open(write_image(image, tmp_path / "image", tmp_path / "pool"))
            now = restored.resolve("r")
            assert expected[now.id] == read_all(restored, now)
    assert found


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_gc_on_a_full_disk_frees_what_it_can(tmp_path: Path, code: int) -> None:
    """From any of its operations on there may be no space for anything: not for a new pack, nor a
    ref.
    """
    root = tmp_path / "store"
    live = prepared(root)
    for after in range(operations(root, tmp_path)):
        copy = tmp_path / f"copy{after}"
        shutil.copytree(root, copy)
        before = sum(path.stat().st_size for path in (copy / "objects").iterdir())
        result = Store.open(copy, files=Full(after, code)).plan_gc(keep_last=1).execute()

        assert ("done-0",) == result.runs
        assert before > sum(path.stat().st_size for path in (copy / "objects").iterdir())
        assert_nothing_is_lost(copy, live)
        assert_another_gc_finishes(copy, live)
        assert layout.RESERVE_BYTES == (copy / "reserve").stat().st_size
        shutil.rmtree(copy)


class Full(FullFiles):
    """A full disk still takes renames: they need no block."""

    def rename(self, source: Path, target: Path) -> None:
        self.done.append("rename")
        source.replace(target)


class Fills(CountingFiles):
    """A disk with so many bytes left; removing files gives theirs back."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.free = free

    def write(self, descriptor: int, data: bytes) -> None:
        if len(data) > self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.free -= len(data)
        super().write(descriptor, data)

    def unlink(self, path: Path) -> None:
        size = path.stat().st_size
        super().unlink(path)
        self.free += size


def large(root: Path) -> Checkpoint:
    """A done run with three large packs, in each of which a third is alive."""
    store = Store.create(root, files=CountingFiles())
    at = begin(store)
    for number in range(3):
        parts = {(f"{number}-{part}",): blob(os.urandom(2 << 20)) for part in range(3)}
        at = store.save("run-1", {**parts}, parent=at)
        at = store.save("run-1", {(f"{number}-{part}",): None for part in range(2)}, parent=at)
    return store.save("run-1", {}, parent=at, kind="final")


@pytest.mark.parametrize("free", [1_500_000, 3_000_000, 20_000_000])
def test_a_gc_goes_by_pieces_where_not_all_fits_at_once(tmp_path: Path, free: int) -> None:
    """With the reserve's space, and what the pieces before have freed."""
    root = tmp_path / "store"
    at = large(root)

    seen: list[tuple[int, int]] = []

    result = (
        Store.open(root, files=Fills(free))
        .plan_gc()
        .execute(lambda done, total: seen.append((done, total)))
    )

    assert seen == sorted(seen)
    assert 1 == len({total for _, total in seen})
    assert seen[-1][0] == seen[-1][1]
    assert () == result.left
    assert 12 << 20 < result.removed_bytes
    read_all(Store.open(root), at)
    assert layout.RESERVE_BYTES == (root / "reserve").stat().st_size
    assert [] == list(Store.open(root).check(read_data=True))


def test_a_gc_names_the_packs_for_which_there_is_no_space_at_all(tmp_path: Path) -> None:
    """What was wholly dead is gone all the same, and once there is space the next gc does the
    rest.
    """
    root = tmp_path / "store"
    at = large(root)

    result = Store.open(root, files=Fills(0)).plan_gc().execute()

    assert 3 == len(result.left)
    assert 0 < result.removed_bytes < 1 << 20
    read_all(Store.open(root), at)
    assert 12 << 20 < Store.open(root).plan_gc().execute().removed_bytes
    read_all(Store.open(root), at)


def test_a_gc_in_a_store_that_takes_nothing_says_so(tmp_path: Path) -> None:
    root = tmp_path / "store"
    live = prepared(root)

    with pytest.raises(StoreUnwritable, match="cannot collect garbage"):
        collect(root, FullFiles(0, errno.EROFS))

    assert_nothing_is_lost(root, live)
