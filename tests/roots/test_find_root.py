"""Which folder is the project: every small tree of marks, against the rule written out once
more.
"""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.errors import UsageError
from maverick.roots import Location, find_root, locate

MARKS = ("", "maverick.yaml", ".maverick", "dangling", "git", "git-file", "empty-git")
KINDS = ("plain", "home", "open")
TAKEN = {"maverick.yaml", ".maverick", "dangling", "git", "git-file"}
TOPS = {"git", "git-file"}


def _mark(folder: Path, mark: str) -> None:
    match mark:
        case "maverick.yaml":
            (folder / mark).touch()
        case ".maverick":
            (folder / mark).mkdir()
        case "dangling":
            (folder / ".maverick").symlink_to("nowhere")
        case "git" | "empty-git":
            (folder / ".git").mkdir()
            if mark == "git":
                (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        case "git-file":
            (folder / ".git").write_text("gitdir: /somewhere\n")


def _expected(marks: tuple[str, ...], kinds: tuple[str, ...]) -> int:
    """The number of the root among folders that are given from the outermost on; the last one is
    the current folder.
    """
    last = len(marks) - 1
    for number in range(last, -1, -1):
        if marks[number] in TAKEN and (number == last or kinds[number] == "plain"):
            return number
        if marks[number] in TOPS:
            return last
    return last


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder above which nothing is found: it is a repository that does not count."""
    (tmp_path / ".git").write_text("gitdir: /somewhere\n")
    tmp_path.chmod(0o777)
    return tmp_path


def test_every_small_tree_has_the_root_that_the_rule_says(outside: Path) -> None:
    """Exhaustive: all marks in two folders, one of each sort in three; whatever folder each is."""
    small = [*product(product(MARKS, repeat=2), product(KINDS, repeat=2))]
    small += product(product(("", ".maverick", "git"), repeat=3), product(KINDS, KINDS, ("plain",)))
    for number, case in enumerate(small):
        _check(outside / f"{number}", *case)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(MARKS), st.sampled_from(KINDS)), min_size=1, max_size=8))
def test_deeper_trees_follow_it_as_well(
    tmp_path_factory: pytest.TempPathFactory, tree: list[tuple[str, str]]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    _mark(outside, "git-file")
    outside.chmod(0o777)
    marks, kinds = zip(*tree, strict=True)
    _check(outside / "0", marks, kinds)


def _check(top: Path, marks: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    folders = [top]
    while len(folders) < len(marks):
        folders.append(folders[-1] / "in")
    homes = [folder for folder, kind in zip(folders, kinds, strict=True) if kind == "home"]
    # Of several homes only the outermost is the user's.
    kinds = tuple(
        "plain" if kind == "home" and folder != homes[0] else kind
        for folder, kind in zip(folders, kinds, strict=True)
    )
    for folder, mark, kind in zip(folders, marks, kinds, strict=True):
        folder.mkdir()
        folder.chmod(0o777 if kind == "open" else 0o755)
        _mark(folder, mark)
    environment = {"HOME": str(homes[0] if homes else "/nonexistent")}

    found = find_root(folders[-1], environment)

    assert folders[_expected(marks, kinds)] == found, (marks, kinds)
    shutil.rmtree(top)


def test_the_home_is_known_behind_a_link(outside: Path) -> None:
    """A home that is a link, as on many servers, is still no project for what is below it."""
    (outside / "data/home/code").mkdir(parents=True)
    (outside / "data/home/.maverick").mkdir()
    (outside / "home").symlink_to("data/home")

    code = outside / "data/home/code"

    assert code == find_root(code, {"HOME": str(outside / "home")})
    assert code.parent == find_root(code.parent, {"HOME": str(outside / "home")})


def test_without_home_the_systems_own_is_taken(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = outside / "home"
    (home / "code").mkdir(parents=True)
    (home / ".maverick").mkdir()
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: type("Entry", (), {"pw_dir": str(home)}))

    assert home / "code" == find_root(home / "code", {})
    assert home / "code" == find_root(home / "code", {"HOME": ""})


class TestLocate:
    def test_the_current_folder_has_no_links_in_it(
        self, outside: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As git sees it: what is above is what is above on the disk."""
        (outside / "real").mkdir()
        (outside / "link").symlink_to("real")
        monkeypatch.chdir(outside / "link")

        assert Location(outside / "real", outside / "real") == locate(
            {"PWD": str(outside / "link")}
        )

    def test_a_name_wins_and_may_be_relative(
        self, outside: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (outside / "here/.maverick").mkdir(parents=True)
        (outside / "there").mkdir()
        monkeypatch.chdir(outside / "here")

        expected = Location(outside / "here", outside / "there", named=True)
        assert expected == locate({"MAVERICK_PROJECT": "../there"})
        assert expected == locate({"MAVERICK_PROJECT": str(outside / "there")})
        assert Location(outside / "here", outside / "here") == locate({"MAVERICK_PROJECT": ""})

    @pytest.mark.parametrize("name", ["nosuch", "file", "file/in", "nul\0", "x" * 5000])
    def test_a_name_of_no_folder_is_refused(
        self, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        (outside / "file").touch()
        monkeypatch.chdir(outside)

        with pytest.raises(UsageError, match="MAVERICK_PROJECT names"):
            locate({"MAVERICK_PROJECT": name})

    def test_a_folder_that_was_removed_is_no_place(
        self, outside: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (outside / "gone").mkdir()
        monkeypatch.chdir(outside / "gone")
        (outside / "gone").rmdir()

        with pytest.raises(UsageError, match="the current folder was removed"):
            locate(os.environ)
