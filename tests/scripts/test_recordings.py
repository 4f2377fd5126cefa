"""A recording is a picture of what a terminal showed, and nothing that a browser would fetch or run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from kit.screens import Cell, Shot, Style

ROOT = Path(__file__).parents[2]
RECORDINGS: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "recordings.py"))
STORY = RECORDINGS["Story"]
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(picture).iter(f"{SVG}text")]


def row(text: str, style: Style | None = None) -> tuple[Cell, ...]:
    return tuple(Cell(letter, style or Style()) for letter in text)


def test_what_is_typed_and_printed_is_drawn() -> None:
    story = STORY({"a&b.txt": "<one> & two\n"}, ("cat 'a&b.txt'", "seq 3"), columns=40, rows=5)

    picture = RECORDINGS["svg"](story, RECORDINGS["record"](story))

    drawn = texts(picture)
    assert {"<one> & two", "$ cat 'a&b.txt'", "$ seq 3", "1", "2", "3"} <= set(drawn)
    typed = "$ cat 'a&b.txt'"
    assert any(typed.startswith(text) and "$" < text < typed for text in drawn), "key by key"


def test_each_frame_is_shown_for_as_long_as_it_stood() -> None:
    shots = [
        Shot(0.0, (row("a"),)),
        Shot(1.0, (row("b"),)),
        Shot(1.01, (row("c"),)),
        Shot(2.0, (row("c"),)),
        Shot(4.0, (row("d"),)),
    ]

    shown = RECORDINGS["frames"](shots)

    assert [(row("a"),), (row("c"),), (row("d"),)] == [rows for _, rows in shown]
    assert [1.0, 3.0] == [seconds for seconds, _ in shown[:-1]]


def test_colours_and_looks_are_those_of_the_terminal() -> None:
    story = STORY({}, (), columns=9, rows=1)
    line = (*row("red", Style(color="red", bold=True)), *row("inv", Style(reverse=True)))

    picture = ET.fromstring(RECORDINGS["svg"](story, [Shot(0.0, (line,))]))

    first, second = picture.iter(f"{SVG}text")
    assert ("#e06c75", "bold") == (first.get("fill"), first.get("font-weight"))
    assert first.get("fill") != second.get("fill")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "images").glob("*.svg")), ids=lambda it: it.name
)
def test_a_kept_recording_fetches_and_runs_nothing(path: Path) -> None:
    picture = path.read_text("utf-8")
    tree = ET.fromstring(picture)

    assert [] == [it for it in tree.iter() if it.tag.removeprefix(SVG) in {"script", "image", "a"}]
    assert [] == [
        value
        for it in tree.iter()
        for name, value in it.items()
        if name.startswith("on") or (name.endswith("href") and not value.startswith("#"))
    ]
    assert not re.search(r"@import|url\(", picture)
    assert len(picture) < 200_000


def test_every_recording_is_of_a_story_that_is_told() -> None:
    """A picture whose story has gone cannot be made again."""
    kept = {path.stem for path in (ROOT / "docs" / "images").glob("*.svg")}

    assert kept <= set(RECORDINGS["stories"]())
