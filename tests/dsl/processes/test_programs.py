"""Where a program is looked for, and what is said where none can be started."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from maverick.dsl.processes import programs
from maverick.dsl.processes.programs import check_startable, is_there, where_is
from maverick.errors import StepFailed


def _program(folder: Path, name: str = "tool", mode: int = 0o755) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that may not be searched; root may, so it is the looking that fails."""
    folder = tmp_path / "closed"
    _program(folder)
    look = os.stat

    def refuse(path: str, **options: object) -> os.stat_result:
        if str(path).startswith(f"{folder}{os.sep}"):
            raise PermissionError(13, "Permission denied", path)
        return look(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(programs.os, "stat", refuse)
    return folder


@pytest.mark.parametrize("order", [("closed", "open"), ("open", "closed")])
def test_a_folder_on_path_that_may_not_be_searched_is_passed_over(
    tmp_path: Path, closed: Path, order: tuple[str, str]
) -> None:
    """`PATH=/root/bin:…` after `su -m` or in a container: execvp goes on, too, wherever the folder
    stands.
    """
    _program(tmp_path / "open")
    path = os.pathsep.join(str(tmp_path / name) for name in order)

    check_startable(["tool"], tmp_path, {"PATH": path})
    assert is_there("tool", tmp_path, {"PATH": path})


def test_it_is_said_where_nothing_else_is_found(tmp_path: Path, closed: Path) -> None:
    with pytest.raises(
        StepFailed, match=rf"`tool` is not on PATH \({closed}, which is on it, may not be searched"
    ):
        check_startable(["tool"], tmp_path, {"PATH": f"{closed}:/nowhere"})
    assert not is_there("tool", tmp_path, {"PATH": str(closed)})


def test_so_is_a_program_named_by_its_path(tmp_path: Path, closed: Path) -> None:
    with pytest.raises(
        StepFailed, match=f"`{closed}/tool` cannot be started: {closed} may not be searched"
    ):
        check_startable([f"{closed}/tool"], tmp_path, {})


def test_a_working_folder_that_cannot_be_reached_is_named(tmp_path: Path, closed: Path) -> None:
    with pytest.raises(StepFailed, match=f"cannot run `ls` in {closed}/inside: Permission denied"):
        check_startable(["ls"], closed / "inside", {})


@pytest.mark.parametrize(
    ("cwd", "why"), [("file", "that is no folder"), ("gone", "there is no such folder")]
)
def test_a_working_folder_that_is_none_is_named(tmp_path: Path, cwd: str, why: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StepFailed, match=why):
        check_startable(["ls"], tmp_path / cwd, {"PATH": "/bin"})


def test_a_file_that_is_not_executable_is_found_only_if_nothing_else_is(tmp_path: Path) -> None:
    first = _program(tmp_path / "one", mode=0o644)
    environment = {"PATH": f"{tmp_path / 'one'}:{tmp_path / 'two'}"}
    with pytest.raises(StepFailed, match=f"make it so with `chmod .x {first}`"):
        check_startable(["tool"], tmp_path, environment)

    _program(tmp_path / "two")
    check_startable(["tool"], tmp_path, environment)


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b", "folder"])
def test_what_is_no_name_of_a_program_is_not_there(tmp_path: Path, name: str) -> None:
    """A folder of that name on PATH is no program."""
    (tmp_path / "folder").mkdir()

    assert not is_there(name, tmp_path, {"PATH": str(tmp_path)})
    assert not is_there(f"./{name}", tmp_path, {})


def test_names_are_found_from_the_folder_that_the_command_runs_in(tmp_path: Path) -> None:
    _program(tmp_path / "sub")

    assert is_there("sub/tool", tmp_path, {})
    assert is_there("tool", tmp_path, {"PATH": "sub"})
    assert is_there("tool", tmp_path / "sub", {"PATH": f"/nowhere{os.pathsep}"})
    assert stat.S_ISREG((tmp_path / "sub" / "tool").stat().st_mode)


def test_where_it_is_can_be_said_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = _program(tmp_path / "sub")
    monkeypatch.chdir(tmp_path)

    assert str(tool) == where_is("tool", "sub", {"PATH": "."}).replace("/./", "/")
    assert "" == where_is("tool", tmp_path, {"PATH": "."})
