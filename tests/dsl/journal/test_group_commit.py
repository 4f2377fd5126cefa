"""Those who want to write while a write is under way share the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from kit.patience import PATIENCE_SECONDS
from maverick.dsl.journal.group_commit import GroupCommit


class Queue(GroupCommit[str]):
    """Writes into `groups`; the write of `first` goes on once as many as were submitted wait behind
    it.
    """

    def __init__(self, write: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        super().__init__(self._note, lambda item: item.startswith("last"))
        self.groups: list[list[str]] = []
        self._begun, self._go_on = threading.Event(), threading.Event()
        self._then = write

    def _note(self, items: Sequence[str]) -> None:
        self.groups.append(list(items))
        if list(items) == ["first"]:
            self._begun.set()
            assert self._go_on.wait(PATIENCE_SECONDS)
        self._then(items)

    @contextmanager
    def busy(self) -> Iterator[Callable[[str], Future[None]]]:
        """A write is under way; each call submits another item and returns when that waits."""
        with ThreadPoolExecutor(20) as pool:
            first = pool.submit(self.submit, "first")
            assert self._begun.wait(PATIENCE_SECONDS)

            def add(item: str) -> Future[None]:
                before = len(self._waiting)
                future = pool.submit(self.submit, item)
                while len(self._waiting) == before:
                    threading.Event().wait(0.001)
                return future

            try:
                yield add
            finally:
                self._go_on.set()
            first.result(PATIENCE_SECONDS)


def test_one_alone_is_written_at_once() -> None:
    queue = Queue()

    queue.submit("alone")

    assert [["alone"]] == queue.groups


def test_all_that_wait_are_written_together_in_order() -> None:
    queue = Queue()

    with queue.busy() as add:
        waiting = [add(name) for name in "abcdef"]
    for each in waiting:
        each.result(PATIENCE_SECONDS)

    assert [["first"], list("abcdef")] == queue.groups


def test_nothing_joins_behind_what_ends_a_group() -> None:
    """A labelled checkpoint holds what had finished before it, and no later step."""
    queue = Queue()

    with queue.busy() as add:
        waiting = [add(name) for name in ("a", "last 1", "b", "c", "last 2")]
    for each in waiting:
        each.result(PATIENCE_SECONDS)

    assert [["first"], ["a", "last 1"], ["b", "c", "last 2"]] == queue.groups


def test_one_that_cannot_be_written_fails_alone() -> None:
    """The others of its group did nothing wrong."""

    def refuse(items: Sequence[str]) -> None:
        if "bad" in items:
            raise ValueError("bad")

    queue = Queue(refuse)
    with queue.busy() as add:
        good, bad, more = add("good"), add("bad"), add("more")

    with pytest.raises(ValueError, match="bad"):
        bad.result(PATIENCE_SECONDS)
    assert (None, None) == (good.result(PATIENCE_SECONDS), more.result(PATIENCE_SECONDS))
    assert [["good"], ["bad"], ["more"]] == queue.groups[2:]


def test_what_ends_the_process_ends_all_that_wait_for_the_same_write() -> None:
    """Nobody takes it for written."""

    def die(items: Sequence[str]) -> None:
        if items != ["first"]:
            raise SystemExit

    queue = Queue(die)
    with queue.busy() as add:
        waiting = [add("a"), add("b")]

    for each in waiting:
        with pytest.raises(SystemExit):
            each.result(PATIENCE_SECONDS)
    assert [["first"], ["a", "b"]] == queue.groups
