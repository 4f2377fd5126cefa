"""What docs/design.md promises names tests, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_names_a_test_that_exists() -> None:
    """A promise that nothing holds is a hope."""
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    section = text.partition("## What is promised, and which test holds it\n")[2].partition(
        "\n## "
    )[0]
    promises = [item.partition("\n\n")[0] for item in section.split("\n* ")[1:]]
    assert len(promises) >= 33

    for promise in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", promise)
        assert named, promise
        for file, name in named:
            source = (ROOT / file).read_text("utf-8")
            assert f"\ndef {name}(" in source if name else "\ndef test_" in source, (
                f"{file}::{name}"
            )
