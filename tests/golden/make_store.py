"""Write an archive with a small store: `python tests/golden/make_store.py store-vN.tar` (once per
format).
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import tarfile
import tempfile
from pathlib import Path

from maverick.checkpoints import Content, Store, blob, note, value

ODD: dict[str, Content] = {
    "floats": value([1.0, -0.0, 1e300, 5e-324, float("inf"), float("-inf"), float("nan"), 0.1]),
    "integers": value([0, -1, 2**63 - 1, 2**63, -(2**64), 10**100]),
    "texts": value({"": "", "$": "$$", "ü": "\udc80\x00\n", "z": "a", "a": "z"}),
    "bytes": value({"png": b"\x89PNG\r\n", "again": [b"\x89PNG\r\n", b""]}),
}


def make(root: Path) -> None:
    """A run with 130 steps and a label, a finished one, and a fork."""
    times = itertools.count(1_790_000_000_000, 1000)
    store = Store.create(root, clock=lambda: next(times))
    definition: dict[tuple[str, ...], Content | None] = {
        ("definition", "fly.yaml"): blob(b"version: 1\nname: fly\n"),
        ("inputs",): value({"epic": "a-1", "dry_run": False}),
        **{("odd", name): content for name, content in ODD.items()},
    }
    at = store.save("fly-1", definition, parent=None, group="fly", facts={("host",): note("here")})
    for start in range(0, 130, 13):
        names = {number: f"phases[{number}].implement" for number in range(start, start + 13)}
        records = {number: f'{{"key":"{number:04}","status":"done"}}' for number in names}
        label = "half" if start == 65 else ""
        at = store.save(
            "fly-1",
            {("steps", names[n]): value({"files": [f"f{n}.py"]}, note=records[n]) for n in names},
            parent=at,
            kind="label" if label else "auto",
            label=label,
            step=names[start + 12],
            facts={("steps", names[n]): note(f'{{"ms":{n}}}') for n in names},
        )
    store.save("fork", {("inputs",): value({"epic": "a-2"})}, parent=store.resolve("fly-1@half"))
    done = store.save("Review 1/é", {}, parent=None, group="review")
    done = store.save(
        "Review 1/é", {("report",): blob(b"x" * 5000)}, parent=done, kind="final", reason="end"
    )
    store.tag("Review 1/é", "good", done)
    make_long(store)


LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(25_000))


def make_large(store: Store) -> None:
    """In version 2 of the archive (what is in it is large): chunks, bases, and so many saves that
    packs are merged.
    """
    at = store.save("large", {("file",): blob(LARGE)}, parent=None)
    at = store.save(
        "large", {("file",): blob(LARGE[:400_000] + b"inserted" + LARGE[400_000:])}, parent=at
    )
    text = "a transcript"
    for turn in range(10):
        text += LARGE[turn * 1000 : turn * 1000 + 700].hex()
        at = store.save("large", {("transcript",): value({"text": text})}, parent=at)


LONG = b"".join(
    hashlib.sha256(b"long %d" % number).digest() + bytes(2000) for number in range(4000)
)


def make_long(store: Store) -> None:
    """Since version 3 of the archive: lists of lists of chunks, and checkpoints with a base."""
    at = store.save("long", {("file",): blob(LONG)}, parent=None)
    for turn in range(4):
        at = store.save(
            "long", {("file",): blob(LONG + b"more" * turn)}, parent=at, step=f"turn{turn}"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "store")
        # The reserve is a MiB of random bytes; a store does without.
        (Path(folder) / "store" / "reserve").unlink()
        with tarfile.open(Path(__file__).parent / sys.argv[1], "x") as archive:
            archive.add(Path(folder) / "store", "store")
