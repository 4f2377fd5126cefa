"""`Browser`: headless Chromium, which notes whatever a page does beyond being shown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HOW_TO_GET_IT = (
    "there is no Chromium: apt-get install chromium, or say with MAVERICK_CHROMIUM where one is"
)
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = [
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


def chromium() -> str:
    """Give the program; a test that needs it is skipped where there is none."""
    named = os.environ.get("MAVERICK_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found or not Path(found).exists():
        pytest.skip(f"{named} is not there" if named else HOW_TO_GET_IT)
    return found


@dataclass(slots=True)
class Opened:
    """A page that is open. `page` is playwright's."""

    page: Any
    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def nodes(self) -> int:
        """How many elements there are."""
        return int(self.page.evaluate("document.querySelectorAll('*').length"))

    def texts(self, selector: str) -> list[str]:
        """What the elements that can be seen say."""
        shown = [each for each in self.page.query_selector_all(selector) if each.is_visible()]
        return [each.inner_text() for each in shown]

    def click(self, place: Any) -> None:
        """Click on *place* (a locator, or what finds one), and wait for what comes of it."""
        found = self.page.locator(place) if isinstance(place, str) else place
        found.click()
        self.settle()

    def settle(self) -> None:
        """Wait until the page has made what was opened."""
        self.page.evaluate(
            "new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
        )

    def focused(self) -> str:
        """The text of what has the focus."""
        return str(self.page.evaluate("document.activeElement.innerText"))

    def press(self, *keys: str) -> None:
        """Press *keys*, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def row(self, name: str) -> Any:
        """The row of the step *name* that can be seen."""
        return self.page.locator(
            ".row:visible", has=self.page.locator(f".name b:text-is('{name}')")
        )


class Browser:
    """Opens pages. Whatever asks for anything but the page's own file is refused, and noted."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def open(
        self, file: Path, *, link: str = "", is_quiet: bool = True, **context: Any
    ) -> Iterator[Opened]:
        """Open *file*, at *link*; in the end no dialog came up, nothing was asked for, and (where
        it *is_quiet*) nothing was complained of.
        """
        settings: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, **context}
        own = file.resolve().as_uri()
        surroundings = self._browser.new_context(**settings)
        opened = Opened(surroundings.new_page())
        page = opened.page

        def route(request: Any) -> None:
            if request.request.url.partition("#")[0] == own:
                request.continue_()
            else:
                opened.requests.append(request.request.url)
                request.abort()

        def dismiss(dialog: Any) -> None:
            opened.dialogs.append(dialog.message)
            dialog.dismiss()

        page.route("**/*", route)
        page.on("dialog", dismiss)
        page.on("pageerror", lambda error: opened.errors.append(str(error)))
        page.on("console", lambda message: opened.errors.append(message.text))
        try:
            page.goto(own + link)
            page.wait_for_selector("html[data-ready]", state="attached")
            yield opened
            assert ([], []) == (opened.dialogs, opened.requests)
            assert not is_quiet or opened.errors == []
        finally:
            surroundings.close()


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium, and end it."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - few tests need it

    program = chromium()
    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield Browser(browser)
        finally:
            browser.close()
