"""Times, sizes, tables and values as people and scripts see them."""

from __future__ import annotations

import json
import math
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.cli.terminal.render import (
    age,
    duration,
    iso_time,
    json_text,
    shell_word,
    size,
    table,
    value_text,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_can_say_comes_back_the_same(value: object) -> None:
    assert value == json.loads(json_text(value))


@given(VALUES | st.binary() | st.floats())
def test_every_value_is_json_by_the_strict_rules(value: object) -> None:
    """Not all readers know Python's NaN."""

    def refuse(text: str) -> None:
        raise AssertionError(text)

    json.loads(json_text(value), parse_constant=refuse)


def test_integers_of_any_size_can_be_printed() -> None:
    """Python refuses to print more than 4,300 digits."""
    assert {"$int": format(10**5000, "x")} == json.loads(json_text(10**5000))
    assert 10**4000 == json.loads(json_text(10**4000))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("", ""),
        ("text", "text\n"),
        ("text\n", "text\n"),
        (0, "0\n"),
        (False, "false\n"),
        ([], "[]\n"),
        (math.inf, '"Infinity"\n'),
    ],
)
def test_an_output_ends_in_one_newline_and_null_is_nothing(value: object, expected: str) -> None:
    assert expected == value_text(value)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, "1970-01-01T00:00:00.000Z"), (1_795_428_902_007, "2026-11-23T10:15:02.007Z")],
)
def test_times_are_iso_8601_in_utc(milliseconds: int, expected: str) -> None:
    assert expected == iso_time(milliseconds)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86399, "23h"),
        (86400 * 40, "40d"),
    ],
)
def test_ages_are_in_the_largest_unit(seconds: int, expected: str) -> None:
    assert expected == age(10**12 - seconds * 1000, 10**12)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0004, "0 ms"), (0.25, "250 ms"), (3.14, "3.1 s"), (65, "1 m 05 s"), (3720, "1 h 02 m")],
)
def test_durations_have_two_units_at_most(seconds: float, expected: str) -> None:
    assert expected == duration(seconds)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_400, "999 kB"),
        (999_600, "1.0 MB"),
        (34_000_000, "34 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_have_two_or_three_digits(count: int, expected: str) -> None:
    assert expected == size(count)


def test_tables_align_and_keep_every_row_on_one_line() -> None:
    expected = "NAME     N\na        1\n\\x1b\\n  22\n"

    assert expected == table(("NAME", "N"), [("a", "1"), ("\x1b\n", "22")], right=(1,))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
@settings(max_examples=40)
def test_a_text_can_be_typed_as_it_is_shown(text: str) -> None:
    """In bash, zsh and ksh, also where it holds what moves a terminal's cursor."""
    word = shell_word(text)

    typed = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)

    assert text.encode() == typed.stdout
    assert word.isprintable()
