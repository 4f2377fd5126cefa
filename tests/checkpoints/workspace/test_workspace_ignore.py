"""The rules of `.gitignore`, compared with git itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.workspaces import git
from maverick.checkpoints.workspace import ignore
from maverick.checkpoints.workspace.ignore import Rules, translate

PATHS = [
    *(
        "a",
        "b",
        "ab",
        "abc",
        "a.b",
        ".a",
        "a b",
        "a ",
        "#a",
        "!a",
        "\\",
        "[",
        "é",
        "a\\b",
        "A",
        "-",
        "]",
        "^",
    ),
    *(
        "a/a",
        "a/b",
        "b/a",
        "b/a/b",
        "a/b/c",
        "b/c/a.b",
        "x/y/z/a",
        "x/a/y/b",
        "c/ab",
        "c/abc/d",
        "b/.a",
        "x/y/a.b/c",
    ),
]
FOLDERS = sorted({path[:at] for path in PATHS for at in range(len(path)) if path[at] == "/"})

# fmt: off
tokens = st.sampled_from([
    *"aaabbcxyz", "/", "/", "*", "*", "**", "?", "[ab]", "[!a]", "[^b-z]", "[[:alpha:]]", "[]a]",
    "[a-", "\\a", "\\a", "\\*",
    ".", " ", "\\ ", "!", "#", "\\#", "\\!", "é", "**/", "/**", "/**/", "[a", "\\", "[\\]]", "[b-a]", "[[:no:]]",
    "[[:a]",
    "***", "\\/", "[a-c-]", "[--a]",
])
# fmt: on
lines = st.lists(tokens, min_size=1, max_size=5).map("".join)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "-q")
    for path in PATHS:
        if path not in FOLDERS:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("")
    return root


def _by_git(root: Path) -> set[str]:
    """What git does not ignore."""
    words = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    found = subprocess.run(words, cwd=root, check=True, capture_output=True).stdout.decode()
    return {path for path in found.split("\0") if path and not path.endswith(".gitignore")}


def _by_rules(root: Path) -> set[str]:
    """What the rules do not ignore, from the top down."""
    found: set[str] = set()

    def visit(folder: str, rules: Rules) -> None:
        own = root / folder / ".gitignore"
        if own.exists():
            rules = rules.below(folder, own.read_bytes())
        for it in sorted((root / folder).iterdir()):
            path = str(it.relative_to(root))
            if it.name in {".git", ".gitignore"} or rules.ignores(path, folder=it.is_dir()):
                continue
            if it.is_dir():
                visit(path, rules)
            else:
                found.add(path)

    visit("", Rules())
    return found


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    top=st.lists(lines, max_size=5),
    below=st.lists(lines, max_size=3),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_the_rules_are_those_of_git(
    repository: Path, top: list[str], below: list[str], end: str
) -> None:
    """Any file of rules at the top and in a folder; the same files are left."""
    (repository / ".gitignore").write_bytes(end.join(top).encode())
    (repository / "b" / ".gitignore").write_bytes(end.join(below).encode())

    assert _by_git(repository) == _by_rules(repository)


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "src/a.py", False),
        ("**/*.py", "a.py", True),
        ("**/*.py", "src/x/a.py", True),
        ("src", "src/x/a.py", True),
        ("src/", "src/x/a.py", True),
        ("src/*", "src/x/a.py", True),
        ("./src/?.py", "src/a.py", True),
        ("src/**", "src/x/a.py", True),
        ("src/**/x", "src/x", True),
        ("[ab].txt", "c.txt", False),
    ],
)
def test_a_glob_begins_at_the_top(glob: str, path: str, expected: bool) -> None:
    """Unlike a rule of `.gitignore`, which without a slash means any folder."""
    assert expected == ignore.matches(ignore.matcher([glob]), path)


@pytest.mark.parametrize(
    "pattern", ["*a" * 12 + "b", "/x/" + "*a" * 12 + "b", "?*a*a*a*a*a*a[xyz]*a*a*a*b"]
)
def test_a_pattern_of_many_stars_costs_no_more_than_others(pattern: str) -> None:
    """It would try every place for every star, for years, and hear neither a timeout nor a
    signal.
    """
    regex = re.compile(translate(pattern.strip("/").encode()))

    assert regex.fullmatch(b"a" * 250) is None
    assert regex.fullmatch(b"x/" + b"a" * 250) is None
