"""What the pages link to and name is there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from kit.pages import ROOT, Page

PAGES = list(runpy.run_path(str(ROOT / "scripts" / "prose.py"))["pages"]())
PATH = re.compile(r"(?:tests|scripts|src/maverick|docs|examples|requirements|\.github)/[\w./-]*\w")


def without_code(text: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    """A link that leads nowhere is a promise not kept."""
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", without_code(page.read_text("utf-8"))):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page

        assert target.exists(), link
        assert not heading or heading in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_is_named_exists(page: Path) -> None:
    """Files move, and a page that names the old place sends its reader astray."""
    if page.name == "CHANGELOG.md":  # What it tells of is past.
        return
    code = " ".join(re.findall(r"`([^`]+)`", without_code(page.read_text("utf-8"))))
    written = {block.about for block in Page(page).blocks}  # The reader makes these files.
    named = [path for path in PATH.findall(code) if "NAME" not in path and path not in written]

    assert [] == [path for path in named if not (ROOT / path).exists()]
