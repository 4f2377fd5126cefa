"""Doing something again when it fails, as a step's `retry` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from maverick.dsl import fields
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from maverick.dsl.model import Retry
    from maverick.dsl.scope import Frame
    from maverick.dsl.stop import Stop

T = TypeVar("T")


def retrying(
    retry: Retry | None, frame: Frame, stop: Stop, attempt: Callable[[int], T], told: Callable[[int, StepFailed], None]
) -> T:
    """Give what `attempt(n)` gives, n = 1, 2, …; *told* hears of each failure that is tried again.

    `retry.on` names what is worth another attempt: `timeout`, or names of exception classes that a Python action may
    raise (their base classes count). Without it, every failure is.

    Raises:
        StepFailed: Of the last attempt.
        Stopped: While waiting for the next one.
    """
    if retry is None:
        return attempt(1)
    attempts = fields.count(retry.attempts, frame, "retry.attempts", minimum=1)
    delay = fields.number(retry.delay, frame, "retry.delay", minimum=0)
    backoff = fields.number(retry.backoff, frame, "retry.backoff", minimum=0)
    number = 1
    while True:
        try:
            return attempt(number)
        except StepFailed as error:
            if number >= attempts or not _is_worth_it(error, retry.on):
                raise
            told(number, error)
        stop.wait(delay * backoff ** (number - 1))
        stop.check()
        number += 1


def _is_worth_it(error: StepFailed, on: tuple[str, ...]) -> bool:
    kinds = {"timeout"} if isinstance(error, StepTimeout) else set(error.causes)
    return not on or bool(kinds.intersection(on))
