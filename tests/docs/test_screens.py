"""The screen that recordings and tests of the display are made with shows what a terminal would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.screens import PLAIN, Screen, Style


def screen(data: str, columns: int = 10, rows: int = 3) -> Screen:
    made = Screen(columns, rows)
    made.feed(data.encode())
    return made


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("one\r\ntwo", "one\ntwo"),
        ("one\rO", "One"),
        ("one\btwo", "ontwo"),
        ("0123456789a", "0123456789a"),
        ("0123456789abcdefghijk\r\nb", "0123456789abcdefghijk\nb"),
        ("0123456789ab\x1b[A\r\x1b[Kc", "c\nab"),
        ("0123456789\r\nb", "0123456789\nb"),
        ("a\r\nb\r\nc\r\nd", "a\nb\nc\nd"),
        ("one\x1b[2D\x1b[K", "o"),
        ("one\x1b[2K\rtwo", "two"),
        ("one\x1b[1K", ""),
        ("a\r\nb\r\nc\x1b[2A\r\x1b[Jx", "x"),
        ("a\r\nb\x1b[1A\x1b[Bc", "a\nbc"),
        ("a\x1b[3Cb\x1b[1Gc", "c   b"),
        ("a\x1b[2;3Hb", "a\n  b"),
        ("abc\x1b[3D\x1b[Px", "xc"),
        ("a\tb", "a       b"),
        ("日本", "日本"),
        ("012345678日", "012345678 日"),
        ("e\u0301x", "e\u0301x"),
        ("\x1b]0;title\x07a\x1b]8;;x\x1b\\b\a", "ab"),
        ("\x1b[?25l\x1b[?2004h\x1b[?2026ha", "a"),
    ],
)
def test_text_stands_where_a_terminal_shows_it(data: str, text: str) -> None:
    assert text == screen(data).text()


@given(st.text(st.sampled_from("ab日\r\n\x1b[1A2K;m\t"), max_size=30).map(str.encode), st.data())
def test_it_does_not_matter_in_which_pieces_bytes_come(text: bytes, data: st.DataObject) -> None:
    whole, pieces = Screen(10, 3), Screen(10, 3)
    cut = data.draw(st.integers(0, len(text)))
    try:
        whole.feed(text)
    except AssertionError:
        return
    pieces.feed(text[:cut])
    pieces.feed(text[cut:])

    assert whole.text() == pieces.text()
    assert (whole.row, whole.column) == (pieces.row, pieces.column)


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("31", Style(color="red")),
        ("1;92", Style(color="bright green", bold=True)),
        ("38;5;9", Style(color="bright red")),
        ("38;5;202", Style(color="#ff5f00")),
        ("38;5;244", Style(color="#808080")),
        ("38;2;1;2;3;2", Style(color="#010203", dim=True)),
        ("41;39", Style(background="red")),
        ("1;2;22", PLAIN),
        ("7;4;27", Style(underline=True)),
        ("31;0", PLAIN),
        ("31;", PLAIN),
    ],
)
def test_colours_are_those_of_the_codes(codes: str, style: Style) -> None:
    assert style == screen(f"\x1b[{codes}mx").shown()[0][0].style


@pytest.mark.parametrize("data", ["\x1b[5n", "\x1bc", "\x1b[?1049h", "\x1b[58m", "\x0e"])
def test_what_it_does_not_know_it_refuses(data: str) -> None:
    """A screen that left something out would show less than a person sees."""
    with pytest.raises(AssertionError, match="does not know"):
        screen(data)
