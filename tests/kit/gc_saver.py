"""A worker that saves run after run, reading back each of them, while something else collects
garbage.
"""

from __future__ import annotations

from pathlib import Path

from kit.stores import read_all
from maverick.checkpoints import Checkpoint, Content, Store, blob, value
from maverick.checkpoints.trees.folders import Path as Names

COMMON = b"common" * 100


def save_runs(place: Store | Path, prefix: str, rounds: int) -> None:
    """Save *rounds* short runs to their end, each with a checkpoint of one long run in between.

    All of them write the same content, and take it away again: gc removes it, the next save needs
    it.
    """
    store = place if isinstance(place, Store) else Store.open(place)
    long: Checkpoint | None = None
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
