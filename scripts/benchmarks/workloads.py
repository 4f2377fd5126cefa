"""The work that is measured: each function does one kind with one subject, and yields a sample for
each operation.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from adapters.subject import Subject

T = TypeVar("T")

STEP_BYTES = 20_000
RERUN_BYTES, RERUN_CHANGED = 20_000, 2
SMALL_BYTES = 400
TURN_BYTES = 25_000
INSERTION_BYTES = 5_000
TINY_BYTES, CHANGED_AMONG_MANY = 200, 3
TINY_RUNS = 3
GC_STEPS, GC_BYTES, GC_CHANGED, GC_KEPT = 10, 2_000, 2, 5
NO_FILE = 999_999


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of each work there is.

    What has taken `round_seconds` is not repeated; a subject that has spent `budget_seconds` on
    saves of one workload stops there, and is compared by the saves that it came to.
    """

    steps: int = 200
    runs: int = 50
    run_steps: int = 40
    wide: int = 2_000
    wide_rounds: int = 3
    large_bytes: int = 256_000_000
    round_seconds: float = 8
    budget_seconds: float = 15
    turns: int = 200
    reads: int = 10
    many: int = 10_000
    gc_runs: int = 1_000
    gc_rounds: int = 3
    walked: int = 1_000
    walked_far: int = 10_000
    walks: int = 3


