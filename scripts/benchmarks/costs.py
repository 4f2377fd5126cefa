"""What the bytes of a store are: `python scripts/benchmarks/costs.py [WORKLOAD ...] [--scale
full|quick|small]`.

The workloads are those of peers.py. Bytes are counted by what they are, as saved and after gc, and
set against what zstd makes of the distinct content.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import distinct
import subjects
from workloads import SCALES, WORKLOADS, Bench, Sample, Scale, Stored

from maverick.checkpoints import Store
from maverick.checkpoints.objects.frames import FLAGS, FRAME_BYTES, HAS_BASE, HAS_CHUNKS
from maverick.checkpoints.objects.pack_index import ROW_BYTES
from maverick.checkpoints.objects.packs import HEADER_BYTES, TRAILER_BYTES


def parts(root: Path) -> Counter[str]:
    """Give the bytes of a store by what they are: payloads, by kind and by what they lean on, and
    the rest.
    """
    store, found = Store.open(root), Counter[str]()
    store.objects.packs.refresh()
    for index in store.objects.packs.indexes():
        found["headers and trailers of packs"] += HEADER_BYTES + TRAILER_BYTES
        found["rows of indexes"] += ROW_BYTES * len(index)
        found["headers of frames"] += FRAME_BYTES * len(index)
        for place, frame in store.objects.frames_at(index.name, index.rows()):
            if frame is None:
                raise SystemExit(f"pack {index.name} is damaged")
            how = {0: "", HAS_BASE: ", with a base", HAS_CHUNKS: ", lists of chunks"}[
                frame.raw[FLAGS]
            ]
            found[f"{place.kind.name.lower()}s{how}"] += place.length - FRAME_BYTES
    found["refs"] = sum(path.stat().st_size for path in (root / "refs").iterdir())
    return found


def report(name: str, found: Counter[str], content: int, saves: int) -> None:
    """Print the bytes of a store per save, and how they compare with *content*."""
    total = sum(found.values())
    print(
        f"  {name}: {total:,} bytes, {total / content:.3f} x what zstd makes of the distinct "
        "content; per save"
    )
    for part, size in found.most_common():
        print(f"    {size / saves:12,.0f}  {part}")


def measure(workload: str, scale: Scale, folder: Path) -> None:
    """Do one workload, and print what became of it."""
    distinct.write_payloads(scale, folder)
    content = distinct.compressed(workload, scale, folder)["pieces"]
    saves = 0
    for event in WORKLOADS[workload](Bench(subjects.load("maverick"), folder, folder, scale)):
        match event:
            case Sample():
                saves += 1
            case Stored(line, compact=False):
                print(f"{workload}: {saves} operations")
                report("as saved", parts(folder / line / "store"), content, saves or 1)
            case Stored(line, compact=True):
                place = "gc0" if line == "gc" else line
                report("after gc", parts(folder / place / "store"), content, saves or 1)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", nargs="*", choices=[*distinct.WORKLOADS, []])
    parser.add_argument("--scale", choices=SCALES, default="full")
    options = parser.parse_args()
    for workload in options.workload or distinct.WORKLOADS:
        with tempfile.TemporaryDirectory(prefix="maverick-costs-") as folder:
            measure(workload, SCALES[options.scale], Path(folder))


if __name__ == "__main__":
    main()
