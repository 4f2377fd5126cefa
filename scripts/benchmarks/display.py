"""What the display of a run costs: processor time of a run of 1,000 shell steps with it, beside
the same run with lines into a file, and with no progress at all. In turns.

On a busy machine the times of two equal runs differ by more than the display costs. So what its
threads took is printed, too: all but the two in which the program and the run are (Linux).

    scripts/bench display [ROUNDS [STEPS]]
"""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from statistics import median

MAVERICK = str(Path(sys.executable).with_name("maverick"))
WAYS = {
    "no progress": ["--quiet"],
    "lines": ["--progress", "lines"],
    "display": ["--progress", "tree"],
}


def processor_seconds(folder: Path, options: list[str], log: Path) -> tuple[float, float]:
    """Run the workflow on a terminal of 100 by 40 and give the processor time of all its processes,
    and that of the display's threads.

    The terminal is read by this process, whose time does not count.
    """
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    reader = threading.Thread(target=drain, args=(ours,))
    reader.start()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [MAVERICK, "run", "many.yaml", *options],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", "MAVERICK_PROGRESS": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file if "lines" in options else theirs,
        )
        os.close(theirs)
        threads: dict[str, float] = {}
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            threads |= thread_seconds(process.pid)
            time.sleep(0.05)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the run ended with {process.returncode}")
    reader.join()
    os.close(ours)
    others = sorted(threads.values())[:-2]
    return usage.ru_utime + usage.ru_stime, sum(others)


def thread_seconds(pid: int) -> dict[str, float]:
    """Give the processor time of each thread of a process, as far as the system tells."""
    taken = {}
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            taken[thread.name] = int((thread / "schedstat").read_text().split()[0]) / 1e9
    return taken


def drain(terminal: int) -> None:
    """Read what is written to a terminal until nobody has it open."""
    while True:
        try:
            if not os.read(terminal, 1 << 16):
                return
        except OSError:
            return


def main() -> None:
    """Measure, and print a line per way."""
    rounds, steps = (int(word) for word in [*sys.argv[1:], *("3", "1000")[len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"  - {{name: s{number}, type: shell, run: 'true'}}\n" for number in range(steps)]
        text = "version: '1.0'\nname: many\nsteps:\n" + "".join(lines)
        (folder / "many.yaml").write_text(text, "utf-8")
        (folder / "maverick.yaml").write_text("checkpoints: {keep_last: 1}\n", "utf-8")
        processor_seconds(folder, WAYS["no progress"], folder / "log")  # So that there is a past.
        taken: dict[str, list[float]] = {way: [] for way in WAYS}
        own: list[float] = []
        for number in range(rounds):
            for way in [*WAYS][:: -1 if number % 2 else 1]:  # None is always the first.
                seconds, threads = processor_seconds(folder, WAYS[way], folder / "log")
                taken[way].append(seconds)
                own += [threads] if way == "display" else []
    base = taken["no progress"]
    print(f"processor time of a run of {steps:,} shell steps, {rounds} rounds in turns")
    for way, seconds in taken.items():
        ratios = [one / without for one, without in zip(seconds, base, strict=True)]
        print(
            f"  {way:<12} {median(seconds):6.2f} s   {100 * (median(ratios) - 1):+5.1f} %   "
            f"({min(seconds):.2f} to {max(seconds):.2f} s)"
        )
    share = 100 * median(own) / median(base)
    print(f"  its threads  {median(own):6.2f} s   {share:5.1f} %")


if __name__ == "__main__":
    main()
