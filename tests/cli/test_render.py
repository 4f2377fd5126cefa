"""Times, sizes, tables and values as people and scripts see them."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import struct
import subprocess
import termios

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.cli.terminal.render import (
    age,
    hanging,
    json_text,
    line_width,
    shell_word,
    size,
    table,
    value_text,
    wrapped,
)
from maverick.visible import columns, duration, fit, iso_time, one_line, padded

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


# --- widths ---------------------------------------------------------------------------------------

LINES = st.text(
    st.sampled_from("ab 日本語ｱ한\u0301\u200d🎉e…")
    | st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("plain", 5),
        ("日本", 4),
        ("\uff21", 2),
        ("ｱ", 1),
        ("e\u0301", 1),
        ("한국", 4),
        ("\u1112\u1161\u11ab", 2),
        ("🎉", 2),
        ("a\u200db", 2),
        ("…", 1),
    ],
)
def test_a_text_takes_as_many_columns_as_a_terminal_gives_it(text: str, expected: int) -> None:
    """Wide characters two, what stands on or joins others none."""
    assert expected == columns(text)


@given(LINES, LINES)
def test_columns_add_up(one: str, other: str) -> None:
    assert columns(one) + columns(other) == columns(one + other)


@given(LINES, st.integers(0, 30))
def test_what_is_fitted_never_takes_more(text: str, width: int) -> None:
    """It is a beginning of the text, and says that it was cut; what fits stays as it is."""
    fitted = fit(text, width)

    assert columns(fitted) <= width
    if columns(text) <= width:
        assert text == fitted
    elif width:
        assert fitted.endswith("…")
        assert text.startswith(fitted[:-1])
        assert columns(text[: len(fitted) + 1].rstrip()) >= columns(fitted) - 1


@given(LINES, st.integers(0, 30), st.booleans())
def test_what_is_padded_takes_all_of_its_width(text: str, width: int, right: bool) -> None:
    done = padded(text, width, right=right)

    assert max(width, columns(text)) == columns(done)
    assert done.endswith(text) if right else done.startswith(text)


@given(st.lists(st.tuples(LINES, LINES, LINES), min_size=1))
def test_columns_of_a_table_begin_at_the_same_place(rows: list[tuple[str, str, str]]) -> None:
    """Also behind wide characters."""
    marked = [("|" + a, "|" + b, "|" + c) for a, b, c in rows]

    lines = table(("|A", "|B", "|C"), marked).splitlines()

    places = set()
    for line, (a, b, _) in zip(lines, [("|A", "|B", "|C"), *marked], strict=True):
        second = line.index("|", len(one_line(a)))
        third = line.index("|", second + len(one_line(b)))
        places.add((columns(line[:second]), columns(line[:third])))
    assert 1 == len(places)


@pytest.mark.parametrize(
    ("given_columns", "expected"),
    [("100", 100), ("60", 60), ("20", 60), ("1" * 30, 111111111), ("0", None), ("x", None),
     ("-5", None), ("", None), ("٣٠٠", None)],
)  # fmt: skip
def test_in_a_pipe_only_columns_limits_a_line(
    monkeypatch: pytest.MonkeyPatch, given_columns: str, expected: int | None
) -> None:
    """Never to less than 60; what is no number counts as not set."""
    monkeypatch.setenv("COLUMNS", given_columns)
    reading, writing = os.pipe()

    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        assert expected == line_width(pipe)
    assert expected == line_width(None)


@pytest.mark.parametrize(("wide", "expected"), [(60, 60), (20, 60), (160, 160), (0, None)])
def test_on_a_terminal_its_width_does(
    monkeypatch: pytest.MonkeyPatch, wide: int, expected: int | None
) -> None:
    """A terminal that does not know its width says 0."""
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, wide, 0, 0))

    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal:
        assert expected == line_width(terminal)
        monkeypatch.setenv("COLUMNS", "99")
        assert 99 == line_width(terminal)


# --- words in columns -----------------------------------------------------------------------------


@given(LINES, st.integers(8, 40))
def test_a_folded_line_fits_and_loses_nothing_but_blanks(text: str, width: int) -> None:
    """But where it is said how many lines it may take at most."""
    lines = hanging(text, width)

    assert max(map(columns, lines)) <= width
    assert "".join(text.split(" ")) == "".join("".join(line.split(" ")) for line in lines)
    assert [text] == hanging(text, None)
    cut = hanging(text, width, most=2)
    assert len(cut) <= 2
    assert cut == lines or cut[-1].endswith("…")


@given(LINES, st.integers(2, 30))
def test_wrapped_words_fit_and_none_is_lost(text: str, width: int) -> None:
    """Words longer than a line are broken; all else is as it was, but for blanks between lines."""
    lines = wrapped(text, width)

    assert max(map(columns, lines)) <= width
    assert text.replace(" ", "") == "".join(lines).replace(" ", "")
    if all(columns(word) <= width for word in text.split(" ")):
        assert text == " ".join(lines)


@given(st.lists(st.tuples(LINES, LINES), min_size=1), st.integers(60, 120))
def test_the_last_column_of_a_table_is_broken_to_fit(
    rows: list[tuple[str, str]], width: int
) -> None:
    """What stands before it is whole, however long it is."""
    whole = table(("NAME", "ABOUT"), rows).splitlines()
    lines = table(("NAME", "ABOUT"), rows, width=width).splitlines()
    first = max(columns(line[0]) for line in [("NAME",), *((one_line(a),) for a, _ in rows)])

    assert all(columns(line) <= max(width, first) for line in lines)
    if max(map(columns, whole)) <= width:
        assert whole == lines
    joined = "".join(lines).replace(" ", "")
    assert all(one_line(about).replace(" ", "")[:10] in joined for _, about in rows)


def test_a_column_without_room_stands_below_its_line() -> None:
    """Twenty lines of two words each are not read by anybody."""
    rows = [("n" * 40, "x" * 8, "the words that describe it"), ("short", "y", "")]

    assert [
        f"{'NAME':40}  WHAT",
        f"{'n' * 40}  {'x' * 8}",
        "    the words that describe it",
        f"{'short':40}  y",
    ] == table(("NAME", "WHAT", "ABOUT"), rows, width=60).splitlines()
