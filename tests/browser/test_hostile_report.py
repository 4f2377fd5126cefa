"""A page of a run that was made to be more than text: nothing of it runs, and nothing leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.browser import Browser
from kit.runs import Runs
from maverick.checkpoints import Store

pytestmark = pytest.mark.browser
Report = Callable[..., Path]
HOSTILE = [
    "<script>alert('script')</script>",
    "</script><script>alert('end of a block')</script>",
    "<!--<script>",
    "]]>--></style></textarea></title><img src=x onerror=alert('image')>",
    '"><svg onload=alert("svg")><a href="javascript:alert(1)">a</a>',
    "' autofocus onfocus='alert(1)",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert('link')",
    '<iframe src="https://example.org/frame"></iframe>',
    '<link rel=stylesheet href="https://example.org/style.css">',
    "<style>* { background: url(https://example.org/ground) }</style>",
    '<meta http-equiv="refresh" content="0;url=https://example.org/">',
    "&lt;b&gt; &amp;#60;i&amp;#62;",
    "\u2028alert(1)\u2029",
    "\u202egnp.exe\u202c",
    "\x1b]0;title\x07\x1b[31mred\x1b[0m\x00",
    "__proto__",
    "constructor",
    "${alert(1)} `alert(1)`",
    "\\u003cscript\\u003e",
    "a\U0001f469\u200d\U0001f469 \ufdfd e\u0301",
]
ALLOWED = {
    *("A", "ARTICLE", "B", "BUTTON", "CODE", "DD", "DETAILS", "DIALOG", "DIV", "DL", "DT"),
    *("FIELDSET", "FOOTER", "FORM", "G", "H1", "H2", "H3", "HEADER", "INPUT", "KBD", "LABEL"),
    *("LEGEND", "LI", "LINE", "MAIN", "NOSCRIPT", "OPTION", "P", "PATH", "PRE", "RECT", "SECTION"),
    *("SELECT", "SMALL", "SPAN", "SUMMARY", "SVG", "TABLE", "TBODY", "TD", "TEXT", "TH", "THEAD"),
    *("TITLE", "TR", "UL"),
}
_FOUND = """
() => {
  const elements = [...document.body.querySelectorAll("*")].filter((each) => each.tagName !== "SCRIPT");
  const names = new Set(elements.map((each) => each.tagName.toUpperCase()));
  const acting = elements.flatMap((each) => [...each.attributes].filter((one) =>
    one.name.startsWith("on") || one.name === "style" || one.name === "src" || one.name === "srcdoc"
    || (one.name === "href" && !one.value.startsWith("#"))).map((one) => `${each.tagName} ${one.name}=${one.value}`));
  const scripts = [...document.scripts].filter((each) => each.type !== "application/json").length;
  return [[...names], acting, scripts];
}
"""


@pytest.fixture
def hostile_run(runs: Runs) -> Runs:
    """A run in which each text stands wherever a text of a run can stand."""
    texts = json.dumps(HOSTILE)
    runs.file(
        f"{runs.module}.py",
        f"""
import os
import sys

TEXTS = {texts!r}


def spread(given):
    import json
    texts = json.loads(TEXTS)
    for text in texts:
        print(text)
        print(text, file=sys.stderr)
    return {{"list": texts, "keys": {{text: text for text in texts}}, "long": "\\n".join(texts * 20)}}


def stop(given):
    import json
    raise ValueError("\\n".join(json.loads(TEXTS)))


def echo(given):
    print(given)
    name = "file " + given.replace("/", "_").replace("\\0", "_")[:60]
    with open(os.path.join(os.path.dirname(__file__), name), "w") as file:
        file.write(given + "\\n")
    return given
""",
    )
    description = json.dumps("\n".join(HOSTILE[:-1]), ensure_ascii=True)
    runs.flow(
        f"""
description: {description}
inputs: {{text: {{type: string}}, texts: {{type: array}}}}
checkpoints: {{workspace: step}}
notices:
  - {{when: true, message: "${{{{ inputs.text }}}}"}}
