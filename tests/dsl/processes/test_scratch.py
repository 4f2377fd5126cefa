"""The temporary files of a run: who can read them, and that they outlive nothing."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from maverick.dsl.processes.scratch import Scratch, remove_scratch
from maverick.errors import StepFailed


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_read_them_whatever_the_umask(temporary: Path) -> None:
    """They hold what is inserted into scripts: secrets, too."""
    before = os.umask(0)
    try:
        scratch = Scratch(lambda _: None)
        with scratch.file(b"secret") as file, scratch.folder() as folder:
            assert (0o600, 0o700, 0o700) == (_mode(file), _mode(folder), _mode(file.parent))
            assert b"secret" == file.read_bytes()
    finally:
        os.umask(before)


def test_each_is_removed_with_its_block_and_all_in_the_end(temporary: Path) -> None:
    scratch = Scratch(lambda _: None)
    with scratch.file(b"") as file, scratch.folder() as folder:
        (folder / "more").mkdir()

    assert (False, False) == (file.exists(), folder.exists())
    scratch.close()
    assert [] == list(temporary.iterdir())


def test_a_folder_is_noted_before_it_is_made_and_only_if_it_is_needed(temporary: Path) -> None:
    """A run that is killed in between has noted what is not there; the other way round it would
    stay for ever.
    """
    noted: list[tuple[str, bool]] = []
    scratch = Scratch(lambda folder: noted.append((folder, Path(folder).exists())))
    assert [] == noted

    for _ in range(2):
        with scratch.file(b"") as file:
            pass

    assert [(str(file.parent), False)] == noted


def test_one_that_was_cleaned_away_is_made_again(temporary: Path) -> None:
    """As /tmp is after ten days, while the run goes on."""
    scratch = Scratch(lambda _: None)
    with scratch.file(b"") as file:
        folder = file.parent
    folder.rmdir()

    with scratch.file(b"x") as file:
        assert (folder, b"x") == (file.parent, file.read_bytes())


def test_a_stranger_s_folder_of_that_name_is_not_used(temporary: Path) -> None:
    """In /tmp anybody can make one where ours was."""
    scratch = Scratch(lambda _: None)
    with scratch.file(b"") as file:
        folder = file.parent
    folder.rmdir()
    (temporary / "elsewhere").mkdir()
    folder.symlink_to(temporary / "elsewhere")

    with pytest.raises(StepFailed, match="File exists"), scratch.file(b"x"):
        pass
    assert [] == list((temporary / "elsewhere").iterdir())


def test_what_cannot_be_written_is_said(temporary: Path) -> None:
    temporary.rmdir()

    with pytest.raises(
        StepFailed, match=f"cannot write the temporary file {temporary}/.*: No such file"
    ):
        Scratch(lambda _: None).file(b"").__enter__()


def test_what_a_killed_run_noted_is_removed(temporary: Path) -> None:
    noted: list[str] = []
    Scratch(noted.append)._new().write_text("script")

    remove_scratch(noted[0])

    assert [] == list(temporary.iterdir())
    remove_scratch(noted[0])


@pytest.mark.parametrize(
    "name", ["notes", "maverick-", "maverick-0123456789abcdefg", "maverick-0123456789abcdef/.."]
)
def test_nothing_else_is_removed(temporary: Path, name: str) -> None:
    """A note is data that others may have written: an imported store, a damaged one."""
    (temporary / name).mkdir(parents=True, exist_ok=True)

    remove_scratch(str(temporary / name))

    assert (temporary / name).exists()


@pytest.mark.parametrize("note", [None, 7, "", "\0", ["x"], {}])
def test_a_note_that_is_none_is_passed_over(note: object) -> None:
    remove_scratch(note)


def test_a_link_is_not_followed(temporary: Path) -> None:
    (temporary / "precious").mkdir()
    link = temporary / "maverick-0123456789abcdef"
    link.symlink_to(temporary / "precious")

    remove_scratch(str(link))

    assert (temporary / "precious").exists()
