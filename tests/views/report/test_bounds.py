"""What of a value, a text or a log has room in a page."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.views.report.bounds import Budget, bounded, head_of, log_pieces, plain_text

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)
ANY = st.recursive(
    PLAIN | st.integers() | st.binary() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


@given(PLAIN)
def test_what_has_room_is_as_it_was(value: object) -> None:
    assert value == bounded(value)


@given(ANY, st.integers(0, 300))
def test_nothing_takes_more_than_its_room(value: object, most: int) -> None:
    """A page stays small whatever a step gives; the last entry may go over."""
    text = json.dumps(bounded(value, most), allow_nan=False)

    assert len(text) <= 10 * most + 2_000


def test_what_is_left_out_is_said_in_its_place() -> None:
    assert [1, 2, {"$left_out": "98 more"}] == bounded([1, 2, *range(98)], 20)[:3]
    assert {"$left_out": "2 more"} == bounded({"a": "x" * 50, "b": 1, "c": 2}, 40)["…"]
    assert bounded("x" * 1_000, 100).endswith("… 900 more characters")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2**53 + 1, {"$int": "9007199254740993"}),
        (1 << 20_000, {"$left_out": "an integer of 20,001 bits"}),
        (b"abc", {"$bytes": "3 bytes"}),
        (float("nan"), "nan"),
        ("\x1b[31m\u202e", "\\x1b[31m\\u202e"),
    ],
    ids=["integer", "long", "bytes", "nan", "escape"],
)
def test_a_browser_loses_nothing_and_obeys_nothing(value: object, shown: object) -> None:
    """JavaScript rounds integers beyond 2 ** 53."""
    assert shown == bounded(value)


def test_what_is_nested_without_end_is_cut() -> None:
    value: object = 1
    for _ in range(190):
        value = [value]

    assert "60 levels deep" in json.dumps(bounded(value))


def test_of_a_log_the_end_is_kept_in_the_order_in_which_it_was_written() -> None:
    pieces = [("stdout", b"a" * 90), ("stderr", b"b" * 5), ("stdout", b"c" * 9), ("stdout", b"d")]

    kept, left_out = log_pieces(pieces, 20)

    assert [("stdout", "a" * 10), ("stderr", "b" * 5), ("stdout", "c" * 9 + "d")] == kept
    assert {"stdout": 80} == left_out


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=30))))
def test_no_byte_of_a_log_is_lost_uncounted(pieces: list[tuple[str, bytes]]) -> None:
    _, left_out = log_pieces(pieces, 40)

    for stream in ("stdout", "stderr"):
        total = sum(len(data) for name, data in pieces if name == stream)
        assert max(total - 40, 0) == left_out.get(stream, 0)


def test_colours_are_taken_out_and_other_escapes_are_shown() -> None:
    assert "red\nplain \\x1b]0;title\\x07" == plain_text(
        b"\x1b[1;31mred\x1b[0m\r\nplain \x1b]0;title\x07"
    )
    assert "100 %" == plain_text(b"10 %\r50 %\r100 %")
    assert "\\xff" == plain_text(b"\xff")


def test_the_head_of_a_text_says_how_much_more_there_is() -> None:
    assert ("abc", "ab\n… 1 more characters") == (head_of("abc", 3), head_of("abc", 2))


def test_a_budget_is_spent_once() -> None:
    budget = Budget(10)

    assert [True, False, True, False] == [budget.take(each) for each in (6, 5, 4, 1)]
