"""Text that a terminal shows and does not obey."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maverick.visible import Shown, last_lines, last_states, one_line, shown, visible, visible_json

OBEYED = "".join(
    map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F)])
)
OBEYED += "".join(map(chr, range(0x2066, 0x206A))) + "\u2028\u2029"
READABLE = [
    "naïve ﬁ",
    "한국어 עברית",
    "e\u0301",
    "👩\u200d👩\u200d👧 ❤\ufe0f",
    "a\u00a0b\u3000c\u00ad",
    "\ue0b0",
    "क्\u200dष",
]
ANY = st.text(st.characters() | st.sampled_from(OBEYED))


@given(ANY)
@example(OBEYED)
def test_no_text_moves_the_cursor_or_colours_anything(text: str) -> None:
    assert not set(visible(text)) & set(OBEYED) - {"\n", "\t"}
    assert not set(one_line(text)) & set(OBEYED)


@pytest.mark.parametrize("text", READABLE)
def test_text_of_any_script_stays_readable(text: str) -> None:
    """Python's own `isprintable` would escape spaces, joiners and icons."""
    assert (text, text) == (visible(text), one_line(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\rc", "a\nb\\rc"),
        ("a\u202eb", "a\\u202eb"),
        ("\udc80", "\\udc80"),
        ("a\tb\nc", "a\tb\nc"),
    ],
)
def test_what_is_escaped_is_said_as_python_does(text: str, expected: str) -> None:
    assert expected == visible(text)


@given(
    st.recursive(
        ANY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3)
    )
)
@example(OBEYED)
def test_json_says_the_same_value_without_anything_that_a_terminal_obeys(value: object) -> None:
    text = visible_json(json.dumps(value, ensure_ascii=False, indent=2))

    assert value == json.loads(text)
    assert not set(text) & set(OBEYED) - {"\n"}


def test_only_what_is_shown_already_keeps_its_colours() -> None:
    """Whoever joins texts cannot forget to make one visible."""
    ours = Shown("\x1b[32mdone\x1b[0m")

    assert "\x1b[32mdone\x1b[0m \\x1b[31m" == shown(ours, " ", "\x1b[31m")
    assert "\\x1b[32mdone\\x1b[0m" == shown(ours + "")
    assert ours is not shown(ours)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10 %\r20 %\r100 %\ndone", "100 %\ndone"),
        ("line\r\n", "line\n"),
        ("100 %\r     \r", "100 %"),
        ("\r", ""),
        ("plain", "plain"),
        ("one\u2028two\x0cthree", "one\u2028two\x0cthree"),
    ],
)
def test_of_a_line_that_is_painted_again_the_last_state_counts(text: str, expected: str) -> None:
    assert expected == last_states(text)


def test_repaints_do_not_push_the_reason_out() -> None:
    """A progress bar is one line, however often it is painted."""
    text = "reason: no foo.h\r\n" + "\r".join(f"{n} %" for n in range(100)) + "\n"

    assert ["reason: no foo.h", "99 %"] == last_lines(text, 12)
    assert [] == last_lines(" \r\n", 12)


@given(ANY)
def test_the_last_lines_are_no_more_than_asked_for(text: str) -> None:
    lines = last_lines(text, 3)

    assert len(lines) <= 3
    assert not re.search(r"[\r\n]", "".join(lines))
