"""Real processes on one store, killed at random: nothing acknowledged is lost, and no read gives
wrong bytes.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

KILLING = Path(__file__).with_name("killing.py")


@pytest.mark.parametrize("rounds", [8, pytest.param(300, marks=pytest.mark.thorough)])
def test_killed_processes_lose_nothing_that_was_acknowledged(tmp_path: Path, rounds: int) -> None:
    """Saving, resuming, collecting and checking at once. The seed is in the output, the instants
    are not.
    """
    seed = random.randrange(1 << 30)

    done = subprocess.run(
        [sys.executable, str(KILLING), str(tmp_path), str(rounds), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert done.stdout.startswith(f"{rounds} rounds, ")
    assert int(done.stdout.split()[2]) > rounds
