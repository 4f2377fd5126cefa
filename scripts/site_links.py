"""Checks a built site: each link to a page, an anchor or a file of the site leads somewhere. Writes
the `index.html` that leads to its first page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FIRST = "docs/index.html"
_LINKS = {("a", "href"), ("img", "src"), ("link", "href"), ("script", "src"), ("object", "data")}


class _Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (tag, name) in _LINKS:
                self.links.append(value)
            elif value and (name == "id" or (tag, name) == ("a", "name")):
                self.anchors.add(value)


@cache
def _page(path: Path) -> _Page:
    return _Page(path.read_text("utf-8"))


def problems(site: Path) -> Iterator[str]:
    """What leads nowhere, each with its page."""
    for path in sorted(site.rglob("*.html")):
        for link in _page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{path.relative_to(site)}: there is no {link}"
            elif target.suffix == ".html" and unquote(parts.fragment) not in _page(target).anchors:
                yield f"{path.relative_to(site)}: {link} has no such anchor"


def main() -> None:
    """Check the site that the argument names."""
    site = Path(sys.argv[1])
    (site / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>maverick</title>'
        f'<meta http-equiv="refresh" content="0; url={FIRST}"><a href="{FIRST}">maverick</a>\n',
        "utf-8",
    )
    if found := list(problems(site)):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
