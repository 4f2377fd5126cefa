"""What Python prints while a run goes on: masked, and taken as output of the step that printed it.

Which step printed, the context of the printing code says: that of an action's thread, or of its
task. It goes on to where it was printed to, unless those who watch the run show it.
"""

from __future__ import annotations

import codecs
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from maverick.dsl.processes.child import StreamName
    from maverick.dsl.processes.secrets import Scrubber

Say: TypeAlias = "Callable[[StreamName, bytes], None]"


class _Listener:
    """Who hears what is printed in a context: *say*, if it is not None, and the streams."""

    def __init__(self, say: Say | None = None) -> None:
        self.say = say
        self.masked: dict[_Kept, _Masked] = {}
        self.lock = threading.RLock()

    def end(self) -> None:
        """Give what is held back."""
        with self.lock:
            for masked in self.masked.values():
                masked.end()


_listener: ContextVar[_Listener | None] = ContextVar("listener", default=None)


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
def prints_kept(scrub: Scrubber, *, passed_on: bool = True) -> Iterator[None]:
    """Mask what Python prints meanwhile, and let those hear it that `printing_to` names.

    Where it is not *passed_on*, what they hear does not go to the streams.

    To be entered before the project's modules are loaded: a handler of `logging` holds on to the
    stream that it finds.
    """
    before, nobody = (sys.stdout, sys.stderr), _Listener()
    sys.stdout = _Kept(before[0], "stdout", scrub, nobody, passed_on)
    sys.stderr = _Kept(before[1], "stderr", scrub, nobody, passed_on)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        nobody.end()


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
        if self._kept.stream is not None and (self._say is None or self._kept.passed_on):
            self._kept.stream.write(self._decoder.decode(data))


class _Kept:
    """A text stream that masks what is written to it. There may be none under it (`>&-`).

    It is the whole process's: whoever closes it, or gives it another encoding, does so to nobody.
    """

    def __init__(
        self,
        stream: Any,
        name: StreamName,
        scrub: Scrubber,
        nobody: _Listener,
        passed_on: bool,
    ) -> None:
        self.stream = stream
        self.passed_on = passed_on
        self.name: StreamName = name
        self.scrub = scrub
        self.buffer = _KeptBytes(self)
        self._nobody = nobody

    def add(self, data: bytes) -> None:
        """Write *data*, masked, also where a secret comes in pieces."""
        listener = _listener.get() or self._nobody
        with listener.lock:
            if self not in listener.masked:
                listener.masked[self] = _Masked(self, listener.say)
            listener.masked[self].add(data)

    def write(self, text: str) -> int:
        self.add(text.encode("utf-8", "backslashreplace"))
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
        self._kept.add(bytes(data))
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
