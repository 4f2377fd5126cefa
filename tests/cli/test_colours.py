"""On a terminal, what is printed for people has colours, and no codes that a person would read."""

from __future__ import annotations

import pytest

from kit.pages import surroundings
from kit.program import Program
from kit.screens import PLAIN, Session

STEPS = """
- {name: works, type: shell, run: 'echo "\\e[31mhostile"'}
- {name: marked, type: checkpoint}
- {name: fails, type: shell, run: 'echo said; exit 3'}
"""
COMMANDS = [
    "show",
    "show works",
    "show fails",
    "why",
    "logs",
    "runs",
    "log",
    "diff @latest~3 @latest",
    "graph @latest",
    "resume --plan",
    "checkpoint list",
    "checkpoint show",
    "checkpoint log",
    "checkpoint fsck",
    "checkpoint gc --dry-run",
    "run flow.yaml --plan",
    "workflow list",
    "workflow check flow.yaml",
    "workflow show flow.yaml",
]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A project with a run that failed."""
    program = Program(tmp_path_factory.mktemp("terminal") / "project")
    program.flow(STEPS)
    assert 1 == program.run("run", "flow.yaml").code
    return program


@pytest.mark.parametrize("command", COMMANDS)
def test_no_code_of_a_colour_is_read(failed: Program, command: str) -> None:
    """A colour that is taken for a hostile text is printed as an escape."""
    session = Session(failed.root, surroundings(failed.root / "home"), 100, 40)

    printed = session.type(f"maverick {command}")

    session.end()
    assert 0 == session.code, printed
    assert "\\x1b[3" not in printed.replace("\\x1b[31mhostile", "")
    assert printed.strip()


@pytest.mark.parametrize("columns", [60, 100])
def test_doctor_is_coloured_and_fits(failed: Program, columns: int) -> None:
    """Its lines are joined, and are measured without their colours; it ends with 1 where a program
    is missing here.
    """
    session = Session(failed.root, surroundings(failed.root / "home"), columns, 40)

    printed = session.type("maverick doctor")

    session.end()
    assert "\\x1b" not in printed
    assert "maverick  " in printed
    lines = [line for line in printed.splitlines() if "  project  " not in line]  # A long path.
    assert all(len(line) <= columns for line in lines), printed
    assert "green" in {
        cell.style.color for row in session.screen.shown() for cell in row if cell.style != PLAIN
    }


def test_show_is_coloured(failed: Program) -> None:
    session = Session(failed.root, surroundings(failed.root / "home"), 100, 40)

    session.type("maverick show")

    session.end()
    assert {"green", "red"} <= {
        cell.style.color for row in session.screen.shown() for cell in row if cell.style != PLAIN
    }
