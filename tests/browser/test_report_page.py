"""The page of a run, as its reader uses it: what it shows at once, clicks, keys, links, sizes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kit.agents import Agents
from kit.browser import Browser, Opened
from kit.runs import Runs

pytestmark = pytest.mark.browser
Report = Callable[..., Path]
Screenshot = Callable[[Opened, str], None]


def test_what_failed_is_open_and_in_view_at_once(
    browser: Browser, failed: Runs, report: Report, screenshot: Screenshot
) -> None:
    """The reader has five minutes: nothing is to be clicked to see why."""
    with browser.open(report()) as opened:
        panel = opened.page.locator(".panel.failed")
        box = panel.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900
        assert "Failed at tests" in panel.inner_text()
        assert "FAILED test_title" in panel.inner_text()
        assert "maverick resume" in panel.inner_text()
        assert "true" == opened.row("tests").get_attribute("aria-expanded")
        assert any("a warning" in text for text in opened.texts(".detail pre"))
        screenshot(opened, "failed")


def test_a_step_opens_where_it_stands_with_all_that_is_known_of_it(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report()) as opened:
        opened.row("load").click()

        assert ["Given", "Output", "Log", "Definition"] == [
            text.capitalize() for text in opened.texts("li:has(> .row:focus) .detail h3")
        ]
        shown = "\n".join(opened.texts("li:has(> .row:focus) .detail"))
        assert "inputs.count" in shown
        assert "loading 25" in shown
        assert "[ 25 items ]" in shown
        opened.row("load").click()
        assert [] == opened.texts("li:has(> .row:focus) .detail")


def test_an_attempt_that_failed_keeps_its_log(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report()) as opened:
        assert "2 attempts" in opened.row("tests").inner_text()
        before = opened.texts(".detail pre")
        opened.click(opened.page.locator("summary", has_text="attempt 1"))

        assert 1 == sum("FAILED test_title\n" in text for text in before)
        assert 2 == sum("FAILED test_title\n" in text for text in opened.texts(".detail pre"))


def test_a_long_loop_is_folded_to_what_a_reader_looks_for(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report()) as opened:
        opened.row("chapters").click()
        assert "25 done" in opened.row("chapters").inner_text()
        assert 1 == len(opened.texts(".steps ul ul > li > .row"))

        opened.page.get_by_role("button", name="Show all 25").click()

        rows = opened.texts(".steps ul ul > li > .row")
        assert 25 == len(rows)
        assert "part-24" in rows[-1]


def test_a_link_leads_to_a_step_however_deep(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report(), link="#step=chapters%5B17%5D.convert") as opened:
        assert "true" == opened.row("convert").get_attribute("aria-expanded")
        assert '"part-17"' in "\n".join(opened.texts(".detail .value"))

        opened.row("load").click()
        assert "#step=load" == opened.page.evaluate("location.hash")
        opened.page.evaluate("location.hash = '#step=publish'")
        assert "true" == opened.row("publish").get_attribute("aria-expanded")


@pytest.mark.parametrize("link", ["#step=none", "#step=%E0%A4%A", "#step=", "#nowhere"])
def test_a_link_to_nothing_shows_the_page(
    browser: Browser, failed: Runs, report: Report, link: str
) -> None:
    with browser.open(report(), link=link) as opened:
        assert ["flow"] == opened.texts("h1")
        assert opened.row("load").is_visible()


def test_it_can_be_read_with_the_keyboard_alone(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report()) as opened:
        opened.press("j")
        assert "load" in opened.focused()
        opened.press("Enter")
        assert "true" == opened.row("load").get_attribute("aria-expanded")
        opened.press("Escape")
        assert "false" == opened.row("load").get_attribute("aria-expanded")

        opened.press("ArrowDown", "l", "j")
        assert "part-" in opened.focused()
        opened.press("h")
        assert "chapters" in opened.focused()
        opened.press("h")
        assert "false" == opened.row("chapters").get_attribute("aria-expanded")

        opened.press("f")
        assert "tests" in opened.focused()
        opened.press("/")
        opened.page.keyboard.type("quick")
        assert ["choose.quick"] == opened.texts(".steps .row b")
        opened.press("ArrowDown", "Enter")
        assert "quick" in "\n".join(opened.texts(".detail pre"))
        opened.press("/", "Escape")
        assert "load" in opened.texts(".steps .row b")

        opened.press("?")
        assert opened.page.locator("dialog").is_visible()
        opened.press("Escape")
        assert not opened.page.locator("dialog").is_visible()


def test_everything_that_has_the_focus_shows_it(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report()) as opened:
        for _ in range(12):
            opened.press("Tab")
            ring = opened.page.evaluate(
                "(() => { const s = getComputedStyle(document.activeElement);"
                " return [s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
            )
            assert ring == ["solid", 2], opened.focused()


def test_steps_can_be_searched_and_filtered(browser: Browser, failed: Runs, report: Report) -> None:
    with browser.open(report()) as opened:
        opened.page.get_by_role("button", name="1 failed").click()
        assert ["tests"] == opened.texts(".steps .row b")
        opened.page.get_by_role("button", name="1 failed").click()
        opened.page.get_by_label("Search").fill("CONVERT")
        assert ["25 steps found"] == opened.texts(".steps .note")


def test_the_timeline_shows_what_ran_beside_what_and_leads_to_it(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report()) as opened:
        label = opened.page.locator(".timeline svg").get_attribute("aria-label")
        assert label is not None
        assert "steps, up to" in label

        bar = opened.page.locator(
            ".timeline .bar", has=opened.page.locator("title", has_text="load")
        )
        bar.first.dispatch_event("click")

        assert "true" == opened.row("load").get_attribute("aria-expanded")


def test_the_graph_has_each_step_and_leads_to_it(
    browser: Browser, failed: Runs, report: Report, screenshot: Screenshot
) -> None:
    with browser.open(report()) as opened:
        opened.click(opened.page.locator("summary", has_text="Graph"))
        words = " ".join(opened.page.locator(".graph text").all_text_contents())

        for said in ("✓ load", "25 done", "✗ tests", "● saved", "[inputs.count > 100] slow"):
            assert said in words
        opened.page.locator(".graph g[data-step='choose.quick']").click()
        assert "true" == opened.row("quick").get_attribute("aria-expanded")
        opened.page.locator(".graph").scroll_into_view_if_needed()
        screenshot(opened, "graph")


def test_an_agent_shows_its_prompt_and_what_it_cost(
    browser: Browser, agents: Agents, report: Report, screenshot: Screenshot
) -> None:
    assert "done" == agents.ask("claude").status

    with browser.open(report()) as opened:
        assert "$0.01" in opened.row("ask").inner_text()
        assert ["Cost", "$0.01"] in [text.split("\n") for text in opened.texts(".facts div")]
        opened.row("ask").click()
        opened.click(opened.page.locator("h3:text-is('Prompt') + details summary"))

        assert "Write it" in "\n".join(opened.texts("h3:text-is('Prompt') + details pre"))
        assert "claude" in "\n".join(opened.texts("h3:text-is('Agent') + div"))
        screenshot(opened, "agent")


def test_files_show_as_differences(browser: Browser, runs: Runs, report: Report) -> None:
    runs.flow(
        """
        checkpoints: {workspace: step}
        steps:
          - {name: one, type: shell, run: "echo b > text.txt; head -c 9 /dev/zero > binary"}
          - {name: two, type: shell, run: "echo c > text.txt"}
        """
    )
    runs.start()

    with browser.open(report()) as opened:
        opened.row("two").click()
        opened.click("li:has(> .row[aria-expanded=true]) .change summary")

        assert ["-b", "+c"] == [
            line
            for line in opened.texts("li:has(> .row[aria-expanded=true]) .diff span")
            if line[0] in "+-"
        ]
        opened.page.locator("summary", has_text="Files").first.click()
        assert "2 changed" in opened.page.locator("summary", has_text="Files").first.inner_text()


def test_the_run_before_stands_beside_it(browser: Browser, failed: Runs, report: Report) -> None:
    failed.edit("exit 1", "exit 0")
    failed.start()

    with browser.open(report()) as opened:
        opened.click(opened.page.locator("summary", has_text="Compared with"))
        table = "\n".join(opened.texts("[data-part=before] table"))
        differs = opened.texts("[data-part=before] .change")

        assert ("failed" in table, "done" in table) == (True, True)
        assert any("steps.tests.status" in text and '"done"' in text for text in differs)
        opened.row("tests").click()
        detail = "\n".join(opened.texts("li:has(> .row[aria-expanded=true]) .detail"))
        assert "in the run before: failed" in detail
        assert "steps.tests.status" in detail


def test_several_runs_share_a_page(browser: Browser, failed: Runs, report: Report) -> None:
    failed.edit("exit 1", "exit 0")
    failed.start()

    with browser.open(report("@latest", "@{1}")) as opened:
        assert ["done"] == [text.splitlines()[-1].strip("✓ ") for text in opened.texts(".chip")]
        opened.page.get_by_label("Run", exact=True).select_option(index=1)
        assert ["failed"] == [text.splitlines()[-1].strip("✗ ") for text in opened.texts(".chip")]
        opened.press("f")
        assert "tests" in opened.focused()


# --- how it looks ---------------------------------------------------------------------------------

_CONTRASTS = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const bad = [];
  let looked = 0;
  for (const element of document.querySelectorAll("main *, footer *, .pick *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("[aria-hidden=true]")) continue;
    const style = getComputedStyle(element);
    const isDrawn = element instanceof SVGElement;
    const below = isDrawn && element.parentElement.querySelector("rect") && element.classList.contains("name")
      ? parse(getComputedStyle(element.parentElement.querySelector("rect")).fill) : ground(element);
    const text = over(parse(isDrawn ? style.fill : style.color), below);
    const [high, low] = [light(text), light(below)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    looked += 1;
    if (ratio < 4.5) bad.push(`${element.tagName}.${element.className.baseVal ?? element.className}: ${ratio.toFixed(2)}`);
  }
  return [looked, [...new Set(bad)]];
}
"""


