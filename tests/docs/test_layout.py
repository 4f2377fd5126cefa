"""What CONTRIBUTING.md says of the map holds for every file: who looks for one finds it by `ls`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "maverick"
MOST_MODULES = 14
MOST_LINES = 500
MODULES = [
    path
    for path in SOURCES.rglob("*.py")
    if path.stem != "__init__" and path.parent != SOURCES / "cli" / "commands"
]
"""But the commands, which are many and named for what a person types."""


def test_no_folder_is_a_crowd() -> None:
    counts = Counter(path.parent.relative_to(SOURCES).as_posix() for path in MODULES)

    assert [] == [folder for folder, count in counts.items() if count > MOST_MODULES]


def test_no_two_modules_have_one_name() -> None:
    """`files.py` in five folders says five times nothing."""
    names = Counter(path.stem for path in MODULES)

    assert [] == [name for name, count in names.items() if count > 1]


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES.rglob("*.py")}

    assert [] == [str(path) for path, count in lines.items() if count > MOST_LINES]
