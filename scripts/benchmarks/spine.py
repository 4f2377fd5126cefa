"""What starting, saving and stepping cost: medians of several runs, and ratios to a bare Python of
the same moment.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from maverick.checkpoints import Store, value

MAVERICK = str(Path(sys.executable).with_name("maverick"))
BARE = [sys.executable, "-c", "pass"]
ONE_STEP = "version: '1.0'\nname: one\nsteps:\n  - {name: only, type: shell, run: 'true'}\n"
THOUSAND = """\
version: '1.0'
name: thousand
steps:
  - name: loop
    type: loop
    for_each: ${{ range(1000) }}
    steps:
      - {name: trivial, type: python, action: "trivial:double", kwargs: {number: "${{ item }}"}}
"""


def seconds(work: Callable[[], object]) -> float:
    """How long *work* takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def command(*argv: str, cwd: Path, **variables: str) -> Callable[[], object]:
    """A command to be timed, with compiled modules kept as they are wherever it is installed."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    } | variables
    return lambda: subprocess.run(argv, cwd=cwd, env=environment, check=True, capture_output=True)


def interleaved(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each, taken in turns, so that a noisy moment hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for name, work in works.items():
        seconds(work)  # Warm the caches.
        times[name] = []
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: statistics.median(each) for name, each in times.items()}


def completion(line: str, cwd: Path) -> Callable[[], object]:
    """What bash calls at the end of *line*."""
    asked = {"_MAVERICK_COMPLETE": "bash", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    return command(MAVERICK, cwd=cwd, **asked)


def startup(folder: Path, rounds: int) -> None:
    """The commands that a person waits for."""
    (folder / "one.yaml").write_text(ONE_STEP, "utf-8")
    command(MAVERICK, "run", "one.yaml", cwd=folder)()
    medians = interleaved(
        {
            "python -c pass": command(*BARE, cwd=folder),
            "maverick --version": command(MAVERICK, "--version", cwd=folder),
            "maverick runs": command(MAVERICK, "runs", cwd=folder),
            "maverick checkpoint list": command(MAVERICK, "checkpoint", "list", cwd=folder),
            "completion of a command": completion("maverick ru", folder),
            "completion of a workflow": completion("maverick run f", folder),
            "completion of a run": completion("maverick show o", folder),
            "completion of a step": completion("maverick show @latest o", folder),
            "maverick run, one step": command(MAVERICK, "run", "one.yaml", cwd=folder),
        },
        rounds,
    )
    bare = medians["python -c pass"]
    targets = {"maverick run, one step": 16, "completion of a workflow": 9}
    for name, median in medians.items():
        target = "" if name == "python -c pass" else f"   (target: {targets.get(name, 7)} x)"
        print(f"{name:28} {median * 1000:7.1f} ms {median / bare:6.1f} x{target}")


def saves(folder: Path, count: int) -> None:
    """One save of one small output, and of a thousand, beside bare writes with as many fsyncs."""
    store = Store.create(folder / "store")
    tip = store.save("bench", {("inputs",): value({})}, parent=None, group="bench")
    times = []
    for number in range(count):
        start = time.perf_counter()
        tip = store.save(
            "bench",
            {("steps", f"step{number}"): value({"n": number, "r": random.random()})},
            parent=tip,
        )
        times.append(time.perf_counter() - start)
    bare = statistics.median(seconds(lambda: four_fsyncs(folder)) for _ in range(count))
    once = statistics.median(times)
    print(
        f"{'a save of one output':28} {once * 1000:7.2f} ms {once / bare:6.1f} x of bare writes "
        "with 4 fsyncs"
    )
    many = {("steps", f"many{n}"): value({"n": n, "text": f"{n} " * 200}) for n in range(1000)}
    took = seconds(lambda: store.save("bench", many, parent=tip))
    print(f"{'a save of 1,000 outputs':28} {took * 1000:7.2f} ms")


def four_fsyncs(folder: Path) -> None:
    """What a save cannot do without."""
    for _ in range(2):
        with (folder / "bare").open("wb") as file:
            file.write(b"x" * 1500)
            file.flush()
            os.fsync(file.fileno())
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def steps(folder: Path) -> None:
    """A run of 1,000 trivial steps, and the same again when all of them are recorded."""
    (folder / "thousand.yaml").write_text(THOUSAND, "utf-8")
    (folder / "trivial.py").write_text("def double(number):\n    return 2 * number\n", "utf-8")
    took = seconds(command(MAVERICK, "run", "thousand.yaml", "--quiet", cwd=folder))
    print(f"{'a run of 1,000 steps':28} {took:7.2f} s  {took:6.2f} ms a step")


def main() -> None:
    """Print the table."""
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {sys.platform}")
    with tempfile.TemporaryDirectory(prefix="maverick-bench-") as name:
        folder = Path(name)
        startup(folder, rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 15)
        saves(folder, count=200)
        steps(folder)


if __name__ == "__main__":
    main()
