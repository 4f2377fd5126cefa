"""What runs of many steps cost: a step of one of 1,000, and what is asked of one of 10,000.

Each command is a process of its own. Its processor time and its peak of memory hold on a busy
machine, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from workloads import SCALES, Wrong, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

MAVERICK = str(Path(sys.executable).with_name("maverick"))
FLOW = """\
version: '1.0'
name: many
steps:
  - name: loop
    type: loop
    for_each: ${{{{ range({count}) }}}}
    steps:
      - {step}
{last}"""
STEPS = {
    "python": "{name: trivial, type: python, action: 'trivial:double', "
    "kwargs: {number: '${{ item }}'}}",
    "shell": "{name: trivial, type: shell, run: 'true'}",
}
GATE = "  - {name: gate, type: shell, run: test -e open}\n"
SHELL = "import subprocess\nfor _ in range({count}):\n    subprocess.run({argv})\n"
SHELLS = {"sh": ["/bin/sh", "-c", "true"], "bash": ["bash", "-euo", "pipefail", "-c", "true"]}


class Cost(NamedTuple):
    """Seconds by the clock, and of all processors; the most bytes of memory."""

    seconds: float
    processor: float
    peak: int


def run(folder: Path, *argv: str, code: int = 0) -> Cost:
    """Run a command in *folder* and give what it cost. Raises Wrong unless it exits with *code*."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    log = folder / "log"
    with log.open("wb") as file:
        start = time.perf_counter()
        process = subprocess.Popen(
            argv, cwd=folder, env=kept, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise Wrong(f"{argv} ended with {process.returncode}: {log.read_text()[-500:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, unit * usage.ru_maxrss)


def typical(costs: Sequence[Cost], each: int = 1) -> dict[str, float]:
    """Give the medians of *costs*, of which each is that of so many things; the peak is the
    highest.
    """
    return {
        "seconds": median(cost.seconds for cost in costs) / each,
        "processor": median(cost.processor for cost in costs) / each,
        "peak": max(cost.peak for cost in costs),
    }


def project(folder: Path, kind: str, count: int, last: str = "") -> Path:
    """Make a project with the workflow `many.yaml`: a loop of *count* steps, and the lines
    *last*.
    """
    folder.mkdir()
    (folder / "maverick.yaml").touch()
    text = FLOW.format(count=count, step=STEPS[kind], last=last)
    (folder / "many.yaml").write_text(text, "utf-8")
    (folder / "trivial.py").write_text("def double(number):\n    return 2 * number\n", "utf-8")
    return folder


def steps(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """Run *count* python steps, *count* shell steps and the shells themselves *count* times, in
    turns; and python steps count the bytes that they leave.
    """
    one = project(folder / "one", "python", 1)
    run(one, MAVERICK, "run", "many.yaml", "--quiet")
    costs: dict[str, list[Cost]] = {kind: [] for kind in (*STEPS, *SHELLS)}
    stored = {}
    for number in range(rounds):
        for kind in STEPS:
            place = project(folder / f"{kind}{number}", kind, count)
            costs[kind].append(run(place, MAVERICK, "run", "many.yaml", "--quiet"))
            stored[kind] = measure(place / ".maverick")[0]
        for shell, argv in SHELLS.items():
            code = SHELL.format(count=count, argv=argv)
            costs[shell].append(run(folder, sys.executable, "-c", code))
    outputs = sum(len(json.dumps(2 * number)) for number in range(1, count))
    beside = stored["python"] - measure(one / ".maverick")[0] - outputs
    return {
        **{f"{kind} step": typical(each, count) for kind, each in costs.items()},
        "bytes beside the output": beside / (count - 1),
    }


def long_run(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """Let a run of *count* python steps fail at a last one; resume it, then ask for what gc would
    remove and whether the store is whole.

    All but the last time it is resumed the last step fails again.
    """
    place = project(folder / "long", "python", count, GATE)
    whole = run(place, MAVERICK, "run", "many.yaml", "--quiet", code=1)
    resumed = [run(place, MAVERICK, "resume", "--quiet", code=1) for _ in range(rounds - 1)]
    (place / "open").touch()
    resumed.append(run(place, MAVERICK, "resume", "--quiet"))
    asked = {
        name: typical([run(place, MAVERICK, "checkpoint", *words) for _ in range(rounds)])
        for name, words in {
            "gc --dry-run": ("gc", "--dry-run"),
            "fsck --read-data": ("fsck", "--read-data"),
        }.items()
    }
    return {"long run": typical([whole]), "resume": typical(resumed), **asked}


def figures(folder: Path, scale: str) -> dict[str, Any]:
    """Measure all, in a new folder below *folder*."""
    chosen = SCALES[scale]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        return steps(place, chosen.walked, chosen.walks) | long_run(
            place, chosen.walked_far, chosen.walks
        )
