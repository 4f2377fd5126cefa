"""What the store costs: the same work for maverick and for the limits, each in a process of its own.

`python scripts/benchmarks/store.py [work ...] [--scale 0.1]` prints a table; `--markdown` prints it for
docs/performance.md. A peer is a module beside this one with `PEERS`, a mapping from names to classes with the
methods of `Subject`; name it by `--peers store_peers`.
"""

# Imports are what is measured, subjects do what their protocol says, and closures are called at once.
# ruff: noqa: ARG002, B023, D102, PLC0415, RUF001
from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

TEXT = Mapping[str, bytes]
"""What is to be saved: the content of each name."""

_WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 7)) for n in range(4000)]


def text(size: int, seed: int) -> bytes:
    """English-like text: words of a vocabulary, the frequent ones more often."""
    source = random.Random(seed)
    words = source.choices(_WORDS, weights=[1 / (n + 10) for n in range(len(_WORDS))], k=size // 5)
    return " ".join(words).encode()[:size].ljust(size, b".")


class Subject(Protocol):
    """What is measured. Every `save` is to be durable when it returns; say `durable = False` if it is not."""

    durable: bool

    def __init__(self, folder: Path) -> None: ...

    def save(self, run: str, changed: TEXT) -> None:
        """Save a checkpoint of *run*: as the one before, but for what *changed*."""

    def load(self, run: str, back: int) -> int:
        """Read all of the checkpoint *back* before the newest; gives the number of bytes."""

    def diff(self, run: str, back: int) -> int:
        """Give the number of names that differ between the newest checkpoint and the one *back* before it."""

    def forget(self, keep: int) -> None:
        """Forget all runs but the *keep* newest, and free their space."""


class Maverick:
    """This project."""

    durable = True

    def __init__(self, folder: Path) -> None:
        from maverick.checkpoints import Store, blob

        self._store = Store.create(folder / "store")
        self._blob = blob
        self._at: dict[str, object] = {}

    def save(self, run: str, changed: TEXT) -> None:
        changes = {("steps", name): self._blob(data) for name, data in changed.items()}
        self._at[run] = self._store.save(run, changes, parent=self._at.get(run), step=next(iter(changed), ""))

    def finish(self, run: str) -> None:
        """Note that the run is done, so that gc may take it."""
        self._store.save(run, {}, parent=self._at.pop(run), kind="final")

    def load(self, run: str, back: int) -> int:
        from maverick.checkpoints import Store

        found = Store.open(self._store.root).load(f"{run}~{back}")
        return sum(len(found.data(("steps", name))) for name in found.names("steps"))

    def diff(self, run: str, back: int) -> int:
        from maverick.checkpoints import Store

        return sum(1 for _ in Store.open(self._store.root).diff(f"{run}~{back}", run))

    def forget(self, keep: int) -> None:
        self._store.plan_gc(keep_last=keep).execute()


class Bare:
    """The limit: the same bytes written, with as many fsyncs as a save has, and nothing else."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "bare"
        self._folder.mkdir()
        self._number = 0

    def save(self, run: str, changed: TEXT) -> None:
        del run
        self._number += 1
        self._write(f"data-{self._number}", changed.values())
        self._write("ref", [b"x" * 1000])

    def _write(self, name: str, parts: object) -> None:
        with (self._folder / "new").open("wb", buffering=0) as file:
            for part in parts:  # type: ignore[attr-defined]
                file.write(part)
            os.fsync(file.fileno())
        (self._folder / "new").rename(self._folder / name)
        descriptor = os.open(self._folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


class Hashing:
    """The limit: BLAKE3 of the same bytes, by one thread; nothing is stored."""

    durable = False

    def __init__(self, folder: Path) -> None:
        from blake3 import blake3

        self._hash = blake3

    def save(self, run: str, changed: TEXT) -> None:
        for data in changed.values():
            self._hash(data).digest()


class Compressing:
    """The limit: Zstandard (level 3) of what is distinct, by one thread, held in memory.

    Distinct is content that no name has had, without what it has in common with what its own name had before.
    """

    durable = False

    def __init__(self, folder: Path) -> None:
        from backports import zstd

        self._compress = zstd.compress
        self._seen: set[bytes] = set()
        self._before: dict[str, bytes] = {}
        self.stored = 0

    def save(self, run: str, changed: TEXT) -> None:
        from blake3 import blake3

        for name, data in changed.items():
            digest = blake3(data).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                self.stored += len(self._compress(_new_in(data, self._before.get(f"{run}/{name}", b"")), 3))
            self._before[f"{run}/{name}"] = data


def _new_in(data: bytes, before: bytes) -> bytes:
    start = 0
    while start < len(before) and data[start : start + 4096] == before[start : start + 4096]:
        start += 4096
    end = 0
    while (
        end + 4096 < len(before) - start
        and data[len(data) - end - 4096 :][:4096] == before[len(before) - end - 4096 :][:4096]
    ):
        end += 4096
    return data[start : len(data) - end]


SUBJECTS: dict[str, type] = {"maverick": Maverick, "bare writes": Bare, "BLAKE3": Hashing, "zstd": Compressing}


@dataclass
class Clock:
    """Takes the time of each operation."""

    milliseconds: list[float] = field(default_factory=list)

    def time(self, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        work()
        self.milliseconds.append((time.perf_counter() - start) * 1000)


def long(it: Subject, clock: Clock, scale: float) -> None:
    """(a) one run, 200 steps, 20 kB of new text each, a checkpoint after every step."""
    for number in range(int(200 * scale)):
        data = text(20_000, number)
        clock.time(lambda: it.save("run", {f"step{number}": data}))


def reruns(it: Subject, clock: Clock, scale: float) -> None:
    """(b) 50 runs of 40 steps of 20 kB, of which 2 differ each time."""
    for run in range(int(50 * scale)):
        for step in range(40):
            data = text(20_000, step if step % 20 != run % 20 else 1000 * run + step)
            clock.time(lambda: it.save(f"run{run}", {f"step{step}": data}))


def wide(it: Subject, clock: Clock, scale: float) -> None:
    """(c) one checkpoint of 2,000 results of 400 bytes, five times."""
    for turn in range(5):
        data = {f"result{n}": text(400, 10_000 * turn + n) for n in range(int(2000 * scale))}
        clock.time(lambda: it.save(f"run{turn}", data))


def large(it: Subject, clock: Clock, scale: float) -> None:
    """(d) a payload of 256 MB (half of it random), saved again after an insertion in the middle."""
    source = random.Random(1)
    piece = text(500_000, 1)
    data = b"".join(source.randbytes(500_000) + piece[n:] + piece[:n] for n in range(int(256 * scale)))
    for content in (data, data[: len(data) // 2] + b"inserted" * 100 + data[len(data) // 2 :]):
        clock.time(lambda: it.save("run", {"payload": content}))


def transcript(it: Subject, clock: Clock, scale: float) -> None:
    """(e) a text that grows by 25 kB per checkpoint, 200 times."""
    content = b""
    for turn in range(int(200 * scale)):
        content += text(25_000, turn)
        clock.time(lambda: it.save("run", {"transcript": content}))


def load(it: Subject, clock: Clock, scale: float) -> None:
    """(f) the newest checkpoint of (a), and one of its middle, each read whole five times."""
    long(it, Clock(), scale)
    for back in [0, int(100 * scale)] * 5:
        clock.time(lambda: it.load("run", back))


def diff(it: Subject, clock: Clock, scale: float) -> None:
    """(g) of two checkpoints of 10,000 steps, 5 of which differ."""
    steps = {f"step{n}": b'{"out":%d}' % n for n in range(int(10_000 * scale))}
    it.save("run", steps)
    it.save("run", {f"step{n * int(1999 * scale)}": b"other" for n in range(5)})
    for _ in range(10):
        clock.time(lambda: it.diff("run", 1))


def collect(it: Subject, clock: Clock, scale: float) -> None:
    """(h) gc after 1,000 runs of 3 checkpoints, of which 5 stay."""
    for run in range(int(1000 * scale)):
        for step in range(2):
            it.save(f"run{run}", {f"step{step}": text(2000, 2 * run + step)})
        it.finish(f"run{run}")  # type: ignore[attr-defined]
    clock.time(lambda: it.forget(5))


WORK: dict[str, Callable[[Subject, Clock, float], None]] = {
    "long": long, "reruns": reruns, "wide": wide, "large": large, "transcript": transcript,
    "load": load, "diff": diff, "gc": collect,
}  # fmt: skip
SAVING = ("long", "reruns", "wide", "large", "transcript")


def child(module: str, subject: str, work: str, scale: float, folder: Path) -> None:
    """Do one work with one subject, and print what it took as JSON."""
    syncs = 0
    plain = os.fsync

    def counted(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        plain(descriptor)

    os.fsync = counted  # type: ignore[assignment]
    it = subjects(module)[subject](folder)
    clock = Clock()
    WORK[work](it, clock, scale)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "reserve"]
    print(
        json.dumps(
            {
                "milliseconds": clock.milliseconds,
                "bytes": getattr(it, "stored", 0) or sum(path.stat().st_size for path in files),
                "files": len(files),
                "syncs": syncs,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
                "durable": it.durable,
            }
        )
    )


def subjects(module: str) -> dict[str, type]:
    """Give the subjects, with the peers that *module* adds."""
    return SUBJECTS | (importlib.import_module(module).PEERS if module else {})


def measured(
    module: str, scale: float, wanted: list[str], base: Path | None
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield what each work took with each subject that can do it."""
    for work in wanted:
        for subject in subjects(module):
            if subject in {"bare writes", "BLAKE3", "zstd"} and work not in SAVING:
                continue
            with tempfile.TemporaryDirectory(prefix="maverick-bench-", dir=base) as folder:
                argv = [
                    sys.executable,
                    __file__,
                    "--child",
                    subject,
                    work,
                    folder,
                    "--scale",
                    str(scale),
                    "--peers",
                    module,
                ]
                done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{work}, {subject}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            yield work, subject, json.loads(done.stdout)


def row(work: str, subject: str, found: dict[str, object]) -> list[str]:
    """Give the cells of one line."""
    times = sorted(found["milliseconds"])  # type: ignore[call-overload]
    low, high = times[len(times) // 10], times[-1 - len(times) // 10]
    return [
        work,
        subject + ("" if found["durable"] else " (not durable)"),
        f"{statistics.median(times):,.2f}",
        f"{low:,.2f}–{high:,.2f}",
        f"{found['bytes']:,}",
        f"{found['files']:,}",
        f"{found['syncs']:,}",
        f"{int(found['peak']) / 1e6:,.0f}",  # type: ignore[call-overload]
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*", default=[])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--peers", default="")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--child", nargs=3)
    options = parser.parse_args()
    if options.child:
        subject, work, folder = options.child
        child(options.peers, subject, work, options.scale, Path(folder))
        return
    machine = f"{os.cpu_count()} cores ({platform.machine()}), {platform.platform()}"
    print(f"Python {platform.python_version()}, {machine}, scale {options.scale}\n")
    head = ["work", "who", "ms per operation", "10–90 %", "bytes", "files", "fsyncs", "peak MB"]
    if options.markdown:
        print(f"| {' | '.join(head)} |\n| {' | '.join(['---', '---', *['---:'] * 6])} |")
    else:
        print("{:11} {:22} {:>16} {:>22} {:>13} {:>6} {:>7} {:>8}".format(*head))
    for work, subject, found in measured(options.peers, options.scale, options.work or list(WORK), options.folder):
        cells = row(work, subject, found)
        line = (
            f"| {' | '.join(cells)} |"
            if options.markdown
            else "{:11} {:22} {:>16} {:>22} {:>13} {:>6} {:>7} {:>8}".format(*cells)
        )
        print(line, flush=True)


if __name__ == "__main__":
    main()
