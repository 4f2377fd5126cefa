"""`fly` killed while an agent is half-way through its edits; gone back with its files, it is as if
nothing had been.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kit.shipped import Workshop, without
from maverick import library

EDITS = """\
#!/bin/sh
prompt=$(cat)
echo "$MAVERICK_AGENT $PWD" >> "$AGENT_LOG"
phase=$(echo "$prompt" | grep -o 'part-[a-z]*' | head -1)
half_way() {  # Ends maverick, once, and does not go on.
  [ "$1" = "$(cat $WHERE 2>/dev/null)" ] && mkdir $WHERE.killed 2>/dev/null && { kill -9 $PPID; sleep 6000; }
  return 0
}
case $MAVERICK_AGENT in
  implementer)
    head -c 100000 /dev/zero | tr '\\0' x > "$phase-whole"
    echo "$phase" >> notes.md
    echo "first half of $phase" > src/shared.txt
    half_way "$phase"
    echo "second half of $phase" >> src/shared.txt
    rm -f "doomed-$phase"
    mkdir -p "$phase.d" && echo deep > "$phase.d/deep" && ln -s deep "$phase.d/link"
    echo '#!/bin/sh' > "$phase-run" && chmod +x "$phase-run"
    sed -i "s/- \\[ \\] $phase/- [x] $phase/" tasks.md
    [ "$phase" = part-two ] && echo broken > broken
    echo "Did $phase." ;;
  validation_fixer)
    echo "mending" >> notes.md
    half_way fixer
    rm -f broken
    echo "Mended." ;;
  code_reviewer)
    echo '{"summary": "Fine.", "issues": []}' ;;
esac
"""
TASKS = "# Tasks\n\n## Phase 1: One\n\n- [ ] part-one\n\n## Phase 2: Two\n\n- [ ] part-two\n"


class Left(NamedTuple):
    """What a run leaves: files with their kinds, the trees of the commits, the run's output."""

    files: dict[str, tuple[str, bytes]]
    trees: list[str]
    status: str
    output: dict[str, Any]


def _shop(folder: Path, *, mode: str = "label", kill_at: str = "") -> Workshop:
    shop = Workshop(folder)
    (folder / "agent.sh").write_text(EDITS)
    shop.environment["WHERE"] = str(folder / "where")
    (folder / "where").write_text(kill_at)
    flow = (
        (library.WORKFLOWS / "fly.yaml")
        .read_text()
        .replace("workspace: label", f"workspace: {mode}")
    )
    shop.repository.write(".maverick/workflows/fly.yaml", flow)
    shop.repository.write(".gitignore", ".maverick/\nignored/\n")
    shop.repository.write("ignored/mine", "as it is\n")
    shop.repository.write("tasks.md", TASKS)
    for name in ("doomed-part-one", "doomed-part-two", "notes.md", "src/shared.txt"):
        shop.repository.write(name, f"{name}\n")
    shop.repository.git("add", "--all")
    shop.repository.git("commit", "-q", "-m", "second")
    shop.repository.git("push", "-q")
    return shop


def _maverick(shop: Workshop, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "maverick", *args],
        cwd=shop.root,
        env=shop.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _left(shop: Workshop, answer: str) -> Left:
    files: dict[str, tuple[str, bytes]] = {}
    for path in sorted(shop.root.rglob("*")):
        inside = path.relative_to(shop.root)
        if inside.parts[0] in {".git", ".maverick"}:
            continue
        if path.is_symlink():
            files[str(inside)] = ("link", str(path.readlink()).encode())
        elif path.is_file():
            files[str(inside)] = (oct(path.stat().st_mode), path.read_bytes())
    return Left(
        files,
        shop.remote.git("log", "--format=%T %s", "feature").splitlines(),
        shop.repository.git("status", "--porcelain"),
        without(json.loads(answer)["output"], "commit"),
    )


@pytest.fixture(scope="module")
def known() -> dict[str, Left]:
    """What one test has found out for the others."""
    return {}


@pytest.fixture
def uninterrupted(known: dict[str, Left], tmp_path_factory: pytest.TempPathFactory) -> Left:
    """What a run leaves that nothing interrupts."""
    if not known:
        shop = _shop(tmp_path_factory.mktemp("uninterrupted"))
        done = _maverick(shop, "fly", "--branch-name", "feature", "--json", "--quiet")
        assert 0 == done.returncode, done.stderr
        known["left"] = _left(shop, done.stdout)
    return known["left"]


