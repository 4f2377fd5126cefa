"""Kernel locks: `flock` on files. A process that dies, however it dies, holds none.

`store.lock` is shared by saves and taken alone by gc's second half; `gc.lock` keeps a second gc
out; `refs.lock` is held while a ref moves; `owners/<run>` by the process that executes the run, and
an open pack by the one that appends to it. Only owners' files are removed, by gc, when their run is
gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import (
    MISPLACED,
    Files,
    create_folder,
    needing,
    open_file,
    open_lock,
    writing,
)
from maverick.checkpoints.disk.layout import file_name
from maverick.errors import RunOwned, StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


class Descriptor:
    """An open lock file; `number` is -1 in a forked child, which has closed it."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


DROPPED, GIVEN_UP = "dropped", "given_up"
_held: set[Descriptor] = set()
# `is_owned` looks by taking a shared lock for an instant; an owner-to-be waits that out.
_GENERATION_BYTES = 16
_OWN_ATTEMPTS, _OWN_WAIT_SECONDS = 10, 0.01


_kept: WeakSet[_Kept] = WeakSet()


def _drop_in_child() -> None:
    """Close what a forked child inherited: a lock lasts until its last descriptor is closed."""
    for descriptor in _held:
        os.close(descriptor.number)
        descriptor.number = -1
    _held.clear()
    for kept in _kept:
        kept.begin_again()


class _Kept:
    """A lock file that is locked while one thread of this process wants that, and stays open as
    long as runs are *owned*.
    """

    def __init__(self, root: Path, name: str, operation: int, owned: set[str]) -> None:
        self._root = root
        self._name = name
        self._operation = operation
        self._owned = owned
        self.begin_again()
        _kept.add(self)

    def begin_again(self) -> None:
        """Take it for closed, and locked by nobody."""
        self._mutex = threading.RLock()
        self._holders = 0
        self._descriptor: Descriptor | None = None

    @contextmanager
    def held(self) -> Iterator[Descriptor]:
        """Hold the lock; several threads may if it is shared."""
        alone = self._operation == fcntl.LOCK_EX
        mutex = self._mutex
        with mutex:
            descriptor = self._open()
            if not self._holders:
                with writing(f"take {self._name}", self._root):
                    fcntl.flock(descriptor.number, self._operation)
            self._holders += 1
            if alone:
                try:
                    yield descriptor
                finally:
                    self._let_go(descriptor)
                return
        try:
            yield descriptor
        finally:
            with mutex:
                self._let_go(descriptor)

    def close(self) -> None:
        """Close it if nobody holds it: the file of that name may be another one now."""
        with self._mutex:
            if not self._holders:
                self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            unlock(self._descriptor)
            self._descriptor = None

    def _open(self) -> Descriptor:
        if self._descriptor is None:
            with writing(f"take {self._name}", self._root):
                self._descriptor = Descriptor(_open_any(self._root / self._name))
            _held.add(self._descriptor)
        return self._descriptor

    def _let_go(self, descriptor: Descriptor) -> None:
        if descriptor is not self._descriptor or descriptor.number < 0:  # this is a forked child
            return
        self._holders -= 1
        if not self._holders and self._owned:
            fcntl.flock(descriptor.number, fcntl.LOCK_UN)
        elif not self._holders:
            self._close()

    def __del__(self) -> None:
        self._close()


def share(number: int) -> Descriptor | None:
    """Lock the open file *number*, of which readers see nothing; None if another process keeps it.

    Whoever keeps one holds `refs.lock`, and may so `keep` this one. It is closed by `unlock`, and
    in a forked child at once.
    """
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    descriptor = Descriptor(number)
    _held.add(descriptor)
    return descriptor


def keep(descriptor: Descriptor) -> None:
    """Lock a shared file against every other process, waiting out those that look whether it is."""
    fcntl.flock(descriptor.number, fcntl.LOCK_EX)


def unlock(descriptor: Descriptor) -> None:
    """Close the file, and with it the lock."""
    _held.discard(descriptor)
    if descriptor.number >= 0:
        os.close(descriptor.number)
        descriptor.number = -1


