"""Sessions of agents at work: kept while a run is executed, for the next execution to continue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

KEPT = 100
"""The most that are kept; the oldest go first."""


class Sessions:
    """Session ids by what was asked (see `Conversation`). Threads may share it.

    *note* is called with all of them whenever they change. They are a help, not a record: if the
    note is lost, an agent starts afresh.
    """

    def __init__(
        self, noted: object = None, note: Callable[[Mapping[str, str]], None] | None = None
    ) -> None:
        """*noted* is what an earlier execution noted, as it was read back."""
        entries = noted.items() if isinstance(noted, dict) else ()
        self._ids = {
            asked: session
            for asked, session in entries
            if isinstance(asked, str) and isinstance(session, str)
        }
        self._note = note
        self._lock = threading.Lock()

    def find(self, asked: str) -> str:
        """The session that was opened for it; empty if there is none."""
        with self._lock:
            return self._ids.get(asked, "")

    def keep(self, asked: str, session: str) -> None:
        """Remember a session from now on, also after this process was killed."""
        with self._lock:
            if self._ids.get(asked) == session:
                return
            self._ids[asked] = session
            while len(self._ids) > KEPT:
                del self._ids[next(iter(self._ids))]
            self._tell()

    def drop(self, asked: str) -> None:
        """Forget a session that is not to be continued."""
        with self._lock:
            if self._ids.pop(asked, None) is not None:
                self._tell()

    def _tell(self) -> None:
        if self._note is not None:
            self._note(dict(self._ids))