@pytest.mark.parametrize(
    ("at", "mode"),
    [
        ("part-one", "label"),
        ("part-two", "step"),
        ("fixer", "label"),
        ("fixer", "step"),
        pytest.param("part-one", "step", marks=pytest.mark.thorough),
        pytest.param("part-two", "label", marks=pytest.mark.thorough),
    ],
)
def test_the_result_is_that_of_an_uninterrupted_run(
    tmp_path: Path, uninterrupted: Left, at: str, mode: str
) -> None:
    """Some files were written, one to its half, others not at all: nothing of that is left, and
    nothing is lost. What was recorded since runs again, and nothing else: with labels the phase, with
    a checkpoint after every step only the step that was interrupted.
    """
    shop = _shop(tmp_path, mode=mode, kill_at=at)
    killed = _maverick(shop, "fly", "--branch-name", "feature")
    before = shop.agents
    half = (shop.root / "src/shared.txt").read_text()

    resumed = _maverick(shop, "fly", "--resume", "--workspace", "restore", "--json")

    assert (-signal.SIGKILL, 0) == (killed.returncode, resumed.returncode), resumed.stderr
    assert at == "fixer" or half == f"first half of {at}\n"
    assert uninterrupted == _left(shop, resumed.stdout)
    assert "as it is\n" == (shop.root / "ignored/mine").read_text()
    assert "restored " in resumed.stderr
    if at == "fixer":
        again = ["implementer"] if mode == "label" else []
        assert ["implementer", "implementer", "validation_fixer"] == before
        assert [*again, "validation_fixer", "code_reviewer"] == shop.agents[len(before) :]


def test_kept_files_are_another_result(tmp_path: Path) -> None:
    """What this agent does is not the same twice: without going back, its first try shows."""
    shop = _shop(tmp_path, kill_at="part-two")
    _maverick(shop, "fly", "--branch-name", "feature")

    resumed = _maverick(shop, "fly", "--resume", "--json")

    assert 0 == resumed.returncode, resumed.stderr
    assert "kept as they are" in resumed.stderr
    assert "notes.md\npart-one\npart-two\npart-two\nmending" == shop.repository.git(
        "show", "feature:notes.md"
    )


def _refuel(folder: Path, *, kill: bool) -> Workshop:
    """Two issues, each in a worktree of its own; *kill*: in one of them the fix is half written
    then.
    """
    shop = Workshop(folder)
    shop.issues("one", "two")
    half = 'echo "half" > "fix-$number"\n'
    script = folder / "agent.sh"
    dying = (
        f"{half}mkdir {folder}/killed 2>/dev/null && {{ kill -9 $PPID; sleep 6000; }}\n"
        if kill
        else half
    )
    assert half in script.read_text()
    script.write_text(script.read_text().replace(half, dying))
    return shop


def _branches(shop: Workshop) -> tuple[str, ...]:
    return (
        *(shop.tree(f"fix/issue-{number}") for number in (1, 2)),
        shop.repository.git("status", "--porcelain"),
    )


def test_worktrees_of_refuel_are_named_and_their_issues_resolved_anew(tmp_path: Path) -> None:
    """No checkpoint holds them: going back leaves them alone, and the step that made them makes
    them anew.
    """
    whole, shop = _refuel(tmp_path / "whole", kill=False), _refuel(tmp_path / "killed", kill=True)
    assert 0 == _maverick(whole, "run", "refuel", "-i", "parallel=yes").returncode
    killed = _maverick(shop, "run", "refuel", "-i", "parallel=yes")
    kept = _maverick(shop, "checkpoint", "create")
    left = {
        path.name: (path / f"fix-{path.name[-1]}").exists()
        for path in shop.root.glob(".maverick/worktrees/issue-*")
    }
    shop.repository.write("stray", "from a later thought\n")

    resumed = _maverick(shop, "run", "refuel", "--resume", "--workspace", "restore", "--json")

    assert (-signal.SIGKILL, 0) == (killed.returncode, resumed.returncode), resumed.stderr
    assert any(left.values())
    assert all(f".maverick/worktrees/{name} (linked worktree)" in kept.stderr for name in left)
    assert "restored 1 file from checkpoint" in resumed.stderr
    assert _branches(whole) == _branches(shop)
    assert (2, 1) == (json.loads(resumed.stdout)["output"]["succeeded"], len(shop.worktrees()))