steps:
  - {{name: spread, type: python, action: spread, kwargs: {{given: "${{{{ inputs.text }}}}"}}}}
  - name: each
    type: loop
    for_each: ${{{{ inputs.texts }}}}
    key: ${{{{ item }}}}
    steps:
      - {{name: echo, type: python, action: echo, kwargs: {{given: "${{{{ item }}}}"}}, continue_on_error: true}}
  - {{name: mark, type: checkpoint, checkpoint_id: "${{{{ inputs.texts[0] }}}}"}}
  - name: stop
    type: python
    action: stop
    kwargs: {{given: "${{{{ inputs.texts }}}}"}}
    when: ${{{{ inputs.text != '<script>alert(1)</script>' }}}}
"""
    )
    texts_given = [text for text in HOSTILE if "\0" not in text]
    execution = runs.start(text=HOSTILE[1], texts=texts_given)
    assert "failed" == execution.status, execution.error
    return runs


def test_no_text_of_a_run_is_more_than_text(
    browser: Browser, hostile_run: Runs, report: Report
) -> None:
    """Names, keys, labels, outputs, logs, errors, files, descriptions: all of it is opened."""
    hostile_run.edit("action: stop", "action: spread")
    hostile_run.start(text=HOSTILE[3], texts=HOSTILE[:3])

    with browser.open(report("@{1}", "@latest")) as opened:
        page = opened.page
        page.evaluate(
            "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
        )
        for row in page.locator(".steps > ul > li > .row").all():
            if row.get_attribute("aria-expanded") == "false":
                row.click()
        for row in page.locator(".steps ul ul > li > .row").all():
            row.click()
        for row in page.locator(".steps ul ul ul > li > .row").all():
            row.click()
        for _ in range(3):
            opened.settle()
            page.evaluate(
                "document.querySelectorAll('article:not([hidden]) details').forEach((each) => { each.open = true; })"
            )
        opened.settle()
        names, acting, scripts = page.evaluate(_FOUND)

        assert set(names) <= ALLOWED
        assert ([], 1) == (acting, scripts)
        text = page.inner_text("body")
        for said in HOSTILE[:12]:
            assert said in text
        assert "\\u202egnp.exe" in text
        assert "49" not in page.inner_text(".about")
        assert not {"\u202e", "\u2028", "\x1b", "\x00"} & set(page.content().replace("\\u", ""))
        page.get_by_label("Search").first.fill("<script>")
        opened.settle()
        assert set(page.evaluate(_FOUND)[0]) <= ALLOWED


def test_nothing_but_its_own_script_runs_in_it(
    browser: Browser, hostile_run: Runs, report: Report
) -> None:
    """Should a text ever get in as markup, the policy of the page still stops it."""
    with browser.open(report(), is_quiet=False) as opened:
        page = opened.page
        ran = page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.ran = 'script'";
              document.body.append(script);
              const image = document.createElement("img");
              image.setAttribute("onerror", "window.ran = 'handler'");
              image.src = "https://example.org/picture.png";
              document.body.append(image);
              const frame = document.createElement("iframe");
              frame.src = "https://example.org/frame";
              document.body.append(frame);
              const link = document.createElement("a");
              link.href = "javascript:window.ran = 'link'";
              document.body.append(link);
              link.click();
              setTimeout("window.ran = 'timer'", 0);
              return window.ran;
            }"""
        )
        opened.settle()

        assert (None, None) == (ran, page.evaluate("window.ran ?? null"))
        assert any("Content Security Policy" in error for error in opened.errors)


def test_the_data_of_a_page_is_what_the_run_holds(
    browser: Browser, hostile_run: Runs, report: Report
) -> None:
    with browser.open(report()) as opened:
        inputs = opened.page.evaluate(
            "JSON.parse(document.getElementById('run-0').textContent).inputs"
        )

        store = Store.open(hostile_run.root / ".maverick" / "checkpoints")
        recorded = store.load("@latest").value("inputs")
        assert isinstance(recorded, dict)
        assert recorded["text"] == inputs["text"]
