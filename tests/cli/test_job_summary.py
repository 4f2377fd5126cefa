"""The summary of a run in Markdown: whatever a run holds is text in it."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.cli.jobs.job_summary import block, code
from maverick.visible import one_line

_TEXTS = st.text(st.sampled_from("ab `|\\<>&*_[]()!#@:/.~$\n\r\x1b-"), max_size=30) | st.text(
    max_size=30
)


@given(_TEXTS)
def test_a_text_in_a_table_is_that_text_and_nothing_else(text: str) -> None:
    """It ends no cell, opens no tag, and is what one reads."""
    shown = code(text)

    assert not re.search(r"[|\n\r]", shown)
    if shown.startswith("<code>"):
        inside = shown.removeprefix("<code>").removesuffix("</code>")
        assert re.fullmatch(r"(?:[^\W_]| |&#\d+;)*", inside)
        read = html.unescape(inside)
    else:
        read = shown[1:-1]
        assert "`" not in read
        assert "\\" not in read
        assert "<" not in read
    if "\ufffd" not in read and "\r" not in text:
        assert one_line(text) == read or len(one_line(text)) > 200


@given(st.text(st.sampled_from("`a\n~"), max_size=60))
def test_nothing_in_a_block_ends_it(text: str) -> None:
    lines = block(text).split("\n")

    fence = lines[0].removesuffix("text")
    assert lines[-2:] == [fence, ""]
    assert set(fence) == {"`"}
    assert not any(line.strip().startswith(fence) for line in lines[1:-2])
    assert text.rstrip() == "\n".join(lines[1:-2])


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=y>",
        "a|b",
        "`a` ``b``",
        "[x](javascript:y)",
        "@someone #1",
        "\\|",
        "",
        " ",
    ],
)
def test_hostile_texts_are_no_markup(text: str) -> None:
    assert not re.search(r"[|]|<(?!/?code>)", code(text))


@pytest.mark.parametrize("name", ["build", "work[0].do", "create_pr", "a-b.c", "flow-20261201-1-x"])
def test_names_of_steps_and_runs_stay_readable(name: str) -> None:
    assert f"`{name}`" == code(name)
