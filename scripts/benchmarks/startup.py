"""What starting costs, as processor time beside a bare Python's: `scripts/bench startup [ROUNDS]`.

The commands take turns, so that a noisy moment hits all of them, and each turn finds the project as
the one before found it. Processor time counts what a command and its children used, and not what it
waited for.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

MAVERICK = str(Path(sys.executable).with_name("maverick"))
FLOW = """\
version: '1.0'
name: one
steps:
  - {name: only, type: shell, run: 'true'}
  - {name: mark, type: checkpoint}
"""
ONE_STEP = "version: '1.0'\nname: one\nsteps:\n  - {name: only, type: shell, run: 'true'}\n"
RUNS = 3


class Subject(NamedTuple):
    """A command, how many times as long as a bare Python it may take, and its environment."""

    argv: list[str]
    target: float | None = None
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed


def completion(line: str, target: float) -> Subject:
    """What bash calls at the end of *line*."""
    asked = {"_MAVERICK_COMPLETE": "bash", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    return Subject([MAVERICK], target, asked)


SUBJECTS = {
    "python -c pass": Subject([sys.executable, "-c", "pass"]),
    "python -c 'import typer'": Subject([sys.executable, "-c", "import typer"]),
    "maverick --version": Subject([MAVERICK, "--version"]),
    "maverick runs": Subject([MAVERICK, "runs"], 5),
    "maverick runs --json": Subject([MAVERICK, "runs", "--json"], 5),
    "maverick checkpoint list": Subject([MAVERICK, "checkpoint", "list"], 5),
    "maverick --help": Subject([MAVERICK, "--help"], 7),
    "completion of a command": completion("maverick ru", 7),
    "completion of a workflow": completion("maverick run f", 9),
    "completion of a run": completion("maverick show o", 7),
    "completion of a step": completion("maverick show @latest o", 7),
    "maverick show": Subject([MAVERICK, "show"], 10),
    "maverick log": Subject([MAVERICK, "log"], 10),
    "maverick run, one step": Subject([MAVERICK, "run", "one.yaml"], 14),
}


def processor_seconds(subject: Subject, folder: Path) -> float:
    """Run a command to its end, and give what it and its children took of the processor."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        subject.argv,
        cwd=folder,
        env={**kept, **subject.environment},
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def print_table(rounds: int) -> None:
    """Measure each command *rounds* times, and print the medians."""
    times: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    with tempfile.TemporaryDirectory(prefix="maverick-bench-") as name:
        project, empty = Path(name, "project"), Path(name, "empty")
        project.mkdir()
        (project / "one.yaml").write_text(FLOW, "utf-8")
        for _ in range(RUNS):
            processor_seconds(Subject([MAVERICK, "run", "one.yaml"]), project)
        for number in range(rounds + 1):
            for what, subject in SUBJECTS.items():
                folder = project
                if "one.yaml" in subject.argv:
                    shutil.rmtree(empty, ignore_errors=True)
                    empty.mkdir()
                    (empty / "one.yaml").write_text(ONE_STEP, "utf-8")
                    folder = empty
                took = processor_seconds(subject, folder)
                if number:  # The first turn warms the caches.
                    times[what].append(took)
    bare = statistics.median(next(iter(times.values())))
    for what, each in times.items():
        median, target = statistics.median(each), SUBJECTS[what].target
        limit = "" if target is None else f"   (target: {target} x)"
        print(f"{what:28} {median * 1000:7.1f} ms {median / bare:6.1f} x{limit}")


if __name__ == "__main__":
    print_table(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
