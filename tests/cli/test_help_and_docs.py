"""Help and documentation: complete, with examples, and never out of date. And what help costs."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from kit.program import Program, Quick

ROOT = Path(__file__).parents[2]
DOCS: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "cli_docs.py"))
COMMANDS = [" ".join(words) for words in DOCS["commands"]()]
LIGHT = [["--help"], ["runs"], ["runs", "--json"], ["checkpoint", "list"], ["checkpoint", "--help"]]


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    """Every command and option is documented because the page is made of the help."""
    page, written = DOCS["page"](), DOCS["PAGE"].read_text("utf-8")
    if f"\ntyper=={metadata.version('typer')} " not in (
        ROOT / "requirements" / "run.txt"
    ).read_text("utf-8"):
        # Each release brackets arguments as it likes.
        page, written = _plain(page), _plain(written)

    assert page == written, "run `.venv/bin/python scripts/cli_docs.py`"


def _plain(page: str) -> list[str]:
    return re.sub(r"[][{}]", "", page).split()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_has_an_example(quick: Quick, command: str) -> None:
    shown = quick(*command.split(), "--help")

    assert 0 == shown.code
    assert f"\n    maverick {command.split(maxsplit=1)[0]}" in shown.out
    assert shown.out == quick(*command.split(), "-h").out


@pytest.mark.parametrize("group", [[], ["workflow"], ["checkpoint"]])
def test_a_group_alone_shows_its_help_and_exits_2(quick: Quick, group: list[str]) -> None:
    done = quick(*group)

    assert (2, "") == (done.code, done.out)
    assert "Commands:" in done.err


def test_a_misspelt_command_exits_2_with_the_right_one(quick: Quick) -> None:
    for typed, meant in (
        (["chekpoint"], "checkpoint"),
        (["checkpoint", "lits"], "checkpoint list"),
    ):
        done = quick(*typed)
        assert (2, True) == (done.code, f"did you mean `maverick {meant}`?" in done.err)


@pytest.mark.parametrize("args", LIGHT, ids=" ".join)
def test_light_commands_load_neither_the_engine_nor_what_is_slow(
    program: Program, args: list[str]
) -> None:
    """They are to answer within a few multiples of a bare Python."""
    program.flow("- {name: works, type: shell, run: 'true'}")
    program.run("run", "flow.yaml")

    loaded = _modules(program, args)

    if args[-1] != "--help":
        assert "typer" not in loaded
    slow = {"yaml", "asyncio", "rich", "pydantic", "jsonschema", "concurrent", "http", "email"}
    assert set() == slow & {name.partition(".")[0] for name in loaded}
    assert [] == [
        name
        for name in loaded
        if name.startswith(("maverick.dsl", "maverick.runs.start", "maverick.library."))
    ]


@pytest.mark.parametrize(
    ("args", "most"), [(["run", "flow.yaml"], 134), (["runs"], 36), (["--help"], 13)]
)
def test_a_command_loads_no_more_of_this_program_than_it_did(
    program: Program, args: list[str], most: int
) -> None:
    """Each module costs a person who waits about half a millisecond; a package is one, too."""
    program.flow("- {name: works, type: shell, run: 'true'}")

    own = [name for name in _modules(program, args) if name.partition(".")[0] == "maverick"]

    assert len(own) <= most


def test_a_command_ends_without_looking_for_cycles(program: Program) -> None:
    """Python does so twice as it ends, through all objects that a command has loaded."""
    code = (
        "import atexit, gc, sys; from maverick.__main__ import main\n"
        "atexit.register(lambda: print(len(gc.get_objects()) < 1000, file=sys.stderr))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "runs", "--json"],
        cwd=program.root,
        env=program.environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ("[]\n", "True\n") == (done.stdout, done.stderr)


def test_the_version_loads_nothing_but_itself(program: Program) -> None:
    assert ["maverick", "maverick.__main__"] == [
        it for it in _modules(program, ["--version"]) if "maverick" in it
    ]
    assert "typer" not in _modules(program, ["--version"])


def _modules(program: Program, args: list[str]) -> list[str]:
    """The modules that a command loads."""
    code = (
        "import sys, atexit; sys.argv = ['maverick', *sys.argv[1:]]\n"
        "atexit.register(lambda: print(*sorted(sys.modules), sep='\\n', file=open('modules', "
        "'w')))\n"
        "from maverick.__main__ import main; main()"
    )
    command = [sys.executable, "-c", code, *args]
    subprocess.run(
        command, cwd=program.root, env=program.environment, capture_output=True, check=True
    )
    return (program.root / "modules").read_text().split()
