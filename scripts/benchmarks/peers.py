"""Measures maverick's store beside others, and prints one table. `peers.py --help` says what can be
chosen.

Each subject works on each workload in a process of its own. They take turns of a tenth of a
second, so that a noisy moment hits all of them; after the turn of one that does not sync, what it
has written is synced, so that the next does not pay for it. System calls are counted in runs of
their own, under strace.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import table
from adapters import PLACES
from workloads import NO_FILE

HERE = Path(__file__).parent
LINES = ("long", "reruns", "wide", "large", "transcript", "diff", "gc")
COUNTED = {"full": ("long", "reruns", "wide", "large", "transcript"), "quick": ("long",)}
_PREPARED = ("diff", "gc")
_TURN_SECONDS = 0.1
_CALL = re.compile(r"^\d+ +(\w+)\((.*)")
_SYNCS = {"fsync", "fdatasync", "sync", "syncfs", "msync", "sync_file_range"}


@dataclass
class Worker:
    """A process that works on one workload with one subject, when it is its turn."""

    subject: str
    workload: str
    process: subprocess.Popen[str]
    samples: list[tuple[str, float, float]] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    peak: int = 0
    done: bool = False
    failure: str = ""

    def turn(self, seconds: float) -> None:
        """Let it work; a failure ends it."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
        answer = self._answer()
        self.samples += answer.get("samples", [])
        self.stored += answer.get("stored", [])
        self.peak = answer.get("peak", 0)
        self.done = answer.get("done", True)

    def end(self) -> None:
        """Wait for the process to end."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if line:
            return dict(json.loads(line))
        self.done = True
        self.failure = self.process.stderr.read().strip() or "ended without a word"
        return {}


@dataclass(frozen=True)
class Place:
    """Where the benchmark works: the folder of the stores, that of the payloads, and how much there
    is to do.
    """

    folder: Path
    data: Path
    scale: str

    def start(
        self,
        subject: str,
        workload: str,
        *,
        scale: str = "",
        watch: Sequence[str] = (),
        shim: Path | None = None,
    ) -> Worker:
        """Start a worker; *watch* is a command that watches it, *shim* a library that it loads."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        arguments = [subject, workload, scale or self.scale, str(folder), str(self.data)]
        process = subprocess.Popen(
            [*watch, sys.executable, str(HERE / "worker.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | ({"BENCH_MARK": "1"} if watch else {})
            | ({"LD_PRELOAD": str(shim)} if shim else {}),
        )
        return Worker(subject, workload, process)

    def clear(self) -> None:
        """Remove the stores."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()


def measure(
    place: Place,
    workload: str,
    names: Sequence[str],
    unsynced: AbstractSet[str] = frozenset(),
    *,
    shim: Path | None = None,
) -> list[dict[str, Any]]:
    """Let all subjects work on *workload* in turns, until they are done, and give what each
    measured. The *unsynced* are synced after their turns. *shim* is as for `Place.start`.
    """
    start = time.perf_counter()
    workers = [place.start(name, workload, shim=shim) for name in names]
    if workload in _PREPARED:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda worker: worker.turn(3600), workers))
        os.sync()
    else:
        for worker in workers:
            worker.turn(0)
    order = list(workers)
    while any(not worker.done for worker in order):
        for worker in order:
            if not worker.done:
                worker.turn(_TURN_SECONDS)
                if worker.subject in unsynced:
                    os.sync()
        order.append(order.pop(0))
    for worker in workers:
        worker.end()
        if worker.failure:
            note(f"{worker.subject}, {workload}: {worker.failure}")
    place.clear()
    note(f"{workload}: {time.perf_counter() - start:.0f} s")
    keys = ("subject", "workload", "samples", "stored", "peak", "failure")
    return [{key: getattr(worker, key) for key in keys} for worker in workers]


def count_calls(place: Place, workload: str, subject: str) -> dict[str, dict[str, list[int]]]:
    """Give for each line the `syncs` and the `calls` (all system calls) of each of its operations,
    from a small run under strace.
    """
    log = place.data / f"{workload}-{subject.replace(' ', '-')}.strace"
    watch = ["strace", "-f", "-qq", "-o", str(log)]
    worker = place.start(subject, workload, scale="small", watch=watch)
    while not worker.done:
        worker.turn(3600)
    worker.end()
    lines = [line for line, _, _ in worker.samples]
    counts = _between_marks(log.read_text("utf-8", "replace").splitlines()) if log.exists() else []
    if worker.failure or len(counts) < len(lines):
        return {}
    return {
        name: {
            what: [count[what] for line, count in zip(lines, counts, strict=False) if line == name]
            for what in ("syncs", "calls")
        }
        for name in dict.fromkeys(lines)
    }


def _between_marks(lines: list[str]) -> list[Counter[str]]:
    """Count the calls of each operation: those between one that fails and the next."""
    counts: list[Counter[str]] = []
    inside = False
    for line in lines:
        call = _CALL.match(line)
        if call and call[2].startswith(str(NO_FILE)):
            inside = not inside
            if inside:
                counts.append(Counter())
        elif call and inside:
            counts[-1] += Counter(calls=1, syncs=call[1] in _SYNCS)
    return counts


def run(place: Place, parts: Mapping[str, Sequence[str]], counted: Sequence[str]) -> dict[str, Any]:
    """Measure each workload of *parts* with the subjects named there, and count the calls of those
    *counted*; give the figures as one JSON value.
    """
    began = time.perf_counter()
    note("the payloads, and what zstd makes of each workload")
    output = subprocess.run(
        [sys.executable, str(HERE / "distinct.py"), place.scale, str(place.data), *parts],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    subjects = json.loads(
        subprocess.run(
            [sys.executable, str(HERE / "worker.py"), "--describe"],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    results: dict[str, Any] = {
        "machine": machine.describe(place.folder),
        "scale": place.scale,
        "subjects": subjects,
    }
    results |= {"distinct": json.loads(output), "workers": [], "counted": {}}
    unsynced = {name for name, about in subjects.items() if about["durable"] == "no"}
    taking_part = {
        it: [name for name in names if it not in subjects[name]["skips"]]
        for it, names in parts.items()
    }
    for workload, part in taking_part.items():
        results["workers"] += measure(place, workload, part, unsynced)
    if shutil.which("strace"):
        start = time.perf_counter()
        asked = [(it, name) for it in counted for name in taking_part.get(it, ())]
        with ThreadPoolExecutor(2) as pool:
            for (_, name), counts in zip(
                asked, pool.map(lambda it: count_calls(place, *it), asked), strict=True
            ):
                results["counted"].setdefault(name, {}).update(counts)
        note(f"system calls: {time.perf_counter() - start:.0f} s")
    else:
        note("strace is not there: system calls are not counted")
    results["machine"]["load"] = (
        f"{results['machine']['load']} at the start, {os.getloadavg()[0]:.1f} at the end"
    )
    results["seconds"] = round(time.perf_counter() - began)
    return results


def note(text: str) -> None:
    """Say on standard error how it goes."""
    print(text, file=sys.stderr, flush=True)


def writable(name: str) -> Path:
    """Give the file *name*, which can be written: minutes later it would be too late to say so."""
    path = Path(name)
    try:
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {name}: {error.strerror}") from None
    return path


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a small run of each, in less than 2 minutes"
    )
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="only test that the adapters give back what they got",
    )
    parser.add_argument("--work", help=f"some of the work: {','.join(LINES)}")
    parser.add_argument("--subjects", help="some of the stores, with ; between their names")
    parser.add_argument("--json", type=writable, help="write the figures to this file, too")
    parser.add_argument(
        "--table", type=Path, help="print the table of figures that --json wrote; measure nothing"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(sys.prefix), help="the disk to measure (a folder on it)"
    )
    return parser.parse_args()


def main() -> int:
    """Do as the command line says."""
    chosen = arguments()
    if chosen.self_test:
        import selftest  # noqa: PLC0415 - it imports all peers at once

        selftest.main()
        return 0
    if chosen.table:
        print(table.render(json.loads(chosen.table.read_text("utf-8"))))
        return 0
    workloads = chosen.work.split(",") if chosen.work else list(LINES)
    names = chosen.subjects.split(";") if chosen.subjects else list(PLACES)
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=chosen.folder, ignore_cleanup_errors=True
    ) as temporary:
        place = Place(
            Path(temporary) / "stores",
            Path(temporary) / "data",
            "quick" if chosen.quick else "full",
        )
        place.folder.mkdir()
        place.data.mkdir()
        results = run(place, dict.fromkeys(workloads, names), COUNTED[place.scale])
    if chosen.json:
        chosen.json.write_text(json.dumps(results), "utf-8")
    print(table.render(results))
    return 1 if any(worker["failure"] for worker in results["workers"]) else 0


if __name__ == "__main__":
    sys.exit(main())
