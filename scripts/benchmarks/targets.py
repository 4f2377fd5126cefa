"""Measures what the store and the steps of a run cost, and prints one table, each figure beside its
target: `scripts/bench store`.

The other stores are those of peers.py, and take turns as they do there. `a sync of 3 ms`: each
fsync and fdatasync, of whatever store, is made to take 3 ms by a library that is loaded into its
process (slow_sync.c, which needs a C compiler). Steps, resuming, gc and fsck are measured as
commands.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
import selftest
import table
import walks
from table import OURS, Figures
from workloads import SCALES, Wrong

FSYNC, LANGGRAPH, GIT = "diskcache, fsync", "langgraph-checkpoint-sqlite", "git fast-import"
SAVERS = (OURS, FSYNC, LANGGRAPH)
PARTS = {
    "tiny": SAVERS,
    "long": (*SAVERS, "diskcache"),
    "reruns": SAVERS,
    "wide": SAVERS,
    "transcript": (OURS,),
    "diff": (OURS, GIT),
    "gc": (OURS, GIT),
}
COUNTED = "long"
SLOW = ("tiny", "long", "reruns")
SLOW_SCALE = {"store": "slow", "quick": "small", "small": "small"}
SLOW_SYNC_SECONDS = 0.003


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what was measured, the figure that has a target, what it was made of."""

    title: str
    figure: float | None = None
    unit: str = ""
    most: float | None = None
    detail: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether the figure is above its target."""
        return self.figure is not None and self.most is not None and self.figure > self.most

    def cells(self, *, bold: bool) -> list[str]:
        """Give what stands in the columns."""
        figure = "not measured" if self.figure is None else number(self.figure) + self.unit
        marked = f"**{figure}**" if bold else f"{figure} !"
        most = "" if self.most is None else f"{self.most:,g}{self.unit}"
        return [self.title, marked if self.is_missed else figure, most, self.detail]


def number(value: float) -> str:
    """Give three digits of a figure, or all before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= 10 else f"{value:.2f}".removesuffix(".00")


def rows(results: dict[str, Any]) -> Iterator[Row]:
    """Yield the lines of the table."""
    found = {
        line: {it.subject: it for it in each if it.seconds}
        for line, each in table.figures(results).items()
    }
    slow = {
        line: {it.subject: it for it in each if it.seconds}
        for line, each in table.figures(results | {"workers": results["slow"]}).items()
    }
    scale = SCALES[results["scale"]]
    yield from _counts(results["counted"])
    saves = (
        ("tiny", "a save of 200 B", 1.3),
        ("long", "a save of 20 kB", 1.6),
        ("reruns", "a save of a rerun", 1.4),
    )
    for line, title, most in saves:
        yield _beside(title, found[line], (FSYNC, LANGGRAPH), most)
    for line, title, _ in saves:
        yield _beside(f"{title}, a sync of 3 ms", slow.get(line, {}), (FSYNC, LANGGRAPH), 1)
    yield _beside(f"wide: a save of {scale.wide:,} results", found["wide"], (FSYNC,), 0.5)
    yield _beside("the same", found["wide"], (LANGGRAPH,), 4)
    walked = results["walked"]
    yield from _steps(walked, f"of a run of {scale.walked:,}")
    for line, most in (("long", 1.0), ("reruns", 1.25), ("wide", 1.0), ("transcript", 1.25)):
        yield _stored(line, found[line].get(OURS), results["distinct"][line]["pieces"], most)
    beside = walked["bytes beside the output"]
    yield Row(f"bytes beside the output, a step of {scale.walked:,}", beside, " B", 500)
    yield _beside("loading the newest", found["load newest"], ("diskcache",), 2.5)
    yield _beside("loading an old one", found["load old"], ("diskcache",), 2)
    yield from _long_run(walked, f"a run of {scale.walked_far:,}")
    yield _beside("diff", found["diff"], (GIT,), 0.45)
    yield _beside(f"gc of {scale.gc_runs:,} runs", found["gc"], (GIT,), 1)


