"""`Page`: a page of the documentation, whose examples are typed and compared.

| block | is |
| --- | --- |
| `yaml hello.yaml` | a file of that name, as any other language with a name |
| `console` | commands behind `$ `, each with what it prints on standard output below it |
| `console fails` | the same; each command ends with another exit code than 0 |
| `console exits 12` | the same; each ends with that exit code |
| `console both …` | the same; what is shown is standard error, too, as on a terminal |
| `console elsewhere` | what a test cannot type, such as the installation of a program |

A file in `src/maverick` is added to a copy of the program, which the commands run then.

An example that shows nothing may print anything. `…` in what is shown stands for any text, alone on
a line for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COMPILED = shutil.ignore_patterns("__pycache__")
_BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, what stands behind that, and its text."""

    language: str
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what is shown below it."""

    line: str
    shown: str

    def prints(self, text: str) -> bool:
        """Whether *text* is what is shown."""
        return not self.shown or re.fullmatch(_pattern(self.shown), text, re.DOTALL) is not None


class Page:
    """The page at *path*, a file below the project's root."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text("utf-8")
        self.blocks = [Block(*found) for found in _BLOCK.findall(self.text)]

    def follow(self, folder: Path) -> None:
        """Do in *folder* what the page shows, from its top to its end."""
        environment = surroundings(folder.parent / "home")
        if any(block.about.startswith("src/maverick/") for block in self.blocks):
            shutil.copytree(ROOT / "src", folder / "src", ignore=_COMPILED)
            environment["PYTHONPATH"] = str(folder / "src")
        for block in self.blocks:
            if block.language != "console":
                if block.about:
                    path = folder / block.about
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(block.text, "utf-8")
                continue
            if block.about == "elsewhere":
                continue
            for command in commands(block.text):
                both = block.about.startswith("both")
                done = subprocess.run(
                    ["sh", "-c", command.line],
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT if both else subprocess.PIPE,
                    text=True,
                    check=False,
                )
                said = f"$ {command.line}\n{done.stdout}\n{done.stderr}"
                about = block.about.removeprefix("both").strip()
                assert _is_expected(about, done.returncode), said
                assert command.prints(done.stdout), said


def commands(text: str) -> Iterator[Command]:
    """Each command of a console block."""
    parts = re.split(r"^\$ ((?:.*\\\n)*.*)\n?", text, flags=re.MULTILINE)[1:]
    for line, shown in zip(parts[::2], parts[1::2], strict=True):
        yield Command(line, shown)


def surroundings(home: Path) -> dict[str, str]:
    """What a reader has: the program, a home without settings, and a name for git."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{
            f"GIT_{who}_{what}": "ada@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }


def _is_expected(about: str, code: int) -> bool:
    if about == "fails":
        return code != 0
    return code == int(about.removeprefix("exits ") or 0)


def _pattern(shown: str) -> str:
    lines = (
        r"(?:[^\n]*\n)*?" if line == "…\n" else re.escape(line).replace("…", r"[^\n]*")
        for line in shown.splitlines(keepends=True)
    )
    return "".join(lines)
