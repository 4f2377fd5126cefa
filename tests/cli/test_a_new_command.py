"""A command is one file: nothing else has to know of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kit.program import SOURCES, Program

COMMAND = '''\
"""Greet somebody.

Examples:
  maverick {path} Ada
"""

from maverick.cli.terminal.streams import print_out


def command(name: str) -> None:
    print_out(f"hello {{name}}\\n")
'''


@pytest.fixture
def copied(program: Program, tmp_path: Path) -> Path:
    """The folder of the commands, in a copy of the sources that the program runs."""
    copy = tmp_path / "sources"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    program.environment["PYTHONPATH"] = str(copy)
    return copy / "maverick" / "cli" / "commands"


@pytest.mark.parametrize("group", ["", "checkpoint", "workflow"])
def test_a_file_is_a_command(program: Program, copied: Path, group: str) -> None:
    """It stands in the list with the first line of its docstring, which is its help, and it runs."""
    words = [word for word in (group, "greet") if word]
    (copied / "_".join([*words[:-1], "greet.py"])).write_text(COMMAND.format(path=" ".join(words)))

    listed = program.run(*words[:-1], "--help").out
    about = program.run(*words, "--help").out
    ran = program.run(*words, "Ada")

    (line,) = (line.split(maxsplit=1) for line in listed.splitlines() if " greet " in line)
    assert ["greet", "Greet somebody."] == line
    assert f"    maverick {' '.join(words)} Ada\n" in about
    assert (0, "hello Ada\n", "") == (ran.code, ran.out, ran.err)


def test_a_file_without_a_command_is_a_group(program: Program, copied: Path) -> None:
    """Its commands are the files that begin with its name; others begin with a stroke."""
    (copied / "people.py").write_text('"""Meet people."""\n\nORDER = ("with",)\n')
    (copied / "people_with.py").write_text(COMMAND.format(path="people with"))
    (copied / "people_ask.py").write_text(COMMAND.format(path="people ask"))
    (copied / "_shared.py").write_text("")

    listed = program.run("people", "--help").out

    assert ["with", "ask"] == [
        line.split()[0] for line in listed.split("Commands:\n")[1].splitlines()
    ]
    assert "  people      Meet people.\n" in program.run("--help").out
    assert "hello Ada\n" == program.run("people", "with", "Ada").out


def test_what_was_loaded_for_a_list_is_no_command(program: Program, copied: Path) -> None:
    """A command that cannot even be imported spoils neither the list nor the others."""
    (copied / "broken.py").write_text('"""Break."""\nraise ImportError("at once")\n')

    assert "  broken      Break.\n" in program.run("--help").out
    assert 2 == program.run("run").code
    assert "at once" in program.run("broken").err
