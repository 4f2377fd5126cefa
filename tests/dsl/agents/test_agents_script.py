"""`scripts/test --agents` on a machine that cannot run the agent programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "test"


@pytest.mark.parametrize(("node", "there"), [("", "none"), ("v18.19.0", "v18.19.0")])
def test_without_a_new_node_it_says_so_and_skips(tmp_path: Path, node: str, there: str) -> None:
    for name in ("bash", "dirname", "env"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    if node:
        (tmp_path / "node").write_text(f"#!/bin/sh\necho {node}\n")
        (tmp_path / "node").chmod(0o755)

    done = subprocess.run(
        [SCRIPT, "--agents"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    told = (
        f"skipped: the agent programs need Node 20 or newer, with npm (there is {there}); see "
        "https://nodejs.org\n"
    )
    assert (0, told, "") == (done.returncode, done.stdout, done.stderr)
