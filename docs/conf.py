"""The site: what Sphinx makes of the pages. `scripts/docs` builds it.

The folder of the sources is the project's root, so a page may link to any other one, and the same
links work on the disk, in a clone's browser and here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pygments.lexer import RegexLexer
from pygments.token import Name, Operator, Text

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project = "maverick"
author = "the maverick authors"
copyright = author  # noqa: A001 - Sphinx's name for it.
release = re.findall(r'__version__ = "(.+)"', (ROOT / "src/maverick/__init__.py").read_text())[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
LEADING = {root_doc, "docs/howto/index", "docs/decisions/README"}
"""The pages that lead to others."""
include_patterns = [
    "docs/**.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "RELEASING.md",
    "SECURITY.md",
    "examples/*/README.md",
    "tests/golden/README.md",
]
exclude_patterns = [".[a-z]*", "build", "dist", "src", "requirements", "**/__pycache__"]

myst_heading_anchors = 4  # The anchors of GitHub.
myst_links_external_new_tab = False
nitpicky = True
highlight_language = "text"
# Many examples are cut short, or have `${{ … }}` in them: they are painted as well as they can be.
suppress_warnings = ["misc.highlighting_failure"]
default_role = "code"  # In docstrings.
autodoc_typehints = "signature"
nitpick_ignore_regex = [("py:.*", ".*")]  # Types of annotations, most of which have no page.

html_theme = "furo"
html_title = f"maverick {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}


class Expressions(RegexLexer):
    """Lines of `expression -> value`."""

    name = "expressions"
    aliases = ("expressions",)
    tokens = {"root": [(r"->", Operator), (r'"[^"\n]*"', Name), (r".|\n", Text)]}  # noqa: RUF012


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """Make the lists of links on the pages that lead to others the site's navigation, each section
    under its heading.

    So these pages hold nothing but Markdown.
    """
    if page not in LEADING:
        return
    for section in re.split(r"^## ", source[0], flags=re.MULTILINE):
        heading = section.partition("\n")[0] if page == root_doc else ""
        if links := re.findall(r"^[*] \[[^]]*\]\(([^)#:]+)\.md\)", section, re.MULTILINE):
            caption = [f":caption: {heading}"] if heading else []
            lines = ["```{toctree}", ":hidden:", *caption, "", *links, "```"]
            source[0] += "\n" + "\n".join(lines) + "\n"


def setup(app: Sphinx) -> None:
    """Name what the pages use beyond Sphinx's own."""
    app.add_lexer("expressions", Expressions)
    app.connect("source-read", add_navigation)
