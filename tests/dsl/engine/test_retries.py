"""`retry`: how many attempts, how long between them, and which failures are worth another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.dsl.durations import LONGEST_SECONDS
from maverick.dsl.engine.retries import Retries
from maverick.dsl.expressions.expressions import SourcePlace, Template, parse_template
from maverick.dsl.expressions.scope import Frame
from maverick.dsl.processes.stop_request import Stop, Stopped
from maverick.dsl.workflow.model import Retry
from maverick.errors import StepFailed, StepTimeout


class Waits(Stop):
    """A stop that notes how long is waited for it, and waits not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, seconds: float) -> None:
        """Note it."""
        self.waited.append(seconds)


def _expression(text: str) -> Template:
    template = parse_template(f"${{{{ {text} }}}}", SourcePlace("flow.yaml", 1, 1))
    assert isinstance(template, Template)
    return template


def _run(
    retries: Retries, failures: list[StepFailed], stop: Stop | None = None
) -> tuple[int, list[int]]:
    """The number of the attempt that succeeded, and of those that were told to have failed."""
    told: list[int] = []

    def attempt(number: int) -> int:
        if number <= len(failures):
            raise failures[number - 1]
        return number

    return retries.run(stop or Waits(), attempt, lambda number, _: told.append(number)), told


def test_without_retry_there_is_one_attempt() -> None:
    """A step that fails fails."""
    with pytest.raises(StepFailed, match="first"):
        _run(Retries(), [StepFailed("first")])


def test_attempts_count_in_all_and_each_failure_is_told() -> None:
    """Three attempts are two more."""
    assert (3, [1, 2]) == _run(Retries(attempts=3), [StepFailed("1"), StepFailed("2")])
    with pytest.raises(StepFailed, match="last"):
        _run(Retries(attempts=3), [StepFailed("1"), StepFailed("2"), StepFailed("last")])


def test_the_delay_grows_by_the_backoff() -> None:
    """1, 3, 9 … seconds."""
    stop = Waits()
    _run(Retries(attempts=4, delay=1, backoff=3), [StepFailed("x")] * 3, stop)

    assert [1, 3, 9] == stop.waited


def test_max_delay_bounds_what_the_backoff_makes() -> None:
    """1, 3 and then 5 seconds each time."""
    stop = Waits()
    _run(Retries(attempts=6, delay=1, backoff=3, max_delay=5), [StepFailed("x")] * 5, stop)

    assert [1, 3, 5, 5, 5] == stop.waited


@given(
    delay=st.floats(0, LONGEST_SECONDS),
    backoff=st.one_of(st.floats(0, allow_infinity=False), st.integers(0, 10**400)),
    max_delay=st.floats(0, LONGEST_SECONDS),
    number=st.integers(1, 10**6),
)
def test_no_pause_is_longer_than_any_clock_can_wait(
    delay: float, backoff: float, max_delay: float, number: int
) -> None:
    """However often it grew: `delay * backoff ** n` leaves what a float can hold after some dozen
    attempts.
    """
    retries = Retries(attempts=number + 1, delay=delay, backoff=backoff, max_delay=max_delay)

    assert 0 <= retries.pause(number) <= max_delay


@pytest.mark.parametrize(
    ("on", "failure", "again"),
    [
        ((), StepFailed("any"), True),
        ((), StepTimeout("late"), True),
        (("timeout",), StepTimeout("late"), True),
        (("timeout",), StepFailed("any"), False),
        (("OSError",), StepFailed("x", causes=("ConnectionError", "OSError", "Exception")), True),
        (("ValueError", "KeyError"), StepFailed("x", causes=("KeyError", "LookupError")), True),
        (("ValueError",), StepFailed("x", causes=("KeyError",)), False),
        (("OSError",), StepTimeout("late"), False),
    ],
)
def test_on_names_what_is_worth_another_attempt(
    on: tuple[str, ...], failure: StepFailed, again: bool
) -> None:
    """Base classes count; a timeout is no exception of an action."""
    assert again == Retries(attempts=2, on=on).repeats(1, failure)


def test_a_failure_that_was_recalled_is_final() -> None:
    """It was an outcome, and is one again."""
    failure = StepFailed("recorded")
    failure.recalled = True

    assert not Retries(attempts=9).repeats(1, failure)


def test_a_stop_ends_the_waiting() -> None:
    """An hour of delay does not keep Ctrl-C waiting."""
    stop = Stop()
    stop.request("SIGINT")

    with pytest.raises(Stopped):
        _run(Retries(attempts=2, delay=3600), [StepFailed("x")], stop)


def test_the_fields_may_be_expressions_and_are_checked(tmp_path: object) -> None:
    """What they come to has to be a number that makes sense."""
    frame = Frame(inputs={}, env={}, run={}, project_root=tmp_path)  # type: ignore[arg-type]

    assert Retries() == Retries.of(None, frame)
    assert Retries(3, 0.5, 2, ("timeout",)) == Retries.of(
        Retry(attempts=3, delay=0.5, backoff=2, on=("timeout",)), frame
    )
    assert Retries(2, 90, 1, (), 3600) == Retries.of(
        Retry(attempts=2, delay=_expression("'90s'"), max_delay=_expression("'1h'")), frame
    )
    for wrong in (
        Retry(attempts=2, backoff=float("inf")),
        Retry(attempts=2, backoff=float("nan")),
        Retry(attempts=2, delay=float("inf")),
        Retry(attempts=2, delay="soon"),
        Retry(attempts=2, max_delay=True),
    ):
        with pytest.raises(StepFailed, match="retry"):
            Retries.of(wrong, frame)
    for wrong in (
        Retry(attempts=0),
        Retry(attempts=1.5),
        Retry(attempts="x"),
        Retry(attempts=2, delay=-1),
    ):
        with pytest.raises(StepFailed, match="retry"):
            Retries.of(wrong, frame)