def _open_much(opened: Opened) -> None:
    opened.page.evaluate(
        "document.querySelectorAll('details.section').forEach((each) => { each.open = true; })"
    )
    for name in ("load", "chapters", "choose", "quick"):
        opened.row(name).click()
    opened.page.evaluate(
        "document.querySelectorAll('.detail details').forEach((each) => { each.open = true; })"
    )
    opened.settle()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_both_schemes(
    browser: Browser, failed: Runs, report: Report, screenshot: Screenshot, scheme: Any
) -> None:
    """WCAG AA asks for a contrast of 4.5 : 1."""
    failed.edit("exit 1", "exit 3")
    failed.start()

    with browser.open(report("@latest", "@{1}"), color_scheme=scheme) as opened:
        _open_much(opened)
        looked, bad = opened.page.evaluate(_CONTRASTS)

        assert looked > 150
        assert [] == bad
        screenshot(opened, scheme)


def test_it_fits_a_telephone(
    browser: Browser, failed: Runs, report: Report, screenshot: Screenshot
) -> None:
    screen = {"width": 360, "height": 740}
    with browser.open(report(), viewport=screen, has_touch=True, is_mobile=True) as opened:
        _open_much(opened)

        assert 360 == opened.page.evaluate("document.documentElement.scrollWidth")
        heights = opened.page.evaluate(
            "[...document.querySelectorAll('.row')].map((row) => row.offsetHeight)"
        )
        assert min(heights) >= 40
        screenshot(opened, "telephone")


