"""When a model may be asked again, as far as its program says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_UNITS_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_AMOUNT = re.compile(
    r"(\d{1,6}(?:\.\d{1,9})?)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])[\s,]*(?:and\s)?",
    re.IGNORECASE,
)
_AGAIN = r"(?:try again|retry|resets?|available again)"
_AFTER = re.compile(rf"{_AGAIN}\s+(?:in|after)\s+(?:about\s+)?(?=\d)", re.IGNORECASE)
_HEADER = re.compile(r"retry-after[\"']?\s*[:=]\s*[\"']?(\d{1,6}(?:\.\d{1,9})?)\b", re.IGNORECASE)
_CLOCK = re.compile(
    rf"{_AGAIN}\s+(?:at\s+)?(\d{{1,2}})(?::(\d\d))?\s*([ap]m)?(?:\s*\(?(UTC|[A-Z][a-z]+/[A-Za-z_]+)\)?)?",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    rf"{_AGAIN}\s+(?:at\s+)?(20\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))",
    re.IGNORECASE,
)
_UNIX = re.compile(r"limit[^|\n]{0,40}\|(\d{10})\b", re.IGNORECASE)


def seconds_to_wait(text: str, now: datetime) -> float | None:
    """The seconds after which *text* says that one may ask again; None where it does not say.

    A time of day without a zone is one of this machine's; *now* is aware.
    """
    if match := _AFTER.search(text):
        return _amount(text, match.end())
    if match := _HEADER.search(text):
        return float(match[1])
    if match := _MOMENT.search(text):
        return _until_moment(match[1], now)
    if match := _UNIX.search(text):
        return _until(datetime.fromtimestamp(int(match[1]), UTC), now)
    if match := _CLOCK.search(text):
        return _until_clock(match, now)
    return None


def _amount(text: str, start: int) -> float | None:
    """The sum of `1h 2m 3.5s` from *start* on."""
    total, match = 0.0, _AMOUNT.match(text, start)
    if match is None:
        return None
    while match is not None:
        unit = match[2].lower()
        total += (
            float(match[1]) * _UNITS_SECONDS["ms" if unit.startswith(("ms", "milli")) else unit[0]]
        )
        match = _AMOUNT.match(text, match.end())
    return total


def _until(moment: datetime, now: datetime) -> float:
    return max((moment - now).total_seconds(), 0.0)


def _until_moment(text: str, now: datetime) -> float | None:
    try:
        return _until(datetime.fromisoformat(text), now)
    except ValueError:  # Such as a thirteenth month.
        return None


def _until_clock(match: re.Match[str], now: datetime) -> float | None:
    hour, minute, half = int(match[1]), int(match[2] or 0), (match[3] or "").lower()
    if not half and match[2] is None:
        return None  # `resets 3` may be anything.
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    if hour > 23 or minute > 59:
        return None
    here = now.astimezone(_zone(match[4]) or now.astimezone().tzinfo)
    moment = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return _until(moment if moment > here else moment + timedelta(days=1), now)


def _zone(name: str | None) -> tzinfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # No such zone, or no list of zones on this machine.
        return UTC if name.upper() == "UTC" else None
