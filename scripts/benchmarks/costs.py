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

import adapters
import distinct
from workloads import SCALES, WORKLOADS, Bench, Sample, Scale, Stored

from maverick.checkpoints import Store
from maverick.checkpoints.objects.pack_records import HEAD_BYTES, ID_BYTES, PACK_HEADER_BYTES


def parts(root: Path) -> Counter[str]:
    """Give the bytes of a store by what they are."""
    store, found = Store.open(root), Counter[str]()
    store.objects.packs.refresh()
    for pack in store.objects.packs.listed():
        for record in pack.records:
            found["heads of records"] += HEAD_BYTES + record.prelude
            found["ids"] += ID_BYTES * record.total
            found["trees, checkpoints and lists"] += record.structure
            found["blobs"] += record.content_bytes
        end = pack.records[-1].end if pack.records else PACK_HEADER_BYTES
        found["headers of packs"] += PACK_HEADER_BYTES
        found["indexes and trailers, or zeros"] += (
            root / "objects" / pack.file
        ).stat().st_size - end
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
    for event in WORKLOADS[workload](Bench(adapters.load("maverick"), folder, folder, scale)):
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
