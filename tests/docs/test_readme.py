"""The README's examples do what the README says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of that language, in order."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(block: str) -> list[tuple[str, str]]:
    """Each command of a console block, with the output that is shown below it."""
    parts = re.split(r"^\$ (.*)\n?", block, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_the_first_workflow_fails_resumes_and_shows_its_history(tmp_path: Path) -> None:
    """A newcomer who types what the README shows gets what it shows."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "maverick.yaml").touch()
    (project / "report.yaml").write_text(blocks("yaml")[0], "utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "LANG": "C.UTF-8",
    }
    exits = []
    for block in blocks("console")[1:]:
        for command, shown in commands(block):
            done = subprocess.run(
                command,
                shell=True,
                check=False,
                cwd=project,
                env=environment,
                capture_output=True,
                text=True,
            )
            exits.append((command, done.returncode))
            if shown.strip():
                assert shown == done.stdout, command

    assert ("maverick run report.yaml", 1) == exits[0]
    assert [] == [each for each in exits[1:] if each[1] != 0]


def test_the_quick_start_names_scripts_that_exist() -> None:
    """The first thing a newcomer types has to be there."""
    for command, _ in commands(blocks("console")[0])[1:]:
        script = README.parent / command.split()[0]
        assert shutil.which(str(script)), script


def test_every_linked_page_exists() -> None:
    """A link that leads nowhere is a promise not kept."""
    links = re.findall(r"\]\((?!http)([^)#]+)", README.read_text("utf-8"))
    assert [] == [link for link in links if not (README.parent / link).exists()]
