"""Who owns a run: kernel locks, across threads, real processes and their children."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kit.patience import wait_until
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Store
from maverick.errors import RefMoved, RunOwned, StoreUnwritable

PRELUDE = """
import os, subprocess, sys
from pathlib import Path
from maverick.checkpoints import *
from maverick.errors import *
store = Store.create(Path(sys.argv[1]))
def say(text): print(text, flush=True)
"""


@contextmanager
def _process(store: Store, code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs *code* on the same store, ended when the block ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "checkpoints")


OWN = """
with store.own("run-1") as owner:
    owner.note({"groups": [[77, 1234]]})
    say("owned")
    sys.stdin.readline()
"""


def test_a_second_process_is_refused_with_the_name_of_the_first(store: Store) -> None:
    """So that the person knows what to stop."""
    with _process(store, OWN) as first:
        assert "owned" == _line(first)
        assert store.is_owned("run-1")
        with (
            pytest.raises(RunOwned, match=f"process {first.pid} on {os.uname().nodename}"),
            store.own("run-1"),
        ):
            pass
        with store.own("run-2"):
            assert store.is_owned("run-2")
    assert not store.is_owned("run-2")


def test_a_killed_owner_leaves_its_note_and_no_lock(store: Store) -> None:
    """Resumable at once, with no cleaning by hand; the note names the groups that may be left
    running.
    """
    with _process(store, OWN) as first:
        assert "owned" == _line(first)
        first.send_signal(signal.SIGKILL)
        first.wait()

        assert not store.is_owned("run-1")
        note = store.owner_note("run-1")
        assert ([[77, 1234]], first.pid) == (note["groups"], note["pid"])
        with store.own("run-1") as owner:
            assert note == owner.previous
            assert [[77, 1234]] == store.owner_note("run-1")["groups"]
            assert os.getpid() == store.owner_note("run-1")["pid"]
            owner.note({})
        assert {"pid", "host", "started"} == set(store.owner_note("run-1"))


@pytest.mark.parametrize(
    "child",
    [
        (
            'subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], '
            "start_new_session=True)"
        ),
        """
if os.fork() == 0:
    os.setsid()
    sys.stdin.read()
    os._exit(0)
""",
    ],
)
def test_a_daemon_that_a_step_started_does_not_own_the_run(store: Store, child: str) -> None:
    """It would own it for ever; whether it was spawned or only forked."""
    code = (
        f'owned = store.own("run-1"); owned.__enter__()\n{child}\nsay("started")\n'
        "os.kill(os.getpid(), 9)\n"
    )
    with _process(store, code) as first:
        assert "started" == _line(first)
        first.wait()
        # The child waits for the end of a pipe that this test still holds open. A fork lets go as
        # soon as it runs.
        wait_until(lambda: not store.is_owned("run-1"), "the child lets go of the run")
        with store.own("run-1"):
            pass


def test_threads_of_one_process_exclude_each_other(store: Store) -> None:
    """A lock of the process (`fcntl`) would let both in."""
    refused: list[bool] = []

    def work() -> None:
        try:
            with store.own("run-1"):
                refused.append(False)
        except RunOwned:
            refused.append(True)

    with store.own("run-1"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    work()

    assert [True, False] == refused


def test_nobody_has_owned_a_new_run(store: Store) -> None:
    """Asking does not make it look owned."""
    assert not store.is_owned("run-1")
    assert {} == store.owner_note("run-1")
    assert [] == list((store.root / "owners").iterdir())


def test_a_torn_note_is_no_note(store: Store) -> None:
    """It is written in place; whoever was killed meanwhile noted nothing."""
    with store.own("run-1") as owner:
        owner.note({"groups": [1]})
    path = store.root / "owners" / "run-1"
    path.write_bytes(path.read_bytes()[:-9])

    assert {} == store.owner_note("run-1")
    with store.own("run-1") as owner:
        assert {} == owner.previous
    path.unlink()
    path.mkdir()
    assert {} == store.owner_note("run-1")
    with pytest.raises(StoreUnwritable, match="cannot own a run"), store.own("run-1"):
        pass


def test_a_shorter_note_replaces_a_longer_one(store: Store) -> None:
    """In the same file, which must not keep the tail."""
    with store.own("run-1") as owner:
        owner.note({"groups": list(range(100))})
        owner.note({"groups": []})
        assert [] == store.owner_note("run-1")["groups"]


SAVE = """
run = "run-" + sys.stdin.readline().strip()
at = None
for n in range(15):
    at = store.save(run, {("steps", f"s{n}"): value({"n": n, "same": "x" * 500})}, parent=at)
