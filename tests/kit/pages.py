"""`Page`: a page of the documentation, whose examples are typed and compared.

| block | is |
| --- | --- |
| `yaml hello.yaml` | a file of that name, as any other language with a name |
| `console` | commands behind `$ `, each with what it prints on standard output below it |
| `console fails` | the same; each command ends with another exit code than 0 |
| `console exits 12` | the same; each ends with that exit code |
| `console both …` | the same; what is shown is standard error, too |
| `console terminal …` | the same; it is typed in a shell on a terminal, one for the whole page |
| `console elsewhere` | what a test cannot type, such as the installation of a program |

A file in `src/maverick` is added to a copy of the program, which the commands run then.

An example that shows nothing may print anything. `…` in what is shown stands for any text, alone on
a line for any lines. What is another one each time (the end of a run's name, a time, a size, the
folder that `HOME_SHOWN` stands for) is compared by its form.
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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.screens import Session

ROOT = Path(__file__).parents[2]
HOME_SHOWN = "/home/ada"
TERMINAL_COLUMNS = 150
_COMPILED = shutil.ignore_patterns("__pycache__")
_BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_VARYING = {
    r"-\d{8}-\d{6}-[0-9a-z]{4}\b": r"-\d{8}-\d{6}-[0-9a-z]{4}",
    r"\b\d{4}-\d\d-\d\d\b": r"\d{4}-\d\d-\d\d",
    r"\b\d\d:\d\d(:\d\d)?\b": r"\d\d:\d\d(:\d\d)?",
    r"\b\d+(\.\d+)? m?s\b": r"\d+(\.\d+)? m?s",
    r"\b\d+(\.\d+)?s\b": r"\d+(\.\d+)?s",
    r"\b\d+(\.\d+)? k?B\b": r"\d+(\.\d+)? k?B",
    r"\b[0-9a-f]{12}\b": r"[0-9a-f]{12}",
    re.escape(HOME_SHOWN) + r"\b": r"/[^\s:]*",
    r"  +": r" +",
    "…": r"[^\n]*",
}
_IF_MEANT = "(if that is meant: `.venv/bin/python scripts/printed.py PAGE` writes it into the page)"
_MAY_BE_CUT = 8
_EITHER = re.compile("|".join(f"(?P<n{n}>{form})" for n, form in enumerate(_VARYING)))
_FORMS = list(_VARYING.values())


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


@dataclass(frozen=True, slots=True)
class Typed:
    """What became of a command that was typed."""

    block: Block
    command: Command
    code: int
    printed: str
    said: str
    """All of it, for who looks for what was wrong."""

    @property
    def is_expected(self) -> bool:
        """Whether it ended as the block says."""
        about = re.sub(r"^(both|terminal) ?", "", self.block.about)
        if about == "fails":
            return self.code != 0
        return self.code == int(about.removeprefix("exits ") or 0)


class Page:
    """The page at *path*, a file below the project's root."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text("utf-8")
        self.blocks = [Block(*found) for found in _BLOCK.findall(self.text)]

    def follow(self, folder: Path) -> None:
        """Do in *folder* what the page shows, from its top to its end."""
        for typed in self.type(folder):
            assert typed.is_expected, typed.said
            assert typed.command.prints(typed.printed), f"{typed.said}\n{_IF_MEANT}"

    def type(self, folder: Path) -> Iterator[Typed]:
        """Type each command of the page in *folder*, with its files."""
        reader = _Reader(folder)
        if any(block.about.startswith("src/maverick/") for block in self.blocks):
            reader.copy_program()
        try:
            for block in self.blocks:
                if block.language != "console":
                    if block.about:
                        reader.write(block)
                elif block.about != "elsewhere":
                    for command in commands(block.text):
                        yield reader.type(block, command)
        finally:
            reader.end()


class _Reader:
    """Who follows a page, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = surroundings(folder.parent / "home")
        self._session: Session | None = None

    def copy_program(self) -> None:
        shutil.copytree(ROOT / "src", self.folder / "src", ignore=_COMPILED)
        self._environment["PYTHONPATH"] = str(self.folder / "src")

    def write(self, block: Block) -> None:
        path = self.folder / block.about
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")

    def type(self, block: Block, command: Command) -> Typed:
        if block.about.startswith("terminal"):
            return self._type_on_terminal(block, command)
        both = block.about.startswith("both")
        done = subprocess.run(
            ["sh", "-c", command.line],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if both else subprocess.PIPE,
            text=True,
            check=False,
        )
        said = f"$ {command.line}\n{done.stdout}\n{done.stderr or ''}"
        return Typed(block, command, done.returncode, done.stdout, said)

    def _type_on_terminal(self, block: Block, command: Command) -> Typed:
        """In a shell that stays, so a `cd` counts for what follows, files included."""
        if not self._session:
            from kit.screens import Session  # noqa: PLC0415 - needs a terminal

            self._environment["HOME"] = str(self.folder)
            self._session = Session(self.folder, self._environment, TERMINAL_COLUMNS, 40)
        printed = self._session.type(command.line)
        self.folder = self._session.folder
        code = self._session.code
        return Typed(
            block, command, code, printed, f"$ {command.line}\n{printed}\n(exit code {code})"
        )

    def end(self) -> None:
        if self._session:
            self._session.end()


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


def _pattern(shown: str) -> str:
    return "".join(
        r"(?:[^\n]*\n)*?" if line == "…\n" else _line_pattern(line)
        for line in shown.splitlines(keepends=True)
    )


def _line_pattern(line: str) -> str:
    if line.endswith("…\n") and not line.endswith(
        f"{HOME_SHOWN}/…\n"
    ):  # It was cut to the width, which leaves more or less of it.
        line = f"{line[:-_MAY_BE_CUT]}…\n"
    pattern, place = "", 0
    for found in _EITHER.finditer(line):
        group = str(found.lastgroup)
        pattern += re.escape(line[place : found.start()]) + _FORMS[int(group.removeprefix("n"))]
        place = found.end()
    return pattern + re.escape(line[place:])
