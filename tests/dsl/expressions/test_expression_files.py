"""`glob` and `exists`: they see the project, all of it that people mean, and nothing else."""

from __future__ import annotations

from glob import glob as stdlib_glob
from pathlib import Path

import pytest

from kit.asking import ask, frame
from maverick.dsl.expressions import project_paths
from maverick.errors import ExpressionFailed

FILES = [
    "a.py",
    "b.txt",
    "src/a.py",
    "src/deep/er/c.py",
    "src/deep/d.py",
    ".git/config",
    "src/.hidden.py",
    "ü/x y.py",
]


@pytest.fixture(name="root")
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (tmp_path / "outside.py").write_text("secret")
    return root


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "*.py",
        "a.py",
        "*/*.py",
        "**/*.py",
        "src/**/*.py",
        "**/deep/**/*.py",
        "**/**/**/*.py",
        "src/[ab].py",
        "src/[!b].py",
        "?.py",
        ".git/*",
        ".*",
        "src/.*.py",
        "src/deep",
        "nothing/*",
        "a.py/*",
        "ü/x*",
    ],
)
def test_a_pattern_means_what_it_means_to_the_standard_library(root: Path, pattern: str) -> None:
    """Sorted, relative to the root, POSIX paths; hidden names only where the pattern names them."""
    expected = sorted(set(stdlib_glob(pattern, root_dir=root, recursive=True)))  # noqa: PTH207 - names hidden files as shells do
    assert expected == ask(f"glob('{pattern}')", frame(root=root))


def test_two_stars_alone_give_everything_below(root: Path) -> None:
    assert ["src/a.py", "src/deep", "src/deep/d.py", "src/deep/er", "src/deep/er/c.py"] == ask(
        "glob('src/**')", frame(root=root)
    )


def test_slashes_and_dots_that_mean_nothing_are_ignored(root: Path) -> None:
    assert ["src/a.py"] == ask("glob('./src//./*.py')", frame(root=root))
    assert ["src/a.py"] == project_paths.glob(root, f"{root}/src/*.py")


@pytest.mark.parametrize(
    "path", ["../outside.py", "src/../../outside.py", "/etc/passwd", "/", "a/.."]
)
@pytest.mark.parametrize("function", ["glob", "exists"])
def test_what_is_outside_the_project_is_an_error(root: Path, function: str, path: str) -> None:
    with pytest.raises(
        ExpressionFailed, match=rf"^flow.yaml:12:7: .*{function}\(\) reads the project only"
    ):
        ask(f"{function}('{path}')", frame(root=root))


def test_links_to_folders_are_not_walked_through(root: Path) -> None:
    """A link to a folder above would otherwise be walked for ever."""
    (root / "src/loop").symlink_to(root)
    (root / "link.py").symlink_to(root / "a.py")

    assert ["a.py", "link.py", "src/a.py", "src/deep/d.py", "src/deep/er/c.py", "ü/x y.py"] == ask(
        "glob('**/*.py')", frame(root=root)
    )
    assert ["src/loop/a.py", "src/loop/link.py"] == ask("glob('src/loop/*.py')", frame(root=root))


def test_every_folder_is_listed_once_however_many_stars_there_are(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern cannot make the walk exponential."""
    listed: list[Path] = []
    real = project_paths._list_folder
    monkeypatch.setattr(
        project_paths, "_list_folder", lambda folder: [listed.append(folder), real(folder)][1]
    )

    ask("glob('" + "**/" * 30 + "*.py')", frame(root=root))

    assert len(listed) == len(set(listed)) == 5


def test_the_walk_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_paths, "MAX_LISTED", 5)
    with pytest.raises(ExpressionFailed, match="make the pattern narrower"):
        ask("glob('**')", frame(root=root))


def test_a_root_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    scope = frame(root=tmp_path / "gone")
    assert [[], False] == ask("[glob('**'), exists('x')]", scope)


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        (True, "a.py"),
        (True, "src"),
        (True, "src/"),
        (True, ""),
        (True, ".git/config"),
        (False, "nothing"),
        (False, "a.py/x"),
        (False, "x\\0y"),
        (False, "x" * 5000),
    ],
)
def test_exists(root: Path, expected: bool, path: str) -> None:
    assert expected is ask(f"exists('{path}')", frame(root=root))


@pytest.mark.parametrize("function", ["glob", "exists"])
def test_paths_are_text(function: str) -> None:
    with pytest.raises(ExpressionFailed, match="takes a string here, not null"):
        ask(f"{function}(null)")