def is_locked(path: Path) -> bool:
    """Say whether a process keeps the file *path* locked at this instant. Raises OSError; of
    what is no file FileNotFoundError.
    """
    descriptor = _open_readable(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


os.register_at_fork(after_in_child=_drop_in_child)


class Locks:
    """The locks of the store at *root*. Threads exclude each other just as processes do.

    *trusted* says whether they keep out everybody; None: it is found out when it matters.
    """

    def __init__(self, root: Path, trusted: bool | None = None) -> None:
        self._root = root
        self._owners = root / "owners"
        self._trusted = trusted
        self._owned: set[str] = set()
        self._shared = _Kept(root, "store.lock", fcntl.LOCK_SH, self._owned)
        self._refs = _Kept(root, "refs.lock", fcntl.LOCK_EX, self._owned)

    @property
    def are_trusted(self) -> bool:
        """Whether a lock here keeps out every other process, as far as that can be known.

        It does not where two descriptors can lock a file at once, nor, whatever they show, on a
        file system that other hosts may have mounted, or of which nothing is known. Raises
        StoreUnwritable where there are none.
        """
        if self._trusted is None:
            from maverick.checkpoints.disk.filesystem import is_shared  # noqa: PLC0415 - asked when something is to go

            self._trusted = not is_shared(self._root) and self._exclude()
        return self._trusted

    def _exclude(self) -> bool:
        """Say whether the file system refuses to lock `store.lock` alone while it is shared."""
        try:
            with _locked(self._root, "store.lock", fcntl.LOCK_SH | fcntl.LOCK_NB):
                return self._refuse()
        except BlockingIOError:  # Another process holds it alone.
            return True

    def _refuse(self) -> bool:
        try:
            with _locked(self._root, "store.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
                return False
        except BlockingIOError:
            return True
        except (OSError, StoreUnwritable):  # It fails in another way, which says nothing.
            return False

    def shared(self) -> AbstractContextManager[Descriptor]:
        """Keep gc from removing anything, together with other saves."""
        return self._shared.held()

    def reopen(self) -> None:
        """Open the lock files anew: those of that name are others now."""
        self._shared.close()
        self._refs.close()

    def exclusive(self) -> AbstractContextManager[Descriptor]:
        """Wait for all saves to end, and keep new ones out."""
        return _locked(self._root, "store.lock", fcntl.LOCK_EX)

    @staticmethod
    def generation(held: Descriptor) -> bytes:
        """Give what changes whenever packs are removed; *held* is what `shared` gave."""
        return os.pread(held.number, _GENERATION_BYTES, 0)

    @staticmethod
    def note_removal(held: Descriptor) -> None:
        """Say that packs go, before they do; *held* is what `exclusive` gave."""
        os.pwrite(held.number, os.urandom(_GENERATION_BYTES), 0)

    def gc(self) -> AbstractContextManager[Descriptor]:
        """Keep every other gc out. Raises BlockingIOError if there is one."""
        return _locked(self._root, "gc.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)

    def refs(self) -> AbstractContextManager[Descriptor]:
        """Keep every ref where it is."""
        return self._refs.held()

    @contextmanager
    def own(self, run: str) -> Iterator[Owner]:
        """Own *run* while the block runs, or until the process ends.

        The owner's note begins as the last owner's, with this process's pid, host and start time.

        Raises:
            RunOwned: another process (or another thread of this one) owns it.
        """
        with self.hold(run) as owner:
            owner.note(owner.previous)
            yield owner

    @contextmanager
    def hold(self, run: str) -> Iterator[Owner]:
        """Keep everybody from owning *run* while the block runs, without a note. Raises
        RunOwned.
        """
        path = self._owner_path(run)
        while True:
            with _opened(path, self._root, "own a run", _open_owned) as descriptor:
                _take_ownership(descriptor, run, self._root)
                if not stands_at(descriptor, path):  # gc removed it before it was locked
                    continue
                self._owned.add(run)
                try:
                    yield Owner(descriptor, path, self._root)
                finally:
                    self._owned.discard(run)
                    if not self._owned:
                        self.reopen()
                return

    def is_owned(self, run: str) -> bool:
        """Say whether some process owns *run* at this instant."""
        try:
            with _opened(
                self._owner_path(run), self._root, "see who owns a run", _open_readable
            ) as descriptor:
                fcntl.flock(descriptor.number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def owner_note(self, run: str) -> dict[str, Any]:
        """Give what the run's owner, or its last one, noted; empty if there is none that can be
        read.
        """
        try:
            return sealed.read(Files(), self._owner_path(run))
        except (FileNotFoundError, sealed.Broken):
            return {}

    def _owner_path(self, run: str) -> Path:
        return self._owners / file_name(run)


class Owner:
    """The ownership of a run."""

    def __init__(self, descriptor: Descriptor, path: Path, root: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._root = root
        self._data = _read(descriptor)
        self._length = len(self._data)

    @cached_property
    def previous(self) -> dict[str, Any]:
        """What the owner before noted."""
        return _parse_note(self._data)

    @property
    def is_held(self) -> bool:
        """Whether the run is still owned; not in a forked child."""
        return self._descriptor.number >= 0

    def note(self, fields: Mapping[str, Any]) -> None:
        """Replace the note by *fields* (what JSON can say), with this process's pid, host and start
        time.

        The note outlives the process. It is not synced: after a power cut there is nobody left to
        name.
        """
        data = sealed.seal({**fields, **_identity()})
        with writing("note the owner of a run", self._root):
            os.pwrite(self._descriptor.number, data, 0)
            if len(data) < self._length:
                os.ftruncate(self._descriptor.number, len(data))
        self._length = len(data)

    def note_dropped(self, files: Files, until: int, *, given_up: bool = False) -> None:
        """Note, durably, that the run's ref goes on purpose, with all that was made of the run
        *until* then (milliseconds since the epoch; 0 takes the note back); fsck takes a ref that
        went otherwise for lost. *given_up* says that nothing of the run was whole.
        """
        fields = {**self.previous, DROPPED: until, GIVEN_UP: given_up}
        self.note(
            {key: own for key, own in fields.items() if own or key not in (DROPPED, GIVEN_UP)}
        )
        with writing("note the owner of a run", self._root):
            files.sync(self._descriptor.number)
            files.sync_folder(self._root / "owners")

    def forget(self, files: Files) -> None:
        """Remove the note, of a run that is gone, as the last thing: others may begin a new one
        from now on.
        """
        with suppress(FileNotFoundError):
            files.unlink(self._path)


_started = time.time_ns() // 1_000_000


def _identity() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": os.uname().nodename, "started": _started}


def _take_ownership(descriptor: Descriptor, run: str, root: Path) -> None:
    for attempt in range(_OWN_ATTEMPTS):
        try:
            with writing("own a run", root):
                fcntl.flock(descriptor.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _OWN_ATTEMPTS:
                time.sleep(_OWN_WAIT_SECONDS)
        else:
            return
    note = _parse_note(_read(descriptor))
    who = f"process {note.get('pid', '?')} on {note.get('host', '?')}"
    raise RunOwned(f"run {run} is being executed by {who}; wait for it, or stop that process")


def stands_at(descriptor: Descriptor, path: Path) -> bool:
    """Say whether the open file is the one that has the name *path*."""
    try:
        there, own = os.stat(path), os.fstat(descriptor.number)  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def _parse_note(data: bytes) -> dict[str, Any]:
    return sealed.unseal(data) or {}


def _read(descriptor: Descriptor) -> bytes:
    return os.pread(descriptor.number, os.fstat(descriptor.number).st_size, 0)


@contextmanager
def _locked(root: Path, name: str, operation: int) -> Iterator[Descriptor]:
    with _opened(root / name, root, f"take {name}", _open_any) as descriptor:
        with writing(f"take {name}", root):
            fcntl.flock(descriptor.number, operation)
        yield descriptor


@contextmanager
def _opened(
    path: Path, root: Path, action: str, opener: Callable[[Path], int]
) -> Iterator[Descriptor]:
    """Open a lock file; closing it gives its lock back. *action* says for an error what it is
    for.
    """
    with writing(action, root):
        descriptor = Descriptor(opener(path))
    _held.add(descriptor)
    try:
        yield descriptor
    finally:
        unlock(descriptor)


def _open_owned(path: Path) -> int:
    """Open the lock file of a run, also where somebody has removed `owners/`."""
    with suppress(FileNotFoundError):
        return open_lock(path)
    with suppress(FileExistsError):
        create_folder(path.parent, 0o700)
    with needing(path.parent):
        return open_lock(path)


def _open_readable(path: Path) -> int:
    """Open a lock file that is there. What else has its name is none: nobody can take it."""
    try:
        return open_file(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in MISPLACED:
            raise
        raise FileNotFoundError(errno.ENOENT, "no lock, but something else", path) from error


def _open_any(path: Path) -> int:
    """Open a lock file, which in a read-only store can still be locked, if it is there."""
    try:
        return open_lock(path)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        try:
            return _open_readable(path)
        except FileNotFoundError:
            raise error from None
