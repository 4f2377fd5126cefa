"""Stores that former versions wrote are read in full by this one. See tests/golden/README.md."""

from __future__ import annotations

import hashlib
import math
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kit.stores import extend, raw_frames, read_all
from maverick.checkpoints import Store, blob
from maverick.checkpoints.objects.ids import ObjectKind

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(params=["store-v1.tar", "store-v2.tar", "store-v3.tar"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    """A store of each version of the format, with the same runs."""
    return _extracted(request.param, tmp_path)


def _extracted(name: str, to: Path) -> Store:
    # Python 3.11.4 has it.
    safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(GOLDEN / name) as archive:
        archive.extractall(to, **safe)
    return Store.open(to / "store")


def test_what_version_2_added_is_read(tmp_path: Path) -> None:
    """Bases, chunks and merged packs."""
    store = _extracted("store-v2.tar", tmp_path)
    large = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(25_000))

    assert {"bases", "chunks"} == store.format.read
    assert large == store.load("large~11").data("file")
    assert large[:400_000] + b"inserted" + large[400_000:] == b"".join(
        store.load("large").stream("file")
    )
    text = "a transcript" + "".join(
        large[turn * 1000 : turn * 1000 + 700].hex() for turn in range(10)
    )
    assert {"text": text} == store.load("large").value("transcript")
    flags = [
        raw[6] for index in store.objects.packs.indexes() for _, raw in raw_frames(store, index)
    ]
    assert {0, 1, 2} == set(flags)
    assert len(store.objects.packs.indexes()) < 20
    assert [] == list(store.check(read_data=True))


def test_what_version_3_added_is_read(tmp_path: Path) -> None:
    """A blob that is a list of lists of chunks, and checkpoints that lean on others."""
    store = _extracted("store-v3.tar", tmp_path)
    long = b"".join(
        hashlib.sha256(b"long %d" % number).digest() + bytes(2000) for number in range(4000)
    )

    for turn in range(4):
        assert long + b"more" * turn == store.load(f"long~{3 - turn}").data("file")
    objects = store.objects
    place = objects.packs.find(store.load("long").entry("file").id)
    assert place is not None
    inner = [
        at
        for it, _ in objects.leans_at(place).chunks
        if (at := objects.packs.find(it)) and at.leans
    ]
    assert inner
    assert all(objects.leans_at(at).chunks for at in inner)
    kinds = {at.kind for index in objects.packs.indexes() for _, at in index if at.leans}
    assert ObjectKind.CHECKPOINT in kinds
    assert [] == list(store.check(read_data=True))


def test_every_checkpoint_of_version_1_is_read(store: Store) -> None:
    """Each object of each of them, verified."""
    assert {"fly-1", "fork", "Review 1/é"} <= {ref.run for ref in store.refs()}
    for run, count in (("fly-1", 11), ("fork", 8), ("Review 1/é", 2)):
        history = list(store.history(run))
        assert count == len(history)
        for checkpoint in history:
            read_all(store, checkpoint)


def test_values_of_version_1_are_what_they_were(store: Store) -> None:
    """Down to the sign of zero."""
    found = store.load("fly-1")

    floats = [1.0, -0.0, 1e300, 5e-324, math.inf, -math.inf, math.nan, 0.1]
    assert repr(floats) == repr(found.value("odd/floats"))
    assert [0, -1, 2**63 - 1, 2**63, -(2**64), 10**100] == found.value("odd/integers")
    texts = found.value("odd/texts")
    assert {"": "", "$": "$$", "ü": "\udc80\x00\n", "z": "a", "a": "z"} == texts
    assert ["", "$", "ü", "z", "a"] == list(texts)  # type: ignore[arg-type]
    assert {"png": b"\x89PNG\r\n", "again": [b"\x89PNG\r\n", b""]} == found.value("odd/bytes")
    assert 130 == len(found.names("steps"))
    assert {"files": ["f77.py"]} == found.value("steps/phases[77].implement")
    assert '{"key":"0077","status":"done"}' == found.entry("steps/phases[77].implement").note
    assert '{"ms":77}' == found.fact("steps/phases[77].implement")


def test_refs_of_version_1_are_what_they_were(store: Store) -> None:
    """Labels, tags, forks, and the ids themselves: an id that changes breaks every link."""
    review = store.ref("Review 1/é")

    assert (True, "review", 5000) == (review.done, review.group, review.bytes)
    assert review.checkpoint == review.tags["good"] == store.resolve("Review 1/é@good").id
    assert store.resolve("fly-1@half") == store.resolve("fork~1") == store.resolve("fly-1~4")
    assert {"epic": "a-2"} == store.load("fork").value("inputs")
    assert (
        "dccbef25e84aae68d858375569c10609e20515f30b01df2fe904d858a758c32b"
        == store.resolve("fly-1").tree
    )
    assert (
        "9f1e3d991255fc892a394e13368db08589757fbc180a553aac914b000bd89108"
        == store.ref("fly-1").checkpoint
    )


def test_a_store_of_version_1_goes_on(store: Store) -> None:
    """With the same ids for the same content: nothing is stored again."""
    report = store.load("Review 1/é").entry("report")
    at = extend(store, store.resolve("fly-1"), range(1))
    store.save("again", {("report",): blob(b"x" * 5000)}, parent=None)

    assert at == Store.open(store.root).resolve("fly-1")
    assert report == store.load("again").entry("report")
    packs = Store.open(store.root).objects.packs
    packs.refresh()
    assert 1 == sum(pack.find(bytes.fromhex(report.id)) is not None for pack in packs.indexes())
