"""The index of docs/testing.md leads to tests; `scripts/check` holds that it is up to date."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INDEX: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "test_index.py"))


def test_every_word_of_the_language_has_a_test() -> None:
    index = INDEX["index"]()

    assert len(index) == 10
    assert sum(map(len, index.values())) > 180
    assert [] == [word for words in index.values() for word, files in words.items() if not files]


def test_a_file_that_is_named_for_a_word_comes_first() -> None:
    fields = INDEX["index"]()["Fields of steps"]

    assert "tests/runs/test_retries.py" == fields["retry"][0]
    assert "tests/dsl/engine/test_loops.py" == fields["for_each"][0]


def test_where_prints_definitions_and_tests() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "where", "power", "cut"], capture_output=True, text=True, check=True
    )

    assert "defined\ntested\n  tests/crash/test_power_cuts.py:" in done.stdout
    names = ("", "_of_appending", "_of_collecting")
    files = [f"  tests/crash/test_power_cuts{name}.py" for name in names]
    assert files == done.stdout.splitlines()[-3:]
