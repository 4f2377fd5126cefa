"""The store that this version of the format began with is read in full. See tests/golden/README.md."""

from __future__ import annotations

import hashlib
import math
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kit.stores import extend, read_all
from maverick.checkpoints import Store, blob
from maverick.errors import StoreTooNew

GOLDEN = Path(__file__).parents[1] / "golden"
LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(10_000))
LONG = b"".join(
    hashlib.sha256(b"long %d" % number).digest() + bytes(2000) for number in range(4000)
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The store of format 2."""
    return Store.open(_extracted("store-v2.tar", tmp_path))


def _extracted(name: str, to: Path) -> Path:
    # Python 3.11.4 has it.
    safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(GOLDEN / name) as archive:
        archive.extractall(to, **safe)
    return to / "store"


def test_a_store_of_format_1_is_refused(tmp_path: Path) -> None:
    """It was never released; the message names the last commit that reads it."""
    root = _extracted("store-v1.tar", tmp_path)

    with pytest.raises(StoreTooNew) as refused:
        Store.open(root)

    assert 20 == refused.value.exit_code
    assert (
        f"the store {root} has format 1, which was never released; the last commit that reads it "
        "is ea2b6a2; move the store away to begin a new one"
    ) == str(refused.value)


def test_a_pack_of_format_1_is_refused(tmp_path: Path, store: Store) -> None:
    """Somebody may have put it there."""
    (tmp_path / "former").mkdir()
    former = _extracted("store-v1.tar", tmp_path / "former")
    pack = min((former / "objects").iterdir())
    shutil.copy(pack, store.root / "objects")

    with pytest.raises(StoreTooNew, match=rf"pack {pack.name[:12]} has version 1.*ea2b6a2"):
        Store.open(store.root).load("fly-1")


def test_large_blobs_of_version_2_are_read(store: Store) -> None:
    """Lists of chunks, and lists of such lists."""
    assert LARGE == store.load("large~11").data("file")
    assert LARGE[:100_000] + b"inserted" + LARGE[100_000:] == b"".join(
        store.load("large").stream("file")
    )
    text = "a transcript" + "".join(LARGE[turn * 1000 :][:700].hex() for turn in range(10))
    assert {"text": text} == store.load("large").value("transcript")
    long = store.load("long")
    assert LONG == store.load("long~1").data("file")
    assert LONG + b"more" == long.data("file")
    lists = store.objects.chunks(long.entry("file").id)
    assert any(store.objects.chunks(chunk) for chunk, _ in lists)


def test_what_a_kill_left_is_read(store: Store) -> None:
    """Where a run stands whose ref lags, or is torn; and nothing of what was never written whole."""
    files = {path.suffix for path in (store.root / "objects").iterdir()}

    assert {".open", ".pack"} == files
    assert (20, 2, 1) == tuple(store.ref(run).sequence for run in ("killed", "torn", "before"))
    assert [*range(5, 21)] == [it.sequence for it in store.ref("killed").positions]
    assert {"out": LARGE[19 * 99 :][:300].hex()} == store.load("killed").value("steps/s19")
    assert [1] == store.load("torn").value("y")
    assert LARGE[:9000] == store.load("before").data("x")
    for run in ("killed", "torn", "before", "large", "long"):
        for checkpoint in store.history(run):
            read_all(store, checkpoint)
    assert [] == [it for it in store.check(read_data=True) if it.severity == "error"]


def test_what_a_kill_left_goes_on(store: Store) -> None:
    """In the open pack, with what it held."""
    (path,) = (store.root / "objects").glob("*.open")

    with store.own("killed"):
        at = extend(store, store.resolve("killed"), range(1))
        assert [path] == list((store.root / "objects").glob("*.open"))

    found = Store.open(store.root)
    assert (21, at.id) == (at.sequence, found.ref("killed").checkpoint)
    assert 2 == found.ref("torn").sequence
    assert [] == list(found.check(read_data=True))


def test_every_checkpoint_of_version_2_is_read(store: Store) -> None:
    """Each object of each of them, verified."""
    assert {"fly-1", "fork", "Review 1/é"} <= {ref.run for ref in store.refs()}
    for run, count in (("fly-1", 11), ("fork", 8), ("Review 1/é", 2)):
        history = list(store.history(run))
        assert count == len(history)
        for checkpoint in history:
            read_all(store, checkpoint)


def test_values_of_version_2_are_what_they_were(store: Store) -> None:
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


def test_refs_of_version_2_are_what_they_were(store: Store) -> None:
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


def test_a_store_of_version_2_goes_on(store: Store) -> None:
    """With the same ids for the same content: nothing is stored again."""
    report = store.load("Review 1/é").entry("report")
    at = extend(store, store.resolve("fly-1"), range(1))
    store.save("again", {("report",): blob(b"x" * 5000)}, parent=None)

    assert at == Store.open(store.root).resolve("fly-1")
    assert report == store.load("again").entry("report")
    packs = Store.open(store.root).objects.packs
    packs.refresh()
    assert 1 == sum(pack.find(report.id) is not None for pack in packs.listed())
