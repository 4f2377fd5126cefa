"""Texts that try to be more than text where a graph or a page shows them."""

from __future__ import annotations

import pytest

HOSTILE = [
    'a"b',
    "a\\",
    "\\N \\G \\l",
    "&amp; &quot; &#34; <b>bold</b>",
    "<script>alert(1)</script>",
    '"] --> x["y',
    "end",
    "subgraph x",
    "%%{init: {}}%%",
    "click s1 call alert()",
    "#quot; #35; #x;",
    "`code` **bold** _it_ __it__",
    "1. one",
    "- one",
    "www.example.org and WWW.x.y",
    "https://example.org/?a=b&c",
    "fa:fa-user",
    "a\nb\rc\td",
    "\x1b[31mred\x07",
    "\u202eabc\u2028d",
    "\ud800",
    "ﬂ°°46¶ß",
    "style x:y #1;",
    "}; graph [label=x",
    "naïve 한국어 עברית 👩\u200d👩 e\u0301",
    "${{ inputs.a }}",
    "$" * 3,
    "x" * 500,
    "",
    " ",
]


@pytest.fixture
def hostile() -> list[str]:
    """What may stand in an expression, a description or a file's name."""
    return HOSTILE
