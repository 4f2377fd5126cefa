"""What Python prints while a run goes on: masked, and taken as output of the step that printed it.

Which step printed, the context of the printing code says: that of an action's thread, or of its
task. It goes on to where it was printed to, unless those who watch the run show it.
Runs of one process can overlap in any way; the streams are as they were when the last of them
has ended.
"""

from __future__ import annotations

import codecs
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from weakref import WeakSet

if TYPE_CHECKING:
    from maverick.dsl.events import Event, Observer
    from maverick.dsl.processes.child import StreamName
    from maverick.dsl.processes.secrets import Scrubber

Say: TypeAlias = "Callable[[StreamName, bytes], None]"


_guest: ContextVar[object] = ContextVar("guest", default=None)
_listener: ContextVar[_Listener | None] = ContextVar("listener", default=None)
_is_apart: ContextVar[bool] = ContextVar("is_apart", default=False)


class _Listener:
    """Who hears what is printed in a context: *say*, if it is not None, and the streams.

    `guest` is the run that it is of, where that is a guest in this process.
    """

    def __init__(self, say: Say | None = None) -> None:
        self.say = say
        self.guest = _guest.get()
        self.masked: dict[_Kept, _Masked] = {}
        self.lock = threading.RLock()

    def end(self) -> None:
        """Give what is held back."""
        with self.lock:
            for masked in self.masked.values():
                masked.end()


@contextmanager
def printing_to(say: Say) -> Iterator[None]:
    """Let *say* hear what the code of the block prints; threads and tasks print in a copy of its
    context.
    """
    listener = _Listener(say)
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
        listener.end()


@contextmanager
def prints_kept(
    scrub: Scrubber, *, passed_on: bool = True, as_guest: bool = False
) -> Iterator[None]:
    """Mask what Python prints meanwhile, and let those hear it that `printing_to` names.

    Where it is not *passed_on*, what they hear does not go to the streams. *as_guest* in a process
    that has other work to do: what the run prints goes to standard error, and what others print
    goes its way untouched. A thread that begins meanwhile and says nothing else is the run's.

    To be entered before the project's modules are loaded: a handler of `logging` holds on to the
    stream that it finds.
    """
    guest = _guest.set(object() if as_guest else None)
    run = _Listener()
    token = _listener.set(run if as_guest else None)
    apart = _is_apart.set(False)
    others = WeakSet(threading.enumerate() if as_guest else ())
    with _streams:
        out, err = sys.stdout, sys.stderr
        target = err if as_guest else out
        kept = (
            _Kept(out, "stdout", scrub, run, others, target=target, passed_on=passed_on),
            _Kept(err, "stderr", scrub, run, others, target=err, passed_on=passed_on),
        )
        sys.stdout, sys.stderr = kept
    try:
        yield
    finally:
        with _streams:
            for each in kept:
                each.is_over = True
            sys.stdout, sys.stderr = _in_use(sys.stdout), _in_use(sys.stderr)
        run.end()
        _is_apart.reset(apart)
        _listener.reset(token)
        _guest.reset(guest)


_streams = threading.Lock()


def _in_use(stream: Any) -> Any:
    """Give *stream*, or what is under it where it is of a run that is over."""
    while isinstance(stream, _Kept) and stream.is_over:
        stream = stream.stream
    return stream


def apart_from_steps(observe: Observer) -> Observer:
    """Give an observer whose own prints are no step's, and not the run's."""

    def observe_apart(event: Event) -> None:
        token = _is_apart.set(True)
        try:
            observe(event)
        finally:
            _is_apart.reset(token)

    return observe_apart


class _Masked:
    """Masks what comes in pieces, and hands it to the listener and to the stream."""

    def __init__(self, kept: _Kept, say: Say | None) -> None:
        self._kept = kept
        self._say = say
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.add, self.end = kept.scrub.stream(self._give)

    def _give(self, data: bytes) -> None:
        if self._say is not None:
            token = _listener.set(None)  # What who hears it prints is not the step's.
            try:
                self._say(self._kept.name, data)
            finally:
                _listener.reset(token)
        if self._kept.target is not None and (self._say is None or self._kept.passed_on):
            self._kept.target.write(self._decoder.decode(data))


class _Kept:
    """A text stream that masks what is written to it. There may be none under it (`>&-`).

    It is the whole process's: whoever closes it, or gives it another encoding, does so to nobody.
    It hears the steps of *run*, and what else is printed; of a guest only what threads print that
    are not *others*. The rest goes to the stream as it is, as all does once the run is over.
    *target* is where it goes that is heard.
    """

    def __init__(
        self,
        stream: Any,
        name: StreamName,
        scrub: Scrubber,
        run: _Listener,
        others: WeakSet[threading.Thread],
        *,
        target: Any,
        passed_on: bool,
    ) -> None:
        self.stream = stream
        self.passed_on = passed_on
        self.name: StreamName = name
        self.scrub = scrub
        self.target = target
        self.is_over = False
        self.buffer = _KeptBytes(self)
        self._run = run
        self._others = others

    def _listener(self) -> _Listener | None:
        listener, guest = _listener.get(), self._run.guest
        if listener is not None and listener.guest is guest and not _is_apart.get():
            return listener
        if guest is None:
            return self._run
        is_anybodys = _is_apart.get() or _guest.get() is not None
        return None if is_anybodys or threading.current_thread() in self._others else self._run

    def hears(self, data: bytes) -> bool:
        """Write *data*, masked, also where a secret comes in pieces; False if it is nobody's."""
        listener = self._listener()
        if listener is None or self.is_over:
            return False
        with listener.lock:
            if self not in listener.masked:
                listener.masked[self] = _Masked(self, listener.say)
            listener.masked[self].add(data)
        return True

    def write(self, text: str) -> int:
        if not self.hears(text.encode("utf-8", "backslashreplace")) and self.stream is not None:
            self.stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.stream is not None:
            self.stream.flush()

    close = flush

    def reconfigure(self, **_: object) -> None:
        """Leave the stream as it is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own."""
        return getattr(self.stream, name)


class _KeptBytes:
    """The bytes under a `_Kept`."""

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept

    def write(self, data: bytes | bytearray | memoryview) -> int:
        if not self._kept.hears(bytes(data)) and self._kept.stream is not None:
            self._kept.stream.buffer.write(data)
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._kept.flush()

    close = flush

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own."""
        return getattr(self._kept.stream.buffer, name)
