"""`fly` and `refuel` as programs of their own, ended by SIGKILL in the middle of an effect, and
resumed.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.shipped import Workshop


def run(shop: Workshop, *args: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "maverick", *args, "--json", "--quiet"],
        cwd=shop.root,
        env=shop.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}


def kill_in_agent(shop: Workshop, agent: str, then: str = "sleep 6000") -> None:
    """Let the agent end maverick, once, when it has done its work and before it answers; resuming
    ends the agent.
    """
    script = shop.folder / "agent.sh"
    once = f'[ "$MAVERICK_AGENT" = {agent} ] && mkdir {shop.folder}/killed 2>/dev/null'
    killing = f"{once} && kill -9 $PPID && {then}"
    script.write_text(f"{script.read_text()}{killing}\ntrue\n")


def kill_in_hook(shop: Workshop, hook: str) -> None:
    """Let a hook of git end maverick, once: the effect is there, and nothing says so."""
    script = shop.folder / "agent.sh"
    script.write_text(f"echo $PPID > {shop.folder}/pid\n{script.read_text()}")
    path = shop.root / ".git" / "hooks" / hook
    path.write_text(
        f"#!/bin/sh\nmkdir {shop.folder}/killed 2>/dev/null && kill -9 $(cat {shop.folder}/pid)\n"
        "true\n"
    )
    path.chmod(0o755)


@pytest.mark.parametrize("at", ["agent", "post-commit", "pre-push"])
def test_fly_goes_on_after_sigkill(tmp_path: Path, at: str) -> None:
    shop = Workshop(tmp_path)
    kill_in_agent(shop, "implementer") if at == "agent" else kill_in_hook(shop, at)

    killed, _ = run(shop, "fly", "--branch-name", "feature")
    code, answer = run(shop, "fly", "--resume")

    assert (-signal.SIGKILL, 0, "done") == (killed, code, answer["status"])
    assert ["Phase 2: Break it", "Phase 1: Begin", "first"] == shop.remote.subjects("feature")
    assert ["pr create"] == [asked for asked in shop.asked if asked in {"pr create", "api PATCH"}]
    assert "" == shop.repository.git("status", "--porcelain")


def test_parallel_refuel_leaves_no_worktree_after_sigkill(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    shop.issues("one", "two")
    kill_in_agent(shop, "issue_fixer")

    killed, _ = run(shop, "run", "refuel", "-i", "parallel=yes")
    left = len(shop.worktrees())
    code, answer = run(shop, "run", "refuel", "--resume")

    assert (-signal.SIGKILL, True, 0) == (killed, left > 1, code)
    assert (2, 1) == (answer["output"]["succeeded"], len(shop.worktrees()))
    assert 2 == len(shop.pulls)


def test_a_new_run_takes_over_what_a_killed_one_left(tmp_path: Path) -> None:
    """Nobody has to resume: the worktree is made anew, and what was in it is in `git stash`."""
    shop = Workshop(tmp_path)
    shop.issues("one")
    kill_in_agent(shop, "issue_fixer", then="exit")  # Nothing would end it.

    run(shop, "run", "refuel", "-i", "parallel=yes")
    code, answer = run(shop, "run", "refuel", "-i", "parallel=yes")

    assert (0, 1, 1) == (code, answer["output"]["succeeded"], len(shop.worktrees()))
    assert "fix of 1" == shop.repository.git("show", "stash@{0}^3:fix-1")
