"""`fly` from end to end with the real Claude Code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.models_server import ModelServer, Say, Write
from kit.real import installed, node_environment
from kit.shipped import Workshop

pytestmark = pytest.mark.agents
TASKS = """\
## Phase 1: Begin

- [ ] write file-one

## Phase 2: Go on

- [ ] write file-two
"""
CONFIG = """\
agents:
  default: {provider: claude, timeout: 100s}
  generator: {provider: none}
validation:
  stages: {whole: test ! -e broken}
"""


@pytest.fixture
def flight(tmp_path: Path) -> Iterator[tuple[Workshop, ModelServer]]:
    """A project whose agents are all played by Claude."""
    if installed("claude") is None:
        pytest.fail("claude is not installed: run `scripts/test --agents`")
    shop = Workshop(tmp_path, hub=False)
    shop.repository.write("maverick.yaml", CONFIG)
    shop.repository.write("tasks.md", TASKS)
    shop.repository.git("commit", "-qam", "tasks")
    shop.repository.git("push", "-q")
    with ModelServer(shop.root).serving() as server:
        shop.environment |= node_environment(tmp_path / "home", server.url)
        shop.environment["GIT_CONFIG_GLOBAL"] = os.environ["GIT_CONFIG_GLOBAL"]
        yield shop, server


def test_phases_are_implemented_corrected_reviewed_and_handed_over(
    flight: tuple[Workshop, ModelServer],
) -> None:
    shop, server = flight
    server.play(
        "write file-one", Write("file-one", "1\n"), Write("broken", "\n"), Say("Wrote file-one.")
    )
    server.play("write file-two", Write("file-two", "2\n"), Say("Wrote file-two."))
    server.play("A validation stage of the project", Write("mended", "\n"), Say("Mended."))
    server.play("You review changes", Say('{"issues": [], "recommendation": "approve"}'))

    output = shop.done("fly", branch_name="feature", max_attempts=1)

    assert ("done", ["done", "done"]) == (
        output["status"],
        [each["status"] for each in output["phase_results"]],
    )
    assert ["Phase 2: Go on", "Phase 1: Begin"] == shop.remote.subjects("feature")[:2]
    assert (False, "approve", True) == (
        output["validation_passed"],
        output["review"],
        output["draft"],
    )
    assert (shop.root / output["pr_file"]).exists()


def test_an_agent_that_changes_nothing_is_no_success(flight: tuple[Workshop, ModelServer]) -> None:
    shop, server = flight
    server.play("write file-", Say("I could not do it: the edit was refused."))

    output = shop.done("fly", branch_name="feature")

    assert ("unchanged", False, None) == (output["status"], output["pushed"], output["pr_file"])
    said = [each["said"] for each in output["phase_results"]]
    assert ["I could not do it: the edit was refused."] * 2 == said
