"""A project to run the real program in."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The real program, in processes of its own; git and programs of this machine's user have no
    say.
    """
    return Program(tmp_path / "project")