say(at.id)
"""


def test_processes_save_different_runs_at_once(store: Store) -> None:
    """Into one store, deduplicating against each other's packs; nothing acknowledged is missing."""
    with _process(store, SAVE) as first, _process(store, SAVE) as second:
        for number, process in enumerate((first, second)):
            assert process.stdin is not None
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
        saved = {_line(first), _line(second)}

    assert saved == {ref.checkpoint for ref in store.refs()}
    for ref in store.refs():
        assert 15 == ref.sequence == len(read_all(store, store.resolve(ref.run)))


def test_two_processes_that_create_one_store_share_it(tmp_path: Path) -> None:
    """The first run of two at once."""
    root = tmp_path / "new" / "checkpoints"
    target = Store.create(tmp_path / "unused")
    target.root = root
    with _process(target, 'say("made")') as first, _process(target, 'say("made")') as second:
        assert ["made", "made"] == [_line(first), _line(second)]

    begin(Store.open(root))


def test_the_run_of_another_process_is_not_overwritten(store: Store) -> None:
    """Even if somebody saves without owning the run."""
    start = begin(store)
    code = (
        'at = store.resolve("run-1"); say(store.save("run-1", {("x",): note("y")}, parent=at).id)'
    )
    with _process(store, code) as other:
        saved = _line(other)

    with pytest.raises(RefMoved):
        extend(store, start, range(1))
    assert saved == store.ref("run-1").checkpoint


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_run_in_a_store_that_takes_nothing_cannot_be_owned(
    store: Store, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does would go unrecorded; but what is there can be looked at, also under a lock."""
    at = begin(store)
    with store.own("run-1"):
        pass
    really = os.open

    def refuse(path: str, flags: int, *more: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(code, os.strerror(code))
        return really(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    for run in ("run-1", "new"):
        with pytest.raises(StoreUnwritable, match="cannot own a run"), store.own(run):
            pass
    assert not store.is_owned("run-1")
    with store.locks.shared():
        assert at == store.resolve("run-1")
    (store.root / "store.lock").unlink()
    store.locks.reopen()
    with pytest.raises(StoreUnwritable, match=r"cannot take store\.lock"), store.locks.shared():
        pass


def test_a_link_in_the_place_of_a_lock_is_told_and_nobody_owns_by_it(
    store: Store, tmp_path: Path
) -> None:
    """Whoever put it there may lead a lock, or what an owner notes, to any file."""
    outside = tmp_path / "outside"
    outside.write_text("whole")
    for target in (outside, tmp_path / "nowhere", store.root / "owners" / "run-1"):
        (store.root / "owners" / "run-1").unlink(missing_ok=True)
        (store.root / "owners" / "run-1").symlink_to(target)

        assert not store.is_owned("run-1")
        with pytest.raises(StoreUnwritable, match="a symbolic link stands where a file is needed"):
            store.own("run-1").__enter__()
    assert "whole" == outside.read_text()


@pytest.mark.parametrize("name", ["store.lock", "refs.lock"])
def test_a_link_in_the_place_of_a_lock_of_the_store_keeps_saves_out(
    store: Store, tmp_path: Path, name: str
) -> None:
    """With an error that says what to move away."""
    (store.root / name).unlink(missing_ok=True)
    (store.root / name).symlink_to(tmp_path / "outside")

    with pytest.raises(StoreUnwritable, match=f"cannot take {name} .*a symbolic link stands"):
        begin(store)


def _open_files(store: Store) -> set[str]:
    """The files of the store that this process has open."""
    here = {
        (status.st_dev, status.st_ino): path.name
        for path in store.root.rglob("*")
        for status in (path.stat(),)
    }
    found: set[str] = set()
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):
            status = os.fstat(int(path.name))
            found.add(here.get((status.st_dev, status.st_ino), ""))
    return found - {""}


def test_who_owns_no_run_has_no_file_open(store: Store) -> None:
    """Whoever looks into many stores does not run out of files; a disk can be unmounted."""
    with store.own("run-1"):
        extend(store, begin(store), range(3))
        owned = _open_files(store)
    left = _open_files(store)
    read_all(Store.open(store.root), begin(store, "run-2"))

    assert {"store.lock", "refs.lock", "run-1"} <= owned
    assert set() == left == _open_files(store)
