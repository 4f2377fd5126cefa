"""`run_all`: as many pieces of work at once as are asked for, begun in order, all of them accounted
for.
"""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.patience import PATIENCE_SECONDS
from maverick.dsl.processes.threads import run_all


@settings(max_examples=50)
@given(st.integers(0, 12), st.integers(1, 5))
def test_results_come_in_the_order_of_the_numbers(count: int, limit: int) -> None:
    """Whichever ends first."""
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return number * number

    assert [number * number for number in range(count)] == run_all(count, limit, work)
    assert list(range(count)) == sorted(begun)
    if limit == 1:
        assert list(range(count)) == begun


@pytest.mark.parametrize(("count", "limit"), [(6, 3), (3, 3), (2, 5)])
def test_as_many_as_the_limit_are_under_way_at_once_and_no_more(count: int, limit: int) -> None:
    """They meet at a barrier, which fewer would never open."""
    at_once = min(count, limit)
    barrier = threading.Barrier(at_once)
    lock = threading.Lock()
    running, most = 0, 0

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait(PATIENCE_SECONDS)
        with lock:
            running -= 1

    run_all(count, limit, work)

    assert at_once == most


def test_after_a_failure_nothing_begins_and_what_runs_ends() -> None:
    """What has begun may have done something that has to be recorded."""
    second_runs, first_failed = threading.Event(), threading.Event()
    ended: list[int] = []

    def work(number: int) -> None:
        if number == 0:
            assert second_runs.wait(PATIENCE_SECONDS)
            first_failed.set()
            raise ValueError("first")
        second_runs.set()
        assert first_failed.wait(PATIENCE_SECONDS)
        while threading.active_count() > before + 1:  # Until the worker that failed has left.
            threading.Event().wait(0.001)
        ended.append(number)

    before = threading.active_count()
    with pytest.raises(ValueError, match="first"):
        run_all(5, 2, work)

    assert [1] == ended


def test_of_several_failures_that_of_the_lowest_number_is_raised() -> None:
    """The same failure each time, whatever the threads do."""
    barrier = threading.Barrier(3)

    def work(number: int) -> None:
        barrier.wait(PATIENCE_SECONDS)
        raise ValueError(str(number))

    with pytest.raises(ValueError, match="0"):
        run_all(3, 3, work)


def test_what_ends_a_process_ends_it() -> None:
    """An exception that is no failure is not swallowed by its thread."""

    class Killed(BaseException):
        """Not an Exception."""

    def work(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        run_all(2, 2, work)


def test_the_threads_that_the_system_gives_do_all_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """`max_concurrency` may be more than the limits of a container allow."""
    start, begun = threading.Thread.start, []
    names: set[str] = set()

    def limited(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    def work(number: int) -> int:
        names.add(threading.current_thread().name)
        return number

    monkeypatch.setattr(threading.Thread, "start", limited)

    assert list(range(10)) == run_all(10, 5, work)
    assert names <= {thread.name for thread in begun}
