"""Shows that each adapter gives back what it was given: saves, opens anew, loads, compares,
collects, loads again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import adapters
import texts
from adapters.subject import contents
from workloads import Wrong

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapters.subject import State, Subject

RUNS, CHECKPOINTS = 3, 4


def main(names: Iterable[str] = adapters.PLACES) -> None:
    """Test the subjects of these *names*, but not the limits."""
    for name in names:
        if name in adapters.LIMITS:
            continue
        with tempfile.TemporaryDirectory() as folder:
            round_trip(adapters.load(name)(), Path(folder))
        print(f"{name}: gives back what it was given")


def round_trip(subject: Subject, folder: Path) -> None:
    """Raise Wrong if *subject* gives back anything else than it was given."""
    large = folder / "large"
    large.write_bytes(texts.text("large", 300_000))
    subject.open(folder)
    saved: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
    for run in (f"run{number}" for number in range(RUNS)):
        state: State = {"same": b"in all runs", "large": large, "empty": b""}
        saved[run] = [(subject.save(run, state, state), contents(state))]
        for step in range(1, CHECKPOINTS):
            changed = {
                f"step{step}": texts.text(f"{run} {step}", 5000),
                "same": f"{run} {step}".encode(),
            }
            state = {**state, **changed}
            key = subject.save(run, changed, state, last=step == CHECKPOINTS - 1)
            saved[run].append((key, contents(state)))
    subject.close()
    subject.open(folder)
    for run, checkpoints in saved.items():
        for key, state in checkpoints:
            _expect(state, subject.load(run, key), f"{run} {key}")
    newest, checkpoints = list(saved.items())[-1]
    subject.close()
    compare(subject, folder / "compared")
    subject.open(folder)
    subject.collect([newest])
    subject.close()
    subject.open(folder)
    _expect(checkpoints[-1][1], subject.load(newest, checkpoints[-1][0]), f"{newest} after gc")
    subject.close()


def compare(subject: Subject, folder: Path) -> None:
    """Two checkpoints with the same names, one entry of which differs."""
    subject.open(folder)
    before = {f"step{number}": texts.text(str(number), 100) for number in range(60)}
    changed = {"step7": b"another"}
    old = subject.save("run", before, before)
    new = subject.save("run", changed, before | changed)
    subject.close()
    subject.open(folder)
    _expect({"step7": (before["step7"], b"another")}, subject.diff("run", old, new), "diff")
    subject.close()


def _expect(expected: object, actual: object, what: str) -> None:
    if expected != actual:
        raise Wrong(f"{what}: something else came back")


if __name__ == "__main__":
    main()
