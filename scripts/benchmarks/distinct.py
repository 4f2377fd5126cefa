"""What zstd makes of the distinct content of workloads: `distinct.py SCALE DATA WORKLOAD …` also
writes there the payloads of `large`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import texts
from workloads import INSERTION_BYTES, SCALES, Scale, distinct

try:
    from compression import zstd
except ImportError:
    from backports import zstd

WORKLOADS = ("long", "reruns", "wide", "large", "transcript", "gc")


def write_payloads(scale: Scale, data: Path) -> None:
    """Write the files that are saved as such."""
    texts.write_large(data / "payload", scale.large_bytes)
    insertion = texts.text("insertion", INSERTION_BYTES)
    texts.write_with_insertion(data / "payload", data / "payload-inserted", insertion)


def compressed(workload: str, scale: Scale, data: Path) -> dict[str, int]:
    """Give the bytes of a workload's distinct content, those of the pieces compressed one by one,
    and of one stream.
    """
    whole = pieces = stream = 0
    compressor = zstd.ZstdCompressor(3)
    for piece in distinct(workload, scale, data):
        whole += len(piece)
        pieces += len(zstd.compress(piece, 3))
        stream += len(compressor.compress(piece))
    stream += len(compressor.flush())
    return {"bytes": whole, "pieces": pieces, "stream": stream}


def main() -> None:
    """Print that of each workload that is asked for."""
    scale, data, asked = SCALES[sys.argv[1]], Path(sys.argv[2]), sys.argv[3:]
    if "large" in asked:
        write_payloads(scale, data)
    print(json.dumps({name: compressed(name, scale, data) for name in WORKLOADS if name in asked}))


if __name__ == "__main__":
    main()