def test_nothing_moves_for_those_who_asked_for_that(
    browser: Browser, failed: Runs, report: Report
) -> None:
    with browser.open(report(), reduced_motion="reduce") as opened:
        moving = opened.page.evaluate(
            "[...document.querySelectorAll('*')].filter((each) => {"
            " const style = getComputedStyle(each);"
            " return style.transitionDuration !== '0s' || style.animationName !== 'none'"
            " || style.scrollBehavior === 'smooth'; }).length"
        )

        assert 0 == moving


def test_its_structure_can_be_heard(browser: Browser, failed: Runs, report: Report) -> None:
    """A screen reader goes by headings, landmarks, names and states."""
    with browser.open(report()) as opened:
        _open_much(opened)
        page = opened.page
        levels = page.evaluate(
            "[...document.querySelectorAll('main h1, main h2, main h3')].map((each) => Number(each.tagName[1]))"
        )
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, input, select, a, summary')].filter((each) =>"
            " !each.innerText.trim() && !each.labels?.length && !each.textContent.trim())"
            ".map((each) => each.outerHTML)"
        )
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
        drawn = page.evaluate(
            "[...document.querySelectorAll('svg')].filter((each) =>"
            " !each.hasAttribute('aria-hidden') && !each.getAttribute('aria-label')).length"
        )

        assert 1 == levels.count(1)
        assert max(now - before for before, now in pairwise(levels)) <= 1
        assert ([], 0) == (unnamed, drawn)
        assert len(ids) == len(set(ids))
        assert "en" == page.evaluate("document.documentElement.lang")
        assert [1, 1, 1] == [
            page.locator(each).count() for each in ("main", "footer", "section[aria-label=Steps]")
        ]
        assert "failed: tests" in opened.row("tests").text_content()


# --- much -----------------------------------------------------------------------------------------


def test_of_a_thousand_steps_only_those_in_sight_are_made(
    browser: Browser, runs: Runs, report: Report
) -> None:
    """It opens in a second because what is not looked at costs nothing."""
    bad = "{name: bad, type: python, action: fail, kwargs: {name: bad}}"
    lines = [
        f"- {{name: s{n}, type: python, action: give, kwargs: {{output: [{n}]}}}}"
        for n in range(1000)
    ]
    lines.insert(777, f"- {bad}")
    runs.flow("\n".join(lines))
    runs.start()

    with browser.open(report(), link="#step=s5") as opened:
        assert opened.nodes < 3_500
    with browser.open(report()) as opened:
        assert opened.row("bad").is_visible()
        assert opened.nodes < 3_500
        details = opened.page.locator("script[type='application/json']").count()
        assert details > 778

        opened.page.get_by_label("Search").fill("s77")
        assert ["11 steps found"] == opened.texts(".steps .note")
        assert opened.nodes < 4_000


def test_the_end_of_a_long_list_is_reached_with_the_keyboard(
    browser: Browser, runs: Runs, report: Report
) -> None:
    runs.flow(
        "\n".join(
            f"- {{name: s{n}, type: python, action: give, kwargs: {{output: {n}}}}}"
            for n in range(120)
        )
    )
    runs.start()

    with browser.open(report()) as opened:
        opened.press(*["j"] * 120)

        assert "s119" in opened.focused()