SCALES = {
    "full": Scale(),
    # The stores that are compared here are quick enough to come to the end.
    "store": Scale(budget_seconds=120, wide_rounds=7),
    "quick": Scale(30, 6, 20, 500, 1, 8_000_000, 0, 1, 30, 3, 1_000, 30, 1, 100, 500, 1),
    # For syncs that are made slow.
    "slow": Scale(60, 8, 20),
    # For counting, and for tests.
    "small": Scale(24, 2, 8, 2_000, 1, 2_000_000, 0, 60, 6, 1, 200, 12, 1, 5, 10, 1),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One operation of the line *line* of the table took so long, and so much of the processor in
    this process.
    """

    line: str
    seconds: float
    processor: float


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store of the line has become; `compact`: after gc."""

    line: str
    bytes: int
    allocated: int
    files: int
    compact: bool = False


class Ready:
    """What is measured has been prepared."""


Event: TypeAlias = "Sample | Stored | Ready"


class Wrong(Exception):
    """A subject gave back something else than it was given."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One subject, the folder for its stores, the folder of the payloads, how much to do, and
    whether to mark it.
    """

    make: Callable[[], Subject]
    folder: Path
    data: Path
    scale: Scale
    marked: bool = False

    def store(self, name: str) -> Subject:
        """Give a subject with the store *name* open."""
        subject = self.make()
        subject.open(self.folder / name)
        return subject

    def timed(
        self, line: str, work: Callable[..., T], *arguments: object, **named: object
    ) -> tuple[Sample, T]:
        """Do *work*. Marks are calls that fail, for who watches the calls of this process."""
        start, used = time.perf_counter(), time.process_time()
        self._mark()
        result = work(*arguments, **named)
        self._mark()
        seconds, processor = time.perf_counter() - start, time.process_time() - used
        return Sample(line, seconds, processor), result

    def stored(self, line: str, name: str, *, compact: bool = False) -> Stored:
        """Measure the store *name*, which is closed. What an empty one has does not count."""
        empty = self.folder / f"{name}-empty"
        subject = self.make()
        subject.open(empty)
        subject.close()
        now, nothing = measure(self.folder / name / "store"), measure(empty / "store")
        shutil.rmtree(empty)
        return Stored(line, now[0] - nothing[0], now[1] - nothing[1], now[2], compact)

    def spends(self) -> Callable[[Sample], bool]:
        """Give a function that is told of each sample, and says when the budget is spent."""
        left = self.scale.budget_seconds

        def spend(sample: Sample) -> bool:
            nonlocal left
            left -= sample.seconds
            return left < 0

        return spend

    def _mark(self) -> None:
        if self.marked:
            with suppress(OSError):
                os.fsync(NO_FILE)


def measure(folder: Path) -> tuple[int, int, int]:
    """Give the apparent and the allocated bytes of all files below *folder*, and their number."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(it.st_size for it in found), sum(it.st_blocks * 512 for it in found), len(found)


def long(bench: Bench) -> Iterator[Event]:
    """(a) One run; each step adds a text; a checkpoint after every step. (f) Then the newest and an
    old one load.
    """
    subject = bench.store("long")
    keys, state = yield from _run(bench, subject, "long", "run", long_pieces(bench.scale))
    subject.close()
    yield bench.stored("long", "long")
    if "load" not in subject.skips:
        half = len(keys) // 2
        old = {f"step{number}": state[f"step{number}"] for number in range(half)}
        for line, key, expected in (
            ("load newest", keys[-1], state),
            ("load old", keys[half - 1], old),
        ):
            for _ in range(bench.scale.reads):
                yield _load(bench, line, key, expected)
    yield from _collected(bench, "long", ["run"], {"run": (keys[-1], state)})


def tiny(bench: Bench) -> Iterator[Event]:
    """(i) Runs of which each step adds very little."""
    subject = bench.store("tiny")
    for run in range(TINY_RUNS):
        numbers = range(bench.scale.steps)
        pieces = [texts.text(f"tiny {run} {number}", TINY_BYTES) for number in numbers]
        yield from _run(bench, subject, "tiny", f"run{run}", pieces)
    subject.close()
    yield bench.stored("tiny", "tiny")


def _run(
    bench: Bench, subject: Subject, line: str, run: str, pieces: list[bytes]
) -> Generator[Event, None, tuple[list[str], dict[str, bytes]]]:
    """Save a run, a checkpoint for each piece; give the checkpoints, and what the newest holds.

    The first save and the last are lines of their own: `LINE begin` and `LINE end`.
    """
    state: dict[str, bytes] = {}
    keys = []
    for number, piece in enumerate(pieces):
        changed = {f"step{number}": piece}
        state |= changed
        last = number == len(pieces) - 1
        part = " end" if last else "" if number else " begin"
        sample, key = bench.timed(line + part, subject.save, run, changed, state, last=last)
        keys.append(key)
        yield sample
    return keys, state


def reruns(bench: Bench) -> Iterator[Event]:
    """(b) Runs of the same steps, of which two differ each time; a checkpoint after every step."""
    subject = bench.store("reruns")
    pieces = [texts.text(f"rerun {number}", RERUN_BYTES) for number in range(bench.scale.run_steps)]
    tips = {}
    spent = bench.spends()
    for run in range(bench.scale.runs):
        _differ("rerun", run, pieces, RERUN_CHANGED, RERUN_BYTES)
        state: dict[str, bytes] = {}
        for number, piece in enumerate(pieces):
            changed = {f"step{number}": piece}
            state |= changed
            last = number == len(pieces) - 1
            sample, key = bench.timed(
                "reruns", subject.save, f"run{run}", changed, state, last=last
            )
            yield sample
            if spent(sample):
                subject.close()
                return
        tips[f"run{run}"] = (key, state)
    subject.close()
    yield bench.stored("reruns", "reruns")
    yield from _collected(bench, "reruns", list(tips), tips)


def wide(bench: Bench) -> Iterator[Event]:
    """(c) Many small results in one save, that of the middle of a run; repeated in new stores while
    it is quick.
    """
    first, last = {"first": b"a run that begins"}, {"last": b"a run that ends"}
    state = {f"item{number}": piece for number, piece in enumerate(_wide_pieces(bench.scale))}
    whole = first | state | last
    for name in _rounds(bench, "wide", bench.scale.wide_rounds):
        subject = bench.store(name)
        subject.save("run", first, first)
        yield bench.timed("wide", subject.save, "run", state, first | state)[0]
        key = subject.save("run", last, whole, last=True)
        subject.close()
        if name == "wide":
            yield bench.stored(name, name)
            yield from _collected(bench, name, ["run"], {"run": (key, whole)})


def large(bench: Bench) -> Iterator[Event]:
    """(d) A large payload, then the same with an insertion in the middle; repeated in new stores
    while it is quick.
    """
    for name in _rounds(bench, "large", 3):
        subject = bench.store(name)
        for line, payload in (("large", "payload"), ("large again", "payload-inserted")):
            state = {"payload": bench.data / payload}
            yield bench.timed(line, subject.save, "run", state, state)[0]
        subject.close()
        if name == "large":
            yield bench.stored(name, name)
        shutil.rmtree(bench.folder / name)


def transcript(bench: Bench) -> Iterator[Event]:
    """(e) A text that grows; a checkpoint after each turn."""
    subject = bench.store("transcript")
    whole = texts.text("transcript", bench.scale.turns * TURN_BYTES)
    spent = bench.spends()
    for turn in range(1, bench.scale.turns + 1):
        state = {"transcript": whole[: turn * TURN_BYTES]}
        last = turn == bench.scale.turns
        sample, key = bench.timed("transcript", subject.save, "run", state, state, last=last)
        yield sample
        if spent(sample):
            subject.close()
            return
    subject.close()
    yield bench.stored("transcript", "transcript")
    yield from _collected(bench, "transcript", ["run"], {"run": (key, state)})


def diff(bench: Bench) -> Iterator[Event]:
    """(g) Two checkpoints of many steps, of which a few differ."""
    subject = bench.store("diff")
    state = {
        f"step{number}": texts.text(f"tiny {number}", TINY_BYTES)
        for number in range(bench.scale.many)
    }
    old = subject.save("run", state, state)
    step = len(state) // (CHANGED_AMONG_MANY + 1)
    names = [f"step{step * (number + 1)}" for number in range(CHANGED_AMONG_MANY)]
    changed = {name: texts.text(f"other {name}", TINY_BYTES) for name in names}
    new = subject.save("run", changed, state | changed)
    subject.close()
    expected = {name: (state[name], data) for name, data in changed.items()}
    yield Ready()
    for _ in range(bench.scale.reads):
        reader = bench.make()
        sample, found = bench.timed(
            "diff", _read, reader, "diff", bench.folder / "diff", "run", old, new
        )
        reader.close()
        if found != expected:
            raise Wrong(f"diff gave {sorted(found)} instead of {sorted(expected)}")
        yield sample


def gc(bench: Bench) -> Iterator[Event]:
    """(h) Many runs, all done; all but the newest few go. Measured on copies of the store."""
    subject = bench.store("gc")
    pieces = [texts.text(f"gc {number}", GC_BYTES) for number in range(GC_STEPS)]
    tips = {}
    for run in range(bench.scale.gc_runs):
        _differ("gc", run, pieces, GC_CHANGED, GC_BYTES)
        state = {f"step{number}": piece for number, piece in enumerate(pieces)}
        tips[f"run{run}"] = (subject.save(f"run{run}", state, state, last=True), state)
    subject.close()
    yield Ready()
    yield bench.stored("gc", "gc")
    keep = list(tips)[-GC_KEPT:]
    for number in range(bench.scale.gc_rounds):
        copy = f"gc{number}"
        shutil.copytree(bench.folder / "gc", bench.folder / copy, symlinks=True)
        os.sync()
        collector = bench.store(copy)
        sample, _ = bench.timed("gc", collector.collect, keep)
        collector.close()
        _verify(bench, copy, {run: tips[run] for run in keep})
        yield sample
    yield bench.stored("gc", "gc0", compact=True)


WORKLOADS: dict[str, Callable[[Bench], Iterator[Event]]] = {
    it.__name__: it for it in (long, tiny, reruns, wide, large, transcript, diff, gc)
}


def long_pieces(scale: Scale) -> list[bytes]:
    """Give the texts of the long run."""
    return [texts.text(f"long {number}", STEP_BYTES) for number in range(scale.steps)]


def _wide_pieces(scale: Scale) -> list[bytes]:
    return [texts.text(f"wide {number}", SMALL_BYTES) for number in range(scale.wide)]


def _rounds(bench: Bench, name: str, most: int) -> Iterator[str]:
    """Yield names of new stores, the first of them *name*, while it is quick."""
    start = time.perf_counter()
    for number in range(most):
        if not number or time.perf_counter() - start < bench.scale.round_seconds:
            yield f"{name}{number or ''}"


def _differ(kind: str, run: int, pieces: list[bytes], count: int, size: int) -> None:
    """Change *count* of *pieces*, at places that move from run to run; the first run has them as
    they are.
    """
    for number in range(count if run else 0):
        pieces[(7 * run + 13 * number) % len(pieces)] = texts.text(f"{kind} {run} {number}", size)


def distinct(workload: str, scale: Scale, data: Path) -> Iterator[bytes]:
    """Yield each content once that a workload's store holds in the end, nothing twice."""
    match workload:
        case "long":
            yield from long_pieces(scale)
        case "wide":
            yield from _wide_pieces(scale)
        case "large":
            yield (data / "payload").read_bytes()
            yield texts.text("insertion", INSERTION_BYTES)
        case "transcript":
            yield texts.text("transcript", scale.turns * TURN_BYTES)
        case "reruns":
            yield from _distinct_runs(
                "rerun", scale.runs, scale.run_steps, RERUN_CHANGED, RERUN_BYTES
            )
        case "gc":
            pieces: list[bytes] = [
                texts.text(f"gc {number}", GC_BYTES) for number in range(GC_STEPS)
            ]
            kept: dict[bytes, None] = {}
            for run in range(scale.gc_runs):
                _differ("gc", run, pieces, GC_CHANGED, GC_BYTES)
                if run >= scale.gc_runs - GC_KEPT:
                    kept |= dict.fromkeys(pieces)
            yield from kept


def _distinct_runs(kind: str, runs: int, steps: int, count: int, size: int) -> Iterator[bytes]:
    pieces = [texts.text(f"{kind} {number}", size) for number in range(steps)]
    yield from pieces
    for run in range(1, runs):
        before = list(pieces)
        _differ(kind, run, pieces, count, size)
        yield from (new for new, old in zip(pieces, before, strict=True) if new is not old)


def _load(bench: Bench, line: str, key: str, expected: dict[str, bytes]) -> Sample:
    """Time opening the store and reading a checkpoint."""
    reader = bench.make()
    sample, found = bench.timed(line, _read, reader, "load", bench.folder / "long", "run", key)
    reader.close()
    if found != expected:
        raise Wrong(f"{line} gave something else")
    return sample


def _read(reader: Subject, what: str, folder: Path, *arguments: str) -> object:
    """Open a store and load or compare: what a process has to do that has read nothing yet."""
    reader.open(folder)
    return getattr(reader, what)(*arguments)


def _collected(
    bench: Bench, line: str, keep: list[str], tips: dict[str, tuple[str, dict[str, bytes]]]
) -> Iterator[Stored]:
    """Collect garbage where there is hardly any: what stays is made compact."""
    subject = bench.store(line)
    if {"load", "gc"} & subject.skips.keys():
        subject.close()
        return
    subject.collect(keep)
    subject.close()
    _verify(bench, line, dict(list(tips.items())[-3:]))
    yield bench.stored(line, line, compact=True)


def _verify(bench: Bench, name: str, tips: dict[str, tuple[str, dict[str, bytes]]]) -> None:
    reader = bench.store(name)
    for run, (key, state) in tips.items():
        if reader.load(run, key) != state:
            raise Wrong(f"{run} is another after gc")
    reader.close()
