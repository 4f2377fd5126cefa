"""What a save costs and what that is made of: `python scripts/benchmarks/costs.py [work ...] [--scale 0.3]`.

maverick and bare writes save in turns in one process, so that both meet the same load of the machine; the ratio is of
their medians. Bytes are counted by what they are, before gc and after it, and set against what zstd makes of the
distinct content.
"""

# ruff: noqa: D102
from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

import store as benchmark
from store import SAVING, WORK, Bare, Clock, Compressing, Maverick

from maverick.checkpoints import Store, packs

KEEP_ALL = 10**6


class InTurns:
    """Saves with maverick and with bare writes, each first every second time; `seconds` of either, and `cpu`."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self.maverick = Maverick(folder)
        self._both = (self.maverick, Bare(folder))
        self.seconds: tuple[list[float], list[float]] = ([], [])
        self.cpu: list[float] = []

    def save(self, run: str, changed: benchmark.TEXT) -> None:
        turns = list(zip(self._both, self.seconds, strict=True))
        for subject, seconds in turns if len(self.cpu) % 2 else reversed(turns):
            wall, cpu = time.perf_counter(), time.process_time()
            subject.save(run, changed)
            seconds.append(time.perf_counter() - wall)
            if subject is self.maverick:
                self.cpu.append(time.process_time() - cpu)


def parts(root: Path) -> Counter[str]:
    """Give the bytes of a store by what they are: payloads, by kind and by what they lean on, and the rest."""
    store, found = Store.open(root), Counter[str]()
    store.objects.refresh()
    for index in store.objects.packs():
        found["headers and trailers of packs"] += packs.HEADER_BYTES + packs.TRAILER_BYTES
        found["rows of indexes"] += packs.INDEX_BYTES * len(index)
        found["headers of frames"] += packs.FRAME_BYTES * len(index)
        for place, raw in store.objects.frames(index):
            how = {0: "", packs.HAS_BASE: ", with a base", packs.HAS_CHUNKS: ", lists of chunks"}[raw[6]]
            found[f"{place.kind.name.lower()}s{how}"] += place.length - packs.FRAME_BYTES
    found["refs"] = sum(path.stat().st_size for path in (root / "refs").iterdir())
    return found


def report(name: str, found: Counter[str], content: int, saves: int) -> None:
    """Print the bytes of a store per save, and how they compare with *content*."""
    total = sum(found.values())
    print(f"  {name}: {total:,} bytes, {total / content:.3f} x what zstd makes of the distinct content; per save")
    for part, size in found.most_common():
        print(f"    {size / saves:12,.0f}  {part}")


def measure(work: str, scale: float, base: Path | None) -> None:
    """Do one work, and print what it cost."""
    with tempfile.TemporaryDirectory(prefix="maverick-costs-", dir=base) as folder:
        subject, limit = InTurns(Path(folder)), Compressing(Path(folder))
        WORK[work](subject, Clock(), scale)
        WORK[work](limit, Clock(), scale)
        ours, bare = map(statistics.median, subject.seconds)
        root, saves = Path(folder) / "store", len(subject.cpu)
        cpu = statistics.median(subject.cpu) * 1000
        print(f"{work}: {saves} saves, {ours / bare:.2f} x bare writes ({ours * 1000:.2f} ms, {cpu:.2f} of processor)")
        report("stored", parts(root), limit.stored, saves)
        for ref in Store.open(root).refs():
            subject.maverick.finish(ref.run)
        subject.maverick.forget(KEEP_ALL)
        report("after gc, all runs being done", parts(root), limit.stored, saves)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*", choices=[*SAVING, []])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    benchmark.text = cache(benchmark.text)  # not made twice, nor between the turns
    for work in options.work or [it for it in SAVING if it != "large"]:
        measure(work, options.scale, options.folder)


if __name__ == "__main__":
    main()
