"""The pytest plugin: the fixture `maverick`, and what runs came to beside the tests that fail.

pytest loads it in every project where maverick is installed, so it imports nothing until a test
asks for the fixture.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from os import PathLike
    from typing import Any, Unpack

    from maverick.testing.harness import Options, Rehearsed

_HARNESS = "maverick.testing.harness"


class Maverick:
    """What the fixture `maverick` is."""

    def __init__(self) -> None:
        self._runs: list[Rehearsed] = []

    def run_workflow(
        self,
        path: str | PathLike[str],
        inputs: Mapping[str, object] | None = None,
        **options: Unpack[Options],
    ) -> Rehearsed:
        """Do what `maverick.testing.run_workflow` does, which explains the options.

        The scratch project stays until the test has ended.
        """
        __tracebackhide__ = True
        from maverick.testing.harness import run_workflow  # noqa: PLC0415 - see above

        rehearsed = run_workflow(path, inputs, **options)
        self._runs.append(rehearsed)
        return rehearsed


@pytest.fixture
def maverick() -> Maverick:
    """Run workflows in scratch projects: `maverick.run_workflow(path, inputs, agents={…})`."""
    return Maverick()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Add what its runs came to to the report of a test that fails, whoever started them."""
    report: pytest.TestReport = (yield).get_result()
    harness = sys.modules.get(_HARNESS)
    if harness is None:
        return
    if report.failed:
        report.sections += [(f"maverick {run}", summary) for run, summary in harness.summaries]
    if report.when == "teardown":
        harness.summaries.clear()
