"""A project to run the program in."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.program import Program, Quick


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The real program, in processes of its own."""
    return Program(tmp_path / "project")


@pytest.fixture
def quick(program: Program, monkeypatch: pytest.MonkeyPatch) -> Quick:
    """The program in this process, in the project's folder."""
    monkeypatch.chdir(program.root)
    return Quick(program)
