"""One subject and one workload in a process of its own, in turns: `worker.py SUBJECT WORKLOAD SCALE
FOLDER DATA`.

Reads from standard input how many seconds the next turn may take; answers with a line of JSON each
time: the samples of the turn, what was stored, the most memory that was used, whether it is done.
`worker.py --describe` prints what the subjects say of themselves.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path

import adapters
from workloads import SCALES, WORKLOADS, Bench, Ready, Sample, Stored


def peak() -> int:
    """Give the most memory in bytes that this process had, and in its stead a larger one that it
    started.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def describe() -> None:
    """Print what the subjects say of themselves."""
    kinds = {name: adapters.load(name) for name in adapters.PLACES}
    about = {
        name: {key: getattr(kind, key) for key in ("durable", "how", "skips")}
        for name, kind in kinds.items()
    }
    print(json.dumps(about))


def main() -> None:
    """Work until the workload ends."""
    if sys.argv[1:] == ["--describe"]:
        describe()
        return
    subject, workload, scale, folder, data = sys.argv[1:]
    bench = Bench(
        adapters.load(subject),
        Path(folder),
        Path(data),
        SCALES[scale],
        marked=bool(os.environ.get("BENCH_MARK")),
    )
    events = WORKLOADS[workload](bench)
    done = False
    while not done:
        line = sys.stdin.readline()
        if not line:
            return
        end = time.perf_counter() + float(line)
        samples: list[tuple[str, float, float]] = []
        stored = []
        for event in events:
            match event:
                case Sample(name, seconds, processor):
                    samples.append((name, seconds, processor))
                case Stored():
                    stored.append(asdict(event) | {"peak": peak()})
                case Ready():
                    break
            if time.perf_counter() > end:
                break
        else:
            done = True
        print(
            json.dumps({"samples": samples, "stored": stored, "done": done, "peak": peak()}),
            flush=True,
        )


if __name__ == "__main__":
    main()
