"""Doing something again when it fails, as a step's `retry` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from maverick.dsl.durations import LONGEST_SECONDS
from maverick.dsl.expressions import resolve
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.processes.stop_request import Stop
    from maverick.dsl.workflow.model import Retry

T = TypeVar("T")


class Retries(NamedTuple):
    """What a step's `retry` comes to. `on` names what is worth another attempt.

    Those are `timeout`, or names of exception classes that a Python action may raise (their base
    classes count). Without it, every failure is.
    """

    attempts: int = 1
    delay: float = 0
    backoff: float = 1
    on: tuple[str, ...] = ()
    max_delay: float = LONGEST_SECONDS

    @classmethod
    def of(cls, retry: Retry | None, frame: Frame) -> Retries:
        """Evaluate the fields of *retry*. Raises StepFailed."""
        if retry is None:
            return cls()
        longest = resolve.seconds(retry.max_delay, frame, "retry.max_delay")
        return cls(
            resolve.count(retry.attempts, frame, "retry.attempts", minimum=1),
            resolve.seconds(retry.delay, frame, "retry.delay") or 0,
            resolve.number(retry.backoff, frame, "retry.backoff", minimum=0),
            retry.on,
            LONGEST_SECONDS if longest is None else longest,
        )

    def pause(self, number: int) -> float:
        """Give the seconds between attempt *number* and the next: they grow up to `max_delay`."""
        try:
            pause = self.delay * float(self.backoff) ** (number - 1)
        except OverflowError:
            pause = LONGEST_SECONDS if self.delay else 0
        return min(pause, self.max_delay)

    def repeats(self, number: int, error: StepFailed) -> bool:
        """Whether another attempt follows attempt *number*, which failed with *error*.

        None follows a failure that was recalled.
        """
        if number >= self.attempts or error.recalled:
            return False
        kinds = {"timeout"} if isinstance(error, StepTimeout) else set(error.causes)
        return not self.on or bool(kinds.intersection(self.on))

    def run(
        self,
        stop: Stop,
        attempt: Callable[[int], T],
        note_failure: Callable[[int, StepFailed], None],
    ) -> T:
        """Give what `attempt(n)` gives, n = 1, 2, …

        *note_failure* is called before each pause, with the failure that is tried again.

        Raises:
            StepFailed: Of the last attempt.
            Stopped: While waiting for the next one.
        """
        number = 1
        while True:
            try:
                return attempt(number)
            except StepFailed as error:
                if not self.repeats(number, error):
                    raise
                note_failure(number, error)
            stop.wait(self.pause(number))
            stop.check()
            number += 1
