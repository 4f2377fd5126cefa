"""`Folder`: a project for programs that use maverick from Python."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent


class Folder:
    """A project at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".maverick").mkdir(parents=True)

    def flow(self, steps: str, name: str = "flow", more: str = "") -> str:
        """Write a workflow, and give its file."""
        file = self.root / f"{name}.yaml"
        lines = "\n".join(f"  {line}" for line in dedent(steps).strip().splitlines())
        file.write_text(f'version: "1.0"\nname: {name}\n{dedent(more)}\nsteps:\n{lines}\n')
        return str(file)