def _counts(counted: dict[str, Any]) -> Iterator[Row]:
    """Yield what strace counted of the saves of one run."""
    for what, title, figure, most, most_at_end in (
        ("syncs", "syncs", statistics.mean, 1, 4),
        ("calls", "system calls", statistics.median, 14, None),
    ):
        for part, name, limit in (
            (" begin", "a run's first save", None),
            ("", "a save", most),
            (" end", "a run's last save", most_at_end),
        ):
            of = {
                subject: lines[COUNTED + part][what]
                for subject, lines in counted.items()
                if subject in SAVERS and COUNTED + part in lines
            }
            if OURS not in of:
                yield Row(f"{title} of {name}", most=limit)
                continue
            each = [f"{subject} {number(figure(counts))}" for subject, counts in of.items()]
            yield Row(f"{title} of {name}", figure(of[OURS]), "", limit, "; ".join(each))


def _beside(title: str, of: dict[str, Figures], others: tuple[str, ...], most: float) -> Row:
    """How many times as long it takes as with the fastest of *others*; in brackets what it takes of
    the processor, which is not known of git.
    """
    there = [of[name] for name in others if name in of]
    if OURS not in of or not there:
        return Row(title, None, " x", most)
    fastest = max(there, key=of[OURS].times)
    times = []
    for it in (of[OURS], *there):
        own = "" if GIT in others else f" ({number(statistics.median(it.processor) * 1000)})"
        times.append(f"{it.subject} {number(it.median * 1000)}{own} ms")
    return Row(title, of[OURS].times(fastest), " x", most, "; ".join(times))


def _steps(walked: dict[str, Any], of: str) -> Iterator[Row]:
    """Yield what a step takes by the clock; a shell step without the start of its shell."""
    python, shell, sh, bash = (walked[f"{kind} step"] for kind in ("python", "shell", "sh", "bash"))
    ms = {
        name: f"{number(it['processor'] * 1000)} ms of the processor"
        for name, it in (("python", python), ("shell", shell))
    }
    yield Row(f"a python step {of}", python["seconds"] * 1000, " ms", 1.9, ms["python"])
    own, whole = sh["seconds"] * 1000, shell["seconds"] * 1000
    detail = f"{number(whole)} ms, the shell's own {number(own)} ms; {ms['shell']}"
    processor = number(sh["processor"] * 1000)
    yield Row(
        f"a shell step {of}, without the shell's own",
        whole - own,
        " ms",
        2.5,
        f"{detail}, the shell's own {processor} ms; that of bash, which it is, "
        f"{number(bash['seconds'] * 1000)} ms",
    )


def _stored(line: str, ours: Figures | None, distinct: int, most: float) -> Row:
    """How many times as many bytes are stored as zstd makes of the distinct content."""
    title = f"bytes stored / zstd, {line}"
    if ours is None or ours.bytes is None or ours.compact is None:
        return Row(title, None, " x", most)
    detail = f"{ours.bytes:,} B, zstd {distinct:,} B; after gc {number(ours.compact / distinct)} x"
    return Row(title, ours.bytes / distinct, " x", most, detail)


def _long_run(walked: dict[str, Any], of: str) -> Iterator[Row]:
    """Yield what is asked of the long run."""
    for name, title in (
        ("gc --dry-run", f"`gc --dry-run`, {of}"),
        ("fsck --read-data", f"`fsck --read-data`, {of}"),
        ("resume", f"resuming {of} at its last step"),
    ):
        detail = f"{number(walked[name]['processor'])} s of the processor"
        yield Row(title, walked[name]["seconds"], " s", 2, detail)
    yield Row("peak memory of that", walked["resume"]["peak"] / 1e6, " MB", 100)


