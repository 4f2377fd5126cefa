"""What a reader types gives what the page shows: the examples of every page, from top to end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.pages import ROOT, Command, Page, commands

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


@pytest.fixture
def project() -> Iterator[Path]:
    """A project whose path is as short as one that a person works in: messages are cut to the
    terminal's width.
    """
    with tempfile.TemporaryDirectory(prefix="ada-") as home:
        folder = Path(home, "p")
        folder.mkdir()
        (folder / "maverick.yaml").touch()
        yield folder


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_what_is_typed_gives_what_is_shown(name: str, project: Path) -> None:
    """Each page is followed in an empty folder, as a newcomer would."""
    PAGES[name].follow(project)


def test_only_the_installation_cannot_be_typed_here() -> None:
    """A block that no test types may show what does not work."""
    elsewhere = {
        name: [command.line for command in commands(block.text)]
        for name, page in PAGES.items()
        for block in page.blocks
        if block.about == "elsewhere"
    }

    assert {
        "docs/tutorial.md": [
            "git clone <this repository> maverick",
            "maverick/scripts/venv",
            'export PATH="$PWD/maverick/.venv/bin:$PATH"',
        ]
    } == elsewhere


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
        ("w-20261201-052854-n2hu\n", "w-20270101-000000-aaaa\n", True),
        ("w-20261201-052854-n2hu\n", "v-20270101-000000-aaaa\n", False),
        ("done in 12 ms\n", "done in 1.5 s\n", True),
        ("done in 12 ms\n", "done in 12\n", False),
        ("a    1 s  b\n", "a  1.25 s  b\n", True),
        ("a b\n", "a  b\n", False),
        ("/home/ada/x.py:3\n", "/tmp/some-1/x.py:3\n", True),
        ("/home/ada/x.py:3\n", "/tmp/some-1/y.py:3\n", False),
        ("a reason that is lon…\n", "a reason that i…\n", True),
        ("a reason that is lon…\n", "another reason…\n", False),
    ],
)
def test_what_is_shown_is_compared(shown: str, printed: str, fits: bool) -> None:
    """A comparison that took everything would hold nothing."""
    assert fits == Command("x", shown).prints(printed)
