"""Pages in headless Chromium. `scripts/test --browser` runs these tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from kit.browser import Browser, Opened, launched
from kit.runs import Runs
from maverick.checkpoints import Store
from maverick.views.report.writing import write_page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; a test is skipped where there is none."""
    with launched() as started:
        yield started


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[Opened, str], None]:
    """Keep a picture of a page, below MAVERICK_SCREENSHOTS where that is set."""
    folder = Path(os.environ.get("MAVERICK_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(opened: Opened, name: str) -> None:
        opened.page.screenshot(path=folder / f"{name}.png")

    return take


@pytest.fixture
def report(runs: Runs, tmp_path: Path) -> Callable[..., Path]:
    """Write the page of runs, by default of the newest one."""

    def write(*revisions: str, name: str = "report.html") -> Path:
        store = Store.open(runs.root / ".maverick" / "checkpoints")
        checkpoints = [store.resolve(revision) for revision in revisions or ["@latest"]]
        file = tmp_path / name
        write_page(runs.root, store, checkpoints, file, lambda value: value)
        return file

    return write


@pytest.fixture
def failed(runs: Runs) -> Runs:
    """A run with a loop, a branch, a log, and a step that failed at its second attempt."""
    runs.file(
        f"{runs.module}.py",
        (runs.root / f"{runs.module}.py").read_text()
        + dedent(
            """

            def load(count):
                \"\"\"Give a list.\"\"\"
                print("loading", count)
                return {"files": [{"name": f"part-{n}", "size": n} for n in range(count)]}
            """
        ),
    )
    runs.flow(
        """
        description: |
          Makes a book.
        inputs: {count: {type: integer, default: 25}}
        steps:
          - {name: load, type: python, action: load, kwargs: {count: "${{ inputs.count }}"}}
          - name: chapters
            type: loop
            for_each: ${{ steps.load.output.files }}
            max_concurrency: 4
            steps:
              - {name: convert, type: python, action: do, kwargs: {name: "${{ item.name }}"}}
          - name: choose
            type: branch
            options:
              - when: ${{ inputs.count > 100 }}
                step: {name: slow, type: shell, run: "true"}
            else: {name: quick, type: shell, run: "echo quick"}
          - {name: saved, type: checkpoint}
          - name: tests
            type: shell
            retry: {attempts: 2}
            run: |
              echo "FAILED test_title"
              echo "a warning" >&2
              exit 1
          - {name: publish, type: shell, run: "echo published"}
        """
    )
    execution = runs.start()
    assert "failed" == execution.status
    return runs
