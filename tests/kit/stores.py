"""What tests of the store do again and again: fill one, and read all of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maverick.checkpoints import Checkpoint, Content, Ref, Store, blob, note, value
from maverick.checkpoints.disk import filesystem
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind, TreeId
from maverick.checkpoints.objects.pack_records import Record
from maverick.checkpoints.objects.pack_set import Place
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE
from maverick.checkpoints.trees.folders import Path as Names
from maverick.checkpoints.trees.folders import walk
from maverick.runs.import_check import import_check

Progress = Callable[[int, int], None] | None

STEP_KEY = "0123456789abcdef" * 4


def step(number: int) -> dict[Names, Content | None]:
    """The change that a finished step makes."""
    return {
        ("steps", f"step{number}"): value(
            {"out": number}, note=f'{{"key":"{STEP_KEY}","status":"done"}}'
        )
    }


def begin(store: Store, run: str = "run-1", *, group: str = "fly") -> Checkpoint:
    """Save the first checkpoint of a run."""
    changes: dict[Names, Content | None] = {
        ("inputs",): value({"epic": "a-1", "dry": False}),
        ("definition", "flow.yaml"): blob(b"version: 1\n"),
    }
    return store.save(run, changes, parent=None, group=group, facts={("started",): note("by hand")})


def extend(store: Store, at: Checkpoint, steps: range) -> Checkpoint:
    """Save one checkpoint for each of *steps*."""
    for number in steps:
        facts: dict[Names, Content | None] = {("steps", f"step{number}"): note('{"seconds":1}')}
        at = store.save(at.run, step(number), parent=at, step=f"step{number}", facts=facts)
    return at


def flip(store: Store, object_id: str, offset: int, bit: int = 1) -> bytes:
    """Flip a bit of the block that an object is stored in, *offset* bytes into it; gives what its
    pack's file holds now.
    """
    place = store.objects.packs.find(ObjectId(object_id))
    assert place is not None
    stream = CONTENT if place.kind is ObjectKind.BLOB else STRUCTURE
    start, length = stream.place(record_of(place))
    path = store.root / "objects" / place.pack.file
    data = bytearray(path.read_bytes())
    data[start + offset % length] ^= bit
    path.write_bytes(data)
    return bytes(data)


def record_of(place: Place) -> Record:
    """Give the record that an object is in."""
    records = reversed(place.pack.records)
    return next(record for record in records if record.first <= place.number)


def read_all(store: Store, checkpoint: Checkpoint) -> dict[str, bytes]:
    """Read every object of *checkpoint*; gives the bytes by the path they stand at."""
    found: dict[str, bytes] = {}
    for root, name in ((checkpoint.tree, "state"), (checkpoint.facts, "facts")):
        for path, entry in walk(store, root):
            key = "/".join((name, *path))
            if entry.kind == "bundle":
                for part, inner in walk(store, TreeId(entry.id)):
                    found[f"{key}/{part[0]}"] = store.read(inner.id)
            elif entry.kind == "note":
                found[key] = entry.note.encode()
            elif entry.kind != "tree":
                found[key] = store.read(entry.id)
    return found


def on_a_network_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be mounted from another host from now on."""
    monkeypatch.setattr(filesystem, "_mounts", lambda: "1 1 0:1 / / rw - nfs4 server:/ rw")


def take_in(
    store: Store, path: Path, run: str = "", *, any_size: bool = False, progress: Progress = None
) -> Ref:
    """Take in the run in the file *path*, as `maverick checkpoint import` does."""
    from maverick.checkpoints import imports  # noqa: PLC0415 - only what exchanges runs needs it

    check = import_check()
    taken = imports.take_in(
        lambda: store, path, run, check=check, any_size=any_size, progress=progress
    )
    return taken.ref
