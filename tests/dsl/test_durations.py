"""Durations are read in one place, and everywhere the same."""

from __future__ import annotations

import pytest

from maverick.dsl.durations import parse_duration


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("1.5h", 5400),
        ("90", 90),
        (" 5 s ", 5),
        (0, 0),
        (2.5, 2.5),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_has_a_unit(given: str | float, seconds: float) -> None:
    assert seconds == parse_duration(given)


@pytest.mark.parametrize(
    "given", ["", "soon", "5 parsecs", "-5s", "1e3", "s", -1, True, float("nan"), float("inf"), 10**12]
)
def test_what_is_no_duration_is_refused_with_the_way_to_write_one(given: str | float) -> None:
    with pytest.raises(ValueError, match="90s, 15m, 2h, 30d"):
        parse_duration(given)
