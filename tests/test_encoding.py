"""Texts on their way to commands and back."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.encoding import encode, file_name, inherited, lines_of, name_text
from maverick.errors import StepFailed

_LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
_NOT_LINE_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029\r"


@given(
    st.lists(
        st.tuples(
            _LINE.filter(lambda line: not line.endswith("\r")), st.sampled_from(["\n", "\r\n"])
        )
    ),
    _LINE,
)
def test_lines_end_at_line_feeds_and_nowhere_else(ended: list[tuple[str, str]], last: str) -> None:
    r"""`\n` and `\r\n`; what follows the last of them is a line if there is any."""
    text = "".join(line + end for line, end in ended) + last

    assert [line for line, _ in ended] + ([last] if last else []) == lines_of(text)


@pytest.mark.parametrize("character", _NOT_LINE_ENDS)
def test_a_line_may_hold_what_python_takes_for_an_end(character: str) -> None:
    """Names of files, commit subjects, JSON; a progress bar repaints itself with lone carriage
    returns.
    """
    assert [f"one{character}two.txt", "three"] == lines_of(f"one{character}two.txt\nthree\n")


@given(st.binary().filter(lambda data: b"\0" not in data))
def test_names_of_files_come_back_as_the_same_bytes(name: bytes) -> None:
    assert name == encode(name_text(os.fsdecode(name)), "it")
    assert name == os.fsencode(file_name(name_text(os.fsdecode(name))))


def test_half_a_character_is_refused_by_its_name() -> None:
    with pytest.raises(StepFailed, match=r"the script holds U\+D800, which is half of a character"):
        encode("a\ud800", "the script")


def test_the_environment_is_read_as_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Python made of it by the locale."""
    monkeypatch.setitem(os.environb, b"MINE", "é✓".encode())

    assert "é✓" == inherited()["MINE"]
