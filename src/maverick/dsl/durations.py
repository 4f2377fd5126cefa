"""Durations as people write them: `90s`, `15m`, `2h`, `30d`, or a number of seconds."""

from __future__ import annotations

import math
import re

_UNITS_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([smhdw]?)")
LONGEST_SECONDS = 100 * 366 * 86400
"""A hundred years: what is longer is a slip, and clocks overflow on it."""


def parse_duration(value: str | float) -> float:
    """Give the seconds that *value* stands for: `1.5h`, `90s`, `"90"` or `90`.

    Raises ValueError with a message that says how a duration is written.
    """
    seconds = _seconds(value)
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"{value!r} is not a duration; write seconds, or a number with its unit: 90s, 15m, 2h, 30d")
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
