"""From data to HTML: no data is more than data, and only what is ours runs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from maverick.views.report.rendering import _script, index, json_block, page
from maverick.views.signs import STEP_SIGNS

TEXTS = st.text(st.characters() | st.sampled_from("</>!-&\u2028\u2029\ud800"), max_size=60)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
HEAD = {
    "run": "",
    "workflow": "",
    "status": "done",
    "sign": "",
    "look": "done",
    "description": "",
    "facts": [],
    "error": "",
    "failed_at": "",
    "question": "",
    "notices": [],
    "resume": "",
    "notes": [],
    "shows_values": True,
    "files_count": None,
}


class _Reader(HTMLParser):
    """Gives the elements of a page, and the texts of its scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self._raw = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")
        if self._raw:
            self.inside.append("")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if self._raw:
            self.inside[-1] += data

    def texts(self, tag: str, kind: str | None = None) -> list[str]:
        raw = [each for each in self.elements if each[0] in ("script", "style")]
        return [
            text
            for (name, attributes), text in zip(raw, self.inside, strict=True)
            if name == tag and attributes.get("type") == kind
        ]


def _page(value: object, **head: object) -> str:
    return page([{**HEAD, **head}], [json_block("run-0", value)], title="t", made="now")


@given(VALUES)
@example("</script><script>alert(1)</script>")
@example("<!--<script>")
@example("\u2028\u2029\ud800&lt;")
def test_a_block_holds_what_it_was_given_and_ends_where_it_ends(value: object) -> None:
    reader = _Reader(_page(value))

    [text] = reader.texts("script", "application/json")
    assert value == json.loads(text)
    assert 2 == sum(tag == "script" for tag, _ in reader.elements)
    text.encode()  # What is no character could not be written.


@given(TEXTS)
def test_what_stands_on_top_is_text(text: str) -> None:
    plain, hostile = (
        _Reader(
            _page(
                None,
                run=each,
                workflow=each,
                description=each,
                facts=[(each, each)],
                error=each or "x",
                failed_at=each,
                question=each,
                notices=[each],
                resume=each,
                notes=[each],
            )
        )
        for each in ("x", text or "x")
    )

    assert [tag for tag, _ in plain.elements] == [tag for tag, _ in hostile.elements]


def test_only_the_script_and_the_style_of_the_page_are_allowed() -> None:
    reader = _Reader(_page({}))
    [policy] = [
        attributes["content"]
        for tag, attributes in reader.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}

    assert ["'none'"] == rules["default-src"] == rules["base-uri"] == rules["form-action"]
    assert [_hash(reader.texts("script")[0])] == rules["script-src"]
    assert [_hash(reader.texts("style")[0])] == rules["style-src"]
    assert ["data:"] == rules["img-src"]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_script_never_writes_markup_and_never_asks_the_network() -> None:
    script = _Reader(_page({})).texts("script")[0]

    assert [] == re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\("
        r"|XMLHttpRequest|WebSocket|import\(|https?://(?!www\.w3\.org/2000/svg)",
        script,
    )


def test_the_index_runs_nothing() -> None:
    row = {
        "run": "<b>",
        "file": "runs/<b>.html",
        "status": "done",
        "sign": "✓",
        "look": "done",
        "started": "",
        "time": "",
        "cost": "",
        "why": "</td><script>",
    }

    html = index([row], project="<i>", made="now")

    assert not {"script", "b", "i"} & {tag for tag, _ in _Reader(html).elements}
    assert "script-src 'none'" in html.replace("&#39;", "'")
    assert 'href="runs/%3Cb%3E.html"' in html


def test_the_page_has_the_signs_of_the_terminal() -> None:
    (line,) = re.findall("^const SIGNS = {(.*)};$", _script(), re.MULTILINE)

    assert dict(STEP_SIGNS) == dict(re.findall('(\\w+): "(.)"', line))
