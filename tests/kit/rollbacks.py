"""Projects whose steps can be undone, and what was undone in them."""

from __future__ import annotations

from pathlib import Path

from kit.runs import Runs

ACTIONS = """
def undo(name, output=None):
    _log(f"undo {name}")


def undo_output(output):
    _log(f"undo output {output}")


def undo_plainly():
    _log("undo plainly")


def undo_badly(name, output=None):
    _log(f"undo {name}")
    raise OSError(f"{name} does not come back")


def undo_if(name, output=None):
    _log(f"undo {name}")
    if not (LOG.parent / f"free-{name}").exists():
        raise OSError(f"{name} is taken")


def given(*args, output=None, **kwargs):
    _log(f"given {args} {kwargs} {output}")


def key(key):
    return _log(key)


def undo_result(result, cwd):
    _log(f"undo result {result}")


def undo_two(one, other):
    _log(f"undo {one} {other}")
"""


def done(name: str, rollback: str = "undo", rest: str = "") -> str:
    """A step that does something, and its rollback."""
    return f"{{name: {name}, type: python, action: do, args: [{name}], rollback: {rollback}{rest}}}"


BROKEN = "{name: work, type: python, action: unless, args: [work, ready]}"
LOOP = """
steps:
  - {name: before, type: python, action: do, args: [before], rollback: undo}
  - name: each
    type: loop
    for_each: [x, y]
    HOW
    steps:
      - {name: one, type: python, action: do, args: ["one-${{ item }}"], rollback: undo}
      - {name: two, type: python, action: do, args: ["two-${{ item }}"], rollback: undo}
  - {name: work, type: python, action: unless, args: [work, ready]}
"""
"""`HOW` is another field of the loop."""


def project(root: Path, *steps: str, head: str = "") -> Runs:
    """A project whose workflow has *steps*, each on a line of its own."""
    lines = "\n".join(f"  - {step}" for step in steps)
    return Runs(root, f"{head}steps:\n{lines}\n", actions=ACTIONS)


def undone(runs: Runs) -> list[str]:
    """What was undone, in order."""
    return [line.removeprefix("undo ") for line in runs.log if line.startswith("undo ")]