def render(results: dict[str, Any], *, markdown: bool) -> str:
    """Give the page: the machine, the table."""
    lines = [["", "is", "at most", ""]]
    lines += [row.cells(bold=markdown) for row in rows(results)]
    about = [f"* {name}: {value}" for name, value in results["machine"].items()]
    about.append(f"* taken: {results['scale']} scale, {results['seconds']} s in all")
    if markdown:
        texts = [f"| {' | '.join(cells)} |" for cells in lines]
        texts.insert(1, "| --- | ---: | ---: | --- |")
    else:
        wide = [max(len(cells[column]) for cells in lines) for column in range(3)]
        texts = [
            f"{a:{wide[0]}}  {b:>{wide[1]}}  {c:>{wide[2]}}  {d}".rstrip() for a, b, c, d in lines
        ]
        about.append("* !: more than the target")
    return "\n".join([*about, "", *texts])


def build_shim(folder: Path) -> Path | None:
    """Build the library that makes syncs slow; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library, source = folder / "slow_sync.so", peers.HERE / "slow_sync.c"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def sync_seconds(folder: Path, count: int = 30) -> float:
    """Give what a sync of a few new bytes at the end of a file takes here."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(count):
            file.write(bytes(1000))
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(folder: Path, scale: str) -> dict[str, Any]:
    """Measure everything; give the figures as one JSON value."""
    start = time.perf_counter()
    place = peers.Place(folder / "stores", folder / "data", scale)
    place.folder.mkdir()
    place.data.mkdir()
    syncs = [sync_seconds(place.folder)]
    peers.note("runs of many steps")
    walked = walks.figures(place.folder, scale)
    results = peers.run(place, PARTS, [COUNTED])
    shim = build_shim(place.data)
    results |= {"walked": walked, "slow": []}
    if shim:
        slow = peers.Place(place.folder, place.data, SLOW_SCALE[scale])
        for workload in SLOW:
            results["slow"] += peers.measure(slow, workload, SAVERS, shim=shim)
    syncs.append(sync_seconds(place.folder))
    first, last = (f"{number(seconds * 1000)} ms" for seconds in syncs)
    results["machine"]["a sync"] = f"{first} at the start, {last} at the end"
    results["seconds"] = round(time.perf_counter() - start)
    return results


def self_test(folder: Path) -> None:
    """Show that the adapters give back what they got, that what is counted is what was done, that
    a slow sync is slow, and that each line has a figure.
    """
    selftest.main(SAVERS)
    results = measure(folder, "small")
    place = peers.Place(folder / "stores", folder / "data", "small")
    counts = peers.count_calls(place, COUNTED, table.BARE)[COUNTED]["syncs"]
    if set(counts) != {4}:
        raise Wrong(f"{table.BARE} sync 4 times, not {counts}")
    samples = [sample for worker in results["slow"] for sample in worker["samples"]]
    slow = [seconds for line, seconds, _ in samples if not line.startswith("load")]
    if slow and min(slow) < SLOW_SYNC_SECONDS:
        raise Wrong(f"a save with a slow sync took {min(slow)} s")
    empty = [row.title for row in rows(results) if row.figure is None]
    print(f"syncs are counted and slowed; not measured here: {', '.join(empty) or 'nothing'}")


def main() -> int:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="little of each, in under a minute")
    parser.add_argument("--self-test", action="store_true", help="only test that it measures")
    parser.add_argument(
        "--markdown", action="store_true", help="print a table of Markdown, what is missed in bold"
    )
    parser.add_argument("--json", type=peers.writable, help="write the figures to this file, too")
    parser.add_argument(
        "--table", type=Path, help="print the table of figures that --json wrote; measure nothing"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(sys.prefix), help="the disk to measure (a folder on it)"
    )
    chosen = parser.parse_args()
    if chosen.table:
        print(render(json.loads(chosen.table.read_text("utf-8")), markdown=chosen.markdown))
        return 0
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=chosen.folder, ignore_cleanup_errors=True
    ) as folder:
        if chosen.self_test:
            self_test(Path(folder))
            return 0
        results = measure(Path(folder), "quick" if chosen.quick else "store")
    if chosen.json:
        chosen.json.write_text(json.dumps(results), "utf-8")
    print(render(results, markdown=chosen.markdown))
    return 1 if any(it["failure"] for it in (*results["workers"], *results["slow"])) else 0


if __name__ == "__main__":
    sys.exit(main())
