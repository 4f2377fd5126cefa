"""Pictures of the documentation: MAVERICK_SCREENSHOTS=docs/images scripts/test --browser -k
pictures makes them anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.browser import Browser, Opened
from kit.runs import Runs

pytestmark = pytest.mark.browser
Report = Callable[..., Path]
Screenshot = Callable[[Opened, str], None]
BOOK = """
version: "1.0"
name: book
description: |
  Turns chapters into a book: converts each (three at a time), puts them together, and tests the result.
inputs:
  chapters: {type: array, default: [a-start, the-road, the-river, a-storm, home]}
steps:
  - {name: fonts, type: shell, run: "sleep 0.12; echo 12 fonts"}
  - name: chapters
    type: loop
    for_each: ${{ inputs.chapters }}
    max_concurrency: 3
    steps:
      - {name: convert, type: shell, run: "sleep 0.${{ index + 2 }}; echo \\"${{ quote(item) }}.html\\""}
      - {name: spell, type: shell, run: "sleep 0.15; echo no mistakes"}
  - {name: converted, type: checkpoint}
  - {name: merge, type: shell, run: "sleep 0.2; echo book.html"}
  - name: tests
    type: shell
    retry: {attempts: 2}
    run: |
      sleep 0.2
      echo "tests/test_book.py ....F"
      echo "FAILED tests/test_book.py::test_title - assert 'The book' == 'A book'"
      echo "DeprecationWarning: pkg_resources is deprecated" >&2
      exit 1
  - {name: publish, type: shell, run: "echo published"}
"""


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("report-dark", {"viewport": {"width": 1100, "height": 860}, "color_scheme": "dark"}),
        ("report-telephone", {"viewport": {"width": 390, "height": 780}, "is_mobile": True}),
    ],
)
def test_pictures_show_a_run_that_failed(
    browser: Browser,
    runs: Runs,
    report: Report,
    screenshot: Screenshot,
    name: str,
    context: dict[str, Any],
) -> None:
    runs.flow(BOOK)
    runs.start()

    with browser.open(report(), **context) as opened:
        assert ["book"] == opened.texts("h1")
        screenshot(opened, name)
