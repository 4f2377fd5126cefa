"""The README's examples do what the README says."""

import re
import shutil
from pathlib import Path

from kit.pages import ROOT, Command, Page, commands, surroundings
from kit.screens import Session

README = ROOT / "README.md"
PAGE = Page(README)
BLOCKS = [block for block in PAGE.blocks if block.language in {"console", "text"}]
"""The commands, and what they print: on a terminal where it stands in a block of its own."""


def test_the_first_workflow_fails_resumes_and_shows_its_history(tmp_path: Path) -> None:
    """A newcomer who types what the README shows gets what it shows."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "maverick.yaml").touch()
    workflow = next(block for block in PAGE.blocks if block.language == "yaml")
    (project / "report.yaml").write_text(workflow.text, "utf-8")
    session = Session(project, surroundings(tmp_path / "home"), 100, 40)
    exits, printed = [], ""
    for block in BLOCKS[1:]:
        if block.language == "text":
            assert Command("", block.text).prints(printed), printed
            continue
        for command in commands(block.text):
            printed = session.type(command.line)
            exits.append((command.line, session.code))
            assert command.shown in printed, printed
    session.end()

    assert ("maverick run report.yaml", 1) == exits[0]
    assert [] == [each for each in exits[1:] if each[1] != 0]


def test_the_quick_start_names_scripts_that_exist() -> None:
    """The first thing a newcomer types has to be there."""
    for command in [*commands(BLOCKS[0].text)][1:]:
        script = README.parent / command.line.split()[0]
        assert shutil.which(str(script)), script


def test_every_linked_page_exists() -> None:
    """A link that leads nowhere is a promise not kept."""
    links = re.findall(r"\]\((?!http)([^)#]+)", PAGE.text)
    assert [] == [link for link in links if not (README.parent / link).exists()]
