"""What the pages say to type is there: each command that they name, with its options."""

from __future__ import annotations

import re
import runpy
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kit.pages import ROOT, Page, commands
from maverick.cli.app import app

COMMANDS = {
    " ".join(words) for words in runpy.run_path(str(ROOT / "scripts/cli_docs.py"))["commands"]()
}
PAGES = [
    path
    for path in runpy.run_path(str(ROOT / "scripts/prose.py"))["pages"]()
    if path.name != "CHANGELOG.md"  # What it tells of is past.
]
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"(?:\w+=\S+ )*maverick (?:-C \S+ )?([a-z][a-z-]*(?: .*)?)$")


def typed(page: Page) -> list[str]:
    """The command lines of maverick that a page has, in blocks and in sentences."""
    lines = [
        part
        for block in page.blocks
        if block.language == "console"
        for command in commands(block.text)
        for part in re.split(r"[|;&\n]", command.line)
    ]
    lines += re.findall(r"`([^`]+)`", _FENCED.sub("", page.text))
    found = (_LINE.match(" ".join(line.split())) for line in lines)
    return [match[1] for match in found if match]


def problems(line: str) -> list[str]:
    """What is wrong with a command line; `checkpoint …` and `show|cat` stand for several."""
    words = line.split()
    command = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    if command not in COMMANDS:
        return [f"there is no {line}"]
    if command in {"checkpoint", "workflow"} and re.match(r"[a-z]+$", " ".join(words[1:2])):
        return [f"there is no {line}"]
    options = re.findall(r" (--[a-z][a-z-]*)", line)
    return [f"{line}: no {option}" for option in options if option not in _options(command)]


@cache
def _options(command: str) -> set[str]:
    shown = CliRunner().invoke(app, [*command.split(), "--help"]).output
    return set(re.findall(r"--[a-z][a-z-]*", shown))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_is_there(path: Path) -> None:
    """Who types what a page says, and is told that there is no such thing, believes no page."""
    assert [] == [problem for line in typed(Page(path)) for problem in problems(line)]


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("run report.yaml --resume=RUN", True),
        ("fly --branch-name x --dry-run", True),
        ("checkpoint gc --keep-last 3", True),
        ("checkpoint …", True),
        ("checkpoint gcc", False),
        ("rum report.yaml", False),
        ("run report.yaml --resum", False),
    ],
)
def test_a_wrong_one_is_found(line: str, fits: bool) -> None:
    assert fits == (problems(line) == [])
