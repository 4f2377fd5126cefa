"""The map in CONTRIBUTING.md is the one that the code has."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAP: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "map.py"))


def test_the_map_is_up_to_date() -> None:
    """A newcomer who goes by a stale map loses more time than one who has none."""
    assert MAP["page"]() == MAP["PAGE"].read_text("utf-8"), (
        "run `.venv/bin/python scripts/map.py --write`"
    )


def test_every_package_says_what_it_holds_in_one_short_sentence() -> None:
    """The table is made of docstrings, which must be there and may not grow into paragraphs."""
    top = ROOT / "src" / "maverick"
    packages = [*(path.parent for path in top.rglob("__init__.py")), *top.glob("[a-z]*.py")]
    sentences = {path: MAP["sentence"](path) for path in packages}

    assert len(packages) > 20
    assert [] == [path for path, text in sentences.items() if not 10 < len(text) <= 100]
    assert [] == [path for path, text in sentences.items() if not text.endswith(".")]


def test_every_layer_of_the_contracts_is_drawn() -> None:
    drawn = MAP["picture"]()
    names = [
        name.rpartition(f"{package}.")[2]
        for package, layers in MAP["contracts"]().items()
        for layer in layers
        for name in layer
    ]

    assert len(names) > 40
    assert [] == [name for name in names if name not in drawn]
