"""Durations as people write them: `90s`, `15m`, `2h`, `30d`, or a number of seconds."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

_UNITS_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([smhdw]?)")
GRACE_SECONDS = 10.0
"""How long what is stopped has, by default, from the first signal to SIGKILL."""
LONGEST_SECONDS = 100 * 366 * 86400
"""A hundred years: what is longer is a slip, and clocks overflow on it."""


def parse_duration(value: str | float) -> float:
    """Give the seconds that *value* stands for: `1.5h`, `90s`, `"90"` or `90`.

    Raises ValueError with a message that says how a duration is written.
    """
    seconds = _seconds(value)
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError(
            f"{value!r} is not a duration; write seconds, or a number with its unit: 90s, 15m, "
            "2h, 30d"
        )
    return seconds


def _seconds(value: str | float) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) <= LONGEST_SECONDS else None
    if isinstance(value, float):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        return None
    number, unit = match.groups()
    amount = float(number) if "." in number else int(number)
    return amount * _UNITS_SECONDS[unit or "s"]


def shown(seconds: float) -> str:
    """Give *seconds* for messages, in the largest unit that it is a whole number of: `90 s`, `15
    min`, `30 d`.
    """
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:g} s"


class Limit(NamedTuple):
    """A timeout that runs: the seconds that are left of it, how long it is in all, and whose it is.

    As a text it is what messages call it: `its timeout of 15 min`, `the timeout of 1 s of the step
    work`.
    """

    left: float
    seconds: float
    whose: str = ""
    """What has it, such as `the step work`; empty for the step that is limited."""

    @classmethod
    def own(cls, seconds: float, whose: str = "") -> Limit:
        """One that has not begun to run."""
        return cls(seconds, seconds, whose)

    def after(self, seconds: float) -> Limit:
        """What is left of it *seconds* later; never less than nothing."""
        return self._replace(left=max(self.left - seconds, 0.0))

    def __str__(self) -> str:
        article = "the" if self.whose else "its"
        return f"{article} timeout of {shown(self.seconds)}" + (
            f" of {self.whose}" if self.whose else ""
        )


def shortest(*limits: Limit | None) -> Limit | None:
    """Give the one that is over first; of two that end together the first that is given. None is
    for ever.
    """
    return min(
        (limit for limit in limits if limit is not None), key=lambda limit: limit.left, default=None
    )
