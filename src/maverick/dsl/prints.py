"""What Python prints while a run goes on: masked, and kept in the log of the step that printed it.

An action's `print` reaches the terminal past everything else. Which step printed, the context of the printing code
says: that of an action's thread, or of its task.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from maverick.dsl.logs import Stream
    from maverick.dsl.secrets import Scrubber

Keep: TypeAlias = "Callable[[Stream, bytes], None]"

_keep: ContextVar[Keep | None] = ContextVar("keep", default=None)


@contextmanager
def printing_to(keep: Keep) -> Iterator[None]:
    """Let *keep* hear what the code of the block prints; threads and tasks hear it in a copy of its context."""
    token = _keep.set(keep)
    try:
        yield
    finally:
        _keep.reset(token)


@contextmanager
def prints_kept(scrub: Scrubber) -> Iterator[None]:
    """Mask what Python prints meanwhile, and let those hear it that `printing_to` names.

    To be entered before the project's modules are loaded: a handler of `logging` holds on to the stream that it finds.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Kept(before[0], "stdout", scrub), _Kept(before[1], "stderr", scrub)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Kept:
    """A text stream that masks what is written to it. There may be none under it (`>&-`)."""

    def __init__(self, stream: Any, name: Stream, scrub: Scrubber) -> None:
        self._stream = stream
        self._name: Stream = name
        self._scrub = scrub

    def write(self, text: str) -> int:
        """Write *text*, masked."""
        masked = self._scrub.text(text)
        if keep := _keep.get():
            keep(self._name, masked.encode("utf-8", "backslashreplace"))
        if self._stream is not None:
            self._stream.write(masked)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write *lines*, masked."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own."""
        return getattr(self._stream, name)
