"""A link that leads nowhere is found on the built pages."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SITE_LINKS: dict[str, Any] = runpy.run_path(
    str(Path(__file__).parents[2] / "scripts" / "site_links.py")
)


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("other.html", None),
        ("other.html#part", None),
        ("folder/", None),
        ("#here", None),
        ("https://example.org/x", None),
        ("mailto:ada@example.org", None),
        ("other.html?x=1#part", None),
        ("folder/picture%20one.svg", None),
        ("gone.html", "page.html: there is no gone.html"),
        ("other.html#gone", "page.html: other.html#gone has no such anchor"),
        ("#gone", "page.html: #gone has no such anchor"),
        ("folder/gone.svg", "page.html: there is no folder/gone.svg"),
    ],
)
def test_a_link_leads_somewhere_or_is_named(link: str, problem: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "index.html").touch()
    (folder / "picture one.svg").touch()
    (tmp_path / "other.html").write_text('<h2 id="part">Part</h2>')
    (tmp_path / "page.html").write_text(f'<p id="here"><a href="{link}">a link</a>')

    assert ([problem] if problem else []) == list(SITE_LINKS["problems"](tmp_path))


@pytest.mark.parametrize("tag", ["<img src='gone'>", "<script src='gone'></script>"])
def test_so_is_a_picture_or_a_script_that_is_not_there(tag: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(tag)

    assert ["page.html: there is no gone"] == list(SITE_LINKS["problems"](tmp_path))
