"""What starting, saving and stepping cost: medians of several runs, and ratios to a bare Python, or
to bare writes, of the same moment.
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

import startup

from maverick.checkpoints import Store, value

MAVERICK = str(Path(sys.executable).with_name("maverick"))
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


def command(*argv: str, cwd: Path) -> Callable[[], object]:
    """A command to be timed, with compiled modules kept as they are wherever it is installed."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    return lambda: subprocess.run(argv, cwd=cwd, env=environment, check=True, capture_output=True)


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
        startup.print_table(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
        saves(folder, count=200)
        steps(folder)


if __name__ == "__main__":
    main()
