"""Locks on descriptors that stay open: threads share them as processes do, a forked child has none,
and what gc has removed is noticed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kit.faults import StubbornFiles
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Store, blob
from maverick.checkpoints.disk.locks import Locks, is_locked


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def is_free(root: Path, name: str, operation: int) -> bool:
    """Say whether another process could lock a file at this instant."""
    descriptor = os.open(root / name, os.O_RDWR)
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def forked(act: Callable[[], None]) -> Iterator[int]:
    """A child that does *act*, says so by its end, and is waited for; gives its process id."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            act()
            status = 0
        except BaseException:  # noqa: BLE001 - it is shown, and the child ends all the same
            traceback.print_exc()
        finally:
            os._exit(status)
    yield pid
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_child(act: Callable[[], None]) -> None:
    with forked(act):
        pass


def test_the_lock_lasts_until_the_last_thread_has_let_go(store: Store) -> None:
    locks = Locks(store.root)
    one, two = locks.shared(), locks.shared()
    with one:
        with two:
            assert not is_free(store.root, "store.lock", fcntl.LOCK_EX)
        assert not is_free(store.root, "store.lock", fcntl.LOCK_EX)
        assert is_free(store.root, "store.lock", fcntl.LOCK_SH)
    assert is_free(store.root, "store.lock", fcntl.LOCK_EX)


def test_threads_keep_each_other_out_of_one_that_is_held_alone(store: Store) -> None:
    locks = Locks(store.root)
    inside: list[int] = []

    def work() -> None:
        for _ in range(50):
            with locks.refs():
                inside.append(1)
                assert 1 == len(inside)
                assert not is_free(store.root, "refs.lock", fcntl.LOCK_SH)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_free(store.root, "refs.lock", fcntl.LOCK_EX)


def test_a_forked_child_holds_no_lock_and_frees_none(store: Store) -> None:
    """It lives on after its parent has let go, and ends while that holds one."""
    locks = Locks(store.root)
    reader, writer = os.pipe()

    def wait() -> None:
        assert not is_free(store.root, "store.lock", fcntl.LOCK_EX)
        os.close(writer)
        os.read(reader, 1)

    with locks.shared(), locks.refs():
        in_a_child(lambda: None)
        assert not is_free(store.root, "store.lock", fcntl.LOCK_EX)
        assert not is_free(store.root, "refs.lock", fcntl.LOCK_EX)
        child = forked(wait)
        child.__enter__()
        os.close(reader)
        in_a_child(lambda: _take_and_let_go(locks))
        assert not is_free(store.root, "store.lock", fcntl.LOCK_EX)
    assert is_free(store.root, "store.lock", fcntl.LOCK_EX)
    os.close(writer)
    child.__exit__(None, None, None)


def _take_and_let_go(locks: Locks) -> None:
    with locks.shared():
        pass


def test_a_forked_child_never_appends(store: Store) -> None:
    """Processes may not share a store object; whatever one does with it, no pack is harmed."""
    with store.own("run-1"), store.own("run-2"):
        at, two = extend(store, begin(store), range(2)), begin(store, "run-2")
        pack = next((store.root / "objects").glob("*.open"))
        size = pack.stat().st_size

        def save() -> None:
            for run in (at, two):
                with suppress(Exception):
                    extend(store, run, range(2, 4))
            own = Store.open(store.root)
            with own.own("run-3"):
                begin(own, "run-3")
            assert is_locked(pack)

        in_a_child(save)

        assert size == pack.stat().st_size
        assert is_locked(pack)
        at = extend(store, store.resolve("run-1"), range(4, 6))
        two = extend(store, store.resolve("run-2"), range(4, 6))
    for newest in (at, two):
        assert newest == Store.open(store.root).resolve(newest.run)
        read_all(Store.open(store.root), newest)


def test_a_child_that_ends_as_its_parent_would_leaves_the_run_alone(store: Store) -> None:
    """It is in the same blocks."""
    pid = 1
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        pack = next((store.root / "objects").glob("*.open"))
        before = pack.read_bytes()
        pid = os.fork()
        if pid:
            assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert before == pack.read_bytes()
            assert is_locked(pack)
            at = extend(store, at, range(2, 4))
    if not pid:
        os._exit(0)
    assert at == Store.open(store.root).resolve("run-1")


def test_a_child_outlives_a_killed_parent_and_keeps_no_pack(store: Store) -> None:
    """Else nobody could go on with the run."""
    reader, writer = os.pipe()
    parent = os.fork()
    if not parent:
        os.close(writer)
        with store.own("run-1"):
            extend(store, begin(store), range(2))
            if not os.fork():
                os.read(reader, 1)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)

    with store.own("run-1"):
        at = extend(store, store.resolve("run-1"), range(2, 3))
    os.close(writer)  # The child ends.
    os.close(reader)
    assert 1 == len(list((store.root / "objects").glob("*.open")))
    assert at == Store.open(store.root).resolve("run-1")


def test_a_save_looks_at_the_packs_again_when_some_were_removed(store: Store) -> None:
    """What it would have leaned on may be gone."""
    files = StubbornFiles()
    own = Store.open(store.root, files=files)
    with own.own("run-1"):
        at = own.save("run-1", {("y",): blob(b"y")}, parent=None)
        gone = store.save("gone", {("x",): blob(b"in both" * 99)}, parent=None)
        own.objects.packs.refresh()
        place = own.objects.packs.find(gone.tree)
        assert place is not None
        store.drop("gone")
        with store.locks.exclusive() as held:
            store.locks.note_removal(held)
            (store.root / "objects" / place.pack.file).unlink()

        at = own.save("run-1", {("x",): blob(b"in both" * 99)}, parent=at)
    assert 2 == len([name for name in read_all(Store.open(store.root), at) if "state" in name])
