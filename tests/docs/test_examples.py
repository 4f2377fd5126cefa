"""What a reader types gives what the page shows: the examples of every page, from top to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.pages import ROOT, Command, Page

DOCS = ROOT / "docs"
CONTRIBUTORS = {DOCS / "testing.md", DOCS / "style.md"}
"""Pages whose commands are those of this project itself."""
PAGES = {
    path.relative_to(ROOT).as_posix(): Page(path)
    for path in sorted({*DOCS.glob("*.md"), *DOCS.glob("howto/*.md")} - CONTRIBUTORS)
}
WITH_EXAMPLES = [
    name
    for name, page in PAGES.items()
    if any(block.language == "console" for block in page.blocks)
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_what_is_typed_gives_what_is_shown(name: str, tmp_path: Path) -> None:
    """Each page is followed in an empty folder, as a newcomer would."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "maverick.yaml").touch()

    PAGES[name].follow(project)


def test_what_cannot_be_typed_here_is_little() -> None:
    """A block that no test types may show what does not work."""
    elsewhere = [
        name for name, page in PAGES.items() for block in page.blocks if block.about == "elsewhere"
    ]

    assert [] == elsewhere


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("", "anything\n", True),
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("took … s\n", "took 3 s\n", True),
        ("took … s\n", "took 3 s\nb\n", False),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
        ("a\n…\nz\n", "b\nz\n", False),
    ],
)
def test_what_is_shown_is_compared(shown: str, printed: str, fits: bool) -> None:
    """A comparison that took everything would hold nothing."""
    assert fits == Command("x", shown).prints(printed)
