"""Durations are read in one place, and everywhere the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.dsl.durations import LONGEST_SECONDS, Limit, parse_duration, shortest, shown


@pytest.mark.parametrize(
    ("value", "seconds"),
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
def test_a_duration_is_a_number_of_seconds_or_has_a_unit(
    value: str | float, seconds: float
) -> None:
    assert seconds == parse_duration(value)


@pytest.mark.parametrize(
    "value",
    ["", "soon", "5 parsecs", "-5s", "1e3", "s", -1, True, float("nan"), float("inf"), 10**12],
)
def test_what_is_no_duration_is_refused_with_the_way_to_write_one(value: str | float) -> None:
    with pytest.raises(ValueError, match="90s, 15m, 2h, 30d"):
        parse_duration(value)


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@given(
    number=st.one_of(st.integers(0, 10**14), st.decimals(0, 10**11, places=3)),
    unit=st.sampled_from(sorted(_UNITS)),
    blank=st.sampled_from(["", " "]),
)
def test_every_form_gives_its_seconds_or_is_refused_for_its_length(
    number: float, unit: str, blank: str
) -> None:
    """Whatever is taken can be added to a clock; a century is the most."""
    seconds = float(number) * _UNITS[unit]
    if seconds > LONGEST_SECONDS or number >= 10**12:
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(f"{number}{blank}{unit}")
    else:
        assert math.isclose(seconds, parse_duration(f"{number}{blank}{unit}"))


@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.booleans()))
def test_anything_else_is_refused_in_one_way(value: str | float) -> None:
    """No other error, and never a number of seconds that no clock can wait for."""
    refusal, seconds = "", 0.0
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        refusal = str(error)

    assert 0 <= seconds <= LONGEST_SECONDS
    assert not refusal or "write seconds, or a number with its unit" in refusal


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.3, "0.3 s"),
        (1, "1 s"),
        (90, "90 s"),
        (900, "15 min"),
        (7200, "2 h"),
        (2_592_000, "30 d"),
        (LONGEST_SECONDS, "36,600 d"),
    ],
)
def test_messages_name_a_duration_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert text == shown(seconds)


def test_a_limit_is_called_by_its_whole_length_and_by_who_has_it() -> None:
    """What is left of it says nothing to whoever wrote the file."""
    assert "its timeout of 1 s" == str(Limit.own(1).after(0.4))
    assert "the timeout of 30 d of the step work" == str(Limit.own(2_592_000, "the step work"))


def test_the_shortest_limit_is_the_one_that_is_over_first() -> None:
    """Of two that end together it is the step's own, which is given first."""
    own, around = Limit.own(5), Limit.own(60, "the step work")

    assert own == shortest(own, around)
    assert around.after(56) == shortest(own, around.after(56))
    assert around == shortest(None, around)
    assert own == shortest(own, own._replace(whose="the step work"))
    assert shortest(None, None) is None
