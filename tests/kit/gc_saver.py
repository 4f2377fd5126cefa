"""Workers that save, reading back what they saved, while something else collects garbage."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from kit.stores import read_all
from maverick.checkpoints import Checkpoint, Content, Store, blob, value
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
from maverick.checkpoints.trees.folders import Path as Names

COMMON = b"common" * 100


def save_runs(place: Store | Path, prefix: str, rounds: int, *, owned: bool = True) -> None:
    """Save *rounds* short runs to their end, each with a checkpoint of one long run in between.

    All of them write the same content, and take it away again: gc removes it, the next save needs
    it. The long run stays *owned*, so that an open pack is kept all the time, or is nobody's.
    """
    store = place if isinstance(place, Store) else Store.open(place)
    long: Checkpoint | None = None
    with ExitStack() as stack:
        if owned:
            stack.enter_context(store.own(f"{prefix}-open"))
        for number in range(rounds):
            run = f"{prefix}-{number}"
            with store.own(run):
                at = store.save(run, _content(number), parent=None, group="short")
                read_all(store, at)
                at = store.save(run, {("common",): None}, parent=at)
                at = store.save(run, {("common",): blob(COMMON)}, parent=at, kind="final")
                read_all(store, at)
            long = store.save(f"{prefix}-open", _content(number), parent=long, group="long")
            read_all(store, long)


def _content(number: int) -> dict[Names, Content | None]:
    return {("common",): blob(COMMON), ("steps", f"step{number % 3}"): value({"round": number % 3})}


class Saver:
    """A process that owns *run* and saves when it is told to, until the block ends."""

    def __init__(self, root: Path, run: str) -> None:
        self._argv = [sys.executable, "-m", "kit.gc_saver", str(root), run]

    def __enter__(self) -> Self:
        path = [str(Path(__file__).parents[1]), *sys.path]
        self.process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(path)},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def save(self, text: str) -> CheckpointId:
        """Save `text` with this content, on top of what the run stands at; gives the checkpoint."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(text, file=self.process.stdin, flush=True)
        return CheckpointId(ObjectId(self.process.stdout.readline().strip()))


def save_what_is_told(root: Path, run: str) -> None:
    """Save a checkpoint of *run* for each line of standard input, and print its id."""
    store = Store.open(root)
    at: Checkpoint | None = None
    with store.own(run):
        for line in sys.stdin:
            at = store.save(run, {("text",): blob(line.strip().encode() * 100)}, parent=at)
            read_all(store, at)
            sys.stdout.write(f"{at.id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    save_what_is_told(Path(sys.argv[1]), sys.argv[2])
