"""Group commit: threads that want to write while a write is under way share the next one.

As in databases (DeWitt et al., *Implementation Techniques for Main Memory Database Systems*, 1984):
whoever comes first writes for all that wait, and the others find it done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Ticket(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item
        self.done = False
        self.error: BaseException | None = None


class GroupCommit(Generic[T]):
    """Calls *write* with one or more items, in the order in which they came, by one thread at a
    time.

    *ends_group* is true of an item behind which nothing joins the same write.
    """

    def __init__(
        self, write: Callable[[Sequence[T]], None], ends_group: Callable[[T], bool]
    ) -> None:
        self._write = write
        self._ends_group = ends_group
        self._waiting: deque[_Ticket[T]] = deque()
        self._busy = False
        self._turn = threading.Condition()

    def submit(self, item: T) -> None:
        """Write *item*, alone or with others; returns once it is written.

        Raises whatever *write* raises. A write of several items that fails is tried again for each
        of them, so that none fails because of another.
        """
        ticket = _Ticket(item)
        with self._turn:
            self._waiting.append(ticket)
        while group := self._await_turn(ticket):
            try:
                self._write_all(group)
            finally:
                self._pass_on(group)
        if ticket.error is not None:
            raise ticket.error

    def _await_turn(self, ticket: _Ticket[T]) -> list[_Ticket[T]]:
        """Wait until *ticket* is done or this thread is to write; give what it is to write."""
        with self._turn:
            self._turn.wait_for(lambda: ticket.done or not self._busy)
            if ticket.done:
                return []
            self._busy = True
            group = [self._waiting.popleft()]
            while self._waiting and not self._ends_group(group[-1].item):
                group.append(self._waiting.popleft())
            return group

    def _pass_on(self, group: Sequence[_Ticket[T]]) -> None:
        with self._turn:
            for ticket in group:
                ticket.done = True
            self._busy = False
            self._turn.notify_all()

    def _write_all(self, group: Sequence[_Ticket[T]]) -> None:
        try:
            self._write([ticket.item for ticket in group])
        except Exception as error:  # noqa: BLE001 - raised again where the item came from
            if len(group) == 1:
                group[0].error = error
                return
            for ticket in group:
                self._write_all([ticket])
        except BaseException as error:
            for ticket in group:
                ticket.error = error
            raise
