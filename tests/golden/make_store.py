"""Write an archive with a small store: `python tests/golden/make_store.py store-vN.tar` (once per
format).
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
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


LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(10_000))
LONG = b"".join(
    hashlib.sha256(b"long %d" % number).digest() + bytes(2000) for number in range(4000)
)


def make(root: Path) -> None:
    """A run with 130 steps and a label, a finished one, a fork, and large blobs; all in sealed
    packs.
    """
    times = itertools.count(1_790_000_000_000, 1000)
    store = Store.create(root, clock=lambda: next(times))
    definition: dict[tuple[str, ...], Content | None] = {
        ("definition", "fly.yaml"): blob(b"version: 1\nname: fly\n"),
        ("inputs",): value({"epic": "a-1", "dry_run": False}),
        **{("odd", name): content for name, content in ODD.items()},
    }
    with store.own("fly-1"):
        facts = {("host",): note("here")}
        at = store.save("fly-1", definition, parent=None, group="fly", facts=facts)
        for start in range(0, 130, 13):
            names = {number: f"phases[{number}].implement" for number in range(start, start + 13)}
            records = {number: f'{{"key":"{number:04}","status":"done"}}' for number in names}
            label = "half" if start == 65 else ""
            at = store.save(
                "fly-1",
                {
                    ("steps", names[n]): value({"files": [f"f{n}.py"]}, note=records[n])
                    for n in names
                },
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
    with store.own("large"):
        at = store.save("large", {("file",): blob(LARGE)}, parent=None)
        changed = LARGE[:100_000] + b"inserted" + LARGE[100_000:]
        at = store.save("large", {("file",): blob(changed)}, parent=at)
        text = "a transcript"
        for turn in range(10):
            text += LARGE[turn * 1000 : turn * 1000 + 700].hex()
            at = store.save("large", {("transcript",): value({"text": text})}, parent=at)
    at = store.save("long", {("file",): blob(LONG)}, parent=None)
    store.save("long", {("file",): blob(LONG + b"more")}, parent=at, step="turn1")
    store.appender.seal_all()


def kill(root: Path, killed: Path) -> None:
    """Make *killed* of the store *root*: a process died in it, which had taken over an open pack.

    Its ref lags, that of another run is torn, and behind the last record there is half of one.
    """
    times = itertools.count(1_800_000_000_000, 1000)
    store = Store.open(root, clock=lambda: next(times))
    with store.own("before"):
        store.save("before", {("x",): blob(LARGE[:9000])}, parent=None)
    with store.own("torn"):
        store.save("torn", {("x",): blob(LARGE[:9000] + b"torn")}, parent=None)
    with store.own("torn"), store.own("killed"):
        store.save("torn", {("y",): value([1])}, parent=store.resolve("torn"))
        at = store.save("killed", {("x",): blob(b"0")}, parent=None)
        lagging = (root / "refs/killed").read_bytes()
        for number in range(1, 20):
            at = store.save("killed", step(number), parent=at, reason="more")
        shutil.copytree(root, killed)
    (killed / "refs/killed").write_bytes(lagging)
    (killed / "refs/torn").write_bytes((killed / "refs/torn").read_bytes()[:100] + bytes(50))
    (path,) = (killed / "objects").glob("*.open")
    data = bytearray(path.read_bytes())
    end = len(bytes(data).rstrip(b"\0"))
    half = data.index(b"\xf7Mvr", 44)
    data[end : end + 100] = data[half : half + 100]
    path.write_bytes(data)


def step(number: int) -> dict[tuple[str, ...], Content | None]:
    return {("steps", f"s{number}"): value({"out": LARGE[number * 99 :][:300].hex()})}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made, store = Path(folder) / "made", Path(folder) / "store"
        make(made)
        kill(made, store)
        # The reserve is a MiB of random bytes; a store does without.
        (store / "reserve").unlink()
        with tarfile.open(Path(__file__).parent / sys.argv[1], "x") as archive:
            archive.add(store, "store")
