"""Which finished steps of a resumed run are reused: chains of steps, one for each block."""

from __future__ import annotations

import pytest

from kit_runs import Runs
from maverick.errors import StepsDiffer

THREE = """
- {name: a, type: shell, run: echo 1}
- {name: b, type: python, action: do, args: [b]}
- {name: c, type: python, action: unless, args: [c, ready]}
"""


def test_what_was_to_run_again_does_so_after_another_kill(runs: Runs) -> None:
    """`b` follows `a`, which ran again: that `b` was recorded before that does not make it finished."""
    runs.flow(THREE)
    runs.start()
    runs.edit("echo 1", "echo 2")
    runs.resume_killed_before("b", policy="rerun")
    runs.file("ready", "")

    resumed = runs.resume()

    assert ["b", "c"] == resumed.executed


def test_what_was_to_run_again_does_so_after_a_kill_inside_a_block(runs: Runs) -> None:
    """The same where the step that ran again stands inside a step before it."""
    runs.flow("""
    - name: inside
      type: branch
      options: [{when: "true", step: {name: a, type: shell, run: echo 1}}]
    - {name: b, type: python, action: do, args: [b]}
    - {name: c, type: python, action: unless, args: [c, ready]}
    """)
    runs.start()
    runs.edit("echo 1", "echo 2")
    runs.resume_killed_before("b", policy="rerun")
    runs.file("ready", "")

    resumed = runs.resume()

    assert ["b", "c"] == resumed.executed
