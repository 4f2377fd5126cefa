"""What zstd makes of the distinct content of each workload: `distinct.py SCALE DATA` also writes the payloads there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import texts
from workloads import INSERTION_BYTES, SCALES, distinct

try:
    from compression import zstd
except ImportError:
    from backports import zstd

WORKLOADS = ("long", "reruns", "wide", "large", "transcript", "gc")


def main() -> None:
    """Print for each workload the bytes, those of the pieces compressed one by one, and those of one stream."""
    scale, data = SCALES[sys.argv[1]], Path(sys.argv[2])
    texts.write_large(data / "payload", scale.large_bytes)
    insertion = texts.text("insertion", INSERTION_BYTES)
    texts.write_with_insertion(data / "payload", data / "payload-inserted", insertion)
    found = {}
    for workload in WORKLOADS:
        whole = pieces = stream = 0
        compressor = zstd.ZstdCompressor(3)
        for piece in distinct(workload, scale, data):
            whole += len(piece)
            pieces += len(zstd.compress(piece, 3))
            stream += len(compressor.compress(piece))
        stream += len(compressor.flush())
        found[workload] = {"bytes": whole, "pieces": pieces, "stream": stream}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
